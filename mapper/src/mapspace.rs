//! The mapspace of one layer of sums: every mapping that the machine can run, given where its tensors lie.

use ir::fit::Fit;
use std::iter::Sum;
use std::ops::Range;

use ir::arch::{Arch, Dataflow};
use ir::mapping::{Order, RowMapping};
use serde::{Deserialize, Serialize};

use crate::directives::Decided;
use crate::plan::{Strips, strip_heights};
use crate::sums::{Chunk, Region, Sums};

/// One point of a mapspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// The room that all constants of a layer take.
#[derive(Clone, Copy, Default)]
pub(crate) struct Constants {
    /// Words of weights.
    weights: usize,
    /// Channels of parameters.
    channels: usize,
}

impl Constants {
    /// The room of all groups of `group_tiles` column tiles; only within a group equal weights are loaded once.
    ///
    /// None if the sums are not whole, so that weights are loaded part by part.
    pub(crate) fn new(sums: &Sums, arch: &Arch, group_tiles: usize) -> Option<Constants> {
        let n_tiles = sums.n_tiles(arch);
        let of_tile = arch.array.cols.max(arch.word_bytes() / 8) as usize * sums.sets.len();
        let firsts = (0..n_tiles).step_by(group_tiles);
        let groups = firsts.map(|first| first..(first + group_tiles).min(n_tiles));
        is_whole(sums, arch).then(|| Constants {
            weights: groups.map(|tiles| room(sums, arch, &tiles)).sum(),
            channels: n_tiles * of_tile,
        })
    }

    pub(crate) fn fit(self, arch: &Arch) -> bool {
        self.weights <= arch.weights.words as usize
            && self.channels <= arch.parameters.channels as usize
    }
}

impl Sum for Constants {
    fn sum<I: Iterator<Item = Constants>>(all: I) -> Constants {
        all.fold(Constants::default(), |sum, one| Constants {
            weights: sum.weights + one.weights,
            channels: sum.channels + one.channels,
        })
    }
}

/// Whether the constants of all groups stay, because they are used again for the next strip and fit.
pub(crate) fn stays(sums: &Sums, arch: &Arch, group_tiles: usize, n_strips: usize) -> bool {
    n_strips > 1 && Constants::new(sums, arch, group_tiles).is_some_and(|all| all.fit(arch))
}

/// The mapspace of one layer.
pub struct Mapspace<'a> {
    pub(crate) sums: &'a Sums<'a>,
    pub(crate) arch: &'a Arch,
    /// The strips of output rows.
    pub(crate) strips: Strips,
    /// Whether each strip is complete before the next: its output goes to memory, or to the next einsum, in strips.
    pub(crate) in_order: bool,
    /// Whether a split reduction is needed; then each group is one column tile and weights are loaded for each tile.
    pub(crate) split: bool,
    /// What is given; the space has no other points.
    pub(crate) decided: Decided,
}

impl<'a> Mapspace<'a> {
    pub(crate) fn new(
        sums: &'a Sums<'a>,
        arch: &'a Arch,
        strips: Strips,
        in_order: bool,
        decided: Decided,
    ) -> Self {
        Mapspace {
            sums,
            arch,
            strips,
            in_order,
            split: !is_whole(sums, arch),
            decided,
        }
    }

