//! Partial costs that a best whole can be made of.
//!
//! Costs of a whole are sums of costs of its parts. Where the objective is an order of energy and cycles, one after the
//! other, the best sum is the sum of the best.
//!
//! For energy times cycles, let `E` and `C` be those of the best whole. Any other whole `e`, `c` has `C e + E c >= 2 E C`:
//! a product is at most the square of half the sum, so with less than that `C e` times `E c` would be less than `E C`
//! squared, and `e c` less than `E C`. So the best whole is the least of a weighted sum, where energy weighs `C / E`, and
//! each of its parts is the least of the same weighted sum: a corner of the convex hull of what that part could be. What
//! lies between two corners is needless, though no one beats it, and so are the corners for weights that the best whole
//! cannot have.

use super::super::Objective;
use super::super::goal::{SAME, is_no_better};

/// What a best whole is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) objective: Objective,
    /// The least and the most cycles that a picojoule weighs as much as, for energy times cycles.
    pub(crate) weights: (f64, f64),
}

impl Aim {
    /// Nothing is known of the best whole.
    pub(crate) fn new(objective: Objective) -> Aim {
        Aim {
            objective,
            weights: (0.0, MOST),
        }
    }

    /// Every whole has at least `energy` and `cycles`, and the best has at most `upper` of the objective.
    pub(crate) fn within(objective: Objective, energy: f64, cycles: f64, upper: f64) -> Aim {
        if energy <= 0.0 || cycles <= 0.0 {
            return Aim::new(objective);
        }
        let least = cycles / (upper / cycles) * (1.0 - WIDER);
        let most = (upper / energy) / energy * (1.0 + WIDER);
        Aim {
            objective,
            weights: (least, most.min(MOST)),
        }
    }

    /// Whether energy and cycles are compared one after the other.
    pub(crate) fn is_order(&self) -> bool {
        self.objective != Objective::EnergyDelay
    }

    pub(crate) fn rank(&self, energy: f64, cycles: f64) -> (f64, f64) {
        self.objective.rank(energy, cycles)
    }

    /// Whether no best whole has at least this energy and these cycles and at most `upper` of the objective.
    ///
    /// For energy times cycles, the weighted sum of the best whole is `2 sqrt(w E C)` at its weight `w`.
    pub(crate) fn is_beyond(&self, upper: f64, energy: f64, cycles: f64) -> bool {
        if self.is_order() {
            return self.rank(energy, cycles).0 > upper;
        }
        let weight = self.clamp(upper / energy / energy);
        energy > 0.0 && weight * energy + cycles > 2.0 * (weight * upper).sqrt()
    }

    /// The most of what parts are ranked by that a best whole has beside `energy` and `cycles` of others, for energy times
    /// cycles.
    pub(crate) fn most_beside(&self, upper: f64, energy: f64, cycles: f64) -> f64 {
        let weight = self.clamp(upper / energy / energy);
        2.0 * (weight * upper).sqrt() - weight * energy - cycles
    }

    fn clamp(&self, weight: f64) -> f64 {
        weight.max(self.weights.0).min(self.weights.1)
    }
}

/// More than any weight that matters: it makes sums of energies, whatever the cycles.
const MOST: f64 = 1e30;
/// How much wider weights are than they must be, against sums of floats in another order.
const WIDER: f64 = 1e-6;

/// The corners found so far, least energy first, and what has each.
#[derive(Clone)]
pub(crate) struct Hull<T> {
    pub(crate) aim: Aim,
    corners: Vec<Corner<T>>,
}

#[derive(Clone)]
pub(crate) struct Corner<T> {
    pub(crate) energy: f64,
    pub(crate) cycles: f64,
    pub(crate) item: T,
}

impl<T> Hull<T> {
    pub(crate) fn new(aim: Aim) -> Hull<T> {
        Hull {
            aim,
            corners: Vec::new(),
        }
    }

    pub(crate) fn corners(&self) -> &[Corner<T>] {
        &self.corners
    }

    /// The corners alone.
    pub(crate) fn without_items(&self) -> Hull<()> {
        let corner = |c: &Corner<T>| Corner {
            energy: c.energy,
            cycles: c.cycles,
            item: (),
        };
        Hull {
            aim: self.aim,
            corners: self.corners.iter().map(corner).collect(),
        }
    }

