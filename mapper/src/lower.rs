//! Lowering: from the plan and the mapping of each einsum to a list of operations.
//!
//! The list is in the order of its meaning: each operation sees all results before it. `order` and `sync` make a
//! program of it.

mod job;

use ir::fit::Fit;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use ir::arch::Arch;
use ir::network::{Network, TensorId};
use ir::numerics::{Clamp, FRACTION_BITS};
use ir::op::{Concat, Select, Window, table_index, table_values};
use ir::operation::{
    self, Destination, Exec, Load, Lookup, MaxPool, Operation, Pack, Requantise, Space, Store,
    Strides,
};
use ir::program::{Layout, TensorImage};

use crate::mapspace::{Choice, PixelTile};
use crate::op::{Access, Base, Op, Place, Storage};
use crate::plan::{self, Area, EinsumPlan, operand_rows, row_words};
use crate::sums::{Chunk, Sums, Taps};

/// What lowering gives: operations, constants and the tensors in memory.
pub(crate) struct Lowered<'a> {
    pub(crate) ops: Vec<Op>,
    /// What follows each other in memory; how long a program takes does not depend on the values.
    pub(crate) constants: Vec<Constant<'a>>,
    pub(crate) constant_words: u32,
    /// The tensors in memory; words count from the first word after the constants.
    pub(crate) images: BTreeMap<TensorId, TensorImage>,
    pub(crate) tensor_words: u64,
}

/// Constants, as what they are made of.
pub(crate) enum Constant<'a> {
    /// The parameters of some column tiles.
    Parameters(&'a Sums<'a>, Range<usize>),
    /// The weights of a part of the reduction of a column tile.
    Weights(&'a Sums<'a>, usize, Chunk),
    /// A table.
    Table(Vec<u8>),
}

impl Constant<'_> {
    /// Their bytes.
    pub(crate) fn bytes(&self, arch: &Arch) -> Cow<'_, [u8]> {
        match self {
            Constant::Parameters(sums, tiles) => sums.parameter_bytes(arch, tiles).into(),
            Constant::Weights(sums, n, chunk) => sums.weight_bytes(arch, *n, chunk).into(),
            Constant::Table(bytes) => bytes.into(),
        }
    }

    fn words(&self, arch: &Arch) -> u32 {
        match self {
            Constant::Parameters(sums, tiles) => {
                let channels = sums.sets.len() * tiles.len() * arch.array.cols as usize;
                arch.parameter_words(channels.fit::<u32>())
            }
            Constant::Weights(_, _, chunk) => chunk.steps().fit::<u32>() * arch.array.cols,
            Constant::Table(bytes) => bytes.len().fit::<u32>() / arch.word_bytes(),
        }
    }
}

/// Pixels along an axis that a register holds.
const MOST_PIXELS: i64 = 2047;

/// One einsum to be lowered.
pub(crate) struct Layer<'a> {
    pub(crate) index: usize,
    pub(crate) plan: &'a EinsumPlan,
    pub(crate) work: Work<'a>,
}

/// How one einsum is lowered.
pub(crate) enum Work<'a> {
    /// On the array, with the chosen mapping.
    Sums(&'a Sums<'a>, Choice),
    /// On the vector engine.
    Vector,
}

/// Lowers `layers` one after the other, those of a depth-first run strip by strip; the tensors `first` come first in
/// memory.
pub(crate) fn lower<'a>(
    network: &'a Network,
    arch: &'a Arch,
    first: &[TensorId],
    layers: &[Layer<'a>],
) -> Lowered<'a> {
    let mut ctx = Lower {
        network,
        arch,
        ops: Vec::new(),
        constants: Vec::new(),
        constant_words: 0,
        images: BTreeMap::new(),
        tensor_words: 0,
        weights: Ring {
            next: 0,
            size: arch.weights.words,
        },
        parameters: Ring {
            next: 0,
            size: arch.parameter_words(arch.parameters.channels),
        },
        half: 0,
        step: 0,
        layer: 0,
        passes: BTreeMap::new(),
        passing: BTreeMap::new(),
        table: None,
    };
    let planes: BTreeSet<TensorId> = layers
        .iter()
        .filter(|layer| matches!(layer.work, Work::Sums(sums, _) if sums.taps.is_some()))
        .map(|layer| network.einsums[layer.index].inputs[0])
        .collect();
    for &id in first {
        let layout = if planes.contains(&id) {
            Layout::Planes
        } else {
            Layout::Blocks
        };
        ctx.image_as(id, layout);
    }
    for run in runs(network, layers) {
        ctx.run(&layers[run]);
    }
    Lowered {
        ops: ctx.ops,
        constants: ctx.constants,
        constant_words: ctx.constant_words,
        images: ctx.images,
        tensor_words: ctx.tensor_words,
    }
}

