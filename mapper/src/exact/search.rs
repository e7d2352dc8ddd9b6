//! Exact search: depth first over canonical nests, from the outermost loop inwards, with lower bounds.
//!
//! A nest is decided in this order: what is kept where and how ranks are unrolled (a *task*, best bound first), then which
//! node comes next, then how far each of its ranks is cut in the block of loops directly above it. Five facts keep the
//! space small without losing the best (`research`: Turbo-Charged Mapper, arXiv 2602.15172):
//!
//! 1. A loop directly above a tile that it does not index can move below it: the same tile, fetched less often. So the block
//!    above a node has only ranks that index its operand.
//! 2. A loop directly below a tile that it indexes can move above it: the same traffic, a smaller tile. So the block below a
//!    node has no rank that indexes that node's operand, except where tiles overlap.
//! 3. Inside a block order does not matter, except which loop is last where overlap is retained: bounds take the best last
//!    loop for each node, and each leaf is counted with all of them.
//! 4. It follows from 2 that loops over ranks that index every operand, such as heads or groups, stand outside all tiles.
//! 5. Nodes without a loop between them can change places, so they come in the order of the placement.
//!
//! Traffic grows with every loop, so [`Form`] at the traffic known so far bounds all completions: a branch is cut when that
//! is no better than the best nest found, or when tiles cannot fit. Every leaf is counted by [`super::cost`].
//!
//! What the nodes above the fan-outs move hardly depends on the unrolling, so their least energy, in the room that their
//! memories have, is found once for all tasks of a placement, and added to their bounds.
//!
//! A task is searched in two walks. The first places only the nodes below the fan-outs and lists what they move, in their
//! own tiles and at the ports above them: all choices of which none moves more than another in everything. Every nest of
//! the task moves at least as much as one of the list, by facts 1 and 2, so the second walk, of whole nests, is bounded by
//! the best of the list, each number of it raised to the traffic of the loops so far.
//! Both walks pass over what ranks above a limit, which is a little above the bound of the task: without a good nest to
//! compare with, they would look at far too much. If nothing ranks below the limit, it is the new bound of the task,
//! which waits for its turn and is then searched further up.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use ir::workload::MAX_RANKS;

use super::bound::{Bounds, Form, MAX_NODES, Traffic};
use super::certificate::{Certificate, StopReason};
use super::cost::{Cost, evaluate, extent, fills, seen};
use super::goal::Goal;
use super::nest::{Nest, Pieces, Step, cuts, last_loop, tile};
use super::problem::{Mask, Operand, Problem, members};
use super::space::{Node, Sizes, Split, distinct_splits, placements};
use super::{Steps, Stop};

/// A nest with its cost.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) nest: Nest,
    pub(crate) cost: Cost,
}

/// There is no nest.
pub(crate) struct NoNest;

/// A finished nest.
pub(crate) struct Leaf<'a> {
    problem: &'a Problem,
    nest: &'a [Step],
    /// The energy and the cycles that the bound sees.
    pub(crate) bound: (f64, f64),
    moves: Moves,
}

/// What bounds are made of.
#[derive(Clone, Copy)]
pub(crate) struct Moves {
    /// The traffic of placed nodes, and a lower bound for the others.
    traffic: Traffic,
    /// At least the cycles of compute.
    compute: f64,
    /// At least the cycles in which first tiles arrive, or last ones leave: of nodes above the fan-outs, and of those below.
    ends: [f64; 2],
}

impl Leaf<'_> {
    /// Counts what it costs.
    pub(crate) fn count(&self) -> Point {
        Point {
            nest: self.nest.to_vec(),
            cost: evaluate(self.problem, self.nest),
        }
    }
}

/// One choice of what is kept where and how ranks are unrolled, with a bound of what comes of it.
struct Task {
    placement: usize,
    split: usize,
    rank: (f64, f64),
    energy: f64,
    cycles: f64,
    /// What the nodes below the fan-outs move at least in all that ranks below `limit`, the best first; empty before the
    /// first walk and after the second.
    registers: Vec<Ranked>,
    limit: f64,
    /// How far above its bound it is searched next, as a part of that.
    reach: f64,
}

impl Ord for Task {
    /// The best bound is the greatest; ties are decided by place.
    fn cmp(&self, other: &Task) -> Ordering {
        let key = |task: &Task| (task.placement, task.split);
        let rank = self
            .rank
            .0
            .total_cmp(&other.rank.0)
            .then(self.rank.1.total_cmp(&other.rank.1));
        rank.then(key(self).cmp(&key(other))).reverse()
    }
}

impl PartialOrd for Task {
    fn partial_cmp(&self, other: &Task) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Task) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Task {}

/// All that is decided before loops: it depends on which memories there are, but not on their sizes.
pub(crate) struct Plan {
    pub(crate) sizes: Vec<Sizes>,
    pub(crate) placements: Vec<Vec<Node>>,
    pub(crate) splits: Rc<Vec<Split>>,
    /// For each placement.
    pub(crate) bounds: Vec<Bounds>,
    /// Every choice of a placement and a split, with its cost at compulsory traffic.
    pub(crate) choices: Vec<Choice>,
}

/// One choice of what is kept where and how ranks are unrolled, by position, with its cost at compulsory traffic.
#[derive(Clone, Copy)]
pub(crate) struct Choice {
    pub(crate) placement: usize,
    pub(crate) split: usize,
    pub(crate) energy: f64,
    pub(crate) cycles: f64,
}

