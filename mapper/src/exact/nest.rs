//! Loop nests in dense form, and how many tiles their loops make.

use super::problem::{Mask, Problem};

/// A loop nest, from the outermost step inwards; below the last step is compute.
pub(crate) type Nest = Vec<Step>;

/// One step of a nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// `memory` keeps its tile of `operand` from here on.
    Keep { memory: usize, operand: usize },
    /// A loop in time over tiles of `tile` of `rank`.
    Time { rank: usize, tile: u64 },
    /// `copies` along `fanout`, each with a tile of at most `tile` of `rank`.
    Space {
        fanout: usize,
        rank: usize,
        copies: u64,
        tile: u64,
    },
}

/// How the copies of a fan-out are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// All of them.
    All,
    /// The first one only, which never has less to do than another.
    First,
}

/// The tiles of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiles {
    /// How many.
    pub(crate) count: u64,
    /// Their sizes, summed.
    pub(crate) sum: u64,
}

/// The tiles of `rank` that the loops of `steps` make.
///
/// A loop over tiles of `tile` cuts each tile at hand; its last piece may be smaller. `takes` says which loops in time
/// count, `copies` how those in space do.
pub(crate) fn tiles(
    problem: &Problem,
    rank: usize,
    steps: &[Step],
    takes: impl Fn(usize) -> bool,
    copies: impl Fn(usize) -> Copies,
) -> Tiles {
    // Sizes with how often they occur: a whole tile and few remainders.
    let mut sizes: Vec<(u64, u64)> = vec![(problem.sizes[rank], 1)];
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::Time { rank: of, tile } if of == rank && takes(at) => {
                cut(&mut sizes, tile, Copies::All)
            }
            Step::Space {
                fanout,
                rank: of,
                tile,
                ..
            } if of == rank => cut(&mut sizes, tile, copies(fanout)),
            _ => {}
        }
    }
    Tiles {
        count: sizes.iter().map(|(_, n)| n).sum(),
        sum: sizes.iter().map(|(size, n)| size * n).sum(),
    }
}

/// The size of the largest tile of each rank below `steps`.
pub(crate) fn tile(problem: &Problem, steps: &[Step]) -> Vec<u64> {
    let mut tile = problem.sizes.clone();
    for step in steps {
        if let Step::Time { rank, tile: size }
        | Step::Space {
            rank, tile: size, ..
        } = *step
        {
            tile[rank] = tile[rank].min(size);
        }
    }
    tile
}

/// The innermost step that keeps `operand`.
pub(crate) fn parent(steps: &[Step], operand: usize) -> Option<usize> {
    (0..steps.len())
        .rev()
        .find(|&i| matches!(steps[i], Step::Keep { operand: o, .. } if o == operand))
}

/// The innermost loop in time that is over one of `ranks`.
pub(crate) fn last_loop(steps: &[Step], ranks: Mask) -> Option<usize> {
    (0..steps.len())
        .rev()
        .find(|&i| matches!(steps[i], Step::Time { rank, .. } if ranks >> rank & 1 == 1))
}

/// The innermost loop that is shared with other einsums.
pub(crate) fn last_shared(problem: &Problem, steps: &[Step]) -> Option<usize> {
    let loops = (0..steps.len()).filter(|i| matches!(steps[*i], Step::Time { .. }));
    problem
        .n_shared()
        .checked_sub(1)
        .and_then(|n| loops.skip(n).next())
}

fn cut(sizes: &mut Vec<(u64, u64)>, tile: u64, copies: Copies) {
    let mut pieces: Vec<(u64, u64)> = Vec::with_capacity(sizes.len() + 1);
    let mut add = |size: u64, n: u64| match pieces.iter_mut().find(|(s, _)| *s == size) {
        Some((_, count)) => *count += n,
        None => pieces.push((size, n)),
    };
    for &(size, n) in sizes.iter() {
        if copies == Copies::First {
            add(size.min(tile), n);
            continue;
        }
        if size >= tile {
            add(tile, size / tile * n);
        }
        if size % tile > 0 {
            add(size % tile, n);
        }
    }
    *sizes = pieces;
}