/// The layers that take turns, strip by strip, in one range each; a layer that does not is alone.
pub(crate) fn runs(network: &Network, layers: &[Layer]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    while start < layers.len() {
        let end = start + run_length(network, &layers[start..]);
        runs.push(start..end);
        start = end;
    }
    runs
}

/// How many of the first layers run depth first: up to the last that reads what one of them passes on.
fn run_length(network: &Network, layers: &[Layer]) -> usize {
    let mut length = 1;
    let mut at = 0;
    while at < length {
        if let plan::Access::Passes { .. } = layers[at].plan.output {
            let output = network.einsums[layers[at].index].output;
            let reads = |layer: &Layer| network.einsums[layer.index].inputs.contains(&output);
            let last = layers.iter().rposition(reads);
            length = length.max(last.map_or(0, |last| last + 1));
        }
        at += 1;
    }
    length
}

/// Where the rows of a tensor lie in the banks; `base` is the address of row 0, which may lie outside.
#[derive(Clone, Copy)]
struct View {
    base: i64,
    row_words: i64,
    width: i64,
    blocks: i64,
}

impl View {
    /// The strides of the loops of a window over it.
    fn strides(&self, window: &Window) -> Strides {
        let [across, down] = across_and_down(window.stride);
        let [tap_across, tap_down] = across_and_down(window.dilation);
        Strides {
            kernel: [tap_across, tap_down * self.row_words],
            block: self.width,
            pixel: [across, down * self.row_words],
        }
    }

    fn rows(&self, rows: &Range<usize>) -> (i64, i64) {
        (
            self.base + rows.start.fit::<i64>() * self.row_words,
            rows.len().fit::<i64>() * self.row_words,
        )
    }
}

/// The packing of one strip of output rows.
struct Packing {
    /// First word of the image in its bank.
    image: u32,
    /// Output rows that are still to be packed, piece by piece.
    pieces: VecDeque<Range<usize>>,
    /// Rows before this one are packed or under way.
    end: usize,
}

/// One run of pack: a group of taps for some output rows.
type PackRun = (usize, Range<usize>);

/// A local memory that is filled round and round.
struct Ring {
    next: u32,
    size: u32,
}

impl Ring {
    fn take(&mut self, words: u32) -> u32 {
        if self.next + words > self.size {
            self.next = 0;
        }
        let start = self.next;
        self.next += words;
        start
    }
}

/// The weights and parameters of some column tiles, in memory and where they are in the local memories.
struct Group {
    tiles: Range<usize>,
    parameters: Span,
    weights: Span,
    /// First weight tile of each column tile, from the start of the group.
    first_tile: Vec<u32>,
}

/// Words of constants, and where they were loaded to.
#[derive(Clone, Copy)]
struct Span {
    word: u32,
    words: u32,
    local: u32,
}

struct Lower<'a> {
    network: &'a Network,
    arch: &'a Arch,
    ops: Vec<Op>,
    constants: Vec<Constant<'a>>,
    constant_words: u32,
    images: BTreeMap<TensorId, TensorImage>,
    tensor_words: u64,
    weights: Ring,
    parameters: Ring,
    half: u8,
    step: u32,
    layer: u16,
    /// Strips of each tensor that have gone through its areas for each einsum of the run at hand.
    passes: BTreeMap<(usize, TensorId), usize>,
    /// The strips that pass at the moment from einsum to einsum.
    passing: BTreeMap<TensorId, View>,
    /// The first word of the table that is loaded.
    table: Option<u32>,
}

impl<'a> Lower<'a> {
    fn push(&mut self, operation: impl Into<Operation>, accesses: Vec<Access>) {
        self.push_at(Base::Constants, operation, accesses);
    }

    fn push_at(&mut self, base: Base, operation: impl Into<Operation>, accesses: Vec<Access>) {
        self.ops.push(Op {
            operation: operation.into(),
            base,
            accesses,
            layer: self.layer,
            step: self.step,
        });
    }

    /// The place of a tensor in memory, made at the first request.
    fn image(&mut self, id: TensorId) -> u32 {
        self.image_as(id, Layout::Blocks)
    }

