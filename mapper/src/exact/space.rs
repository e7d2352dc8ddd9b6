//! The mapspace: which memories keep what, how ranks are unrolled, and the sizes that tiles can have.
//!
//! A loop cuts a tile of `t` into `f` pieces of `ceil(t / f)`, the last of which may be smaller. So every tile of a rank of
//! bound `N` is one of the `O(2 sqrt N)` values `ceil(N / k)`, which are closed under cutting; with perfect factors it is
//! one of the divisors of `N`. The innermost loop alone goes by as much as all copies take at once, whatever size that is.

use ir::fit::Fit;
use std::collections::BTreeSet;
use std::ops::Range;

use ir::workload::MAX_RANKS;

use super::problem::{Mask, Problem, members};
use super::{Steps, Stop};

/// The tile sizes of one rank.
pub(crate) struct Sizes {
    /// From the bound down to 1.
    pub(crate) values: Vec<u64>,
    /// For each size the positions of the smaller ones that one loop makes of it, larger ones first.
    pub(crate) cuts: Vec<Vec<u16>>,
    /// For each size, how many tiles at least there are.
    pub(crate) counts: Vec<f64>,
}

impl Sizes {
    pub(crate) fn new(bound: u64, perfect: bool) -> Sizes {
        let values: Vec<u64> = pieces(bound, perfect).collect();
        let position = |size: u64| {
            values
                .binary_search_by(|v| size.cmp(v))
                .expect("sizes are closed under cutting")
                .fit::<u16>()
        };
        let cuts = values
            .iter()
            .map(|&v| pieces(v, perfect).skip(1).map(position).collect())
            .collect();
        let counts = values.iter().map(|&v| bound.div_ceil(v) as f64).collect();
        Sizes {
            values,
            cuts,
            counts,
        }
    }

    pub(crate) fn position(&self, size: u64) -> Option<u16> {
        self.values
            .binary_search_by(|v| size.cmp(v))
            .ok()
            .map(|at| at.fit::<u16>())
    }
}

/// The sizes of pieces that a tile of `size` can be cut into, itself first.
fn pieces(size: u64, perfect: bool) -> impl Iterator<Item = u64> {
    let next = move |piece: &u64| match piece {
        1 => None,
        // That of the least number of pieces that makes them smaller.
        _ => Some(size.div_ceil(size.div_ceil(piece - 1))),
    };
    let divides = move |piece: &u64| !perfect || size.is_multiple_of(*piece);
    std::iter::successors(Some(size), next).filter(divides)
}

/// A memory that keeps an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) operand: usize,
    pub(crate) memory: usize,
    /// The position of the node above it of the same operand; none for the outermost memory.
    pub(crate) parent: Option<usize>,
    /// Whether compute is next below it.
    pub(crate) is_lowest: bool,
}

/// All choices of what is kept where: outermost memories first, each list ordered so that parents come before children.
pub(crate) fn placements(problem: &Problem) -> impl Iterator<Item = Vec<Node>> {
    let optional: Vec<(usize, usize)> = (0..problem.memories.len())
        .flat_map(|m| members(problem.memories[m].may_bypass).map(move |o| (m, o)))
        .filter(|(_, o)| *o < problem.operands.len())
        .collect();
    (0..1u32 << optional.len()).map(move |passed| placement(problem, &optional, passed))
}

fn placement(problem: &Problem, optional: &[(usize, usize)], passed: Mask) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for (memory, keeps) in problem.memories.iter().map(|m| m.keeps).enumerate() {
        for operand in members(keeps) {
            let at = optional.iter().position(|pair| *pair == (memory, operand));
            if at.is_some_and(|at| passed >> at & 1 == 1) {
                continue;
            }
            let parent = nodes.iter().rposition(|node| node.operand == operand);
            if let Some(parent) = parent {
                nodes[parent].is_lowest = false;
            }
            nodes.push(Node {
                operand,
                memory,
                parent,
                is_lowest: true,
            });
        }
    }
    nodes
}