    /// The space with these settings instead of those that are given.
    pub(crate) fn narrowed(&self, decided: Decided) -> Mapspace<'a> {
        Mapspace { decided, ..*self }
    }

    /// Every choice, in a fixed order, without regard to capacity.
    pub fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        let n_tiles = self.sums.n_tiles(self.arch);
        let n_strips = self.strips.count();
        let dataflows = match self.decided.dataflow {
            Some(dataflow) => vec![dataflow],
            None => self.arch.array.dataflows.clone(),
        };
        let groups = match self.decided.group_tiles {
            Some(n) => vec![n.min(n_tiles)],
            None if self.split => vec![1],
            None => strip_heights(n_tiles),
        };
        let pixels = self.pixel_choices();
        for &dataflow in &dataflows {
            for &(tile_rows, tile_cols) in &pixels {
                for &group_tiles in &groups {
                    for order in Order::ALL {
                        let same = n_strips == 1 || group_tiles == n_tiles;
                        let decided = match self.decided.order {
                            Some(_) if same => Some(Order::StripsOuter),
                            decided => decided,
                        };
                        let of_use = order == Order::StripsOuter || !same && self.can_reorder();
                        if decided.map_or(of_use, |decided| decided == order) {
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
        }
        choices
    }

    /// Whether all strips can pass for one group of weights.
    fn can_reorder(&self) -> bool {
        !self.in_order && !self.split
    }

    /// Whole rows, or parts of one row; with a given height or width, every size of the other side.
    fn pixel_choices(&self) -> Vec<(usize, usize)> {
        let output = self.sums.output;
        let (heights, width) = (self.tile_heights(), output.width);
        let pairs = |rows: &[usize], cols: &[usize]| -> Vec<(usize, usize)> {
            rows.iter()
                .flat_map(|rows| cols.iter().map(|cols| (*rows, *cols)))
                .collect()
        };
        let rows = self.decided.tile_rows.map(|n| n.min(output.height));
        let cols = self.decided.tile_cols.map(|n| n.min(width));
        match (rows, cols) {
            (Some(rows), Some(cols)) => vec![(rows, cols)],
            (Some(rows), None) => pairs(&[rows], &strip_heights(width)),
            (None, Some(cols)) => pairs(&heights, &[cols]),
            (None, None) => {
                let rows = pairs(&heights, &[width]);
                let cols = pairs(&[1], &strip_heights(width)[1..]);
                [rows, cols].concat()
            }
        }
    }

    /// All heights that cut a strip into equal parts, tallest first.
    fn tile_heights(&self) -> Vec<usize> {
        let Strips { first, rows, .. } = self.strips;
        let mut heights = [strip_heights(first), strip_heights(rows)].concat();
        heights.sort_by(|a, b| b.cmp(a));
        heights.dedup();
        heights
    }

    /// Why a choice does not fit, if it does not.
    pub fn infeasible(&self, choice: &Choice) -> Option<Infeasible> {
        self.shortfall(choice).map(|shortfall| shortfall.reason)
    }

    /// The first limit that a choice exceeds, if there is one.
    pub(crate) fn shortfall(&self, choice: &Choice) -> Option<Shortfall> {
        let arch = self.arch;
        let exceeds = |reason, needed: usize, available: u32| {
            (needed > available as usize).then_some(Shortfall {
                reason,
                needed: needed as u64,
                available: available.into(),
            })
        };
        // First what no other size mends.
        let tallest = self.strips.tallest();
        if choice.tile_rows > tallest {
            return exceeds(Infeasible::Strip, choice.tile_rows, tallest.fit::<u32>());
        }
        if choice.order == Order::WeightsOuter && !self.can_reorder() {
            return exceeds(Infeasible::Order, self.strips.count(), 1);
        }
        let pixels = choice.tile_rows * choice.tile_cols;
        let pixels = exceeds(Infeasible::Accumulators, pixels, arch.accumulators.pixels);
        if self.split {
            if choice.dataflow == Dataflow::OutputStationary {
                let steps = self.largest_steps();
                return exceeds(Infeasible::Reduction, steps, arch.weight_tiles());
            }
            return exceeds(Infeasible::Group, choice.group_tiles, 1).or(pixels);
        }
        let n_tiles = self.sums.n_tiles(arch);
        pixels.or_else(|| {
            (0..n_tiles).step_by(choice.group_tiles).find_map(|first| {
                let tiles = first..(first + choice.group_tiles).min(n_tiles);
                let words = room(self.sums, arch, &tiles);
                exceeds(Infeasible::Weights, words, arch.weights.words).or_else(|| {
                    let channels = self.group_parameters(&tiles);
                    exceeds(Infeasible::Parameters, channels, arch.parameters.channels)
                })
            })
        })
    }

    /// Steps of the longest reduction of a column tile.
    fn largest_steps(&self) -> usize {
        (0..self.sums.n_tiles(self.arch))
            .map(|n| self.sums.whole(self.arch, n).steps())
            .max()
            .unwrap_or(0)
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Infeasible {
    /// More pixels than a half of the accumulators holds.
    Accumulators,
    /// More weights than the weight memory holds.
    Weights,
    /// More parameters than the parameter memory holds.
    Parameters,
    /// A reduction that must be split, which output-stationary cannot.
    Reduction,
    /// A tile with more rows than a strip.
    Strip,
    /// Several column tiles at once, where a split reduction loads the weights of one.
    Group,
    /// Weights in the outer loop, where each strip needs all of them before the next.
    Order,
}

/// A limit that a point of the mapspace exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shortfall {
    /// The limit.
    pub(crate) reason: Infeasible,
    /// What is needed.
    pub(crate) needed: u64,
    /// What there is.
    pub(crate) available: u64,
}

impl Shortfall {
    /// What is needed and what there is, with units, as a clause.
    pub(crate) fn sentence(&self, arch: &Arch) -> String {
        let Shortfall {
            reason,
            needed,
            available,
        } = self;
        let name = &arch.name;
        match reason {
            Infeasible::Accumulators => format!(
                "a tile needs {needed} pixels in a half of the accumulators, arch `{name}` has {available}"
            ),
            Infeasible::Weights => {
                format!("a group needs {needed} words of weights, arch `{name}` has {available}")
            }
            Infeasible::Parameters => format!(
                "a group needs {needed} channels of parameters, arch `{name}` has {available}"
            ),
            Infeasible::Reduction => format!(
                "a whole sum needs {needed} tiles of weights, arch `{name}` has {available}, and only weight-stationary can split it"
            ),
            Infeasible::Strip => {
                format!("a tile needs {needed} rows, a strip has {available}")
            }
            Infeasible::Group => format!(
                "the sum is split, so that weights are loaded for {available} column tile at a time, not {needed}"
            ),
            Infeasible::Order => "a strip needs all weights before the next strip comes".to_owned(),
        }
    }

    /// What raises the limit.
    pub(crate) fn help(&self) -> &'static str {
        match self.reason {
            Infeasible::Accumulators => {
                "decide smaller tiles, or raise `accumulators.pixels` in the arch"
            }
            Infeasible::Weights => "decide smaller groups, or raise `weights.words` in the arch",
            Infeasible::Parameters => {
                "decide smaller groups, or raise `parameters.channels` in the arch"
            }
            Infeasible::Reduction => {
                "use `dataflow=weight_stationary`, or raise `weights.words` in the arch"
            }
            Infeasible::Strip => {
                "decide fewer rows, or more room with `activations.words` in the arch"
            }
            Infeasible::Group => "use `group_tiles=1`, or raise `weights.words` in the arch",
            Infeasible::Order => {
                "use `order=strips_outer`; the other order is for whole sums whose output stays"
            }
        }
    }
}
