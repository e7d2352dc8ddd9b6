//! The mapspace of one layer of sums: every mapping that the machine can run, given where its tensors lie.

use std::ops::Range;

use ir::arch::{Arch, Dataflow};
use ir::mapping::RowMapping;

use crate::plan::{strip_heights, strips};
use crate::sums::{Chunk, Region, Sums};

/// The order of the two outer loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// All weights for one strip, then the next strip.
    StripsOuter,
    /// All strips for one group of weights, then the next group.
    WeightsOuter,
}

/// One point of a mapspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// What the rows of the array stand for.
    pub rows: RowMapping,
    /// What stays in the array.
    pub dataflow: Dataflow,
    /// Output rows of a tile of pixels.
    pub tile_rows: usize,
    /// Output columns of a tile of pixels.
    pub tile_cols: usize,
    /// Column tiles whose weights are loaded together.
    pub group_tiles: usize,
    /// The order of the outer loops.
    pub order: Order,
}

/// A tile of output pixels with one set of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PixelTile {
    pub(crate) rows: Range<usize>,
    pub(crate) cols: Range<usize>,
    pub(crate) set: usize,
}

impl PixelTile {
    pub(crate) fn pixels(&self) -> usize {
        self.rows.len() * self.cols.len()
    }
}

/// The tiles of one strip of output rows, in order.
pub(crate) fn pixel_tiles(
    regions: &[Region],
    strip: &Range<usize>,
    choice: &Choice,
) -> Vec<PixelTile> {
    let mut tiles = Vec::new();
    for region in regions {
        let rows = region.rows.start.max(strip.start)..region.rows.end.min(strip.end);
        for top in rows.clone().step_by(choice.tile_rows) {
            for left in region.cols.clone().step_by(choice.tile_cols) {
                let bottom = (top + choice.tile_rows).min(rows.end);
                let right = (left + choice.tile_cols).min(region.cols.end);
                tiles.push(PixelTile {
                    rows: top..bottom,
                    cols: left..right,
                    set: region.set,
                });
            }
        }
    }
    tiles
}

/// The runs of pack for one strip: output rows in pieces of whole tiles, but not so few pixels that starting takes most
/// of the time.
pub(crate) fn pack_pieces(sums: &Sums, strip: &Range<usize>, choice: &Choice) -> Vec<Range<usize>> {
    const LEAST_PIXELS: usize = 32;
    let least = LEAST_PIXELS.div_ceil(sums.output.width);
    let rows = least.next_multiple_of(choice.tile_rows);
    strip
        .clone()
        .step_by(rows)
        .map(|start| start..(start + rows).min(strip.end))
        .collect()
}

/// Parts of the reduction of column tile `n` of at most `max_steps` steps and within the fields of the instruction set.
pub(crate) fn chunks(sums: &Sums, arch: &Arch, n: usize, max_steps: usize) -> Vec<Chunk> {
    let whole = sums.whole(arch, n);
    let (ky, kx) = (whole.kernel_y.len(), whole.kernel_x.len());
    let max_kernel = 63;
    let columns = kx.min(max_steps).min(max_kernel);
    let rows = if columns < kx {
        1
    } else {
        ky.min(max_steps / kx).min(max_kernel)
    };
    let blocks = if rows < ky || columns < kx {
        1
    } else {
        (max_steps / (kx * ky)).min(1023)
    };
    let mut chunks = Vec::new();
    for block in whole.blocks.clone().step_by(blocks) {
        for row in whole.kernel_y.clone().step_by(rows) {
            for column in whole.kernel_x.clone().step_by(columns) {
                chunks.push(Chunk {
                    blocks: block..(block + blocks).min(whole.blocks.end),
                    kernel_y: row..(row + rows).min(ky),
                    kernel_x: column..(column + columns).min(kx),
                });
            }
        }
    }
    chunks
}

/// The most reduction steps of one run: all that the weight memory holds, or half of it if that leaves the sum whole.
pub(crate) fn max_steps(arch: &Arch) -> usize {
    arch.weight_tiles() as usize
}

/// Whether every column tile's reduction fits one run.
pub(crate) fn is_whole(sums: &Sums, arch: &Arch) -> bool {
    (0..sums.n_tiles(arch)).all(|n| chunks(sums, arch, n, max_steps(arch)).len() == 1)
}

/// Words that the weights of a group may take: each column tile as large as the largest, so that a loop nest can say it.
pub(crate) fn room(sums: &Sums, arch: &Arch, tiles: &Range<usize>) -> usize {
    let largest = (0..sums.n_tiles(arch))
        .map(|n| sums.whole(arch, n).steps())
        .max()
        .unwrap_or(0);
    let period = sums
        .period(arch)
        .map_or(usize::MAX, |channels| (channels / arch.array.cols) as usize);
    tiles.len().min(period) * largest * arch.array.cols as usize
}