    fn image_as(&mut self, id: TensorId, layout: Layout) -> u32 {
        if let Some(image) = self.images.get(&id) {
            return image.word;
        }
        let tensor = self.network.tensor(id);
        let word = self.tensor_words.fit::<u32>();
        let image = TensorImage {
            tensor: id.0,
            word,
            channels: tensor.channels.fit::<u32>(),
            height: tensor.height.fit::<u32>(),
            width: tensor.width.fit::<u32>(),
            layout,
        };
        self.tensor_words += u64::from(image.words(self.arch.word_bytes()));
        self.images.insert(id, image);
        word
    }

    fn constant(&mut self, constant: Constant<'a>) -> Span {
        let span = Span {
            word: self.constant_words,
            words: constant.words(self.arch),
            local: 0,
        };
        self.constant_words += span.words;
        self.constants.push(constant);
        span
    }

    fn load(&mut self, place: Place, space: Space, local: u32, words: u32) {
        let storage = Storage::of(space);
        let mut accesses = vec![Access::write(storage, local.into(), words.into())];
        if place.base == Base::Tensors {
            accesses.push(Access::read(
                Storage::Memory,
                place.word.into(),
                words.into(),
            ));
        }
        let load = Load {
            memory: place.word,
            space,
            local,
            words,
        };
        self.push_at(place.base, load, accesses);
    }

    fn load_constant(&mut self, span: &Span, space: Space) {
        self.load(
            Place {
                base: Base::Constants,
                word: span.word,
            },
            space,
            span.local,
            span.words,
        );
    }

    fn view(&self, id: TensorId, address: i64, first_row: usize) -> View {
        let row_words = i64::from(row_words(self.network, self.arch, id));
        let width = self.network.tensor(id).width.fit::<i64>();
        View {
            base: address - first_row.fit::<i64>() * row_words,
            row_words,
            width,
            blocks: row_words / width,
        }
    }

    /// Loads rows of a tensor to `area`, in pieces so that work can start before all is there.
    fn load_rows(&mut self, id: TensorId, area: Area, rows: &Range<usize>, piece_words: u32) {
        let row = row_words(self.network, self.arch, id);
        let image = self.image(id);
        let piece = (piece_words / row).max(1) as usize;
        for start in rows.clone().step_by(piece) {
            let n = piece.min(rows.end - start).fit::<u32>();
            let place = Place {
                base: Base::Tensors,
                word: image + start.fit::<u32>() * row,
            };
            self.load(
                place,
                Space::Activations,
                area.start + (start - rows.start).fit::<u32>() * row,
                n * row,
            );
        }
    }

    fn store_rows(&mut self, id: TensorId, view: &View, rows: &Range<usize>) {
        let image = i64::from(self.image(id));
        let (start, words) = view.rows(rows);
        let word = image + rows.start.fit::<i64>() * view.row_words;
        let accesses = vec![
            Access::read(Storage::Banks, start, words),
            Access::write(Storage::Memory, word, words),
        ];
        let store = Store {
            local: start.fit::<u32>(),
            memory: word.fit::<u32>(),
            words: words.fit::<u32>(),
        };
        self.push_at(Base::Tensors, store, accesses);
    }

    /// Brings the rows of every operand that `strip` needs into the banks.
    fn operands(&mut self, index: usize, plan: &EinsumPlan, strip: &Range<usize>) -> Vec<View> {
        let einsum = &self.network.einsums[index];
        let mut views: BTreeMap<TensorId, View> = BTreeMap::new();
        for (&id, access) in einsum.inputs.iter().zip(&plan.inputs) {
            if views.contains_key(&id) {
                continue;
            }
            let view = match access {
                plan::Access::Bank(area) => self.view(id, area.start.into(), 0),
                plan::Access::Fetch(area) => {
                    if self.passes.insert((index, id), 1).is_none() {
                        let height = self.network.tensor(id).height;
                        self.load_rows(id, *area, &(0..height), (area.words / 4).max(64));
                    }
                    self.view(id, area.start.into(), 0)
                }
                plan::Access::Strips(areas) => {
                    let rows = operand_rows(self.network, index, strip);
                    let area = self.next_area(index, id, areas);
                    self.load_rows(id, area, &rows, area.words);
                    self.view(id, area.start.into(), rows.start)
                }
                plan::Access::Passes { areas, .. } => match self.passing.get(&id) {
                    Some(view) => *view,
                    // The layer is lowered alone, as if what passes had been there.
                    None => {
                        let rows = operand_rows(self.network, index, strip);
                        let area = self.next_area(index, id, areas);
                        self.view(id, area.start.into(), rows.start)
                    }
                },
            };
            views.insert(id, view);
        }
        einsum.inputs.iter().map(|id| views[id]).collect()
    }

