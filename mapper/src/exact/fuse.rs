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
//! - `target`: what a group has to beat.
//!
//! Deliberately not here: recomputation, several einsums at once, sibling loops inside a shared one.

mod flow;
mod group;
mod hull;
mod part;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ir::mapping::Mapping;
use ir::tree::Tree;
use ir::workload::{Einsum, Workload};
use serde::{Deserialize, Serialize};

use super::certificate::{StopReason, gap};
use super::cost::Cost;
use super::search::Point;
use super::{Hooks, Infeasible, Model, Objective, Sought, Steps, Stop, recall, search_each, text};
use flow::{Flow, flows};
use group::{Group, Known, Need};
use hull::{Aim, Corner, Hull};
use part::{Parts, Sum};
use target::Target;

/// An einsum of a fused schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The loop nest; its first loops are shared.
    pub mapping: Mapping,
    /// How many loops, from the outermost, are shared with other einsums.
    pub shared_loops: usize,
    /// What one occurrence costs.
    pub cost: Cost,
}

/// What is proven about a fused schedule, in this model and space.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Why the search ended.
    pub stop: StopReason,
    /// The least that any schedule could have of the objective, if the search did not come to its end.
    pub open_bound: Option<f64>,
}

impl FusionCertificate {
    /// How far another schedule could be better than the best, as a part of it; 0 when exhausted.
    pub fn gap(&self, best: f64) -> f64 {
        gap(self.open_bound, best)
    }
}

/// A fused schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Picojoules and cycles of the best nest of each einsum alone.
    pub unfused: (f64, f64),
    /// What is proven.
    pub certificate: FusionCertificate,
}

impl Fused {
    /// Whether it has the einsums of `workload`, each in one group.
    pub(super) fn is_of(&self, workload: &Workload) -> bool {
        let names = self.steps.iter().map(|s| &s.mapping.einsum);
        names.eq(workload.einsums.iter().map(|e| &e.name))
            && self.group_ends.is_sorted()
            && self.group_ends.last().copied().unwrap_or(0) == self.steps.len()
    }

    /// Adds the next einsum.
    fn add(&mut self, einsum: &Einsum, mapping: Mapping, shared_loops: usize, cost: Cost) {
        self.energy_pj += cost.energy_pj * einsum.repeat as f64;
        self.cycles += cost.cycles * einsum.repeat as f64;
        self.outermost_bits += cost.outermost_bits * einsum.repeat;
        self.steps.push(Step {
            mapping,
            shared_loops,
            cost,
        });
    }

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
/// The same arguments give the same result, if `stop` of the hooks depends on nothing but the number of nodes.
/// A stopped search returns the best schedule so far, at worst one without fusion, or none if not even that is known.
///
/// # Errors
/// If tiles of one value of some einsum do not fit.
pub fn fuse(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    objective: Objective,
    hooks: &Hooks,
) -> Result<Option<Fused>, Infeasible> {
    recall::fused(workload, tree, model, objective, hooks, || {
        search(workload, tree, model, objective, hooks)
    })
}

fn search(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    objective: Objective,
    hooks: &Hooks,
) -> Result<Option<Fused>, Infeasible> {
    let Some((alone, points)) = unfused(workload, tree, model, objective, hooks)? else {
        return Ok(None);
    };
    let mut stop = |nodes| (hooks.stop)(nodes);
    let mut best = alone;
    // Each way is a good start for the next one, and what is left if it is stopped. Energy is what fusion saves most of, so
    // its least bounds the weights of energy times cycles best.
    let objectives = match objective {
        Objective::EnergyDelay => vec![Objective::Energy, objective],
        order => vec![order],
    };
    let both = |way| [(way, Sharing::Residents), (way, Sharing::Loops)];
    let rank = |f: &Fused| objective.rank(f.energy_pj, f.cycles);
    let Some(mut join) = Join::new(workload, tree, model, objectives[0], &mut stop) else {
        best.certificate.stop = StopReason::Stopped;
        best.certificate.open_bound = Some(0.0);
        return Ok(Some(best));
    };
    if objectives[0] == objective && best.certificate.stop == StopReason::Exhausted {
        // What is not learnt before it is stopped is not needed either.
        let _ = join.learn(points, &mut stop);
    }
    for (way, sharing) in objectives.into_iter().flat_map(both) {
        if way == Objective::EnergyDelay {
            let upper = at_most(rank(&best).0);
            join.turn_to(Aim::within(way, join.least.0, join.least.1, upper));
        }
        let mut certificate = std::mem::take(&mut best.certificate);
        let found = join.best(sharing, &best, &mut certificate, &mut stop);
        if let Some(found) = &found
            && (way, sharing) == (Objective::Energy, Sharing::Loops)
            && certificate.stop == StopReason::Exhausted
        {
            join.least.0 = at_least(found.energy_pj);
        }
        if let Some(found) = found
            && rank(&found) < rank(&best)
        {
            let unfused = best.unfused;
            best = Fused { unfused, ..found };
        }
        best.certificate = certificate;
        if best.certificate.stop == StopReason::Stopped {
            let least = objective.rank(join.least.0, join.least.1);
            best.certificate.open_bound = Some(least.0);
            break;
        }
    }
    Ok(Some(best))
}

/// What einsums may share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// Whole tensors on chip.
    Residents,
    /// Loops too.
    Loops,
}

