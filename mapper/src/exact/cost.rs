//! What a loop nest costs: accesses of every memory, energy and cycles.
//!
//! Each operand moves between the memories that keep it, outermost to innermost, and compute. What is counted for a
//! memory `below` and the one `above` it:
//!
//! - *fills*: values written below. A tile is fetched anew whenever a loop over one of its ranks moves on; loops over other
//!   ranks repeat that, but for those directly above the tile, which find it in place. A fan-out, or a memory that stands
//!   above one, is not passed: loops outside of it fetch again what is inside.
//! - *reads* above: the same, but copies that want the same value share one read where the fan-out delivers to all.
//! - Outputs go the other way: *drains* below and writes above; a tile that comes back is filled with what it had.
//!   Only the innermost memory adds: it reads the old value for each term but a first one.
//!
//! Sizes of edge tiles are exact. Energy is bits times energy per bit. Cycles are those of the busiest of compute and all
//! ports, where each copy of a memory has its own; see [`super::Model`] for what comes on top.

use serde::{Deserialize, Serialize};

use super::nest::{Cuts, Pieces, Step, Tiles, cuts, last_loop, last_shared, parent, tile, tiles};
use super::problem::{Mask, Problem};

/// Values that move in and out of one memory for one operand, over all copies or for the busiest copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// Values written from above: inputs, and sums that come back.
    pub fills: u64,
    /// Values read for what is below.
    pub reads: u64,
    /// Results written from below.
    pub updates: u64,
    /// Old values read to add to.
    pub add_reads: u64,
    /// Results read to be written above.
    pub drains: u64,
    /// Those of `updates` that are complete.
    pub complete: u64,
}

/// What one memory does for one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Position of the memory among the memories of the tree.
    pub memory: usize,
    /// Position of the operand in the einsum.
    pub operand: usize,
    /// Over all copies of the memory.
    pub total: Moves,
    /// Of the busiest copy.
    pub busiest: Moves,
    /// Values of the largest tile.
    pub tile_values: u64,
    /// Whether other tiles follow the first.
    pub changes: bool,
}

/// What a nest costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Picojoules in all.
    pub energy_pj: f64,
    /// Cycles in all.
    pub cycles: f64,
    /// Cycles in which compute works.
    pub compute_cycles: u64,
    /// Bits that the outermost memory reads and writes.
    pub outermost_bits: u64,
    /// What binds: the position of the memory whose port is busiest, or none where compute is.
    pub busiest_port: Option<usize>,
    /// What each memory does for each operand, in the order of the nest.
    pub accesses: Vec<Access>,
}

impl Cost {
    /// Energy times delay, in pJ x cycles.
    pub fn energy_delay(&self) -> f64 {
        self.energy_pj * self.cycles
    }
}

/// Counts what `nest` does.
pub(crate) fn evaluate(problem: &Problem, nest: &[Step]) -> Cost {
    let mut accesses = Vec::new();
    let mut rounds = Vec::new();
    let shared = last_shared(problem, nest).map_or(0, |last| last + 1);
    for (at, step) in nest.iter().enumerate() {
        if let Step::Keep { memory, operand } = *step {
            accesses.push(access(problem, nest, at, memory, operand));
            rounds.push(problem.rounds(&nest[..at.min(shared)]));
        }
    }
    let all_rounds = problem.rounds(&problem.outer);
    let compute_cycles = match problem.lanes {
        Some(lanes) => all_rounds * (problem.n_operations() / all_rounds).div_ceil(lanes),
        None => (0..problem.sizes.len())
            .map(|rank| tiles(problem, rank, nest, |_| Pieces::All, |_| Pieces::First).count)
            .product(),
    };
    let mut energy_pj = problem.n_operations() as f64 * problem.pj_per_operation;
    let mut outermost_bits = 0;
    for access in &accesses {
        let memory = &problem.memories[access.memory];
        let (reads, writes) = (
            read_bits(problem, access, &access.total),
            write_bits(problem, access, &access.total),
        );
        energy_pj += reads as f64 * memory.read_pj + writes as f64 * memory.write_pj;
        outermost_bits += if access.memory == 0 {
            reads + writes
        } else {
            0
        };
    }
    let mut cost = Cost {
        energy_pj,
        cycles: 0.0,
        compute_cycles,
        outermost_bits,
        busiest_port: None,
        accesses,
    };
    latency(problem, &rounds, &mut cost);
    cost
}

