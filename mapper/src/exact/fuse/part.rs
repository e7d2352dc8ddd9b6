//! One einsum of a fused schedule, given where its operands are exchanged.

use std::collections::BTreeMap;

use ir::tree::Tree;
use ir::workload::Workload;

use super::super::bound::Form;
use super::super::certificate::{Certificate, StopReason};
use super::super::goal::Goal;
use super::super::nest::Step;
use super::super::problem::{Problem, members};
use super::super::search::{Frame, Leaf, Point, Scope, least_traffic, search};
use super::super::space::{Node, Sizes, Split, placements, splits};
use super::super::{Model, Objective, Stop};
use super::FusionCertificate;
use super::flow::Flow;
use super::hull::Hull;

/// Energy in pJ and cycles.
pub(crate) type Sum = (f64, f64);

/// An einsum with the memory in which each operand is exchanged.
pub(crate) struct Part {
    objective: Objective,
    pub(crate) problem: Problem,
    /// Sizes of the memories; the problem has what others leave of them.
    size_bits: Vec<Option<u64>>,
    sizes: Vec<Sizes>,
    pub(crate) placements: Vec<Vec<Node>>,
    splits: Vec<Split>,
    tasks: Vec<Task>,
    /// The least energy per value of traffic of each node of each placement, however ranks are unrolled.
    per_value: Vec<Vec<f64>>,
    /// Tasks, those of least energy first.
    by_energy: Vec<u32>,
    /// Tasks, those of least cycles first.
    by_cycles: Vec<u32>,
    /// For tiles of the ranks the first of `by_energy` and of `by_cycles` whose copies fit.
    fitting: BTreeMap<Vec<u64>, (usize, usize)>,
    /// What [`Part::least`] has found.
    least: BTreeMap<(Vec<Step>, bool), Option<Sum>>,
}

/// One choice of what is kept where and how ranks are unrolled, with its cost at compulsory traffic.
struct Task {
    placement: usize,
    split: usize,
    form: Form,
    energy: f64,
    cycles: f64,
}

/// All einsums, by shape and places of exchange.
pub(crate) struct Parts<'a> {
    pub(crate) workload: &'a Workload,
    tree: &'a Tree,
    model: Model,
    pub(crate) objective: Objective,
    index: BTreeMap<(String, Vec<usize>), usize>,
    pub(crate) parts: Vec<Part>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(
        workload: &'a Workload,
        tree: &'a Tree,
        model: Model,
        objective: Objective,
    ) -> Parts<'a> {
        Parts {
            workload,
            tree,
            model,
            objective,
            index: BTreeMap::new(),
            parts: Vec::new(),
        }
    }

    /// The part of an einsum whose operands are exchanged in the memories `roots`.
    pub(crate) fn get(&mut self, einsum: usize, roots: Vec<usize>) -> usize {
        let form = &self.workload.einsums[einsum];
        let key = (form.shape(), roots);
        if let Some(at) = self.index.get(&key) {
            return *at;
        }
        let mut problem = Problem::new(form, self.tree, self.model);
        for (operand, root) in key.1.iter().enumerate() {
            if *root > 0 {
                problem.exchange(operand, *root, form.operands[operand].bits.into());
            }
        }
        self.parts.push(Part::new(problem, self.objective));
        self.index.insert(key, self.parts.len() - 1);
        self.parts.len() - 1
    }

    /// The sizes of the memories of the tree.
    pub(crate) fn size_bits(&self) -> Vec<Option<u64>> {
        self.tree.memories().map(|(_, m)| m.size_bits).collect()
    }

    /// At least the energy and the cycles of an einsum, wherever its operands are exchanged.
    pub(crate) fn least(&mut self, einsum: usize, flows: &[Flow]) -> (f64, f64) {
        let mut roots = vec![0; self.workload.einsums[einsum].operands.len()];
        for flow in flows {
            let Some(memory) = flow.memory else { continue };
            for (_, operand) in flow.consumers.iter().filter(|c| c.0 == einsum) {
                roots[*operand] = memory;
            }
            if flow.producer == einsum {
                *roots.last_mut().expect("an einsum has an output") = memory;
            }
        }
        let repeat = self.workload.einsums[einsum].repeat as f64;
        let part = self.get(einsum, roots);
        let tasks = &self.parts[part].tasks;
        let least = |of: fn(&Task) -> f64| tasks.iter().map(of).fold(f64::INFINITY, f64::min);
        (least(|t| t.energy) * repeat, least(|t| t.cycles) * repeat)
    }
}