    /// The area for the next strip of a tensor.
    fn next_area(&mut self, index: usize, id: TensorId, areas: &[Area]) -> Area {
        let pass = self.passes.entry((index, id)).or_insert(0);
        *pass += 1;
        areas[(*pass - 1) % areas.len()]
    }

    /// Brings the image of a layer with packed taps into its bank, and takes an area for the packed words of `strip`.
    fn packed(
        &mut self,
        index: usize,
        plan: &EinsumPlan,
        sums: &Sums,
        taps: &Taps,
        strip: &Range<usize>,
    ) -> (View, u32) {
        let id = self.network.einsums[index].inputs[0];
        let plan::Access::Fetch(image) = plan.inputs[0] else {
            unreachable!("an image with packed taps is loaded whole")
        };
        let is_first = !self.passes.contains_key(&(index, id));
        let area = self.next_area(index, id, &plan.packed);
        if is_first {
            self.load_planes(id, taps, image);
        }
        let width = sums.input.width.fit::<i64>();
        let blocks = sums.input.channels.fit::<i64>() / i64::from(self.arch.word_bytes());
        let row_words = blocks * width;
        let view = View {
            base: i64::from(area.start) - strip.start.fit::<i64>() * row_words,
            row_words,
            width,
            blocks,
        };
        (view, image.start)
    }

    /// Loads an image of plain bytes, the same rows of all planes together, so that packing can start before all is
    /// there.
    fn load_planes(&mut self, id: TensorId, taps: &Taps, area: Area) {
        const LEAST_WORDS: u32 = 256;
        let image = self.image(id);
        let row = taps.image_row_words(self.arch);
        let (channels, height) = (
            taps.image.channels.fit::<u32>(),
            taps.image.height.fit::<u32>(),
        );
        let pieces = (area.words / LEAST_WORDS).clamp(1, 4);
        let rows = height.div_ceil(pieces);
        let mut runs = Vec::new();
        if rows == height {
            runs.push((0, area.words));
        } else {
            for top in (0..height).step_by(rows as usize) {
                let n = rows.min(height - top);
                runs.extend((0..channels).map(|c| ((c * height + top) * row, n * row)));
            }
        }
        for (offset, words) in runs {
            let place = Place {
                base: Base::Tensors,
                word: image + offset,
            };
            self.load(place, Space::Activations, area.start + offset, words);
        }
    }

    /// The runs of pack that bring the packed rows up to `row`.
    fn pack_runs(taps: &Taps, packing: &mut Packing, row: usize) -> VecDeque<PackRun> {
        let mut runs = VecDeque::new();
        while packing.end < row {
            let piece = packing.pieces.pop_front().expect("pieces cover the strip");
            packing.end = piece.end;
            runs.extend((0..taps.groups()).map(|group| (group, piece.clone())));
        }
        runs
    }

    /// Packs the taps of one group for all pixels of some output rows.
    fn pack(&mut self, sums: &Sums, taps: &Taps, image: u32, packed: &View, run: &PackRun) {
        let (group, rows) = run;
        let window = &taps.window;
        let [kernel_y, kernel_x] = window.kernel;
        let (channel, tap_row) = (group / kernel_y, group % kernel_y);
        let row_words = i64::from(taps.image_row_words(self.arch));
        let plane = i64::from(image) + (channel * taps.image.height).fit::<i64>() * row_words;
        let row = window.row(rows.start, tap_row) as i64;
        let (block, position) = (group / taps.per_word, group % taps.per_word);
        let to = packed.base
            + rows.start.fit::<i64>() * packed.row_words
            + block.fit::<i64>() * packed.width;
        let pack = Pack {
            source: self.wrap(plane + row * row_words),
            row: window.stride[0].fit::<i64>() * row_words,
            origin: [-window.pads[1].fit::<i64>(), row],
            extent: [taps.image.width, taps.image.height].map(|n| n.fit::<i64>()),
            stride: across_and_down(window.stride),
            lane: (position * kernel_x).fit::<u32>(),
            taps: kernel_x.fit::<u32>(),
            padding: taps.image.zero_point,
            destination: Destination {
                address: self.wrap(to),
                pixels: [sums.output.width.fit::<u32>(), rows.len().fit::<u32>()],
                block: 0,
                row: packed.row_words,
            },
        };
        let height = taps.image.height.fit::<isize>();
        let first = window.row(rows.start, tap_row).clamp(0, height);
        let last = (window.row(rows.end - 1, tap_row) + 1).clamp(first, height);
        let (written, words) = packed.rows(rows);
        let mut accesses = vec![Access::write(Storage::Banks, written, words)];
        if last > first {
            let (first, words) = (first as i64 * row_words, (last - first) as i64 * row_words);
            accesses.push(Access::read(Storage::Banks, plane + first, words));
        }
        self.push(pack, accesses);
    }

