//! One einsum of a fused schedule, given where its operands are exchanged.

use ir::fit::Fit;
use std::collections::BTreeMap;
use std::rc::Rc;

use ir::tree::Tree;
use ir::workload::{Einsum, Workload};

use super::super::bound::{Added, Bounds};
use super::super::goal::Goal;
use super::super::nest::{Step, tile};
use super::super::problem::{Problem, members};
use super::super::search::{Choice, Leaf, Plan, Point, least_traffic, search_in};
use super::super::space::{Node, Split, splits as splits_of};
use super::super::{Model, Objective, Stop};
use super::FusionCertificate;
use super::flow::Flow;
use super::hull::{Aim, Hull};

/// Energy in pJ and cycles.
pub(crate) type Sum = (f64, f64);

/// An einsum with the memory in which each operand is exchanged.
pub(crate) struct Part {
    aim: Aim,
    pub(crate) problem: Problem,
    /// Sizes of the memories; the problem has what others leave of them.
    size_bits: Vec<Option<u64>>,
    plan: Plan,
    /// The least energy and the least cycles of all choices.
    floor: Sum,
    /// What is known for bounds below shared loops, from the first of them on.
    below: Option<Below>,
    /// What [`Part::least`] has found.
    least: BTreeMap<(Vec<Step>, bool), Option<Sum>>,
}

/// What bounds below shared loops need of all choices of the plan.
struct Below {
    /// The least energy per value of traffic of each node of each placement, however ranks are unrolled.
    per_value: Vec<Vec<f64>>,
    /// Choices, those of least energy first.
    by_energy: Vec<u32>,
    /// Choices, those of least cycles first.
    by_cycles: Vec<u32>,
    /// What fits tiles of the ranks.
    fitting: BTreeMap<Vec<u64>, Rc<Fitting>>,
}

/// What can be unrolled with tiles of some sizes.
struct Fitting {
    /// For each split, whether all its copies have something to do.
    splits: Vec<bool>,
    /// The first of `by_energy` and of `by_cycles` that can.
    first: (usize, usize),
}

/// All einsums, by shape and places of exchange.
pub(crate) struct Parts<'a> {
    pub(crate) workload: &'a Workload,
    tree: &'a Tree,
    model: Model,
    pub(crate) aim: Aim,
    /// The sizes of the memories of the tree.
    pub(crate) size_bits: Vec<Option<u64>>,
    /// The shape of each einsum, as the position of the first of its kind.
    pub(crate) shapes: Vec<usize>,
    /// How the ranks of each shape can be unrolled.
    splits: BTreeMap<usize, Rc<Vec<Split>>>,
    index: BTreeMap<(usize, Vec<usize>), usize>,
    pub(crate) parts: Vec<Part>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(workload: &'a Workload, tree: &'a Tree, model: Model, aim: Aim) -> Parts<'a> {
        let mut first = BTreeMap::new();
        let shape = |(at, einsum): (usize, &Einsum)| *first.entry(einsum.shape()).or_insert(at);
        Parts {
            workload,
            tree,
            model,
            aim,
            size_bits: tree.memories().map(|(_, m)| m.size_bits).collect(),
            shapes: workload.einsums.iter().enumerate().map(shape).collect(),
            splits: BTreeMap::new(),
            index: BTreeMap::new(),
            parts: Vec::new(),
        }
    }

    /// Goes on for another aim.
    pub(crate) fn turn_to(&mut self, aim: Aim) {
        self.aim = aim;
        for part in &mut self.parts {
            if part.aim.objective != aim.objective {
                part.least.clear();
            }
            part.aim = aim;
        }
    }

    /// The part of an einsum whose operands are exchanged in the memories `roots`; none if it was stopped.
    fn get(&mut self, einsum: usize, roots: Vec<usize>, stop: &mut Stop) -> Option<usize> {
        let form = &self.workload.einsums[einsum];
        let key = (self.shapes[einsum], roots);
        if let Some(at) = self.index.get(&key) {
            return Some(*at);
        }
        let mut problem = Problem::new(form, self.tree, self.model);
        for (operand, root) in key.1.iter().enumerate() {
            if *root > 0 {
                problem.exchange(operand, *root, form.operands[operand].bits.into());
            }
        }
        // Shared loops tell ranks apart that are alike without them, so no unrolling stands for another here.
        let splits = match self.splits.get(&key.0) {
            Some(known) => Rc::clone(known),
            None => {
                let splits = Rc::new(splits_of(&problem, stop)?);
                self.splits.insert(key.0, Rc::clone(&splits));
                splits
            }
        };
        self.parts.push(Part::new(problem, splits, self.aim, stop)?);
        self.index.insert(key, self.parts.len() - 1);
        Some(self.parts.len() - 1)
    }

    /// The part of an einsum that exchanges `flows` on chip; none if it was stopped.
    pub(crate) fn exchanging<'f>(
        &mut self,
        einsum: usize,
        flows: impl Iterator<Item = &'f Flow>,
        stop: &mut Stop,
    ) -> Option<usize> {
        let mut roots = vec![0; self.workload.einsums[einsum].operands.len()];
        for flow in flows {
            let memory = flow.memory.expect("what is exchanged on chip has a memory");
            for (_, operand) in flow.consumers.iter().filter(|c| c.0 == einsum) {
                roots[*operand] = memory;
            }
            if flow.producer == einsum {
                *roots.last_mut().expect("an einsum has an output") = memory;
            }
        }
        self.get(einsum, roots, stop)
    }

    /// At least the energy and the cycles of an einsum, wherever its operands are exchanged; none if it was stopped.
    pub(crate) fn least(&mut self, einsum: usize, flows: &[Flow], stop: &mut Stop) -> Option<Sum> {
        let on_chip = flows.iter().filter(|f| f.memory.is_some());
        let part = self.exchanging(einsum, on_chip, stop)?;
        Some(self.floor(einsum, part))
    }

    /// At least the energy and the cycles of an einsum as `part`, in whatever loops.
    pub(crate) fn floor(&self, einsum: usize, part: usize) -> Sum {
        let repeat = self.workload.einsums[einsum].repeat as f64;
        let floor = self.parts[part].floor;
        (floor.0 * repeat, floor.1 * repeat)
    }

    /// The bits that are left of each memory.
    pub(crate) fn left(&self, taken: impl Iterator<Item = u64>) -> Vec<u64> {
        let left = |(taken, size): (u64, &Option<u64>)| size.map_or(u64::MAX, |size| size - taken);
        taken.zip(&self.size_bits).map(left).collect()
    }
}

