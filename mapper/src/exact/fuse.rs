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
//!
//! Deliberately not here: recomputation, several einsums at once, sibling loops inside a shared one.

mod flow;
mod group;
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

/// A partial schedule: all einsums so far.
#[derive(Clone)]
struct Partial {
    energy: f64,
    cycles: f64,
    /// Position of what it extends, and the group that it adds.
    chain: Option<(usize, group::Choice)>,
}

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
    let mut arena: Vec<Partial> = vec![Partial {
        energy: 0.0,
        cycles: 0.0,
        chain: None,
    }];
    let mut states: Vec<BTreeMap<BTreeSet<usize>, Vec<usize>>> = vec![BTreeMap::new(); n + 1];
    states[0].insert(BTreeSet::new(), vec![0]);
    let mut memo = BTreeMap::new();
    for first in 0..n {
        let here = std::mem::take(&mut states[first]);
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
                    for choice in &memo[&key] {
                        for &from in &front {
                            let energy = arena[from].energy + choice.energy;
                            let cycles = arena[from].cycles + choice.cycles;
                            let rest = (
                                before[n].0 - before[last + 1].0,
                                before[n].1 - before[last + 1].1,
                            );
                            let to = states[last + 1].entry(after.clone()).or_default();
                            let beaten = |i: &usize| {
                                objective_beats(
                                    objective,
                                    (arena[*i].energy, arena[*i].cycles),
                                    (energy, cycles),
                                )
                            };
                            if objective.rank(energy + rest.0, cycles + rest.1).0 > upper
                                || to.iter().any(beaten)
                            {
                                continue;
                            }
                            to.retain(|i| {
                                !objective_beats(
                                    objective,
                                    (energy, cycles),
                                    (arena[*i].energy, arena[*i].cycles),
                                )
                            });
                            to.push(arena.len());
                            arena.push(Partial {
                                energy,
                                cycles,
                                chain: Some((from, choice.clone())),
                            });
                        }
                    }
                }
            }
        }
    }
    certificate.kept = arena.len() as u64 - 1;
    let ends = states[n].values().flatten();
    let best = ends.min_by(|a, b| {
        let rank = |i: usize| objective.rank(arena[i].energy, arena[i].cycles);
        rank(**a)
            .partial_cmp(&rank(**b))
            .expect("costs are numbers")
    });
    let Some(&best) = best else {
        assert!(
            certificate.stop == StopReason::Stopped,
            "the schedule without fusion is in the space"
        );
        alone.certificate = certificate;
        return Ok(Some(alone));
    };
    let mut groups = Vec::new();
    let mut at = best;
    while let Some((from, choice)) = &arena[at].chain {
        groups.push(choice.clone());
        at = *from;
    }
    let mut fused = Fused {
        steps: Vec::new(),
        group_ends: Vec::new(),
        energy_pj: arena[best].energy,
        cycles: arena[best].cycles,
        outermost_bits: 0,
        certificate,
    };
    for group in groups.iter().rev() {
        for found in &group.steps {
            let einsum = &workload.einsums[fused.steps.len()];
            fused.outermost_bits += found.outermost_bits * einsum.repeat;
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

/// What is closer than this is the same: sums of floats in another order.
const SAME: f64 = 1e-12;

/// Whether a partial schedule with cost `a` makes one with cost `b` needless.
fn objective_beats(objective: Objective, a: (f64, f64), b: (f64, f64)) -> bool {
    let most = 1.0 + SAME;
    match objective {
        Objective::EnergyDelay => a.0 <= b.0 * most && a.1 <= b.1 * most,
        _ => objective.rank(a.0, a.1).0 <= objective.rank(b.0, b.1).0 * most,
    }
}