    /// Where the results of a strip go. Of what passes on, the rows that are still needed come along.
    fn result(&mut self, index: usize, plan: &EinsumPlan, strip: &Range<usize>) -> View {
        let id = self.network.einsums[index].output;
        match &plan.output {
            plan::Access::Bank(area) | plan::Access::Fetch(area) => {
                self.view(id, area.start.into(), 0)
            }
            plan::Access::Strips(areas) => {
                let area = self.next_area(index, id, areas);
                self.view(id, area.start.into(), strip.start)
            }
            plan::Access::Passes { areas, halo } => {
                let area = self.next_area(index, id, areas);
                let kept = strip.start.saturating_sub(*halo)..strip.start;
                let view = self.view(id, area.start.into(), kept.start);
                let before = self.passing.insert(id, view);
                if let Some(before) = before.filter(|_| !kept.is_empty()) {
                    let height = self.network.tensor(id).height;
                    self.max_pool(&Window::dense([1, 1]), &before, height, &view, &kept);
                }
                view
            }
        }
    }

    /// Writes the constants of some column tiles.
    fn group(&mut self, sums: &'a Sums<'a>, tiles: Range<usize>) -> Group {
        let parameters = self.constant(Constant::Parameters(sums, tiles.clone()));
        let mut places: BTreeMap<usize, u32> = BTreeMap::new();
        let mut weights = Span {
            word: self.constant_words,
            words: 0,
            local: 0,
        };
        let mut next = 0;
        let mut first_tile = Vec::new();
        for n in tiles.clone() {
            let tile = *places
                .entry(sums.same_weights(self.arch, n))
                .or_insert_with(|| {
                    let chunk = sums.whole(self.arch, n);
                    next += chunk.steps().fit::<u32>();
                    let tile = next - chunk.steps().fit::<u32>();
                    weights.words += self.constant(Constant::Weights(sums, n, chunk)).words;
                    tile
                });
            first_tile.push(tile);
        }
        Group {
            tiles,
            parameters,
            weights,
            first_tile,
        }
    }

