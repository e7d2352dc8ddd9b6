//! What a search keeps: the best point for one objective, or all points that no other beats.

use serde::{Deserialize, Serialize};

use super::search::{Leaf, Moves, Point};

/// What is made small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Energy, then cycles.
    Energy,
    /// Cycles, then energy.
    Latency,
    /// Energy times cycles.
    #[default]
    EnergyDelay,
}

impl Objective {
    /// What is compared, first to last.
    pub fn rank(self, energy_pj: f64, cycles: f64) -> (f64, f64) {
        match self {
            Objective::Energy => (energy_pj, cycles),
            Objective::Latency => (cycles, energy_pj),
            Objective::EnergyDelay => (energy_pj * cycles, 0.0),
        }
    }
}

/// What a search is for.
pub(crate) trait Goal {
    /// The order in which to look.
    fn rank(&self, energy_pj: f64, cycles: f64) -> (f64, f64);
    /// Whether nothing that ranks at least like this is wanted.
    fn is_hopeless_rank(&self, rank: (f64, f64)) -> bool;
    /// Whether nothing with at least this energy and these cycles is wanted.
    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool;
    /// Whether what ranks better is all that is wanted.
    fn is_ranked(&self) -> bool {
        false
    }
    /// Whether something that moves no more was offered before, and that is all that counts.
    fn is_known(&self, _: &Moves) -> bool {
        false
    }
    /// Takes a finished nest into account.
    fn offer(&mut self, leaf: &Leaf<'_>);
}

/// What is closer than this is the same: sums of floats in another order.
pub(crate) const SAME: f64 = 1e-12;

/// Whether what ranks at least like `rank` is no better than `best`.
pub(crate) fn is_no_better((first, second): (f64, f64), best: (f64, f64)) -> bool {
    first >= best.0 * (1.0 + SAME)
        || (first >= best.0 * (1.0 - SAME) && second >= best.1 * (1.0 - SAME))
}

/// The best point for one objective.
pub(crate) struct Best {
    pub(crate) objective: Objective,
    pub(crate) point: Option<Point>,
    rank: (f64, f64),
}

impl Best {
    pub(crate) fn new(objective: Objective) -> Best {
        Best {
            objective,
            point: None,
            rank: (f64::INFINITY, f64::INFINITY),
        }
    }
}

impl Goal for Best {
    fn rank(&self, energy_pj: f64, cycles: f64) -> (f64, f64) {
        self.objective.rank(energy_pj, cycles)
    }

    fn is_hopeless_rank(&self, rank: (f64, f64)) -> bool {
        is_no_better(rank, self.rank)
    }

    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool {
        self.is_hopeless_rank(self.rank(energy_pj, cycles))
    }

    fn is_ranked(&self) -> bool {
        true
    }

    fn offer(&mut self, leaf: &Leaf<'_>) {
        let point = leaf.count();
        if !self.is_hopeless(point.cost.energy_pj, point.cost.cycles) {
            self.rank = self.objective.rank(point.cost.energy_pj, point.cost.cycles);
            self.point = Some(point);
        }
    }
}

/// All points that no other beats in energy and cycles.
#[derive(Default)]
pub(crate) struct Front {
    pub(crate) points: Vec<Point>,
}

impl Goal for Front {
    fn rank(&self, energy_pj: f64, cycles: f64) -> (f64, f64) {
        Objective::EnergyDelay.rank(energy_pj, cycles)
    }

    fn is_hopeless_rank(&self, _: (f64, f64)) -> bool {
        false
    }

    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool {
        let least = 1.0 - SAME;
        self.points
            .iter()
            .any(|p| p.cost.energy_pj * least <= energy_pj && p.cost.cycles * least <= cycles)
    }

    fn offer(&mut self, leaf: &Leaf<'_>) {
        let point = leaf.count();
        if self.is_hopeless(point.cost.energy_pj, point.cost.cycles) {
            return;
        }
        self.points.retain(|p| {
            p.cost.energy_pj < point.cost.energy_pj || p.cost.cycles < point.cost.cycles
        });
        self.points.push(point);
    }
}
