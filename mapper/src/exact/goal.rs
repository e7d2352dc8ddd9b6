//! What a search keeps: the best point for one objective, or all points that no other beats.

use serde::{Deserialize, Serialize};

use super::search::Point;

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
    /// Whether nothing with at least this energy and these cycles is wanted.
    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool;
    /// Takes a point into account.
    fn offer(&mut self, point: Point);
}

/// What is closer than this is the same: sums of floats in another order.
const SAME: f64 = 1e-12;

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

    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool {
        let (first, second) = self.objective.rank(energy_pj, cycles);
        let (best_first, best_second) = self.rank;
        first >= best_first * (1.0 + SAME)
            || (first >= best_first * (1.0 - SAME) && second >= best_second * (1.0 - SAME))
    }

    fn offer(&mut self, point: Point) {
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

    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool {
        let least = 1.0 - SAME;
        self.points
            .iter()
            .any(|p| p.cost.energy_pj * least <= energy_pj && p.cost.cycles * least <= cycles)
    }

    fn offer(&mut self, point: Point) {
        if self.is_hopeless(point.cost.energy_pj, point.cost.cycles) {
            return;
        }
        self.points.retain(|p| {
            p.cost.energy_pj < point.cost.energy_pj || p.cost.cycles < point.cost.cycles
        });
        self.points.push(point);
    }
}
