//! Sums over a window: what convolution, average pooling and selection ask of the array, in one form.
//!
//! A column tile `n` is the output channels `n * cols ..`. It reads a range of input blocks; its weights are one tile of
//! `cols` words for each block and window position, zero where an input channel does not belong to an output channel.
//! The input's zero point is folded into the bias, and what lies in the padding has the value of the zero point.
//!
//! With the row mapping `taps` a convolution of an image with few channels becomes one of 1x1 over packed words: a word
//! holds as many groups of `kernel_x` taps, one for each channel and kernel row, as fit. Weights of other lanes are zero.

use ir::fit::Fit;
use std::borrow::Cow;
use std::ops::Range;

use ir::arch::Arch;
use ir::mapping::RowMapping;
use ir::network::Tensor;
use ir::numerics::{Clamp, ParameterWord, Requantise};
use ir::op::{AveragePool, Conv, OpError, Select, Window};

/// The largest coordinate of a pixel: coordinates are signed.
const MAX_COORDINATE: usize = 1023;

/// The weights of a [`Sums`].
#[derive(Clone, Copy)]
enum Weights<'a> {
    /// Those of a convolution.
    Conv(&'a Conv),
    /// One where input and output channel are the same.
    Unit,
    /// One for the channel, and the position of the window, that a selection takes.
    Select(&'a Select, [usize; 2]),
}

/// Output pixels that share one set of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) rows: Range<usize>,
    pub(crate) cols: Range<usize>,
    pub(crate) set: usize,
}

/// A part of the reduction of one column tile: a box of blocks and window positions whose weights follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) blocks: Range<usize>,
    pub(crate) kernel_y: Range<usize>,
    pub(crate) kernel_x: Range<usize>,
}

impl Chunk {
    /// Reduction steps, which is also the number of weight tiles.
    pub(crate) fn steps(&self) -> usize {
        self.blocks.len() * self.kernel_y.len() * self.kernel_x.len()
    }
}

/// How the taps of a convolution are packed into words.
pub(crate) struct Taps<'a> {
    /// The window on the image.
    pub(crate) window: Window,
    pub(crate) image: &'a Tensor,
    /// Groups in a word.
    pub(crate) per_word: usize,
}

impl Taps<'_> {
    /// Groups of taps: one for each channel and row of the kernel, the row changing fastest.
    pub(crate) fn groups(&self) -> usize {
        self.image.channels * self.window.kernel[0]
    }

    /// Words of one row of one channel of the image.
    pub(crate) fn image_row_words(&self, arch: &Arch) -> u32 {
        self.image.width.fit::<u32>().div_ceil(arch.word_bytes())
    }

    /// Words of the image.
    pub(crate) fn image_words(&self, arch: &Arch) -> u32 {
        (self.image.channels * self.image.height).fit::<u32>() * self.image_row_words(arch)
    }

    /// The channel, kernel row and kernel column of a lane of the packed words, if it holds one.
    fn tap(&self, block: usize, lane: usize) -> Option<[usize; 3]> {
        let [kernel_y, kernel_x] = self.window.kernel;
        let position = lane / kernel_x;
        let group = block * self.per_word + position;
        (position < self.per_word && group < self.groups()).then_some([
            group / kernel_y,
            group % kernel_y,
            lane % kernel_x,
        ])
    }
}

/// A layer of sums over a window.
pub(crate) struct Sums<'a> {
    weights: Weights<'a>,
    /// The window on `input`.
    pub(crate) window: Window,
    /// What EXEC reads: a tensor of the network, or its packed words.
    pub(crate) input: Cow<'a, Tensor>,
    pub(crate) taps: Option<Taps<'a>>,
    /// The value around the image.
    pub(crate) padding: i8,
    pub(crate) output: &'a Tensor,
    pub(crate) clamp: Clamp,
    pub(crate) regions: Vec<Region>,
    /// The parameters of each output channel, for each set.
    pub(crate) sets: Vec<Vec<ParameterWord>>,
}