impl Below {
    fn new(plan: &Plan) -> Below {
        let per_value = |(nodes, bounds): (&Vec<Node>, &Bounds)| {
            let nodes = 0..nodes.len();
            nodes.map(|index| bounds.least_energy_of(index)).collect()
        };
        let sorted = |of: fn(&Choice) -> f64| {
            let mut order: Vec<u32> = (0..plan.choices.len().fit::<u32>()).collect();
            let of = |at: &u32| of(&plan.choices[*at as usize]);
            order.sort_by(|a, b| of(a).total_cmp(&of(b)));
            order
        };
        Below {
            per_value: plan
                .placements
                .iter()
                .zip(&plan.bounds)
                .map(per_value)
                .collect(),
            by_energy: sorted(|c| c.energy),
            by_cycles: sorted(|c| c.cycles),
            fitting: BTreeMap::new(),
        }
    }
}

impl Part {
    fn new(problem: Problem, splits: Rc<Vec<Split>>, aim: Aim, stop: &mut Stop) -> Option<Part> {
        let plan = Plan::new(&problem, splits, stop)?;
        let least = |of: fn(&Choice) -> f64| {
            let costs = plan.choices.iter().map(of);
            costs.fold(f64::INFINITY, f64::min)
        };
        Some(Part {
            aim,
            size_bits: problem.memories.iter().map(|m| m.size_bits).collect(),
            floor: (least(|c| c.energy), least(|c| c.cycles)),
            plan,
            problem,
            below: None,
            least: BTreeMap::new(),
        })
    }

    fn can_unroll(&self, split: &Split, tile: &[u64]) -> bool {
        let copies = &split.copies;
        let fits = |rank: usize| {
            let mut left = tile[rank];
            copies.iter().map(|copies| copies[rank]).all(|copies| {
                let fits =
                    copies <= left && (!self.problem.model.perfect || left.is_multiple_of(copies));
                left = left.div_ceil(copies);
                fits
            })
        };
        (0..tile.len()).all(fits)
    }

    /// The traffic of `nodes` that no nest below the shared loops of `outer` can avoid.
    ///
    /// With `best`, operands are held where that is best, else where `outer` holds them.
    fn traffic(&self, nodes: &[Node], outer: &[Step], best: bool) -> Vec<f64> {
        let mut traffic = least_traffic(&self.problem, nodes);
        for (index, node) in nodes.iter().enumerate() {
            let operand = &self.problem.operands[node.operand];
            let is_first = node.parent.is_some_and(|p| nodes[p].parent.is_none());
            if best && is_first && operand.root == 0 && self.may_hold(node) {
                // Held above all loops it is fetched once; only room forbids that.
                continue;
            }
            let mut tile = self.problem.sizes.clone();
            for step in outer {
                match *step {
                    Step::Keep { memory, operand }
                        if memory == node.memory && operand == node.operand =>
                    {
                        break;
                    }
                    Step::Time { rank, tile: size } => {
                        if operand.ranks >> rank & 1 == 0 {
                            traffic[index] *= (tile[rank] / size) as f64;
                        }
                        tile[rank] = size;
                    }
                    _ => {}
                }
            }
        }
        traffic
    }

