//! Partial costs that a best whole can be made of.
//!
//! Costs of a whole are sums of costs of its parts. Energy times cycles is quasi-concave where both are positive, so over all
//! sums it is least at a corner of their convex hull, and a corner of a sum is a sum of corners. So of each part only the
//! corners towards less energy and fewer cycles matter: what lies between two of them is needless, though no one beats it.
//! Where the objective is an order of energy and cycles, one after the other, the best sum is the sum of the best.

use super::super::Objective;
use super::super::goal::{SAME, is_no_better};

/// The corners found so far, least energy first, and what has each.
#[derive(Clone)]
pub(crate) struct Hull<T> {
    objective: Objective,
    corners: Vec<Corner<T>>,
}

#[derive(Clone)]
pub(crate) struct Corner<T> {
    pub(crate) energy: f64,
    pub(crate) cycles: f64,
    pub(crate) item: T,
}

impl<T> Hull<T> {
    pub(crate) fn new(objective: Objective) -> Hull<T> {
        Hull {
            objective,
            corners: Vec::new(),
        }
    }

    pub(crate) fn corners(&self) -> &[Corner<T>] {
        &self.corners
    }

    /// Whether nothing with at least this energy and these cycles is needed.
    pub(crate) fn is_needless(&self, energy: f64, cycles: f64) -> bool {
        if self.objective != Objective::EnergyDelay {
            let rank = |energy, cycles| self.objective.rank(energy, cycles);
            let beats =
                |c: &Corner<T>| is_no_better(rank(energy, cycles), rank(c.energy, c.cycles));
            return self.corners.iter().any(beats);
        }
        let after = self
            .corners
            .partition_point(|c| c.energy * (1.0 - SAME) <= energy);
        let Some(before) = after.checked_sub(1).map(|at| &self.corners[at]) else {
            return false;
        };
        let line = match self.corners.get(after) {
            Some(after) => between(before, after, energy),
            None => before.cycles,
        };
        line * (1.0 - SAME) <= cycles
    }

    /// Adds what is needed, and drops what is then needless.
    pub(crate) fn add(&mut self, energy: f64, cycles: f64, item: T) {
        if self.is_needless(energy, cycles) {
            return;
        }
        let corner = Corner {
            energy,
            cycles,
            item,
        };
        if self.objective != Objective::EnergyDelay {
            self.corners = vec![corner];
            return;
        }
        let mut at = self.corners.partition_point(|c| c.energy < energy);
        self.corners.insert(at, corner);
        let beaten = |c: &Corner<T>| c.cycles >= cycles;
        let n_beaten = self.corners[at + 1..]
            .iter()
            .take_while(|c| beaten(c))
            .count();
        self.corners.drain(at + 1..at + 1 + n_beaten);
        while self.is_between(at + 1) {
            self.corners.remove(at + 1);
        }
        while at > 0 && self.is_between(at - 1) {
            at -= 1;
            self.corners.remove(at);
        }
    }

    /// Whether a corner lies on or above the line between its neighbours.
    fn is_between(&self, at: usize) -> bool {
        at > 0
            && at + 1 < self.corners.len()
            && between(
                &self.corners[at - 1],
                &self.corners[at + 1],
                self.corners[at].energy,
            ) <= self.corners[at].cycles
    }
}

/// The cycles at `energy` on the line through two corners.
fn between<T>(a: &Corner<T>, b: &Corner<T>, energy: f64) -> f64 {
    a.cycles + (b.cycles - a.cycles) * ((energy - a.energy) / (b.energy - a.energy)).max(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The best sum of any points is one of corners.
        #[test]
        fn corners_are_enough(
            parts in prop::collection::vec(prop::collection::vec((1u32..30, 1u32..30), 1..8), 1..4),
            objective in prop::sample::select(vec![Objective::Energy, Objective::Latency, Objective::EnergyDelay]),
        ) {
            let mut all = vec![(0.0, 0.0)];
            let mut of_corners = vec![(0.0, 0.0)];
            for part in &parts {
                let mut hull = Hull::new(objective);
                for &(energy, cycles) in part {
                    hull.add(energy.into(), cycles.into(), ());
                }
                let corners: Vec<(f64, f64)> = hull.corners().iter().map(|c| (c.energy, c.cycles)).collect();
                let points: Vec<(f64, f64)> = part.iter().map(|p| (p.0.into(), p.1.into())).collect();
                let sums = |to: &[(f64, f64)], with: &[(f64, f64)]| -> Vec<(f64, f64)> {
                    to.iter().flat_map(|a| with.iter().map(move |b| (a.0 + b.0, a.1 + b.1))).collect()
                };
                all = sums(&all, &points);
                of_corners = sums(&of_corners, &corners);
                for p in &points {
                    prop_assert!(hull.is_needless(p.0, p.1));
                }
            }
            let least = |of: &[(f64, f64)]| {
                let ranks = of.iter().map(|c| objective.rank(c.0, c.1));
                ranks.min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap()
            };
            prop_assert_eq!(least(&all), least(&of_corners));
        }
    }
}