impl Part {
    fn new(problem: Problem, objective: Objective) -> Part {
        let sizes = problem
            .sizes
            .iter()
            .map(|&n| Sizes::new(n, problem.model.perfect))
            .collect();
        let placements = placements(&problem);
        let splits = splits(&problem);
        let mut tasks = Vec::new();
        for (placement, nodes) in placements.iter().enumerate() {
            let least = least_traffic(&problem, nodes);
            for (split, copies) in splits.iter().enumerate() {
                let form = Form::new(&problem, nodes, copies);
                let (energy, cycles) = form.least(&least);
                tasks.push(Task {
                    placement,
                    split,
                    form,
                    energy,
                    cycles,
                });
            }
        }
        let rank = |t: &Task| objective.rank(t.energy, t.cycles);
        tasks.sort_by(|a, b| rank(a).partial_cmp(&rank(b)).expect("costs are numbers"));
        let size_bits = problem.memories.iter().map(|m| m.size_bits).collect();
        let mut per_value: Vec<Vec<f64>> = placements
            .iter()
            .map(|nodes| vec![f64::INFINITY; nodes.len()])
            .collect();
        for task in &tasks {
            for (least, one) in per_value[task.placement]
                .iter_mut()
                .zip(task.form.energy_of())
            {
                *least = least.min(one);
            }
        }
        let sorted = |of: fn(&Task) -> f64| {
            let mut order: Vec<u32> = (0..tasks.len() as u32).collect();
            order.sort_by(|a, b| of(&tasks[*a as usize]).total_cmp(&of(&tasks[*b as usize])));
            order
        };
        let (by_energy, by_cycles) = (sorted(|t| t.energy), sorted(|t| t.cycles));
        Part {
            objective,
            problem,
            size_bits,
            sizes,
            placements,
            splits,
            tasks,
            per_value,
            by_energy,
            by_cycles,
            fitting: BTreeMap::new(),
            least: BTreeMap::new(),
        }
    }

    /// The tile of each rank below `outer`.
    fn tile(&self, outer: &[Step]) -> Vec<u64> {
        super::super::nest::tile(&self.problem, outer)
    }