impl Plan {
    /// The plan of `problem`, of which nothing is given and whose ranks can be unrolled as `splits` say; none if it was
    /// stopped.
    pub(crate) fn new(problem: &Problem, splits: Rc<Vec<Split>>, stop: &mut Stop) -> Option<Plan> {
        debug_assert!(
            problem.outer.is_empty(),
            "bounds of choices know no given steps"
        );
        let sizes = problem
            .sizes
            .iter()
            .map(|&n| Sizes::new(n, problem.model.perfect))
            .collect();
        let mut steps = Steps::new(0, stop);
        let mut kept = Vec::new();
        let mut bounds = Vec::new();
        let mut choices = Vec::new();
        for (placement, nodes) in placements(problem).enumerate() {
            assert!(
                nodes.len() + problem.operands.len() <= MAX_NODES,
                "a tree has at most {MAX_NODES} kept tensors"
            );
            let of = Bounds::new(problem, &nodes, &splits);
            let added = of.added(&least_traffic(problem, &nodes));
            for split in 0..splits.len() {
                steps.take()?;
                let (energy, cycles) = of.least(split, &added);
                choices.push(Choice {
                    placement,
                    split,
                    energy,
                    cycles,
                });
            }
            bounds.push(of);
            kept.push(nodes);
        }
        Some(Plan {
            sizes,
            placements: kept,
            splits,
            bounds,
            choices,
        })
    }
}

impl Plan {
    /// The choices with what they cost at least in the room that the memories above the fan-outs have, and how many nodes
    /// that took; none if it was stopped.
    ///
    /// What these memories move does not depend on how ranks are unrolled below them, except that tiles must not be too
    /// small for that; so one walk of them alone, for each placement, bounds all unrollings.
    fn choices_in_room(
        &self,
        problem: &Problem,
        stop: &mut Stop<'_>,
    ) -> Option<(Vec<Choice>, u64)> {
        let alone = Split {
            copies: vec![[1; MAX_RANKS]; problem.fanouts.len()],
        };
        let mut certificate = Certificate::default();
        let mut more = |nodes: &Vec<Node>| {
            if stop(certificate.nodes) {
                return None;
            }
            let frame = Frame {
                problem,
                sizes: &self.sizes,
                nodes,
                split: &alone,
                registers: &[],
                limit: f64::INFINITY,
            };
            let least = least_traffic(problem, nodes);
            let mut goal = LeastEnergy(f64::INFINITY);
            let until = certificate.nodes + ROOM_NODES;
            let mut soon = |nodes| nodes > until || stop(nodes);
            let walked = frame.walk(Scope::Above, &mut goal, &mut soon, &mut certificate);
            Some(walked.map_or(0.0, |()| goal.0 - frame.form().least(&least).0))
        };
        let more: Vec<f64> = self
            .placements
            .iter()
            .map(&mut more)
            .collect::<Option<_>>()?;
        let raised = |choice: &Choice| Choice {
            energy: choice.energy + more[choice.placement],
            ..*choice
        };
        let raised = self.choices.iter().map(raised).collect();
        Some((raised, certificate.nodes))
    }
}

/// The least energy of all that is offered.
struct LeastEnergy(f64);

impl Goal for LeastEnergy {
    fn rank(&self, energy_pj: f64, _: f64) -> (f64, f64) {
        (energy_pj, 0.0)
    }

    fn is_hopeless_rank(&self, rank: (f64, f64)) -> bool {
        rank.0 >= self.0
    }

    fn is_hopeless(&self, energy_pj: f64, _: f64) -> bool {
        energy_pj >= self.0
    }

    fn offer(&mut self, leaf: &Leaf<'_>) {
        self.0 = self.0.min(leaf.bound.0);
    }
}

/// Finds the best nests of `problem`, of which nothing is given, for `goal`.
pub(crate) fn search<G: Goal>(
    problem: &Problem,
    goal: &mut G,
    stop: &mut Stop<'_>,
) -> Result<Certificate, NoNest> {
    let Some((plan, choices, nodes)) = prepared(problem, stop) else {
        return Ok(Certificate {
            stop: StopReason::Stopped,
            open_bound: Some(0.0),
            ..Certificate::default()
        });
    };
    let mut certificate = search_in(&plan, problem, choices.into_iter(), goal, stop);
    certificate.nodes += nodes;
    if certificate.leaves == 0 && certificate.stop == StopReason::Exhausted {
        return Err(NoNest);
    }
    Ok(certificate)
}

/// The plan of `problem`, its choices and how many nodes they took; none if it was stopped.
fn prepared(problem: &Problem, stop: &mut Stop<'_>) -> Option<(Plan, Vec<Choice>, u64)> {
    let splits = distinct_splits(problem, stop)?;
    let plan = Plan::new(problem, Rc::new(splits), stop)?;
    let (choices, nodes) = plan.choices_in_room(problem, stop)?;
    Some((plan, choices, nodes))
}