/// The schedule without fusion, and its nests; none if a search was stopped before it found a nest.
fn unfused(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    objective: Objective,
    hooks: &Hooks,
) -> Result<Option<(Fused, Vec<Point>)>, Infeasible> {
    let mut alone = Fused::default();
    let mut points = Vec::new();
    let found = search_each(workload, tree, model, Sought::Best(objective), hooks);
    for (einsum, found) in workload.einsums.iter().zip(found) {
        let (mut best, certificate) = found?;
        alone.certificate.stop = alone.certificate.stop.max(certificate.stop);
        let Some(best) = best.pop() else {
            return Ok(None);
        };
        let mapping = text::mapping(einsum, tree, &best.nest);
        alone.add(einsum, mapping, 0, best.cost.clone());
        alone.group_ends.push(alone.steps.len());
        points.push(best);
    }
    alone.unfused = (alone.energy_pj, alone.cycles);
    Ok(Some((alone, points)))
}

/// What all einsums but `first..=last` cost at least, from what those before each position do.
fn others(before: &[Sum], first: usize, last: usize) -> Sum {
    let after = rest(before, last + 1);
    (before[first].0 + after.0, before[first].1 + after.1)
}

/// What the einsums from `first` on cost at least.
fn rest(before: &[Sum], first: usize) -> Sum {
    let all = before[before.len() - 1];
    (all.0 - before[first].0, all.1 - before[first].1)
}

/// What a group has to beat between `front` and `to`: what is there, and what einsums `alone` will make of it.
fn target(front: &Hull<usize>, to: &Hull<usize>, alone: Option<&Hull<()>>) -> Option<Target> {
    let mut there = to.without_items();
    for corner in alone.into_iter().flat_map(Hull::corners) {
        there.add(corner.energy, corner.cycles, ());
    }
    Target::new(front, &there)
}

fn pairs<'a, T, U>(
    from: &'a Hull<T>,
    to: &'a Hull<U>,
) -> impl Iterator<Item = (&'a Corner<T>, &'a Corner<U>)> {
    let from = from.corners().iter();
    from.flat_map(|from| to.corners().iter().map(move |to| (from, to)))
}

/// What is closer than this is kept beside what is known; sums of floats in another order are much closer.
const CLOSE: f64 = 1e-9;

fn at_most(cost: f64) -> f64 {
    cost * (1.0 + CLOSE)
}

fn at_least(cost: f64) -> f64 {
    cost * (1.0 - CLOSE)
}

/// The choices of `group`, from what is known if that answers; none if nothing is needed of it.
fn group_choices<'k>(
    group: &Group,
    parts: &mut Parts,
    known: &'k mut BTreeMap<group::Key, Vec<Known>>,
    mut need: Need,
    certificate: &mut FusionCertificate,
    stop: &mut Stop,
) -> Option<&'k Hull<group::Choice>> {
    let Some(part) = group.parts(parts, stop) else {
        certificate.stop = StopReason::Stopped;
        return None;
    };
    let floors = (group.first..)
        .zip(&part)
        .map(|(einsum, part)| parts.floor(einsum, *part));
    let floor = floors.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if need.is_hopeless(parts.aim, floor.0, floor.1) {
        return None;
    }
    if group.first == group.last {
        // Other ways to it will ask for it with more to beat.
        need.target = None;
    }
    let (key, reserved) = group.key(parts);
    let known = known.entry(key).or_default();
    let at = known
        .iter()
        .position(|known| known.answers(&reserved, &need));
    let at = at.unwrap_or_else(|| {
        let choices = group::best(group, part, parts, &need, certificate, stop);
        known.push(Known::new(reserved, need, choices));
        known.len() - 1
    });
    Some(&known[at].choices)
}