/// The bits of the tiles that each sized memory holds at once.
pub(crate) fn held_bits(problem: &Problem, accesses: &[Access]) -> Vec<u64> {
    let mut held = vec![0; problem.memories.len()];
    for access in accesses {
        held[access.memory] += problem.held_bits(
            access.memory,
            access.operand,
            access.tile_values,
            access.changes,
        );
    }
    held
}

pub(crate) fn read_bits(problem: &Problem, access: &Access, moves: &Moves) -> u64 {
    let width = problem.memories[access.memory].bits[access.operand];
    let partial = if problem.operands[access.operand].is_output {
        spilled(problem, width)
    } else {
        width.partial
    };
    moves.reads * partial + (moves.add_reads + moves.drains) * width.partial
}

pub(crate) fn write_bits(problem: &Problem, access: &Access, moves: &Moves) -> u64 {
    let width = problem.memories[access.memory].bits[access.operand];
    moves.fills * width.partial
        + moves.complete * width.complete
        + (moves.updates - moves.complete) * spilled(problem, width)
}

/// Bits of a sum that is not complete, in a memory that also keeps complete ones.
fn spilled(problem: &Problem, width: super::problem::Width) -> u64 {
    if problem.model.wide_spills {
        width.partial
    } else {
        width.complete
    }
}

fn access(problem: &Problem, nest: &[Step], at: usize, memory: usize, operand: usize) -> Access {
    let below = (at + 1..nest.len())
        .find(|&i| matches!(nest[i], Step::Keep { operand: o, .. } if o == operand));
    let outermost = parent(&nest[..at], operand).is_none();
    let of = |copies: Pieces| {
        let here = moved(problem, nest, operand, Some(at), copies, false);
        let up = |at| moved(problem, nest, operand, at, copies, true);
        let mut moves = Moves::default();
        if problem.operands[operand].is_output {
            let starts = starts(problem, nest, operand, at, copies);
            moves.updates = up(below);
            if outermost {
                moves.complete = starts;
            } else {
                moves.fills = here - starts;
                moves.drains = here;
            }
            let inside = &nest[at..below.unwrap_or(nest.len())];
            let first = starts * first_terms(problem, inside, operand);
            let again = moves.updates.saturating_sub(first);
            match below {
                Some(_) => moves.reads = again,
                None => moves.add_reads = again,
            }
        } else {
            moves.fills = if outermost { 0 } else { here };
            moves.reads = up(below);
        }
        moves
    };
    let tile = tile(problem, &nest[..at]);
    Access {
        memory,
        operand,
        total: of(Pieces::All),
        busiest: of(Pieces::First),
        tile_values: extent(problem, operand, &tile),
        // What einsums exchange is not filled while it is used.
        changes: !outermost && last_loop(&nest[..at], problem.operands[operand].ranks).is_some(),
    }
}