/// Finds the best nests of `problem` among `choices` of its plan, from its given steps on, for `goal`.
///
/// The choices come with what they cost at least below these steps.
pub(crate) fn search_in<G: Goal>(
    plan: &Plan,
    problem: &Problem,
    choices: impl Iterator<Item = Choice>,
    goal: &mut G,
    stop: &mut Stop<'_>,
) -> Certificate {
    let task = |choice: Choice| Task {
        placement: choice.placement,
        split: choice.split,
        rank: goal.rank(choice.energy, choice.cycles),
        energy: choice.energy,
        cycles: choice.cycles,
        registers: Vec::new(),
        limit: f64::INFINITY,
        reach: REACH,
    };
    let mut tasks: BinaryHeap<Task> = choices.map(task).collect();
    let mut certificate = Certificate {
        tasks: tasks.len() as u64,
        ..Certificate::default()
    };
    let mut looks = 0;
    while let Some(mut task) = tasks.pop() {
        let open_rank = task.rank.0;
        if goal.is_hopeless_rank((open_rank, f64::NEG_INFINITY)) {
            // What is left is no better.
            certificate.pruned_by_bound += 1 + tasks.len() as u64;
            break;
        }
        if goal.is_hopeless(task.energy, task.cycles) || goal.is_hopeless_rank(task.rank) {
            certificate.pruned_by_bound += 1;
            continue;
        }
        // Many walks are too short to ask.
        if stop(certificate.nodes) {
            certificate.stop = StopReason::Stopped;
            certificate.open_bound = Some(open_rank);
            break;
        }
        let nodes = &plan.placements[task.placement];
        let split = &plan.splits[task.split];
        let frame = Frame {
            problem,
            sizes: &plan.sizes,
            nodes,
            split,
            registers: &[],
            limit: f64::INFINITY,
        };
        // A search that lasts needs a nest to stop with.
        if certificate.leaves == 0 && certificate.nodes > LOOK_AFTER && looks < LOOKS {
            looks += 1;
            let until = certificate.nodes + LOOK_NODES;
            let mut soon = |nodes| nodes > until || stop(nodes);
            let _ = frame.walk(Scope::All, goal, &mut soon, &mut certificate);
        }
        let ended = if task.registers.is_empty() {
            if goal.is_ranked() && task.rank.0 > 0.0 {
                task.limit = task.rank.0 * (1.0 + task.reach);
            }
            let mut registers = Registers {
                goal: &*goal,
                found: Vec::new(),
            };
            let limit = task.limit;
            let frame = Frame { limit, ..frame };
            let ended = frame.walk(Scope::Registers, &mut registers, stop, &mut certificate);
            task.registers = registers.found;
            task.registers
                .sort_by(|a, b| a.0.0.total_cmp(&b.0.0).then(a.0.1.total_cmp(&b.0.1)));
            ended
        } else {
            let frame = Frame {
                registers: &task.registers,
                limit: task.limit,
                ..frame
            };
            let ended = frame.walk(Scope::All, goal, stop, &mut certificate);
            task.registers.clear();
            ended
        };
        if ended.is_none() {
            certificate.stop = StopReason::Stopped;
            // The tasks come in the order of their bounds, so that of this one is the least.
            certificate.open_bound = Some(open_rank);
            break;
        }
        match task.registers.first() {
            Some((rank, _)) => task.rank = max_rank(task.rank, *rank),
            // Nothing of it ranks below the limit.
            None => {
                task.rank = max_rank(task.rank, (task.limit, f64::NEG_INFINITY));
                task.reach *= 2.0;
            }
        }
        if task.rank.0 < f64::INFINITY {
            tasks.push(task);
        }
    }
    certificate
}

/// Nodes after which a search without a nest looks for one.
const LOOK_AFTER: u64 = 1 << 14;
/// How many tasks are looked into for a first nest, before their bounds are refined.
const LOOKS: u32 = 16;
/// Nodes of such a look.
const LOOK_NODES: u64 = 2048;

/// Nodes after which the memories above the fan-outs are left without a bound of their own.
const ROOM_NODES: u64 = 1 << 14;

/// How far above its bound a task is searched at first, as a part of that. On `examples/workloads/layers.toml` a quarter
/// as much takes as long, and seven times as much takes 1.6 times as long.
const REACH: f64 = 0.02;

/// What moves at least, with the rank of that.
type Ranked = ((f64, f64), Moves);

/// What the nodes below the fan-outs move in all that is wanted.
struct Registers<'a, G> {
    goal: &'a G,
    /// In no order; of none all moves at least as much as of another.
    found: Vec<Ranked>,
}

impl<G: Goal> Goal for Registers<'_, G> {
    fn rank(&self, energy_pj: f64, cycles: f64) -> (f64, f64) {
        self.goal.rank(energy_pj, cycles)
    }

    fn is_hopeless_rank(&self, rank: (f64, f64)) -> bool {
        self.goal.is_hopeless_rank(rank)
    }

    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool {
        self.goal.is_hopeless(energy_pj, cycles)
    }

    fn is_known(&self, moves: &Moves) -> bool {
        self.found.iter().any(|(_, other)| moves.covers(other))
    }

    fn offer(&mut self, leaf: &Leaf<'_>) {
        let moves = leaf.moves;
        if self.is_known(&moves) {
            return;
        }
        self.found.retain(|(_, other)| !other.covers(&moves));
        let rank = self.goal.rank(leaf.bound.0, leaf.bound.1);
        self.found.push((rank, moves));
    }
}

impl Moves {
    /// Whether nothing of it is less than of `other`.
    fn covers(&self, other: &Moves) -> bool {
        self.compute >= other.compute
            && self.ends[0] >= other.ends[0]
            && self.ends[1] >= other.ends[1]
            && self.traffic.covers(&other.traffic)
    }
}

fn max_rank(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    if a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_ge() {
        a
    } else {
        b
    }
}

/// What no loops can avoid.
pub(crate) fn least_traffic(problem: &Problem, nodes: &[Node]) -> Vec<f64> {
    let least = |node: &Node| match node.parent {
        Some(_) => least_values(problem, node.operand),
        None => 0.0,
    };
    nodes.iter().map(least).collect()
}

/// The values of an operand that are moved at least.
pub(crate) fn least_values(problem: &Problem, operand: usize) -> f64 {
    least_extents(problem, operand, |_| 1.0)
}

/// The values of all tiles of an operand, of which there are at least `n(r)` along rank `r`.
fn least_extents(problem: &Problem, operand: usize, n: impl Fn(usize) -> f64) -> f64 {
    let least = |terms: &Vec<(u64, usize)>| match terms.as_slice() {
        [(_, rank)] => problem.sizes[*rank] as f64,
        terms => least_swept(problem, terms, &n),
    };
    problem.operands[operand]
        .dimensions
        .iter()
        .map(least)
        .product()
}

/// The extents of a dimension of sliding indices, summed over tiles of which there are at least `n(r)` along rank `r`.
///
/// The sum is linear in each number, so one of the ends is the least.
fn least_swept(problem: &Problem, terms: &[(u64, usize)], n: impl Fn(usize) -> f64) -> f64 {
    let corner = |corner: usize| {
        // The sum over all tiles of what is reached beyond the first value, and how many tiles there are.
        let (mut reach, mut tiles) = (0.0, 1.0);
        for (at, &(factor, rank)) in terms.iter().enumerate() {
            let bound = problem.sizes[rank] as f64;
            let n = if corner >> at & 1 == 1 {
                bound
            } else {
                n(rank)
            };
            reach = reach * n + factor as f64 * (bound - n) * tiles;
            tiles *= n;
        }
        tiles + reach
    };
    (0..1 << terms.len())
        .map(corner)
        .fold(f64::INFINITY, f64::min)
}