    fn can_unroll(&self, task: &Task, tile: &[u64]) -> bool {
        let copies = &self.splits[task.split].copies;
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

    /// At least the energy and the cycles below the shared loops of `outer`, near what counts for the objective; none if nothing can be unrolled.
    pub(crate) fn least(&mut self, outer: Vec<Step>, best: bool) -> Option<(f64, f64)> {
        let key = (outer, best);
        if let Some(known) = self.least.get(&key) {
            return *known;
        }
        let found = self.find_least(&key.0, best);
        self.least.insert(key, found);
        found
    }

    fn find_least(&mut self, outer: &[Step], best: bool) -> Option<(f64, f64)> {
        let tile = self.tile(outer);
        if !self.fitting.contains_key(&tile) {
            let first = |order: &[u32]| {
                let fits = |task: &u32| self.can_unroll(&self.tasks[*task as usize], &tile);
                order.iter().position(fits).unwrap_or(order.len())
            };
            let first = (first(&self.by_energy), first(&self.by_cycles));
            self.fitting.insert(tile.clone(), first);
        }
        let first = self.fitting[&tile];
        let traffic: Vec<Vec<f64>> = self
            .placements
            .iter()
            .map(|nodes| self.traffic(nodes, outer, best))
            .collect();
        // What traffic beyond the compulsory adds at least.
        let beyond = |(placement, traffic): (usize, &Vec<f64>)| -> f64 {
            let least = least_traffic(&self.problem, &self.placements[placement]);
            let each = traffic.iter().zip(least).zip(&self.per_value[placement]);
            each.map(|((traffic, least), per_value)| (traffic - least) * per_value)
                .sum()
        };
        let beyond = traffic
            .iter()
            .enumerate()
            .map(beyond)
            .fold(f64::INFINITY, f64::min);
        let task = |at: Option<&u32>| at.map(|task| &self.tasks[*task as usize]);
        let cheapest = task(self.by_energy.get(first.0))?;
        let fastest = task(self.by_cycles.get(first.1))?;
        let (mut energy, mut cycles) = (cheapest.energy, fastest.cycles);
        if self.objective != Objective::Latency {
            energy = f64::INFINITY;
        }
        for &task in &self.by_energy[first.0..] {
            let task = &self.tasks[task as usize];
            if task.energy + beyond >= energy {
                break;
            }
            if !self.can_unroll(task, &tile) {
                continue;
            }
            energy = energy.min(task.form.least(&traffic[task.placement]).0);
        }
        if self.objective == Objective::Latency {
            cycles = f64::INFINITY;
        }
        for &task in &self.by_cycles[first.1..] {
            let task = &self.tasks[task as usize];
            if task.cycles >= cycles {
                break;
            }
            if !self.can_unroll(task, &tile) {
                continue;
            }
            cycles = cycles.min(task.form.least(&traffic[task.placement]).1);
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
        let tile = self.tile(outer);
        let traffic: Vec<Vec<f64>> = self
            .placements
            .iter()
            .map(|nodes| self.traffic(nodes, outer, false))
            .collect();
        let mut goal = Within {
            wanted,
            points: Hull::new(self.objective),
        };
        if !outer.iter().any(|s| matches!(s, Step::Time { .. })) {
            // Without loops all that is given are outermost memories.
            if let Ok(found) = search(&self.problem, &mut goal, stop) {
                certificate.nodes += found.nodes;
                certificate.stop = certificate.stop.max(found.stop);
            }
            return goal.points;
        }
        self.problem.outer = outer.to_vec();
        let mut inner = Certificate::default();
        for task in &self.tasks {
            let nodes = &self.placements[task.placement];
            let kept = |step: &Step| match *step {
                Step::Keep { memory, operand } => nodes.iter().any(|n| {
                    n.memory == memory
                        && n.operand == operand
                        && n.parent.is_none_or(|p| nodes[p].parent.is_none())
                }),
                _ => true,
            };
            if goal.is_hopeless(task.energy, task.cycles)
                || !self.can_unroll(task, &tile)
                || !outer.iter().all(kept)
            {
                continue;
            }
            let (energy, cycles) = task.form.least(&traffic[task.placement]);
            if goal.is_hopeless(energy, cycles) {
                continue;
            }
            let frame = Frame {
                problem: &self.problem,
                sizes: &self.sizes,
                nodes,
                split: &self.splits[task.split],
                registers: &[],
                limit: f64::INFINITY,
            };
            let ended = frame.walk(Scope::All, &mut goal, stop, &mut inner);
            if ended.is_none() {
                certificate.stop = StopReason::Stopped;
                break;
            }
        }
        self.problem.outer.clear();
        certificate.nodes += inner.nodes;
        goal.points
    }
}

/// What a part must be to help its group.
pub(crate) struct Wanted<'a> {
    pub(crate) objective: Objective,
    pub(crate) is_hopeless: &'a dyn Fn(f64, f64) -> bool,
}

/// The best points of a part.
struct Within<'a> {
    wanted: Wanted<'a>,
    points: Hull<Point>,
}

impl Goal for Within<'_> {
    fn rank(&self, energy_pj: f64, cycles: f64) -> (f64, f64) {
        self.wanted.objective.rank(energy_pj, cycles)
    }

    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool {
        self.points.is_needless(energy_pj, cycles) || (self.wanted.is_hopeless)(energy_pj, cycles)
    }

    fn is_hopeless_rank(&self, rank: (f64, f64)) -> bool {
        match self.wanted.objective {
            Objective::Energy => self.is_hopeless(rank.0, 0.0),
            Objective::Latency => self.is_hopeless(0.0, rank.0),
            Objective::EnergyDelay => false,
        }
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