/// The sums that start in the tiles of step `at`: all others come back from above.
///
/// Of copies that are summed on the way up, one gets what there was, and the others start anew; where first terms are free,
/// all of them get it, but for the first time.
fn starts(problem: &Problem, nest: &[Step], operand: usize, at: usize, copies: Pieces) -> u64 {
    match (copies, parent(&nest[..at], operand)) {
        // Of copies that take turns, the last starts the sums: the first has the most to do.
        (Pieces::First | Pieces::Whole, _)
            if !problem.model.free_first_terms && takes_turns(problem, &nest[..at], operand) =>
        {
            0
        }
        (Pieces::First | Pieces::Whole, _) => distinct(problem, nest, operand, at),
        (Pieces::All, _) if problem.model.free_first_terms => {
            let copies = nest[..at].iter().map(|step| match *step {
                Step::Space { rank, copies, .. }
                    if problem.operands[operand].ranks >> rank & 1 == 0 =>
                {
                    copies
                }
                _ => 1,
            });
            problem.operands[operand].n_values * copies.product::<u64>()
        }
        (Pieces::All, None) => problem.operands[operand].n_values,
        (Pieces::All, Some(above)) => {
            let all = |shared| moved(problem, nest, operand, Some(at), copies, shared);
            all(false) - (all(true) - starts(problem, nest, operand, above, copies))
        }
    }
}

/// Whether copies add to the same sums one after the other, because they are not summed on the way up.
fn takes_turns(problem: &Problem, above: &[Step], operand: usize) -> bool {
    above.iter().any(|step| {
        matches!(*step, Step::Space { fanout, rank, copies, .. }
            if copies > 1
                && problem.operands[operand].ranks >> rank & 1 == 0
                && problem.fanouts[fanout].shares >> operand & 1 == 0)
    })
}

/// Terms that start a sum: one, or one of each copy below that is not summed on the way up.
fn first_terms(problem: &Problem, below: &[Step], operand: usize) -> u64 {
    let apart = |step: &Step| match *step {
        Step::Space {
            fanout,
            rank,
            copies,
            ..
        } => {
            let indexes = problem.operands[operand].ranks >> rank & 1 == 1;
            let sums = problem.fanouts[fanout].shares >> operand & 1 == 1;
            if indexes || sums { 1 } else { copies }
        }
        _ => 1,
    };
    if problem.model.free_first_terms {
        below.iter().map(apart).product()
    } else {
        1
    }
}

/// The values of a tile of `operand`.
pub(crate) fn extent(problem: &Problem, operand: usize, tile: &[u64]) -> u64 {
    let reach =
        |terms: &Vec<(u64, usize)>| terms.iter().map(|(f, r)| f * (tile[*r] - 1)).sum::<u64>() + 1;
    problem.operands[operand]
        .dimensions
        .iter()
        .map(reach)
        .product()
}

/// The values that all tiles of the operand kept at step `at` have together, over all copies.
pub(crate) fn fills(problem: &Problem, nest: &[Step], at: usize) -> u64 {
    match nest[at] {
        Step::Keep { operand, .. } => moved(problem, nest, operand, Some(at), Pieces::All, false),
        _ => 0,
    }
}

/// The same as the memory above sees them: copies that share a value count once.
pub(crate) fn seen(problem: &Problem, nest: &[Step], at: usize) -> u64 {
    match nest[at] {
        Step::Keep { operand, .. } => moved(problem, nest, operand, Some(at), Pieces::All, true),
        _ => 0,
    }
}

