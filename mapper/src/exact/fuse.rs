//! The best fused schedule of a workload, with proof: which tensors stay on chip, below which loops.
//!
//! Partial mappings of the einsums are joined in the order of the workload, as in LoopTree and Fast & Fusiest
//! (arXiv 2602.15166). The space is:
//!
//! - A tensor between einsums is *exchanged* in the outermost memory, or in the outermost on-chip memory above all fan-outs
//!   that keeps it for its producer and all its consumers, and then moves nothing further out.
//! - A *group* is a run of einsums inside a list of *shared loops*. Each loop is over one rank of each of its einsums, joined
//!   by position in the tensors that the group exchanges; indices that are sums of ranks, such as convolution halos, join
//!   nothing. There is at most one loop for each such class of ranks, and its tile divides the bound.
//!   The first loop holds the whole group, each other one a longest run of einsums in the loop above. A tensor that is
//!   produced and consumed in a loop is indexed by it, so that nothing is computed twice.
//! - All tensors that are produced in a group and consumed only there are exchanged on chip, below all loops that hold the
//!   producer and the consumers. Other tensors cross the group whole: on chip (*resident*), or in the outermost memory.
//! - The outermost on-chip tile of any other operand may be *held* above shared loops; the rest of each nest, below the
//!   shared loops, is any nest of [`super::search`], and finds the memories empty in each iteration.
//! - Room is charged by lifetime. In its own step an einsum has what it keeps; beside that are what others hold above loops
//!   that contain the step, what is exchanged across the step, and residents.
//! - Einsums run one after the other inside the shared loops, so energies and cycles add.
//! - An einsum that occurs several times occurs so one after the other, and exchanges nothing on chip.
//!
//! - `flow`: which einsum produces and consumes which tensor.
//! - `part`: one einsum, given where its operands are exchanged.
//! - `group`: the best structures of a group.
//! - `hull`: partial costs that a best whole can be made of.
//!
//! Deliberately not here: recomputation, several einsums at once, sibling loops inside a shared one.

mod flow;
mod group;
mod hull;
mod part;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ir::mapping::Mapping;
use ir::tree::Tree;
use ir::workload::Workload;
use serde::{Deserialize, Serialize};

use super::certificate::StopReason;
use super::cost::Cost;
use super::{Infeasible, Model, Objective, Stop, map, text};
use flow::flows;
use group::Group;
use hull::{Corner, Hull};
use part::Parts;

/// An einsum of a fused schedule.
#[derive(Clone, Debug)]
pub struct Step {
    /// The loop nest; its first loops are shared.
    pub mapping: Mapping,
    /// How many loops, from the outermost, are shared with other einsums.
    pub shared_loops: usize,
    /// What one occurrence costs.
    pub cost: Cost,
}

/// What is proven about a fused schedule, in this model and space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FusionCertificate {
    /// Compatibility keys: lists of shared loops with tiles and places of exchange that were looked at.
    pub keys: u64,
    /// Keys that could not be better than the best.
    pub pruned_by_bound: u64,
    /// Choices of held tiles that do not fit.
    pub pruned_by_capacity: u64,
    /// Searches of the rest of an einsum's nest.
    pub searches: u64,
    /// Nodes of these searches.
    pub nodes: u64,
    /// Partial mappings kept.
    pub kept: u64,
    /// Why the search ended; there is no gap when it is exhausted.
    pub stop: StopReason,
}

/// A fused schedule.
#[derive(Clone, Debug)]
pub struct Fused {
    /// The einsums in order.
    pub steps: Vec<Step>,
    /// Where each group of einsums inside shared loops ends.
    group_ends: Vec<usize>,
    /// Picojoules in all.
    pub energy_pj: f64,
    /// Cycles in all.
    pub cycles: f64,
    /// Bits that the outermost memory reads and writes.
    pub outermost_bits: u64,
    /// What is proven.
    pub certificate: FusionCertificate,
}

impl Fused {
    /// The einsums that stand inside the same outermost shared loop, in order; one that shares no loop stands alone.
    pub fn groups(&self) -> impl Iterator<Item = &[Step]> {
        let mut ends = self.group_ends.iter();
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = *ends.next()?;
            let group = &self.steps[start..end];
            start = end;
            Some(group)
        })
    }
}

/// A partial schedule: the last group, and the position of the one that it extends.
type Partial = Option<(usize, group::Choice)>;

