//! Exact search: depth first over canonical nests, from the outermost loop inwards, with lower bounds.
//!
//! A nest is decided in this order: what is kept where and how ranks are unrolled (a *task*, best bound first), then which
//! node comes next, then how far each of its ranks is cut in the block of loops directly above it. Four facts keep the
//! space small without losing the best (`research`: Turbo-Charged Mapper, arXiv 2602.15172):
//!
//! 1. A loop directly above a tile that it does not index can move below it: the same tile, fetched less often. So the block
//!    above a node has only ranks that index its operand.
//! 2. A loop directly below a tile that it indexes can move above it: the same traffic, a smaller tile. So the block below a
//!    node has no rank that indexes that node's operand, except where tiles overlap.
//! 3. Inside a block order does not matter, except which loop is last where overlap is retained.
//! 4. It follows from 2 that loops over ranks that index every operand, such as heads or groups, stand outside all tiles.
//! 5. Nodes without a loop between them can change places, so they come in the order of the placement.
//!
//! Traffic grows with every loop, so [`Form`] at the traffic known so far bounds all completions: a branch is cut when that
//! is no better than the best nest found, or when tiles cannot fit. Every leaf is counted by [`super::cost`].

use super::Stop;
use super::bound::{Form, MAX_NODES};
use super::certificate::{Certificate, StopReason};
use super::cost::{Cost, evaluate, extent, held_bits};
use super::goal::Goal;
use super::nest::{Copies, Nest, Step, last_loop, tile, tiles};
use super::problem::{Mask, Operand, Problem, members};
use super::space::{Node, Sizes, Split, placements, splits};

/// A nest with its cost.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) nest: Nest,
    pub(crate) cost: Cost,
}

/// There is no nest.
pub(crate) struct NoNest;

/// One choice of what is kept where and how ranks are unrolled.
struct Task {
    placement: usize,
    split: usize,
    energy: f64,
    cycles: f64,
}

/// Finds the best nests of `problem` for `goal`.
pub(crate) fn search<G: Goal>(
    problem: &Problem,
    goal: &mut G,
    stop: &mut Stop<'_>,
) -> Result<Certificate, NoNest> {
    let sizes: Vec<Sizes> = problem
        .sizes
        .iter()
        .map(|&n| Sizes::new(n, problem.model.perfect))
        .collect();
    let placements = placements(problem);
    let splits = splits(problem);
    let mut certificate = Certificate::default();
    let mut tasks = Vec::with_capacity(placements.len() * splits.len());
    for (placement, nodes) in placements.iter().enumerate() {
        assert!(
            nodes.len() <= MAX_NODES,
            "a tree has at most {MAX_NODES} kept tensors"
        );
        let least = least_traffic(problem, nodes);
        for (split, copies) in splits.iter().enumerate() {
            let (energy, cycles) = Form::new(problem, nodes, copies).least(&least);
            tasks.push(Task {
                placement,
                split,
                energy,
                cycles,
            });
        }
    }
    let rank = |task: &Task| goal.rank(task.energy, task.cycles);
    tasks.sort_by(|a, b| rank(a).partial_cmp(&rank(b)).expect("costs are numbers"));
    certificate.tasks = tasks.len() as u64;
    for (done, task) in tasks.iter().enumerate() {
        if goal.is_hopeless(task.energy, task.cycles) {
            certificate.pruned_by_bound += 1;
            continue;
        }
        let nodes = &placements[task.placement];
        let split = &splits[task.split];
        if walk(problem, &sizes, nodes, split, goal, stop, &mut certificate).is_none() {
            certificate.stop = StopReason::Stopped;
            let open = tasks[done..]
                .iter()
                .filter(|t| !goal.is_hopeless(t.energy, t.cycles));
            certificate.open_bound = open
                .map(|t| goal.rank(t.energy, t.cycles).0)
                .reduce(f64::min);
            break;
        }
    }
    if certificate.leaves == 0 && certificate.stop == StopReason::Exhausted {
        return Err(NoNest);
    }
    Ok(certificate)
}

/// Offers all nests with these nodes and this unrolling to `goal`; none if it was stopped.
pub(crate) fn walk<G: Goal>(
    problem: &Problem,
    sizes: &[Sizes],
    nodes: &[Node],
    split: &Split,
    goal: &mut G,
    stop: &mut Stop<'_>,
    certificate: &mut Certificate,
) -> Option<()> {
    let mut walk = Walk {
        problem,
        sizes,
        nodes,
        split,
        form: Form::new(problem, nodes, split),
        goal,
        stop,
        certificate,
        steps: Vec::new(),
        given: 0,
        rounds: problem.rounds(&problem.outer) as f64,
    };
    walk.start()
}