/// The join of partial schedules over a workload.
struct Join<'a> {
    workload: &'a Workload,
    tree: &'a Tree,
    flows: Vec<Flow>,
    parts: Parts<'a>,
    /// What the einsums before each position cost at least.
    before: Vec<Sum>,
    /// What all einsums cost at least.
    least: Sum,
    /// What was found for groups.
    known: BTreeMap<group::Key, Vec<Known>>,
}

/// Partial schedules before one position, by what is resident there.
type States = BTreeMap<BTreeSet<usize>, Hull<usize>>;

impl<'a> Join<'a> {
    /// The join before its first position; none if it was stopped.
    fn new(
        workload: &'a Workload,
        tree: &'a Tree,
        model: Model,
        objective: Objective,
        stop: &mut Stop,
    ) -> Option<Join<'a>> {
        let flows = flows(workload, tree);
        let mut parts = Parts::new(workload, tree, model, Aim::new(objective));
        let mut before = vec![(0.0, 0.0)];
        for index in 0..workload.einsums.len() {
            let (energy, cycles) = before[index];
            let least = parts.least(index, &flows, stop)?;
            before.push((energy + least.0, cycles + least.1));
        }
        Some(Join {
            workload,
            tree,
            flows,
            parts,
            least: before[before.len() - 1],
            before,
            known: BTreeMap::new(),
        })
    }

    /// Goes on for another aim. What is known for a wider one of the same objective still holds.
    fn turn_to(&mut self, aim: Aim) {
        if aim.objective != self.parts.aim.objective {
            self.known.clear();
        }
        self.parts.turn_to(aim);
    }

    /// Takes the best nest of each einsum alone; none if it was stopped.
    fn learn(&mut self, points: Vec<Point>, stop: &mut Stop) -> Option<()> {
        for (index, point) in points.into_iter().enumerate() {
            let group = Group::new(index, index, &BTreeSet::new(), &self.flows);
            let (key, reserved) = group.key(&self.parts);
            let part = group.parts(&mut self.parts, stop)?;
            let choice = group::Choice::alone(&self.parts, part[0], point);
            let repeat = self.workload.einsums[index].repeat as f64;
            let cost = &choice.steps[0].point.cost;
            let (energy, cycles) = (cost.energy_pj * repeat, cost.cycles * repeat);
            let mut choices = Hull::new(self.parts.aim);
            choices.add(energy, cycles, choice);
            let anything = Need {
                rest: (0.0, 0.0),
                upper: f64::INFINITY,
                target: None,
            };
            self.known
                .insert(key, vec![Known::new(reserved, anything, choices)]);
        }
        Some(())
    }

    /// The best schedule, if it is at least as good as `known`.
    fn best(
        &mut self,
        sharing: Sharing,
        known: &Fused,
        certificate: &mut FusionCertificate,
        stop: &mut Stop,
    ) -> Option<Fused> {
        let aim = self.parts.aim;
        let mut upper = at_most(aim.rank(known.energy_pj, known.cycles).0);
        let n = self.workload.einsums.len();
        let mut arena: Vec<Partial> = vec![None];
        let mut states: Vec<States> = vec![States::new(); n + 1];
        let mut start = Hull::new(aim);
        start.add(0.0, 0.0, 0);
        states[0].insert(BTreeSet::new(), start);
        for first in 0..n {
            let here = std::mem::take(&mut states[first]);
            let ahead = match sharing {
                Sharing::Loops => self.ahead(first, &here, Steps::new(certificate.nodes, stop)),
                Sharing::Residents => Vec::new(),
            };
            for (residents, front) in here.into_iter().filter(|h| !h.1.corners().is_empty()) {
                // The longest group first: what it reaches is a bound for ways of several.
                for last in (first..n).rev() {
                    if last > first
                        && (sharing == Sharing::Residents
                            || !flow::may_group(&self.flows, self.workload, first, last))
                    {
                        continue;
                    }
                    for after in flow::after(&self.flows, &residents, first, last) {
                        if stop(certificate.nodes) {
                            certificate.stop = StopReason::Stopped;
                            return None;
                        }
                        let to = states[last + 1]
                            .entry(after.clone())
                            .or_insert_with(|| Hull::new(aim));
                        let residents = residents.union(&after).copied().collect();
                        let group = Group::new(first, last, &residents, &self.flows);
                        // One alone need not beat itself.
                        let alone = ahead.get(last + 1 - first).filter(|_| last > first);
                        let alone = alone.and_then(|to| to.get(&after));
                        let need = Need {
                            rest: others(&self.before, first, last),
                            upper,
                            target: target(&front, to, alone),
                        };
                        let Some(choices) = group_choices(
                            &group,
                            &mut self.parts,
                            &mut self.known,
                            need,
                            certificate,
                            stop,
                        ) else {
                            continue;
                        };
                        let rest = rest(&self.before, last + 1);
                        for (from, choice) in pairs(&front, choices) {
                            let energy = from.energy + choice.energy;
                            let cycles = from.cycles + choice.cycles;
                            if aim.is_beyond(upper, energy + rest.0, cycles + rest.1)
                                || to.is_needless(energy, cycles)
                            {
                                continue;
                            }
                            if last + 1 == n {
                                upper = upper.min(at_most(aim.rank(energy, cycles).0));
                            }
                            to.add(energy, cycles, arena.len());
                            arena.push(Some((from.item, choice.item.clone())));
                        }
                    }
                }
            }
        }
        certificate.kept += arena.len() as u64 - 1;
        let mut ends = Hull::new(aim);
        for end in states[n].values().flat_map(Hull::corners) {
            ends.add(end.energy, end.cycles, end.item);
        }
        let best = ends.corners().iter().min_by(|a, b| {
            let rank = |c: &Corner<usize>| aim.rank(c.energy, c.cycles).0;
            rank(a).total_cmp(&rank(b))
        });
        assert!(
            best.is_some()
                || certificate.stop == StopReason::Stopped
                || sharing == Sharing::Residents,
            "what is known is in the space"
        );
        best.map(|best| self.schedule(&arena, best.item))
    }

    /// What einsums alone make of `here`, for as many of them as groups at `first` can hold, as far as they are known and
    /// until it is stopped.
    fn ahead(
        &self,
        first: usize,
        here: &States,
        mut steps: Steps,
    ) -> Vec<BTreeMap<BTreeSet<usize>, Hull<()>>> {
        let aim = self.parts.aim;
        let n = self.workload.einsums.len();
        let may = |last: &usize| flow::may_group(&self.flows, self.workload, first, *last);
        let Some(longest) = (first + 1..n).rfind(may) else {
            return Vec::new();
        };
        let here = here
            .iter()
            .map(|(set, front)| (set.clone(), front.without_items()));
        let mut ahead: Vec<BTreeMap<BTreeSet<usize>, Hull<()>>> = vec![here.collect()];
        for at in first..=longest {
            let need = Need {
                rest: others(&self.before, at, at),
                upper: f64::INFINITY,
                target: None,
            };
            let mut next: BTreeMap<BTreeSet<usize>, Hull<()>> = BTreeMap::new();
            for (residents, from) in &ahead[at - first] {
                for after in flow::after(&self.flows, residents, at, at) {
                    if steps.take().is_none() {
                        return ahead;
                    }
                    let residents = residents.union(&after).copied().collect();
                    let group = Group::new(at, at, &residents, &self.flows);
                    let (key, reserved) = group.key(&self.parts);
                    let mut known = self.known.get(&key).into_iter().flatten();
                    let Some(known) = known.find(|known| known.answers(&reserved, &need)) else {
                        continue;
                    };
                    let to = next.entry(after).or_insert_with(|| Hull::new(aim));
                    for (from, choice) in pairs(from, &known.choices) {
                        to.add(from.energy + choice.energy, from.cycles + choice.cycles, ());
                    }
                }
            }
            ahead.push(next);
        }
        ahead
    }

    /// The schedule that ends with partial schedule `at`.
    fn schedule(&self, arena: &[Partial], mut at: usize) -> Fused {
        let mut groups = Vec::new();
        while let Some((from, choice)) = &arena[at] {
            groups.push(choice);
            at = *from;
        }
        let mut fused = Fused::default();
        for group in groups.iter().rev() {
            for found in &group.steps {
                let einsum = &self.workload.einsums[fused.steps.len()];
                let mapping = text::mapping(einsum, self.tree, &found.point.nest);
                fused.add(einsum, mapping, found.n_shared, found.point.cost.clone());
            }
            fused.group_ends.push(fused.steps.len());
        }
        fused
    }
}
