//! Loop nests in dense form, and how many tiles their loops make.

use arrayvec::ArrayVec;
use ir::workload::MAX_RANKS;
use serde::{Deserialize, Serialize};

use super::problem::{Mask, Problem};

/// A loop nest, from the outermost step inwards; below the last step is compute.
pub(crate) type Nest = Vec<Step>;

/// One step of a nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Which pieces of a tile are counted, of those that a loop in time or in space cuts it into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pieces {
    /// All of them.
    All,
    /// The first one only, which is never smaller than another.
    First,
    /// The tile as it was: the loop does not count.
    Whole,
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
/// A loop over tiles of `tile` cuts each tile at hand; its last piece may be smaller. `in_time` says what counts of the loop
/// in time at a step, `in_space` what counts of the copies of a fan-out.
pub(crate) fn tiles(
    problem: &Problem,
    rank: usize,
    steps: &[Step],
    in_time: impl Fn(usize) -> Pieces,
    in_space: impl Fn(usize) -> Pieces,
) -> Tiles {
    cuts(problem, rank, steps, in_time, in_space).tiles()
}

/// The sizes of those tiles.
#[inline]
pub(crate) fn cuts(
    problem: &Problem,
    rank: usize,
    steps: &[Step],
    in_time: impl Fn(usize) -> Pieces,
    in_space: impl Fn(usize) -> Pieces,
) -> Cuts {
    let mut pieces = Cuts::whole(problem.sizes[rank]);
    for (at, step) in steps.iter().enumerate() {
        let (tile, counts) = match *step {
            Step::Time { rank: of, tile } if of == rank => (tile, in_time(at)),
            Step::Space {
                fanout,
                rank: of,
                tile,
                ..
            } if of == rank => (tile, in_space(fanout)),
            _ => continue,
        };
        if counts != Pieces::Whole {
            pieces.cut(tile, counts);
        }
    }
    pieces
}

/// The size of a tile along each rank.
pub(crate) type Tile = ArrayVec<u64, MAX_RANKS>;

/// The size of the largest tile of each rank below `steps`.
pub(crate) fn tile<'a>(problem: &Problem, steps: impl IntoIterator<Item = &'a Step>) -> Tile {
    let mut tile: Tile = problem.sizes.iter().copied().collect();
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
    let mut loops = (0..steps.len()).filter(|i| matches!(steps[*i], Step::Time { .. }));
    problem.n_shared().checked_sub(1).and_then(|n| loops.nth(n))
}

/// Sizes of tiles with how often each occurs: a whole tile and a few remainders.
pub(crate) struct Cuts {
    pieces: ArrayVec<(u64, u64), MAX_PIECES>,
}

/// Each loop adds one remainder at most to each size there was; more loops over one rank than this are no use.
const MAX_PIECES: usize = 32;

impl Cuts {
    /// How many there are, and their sum.
    pub(crate) fn tiles(&self) -> Tiles {
        Tiles {
            count: self.all().iter().map(|(_, n)| n).sum(),
            sum: self.all().iter().map(|(size, n)| size * n).sum(),
        }
    }

    fn whole(size: u64) -> Cuts {
        let mut pieces = ArrayVec::new();
        pieces.push((size, 1));
        Cuts { pieces }
    }

    /// The sizes, each with how often it occurs.
    pub(crate) fn all(&self) -> &[(u64, u64)] {
        &self.pieces
    }

    /// Cuts all of them.
    fn cut(&mut self, tile: u64, counts: Pieces) {
        // What a piece leaves beside whole tiles takes its place, or that of one before it.
        let (mut whole, mut left) = (0, 0);
        for at in 0..self.pieces.len() {
            let (size, n) = self.pieces[at];
            let (tiles, rest) = match counts {
                Pieces::First if size < tile => (0, size),
                Pieces::First => (1, 0),
                _ => (size / tile, size % tile),
            };
            whole += tiles * n;
            if rest == 0 {
                continue;
            }
            match self.pieces[..left].iter_mut().find(|p| p.0 == rest) {
                Some((_, count)) => *count += n,
                None => {
                    self.pieces[left] = (rest, n);
                    left += 1;
                }
            }
        }
        self.pieces.truncate(left);
        if whole > 0 {
            self.pieces.push((tile, whole));
        }
    }
}