    /// One tile of pixels for all column tiles of a group; between them the runs of pack in `ahead`, for the next tile.
    #[expect(clippy::too_many_arguments, reason = "one tile needs all of them")]
    fn tile(
        &mut self,
        sums: &Sums,
        choice: &Choice,
        group: &Group,
        tile: &PixelTile,
        input: &View,
        output: &View,
        image: u32,
        mut ahead: VecDeque<PackRun>,
    ) {
        let share = ahead.len().div_ceil(group.tiles.len());
        for (position, n) in group.tiles.clone().enumerate() {
            let first = group.weights.local / self.arch.array.cols + group.first_tile[position];
            self.exec(
                sums,
                choice,
                &sums.whole(self.arch, n),
                tile,
                input,
                first,
                false,
            );
            if let Some(taps) = &sums.taps {
                for run in ahead.drain(..share.min(ahead.len())) {
                    self.pack(sums, taps, image, input, &run);
                }
            }
            let channel =
                (tile.set * group.tiles.len() + position).fit::<u32>() * self.arch.array.cols;
            self.requantise(sums, n, tile, output, &group.parameters, channel);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one run reads all of them")]
    fn exec(
        &mut self,
        sums: &Sums,
        choice: &Choice,
        chunk: &Chunk,
        tile: &PixelTile,
        input: &View,
        first: u32,
        accumulate: bool,
    ) {
        let window = &sums.window;
        if !accumulate {
            self.half ^= 1;
        }
        let origin_x = (tile.cols.start * window.stride[1]
            + chunk.kernel_x.start * window.dilation[1])
            .fit::<i64>()
            - window.pads[1].fit::<i64>();
        let origin_y = (tile.rows.start * window.stride[0]
            + chunk.kernel_y.start * window.dilation[0])
            .fit::<i64>()
            - window.pads[0].fit::<i64>();
        let source = input.base
            + origin_y * input.row_words
            + chunk.blocks.start.fit::<i64>() * input.width
            + origin_x;
        let exec = Exec {
            half: self.half,
            accumulate,
            dataflow: choice.dataflow,
            window: operation::Window {
                source: self.wrap(source),
                origin: [origin_x, origin_y],
                extent: [sums.input.width, sums.input.height].map(|n| n.fit::<i64>()),
                stride: across_and_down(window.stride),
                dilation: across_and_down(window.dilation),
                kernel: [chunk.kernel_x.len(), chunk.kernel_y.len()].map(|n| n.fit::<u32>()),
                blocks: chunk.blocks.len().fit::<u32>(),
                pixels: [tile.cols.len(), tile.rows.len()].map(|n| n.fit::<u32>()),
                strides: input.strides(window),
            },
            padding: sums.padding,
            tile: first,
        };
        let lowest = origin_y.clamp(0, sums.input.height.fit::<i64>());
        let reach = (tile.rows.len() - 1) * window.stride[0]
            + (chunk.kernel_y.len() - 1) * window.dilation[0]
            + 1;
        let highest = (origin_y + reach.fit::<i64>()).clamp(lowest, sums.input.height.fit::<i64>());
        let (read, words) = input.rows(&(lowest.fit::<usize>()..highest.fit::<usize>()));
        let cols = i64::from(self.arch.array.cols);
        let half = Storage::Half(self.half);
        let mut accesses = vec![
            Access::read(
                Storage::Weights,
                i64::from(first) * cols,
                chunk.steps().fit::<i64>() * cols,
            ),
            Access::write(half, 0, 1),
        ];
        if words > 0 {
            accesses.push(Access::read(Storage::Banks, read, words));
        }
        self.push(exec, accesses);
    }

    /// Requantises column tile `n`, whose parameters start at `channel` of the loaded ones.
    fn requantise(
        &mut self,
        sums: &Sums,
        n: usize,
        tile: &PixelTile,
        output: &View,
        parameters: &Span,
        channel: u32,
    ) {
        let (cols, rows) = (self.arch.array.cols as usize, self.arch.array.rows as usize);
        let block = (n * cols / rows).fit::<i64>();
        let address = output.base
            + tile.rows.start.fit::<i64>() * output.row_words
            + block * output.width
            + tile.cols.start.fit::<i64>();
        let lanes = self.arch.vector.requantise_lanes;
        let first_channel = parameters.local * (self.arch.word_bytes() / 8) + channel;
        let requantise = Requantise {
            half: self.half,
            destination: Destination {
                address: self.wrap(address),
                pixels: [tile.cols.len(), tile.rows.len()].map(|n| n.fit::<u32>()),
                block: 0,
                row: output.row_words,
            },
            group: (n * cols % rows / cols).fit::<u32>(),
            parameters: first_channel / lanes,
            clamp: sums.clamp,
            zero_point: sums.output.zero_point,
        };
        let (written, words) = output.rows(&tile.rows);
        let word_channels = self.arch.word_bytes() / 8;
        let first_word = i64::from(first_channel / word_channels);
        let last_word = i64::from((first_channel + cols.fit::<u32>() - 1) / word_channels);
        let accesses = vec![
            Access::read(Storage::Half(self.half), 0, 1),
            Access::read(Storage::Parameters, first_word, last_word - first_word + 1),
            Access::write(Storage::Banks, written, words),
        ];
        self.push(requantise, accesses);
    }

    /// A table of fixed-point values for each operand, indexed by the bits of the operand.
    fn table(&mut self, first: &[i32], second: &[i32]) -> Span {
        let entries = [first, second]
            .into_iter()
            .flat_map(|table| (0..=u8::MAX).map(|bits| table[table_index(bits.cast_signed())]));
        let bytes: Vec<u8> = entries.flat_map(i32::to_le_bytes).collect();
        self.constant(Constant::Table(bytes))
    }

    fn byte_table(&mut self, values: &[i8]) -> Span {
        let fixed: Vec<i32> = values
            .iter()
            .map(|v| i32::from(*v) << FRACTION_BITS)
            .collect();
        self.table(&fixed, &[0; 256])
    }

    fn use_table(&mut self, span: &Span) {
        if self.table.replace(span.word) != Some(span.word) {
            self.load_constant(span, Space::Tables);
        }
    }

    /// Adds or translates all words of `rows`, in pieces that the next layer can start on, through tables with
    /// `fraction_bits`.
    fn lookup(
        &mut self,
        sources: &[View],
        result: &View,
        rows: &Range<usize>,
        (clamp, fraction_bits): (Clamp, u32),
    ) {
        for piece in pieces(rows, result.row_words) {
            // All words of some rows, or those of a row block by block where a row is too long.
            let whole_rows = result.row_words <= MOST_PIXELS;
            let (per_row, n_rows, starts) = if whole_rows {
                (result.row_words, piece.len().fit::<u32>(), vec![piece])
            } else {
                let rows = piece.map(|row| row..row + 1).collect();
                (result.width, result.blocks.fit::<u32>(), rows)
            };
            for rows in starts {
                let (to, words) = result.rows(&rows);
                let mut accesses = vec![
                    Access::read(Storage::Tables, 0, 1),
                    Access::write(Storage::Banks, to, words),
                ];
                let from: Vec<i64> = sources.iter().map(|source| source.rows(&rows).0).collect();
                accesses.extend(
                    from.iter()
                        .map(|&from| Access::read(Storage::Banks, from, words)),
                );
                let lookup = Lookup {
                    source: from[0].fit::<u32>(),
                    source_b: from.get(1).map(|&from| from.fit::<u32>()),
                    strides: [1, per_row],
                    destination: Destination {
                        address: to.fit::<u32>(),
                        pixels: [per_row.fit::<u32>(), n_rows],
                        block: 0,
                        row: per_row,
                    },
                    fraction_bits,
                    clamp,
                };
                self.push(lookup, accesses);
            }
        }
    }

    fn max_pool(
        &mut self,
        window: &Window,
        source: &View,
        height: usize,
        result: &View,
        rows: &Range<usize>,
    ) {
        for piece in pieces(rows, result.row_words * window.n_taps().fit::<i64>()) {
            self.pool(window, source, height, result, result.base, &piece);
        }
    }

    /// Max-pool of `rows`; `base` is the address of the result's first block.
    fn pool(
        &mut self,
        window: &Window,
        source: &View,
        height: usize,
        result: &View,
        base: i64,
        rows: &Range<usize>,
    ) {
        let origin_x = -window.pads[1].fit::<i64>();
        let origin_y = window.row(rows.start, 0) as i64;
        let from = source.base + origin_y * source.row_words + origin_x;
        let to = base + rows.start.fit::<i64>() * result.row_words;
        let pixels = [result.width.fit::<u32>(), rows.len().fit::<u32>()];
        let pool = MaxPool {
            window: operation::Window {
                source: self.wrap(from),
                origin: [origin_x, origin_y],
                extent: [source.width, height.fit::<i64>()],
                stride: across_and_down(window.stride),
                dilation: across_and_down(window.dilation),
                kernel: [window.kernel[1], window.kernel[0]].map(|n| n.fit::<u32>()),
                blocks: source.blocks.fit::<u32>(),
                pixels,
                strides: source.strides(window),
            },
            destination: Destination {
                address: self.wrap(to),
                pixels,
                block: result.width,
                row: result.row_words,
            },
        };
        let read_rows = crate::sums::input_rows(window, height, rows);
        let (read, words) = source.rows(&read_rows);
        let (written, written_words) = result.rows(rows);
        let accesses = vec![
            Access::read(Storage::Banks, read, words),
            Access::write(Storage::Banks, written, written_words),
        ];
        self.push(pool, accesses);
    }

    /// Writes every word of the source's rows as often as a selection repeats rows and columns: a maximum of one word.
    fn repeat(&mut self, op: &Select, source: &View, result: &View, rows: &Range<usize>) {
        const MOST_BLOCKS: i64 = 1023;
        let [down, across] = [op.rows.repeat, op.columns.repeat];
        for copy in 0..down {
            // The source rows whose copy of this number is in the strip.
            let first = (rows.start + down - 1 - copy) / down;
            let end = (rows.end + down - 1 - copy) / down;
            for start in (first..end).step_by(MOST_PIXELS.fit::<usize>()) {
                let own = start..end.min(start + MOST_PIXELS.fit::<usize>());
                for word in (0..source.row_words).step_by(MOST_BLOCKS.fit::<usize>()) {
                    let words = MOST_BLOCKS.min(source.row_words - word);
                    self.repeat_words(
                        source,
                        result,
                        (across, down),
                        copy,
                        &own,
                        word..word + words,
                    );
                }
            }
        }
    }

    /// Writes `words` of some source rows `across` times each to the rows that are their `copy` of `down`.
    fn repeat_words(
        &mut self,
        source: &View,
        result: &View,
        (across, down): (usize, usize),
        copy: usize,
        rows: &Range<usize>,
        words: Range<i64>,
    ) {
        let (across, down_rows) = (across.fit::<i64>(), down.fit::<i64>());
        let first = rows.start * down + copy;
        let from = source.base + rows.start.fit::<i64>() * source.row_words + words.start;
        let to = result.base + first.fit::<i64>() * result.row_words + words.start * across;
        let pixels = [across.fit::<u32>(), rows.len().fit::<u32>()];
        // Copies of a word are pixels of a row, and the words blocks.
        let copies = MaxPool {
            window: operation::Window {
                source: self.wrap(from),
                origin: [0, 0],
                extent: [1, 1],
                stride: [0, 0],
                dilation: [1, 1],
                kernel: [1, 1],
                blocks: (words.end - words.start).fit::<u32>(),
                pixels,
                strides: Strides {
                    kernel: [0, 0],
                    block: 1,
                    pixel: [0, source.row_words],
                },
            },
            destination: Destination {
                address: self.wrap(to),
                pixels,
                block: across,
                row: down_rows * result.row_words,
            },
        };
        let last = (rows.end - 1) * down + copy + 1;
        let (read, read_words) = source.rows(rows);
        let (written, written_words) = result.rows(&(first..last));
        let accesses = vec![
            Access::read(Storage::Banks, read, read_words),
            Access::write(Storage::Banks, written, written_words),
        ];
        self.push(copies, accesses);
    }

    /// Copies each operand to its blocks, through its table where the scales differ.
    fn concat(
        &mut self,
        op: &Concat,
        tables: &[Span],
        sources: &[View],
        result: &View,
        rows: &Range<usize>,
    ) {
        let mut block = 0;
        for (which, source) in sources.iter().enumerate() {
            let base = result.base + block * result.width;
            block += source.blocks;
            let copies = table_values().all(|v| op.tables[which][table_index(v)] == v)
                && self.arch.vector.max_pool;
            for piece in pieces(rows, source.row_words) {
                if copies {
                    self.pool(
                        &Window::dense([1, 1]),
                        source,
                        piece.end,
                        result,
                        base,
                        &piece,
                    );
                    continue;
                }
                self.use_table(&tables[which]);
                self.translate(source, result, base, &piece);
            }
        }
    }

    /// A table over rows whose distances differ: all words of a row, row by row.
    fn translate(&mut self, source: &View, result: &View, base: i64, rows: &Range<usize>) {
        let whole = source.row_words <= MOST_PIXELS;
        let starts: Vec<(Range<usize>, i64)> = if whole {
            vec![(rows.clone(), 0)]
        } else {
            rows.clone()
                .flat_map(|r| (0..source.blocks).map(move |b| (r..r + 1, b)))
                .collect()
        };
        let x = if whole {
            source.row_words
        } else {
            source.width
        };
        for (rows, block) in starts {
            let from =
                source.base + rows.start.fit::<i64>() * source.row_words + block * source.width;
            let to = base + rows.start.fit::<i64>() * result.row_words + block * source.width;
            let lookup = Lookup {
                source: self.wrap(from),
                source_b: None,
                strides: [1, source.row_words],
                destination: Destination {
                    address: self.wrap(to),
                    pixels: [x.fit::<u32>(), rows.len().fit::<u32>()],
                    block: 0,
                    row: result.row_words,
                },
                fraction_bits: FRACTION_BITS,
                clamp: Clamp::FULL,
            };
            let (read, read_words) = source.rows(&rows);
            let (written, written_words) = result.rows(&rows);
            let accesses = vec![
                Access::read(Storage::Tables, 0, 1),
                Access::read(Storage::Banks, read, read_words),
                Access::write(Storage::Banks, written, written_words),
            ];
            self.push(lookup, accesses);
        }
    }

    /// An address modulo the address space of the banks.
    fn wrap(&self, address: i64) -> u32 {
        let wrapped = address.rem_euclid(1 << self.arch.activation_addr_bits());
        wrapped.fit::<u32>()
    }
}

/// Values of rows and columns in the order of the registers.
fn across_and_down([down, across]: [usize; 2]) -> [i64; 2] {
    [across, down].map(|n| n.fit::<i64>())
}

/// Up to four pieces of `rows` with at least 64 words each, and at most [`MOST_PIXELS`] rows.
fn pieces(rows: &Range<usize>, row_words: i64) -> Vec<Range<usize>> {
    let least = (64 / row_words.max(1)).max(1).fit::<usize>();
    let piece = rows
        .len()
        .div_ceil(4)
        .max(least)
        .min(MOST_PIXELS.fit::<usize>());
    rows.clone()
        .step_by(piece)
        .map(|start| start..(start + piece).min(rows.end))
        .collect()
}