impl<'a> Sums<'a> {
    pub(crate) fn conv(
        op: &'a Conv,
        input: &'a Tensor,
        output: &'a Tensor,
    ) -> Result<Self, OpError> {
        let n_weights = op.group_channels * op.window.n_taps();
        let parameter = |(channel, scale): (usize, Requantise)| {
            let weights = &op.weights[channel * n_weights..(channel + 1) * n_weights];
            let sum = weights
                .iter()
                .fold(0i32, |sum, w| sum.wrapping_add(i32::from(*w)));
            let bias = op.bias[channel].wrapping_sub(i32::from(input.zero_point).wrapping_mul(sum));
            ParameterWord { bias, scale }
        };
        let set = op
            .requantise()?
            .into_iter()
            .enumerate()
            .map(parameter)
            .collect();
        Ok(Sums {
            weights: Weights::Conv(op),
            window: simple(op.window, output),
            input: Cow::Borrowed(input),
            taps: None,
            padding: input.zero_point,
            output,
            clamp: op.clamp,
            regions: vec![Region {
                rows: 0..output.height,
                cols: 0..output.width,
                set: 0,
            }],
            sets: vec![set],
        })
    }

    /// The convolution with the row mapping `taps`, or why arch or instruction set do not have it for this window.
    pub(crate) fn conv_taps(
        op: &'a Conv,
        input: &'a Tensor,
        output: &'a Tensor,
        arch: &Arch,
    ) -> Result<Result<Self, String>, OpError> {
        let mut sums = Sums::conv(op, input, output)?;
        let window = sums.window;
        let [_, kernel_x] = window.kernel;
        let rows = arch.array.rows as usize;
        let width = input.width + window.pads[1] + window.pads[3];
        let height = input.height + window.pads[0] + window.pads[2];
        let side = width.max(height);
        let taps_of_a_word = rows.min(63);
        let obstacle = if !arch.vector.pack {
            format!("arch `{}` has no pack unit, `vector.pack`", arch.name)
        } else if op.groups != 1 {
            format!("its channels are in {} groups", op.groups)
        } else if window.dilation[1] != 1 {
            format!("its columns are dilated by {}", window.dilation[1])
        } else if kernel_x > taps_of_a_word {
            format!("its {kernel_x} columns of taps exceed the {taps_of_a_word} of a word")
        } else if side > MAX_COORDINATE {
            format!("the padded image has a side of {side} pixels, {MAX_COORDINATE} are possible")
        } else {
            String::new()
        };
        if !obstacle.is_empty() {
            return Ok(Err(obstacle));
        }
        let taps = Taps {
            window,
            image: input,
            per_word: rows / kernel_x,
        };
        sums.input = Cow::Owned(Tensor {
            channels: taps.groups().div_ceil(taps.per_word) * rows,
            height: output.height,
            width: output.width,
            ..input.clone()
        });
        sums.window = Window::dense([1, 1]);
        sums.taps = Some(taps);
        Ok(Ok(sums))
    }

    /// Everything but the values of constants, as text: layers for which it is the same have the same mappings and
    /// costs.
    pub(crate) fn shape(&self) -> String {
        let weights = match self.weights {
            Weights::Conv(op) => Some((op.out_channels, op.groups, op.group_channels)),
            Weights::Unit | Weights::Select(..) => None,
        };
        let selected = match self.weights {
            Weights::Select(op, _) => op.channels.as_slice(),
            _ => &[],
        };
        let taps = self.taps.as_ref();
        let taps = taps.map(|taps| (taps.window, taps.image.shape(), taps.per_word));
        let (input, output) = (self.input.shape(), self.output.shape());
        let parts = (
            weights,
            selected,
            self.window,
            input,
            taps,
            output,
            self.sets.len(),
        );
        format!("{parts:?} {:?}", self.regions)
    }

    /// What the rows of the array stand for.
    pub(crate) fn rows(&self) -> RowMapping {
        match self.taps {
            Some(_) => RowMapping::Taps,
            None => RowMapping::Channels,
        }
    }