/// Whether the constants of all groups stay, because they are used again for the next strip and fit.
pub(crate) fn stays(sums: &Sums, arch: &Arch, n_strips: usize) -> bool {
    let all = 0..sums.n_tiles(arch);
    let channels =
        all.len() * arch.array.cols.max(arch.word_bytes() / 8) as usize * sums.sets.len();
    n_strips > 1
        && is_whole(sums, arch)
        && room(sums, arch, &all) <= arch.weights.words as usize
        && channels <= arch.parameters.channels as usize
}

/// The mapspace of one layer.
pub struct Mapspace<'a> {
    pub(crate) sums: &'a Sums<'a>,
    pub(crate) arch: &'a Arch,
    /// Output rows of a strip.
    pub(crate) strip_rows: usize,
    /// Whether the output goes to memory in strips, which needs all blocks of a row at once.
    pub(crate) output_passes: bool,
    /// Whether a split reduction is needed; then each group is one column tile and weights are loaded for each tile.
    pub(crate) split: bool,
}

impl<'a> Mapspace<'a> {
    pub(crate) fn new(
        sums: &'a Sums<'a>,
        arch: &'a Arch,
        strip_rows: usize,
        output_passes: bool,
    ) -> Self {
        Mapspace {
            sums,
            arch,
            strip_rows,
            output_passes,
            split: !is_whole(sums, arch),
        }
    }

    /// Every choice, in a fixed order, without regard to capacity.
    pub fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        let output = self.sums.output;
        let n_tiles = self.sums.n_tiles(self.arch);
        let n_strips = strips(output.height, self.strip_rows).len();
        for &dataflow in &self.arch.array.dataflows {
            for (tile_rows, tile_cols) in self.pixel_choices() {
                for group_tiles in if self.split {
                    vec![1]
                } else {
                    strip_heights(n_tiles)
                } {
                    for order in [Order::StripsOuter, Order::WeightsOuter] {
                        let same = n_strips == 1 || group_tiles == n_tiles;
                        if order == Order::WeightsOuter && (same || self.output_passes) {
                            continue;
                        }
                        choices.push(Choice {
                            rows: self.sums.rows(),
                            dataflow,
                            tile_rows,
                            tile_cols,
                            group_tiles,
                            order,
                        });
                    }
                }
            }
        }
        choices
    }

    /// Whole rows, or parts of one row.
    fn pixel_choices(&self) -> Vec<(usize, usize)> {
        let width = self.sums.output.width;
        let rows = strip_heights(self.strip_rows)
            .into_iter()
            .map(|rows| (rows, width));
        let cols = strip_heights(width)
            .into_iter()
            .skip(1)
            .map(|cols| (1, cols));
        rows.chain(cols).collect()
    }

    /// Why a choice does not fit, if it does not.
    pub fn infeasible(&self, choice: &Choice) -> Option<Infeasible> {
        let arch = self.arch;
        if choice.tile_rows * choice.tile_cols > arch.accumulators.pixels as usize {
            return Some(Infeasible::Accumulators);
        }
        if self.split {
            return (choice.dataflow == Dataflow::OutputStationary)
                .then_some(Infeasible::Reduction);
        }
        let n_tiles = self.sums.n_tiles(arch);
        for first in (0..n_tiles).step_by(choice.group_tiles) {
            let tiles = first..(first + choice.group_tiles).min(n_tiles);
            if room(self.sums, arch, &tiles) > arch.weights.words as usize {
                return Some(Infeasible::Weights);
            }
            if self.group_parameters(&tiles) > arch.parameters.channels as usize {
                return Some(Infeasible::Parameters);
            }
        }
        None
    }

    /// Words of weights of a group, tiles with the same weights counted once.
    pub(crate) fn group_words(&self, tiles: &Range<usize>) -> usize {
        let distinct = tiles.clone().filter(|&n| {
            !tiles
                .clone()
                .take_while(|m| *m < n)
                .any(|m| self.key(m) == self.key(n))
        });
        distinct
            .map(|n| self.sums.whole(self.arch, n).steps() * self.arch.array.cols as usize)
            .sum()
    }

    fn key(&self, n: usize) -> usize {
        self.sums.same_weights(self.arch, n)
    }

    /// Channels of parameters of a group.
    pub(crate) fn group_parameters(&self, tiles: &Range<usize>) -> usize {
        let channels = tiles.len() * self.arch.array.cols as usize * self.sums.sets.len();
        channels.next_multiple_of((self.arch.word_bytes() / 8) as usize)
    }
}

/// Why a point of the mapspace is not a mapping; counted, not reported one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Infeasible {
    /// More pixels than a half of the accumulators holds.
    Accumulators,
    /// More weights than the weight memory holds.
    Weights,
    /// More parameters than the parameter memory holds.
    Parameters,
    /// A reduction that must be split, which output-stationary cannot.
    Reduction,
}