/// How ranks are unrolled: for each fan-out the number of copies in use along each rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) copies: Vec<[u64; MAX_RANKS]>,
}

impl Split {
    /// The copies along `rank` of all fan-outs in `fanouts`.
    pub(crate) fn along(&self, rank: usize, fanouts: Range<usize>) -> u64 {
        self.copies[fanouts]
            .iter()
            .map(|copies| copies[rank])
            .product()
    }

    /// For each fan-out the smallest tile of each rank above it that all copies below have a part of, where each cuts as
    /// evenly as it can; last the tile of one value below all of them.
    pub(crate) fn least_tiles(&self) -> Vec<[u64; MAX_RANKS]> {
        let mut tiles = vec![[1; MAX_RANKS]; self.copies.len() + 1];
        for (fanout, copies) in self.copies.iter().enumerate().rev() {
            for (rank, copies) in copies.iter().enumerate() {
                let inside = tiles[fanout + 1][rank];
                tiles[fanout][rank] = (*copies).max(copies * (inside - 1) + 1);
            }
        }
        tiles
    }

    /// The copies in use of all fan-outs in `fanouts`.
    pub(crate) fn used(&self, fanouts: Range<usize>) -> u64 {
        self.copies[fanouts].iter().flatten().product()
    }
}

/// All ways to unroll; none if it was stopped.
///
/// Neighbouring fan-outs that share alike are one to everything above and below: only the copies along each rank count.
pub(crate) fn splits(problem: &Problem, stop: &mut Stop) -> Option<Vec<Split>> {
    Found::all(problem, Vec::new(), false, stop)
}

/// Those of them that differ in what they cost; none if it was stopped.
///
/// - If the einsum stays the same when ranks change places, such as rows and columns of an image together with those of
///   its filter, so do the best nests of a split: of splits that are the same but for names, one is enough.
/// - More copies than a rank is long are as many as it is long, since tiles above are whole then: two neighbouring
///   fan-outs have less than `2 t` copies for a tile of `t`, and all but the whole are at most half of it, rounded up.
///   Each copy that starts sums of its own must count for that.
pub(crate) fn distinct_splits(problem: &Problem, stop: &mut Stop) -> Option<Vec<Split>> {
    let mut renamings = Vec::new();
    renamings_from(problem, &mut Vec::new(), &mut renamings);
    Found::all(problem, renamings, !problem.model.free_first_terms, stop)
}

struct Found {
    splits: Vec<Split>,
    seen: BTreeSet<Vec<[u64; MAX_RANKS]>>,
    /// Ranges of neighbouring fan-outs that share alike.
    alike: Vec<Range<usize>>,
    /// Ways to change ranks that change nothing.
    renamings: Vec<Vec<usize>>,
    /// Whether copies beyond the length of a rank do not count.
    joins: bool,
}

impl Found {
    fn all(
        problem: &Problem,
        renamings: Vec<Vec<usize>>,
        joins: bool,
        stop: &mut Stop,
    ) -> Option<Vec<Split>> {
        let mut found = Found {
            splits: Vec::new(),
            seen: BTreeSet::new(),
            alike: alike(problem),
            renamings,
            joins,
        };
        let mut split = Split {
            copies: vec![[1; MAX_RANKS]; problem.fanouts.len()],
        };
        let mut left = problem.sizes.clone();
        let room = problem.fanouts.first().map_or(1, |f| f.size);
        let mut steps = Steps::new(0, stop);
        let mut ways = Ways {
            problem,
            found: &mut found,
            steps: &mut steps,
        };
        ways.unroll(0, 0, room, &mut left, &mut split)?;
        Some(found.splits)
    }