    pub(crate) fn average_pool(
        op: &'a AveragePool,
        input: &'a Tensor,
        output: &'a Tensor,
    ) -> Result<Self, OpError> {
        let count = |row, column| op.window_count(input.shape(), row, column);
        let rows = runs(output.height, |row| count(row, 0));
        let cols = runs(output.width, |column| count(0, column));
        let mut counts: Vec<usize> = Vec::new();
        let mut regions = Vec::new();
        for rows in &rows {
            for cols in &cols {
                let n = count(rows.start, cols.start);
                let set = counts.iter().position(|c| *c == n).unwrap_or(counts.len());
                if set == counts.len() {
                    counts.push(n);
                }
                regions.push(Region {
                    rows: rows.clone(),
                    cols: cols.clone(),
                    set,
                });
            }
        }
        let bias = i32::from(input.zero_point)
            .wrapping_mul(op.window.n_taps().fit::<i32>())
            .wrapping_neg();
        let set = |n: &usize| -> Result<Vec<ParameterWord>, OpError> {
            let scale = AveragePool::requantise(input.scale, output.scale, *n)?;
            Ok(vec![ParameterWord { bias, scale }; output.channels])
        };
        Ok(Sums {
            weights: Weights::Unit,
            window: simple(op.window, output),
            input: Cow::Borrowed(input),
            taps: None,
            padding: input.zero_point,
            output,
            clamp: op.clamp,
            regions,
            sets: counts.iter().map(set).collect::<Result<_, _>>()?,
        })
    }

    /// A selection of channels, rows and columns; none if the window of the array cannot walk over them.
    pub(crate) fn select(op: &'a Select, input: &'a Tensor, output: &'a Tensor) -> Option<Self> {
        let (window, tap) = select_window(op)?;
        let scale = Requantise::from_scale(1.0).expect("one is a scale");
        let bias = i32::from(input.zero_point).wrapping_neg();
        Some(Sums {
            weights: Weights::Select(op, tap),
            window: simple(window, output),
            input: Cow::Borrowed(input),
            taps: None,
            padding: op.padding,
            output,
            clamp: Clamp::FULL,
            regions: vec![Region {
                rows: 0..output.height,
                cols: 0..output.width,
                set: 0,
            }],
            sets: vec![vec![ParameterWord { bias, scale }; output.channels]],
        })
    }

    /// Column tiles.
    pub(crate) fn n_tiles(&self, arch: &Arch) -> usize {
        self.output.channels.div_ceil(arch.array.cols as usize)
    }

    /// The input blocks that column tile `n` reads.
    pub(crate) fn blocks(&self, arch: &Arch, n: usize) -> Range<usize> {
        let (cols, rows) = (arch.array.cols as usize, arch.array.rows as usize);
        let first = n * cols;
        let last = (first + cols).min(self.output.channels) - 1;
        let (low, high) = match self.weights {
            _ if self.taps.is_some() => (0, self.input.channels),
            Weights::Unit => (first, last + 1),
            Weights::Conv(op) => {
                let per_group = op.out_channels / op.groups;
                (
                    first / per_group * op.group_channels,
                    (last / per_group + 1) * op.group_channels,
                )
            }
            Weights::Select(op, _) => {
                let own = op.channels[first..=last].iter();
                (
                    own.clone().copied().min().unwrap_or(0),
                    own.copied().max().unwrap_or(0) + 1,
                )
            }
        };
        low / rows..high.div_ceil(rows)
    }

    /// The whole reduction of column tile `n`.
    pub(crate) fn whole(&self, arch: &Arch, n: usize) -> Chunk {
        let [kernel_y, kernel_x] = self.window.kernel;
        Chunk {
            blocks: self.blocks(arch, n),
            kernel_y: 0..kernel_y,
            kernel_x: 0..kernel_x,
        }
    }

    /// The first column tile that has the same weights as `n`.
    pub(crate) fn same_weights(&self, arch: &Arch, n: usize) -> usize {
        match self.weights {
            Weights::Conv(_) | Weights::Select(..) => n,
            // A last tile with fewer channels may as well use all ones of the diagonal.
            Weights::Unit => n % (arch.array.rows / arch.array.cols) as usize,
        }
    }

    /// Output channels after which the weights repeat, if they do.
    pub(crate) fn period(&self, arch: &Arch) -> Option<u32> {
        matches!(self.weights, Weights::Unit).then_some(arch.array.rows)
    }