/// The values that move into the tile of `operand` at step `at`, or to compute where there is no step.
///
/// `outer` says how copies of the memory are counted; with `shared`, the copies between it and the memory above count once
/// for values that all of them want, which is what the memory above sees.
fn moved(
    problem: &Problem,
    nest: &[Step],
    operand: usize,
    at: Option<usize>,
    outer: Pieces,
    shared: bool,
) -> u64 {
    let end = at.unwrap_or(nest.len());
    let form = &problem.operands[operand];
    let last = match at {
        // With a given order of memories there is no better place for a loop that fetches again for nothing.
        // Other einsums need the memory between iterations of shared loops.
        Some(at) if !problem.model.ordered => {
            let indexing = last_loop(&nest[..at], form.ranks);
            let outside = last_loop(&nest[..level(problem, nest, at)], Mask::MAX);
            let shared = last_shared(problem, nest).filter(|shared| *shared < at);
            indexing.max(outside).max(shared)
        }
        // Compute asks again for each operation.
        _ => end.checked_sub(1),
    };
    let parent_fanouts = match parent(&nest[..end], operand).map(|p| nest[p]) {
        Some(Step::Keep { memory, .. }) => problem.memories[memory].below_fanouts,
        _ => 0,
    };
    let between = |fanout: usize| fanout >= parent_fanouts;
    let indexing = |fanout: usize| {
        if shared && between(fanout) {
            Pieces::All
        } else {
            outer
        }
    };
    let other = |fanout: usize| {
        if shared && between(fanout) {
            if problem.fanouts[fanout].shares >> operand & 1 == 1 {
                Pieces::First
            } else {
                Pieces::All
            }
        } else {
            outer
        }
    };
    let repeats: u64 = (0..problem.sizes.len())
        .filter(|rank| form.ranks >> rank & 1 == 0)
        .map(|rank| {
            tiles(
                problem,
                rank,
                &nest[..end],
                // Loops directly above find the tile in place.
                |at| {
                    if last.is_some_and(|last| at <= last) {
                        Pieces::All
                    } else {
                        Pieces::First
                    }
                },
                other,
            )
            .count
        })
        .product();
    let retained = at.and_then(|at| retained(problem, nest, operand, at, last));
    let values: u64 = form
        .dimensions
        .iter()
        .map(|terms| {
            if let ([(_, rank)], Pieces::All) = (terms.as_slice(), outer) {
                // All pieces of a rank are the rank, however it is cut.
                return problem.sizes[*rank];
            }
            let sizes = |rank: usize| {
                let trips = |at| {
                    if Some(at) == retained {
                        Pieces::Whole
                    } else {
                        Pieces::All
                    }
                };
                cuts(problem, rank, &nest[..end], trips, indexing)
            };
            match retained.map(|at| nest[at]) {
                Some(Step::Time { rank, tile }) if terms.iter().any(|(_, r)| *r == rank) => {
                    slid(terms, rank, tile, sizes)
                }
                _ => swept(terms, sizes),
            }
        })
        .product();
    repeats * values
}

/// The step below which nothing above step `at` stands further outside than its memory: no fan-out, no memory above one.
fn level(problem: &Problem, nest: &[Step], at: usize) -> usize {
    let depth = |memory: usize| problem.memories[memory].below_fanouts;
    let Step::Keep { memory: here, .. } = nest[at] else {
        return 0;
    };
    let is_outside = |step: &Step| match *step {
        Step::Keep { memory, .. } => depth(memory) < depth(here),
        Step::Space { .. } => true,
        Step::Time { .. } => false,
    };
    nest[..at].iter().rposition(is_outside).unwrap_or(0)
}

/// The loop whose consecutive tiles overlap and whose overlap stays in the memory, if there is such a loop.
fn retained(
    problem: &Problem,
    nest: &[Step],
    operand: usize,
    at: usize,
    last: Option<usize>,
) -> Option<usize> {
    let Step::Keep { memory, .. } = nest[at] else {
        return None;
    };
    let last = last_loop(&nest[..last? + 1], Mask::MAX)?;
    if last_shared(problem, nest).is_some_and(|shared| last <= shared && shared < at) {
        return None;
    }
    let Step::Time { rank, .. } = nest[last] else {
        return None;
    };
    let slides = problem.operands[operand].overlaps() >> rank & 1 == 1;
    let unrolled = nest[last..at]
        .iter()
        .any(|s| matches!(s, Step::Space { rank: r, .. } if *r == rank));
    (problem.memories[memory].reuses_overlap && slides && !unrolled).then_some(last)
}