/// Finds the best fused schedule of `workload` on `tree`.
///
/// The same arguments give the same result, if `stop` depends on nothing but the number of nodes.
/// A stopped search returns the best schedule so far, at worst one without fusion, or none if not even that is known.
///
/// # Errors
/// If tiles of one value of some einsum do not fit.
pub fn fuse(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    objective: Objective,
    stop: &mut Stop,
) -> Result<Option<Fused>, Infeasible> {
    let flows = flows(workload, tree);
    let mut certificate = FusionCertificate::default();
    let mut unfused = BTreeMap::new();
    let mut alone = Fused {
        steps: Vec::new(),
        group_ends: Vec::new(),
        energy_pj: 0.0,
        cycles: 0.0,
        outermost_bits: 0,
        certificate: FusionCertificate::default(),
    };
    for einsum in &workload.einsums {
        let shape = einsum.shape();
        if !unfused.contains_key(&shape) {
            let found = map(einsum, tree, model, objective, stop)?;
            if found.certificate.stop == StopReason::Stopped {
                certificate.stop = StopReason::Stopped;
            }
            unfused.insert(shape.clone(), found.best);
        }
        let Some(mut best) = unfused[&shape].clone() else {
            return Ok(None);
        };
        best.mapping.einsum = einsum.name.clone();
        alone.energy_pj += best.cost.energy_pj * einsum.repeat as f64;
        alone.cycles += best.cost.cycles * einsum.repeat as f64;
        alone.outermost_bits += best.cost.outermost_bits * einsum.repeat;
        alone.steps.push(Step {
            mapping: best.mapping,
            shared_loops: 0,
            cost: best.cost,
        });
        alone.group_ends.push(alone.steps.len());
    }
    let n = workload.einsums.len();
    let mut parts = Parts::new(workload, tree, model, objective);
    // What the einsums before each position cost at least.
    let mut before = vec![(0.0, 0.0)];
    let mut least: Vec<(f64, f64)> = Vec::new();
    for index in 0..n {
        let (energy, cycles): (f64, f64) = before[index];
        let one = parts.least(index, &flows);
        before.push((energy + one.0, cycles + one.1));
        least.push(one);
    }
    let upper = objective.rank(alone.energy_pj, alone.cycles).0 * (1.0 + 1e-9);
    let mut arena: Vec<Partial> = vec![None];
    let mut states: Vec<BTreeMap<BTreeSet<usize>, Hull<usize>>> = vec![BTreeMap::new(); n + 1];
    let mut start = Hull::new(objective);
    start.add(0.0, 0.0, 0);
    states[0].insert(BTreeSet::new(), start);
    let mut memo = BTreeMap::new();
    for first in 0..n {
        let mut here = std::mem::take(&mut states[first]);
        here.retain(|_, front| !front.corners().is_empty());
        for (residents, front) in here {
            for last in first..n {
                if last > first && !flow::may_group(&flows, workload, first, last) {
                    continue;
                }
                for after in flow::after(&flows, &residents, first, last) {
                    let all: BTreeSet<usize> = residents.union(&after).copied().collect();
                    let group = Group {
                        first,
                        last,
                        residents: all,
                        flows: &flows,
                    };
                    let own = least[first..=last]
                        .iter()
                        .fold((0.0, 0.0), |sum, l| (sum.0 + l.0, sum.1 + l.1));
                    let rest = (before[n].0 - own.0, before[n].1 - own.1);
                    let key = group.key(workload, tree);
                    if !memo.contains_key(&key) {
                        let choices =
                            group::best(&group, &mut parts, rest, upper, &mut certificate, stop);
                        memo.insert(key.clone(), choices);
                    }
                    let rest = (
                        before[n].0 - before[last + 1].0,
                        before[n].1 - before[last + 1].1,
                    );
                    let to = states[last + 1]
                        .entry(after)
                        .or_insert_with(|| Hull::new(objective));
                    for choice in memo[&key].corners() {
                        for from in front.corners() {
                            let energy = from.energy + choice.energy;
                            let cycles = from.cycles + choice.cycles;
                            if objective.rank(energy + rest.0, cycles + rest.1).0 > upper
                                || to.is_needless(energy, cycles)
                            {
                                continue;
                            }
                            to.add(energy, cycles, arena.len());
                            arena.push(Some((from.item, choice.item.clone())));
                        }
                    }
                }
            }
        }
    }
    certificate.kept = arena.len() as u64 - 1;
    let ends = states[n].values().flat_map(Hull::corners);
    let best = ends.min_by(|a, b| {
        let rank = |c: &Corner<usize>| objective.rank(c.energy, c.cycles).0;
        rank(a).total_cmp(&rank(b))
    });
    let Some(best) = best else {
        assert!(
            certificate.stop == StopReason::Stopped,
            "the schedule without fusion is in the space"
        );
        alone.certificate = certificate;
        return Ok(Some(alone));
    };
    let mut groups = Vec::new();
    let mut at = best.item;
    while let Some((from, choice)) = &arena[at] {
        groups.push(choice.clone());
        at = *from;
    }
    let mut fused = Fused {
        steps: Vec::new(),
        group_ends: Vec::new(),
        energy_pj: best.energy,
        cycles: best.cycles,
        outermost_bits: 0,
        certificate,
    };
    for group in groups.iter().rev() {
        for found in &group.steps {
            let einsum = &workload.einsums[fused.steps.len()];
            fused.outermost_bits += found.point.cost.outermost_bits * einsum.repeat;
            fused.steps.push(Step {
                mapping: text::mapping(einsum, tree, &found.point.nest),
                shared_loops: found.n_shared,
                cost: found.point.cost.clone(),
            });
        }
        fused.group_ends.push(fused.steps.len());
    }
    Ok(Some(fused))
}