/// A partial nest.
#[derive(Clone, Copy)]
struct State {
    /// The tile at hand of each rank, by its position among the sizes.
    tile: [u16; MAX_RANKS],
    /// At least how often each rank's loops in time run.
    counts: [f64; MAX_RANKS],
    /// At least the cycles of compute along each rank: edge tiles take as long as their first copy.
    cycles: [f64; MAX_RANKS],
    moves: Moves,
    placed: Mask,
    /// Fan-outs passed.
    fanouts: usize,
    /// Ranks that index a node directly above, with nothing between, and so belong above it.
    above: Mask,
    /// Ranks of which only the cut in two is left: the first loop above a double buffer halves the tile and doubles the
    /// buffer, so that with an odd tile it may not fit above. Any other cut makes up for the second buffer.
    halves: Mask,
    /// The node placed last if no loop came since, for the order of nodes without loops between.
    last: Option<usize>,
    /// The first of the walk's choices for the registers that is not hopeless here.
    registers: usize,
}

/// What a memory has left for a tile, in bits.
#[derive(Clone, Copy)]
struct Room {
    bits: u64,
    /// The same if the tile is cut in the block above it.
    bits_if_cut: u64,
    is_cut: bool,
}

impl Room {
    fn now(self) -> u64 {
        if self.is_cut {
            self.bits_if_cut
        } else {
            self.bits
        }
    }
}

/// Which nodes a walk places.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of them.
    All,
    /// Those below a fan-out only, as if those above it were filled once: what it finds is a bound for the whole, since
    /// loops that stand above a fan-out in the whole nest can stand in the first block of this one.
    Registers,
    /// Those above all fan-outs only, of which the whole nest moves at least as much.
    Above,
}

/// What is decided before a walk: what is kept where and how ranks are unrolled.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) sizes: &'a [Sizes],
    pub(crate) nodes: &'a [Node],
    pub(crate) split: &'a Split,
    /// What the nodes below the fan-outs move at least is at least one of these, the best first; empty if nothing is known.
    pub(crate) registers: &'a [Ranked],
    /// Nothing that ranks at least so is wanted.
    pub(crate) limit: f64,
}

impl Frame<'_> {
    fn form(&self) -> Form {
        Form::new(self.problem, self.nodes, self.split)
    }

    /// Offers all nests of `scope` in this frame, from the given steps of the problem on, to `goal`; none if it was stopped.
    pub(crate) fn walk<G: Goal>(
        self,
        scope: Scope,
        goal: &mut G,
        stop: &mut Stop<'_>,
        certificate: &mut Certificate,
    ) -> Option<()> {
        let Frame {
            problem,
            sizes,
            nodes,
            split,
            registers,
            limit,
        } = self;
        let form = self.form();
        let least = Moves {
            traffic: Traffic::at_least(&least_traffic(problem, nodes)),
            compute: form.compute,
            ends: [0.0; 2],
        };
        let unknown = [((0.0, 0.0), least)];
        let mut walk = Walk {
            problem,
            sizes,
            nodes,
            split,
            form,
            scope,
            registers: if registers.is_empty() {
                &unknown
            } else {
                registers
            },
            limit,
            goal,
            stop,
            certificate,
            steps: Vec::new(),
            given: 0,
            rounds: problem.rounds(&problem.outer) as f64,
            least_tiles: split.least_tiles(),
        };
        walk.start(least)
    }
}

struct Walk<'a, 's, G> {
    problem: &'a Problem,
    sizes: &'a [Sizes],
    nodes: &'a [Node],
    split: &'a Split,
    form: Form,
    scope: Scope,
    /// What the nodes below the fan-outs move at least is at least one of these, the best first.
    registers: &'a [Ranked],
    limit: f64,
    goal: &'a mut G,
    stop: &'a mut Stop<'s>,
    certificate: &'a mut Certificate,
    steps: Vec<Step>,
    /// How many of the steps are given.
    given: usize,
    /// Iterations of shared loops.
    rounds: f64,
    /// The least tile of each rank above each fan-out, and below the last.
    least_tiles: Vec<[u64; MAX_RANKS]>,
}

impl<G: Goal> Walk<'_, '_, G> {
    /// Walks all nests; none if it was stopped.
    fn start(&mut self, least: Moves) -> Option<()> {
        let mut state = State {
            tile: [0; MAX_RANKS],
            counts: [1.0; MAX_RANKS],
            cycles: [1.0; MAX_RANKS],
            moves: least,
            placed: 0,
            fanouts: 0,
            above: 0,
            halves: 0,
            last: None,
            registers: 0,
        };
        for (index, node) in self.nodes.iter().enumerate() {
            let Node {
                memory, operand, ..
            } = *node;
            let keep = Step::Keep { memory, operand };
            if node.parent.is_none() && !self.problem.outer.contains(&keep) {
                state.placed |= 1 << index;
                self.steps.push(keep);
            }
        }
        for index in 0..self.nodes.len() {
            state.moves.ends[self.side(index)] += self.least_ends(&state, index);
        }
        for step in &self.problem.outer {
            self.give(&mut state, *step);
        }
        for rank in 0..self.problem.sizes.len() {
            self.compute(&mut state, rank);
        }
        let others = |index: &usize| match self.scope {
            Scope::All => false,
            Scope::Registers => self.is_above_fanouts(*index),
            Scope::Above => !self.is_above_fanouts(*index),
        };
        let others = (0..self.nodes.len()).filter(others);
        state.placed = others.fold(state.placed, |placed, index| placed | 1 << index);
        self.given = self.steps.len();
        if !self.problem.outer.is_empty() && self.is_hopeless(&mut state) {
            self.certificate.pruned_by_bound += 1;
            return Some(());
        }
        self.cut_common_ranks(&mut state);
        self.next(&state)
    }