    fn may_hold(&self, node: &Node) -> bool {
        self.problem.memories[node.memory].below_fanouts == 0
    }

    /// At least the energy and the cycles below the shared loops of `outer`, near what counts for the objective; none if
    /// nothing can be unrolled.
    pub(crate) fn least(&mut self, outer: Vec<Step>, best: bool) -> Option<(f64, f64)> {
        let key = (outer, best);
        if let Some(known) = self.least.get(&key) {
            return *known;
        }
        let found = self.find_least(&key.0, best);
        self.least.insert(key, found);
        found
    }

    fn find_least(&mut self, outer: &[Step], best: bool) -> Option<Sum> {
        if !outer.iter().any(|s| matches!(s, Step::Time { .. })) {
            return Some(self.floor);
        }
        let mut below = self.take_below();
        let found = self.least_below(&mut below, outer, best);
        self.below = Some(below);
        found
    }

    /// What bounds below shared loops need, to be put back.
    fn take_below(&mut self) -> Below {
        let known = self.below.take();
        known.unwrap_or_else(|| Below::new(&self.plan))
    }

    /// What fits `tile`, once for all.
    fn fitting(&self, below: &mut Below, tile: &[u64]) -> Rc<Fitting> {
        if let Some(known) = below.fitting.get(tile) {
            return Rc::clone(known);
        }
        let fits = |split: &Split| self.can_unroll(split, tile);
        let splits: Vec<bool> = self.plan.splits.iter().map(fits).collect();
        let first = |order: &[u32]| {
            let fits = |at: &u32| splits[self.plan.choices[*at as usize].split];
            order.iter().position(fits).unwrap_or(order.len())
        };
        let fitting = Rc::new(Fitting {
            first: (first(&below.by_energy), first(&below.by_cycles)),
            splits,
        });
        below.fitting.insert(tile.to_vec(), Rc::clone(&fitting));
        fitting
    }

    fn least_below(&self, below: &mut Below, outer: &[Step], best: bool) -> Option<Sum> {
        let tile = tile(&self.problem, outer);
        let fitting = self.fitting(below, &tile);
        let (fits, first) = (&fitting.splits, fitting.first);
        let below = &*below;
        let placements = &self.plan.placements;
        let traffic: Vec<Vec<f64>> = placements
            .iter()
            .map(|nodes| self.traffic(nodes, outer, best))
            .collect();
        // What traffic beyond the compulsory adds at least.
        let beyond = |(placement, traffic): (usize, &Vec<f64>)| -> f64 {
            let least = least_traffic(&self.problem, &placements[placement]);
            let each = traffic.iter().zip(least).zip(&below.per_value[placement]);
            each.map(|((traffic, least), per_value)| (traffic - least) * per_value)
                .sum()
        };
        let beyond = traffic
            .iter()
            .enumerate()
            .map(beyond)
            .fold(f64::INFINITY, f64::min);
        let choice = |at: &u32| &self.plan.choices[*at as usize];
        let cheapest = below.by_energy.get(first.0).map(choice)?;
        let fastest = below.by_cycles.get(first.1).map(choice)?;
        let bounds = &self.plan.bounds;
        let least = |c: &Choice| bounds[c.placement].least_at(c.split, &traffic[c.placement]);
        let (mut energy, mut cycles) = (cheapest.energy, fastest.cycles);
        if self.aim.objective != Objective::Latency {
            energy = f64::INFINITY;
        }
        for choice in below.by_energy[first.0..].iter().map(choice) {
            if choice.energy + beyond >= energy {
                break;
            }
            if fits[choice.split] {
                energy = energy.min(least(choice).0);
            }
        }
        if self.aim.objective == Objective::Latency {
            cycles = f64::INFINITY;
        }
        for choice in below.by_cycles[first.1..].iter().map(choice) {
            if choice.cycles >= cycles {
                break;
            }
            if fits[choice.split] {
                cycles = cycles.min(least(choice).1);
            }
        }
        Some((energy, cycles))
    }

