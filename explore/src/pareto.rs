//! The points that no other point makes pointless.

use crate::evaluate::{Metrics, Point};

/// What is made small: cycles, multipliers, memory bits.
pub fn objectives(metrics: &Metrics) -> [u64; 3] {
    [metrics.cycles, metrics.multipliers, metrics.memory_bits]
}

/// The positions in `points` of those that no other point dominates, in their order.
///
/// Points without metrics are never among them. Of points that are equal in all objectives the first is taken.
pub fn front(points: &[Point]) -> Vec<usize> {
    let with_metrics = points
        .iter()
        .enumerate()
        .filter_map(|(i, point)| Some((i, objectives(point.metrics()?))));
    let (positions, values): (Vec<usize>, Vec<[u64; 3]>) = with_metrics.unzip();
    non_dominated(&values)
        .into_iter()
        .map(|i| positions[i])
        .collect()
}

/// The positions of the values that no other value dominates; of equal ones the first.
///
/// A value dominates another if it is at most as large in all objectives and smaller in one. Sorted by all objectives,
/// a value can only be dominated by one before it, so only the front so far has to be looked at.
pub fn non_dominated(values: &[[u64; 3]]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| (values[i], i));
    let mut front: Vec<usize> = Vec::new();
    for i in order {
        let covered = |&other: &usize| values[other].iter().zip(values[i]).all(|(&a, b)| a <= b);
        if !front.iter().any(covered) {
            front.push(i);
        }
    }
    front.sort_unstable();
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the definition says: each value against each other one.
    fn brute_force(values: &[[u64; 3]]) -> Vec<usize> {
        let at_most = |a: &[u64; 3], b: &[u64; 3]| a.iter().zip(b).all(|(a, b)| a <= b);
        let dominates = |a: &[u64; 3], b: &[u64; 3]| at_most(a, b) && a != b;
        let stays = |&i: &usize| {
            let dominated = values.iter().any(|other| dominates(other, &values[i]));
            !dominated && !values[..i].contains(&values[i])
        };
        (0..values.len()).filter(stays).collect()
    }

    proptest! {
        #[test]
        fn equals_the_definition(values in prop::collection::vec(prop::array::uniform3(0..8u64), 0..60)) {
            prop_assert_eq!(non_dominated(&values), brute_force(&values));
        }

        #[test]
        fn every_value_is_covered_by_the_front(values in prop::collection::vec(prop::array::uniform3(0..1000u64), 1..60)) {
            let front = non_dominated(&values);
            for value in &values {
                prop_assert!(front.iter().any(|&i| values[i].iter().zip(value).all(|(a, b)| a <= b)));
            }
        }
    }
}