    /// Cycles in which the smallest first tile of node `index` arrives, or the smallest last one leaves.
    fn least_ends(&self, state: &State, index: usize) -> f64 {
        let node = self.nodes[index];
        if node.parent.is_none() {
            return 0.0;
        }
        let bits = self.least_bits(state, index, Mask::MAX, false);
        self.rounds * self.form.ends(node.memory, bits)
    }

    /// Where the ends of node `index` are counted.
    fn side(&self, index: usize) -> usize {
        usize::from(!self.is_above_fanouts(index))
    }

    fn is_above_fanouts(&self, index: usize) -> bool {
        self.problem.memories[self.nodes[index].memory].below_fanouts == 0
    }

    /// Takes a step that is given.
    fn give(&mut self, state: &mut State, step: Step) {
        self.steps.push(step);
        match step {
            Step::Time { rank, tile } => {
                let to = self.sizes[rank].position(tile);
                self.set(state, rank, to.expect("shared tiles divide their rank"));
            }
            Step::Keep { memory, operand } => {
                let kept = |n: &Node| n.memory == memory && n.operand == operand;
                let index = self.nodes.iter().position(kept);
                let index = index.expect("what is given is kept");
                state.placed |= 1 << index;
                if self.nodes[index].parent.is_some() {
                    if self.problem.operands[operand].sliding != 0 {
                        let at = self.steps.len() - 1;
                        let fills = fills(self.problem, &self.steps, at) as f64;
                        state.moves.traffic.set(index, fills);
                    }
                    let bits = self.least_bits(state, index, 0, false);
                    let rounds: f64 = state.counts.iter().product();
                    let ends = rounds * self.form.ends(memory, bits);
                    state.moves.ends[self.side(index)] += ends - self.least_ends(state, index);
                }
            }
            Step::Space { .. } => unreachable!("only loops in time are shared"),
        }
    }

    /// Cuts ranks that index every operand as far as they are not unrolled.
    fn cut_common_ranks(&mut self, state: &mut State) {
        let common = |mask: Mask, operand: &Operand| mask & operand.ranks & !operand.sliding;
        let common = self.problem.operands.iter().fold(Mask::MAX, common);
        for rank in members(common) {
            let tile = self.split.along(rank, 0..self.problem.fanouts.len());
            // Copies of several fan-outs may make a tile that is none of the sizes: that rank is searched as any other.
            let Some(to) = self.sizes[rank].position(tile) else {
                continue;
            };
            // The same where tiles that change take twice the room.
            if !self.problem.model.perfect
                && to > state.tile[rank]
                && 2 * tile > self.tile_of(state, rank)
            {
                continue;
            }
            state.above |= 1 << rank;
            if to > state.tile[rank] {
                self.set(state, rank, to);
                self.steps.push(Step::Time { rank, tile });
                self.compute(state, rank);
            }
        }
    }

    /// Chooses the node that comes next.
    fn next(&mut self, state: &State) -> Option<()> {
        let open = (0..self.nodes.len()).filter(|i| state.placed >> i & 1 == 0);
        let Some(depth) = open
            .clone()
            .map(|i| self.problem.memories[self.nodes[i].memory].below_fanouts)
            .min()
        else {
            return self.leaf(state);
        };
        for index in open.clone() {
            let node = self.nodes[index];
            let parent = node
                .parent
                .expect("only outermost memories have none, and they are placed");
            let out_of_order = self.problem.model.ordered
                && open.clone().any(|i| self.nodes[i].memory < node.memory);
            if self.problem.memories[node.memory].below_fanouts != depth
                || state.placed >> parent & 1 == 0
                || out_of_order
            {
                continue;
            }
            let last = self.better_last(state);
            let above = state.above & !last;
            let ranks = self.problem.operands[node.operand].ranks & !above;
            let room = self.room(node.memory);
            let room = Room {
                bits: room,
                bits_if_cut: room.min(self.followers_room(state, index, depth, ranks & last)),
                is_cut: false,
            };
            if self.least_bits(state, index, ranks, false) > room.bits {
                self.certificate.pruned_by_capacity += 1;
                continue;
            }
            let mark = self.steps.len();
            let halves = state.halves & !last;
            self.cut(&State { halves, ..*state }, index, ranks, room)?;
            self.steps.truncate(mark);
        }
        Some(())
    }

    /// The ranks whose first loop above node `index` would take more room than the whole: half of an odd tile, twice.
    fn may_outgrow(&self, state: &State, index: usize, changes: bool) -> Mask {
        let memory = self.nodes[index].memory;
        if self.problem.model.perfect
            || changes
            || self.problem.buffers(memory) == 1
            || self.problem.memories[memory].size_bits.is_none()
        {
            return 0;
        }
        let is_odd = |&rank: &usize| {
            let tile = self.tile_of(state, rank);
            tile > 1 && tile % 2 == 1
        };
        (0..self.problem.sizes.len())
            .filter(is_odd)
            .fold(0, |mask, rank| mask | 1 << rank)
    }

    /// The ranks along which overlap may be retained: their loops may have to come last, and so cannot move out of a block.
    fn better_last(&self, state: &State) -> Mask {
        let open = (0..self.nodes.len()).filter(|i| state.placed >> i & 1 == 0);
        let reuses = |i: &usize| self.problem.memories[self.nodes[*i].memory].reuses_overlap;
        let overlaps = |i: usize| self.problem.operands[self.nodes[i].operand].overlaps();
        open.filter(reuses).fold(0, |mask, i| mask | overlaps(i))
    }