    /// The points below `outer` that are wanted with `reserved` bits of each memory taken by others.
    pub(crate) fn search(
        &mut self,
        outer: &[Step],
        reserved: &[u64],
        wanted: Wanted,
        certificate: &mut FusionCertificate,
        stop: &mut Stop,
    ) -> Hull<Point> {
        certificate.searches += 1;
        for ((memory, size), reserved) in self
            .problem
            .memories
            .iter_mut()
            .zip(&self.size_bits)
            .zip(reserved)
        {
            memory.size_bits = size.map(|size| size.saturating_sub(*reserved));
        }
        let mut goal = Within {
            wanted,
            points: Hull::new(self.aim),
        };
        let found = if outer.iter().any(|s| matches!(s, Step::Time { .. })) {
            let mut below = self.take_below();
            self.problem.outer = outer.to_vec();
            let choices = self.choices_below(&mut below, &goal);
            let found = search_in(
                &self.plan,
                &self.problem,
                choices.into_iter(),
                &mut goal,
                stop,
            );
            self.problem.outer.clear();
            self.below = Some(below);
            found
        } else {
            // Without loops all that is given are outermost memories.
            let choices = self.plan.choices.iter().copied();
            search_in(&self.plan, &self.problem, choices, &mut goal, stop)
        };
        certificate.nodes += found.nodes;
        certificate.stop = certificate.stop.max(found.stop);
        goal.points
    }

    /// The choices that `goal` may want below the given steps of the problem, with what they cost at least there.
    fn choices_below(&self, below: &mut Below, goal: &Within) -> Vec<Choice> {
        let outer = &self.problem.outer;
        let fitting = self.fitting(below, &tile(&self.problem, outer));
        let Plan {
            placements, bounds, ..
        } = &self.plan;
        let added = |(nodes, bounds): (&Vec<Node>, &Bounds)| {
            bounds.added(&self.traffic(nodes, outer, false))
        };
        let added: Vec<Added> = placements.iter().zip(bounds).map(added).collect();
        let keeps_all = |nodes: &Vec<Node>| {
            outer.iter().all(|step| match *step {
                Step::Keep { memory, operand } => nodes.iter().any(|n| {
                    n.memory == memory
                        && n.operand == operand
                        && n.parent.is_none_or(|p| nodes[p].parent.is_none())
                }),
                _ => true,
            })
        };
        let keeps_all: Vec<bool> = placements.iter().map(keeps_all).collect();
        let mut choices = Vec::new();
        for choice in &self.plan.choices {
            if !keeps_all[choice.placement]
                || !fitting.splits[choice.split]
                || goal.is_hopeless(choice.energy, choice.cycles)
            {
                continue;
            }
            let placement = choice.placement;
            let (energy, cycles) = bounds[placement].least(choice.split, &added[placement]);
            if !goal.is_hopeless(energy, cycles) {
                choices.push(Choice {
                    energy,
                    cycles,
                    ..*choice
                });
            }
        }
        choices
    }
}

/// What a part must be to help its group.
pub(crate) struct Wanted<'a> {
    /// Whether nothing with at least this energy and these cycles is wanted.
    pub(crate) is_hopeless: &'a dyn Fn(f64, f64) -> bool,
    /// The most of what parts are ranked by that is wanted, for energy times cycles.
    pub(crate) most: f64,
}

/// The best points of a part.
struct Within<'a> {
    wanted: Wanted<'a>,
    points: Hull<Point>,
}

impl Goal for Within<'_> {
    fn rank(&self, energy_pj: f64, cycles: f64) -> (f64, f64) {
        self.points.rank(energy_pj, cycles)
    }

    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool {
        self.points.is_needless(energy_pj, cycles) || (self.wanted.is_hopeless)(energy_pj, cycles)
    }

    fn is_hopeless_rank(&self, rank: (f64, f64)) -> bool {
        match self.points.aim.objective {
            // The rest of the group adds at least so much of each, so the order of what is compared stays.
            Objective::Energy => self.is_hopeless(rank.0, rank.1),
            Objective::Latency => self.is_hopeless(rank.1, rank.0),
            Objective::EnergyDelay => {
                rank.0 > self.wanted.most || self.points.is_needless_rank(rank)
            }
        }
    }

    fn is_ranked(&self) -> bool {
        true
    }

    fn offer(&mut self, leaf: &Leaf<'_>) {
        let point = leaf.count();
        let (energy_pj, cycles) = (point.cost.energy_pj, point.cost.cycles);
        if !self.is_hopeless(energy_pj, cycles) {
            self.points.add(energy_pj, cycles, point);
        }
    }
}

/// The operands that `problem` exchanges on chip, or not.
pub(crate) fn operands(problem: &Problem, on_chip: bool) -> impl Iterator<Item = usize> {
    let of = problem
        .operands
        .iter()
        .map(move |o| (o.root > 0) == on_chip);
    let mask = of
        .enumerate()
        .fold(0, |mask, (i, is)| mask | u32::from(is) << i);
    members(mask)
}
