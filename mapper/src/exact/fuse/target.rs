//! What a group has to beat: what is known of other ways to the same place.

use super::super::goal::{SAME, is_no_better};
use super::hull::{Aim, Hull};

/// What a part has to beat: another way to what comes after it, from what comes before it.
#[derive(Clone)]
pub(crate) enum Target {
    /// The ranks of both, where energy and cycles are compared one after the other.
    Order { from: (f64, f64), to: (f64, f64) },
    /// The least sums of both at some weights in order, the least and the most among them. Both are linear between.
    Sums(Vec<Sums>),
}

#[derive(Clone, Copy)]
pub(crate) struct Sums {
    weight: f64,
    from: f64,
    to: f64,
}

impl Sums {
    /// What a part must have less of.
    fn room(&self) -> f64 {
        self.to - self.from
    }
}

impl Target {
    /// What has to beat `to`, from `from`; none if nothing is there yet.
    pub(crate) fn new<T, U>(from: &Hull<T>, to: &Hull<U>) -> Option<Target> {
        let (aim, first, last) = (from.aim, from.corners().first()?, to.corners().first()?);
        if aim.is_order() {
            let rank = |energy, cycles| aim.rank(energy, cycles);
            return Some(Target::Order {
                from: rank(first.energy, first.cycles),
                to: rank(last.energy, last.cycles),
            });
        }
        let (least, most) = aim.weights;
        let edges = from.edges().chain(to.edges());
        let inside = edges.filter(|weight| (least..=most).contains(weight));
        let mut weights: Vec<f64> = inside.chain([least, most]).collect();
        weights.sort_by(f64::total_cmp);
        let sums = |weight| Sums {
            weight,
            from: from.least(weight),
            to: to.least(weight),
        };
        Some(Target::Sums(weights.into_iter().map(sums).collect()))
    }

    pub(crate) fn is_missed(&self, aim: Aim, energy: f64, cycles: f64) -> bool {
        match self {
            Target::Order { from, to } => {
                let rank = aim.rank(energy, cycles);
                is_no_better((from.0 + rank.0, from.1 + rank.1), *to)
            }
            Target::Sums(all) => all
                .iter()
                .all(|s| s.from + s.weight * energy + cycles >= s.to * (1.0 - SAME)),
        }
    }

    /// Whether whatever beats `other` beats this too.
    pub(crate) fn is_as_far(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Order { from, to }, Target::Order { from: a, to: b }) => {
                let (mine, theirs) = ((to.0 - from.0, to.1 - from.1), (b.0 - a.0, b.1 - a.1));
                let same = [to.0.max(b.0), to.1.max(b.1)].map(|to| 4.0 * SAME * to);
                mine.0 > theirs.0 + same[0]
                    || (mine.0 >= theirs.0 - same[0] && mine.1 >= theirs.1 - same[1])
            }
            (Target::Sums(mine), Target::Sums(theirs)) => {
                let covers =
                    |s: &Sums| room(mine, s.weight) >= room(theirs, s.weight) - 4.0 * SAME * s.to;
                mine.iter().chain(theirs).all(covers)
            }
            _ => false,
        }
    }

    /// The most of what parts are ranked by that is needed beside `energy` and `cycles` of others, for energy times cycles.
    pub(crate) fn most_beside(&self, energy: f64, cycles: f64) -> f64 {
        match self {
            Target::Order { .. } => f64::INFINITY,
            Target::Sums(all) => {
                let rooms = all.iter().map(|s| s.room() - s.weight * energy - cycles);
                rooms.fold(f64::NEG_INFINITY, f64::max)
            }
        }
    }
}

/// The room at `weight`, which is between the least and the most.
fn room(sums: &[Sums], weight: f64) -> f64 {
    let after = sums.partition_point(|s| s.weight < weight);
    match (after.checked_sub(1), sums.get(after)) {
        (Some(before), Some(after)) => {
            let before = &sums[before];
            let part = (weight - before.weight) / (after.weight - before.weight);
            before.room() + part * (after.room() - before.room())
        }
        (None, Some(at)) => at.room(),
        (_, None) => sums[sums.len() - 1].room(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::Objective;
    use super::*;

    const AIM: fn() -> Aim = || Aim::within(Objective::EnergyDelay, 4.0, 4.0, 100.0);

    fn hull(points: &[(u32, u32)]) -> Hull<()> {
        let mut hull = Hull::new(AIM());
        for &(energy, cycles) in points {
            hull.add(energy.into(), cycles.into(), ());
        }
        hull
    }

    proptest! {
        /// Something is missed if it beats nothing for any weight; and a target that is as far is missed by nothing that
        /// beats the other.
        #[test]
        fn targets_hold_for_all_weights(
            hulls in prop::collection::vec(prop::collection::vec((1u32..30, 1u32..30), 1..6), 4),
            energy in 1u32..20,
            cycles in 1u32..20,
        ) {
            let hulls: Vec<Hull<()>> = hulls.iter().map(|points| hull(points)).collect();
            let (aim, energy, cycles) = (AIM(), f64::from(energy), f64::from(cycles));
            let target = |from: usize, to: usize| Target::new(&hulls[from], &hulls[to]).expect("there are corners");
            let (mine, theirs) = (target(0, 1), target(2, 3));
            let (least, most) = aim.weights;
            for step in 0..=100 {
                let weight = least + (most - least) * f64::from(step) / 100.0;
                let beats = hulls[0].least(weight) + weight * energy + cycles < hulls[1].least(weight) * (1.0 - 1e-9);
                prop_assert!(!beats || !mine.is_missed(aim, energy, cycles));
                let rank = least * energy + cycles;
                prop_assert!(!beats || rank <= mine.most_beside(0.0, 0.0));
            }
            if mine.is_as_far(&theirs) && mine.is_missed(aim, energy, cycles) {
                prop_assert!(theirs.is_missed(aim, energy * (1.0 + 1e-9), cycles * (1.0 + 1e-9)));
            }
        }
    }
}