    /// Whether nothing with at least this energy and these cycles is needed.
    pub(crate) fn is_needless(&self, energy: f64, cycles: f64) -> bool {
        if self.aim.is_order() {
            return self.is_needless_rank(self.aim.rank(energy, cycles));
        }
        // It is needed if it lies below the line of some weight through the corner that is the least for that weight. Of
        // all weights, the one of the line between its neighbours tells best, or the nearest that there is.
        let after = self
            .corners
            .partition_point(|c| c.energy * (1.0 - SAME) <= energy);
        let (least, most) = self.aim.weights;
        let (weight, corner) = match (after.checked_sub(1), self.corners.get(after)) {
            (None, None) => return false,
            (None, Some(first)) => (most, first),
            (Some(before), None) => (least, &self.corners[before]),
            (Some(before), Some(after)) => {
                (weight(&self.corners[before], after), &self.corners[before])
            }
        };
        let sum = |energy: f64, cycles: f64| weight * energy + cycles;
        sum(corner.energy, corner.cycles) * (1.0 - SAME) <= sum(energy, cycles)
    }

    /// The order in which to look for what is needed.
    pub(crate) fn rank(&self, energy: f64, cycles: f64) -> (f64, f64) {
        if self.aim.is_order() {
            return self.aim.rank(energy, cycles);
        }
        (self.aim.weights.0 * energy + cycles, 0.0)
    }

    /// Whether nothing that ranks at least so is needed: it lies above the best corner for every weight.
    pub(crate) fn is_needless_rank(&self, rank: (f64, f64)) -> bool {
        if self.aim.is_order() {
            let beats = |c: &Corner<T>| is_no_better(rank, self.aim.rank(c.energy, c.cycles));
            return self.corners.iter().any(beats);
        }
        self.least(self.aim.weights.1) * (1.0 - SAME) <= rank.0
    }

    /// The least sum of all corners at `weight`.
    pub(crate) fn least(&self, weight: f64) -> f64 {
        let sums = self.corners.iter().map(|c| weight * c.energy + c.cycles);
        sums.fold(f64::INFINITY, f64::min)
    }

    /// The most of what parts are ranked by that is needed beside `energy` and `cycles` of others, for energy times cycles.
    pub(crate) fn most_beside(&self, energy: f64, cycles: f64) -> f64 {
        let (least, most) = self.aim.weights;
        self.least(most) - least * energy - cycles
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
        if self.aim.is_order() {
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
        let (least, most) = self.aim.weights;
        while let [.., before, last] = &self.corners[..]
            && weight(before, last) <= least
        {
            self.corners.pop();
        }
        while let [first, after, ..] = &self.corners[..]
            && weight(first, after) >= most
        {
            self.corners.remove(0);
        }
    }

    /// The weights at which two neighbours are as good.
    pub(crate) fn edges(&self) -> impl Iterator<Item = f64> {
        self.corners
            .windows(2)
            .map(|pair| weight(&pair[0], &pair[1]))
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

/// The cycles that a picojoule weighs as much as where two corners are as good, the first of less energy.
fn weight<T>(a: &Corner<T>, b: &Corner<T>) -> f64 {
    (a.cycles - b.cycles) / (b.energy - a.energy)
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
        /// The best sum of any points is one of corners, also if all that is known of it is used.
        #[test]
        fn corners_are_enough(
            parts in prop::collection::vec(prop::collection::vec((1u32..30, 1u32..30), 1..8), 1..4),
            objective in prop::sample::select(vec![Objective::Energy, Objective::Latency, Objective::EnergyDelay]),
            slack in 0u32..4,
        ) {
            let sums = |to: &[(f64, f64)], with: &[(f64, f64)]| -> Vec<(f64, f64)> {
                to.iter().flat_map(|a| with.iter().map(move |b| (a.0 + b.0, a.1 + b.1))).collect()
            };
            let parts: Vec<Vec<(f64, f64)>> =
                parts.iter().map(|of| of.iter().map(|p| (p.0.into(), p.1.into())).collect()).collect();
            let all = parts.iter().fold(vec![(0.0, 0.0)], |all, part| sums(&all, part));
            let least = |of: &[(f64, f64)]| {
                let ranks = of.iter().map(|c| objective.rank(c.0, c.1));
                ranks.min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap()
            };
            let floor = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).fold(f64::INFINITY, f64::min);
            let upper = least(&all).0 * (1.0 + f64::from(slack));
            let known = Aim::within(objective, floor(|c| c.0), floor(|c| c.1), upper);
            for aim in [Aim::new(objective), known] {
                let mut of_corners = vec![(0.0, 0.0)];
                for part in &parts {
                    let mut hull = Hull::new(aim);
                    for &(energy, cycles) in part {
                        hull.add(energy, cycles, ());
                    }
                    let corners: Vec<(f64, f64)> = hull.corners().iter().map(|c| (c.energy, c.cycles)).collect();
                    of_corners = sums(&of_corners, &corners);
                    for p in part {
                        prop_assert!(hull.is_needless(p.0, p.1));
                    }
                }
                prop_assert_eq!(least(&all), least(&of_corners));
            }
        }
    }
}