/// The extents of a dimension, summed over all tiles of its ranks.
fn swept(terms: &[(u64, usize)], sizes: impl Fn(usize) -> Cuts) -> u64 {
    if let [(_, only)] = terms {
        return sizes(*only).tiles().sum;
    }
    let tiles: Vec<Tiles> = terms.iter().map(|(_, rank)| sizes(*rank).tiles()).collect();
    let all: u64 = tiles.iter().map(|t| t.count).product();
    let reach =
        |((factor, _), t): (&(u64, usize), &Tiles)| factor * (t.sum - t.count) * (all / t.count);
    all + terms.iter().zip(&tiles).map(reach).sum::<u64>()
}

/// The same where tiles slide in steps of `step` of `rank` over what is not cut, and keep what neighbours share, if
/// they reach so far.
fn slid(terms: &[(u64, usize)], rank: usize, step: u64, sizes: impl Fn(usize) -> Cuts) -> u64 {
    // How far all other ranks reach, with how often.
    let mut others = vec![(0, 1)];
    let mut factor = 1;
    for (f, other) in terms {
        if *other == rank {
            factor = *f;
            continue;
        }
        let pieces = sizes(*other);
        let with = |&(reach, n): &(u64, u64)| {
            let add = move |&(size, m): &(u64, u64)| (reach + f * (size - 1), n * m);
            pieces.all().iter().map(add)
        };
        others = others.iter().flat_map(with).collect();
    }
    let mut values = 0;
    for &(size, n) in sizes(rank).all() {
        for (reach, m) in &others {
            let steps = size.div_ceil(step);
            let joined = factor * (size - 1) + reach + 1;
            let apart = factor * (size - steps) + steps * (reach + 1);
            values += n * m * joined.min(apart);
        }
    }
    values
}

/// The different values of an output that pass the first copy of the memory of step `at`.
fn distinct(problem: &Problem, nest: &[Step], operand: usize, at: usize) -> u64 {
    let size = |terms: &Vec<(u64, usize)>| {
        let sum = |(factor, rank): &(u64, usize)| {
            let all = |_| Pieces::All;
            let tiles = tiles(problem, *rank, &nest[..at], all, |_| Pieces::First);
            factor * (tiles.sum - 1)
        };
        terms.iter().map(sum).sum::<u64>() + 1
    };
    problem.operands[operand]
        .dimensions
        .iter()
        .map(size)
        .product()
}

/// Fills in the cycles; the tiles of access `i` are new in `rounds[i]` iterations of shared loops.
fn latency(problem: &Problem, rounds: &[u64], cost: &mut Cost) {
    let mut busiest = cost.compute_cycles as f64;
    let mut exposed = 0.0;
    let mut ends = 0.0;
    for (index, memory) in problem.memories.iter().enumerate() {
        let mine = || cost.accesses.iter().filter(|a| a.memory == index);
        let reads: u64 = mine().map(|a| read_bits(problem, a, &a.busiest)).sum();
        let writes: u64 = mine().map(|a| write_bits(problem, a, &a.busiest)).sum();
        for port in &memory.ports {
            let bits = if port.reads { reads } else { 0 } + if port.writes { writes } else { 0 };
            let cycles = bits as f64 / port.bits_per_cycle;
            if cycles > busiest {
                (busiest, cost.busiest_port) = (cycles, Some(index));
            }
        }
        if problem.model.phases {
            let first: u64 = cost
                .accesses
                .iter()
                .zip(rounds)
                .filter(|(a, _)| a.memory == index && a.memory > problem.operands[a.operand].root)
                .map(|(a, rounds)| rounds * a.tile_values * memory.bits[a.operand].partial)
                .sum();
            let write = memory.write_bits_per_cycle();
            if write > 0.0 {
                ends += first as f64 / write;
                if memory.size_bits.is_some() && !memory.double_buffered {
                    let fills: u64 = mine()
                        .map(|a| a.busiest.fills * memory.bits[a.operand].partial)
                        .sum();
                    exposed += fills as f64 / write;
                }
            }
        }
    }
    cost.cycles = busiest.max(cost.compute_cycles as f64 + exposed) + ends;
}
