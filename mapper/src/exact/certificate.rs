//! What a search proves.

use serde::{Deserialize, Serialize};

/// Why a search ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Every nest was counted or excluded by a bound.
    #[default]
    Exhausted,
    /// The caller stopped it.
    Stopped,
}

/// What a search proves, in this model and space.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Choices of what is kept where and how ranks are unrolled.
    pub tasks: u64,
    /// Nodes of the search tree.
    pub nodes: u64,
    /// Branches that could not be better than the best.
    pub pruned_by_bound: u64,
    /// Branches whose tiles do not fit.
    pub pruned_by_capacity: u64,
    /// Nests that were counted in full.
    pub leaves: u64,
    /// Why the search ended.
    pub stop: StopReason,
    /// The least that an unexplored nest could have of the objective, if any is left.
    pub open_bound: Option<f64>,
}

impl Certificate {
    /// How far an unexplored nest could be better than the best, as a part of it; 0 when exhausted.
    pub fn gap(&self, best: f64) -> f64 {
        gap(self.open_bound, best)
    }
}

/// How far what is open could be better than the best, as a part of it; 0 when nothing is.
pub(crate) fn gap(open_bound: Option<f64>, best: f64) -> f64 {
    open_bound.map_or(0.0, |open| ((best - open) / best).max(0.0))
}
