//! The mapspace: which memories keep what, how ranks are unrolled, and the sizes that tiles can have.
//!
//! A loop cuts a tile of `t` into `f` pieces of `ceil(t / f)`, the last of which may be smaller. So every tile of a rank of
//! bound `N` is one of the `O(2 sqrt N)` values `ceil(N / k)`, which are closed under cutting; with perfect factors it is
//! one of the divisors of `N`. The innermost loop alone goes by as much as all copies take at once, whatever size that is.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Range;

use super::problem::{Mask, Problem, members};

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
        let values = pieces(bound, perfect);
        let position = |size: u64| {
            values
                .binary_search_by(|v| size.cmp(v))
                .expect("sizes are closed under cutting") as u16
        };
        let cuts = values
            .iter()
            .map(|&v| {
                pieces(v, perfect)
                    .into_iter()
                    .skip(1)
                    .map(position)
                    .collect()
            })
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
            .map(|at| at as u16)
    }
}

/// The sizes of pieces that a tile of `size` can be cut into, itself first.
fn pieces(size: u64, perfect: bool) -> Vec<u64> {
    let (mut sizes, mut n) = (Vec::new(), 1);
    while n <= size {
        let piece = size.div_ceil(n);
        if !perfect || size.is_multiple_of(n) {
            sizes.push(piece);
        }
        // The next number of pieces with a smaller size.
        n = if piece == 1 {
            size + 1
        } else {
            size.div_ceil(piece - 1)
        };
    }
    sizes
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
pub(crate) fn placements(problem: &Problem) -> Vec<Vec<Node>> {
    let optional: Vec<(usize, usize)> = (0..problem.memories.len())
        .flat_map(|m| members(problem.memories[m].may_bypass).map(move |o| (m, o)))
        .filter(|(_, o)| *o < problem.operands.len())
        .collect();
    (0..1u32 << optional.len())
        .map(|passed| placement(problem, &optional, passed))
        .collect()
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
    pub(crate) copies: Vec<Vec<u64>>,
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
    pub(crate) fn least_tiles(&self) -> Vec<Vec<u64>> {
        let n_ranks = self
            .copies
            .first()
            .map_or(ir::workload::MAX_RANKS, Vec::len);
        let mut tiles = vec![vec![1; n_ranks]; self.copies.len() + 1];
        for (fanout, copies) in self.copies.iter().enumerate().rev() {
            for (rank, copies) in copies.iter().enumerate() {
                let inside = tiles[fanout + 1][rank];
                tiles[fanout][rank] = (*copies).max(copies * (inside - 1) + 1);
            }
        }
        tiles
    }

    /// The copies along each rank of each of `alike`, fan-outs that are as one.
    fn along_alike(&self, alike: &[Range<usize>]) -> Vec<u64> {
        let ranks = 0..self.copies.first().map_or(0, Vec::len);
        let along = |fanouts: &Range<usize>| {
            let fanouts = fanouts.clone();
            ranks.clone().map(move |r| self.along(r, fanouts.clone()))
        };
        alike.iter().flat_map(along).collect()
    }

    /// The copies in use of all fan-outs in `fanouts`.
    pub(crate) fn used(&self, fanouts: Range<usize>) -> u64 {
        self.copies[fanouts].iter().flatten().product()
    }
}

/// All ways to unroll that differ in what they cost.
///
/// Neighbouring fan-outs that share alike are one to everything above and below: only the copies along each rank count.
pub(crate) fn splits(problem: &Problem) -> Vec<Split> {
    let mut found = Found {
        splits: Vec::new(),
        seen: BTreeSet::new(),
        alike: alike(problem),
    };
    let mut split = Split {
        copies: vec![vec![1; problem.sizes.len()]; problem.fanouts.len()],
    };
    let mut left = problem.sizes.clone();
    unroll(
        problem,
        0,
        0,
        problem.fanouts.first().map_or(1, |f| f.size),
        &mut left,
        &mut split,
        &mut found,
    );
    found.splits
}

struct Found {
    splits: Vec<Split>,
    seen: BTreeSet<Vec<u64>>,
    /// Ranges of neighbouring fan-outs that share alike.
    alike: Vec<Range<usize>>,
}

impl Found {
    fn add(&mut self, split: &Split) {
        if self.seen.insert(split.along_alike(&self.alike)) {
            self.splits.push(split.clone());
        }
    }
}

/// One of each set of splits that are the same but for names: if the einsum stays the same when ranks change places, such
/// as rows and columns of an image together with those of its filter, so do the best nests of a split.
pub(crate) fn one_of_each(problem: &Problem, mut splits: Vec<Split>) -> Vec<Split> {
    let alike = alike(problem);
    let mut renamings = Vec::new();
    renamings_from(problem, &mut Vec::new(), &mut renamings);
    // Each set has one that comes before all others, and that is kept.
    splits.retain(|split| {
        let is_first = |renaming: &Vec<usize>| {
            let along = |fanouts: &Range<usize>, rank| split.along(rank, fanouts.clone());
            let mut pairs = alike.iter().flat_map(|fanouts| {
                renaming
                    .iter()
                    .enumerate()
                    .map(move |(rank, other)| along(fanouts, rank).cmp(&along(fanouts, *other)))
            });
            pairs.find(|order| order.is_ne()) != Some(Ordering::Greater)
        };
        renamings.iter().all(is_first)
    });
    splits
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

/// Decides rank `rank` of fan-out `fanout`, of which `room` copies are left, and all that follow.
fn unroll(
    problem: &Problem,
    fanout: usize,
    rank: usize,
    room: u64,
    left: &mut [u64],
    split: &mut Split,
    found: &mut Found,
) {
    let Some(component) = problem.fanouts.get(fanout) else {
        found.add(split);
        return;
    };
    if rank == left.len() {
        let next = problem.fanouts.get(fanout + 1).map_or(1, |f| f.size);
        return unroll(problem, fanout + 1, 0, next, left, split, found);
    }
    let before = left[rank];
    let may = component.ranks >> rank & 1 == 1;
    for piece in pieces(before, problem.model.perfect) {
        let copies = before.div_ceil(piece);
        if copies > room || (copies > 1 && !may) {
            break;
        }
        (left[rank], split.copies[fanout][rank]) = (piece, copies);
        unroll(problem, fanout, rank + 1, room / copies, left, split, found);
    }
    (left[rank], split.copies[fanout][rank]) = (before, 1);
}