    /// The weights of a chunk of column tile `n`, as the words that EXEC reads.
    pub(crate) fn weight_bytes(&self, arch: &Arch, n: usize, chunk: &Chunk) -> Vec<u8> {
        let (cols, rows) = (arch.array.cols as usize, arch.array.rows as usize);
        let mut bytes = Vec::with_capacity(chunk.steps() * cols * rows);
        for block in chunk.blocks.clone() {
            for tap_row in chunk.kernel_y.clone() {
                for tap_column in chunk.kernel_x.clone() {
                    for col in 0..cols {
                        let out = n * cols + col;
                        bytes.extend((0..rows).map(|row| {
                            self.weight(out, block * rows + row, tap_row, tap_column)
                                .cast_unsigned()
                        }));
                    }
                }
            }
        }
        bytes
    }

    fn weight(&self, out: usize, channel: usize, tap_row: usize, tap_column: usize) -> i8 {
        match self.weights {
            Weights::Unit => i8::from(out == channel),
            Weights::Conv(op) if out < op.out_channels => {
                if let Some(taps) = &self.taps {
                    let rows = self.input.channels / taps.groups().div_ceil(taps.per_word);
                    return taps
                        .tap(channel / rows, channel % rows)
                        .map_or(0, |[channel, y, x]| op.weight(out, channel, y, x));
                }
                let group = out / (op.out_channels / op.groups);
                let channels = group * op.group_channels..(group + 1) * op.group_channels;
                if channels.contains(&channel) {
                    op.weight(out, channel - channels.start, tap_row, tap_column)
                } else {
                    0
                }
            }
            Weights::Conv(_) => 0,
            Weights::Select(op, tap) => {
                let is_taken = op.channels.get(out) == Some(&channel);
                i8::from(is_taken && [tap_row, tap_column] == tap)
            }
        }
    }

    /// The parameters of the column tiles in `tiles`, for all sets, in 8 bytes each.
    pub(crate) fn parameter_bytes(&self, arch: &Arch, tiles: &Range<usize>) -> Vec<u8> {
        let cols = arch.array.cols as usize;
        let channels = || tiles.start * cols..tiles.end * cols;
        let mut bytes = Vec::new();
        for set in &self.sets {
            for channel in channels() {
                let word = set.get(channel).map(|word| word.to_bytes());
                bytes.extend(word.unwrap_or_default());
            }
        }
        bytes.resize(bytes.len().next_multiple_of(arch.word_bytes() as usize), 0);
        bytes
    }
}

/// The rows of an image of `height` rows that the output rows `out` of a window read.
pub(crate) fn input_rows(window: &Window, height: usize, out: &Range<usize>) -> Range<usize> {
    let first = window
        .row(out.start, 0)
        .clamp(0, height.fit::<isize>())
        .fit::<usize>();
    let last = window.row(out.end - 1, window.kernel[0] - 1) + 1;
    first
        ..last
            .clamp(0, height.fit::<isize>())
            .fit::<usize>()
            .max(first)
}

/// The window that walks over the positions of a selection, and the one position in it that is taken; none if positions
/// repeat or go backwards.
pub(crate) fn select_window(op: &Select) -> Option<(Window, [usize; 2])> {
    let mut window = Window::dense([1, 1]);
    let mut tap = [0, 0];
    for (axis, positions) in [op.rows, op.columns].iter().enumerate() {
        let step = usize::try_from(positions.step)
            .ok()
            .filter(|&step| step > 0);
        if positions.repeat != 1 || (step.is_none() && positions.size > 1) {
            return None;
        }
        window.stride[axis] = step.unwrap_or(1);
        window.pads[axis] = usize::try_from(-positions.start).unwrap_or(0);
        tap[axis] = usize::try_from(positions.start).unwrap_or(0);
        window.kernel[axis] = tap[axis] + 1;
    }
    Some((window, tap))
}

/// The window with a stride and dilation of one where there is a single position.
fn simple(mut window: Window, output: &Tensor) -> Window {
    for (axis, size) in [output.height, output.width].into_iter().enumerate() {
        if size == 1 {
            window.stride[axis] = 1;
        }
        if window.kernel[axis] == 1 {
            window.dilation[axis] = 1;
        }
    }
    window
}

/// Ranges of neighbours in `0..n` for which `key` is the same.
fn runs(n: usize, key: impl Fn(usize) -> usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in 0..n {
        match runs.last_mut() {
            Some(run) if key(run.start) == key(at) => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}