    /// The bits that node `index` may take if it is cut, so that its tile fits the memories that follow.
    ///
    /// If all that is left above the next fan-out is of the same operand, no loop over its ranks comes between: the next
    /// memories keep the same tile. `free` are the ranks for which that does not hold.
    fn followers_room(&self, state: &State, index: usize, depth: usize, free: Mask) -> u64 {
        let Node {
            memory, operand, ..
        } = self.nodes[index];
        let follows = |i: &usize| {
            let node = self.nodes[*i];
            let here = self.problem.memories[node.memory].below_fanouts == depth;
            *i != index && here && state.placed >> i & 1 == 0
        };
        let followers = (0..self.nodes.len()).filter(follows);
        if free != 0 || followers.clone().any(|i| self.nodes[i].operand != operand) {
            return u64::MAX;
        }
        let one = |memory| self.problem.held_bits(memory, operand, 1, true);
        let values = |i: usize| self.room(self.nodes[i].memory) / one(self.nodes[i].memory);
        let values = followers.map(values).min();
        values.map_or(u64::MAX, |values| values.saturating_mul(one(memory)))
    }

    /// Chooses how far the first of `ranks` is cut in the block above node `index`, then the others.
    fn cut(&mut self, state: &State, index: usize, ranks: Mask, room: Room) -> Option<()> {
        self.certificate.nodes += 1;
        if self.certificate.nodes.is_multiple_of(1024) && (self.stop)(self.certificate.nodes) {
            return None;
        }
        if ranks == 0 {
            return self.place(state, index, room.bits);
        }
        let rank = ranks.trailing_zeros() as usize;
        let rest = ranks & (ranks - 1);
        if self.least_bits(state, index, rest, room.is_cut) <= room.now() {
            self.cut(state, index, rest, room)?;
        }
        let sizes = &self.sizes[rank];
        let least = self.least_tiles[state.fanouts][rank];
        let cuts = &sizes.cuts[state.tile[rank] as usize];
        let mut tile = state.tile;
        let mut is_too_large = |to: &u16| {
            tile[rank] = *to;
            self.least_bits_of(&tile, state.fanouts, index, rest, true) > room.bits_if_cut
        };
        // Smaller tiles take less room, and make more traffic.
        let fitting = match cuts.first() {
            Some(first) if is_too_large(first) => cuts.partition_point(is_too_large),
            _ => 0,
        };
        self.certificate.pruned_by_capacity += u64::from(fitting > 0);
        let mark = self.steps.len();
        let is_cut = true;
        for &to in &cuts[fitting..] {
            if sizes.values[to as usize] < least {
                break;
            }
            let tile = self.tile_of(state, rank);
            if state.halves >> rank & 1 == 1 && sizes.values[to as usize] != tile.div_ceil(2) {
                continue;
            }
            let mut state = *state;
            self.set(&mut state, rank, to);
            if self.is_hopeless(&mut state) {
                self.certificate.pruned_by_bound += 1;
                break;
            }
            self.steps.push(Step::Time {
                rank,
                tile: sizes.values[to as usize],
            });
            // Unlike traffic, this may be less for smaller tiles.
            self.compute(&mut state, rank);
            if self.is_hopeless(&mut state) {
                self.certificate.pruned_by_bound += 1;
            } else {
                self.cut(&state, index, rest, Room { is_cut, ..room })?;
            }
            self.steps.truncate(mark);
        }
        Some(())
    }

    /// The bits that `memory` has left.
    fn room(&self, memory: usize) -> u64 {
        let Some(size) = self.problem.memories[memory].size_bits else {
            return u64::MAX;
        };
        let mut room = size;
        for (at, step) in self.steps.iter().enumerate() {
            if let Step::Keep {
                memory: of,
                operand,
            } = *step
                && of == memory
            {
                let above = &self.steps[..at];
                let values = extent(self.problem, operand, &tile(self.problem, above));
                let changes = memory > self.problem.operands[operand].root
                    && last_loop(above, self.problem.operands[operand].ranks).is_some();
                room -= self.problem.held_bits(memory, operand, values, changes);
            }
        }
        room
    }

    /// The bits that the tile of node `index` takes at least if `ranks` are still to be cut.
    fn least_bits(&self, state: &State, index: usize, ranks: Mask, changes: bool) -> u64 {
        self.least_bits_of(&state.tile, state.fanouts, index, ranks, changes)
    }

    /// The same below `fanouts` for tiles by their positions among the sizes.
    fn least_bits_of(
        &self,
        tile: &[u16],
        fanouts: usize,
        index: usize,
        ranks: Mask,
        changes: bool,
    ) -> u64 {
        let node = self.nodes[index];
        let below = self.problem.memories[node.memory].below_fanouts;
        let size = |rank: usize| {
            if ranks >> rank & 1 == 1 {
                return self.least_tiles[below][rank];
            }
            let tile = self.sizes[rank].values[tile[rank] as usize];
            if fanouts == below {
                return tile;
            }
            match self.split.along(rank, fanouts..below) {
                1 => tile,
                copies => tile.div_ceil(copies),
            }
        };
        let reach = |terms: &Vec<(u64, usize)>| {
            terms.iter().map(|(f, r)| f * (size(*r) - 1)).sum::<u64>() + 1
        };
        let values = self.problem.operands[node.operand]
            .dimensions
            .iter()
            .map(reach)
            .product();
        self.problem
            .held_bits(node.memory, node.operand, values, changes)
    }

    /// Sets the tile of `rank`, and the least traffic of the nodes still open.
    fn set(&self, state: &mut State, rank: usize, to: u16) {
        let sizes = &self.sizes[rank];
        let copies = self.split.along(rank, 0..state.fanouts);
        // The first of several copies has at least its share; edge tiles may give it less than whole tiles.
        let count = match copies {
            1 => sizes.counts[to as usize],
            _ => {
                self.problem.sizes[rank].div_ceil(copies) as f64 / sizes.values[to as usize] as f64
            }
        };
        let ratio = count / state.counts[rank];
        state.tile[rank] = to;
        state.counts[rank] = count;
        for (index, node) in self.nodes.iter().enumerate() {
            if state.placed >> index & 1 == 1 {
                continue;
            }
            let operand = &self.problem.operands[node.operand];
            if operand.ranks >> rank & 1 == 0 {
                state.moves.traffic.scale(index, ratio);
            } else if operand.sliding >> rank & 1 == 1
                && !self.problem.memories[node.memory].reuses_overlap
            {
                let n = |rank: usize| self.sizes[rank].counts[state.tile[rank] as usize];
                let values = least_extents(self.problem, node.operand, n);
                let least = self.repeats(state, index) * values;
                state.moves.traffic.set(index, least);
            }
        }
    }

