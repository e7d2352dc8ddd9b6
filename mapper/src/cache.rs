//! What was found before: the seam for a cache on disk, which is not this crate's business.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A hash of the sources of this crate and of `ir`: whatever could change a result changes it.
pub const MODEL: &str = env!("TILEWRIGHT_MODEL");

/// Remembers the results of searches, as text of one line.
///
/// A problem is text that says everything that a result depends on, [`MODEL`] apart. A cache may forget anything at any
/// time; what it gives back is checked as far as that is cheap.
pub trait Cache: Sync {
    /// What was found for a problem.
    fn get(&self, problem: &str) -> Option<String>;
    /// Remembers what was found.
    fn put(&self, problem: &str, found: &str);
}

/// Forgets everything at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

impl Cache for NoCache {
    fn get(&self, _: &str) -> Option<String> {
        None
    }

    fn put(&self, _: &str, _: &str) {}
}

/// What was found for a problem; none if it is not in the form that it would have today.
pub(crate) fn get<T: DeserializeOwned>(cache: &dyn Cache, problem: &str) -> Option<T> {
    serde_json::from_str(&cache.get(problem)?).ok()
}

/// Remembers what was found.
pub(crate) fn put<T: Serialize>(cache: &dyn Cache, problem: &str, found: &T) {
    let text = serde_json::to_string(found).expect("results are plain data");
    cache.put(problem, &text);
}