/// What no loops can avoid.
pub(crate) fn least_traffic(problem: &Problem, nodes: &[Node]) -> Vec<f64> {
    let least = |node: &Node| match node.parent {
        Some(_) => problem.operands[node.operand]
            .dimensions
            .iter()
            .map(|d| least_swept(problem, d, &|_| 1.0))
            .product(),
        None => 0.0,
    };
    nodes.iter().map(least).collect()
}

/// The extents of a dimension of strided or sliding indices, summed over tiles of which rank `r` has `n(r)`.
fn swept(problem: &Problem, terms: &[(u64, usize)], n: &dyn Fn(usize) -> f64) -> f64 {
    let all: f64 = terms.iter().map(|(_, rank)| n(*rank)).product();
    let reach = |(factor, rank): &(u64, usize)| {
        *factor as f64 * (problem.sizes[*rank] as f64 - n(*rank)) * (all / n(*rank))
    };
    all + terms.iter().map(reach).sum::<f64>()
}

/// The least of it for at least `n(r)` tiles: it is linear in each number, so one of the ends is the least.
fn least_swept(problem: &Problem, terms: &[(u64, usize)], n: &dyn Fn(usize) -> f64) -> f64 {
    let corner = |corner: usize| {
        swept(problem, terms, &|rank| {
            let at = terms
                .iter()
                .position(|(_, r)| *r == rank)
                .expect("a term's rank");
            if corner >> at & 1 == 1 {
                problem.sizes[rank] as f64
            } else {
                n(rank)
            }
        })
    };
    (0..1 << terms.len())
        .map(corner)
        .fold(f64::INFINITY, f64::min)
}

/// A partial nest.
#[derive(Clone, Copy)]
struct State {
    /// The tile at hand of each rank, by its position among the sizes.
    tile: [u16; ir::workload::MAX_RANKS],
    /// At least how often each rank's loops in time run.
    counts: [f64; ir::workload::MAX_RANKS],
    /// The traffic of placed nodes, and a lower bound for the others.
    traffic: [f64; MAX_NODES],
    /// At least the cycles of compute.
    compute: f64,
    /// Cycles in which the first tiles of placed nodes arrive, or the last leave.
    ends: f64,
    placed: Mask,
    /// Fan-outs passed.
    fanouts: usize,
    /// Ranks that index a node directly above, with nothing between, and so belong above it.
    above: Mask,
    /// The node placed last if no loop came since, for the order of nodes without loops between.
    last: Option<usize>,
}

struct Walk<'a, 's, G> {
    problem: &'a Problem,
    sizes: &'a [Sizes],
    nodes: &'a [Node],
    split: &'a Split,
    form: Form,
    goal: &'a mut G,
    stop: &'a mut Stop<'s>,
    certificate: &'a mut Certificate,
    steps: Vec<Step>,
    /// How many of the steps are given.
    given: usize,
    /// Iterations of shared loops.
    rounds: f64,
}

impl<G: Goal> Walk<'_, '_, G> {
    /// Walks all nests of the task; none if it was stopped.
    fn start(&mut self) -> Option<()> {
        let mut state = State {
            tile: [0; ir::workload::MAX_RANKS],
            counts: [1.0; ir::workload::MAX_RANKS],
            traffic: [0.0; MAX_NODES],
            compute: self.form.compute,
            ends: 0.0,
            placed: 0,
            fanouts: 0,
            above: 0,
            last: None,
        };
        for (index, traffic) in least_traffic(self.problem, self.nodes)
            .into_iter()
            .enumerate()
        {
            state.traffic[index] = traffic;
            let node = self.nodes[index];
            if node.parent.is_none() && node.memory == 0 {
                state.placed |= 1 << index;
                let Node {
                    memory, operand, ..
                } = node;
                self.steps.push(Step::Keep { memory, operand });
            }
        }
        for step in &self.problem.outer {
            self.give(&mut state, *step);
        }
        self.given = self.steps.len();
        if self.is_hopeless(&state) {
            self.certificate.pruned_by_bound += 1;
            return Some(());
        }
        self.cut_common_ranks(&mut state);
        self.next(&state)
    }