    /// Counts the cycles of compute along `rank`: those of its tiles so far, since pieces of one take no fewer together.
    fn compute(&self, state: &mut State, rank: usize) {
        if self.problem.lanes.is_some() {
            return;
        }
        let copies = self
            .split
            .along(rank, state.fanouts..self.problem.fanouts.len());
        let pieces = cuts(
            self.problem,
            rank,
            &self.steps,
            |_| Pieces::All,
            |_| Pieces::First,
        );
        let cycles = pieces
            .all()
            .iter()
            .map(|(size, n)| size.div_ceil(copies) * n);
        state.cycles[rank] = cycles.sum::<u64>() as f64;
        let all = &state.cycles[..self.problem.sizes.len()];
        state.moves.compute = all.iter().product::<f64>().max(state.moves.compute);
        for ragged in self.form.ragged.iter().filter(|r| r.ranks >> rank & 1 == 1) {
            let cycles = members(ragged.ranks).map(|rank| state.cycles[rank]);
            let asked = ragged.per_cycle * cycles.product::<f64>();
            state
                .moves
                .traffic
                .set(ragged.at, (asked - ragged.least).max(0.0));
        }
    }

    /// How often loops over other ranks repeat the fills of node `index`.
    fn repeats(&self, state: &State, index: usize) -> f64 {
        let ranks = self.problem.operands[self.nodes[index].operand].ranks;
        let others = (0..self.problem.sizes.len()).filter(|rank| ranks >> rank & 1 == 0);
        others.map(|rank| state.counts[rank]).product()
    }

    /// Whether nothing below is wanted: with whatever choice for the registers, of which those that stay hopeless are passed.
    fn is_hopeless(&self, state: &mut State) -> bool {
        while let Some((_, registers)) = self.registers.get(state.registers) {
            let moves = &state.moves;
            let compute = moves.compute.max(registers.compute);
            let traffic = (&moves.traffic, &registers.traffic);
            let (energy, cycles) = self.form.bound(traffic.0, traffic.1, compute);
            let ends = |side: usize| moves.ends[side].max(registers.ends[side]);
            let cycles = cycles + ends(0) + ends(1);
            let is_over = self.goal.rank(energy, cycles).0 >= self.limit;
            if !is_over && !self.goal.is_hopeless(energy, cycles) {
                return self.goal.is_known(&state.moves);
            }
            state.registers += 1;
        }
        true
    }

    /// Places node `index` below the loops so far.
    fn place(&mut self, state: &State, index: usize, room: u64) -> Option<()> {
        let mut state = *state;
        let node = self.nodes[index];
        let memory = &self.problem.memories[node.memory];
        let mark = self.steps.len();
        let follows = matches!(self.steps.last(), Some(Step::Keep { .. }));
        if follows
            && state.last.is_some_and(|last| last > index)
            && state.fanouts == memory.below_fanouts
        {
            return Some(());
        }
        let crosses = state.fanouts < memory.below_fanouts;
        if crosses && !self.cross(&mut state, memory.below_fanouts) {
            return Some(());
        }
        let sliding = self.problem.operands[node.operand].sliding;
        let changes = last_loop(&self.steps, self.problem.operands[node.operand].ranks).is_some();
        let bits = self.least_bits(&state, index, 0, changes);
        if bits > room {
            self.certificate.pruned_by_capacity += 1;
            self.steps.truncate(mark);
            return Some(());
        }
        self.steps.push(Step::Keep {
            memory: node.memory,
            operand: node.operand,
        });
        // Edge tiles make more pieces than the sizes of tiles tell.
        if !self.problem.model.perfect || sliding != 0 {
            let (filled, seen) = self.least_moves(index);
            state.moves.traffic.filled[index] = filled as f64 / self.form.copies[index];
            state.moves.traffic.seen[index] = seen as f64 / self.form.seen[index];
        }
        state.placed |= 1 << index;
        let one = if changes {
            bits / self.problem.buffers(node.memory)
        } else {
            bits
        };
        let ends = self.rounds * self.form.ends(node.memory, one);
        state.moves.ends[self.side(index)] += ends - self.least_ends(&state, index);
        if self.is_hopeless(&mut state) {
            self.certificate.pruned_by_bound += 1;
        } else {
            let plain = self.problem.operands[node.operand].ranks & !sliding;
            let halved = plain & self.may_outgrow(&state, index, changes);
            // Nodes without a loop between them could also change places.
            let joins = follows && !crosses && !self.problem.model.ordered;
            let (above, halves) = if joins {
                (state.above, state.halves)
            } else {
                (0, 0)
            };
            state.above = above | (plain & !halved);
            state.halves = (halves | halved) & !state.above;
            state.last = Some(index);
            self.next(&state)?;
        }
        self.steps.truncate(mark);
        Some(())
    }

    fn tile_of(&self, state: &State, rank: usize) -> u64 {
        self.sizes[rank].values[state.tile[rank] as usize]
    }

    /// The values that are filled into the tiles of node `index`, which was placed last, and those that the memory above
    /// sees; each for the best order of the loops above.
    fn least_moves(&self, index: usize) -> (u64, u64) {
        let at = self.steps.len() - 1;
        let moves = |nest: &[Step]| {
            let fills = fills(self.problem, nest, at);
            match self.crosses_fanouts(index) {
                true => (fills, seen(self.problem, nest, at)),
                false => (fills, fills),
            }
        };
        let now = moves(&self.steps);
        let node = self.nodes[index];
        let overlaps = self.problem.operands[node.operand].overlaps();
        let last = last_loop(&self.steps[..at], Mask::MAX);
        let Some(last) = last.filter(|_| self.problem.memories[node.memory].reuses_overlap) else {
            return now;
        };
        let block = self.block(last + 1)..last + 1;
        let mut least = now;
        for from in block.clone() {
            if matches!(self.steps[from], Step::Time { rank, .. } if overlaps >> rank & 1 == 1) {
                let mut nest = self.steps.clone();
                nest[from..block.end].rotate_left(1);
                let other = moves(&nest);
                least = (least.0.min(other.0), least.1.min(other.1));
            }
        }
        least
    }