    fn add(&mut self, problem: &Problem, split: &Split) {
        let along = |fanouts: &Range<usize>, rank| split.along(rank, fanouts.clone());
        let key = |fanouts: &Range<usize>| {
            let joins = self.joins && fanouts.len() <= 2;
            std::array::from_fn(|rank| match problem.sizes.get(rank) {
                Some(size) if joins => along(fanouts, rank).min(*size),
                Some(_) => along(fanouts, rank),
                None => 1,
            })
        };
        let key: Vec<[u64; MAX_RANKS]> = self.alike.iter().map(key).collect();
        // Of those that are the same but for names, the first of all is kept.
        let is_first = |renaming: &Vec<usize>| {
            let renamed = key
                .iter()
                .flat_map(|of| renaming.iter().map(|rank| of[*rank]));
            let n_ranks = renaming.len();
            key.iter()
                .flat_map(|of| &of[..n_ranks])
                .copied()
                .le(renamed)
        };
        if self.renamings.iter().all(is_first) && self.seen.insert(key) {
            self.splits.push(split.clone());
        }
    }
}

/// More ways to change ranks than this are not looked for.
const MOST_RENAMINGS: usize = 24;

/// All ways to complete `renaming`, the other rank for each of the first ranks, so that the problem stays the same.
fn renamings_from(problem: &Problem, renaming: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    let rank = renaming.len();
    if rank == problem.sizes.len() {
        if problem.operands.iter().all(|o| o.is_same(renaming)) {
            found.push(renaming.clone());
        }
        return;
    }
    let alike = |other: usize| {
        let same = |mask: Mask| mask >> rank & 1 == mask >> other & 1;
        problem.sizes[rank] == problem.sizes[other]
            && problem.operands.iter().all(|o| same(o.ranks))
            && problem.fanouts.iter().all(|f| same(f.ranks))
    };
    for other in 0..problem.sizes.len() {
        if found.len() < MOST_RENAMINGS && !renaming.contains(&other) && alike(other) {
            renaming.push(other);
            renamings_from(problem, renaming, found);
            renaming.pop();
        }
    }
}

fn alike(problem: &Problem) -> Vec<Range<usize>> {
    let mut alike: Vec<Range<usize>> = Vec::new();
    for (at, fanout) in problem.fanouts.iter().enumerate() {
        let apart = problem.memories.iter().any(|m| m.below_fanouts == at);
        match alike.last_mut() {
            Some(range) if !apart && problem.fanouts[range.start].shares == fanout.shares => {
                range.end = at + 1
            }
            _ => alike.push(at..at + 1),
        }
    }
    alike
}

/// A walk through the ways to unroll.
struct Ways<'a, 'b, 's> {
    problem: &'a Problem,
    found: &'a mut Found,
    steps: &'a mut Steps<'b, 's>,
}

impl Ways<'_, '_, '_> {
    /// Decides rank `rank` of fan-out `fanout`, of which `room` copies are left, and all that follow; none if it was
    /// stopped.
    fn unroll(
        &mut self,
        fanout: usize,
        rank: usize,
        room: u64,
        left: &mut [u64],
        split: &mut Split,
    ) -> Option<()> {
        self.steps.take()?;
        let Some(component) = self.problem.fanouts.get(fanout) else {
            self.found.add(self.problem, split);
            return Some(());
        };
        if rank == left.len() {
            let next = self.problem.fanouts.get(fanout + 1).map_or(1, |f| f.size);
            return self.unroll(fanout + 1, 0, next, left, split);
        }
        let before = left[rank];
        let may = component.ranks >> rank & 1 == 1;
        for piece in pieces(before, self.problem.model.perfect) {
            let copies = before.div_ceil(piece);
            if copies > room || (copies > 1 && !may) {
                break;
            }
            (left[rank], split.copies[fanout][rank]) = (piece, copies);
            self.unroll(fanout, rank + 1, room / copies, left, split)?;
        }
        (left[rank], split.copies[fanout][rank]) = (before, 1);
        Some(())
    }
}