    /// Takes a step that is given.
    fn give(&mut self, state: &mut State, step: Step) {
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
                        let values = self.values(state, index, least_swept);
                        state.traffic[index] = self.repeats(state, index) * values;
                    }
                    let bits = self.least_bits(state, index, 0, false);
                    let rounds: f64 = state.counts.iter().product();
                    state.ends += rounds * self.form.ends(memory, bits);
                }
            }
            Step::Space { .. } => unreachable!("only loops in time are shared"),
        }
        self.steps.push(step);
    }

    /// Cuts ranks that index every operand as far as they are not unrolled.
    fn cut_common_ranks(&mut self, state: &mut State) {
        let common = |mask: Mask, operand: &Operand| mask & operand.ranks & !operand.sliding;
        let common = self.problem.operands.iter().fold(Mask::MAX, common);
        for rank in members(common) {
            let tile = self.split.along(rank, 0..self.problem.fanouts.len());
            // Copies of several fan-outs together need not be a possible size.
            let values = &self.sizes[rank].values;
            let to = values
                .partition_point(|value| *value >= tile)
                .saturating_sub(1);
            let tile = values[to];
            if to as u16 > state.tile[rank] {
                self.set(state, rank, to as u16);
                self.steps.push(Step::Time { rank, tile });
            }
        }
        state.above = common;
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
            let ranks = self.problem.operands[node.operand].ranks & !state.above;
            let room = self.room(node.memory);
            if self.least_bits(state, index, ranks, false) > room {
                self.certificate.pruned_by_capacity += 1;
                continue;
            }
            let mark = self.steps.len();
            self.cut(state, index, ranks, room)?;
            self.steps.truncate(mark);
        }
        Some(())
    }

    /// Chooses how far the first of `ranks` is cut in the block above node `index`, then the others.
    ///
    /// `room` is what its memory has left, in bits.
    fn cut(&mut self, state: &State, index: usize, ranks: Mask, room: u64) -> Option<()> {
        self.certificate.nodes += 1;
        if self.certificate.nodes.is_multiple_of(1024) && (self.stop)(self.certificate.nodes) {
            return None;
        }
        if ranks == 0 {
            return self.place(state, index, room);
        }
        let rank = ranks.trailing_zeros() as usize;
        let rest = ranks & (ranks - 1);
        if self.least_bits(state, index, rest, false) <= room {
            self.cut(state, index, rest, room)?;
        }
        let sizes = &self.sizes[rank];
        let least = self
            .split
            .along(rank, state.fanouts..self.problem.fanouts.len());
        let cuts = &sizes.cuts[state.tile[rank] as usize];
        let mut cut = *state;
        // Smaller tiles take less room, and make more traffic.
        let fitting = cuts.partition_point(|to| {
            cut.tile[rank] = *to;
            self.least_bits(&cut, index, rest, true) > room
        });
        self.certificate.pruned_by_capacity += u64::from(fitting > 0);
        let mark = self.steps.len();
        for &to in &cuts[fitting..] {
            if sizes.values[to as usize] < least {
                break;
            }
            let mut state = *state;
            self.set(&mut state, rank, to);
            if self.is_hopeless(&state) {
                self.certificate.pruned_by_bound += 1;
                break;
            }
            self.steps.push(Step::Time {
                rank,
                tile: sizes.values[to as usize],
            });
            self.cut(&state, index, rest, room)?;
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
        let node = self.nodes[index];
        let below = self.problem.memories[node.memory].below_fanouts;
        let fanouts = self.problem.fanouts.len();
        let size = |rank: usize| {
            let copies = self.split.along(rank, state.fanouts..below);
            let least = self.split.along(rank, below..fanouts);
            let tile = self.sizes[rank].values[state.tile[rank] as usize].div_ceil(copies);
            if ranks >> rank & 1 == 1 { least } else { tile }
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
                state.traffic[index] *= ratio;
            } else if operand.sliding >> rank & 1 == 1
                && !self.problem.memories[node.memory].reuses_overlap
            {
                state.traffic[index] =
                    self.repeats(state, index) * self.values(state, index, least_swept);
            }
        }
    }

    /// How often loops over other ranks repeat the fills of node `index`.
    fn repeats(&self, state: &State, index: usize) -> f64 {
        let ranks = self.problem.operands[self.nodes[index].operand].ranks;
        let others = (0..self.problem.sizes.len()).filter(|rank| ranks >> rank & 1 == 0);
        others.map(|rank| state.counts[rank]).product()
    }

    /// The values of all tiles of node `index`, with `swept` for dimensions of several ranks.
    fn values(
        &self,
        state: &State,
        index: usize,
        swept: impl Fn(&Problem, &[(u64, usize)], &dyn Fn(usize) -> f64) -> f64,
    ) -> f64 {
        let n = |rank: usize| self.sizes[rank].counts[state.tile[rank] as usize];
        let dimension = |terms: &Vec<(u64, usize)>| match terms.as_slice() {
            [(_, rank)] => self.problem.sizes[*rank] as f64,
            terms => swept(self.problem, terms, &n),
        };
        self.problem.operands[self.nodes[index].operand]
            .dimensions
            .iter()
            .map(dimension)
            .product()
    }

    fn is_hopeless(&self, state: &State) -> bool {
        let traffic = &state.traffic[..self.nodes.len()];
        let (energy, cycles) = self.form.bound(traffic, state.compute);
        self.goal.is_hopeless(energy, cycles + state.ends)
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
        let block = self.block(mark);
        let crosses = state.fanouts < memory.below_fanouts;
        if crosses && !self.cross(&mut state, memory.below_fanouts) {
            return Some(());
        }
        let sliding = self.problem.operands[node.operand].sliding;
        if sliding != 0 {
            let values = if memory.reuses_overlap {
                self.retain(&state, index, block..mark)
            } else {
                self.values(&state, index, swept)
            };
            state.traffic[index] = self.repeats(&state, index) * values;
        }
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
        state.placed |= 1 << index;
        let one = if changes {
            bits / self.problem.buffers(node.memory)
        } else {
            bits
        };
        state.ends += self.rounds * self.form.ends(node.memory, one);
        if self.is_hopeless(&state) {
            self.certificate.pruned_by_bound += 1;
        } else {
            let plain = self.problem.operands[node.operand].ranks & !sliding;
            // Nodes without a loop between them could also change places.
            state.above = if follows && !crosses && !self.problem.model.ordered {
                state.above | plain
            } else {
                plain
            };
            state.last = Some(index);
            self.next(&state)?;
        }
        self.steps.truncate(mark);
        Some(())
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
        if depth == self.problem.fanouts.len() && self.problem.lanes.is_none() {
            let steps = |rank| {
                tiles(self.problem, rank, &self.steps, |_| true, |_| Copies::First).sum as f64
            };
            state.compute = (0..self.problem.sizes.len()).map(steps).product();
        }
        for (rank, to) in passed {
            self.set(state, rank, to);
        }
        true
    }

    /// The values of all tiles of node `index`, with the loop of its block last that saves most of what overlaps.
    fn retain(&mut self, state: &State, index: usize, block: std::ops::Range<usize>) -> f64 {
        let operand = &self.problem.operands[self.nodes[index].operand];
        let mut best = (self.values(state, index, swept), None);
        let before = tile(self.problem, &self.steps[..block.start]);
        for at in block.clone() {
            let Step::Time { rank, .. } = self.steps[at] else {
                continue;
            };
            let unrolled = self.steps[block.end..]
                .iter()
                .any(|s| matches!(s, Step::Space { rank: r, .. } if *r == rank));
            if operand.sliding >> rank & 1 == 0 || unrolled {
                continue;
            }
            let without = self.problem.sizes[rank].div_ceil(before[rank]) as f64;
            let values = self.values(state, index, |problem, terms, n| {
                swept(problem, terms, &|r| if r == rank { without } else { n(r) })
            });
            if values < best.0 {
                best = (values, Some(at));
            }
        }
        if let Some(at) = best.1 {
            self.steps[at..block.end].rotate_left(1);
        }
        best.0
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
        self.certificate.leaves += 1;
        let nest = self.steps.clone();
        let cost = evaluate(self.problem, &nest);
        let held = held_bits(self.problem, &cost.accesses);
        let fits = self
            .problem
            .memories
            .iter()
            .zip(held)
            .all(|(m, held)| m.size_bits.is_none_or(|size| held <= size));
        assert!(fits, "a nest that is walked to its end fits");
        self.goal.offer(Point { nest, cost });
        self.steps.truncate(mark);
        Some(())
    }
}
