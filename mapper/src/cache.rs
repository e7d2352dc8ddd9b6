//! What was found before: the seam for a cache on disk, which is not this crate's business.

use crate::search::Found;

/// A hash of the sources of this crate and of `ir`: whatever could change a result changes it.
pub const MODEL: &str = env!("TILEWRIGHT_MODEL");

/// Remembers the results of searches.
///
/// A problem is text that says everything that a result depends on, [`MODEL`] apart. A cache may forget anything at any
/// time; what it gives back is checked as far as that is cheap.
pub trait Cache: Sync {
    /// What was found for a problem.
    fn get(&self, problem: &str) -> Option<Found>;
    /// Remembers what was found.
    fn put(&self, problem: &str, found: &Found);
}

/// Forgets everything at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

impl Cache for NoCache {
    fn get(&self, _: &str) -> Option<Found> {
        None
    }

    fn put(&self, _: &str, _: &Found) {}
}