    /// Whether a fan-out stands between node `index` and the memory above it.
    fn crosses_fanouts(&self, index: usize) -> bool {
        let depth = |index: usize| self.problem.memories[self.nodes[index].memory].below_fanouts;
        let parent = self.nodes[index].parent;
        parent.is_some_and(|parent| depth(parent) < depth(index))
    }

    /// Adds the other orders of loops in each block from step `from` on, as far as they retain other overlaps.
    fn reorder(&self, from: usize, orders: &mut Vec<Nest>) {
        let is_time = |step: &Step| matches!(step, Step::Time { .. });
        let Some(start) = (from..self.steps.len()).find(|&i| is_time(&self.steps[i])) else {
            return;
        };
        let end = start
            + self.steps[start..]
                .iter()
                .take_while(|s| is_time(s))
                .count();
        let kinds: Vec<Mask> = self.steps[start..end]
            .iter()
            .map(|step| match *step {
                Step::Time { rank, .. } => self.kind(rank, end),
                _ => 0,
            })
            .collect();
        let mut distinct = kinds.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let before = std::mem::take(orders);
        for order in permutations(&distinct) {
            for nest in &before {
                let mut nest = nest.clone();
                let mut at: Vec<usize> = (0..end - start).collect();
                at.sort_by_key(|&i| order.iter().position(|kind| *kind == kinds[i]));
                for (to, from) in at.into_iter().enumerate() {
                    nest[start + to] = self.steps[start + from];
                }
                orders.push(nest);
            }
        }
        self.reorder(end, orders);
    }

    /// What tells a loop over `rank` in a block that ends at step `end` from others, for the nodes below.
    fn kind(&self, rank: usize, end: usize) -> Mask {
        let mut kind = 0;
        for (operand, form) in self.problem.operands.iter().enumerate() {
            let next = (end..self.steps.len()).find(|&i| match self.steps[i] {
                Step::Keep { operand: o, .. } => o == operand,
                Step::Time { rank, .. } => form.ranks >> rank & 1 == 1,
                Step::Space { .. } => false,
            });
            let Some(Step::Keep { memory, .. }) = next.map(|i| self.steps[i]) else {
                continue;
            };
            let reuses = self.problem.memories[memory].reuses_overlap;
            if reuses && form.overlaps() >> rank & 1 == 1 {
                kind |= 1 << rank;
            }
        }
        kind
    }

    /// Where the loops start that end at step `end`.
    fn block(&self, end: usize) -> usize {
        let loops = self.steps[..end]
            .iter()
            .rev()
            .take_while(|s| matches!(s, Step::Time { .. }))
            .count();
        (end - loops).max(self.given)
    }

    /// Passes the fan-outs above depth `depth`; false if there is not enough to unroll.
    fn cross(&mut self, state: &mut State, depth: usize) -> bool {
        let mut passed = Vec::new();
        for fanout in state.fanouts..depth {
            for rank in 0..self.problem.sizes.len() {
                let copies = self.split.copies[fanout][rank];
                if copies == 1 {
                    continue;
                }
                let sizes = &self.sizes[rank];
                let tile = sizes.values[state.tile[rank] as usize];
                if tile < copies {
                    return false;
                }
                let tile = tile.div_ceil(copies);
                let Some(to) = sizes.position(tile) else {
                    return false;
                };
                self.steps.push(Step::Space {
                    fanout,
                    rank,
                    copies,
                    tile,
                });
                passed.push((rank, to));
                state.tile[rank] = to;
            }
        }
        state.fanouts = depth;
        for (rank, to) in passed {
            self.set(state, rank, to);
        }
        true
    }

    /// Counts a finished nest.
    fn leaf(&mut self, state: &State) -> Option<()> {
        let mark = self.steps.len();
        let fanouts = state.fanouts..self.problem.fanouts.len();
        let mut tile: Vec<u64> = (0..self.problem.sizes.len())
            .map(|r| self.sizes[r].values[state.tile[r] as usize])
            .collect();
        for (rank, tile) in tile.iter_mut().enumerate() {
            let copies = self.split.along(rank, fanouts.clone());
            if *tile > copies {
                *tile = copies;
                self.steps.push(Step::Time { rank, tile: copies });
            }
        }
        for fanout in fanouts {
            for (rank, tile) in tile.iter_mut().enumerate() {
                let copies = self.split.copies[fanout][rank];
                if copies > 1 {
                    *tile = tile.div_ceil(copies);
                    self.steps.push(Step::Space {
                        fanout,
                        rank,
                        copies,
                        tile: *tile,
                    });
                }
            }
        }
        self.certificate.leaves += u64::from(self.scope == Scope::All);
        let traffic = &state.moves.traffic;
        let (energy, cycles) = self.form.bound(traffic, traffic, state.moves.compute);
        let bound = (energy, cycles + state.moves.ends.iter().sum::<f64>());
        let mut orders = vec![self.steps.clone()];
        // Other einsums share the order of the given loops.
        self.reorder(self.given, &mut orders);
        for nest in &orders {
            self.goal.offer(&Leaf {
                problem: self.problem,
                nest,
                bound,
                moves: state.moves,
            });
        }
        self.steps.truncate(mark);
        Some(())
    }
}

/// All orders of `kinds`, that of the list first.
fn permutations(kinds: &[Mask]) -> Vec<Vec<Mask>> {
    let Some((first, rest)) = kinds.split_first() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for order in permutations(rest) {
        for at in 0..=order.len() {
            let mut order = order.clone();
            order.insert(at, *first);
            all.push(order);
        }
    }
    all
}
