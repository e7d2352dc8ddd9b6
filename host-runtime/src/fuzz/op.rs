//! Operations of random programs: what they do, which places they touch, which registers they need.

use ir::arch::Arch;
use ir::isa::{Engine, Opcode, Register, Run};

/// The local memories by their code in `load.destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Activations,
    Weights,
    Parameters,
    Tables,
}

impl Space {
    pub(super) const ALL: [Space; 4] = [
        Space::Activations,
        Space::Weights,
        Space::Parameters,
        Space::Tables,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Space::Activations => "activations",
            Space::Weights => "weights",
            Space::Parameters => "parameters",
            Space::Tables => "tables",
        }
    }

    /// Words of the memory that LOAD can fill.
    pub(super) fn words(self, arch: &Arch) -> u32 {
        match self {
            Space::Activations => arch.activations.banks * arch.activations.words,
            Space::Weights => arch.weights.words,
            Space::Parameters => arch.parameter_words(arch.parameters.channels),
            Space::Tables => arch.table_words(),
        }
    }
}

/// The source side of the five loops, with strides from the start of each loop.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) source: i64,
    pub(super) origin: [i64; 2],
    pub(super) extent: [i64; 2],
    pub(super) stride: [i64; 2],
    pub(super) dilation: [i64; 2],
    pub(super) kernel: [i64; 2],
    pub(super) blocks: i64,
    pub(super) pixels: [i64; 2],
    /// Address changes of kernel x, kernel y, block, pixel x, pixel y.
    pub(super) strides: [i64; 5],
}

/// One run instruction with all that its registers hold, in absolute terms.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Load {
        space: Space,
        memory: u32,
        local: u32,
        words: u32,
    },
    Store {
        source: u32,
        memory: u32,
        words: u32,
    },
    Exec {
        half: bool,
        accumulate: bool,
        output: bool,
        window: Window,
        padding: i64,
        tile: u32,
    },
    Requantise {
        half: bool,
        pixels: [i64; 2],
        destination: u32,
        row: i64,
        group: u32,
        parameters: u32,
        clamp: [i64; 2],
        zero_point: i64,
    },
    MaxPool {
        window: Window,
        destination: u32,
        block: i64,
        row: i64,
    },
    Lookup {
        second: Option<u32>,
        source: u32,
        strides: [i64; 2],
        pixels: [i64; 2],
        destination: u32,
        row: i64,
        clamp: [i64; 2],
        dropped: i64,
    },
    Pack {
        image: Image,
        taps: i64,
        lane: i64,
        padding: i64,
        pixels: [i64; 2],
        destination: u32,
        row: i64,
    },
}

/// An image of plain bytes, as pack reads it.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// Address of the first byte of the row that the first pixel starts at.
    pub(super) source: i64,
    pub(super) origin: [i64; 2],
    /// Bytes of a row, and rows.
    pub(super) extent: [i64; 2],
    pub(super) stride: [i64; 2],
    /// Address change for each row of pixels.
    pub(super) down: i64,
}

impl Image {
    /// Calls `each` with the address of every word that a pixel reads.
    fn visit(
        &self,
        arch: &Arch,
        pixels: [i64; 2],
        mut each: impl FnMut(i64) -> Option<()>,
    ) -> Option<()> {
        let word_bytes = i64::from(arch.word_bytes());
        for y in 0..pixels[1] {
            if !(0..self.extent[1]).contains(&(self.origin[1] + y * self.stride[1])) {
                continue;
            }
            for x in 0..pixels[0] {
                let first = self.origin[0] + x * self.stride[0];
                // The two words from that of the first byte on are read where they hold bytes of the row.
                let word = first.div_euclid(word_bytes);
                let inside = |word: &i64| (0..self.extent[0]).contains(&(word * word_bytes));
                (word..word + 2)
                    .filter(inside)
                    .try_for_each(|word| each(self.source + y * self.down + word))?;
            }
        }
        Some(())
    }
}

/// A place that operations share: what it is, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Bank(u32),
    Weights(u32),
    Parameters(u32),
    Tables(u32),
    Sums(bool, u32),
    Memory(u32),
    ReadPort(u32),
    WritePort(u32),
}

/// The places of one operation.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) reads: Vec<Place>,
    pub(super) writes: Vec<Place>,
    /// Written in part: what is left of it shows, so it must hold something.
    pub(super) partial: Vec<Place>,
}

impl Op {
    pub(super) const fn opcode(&self) -> Opcode {
        match self {
            Op::Load { .. } => Opcode::Load,
            Op::Store { .. } => Opcode::Store,
            Op::Exec { .. } => Opcode::Exec,
            Op::Requantise { .. } => Opcode::Requantise,
            Op::MaxPool { .. } => Opcode::MaxPool,
            Op::Lookup { .. } => Opcode::Lookup,
            Op::Pack { .. } => Opcode::Pack,
        }
    }

    pub(super) const fn engine(&self) -> Engine {
        self.opcode().engine()
    }

    /// The row of the coverage table.
    pub(super) fn variant(&self) -> String {
        match self {
            Op::Load { space, .. } => format!("load {}", space.name()),
            Op::Exec {
                output: true, half, ..
            } => format!("exec output half{}", u8::from(*half)),
            Op::Exec {
                accumulate, half, ..
            } => format!(
                "exec weight{} half{}",
                if *accumulate { " accumulate" } else { "" },
                u8::from(*half)
            ),
            Op::Requantise { half, .. } => format!("requantise half{}", u8::from(*half)),
            Op::Lookup {
                second: Some(_), ..
            } => "lookup pair".to_owned(),
            other => other.opcode().name().to_owned(),
        }
    }

    /// The run instruction without waits and signals.
    pub(super) fn run(&self) -> Run {
        let mut run = Run::new(self.opcode());
        run.flags = match self {
            Op::Exec {
                half,
                accumulate,
                output,
                ..
            } => u8::from(*half) | u8::from(*accumulate) << 1 | u8::from(*output) << 2,
            Op::Requantise { half, .. } => u8::from(*half),
            Op::Lookup { second, .. } => u8::from(second.is_some()),
            _ => 0,
        };
        run
    }

    /// The places it touches; `None` when an address is outside its memory.
    pub(super) fn places(&self, arch: &Arch) -> Option<Places> {
        let mut places = Places::default();
        match self {
            Op::Load {
                space,
                memory,
                local,
                words,
            } => {
                places
                    .reads
                    .extend((*memory..memory + words).map(Place::Memory));
                if local + words > space.words(arch) {
                    return None;
                }
                for word in *local..local + words {
                    match space {
                        Space::Activations => places.write_bank(arch, i64::from(word))?,
                        Space::Weights => places.writes.push(Place::Weights(word)),
                        Space::Parameters => places.writes.push(Place::Parameters(word)),
                        Space::Tables => places.writes.push(Place::Tables(word)),
                    }
                }
            }
            Op::Store {
                source,
                memory,
                words,
            } => {
                places
                    .writes
                    .extend((*memory..memory + words).map(Place::Memory));
                (*source..source + words)
                    .try_for_each(|word| places.read_bank(arch, i64::from(word)))?;
            }
            Op::Exec {
                half,
                accumulate,
                output,
                window,
                tile,
                ..
            } => {
                let pixels = u32::try_from(window.pixels[0] * window.pixels[1]).ok()?;
                let end = tile + u32::try_from(window.steps()).ok()?;
                if pixels > arch.accumulators.pixels || end > arch.weight_tiles() {
                    return None;
                }
                let dataflow = if *output {
                    ir::arch::Dataflow::OutputStationary
                } else {
                    ir::arch::Dataflow::WeightStationary
                };
                if !arch.has(dataflow) {
                    return None;
                }
                window.visit(|address| places.read_bank(arch, address))?;
                places
                    .reads
                    .extend((tile * arch.array.cols..end * arch.array.cols).map(Place::Weights));
                let sums = (0..pixels).map(|pixel| Place::Sums(*half, pixel));
                if *accumulate {
                    places.reads.extend(sums.clone());
                }
                places.writes.extend(sums);
            }
            Op::Requantise {
                half,
                pixels,
                destination,
                row,
                group,
                parameters,
                ..
            } => {
                let n_pixels = u32::try_from(pixels[0] * pixels[1]).ok()?;
                let first = parameters * arch.vector.requantise_lanes;
                let in_range = first + arch.array.cols <= arch.parameters.channels
                    && group * arch.array.cols < arch.word_bytes();
                if n_pixels > arch.accumulators.pixels
                    || !in_range
                    || !first.is_multiple_of(arch.array.cols)
                {
                    return None;
                }
                places
                    .reads
                    .extend((0..n_pixels).map(|pixel| Place::Sums(*half, pixel)));
                let channels_per_word = arch.word_bytes() / 8;
                let last = (first + arch.array.cols - 1) / channels_per_word;
                places
                    .reads
                    .extend((first / channels_per_word..=last).map(Place::Parameters));
                rows(*pixels, *row, |offset| {
                    places.write_bank(arch, i64::from(*destination) + offset)
                })?;
                if arch.array.cols < arch.word_bytes() {
                    let whole = |place: &&Place| matches!(place, Place::Bank(_));
                    places.partial = places.writes.iter().filter(whole).copied().collect();
                }
            }
            Op::MaxPool {
                window,
                destination,
                block,
                row,
            } => {
                window.visit(|address| places.read_bank(arch, address))?;
                for y in 0..window.pixels[1] {
                    for b in 0..window.blocks {
                        let start = i64::from(*destination) + y * row + b * block;
                        (0..window.pixels[0])
                            .try_for_each(|x| places.write_bank(arch, start + x))?;
                    }
                }
            }
            Op::Lookup {
                second,
                source,
                strides,
                pixels,
                destination,
                row,
                ..
            } => {
                for first in [Some(source), second.as_ref()].into_iter().flatten() {
                    for y in 0..pixels[1] {
                        (0..pixels[0]).try_for_each(|x| {
                            places.read_bank(
                                arch,
                                i64::from(*first) + x * strides[0] + y * strides[1],
                            )
                        })?;
                    }
                }
                rows(*pixels, *row, |offset| {
                    places.write_bank(arch, i64::from(*destination) + offset)
                })?;
                let used = if second.is_some() {
                    arch.table_words()
                } else {
                    arch.table_words() / 2
                };
                places.reads.extend((0..used).map(Place::Tables));
            }
            Op::Pack {
                image,
                taps,
                lane,
                pixels,
                destination,
                row,
                ..
            } => {
                if lane + taps > i64::from(arch.word_bytes()) {
                    return None;
                }
                image.visit(arch, *pixels, |address| places.read_bank(arch, address))?;
                rows(*pixels, *row, |offset| {
                    places.write_bank(arch, i64::from(*destination) + offset)
                })?;
                if *taps < i64::from(arch.word_bytes()) {
                    let whole = |place: &&Place| matches!(place, Place::Bank(_));
                    places.partial = places.writes.iter().filter(whole).copied().collect();
                }
            }
        }
        places.reads.sort();
        places.reads.dedup();
        places.writes.sort();
        // A word that one vector operation reads and writes has a value that depends on its pipeline.
        let own = self.engine() == Engine::Vec
            && places.reads.iter().any(|place| {
                matches!(place, Place::Bank(_)) && places.writes.binary_search(place).is_ok()
            });
        (!own).then_some(places)
    }

    /// The registers that it needs, with their values; `None` when one does not fit its field.
    pub(super) fn registers(&self, arch: &Arch) -> Option<Vec<(Register, u32)>> {
        let mut list: Vec<(Register, Vec<i64>)> = Vec::new();
        match self {
            Op::Load {
                space,
                memory,
                local,
                words,
            } => {
                list.push((Register::LoadMemory, vec![i64::from(*memory)]));
                list.push((
                    Register::LoadDestination,
                    vec![i64::from(*local), *space as i64],
                ));
                list.push((Register::LoadLength, vec![i64::from(*words)]));
            }
            Op::Store {
                source,
                memory,
                words,
            } => {
                list.push((Register::StoreSource, vec![i64::from(*source)]));
                list.push((Register::StoreMemory, vec![i64::from(*memory)]));
                list.push((Register::StoreLength, vec![i64::from(*words)]));
            }
            Op::Exec {
                output,
                window,
                padding,
                tile,
                ..
            } => {
                use Register::*;
                window.common(
                    arch,
                    [
                        ExecSource,
                        ExecOrigin,
                        ExecExtent,
                        ExecStep,
                        ExecReduction,
                        ExecPixels,
                    ],
                    &mut list,
                );
                let order = if *output {
                    [0, 1, 2, 3, 4]
                } else {
                    [3, 4, 0, 1, 2]
                };
                let names = [
                    ExecDeltaKernelX,
                    ExecDeltaKernelY,
                    ExecDeltaBlock,
                    ExecDeltaX,
                    ExecDeltaY,
                ];
                window.deltas(order, names, &mut list);
                list.push((ExecPadding, vec![*padding]));
                list.push((ExecWeights, vec![i64::from(*tile)]));
            }
            Op::Requantise {
                pixels,
                destination,
                row,
                group,
                parameters,
                clamp,
                zero_point,
                ..
            } => {
                destination_rows(*destination, *pixels, *row, &mut list);
                list.push((Register::VecGroup, vec![i64::from(*group)]));
                list.push((Register::VecParameters, vec![i64::from(*parameters)]));
                list.push((Register::VecClamp, vec![clamp[0], clamp[1], 0]));
                list.push((Register::VecZeroPoint, vec![*zero_point]));
            }
            Op::MaxPool {
                window,
                destination,
                block,
                row,
            } => {
                use Register::*;
                window.common(
                    arch,
                    [
                        VecSource, VecOrigin, VecExtent, VecStep, VecWindow, VecPixels,
                    ],
                    &mut list,
                );
                window.deltas(
                    [0, 1, 3, 2, 4],
                    [
                        VecDeltaKernelX,
                        VecDeltaKernelY,
                        VecDeltaBlock,
                        VecDeltaX,
                        VecDeltaY,
                    ],
                    &mut list,
                );
                let x = window.pixels[0] - 1;
                list.push((VecDestination, vec![i64::from(*destination)]));
                list.push((VecDestinationDeltaBlock, vec![block - x]));
                list.push((
                    VecDestinationDeltaY,
                    vec![row - x - block * (window.blocks - 1)],
                ));
            }
            Op::Lookup {
                second,
                source,
                strides,
                pixels,
                destination,
                row,
                clamp,
                dropped,
            } => {
                destination_rows(*destination, *pixels, *row, &mut list);
                list.push((Register::VecSource, vec![i64::from(*source)]));
                if let Some(second) = second {
                    list.push((Register::VecSourceB, vec![i64::from(*second)]));
                }
                list.push((Register::VecDeltaX, vec![strides[0]]));
                list.push((
                    Register::VecDeltaY,
                    vec![strides[1] - strides[0] * (pixels[0] - 1)],
                ));
                list.push((Register::VecClamp, vec![clamp[0], clamp[1], *dropped]));
            }
            Op::Pack {
                image,
                taps,
                lane,
                padding,
                pixels,
                destination,
                row,
            } => {
                destination_rows(*destination, *pixels, *row, &mut list);
                list.push((
                    Register::VecSource,
                    vec![image.source.rem_euclid(1 << arch.activation_addr_bits())],
                ));
                list.push((Register::VecOrigin, image.origin.to_vec()));
                list.push((Register::VecExtent, image.extent.to_vec()));
                list.push((Register::VecStep, [image.stride, [1, 1]].concat()));
                list.push((Register::VecWindow, vec![*taps, 1, 1]));
                list.push((Register::VecDeltaX, vec![0]));
                list.push((Register::VecDeltaY, vec![image.down]));
                list.push((Register::VecPack, vec![*lane, *padding]));
            }
        }
        let packed = list
            .into_iter()
            .map(|(register, values)| match register.pack(&values) {
                Ok(ir::isa::Instruction::Configure { register, value }) => Some((register, value)),
                _ => None,
            });
        packed.collect()
    }

    /// Registers that advance by themselves, and by how much.
    pub(super) fn advances(&self, arch: &Arch) -> Vec<(Register, u32)> {
        match self {
            Op::Load { words, .. } => vec![
                (Register::LoadMemory, *words),
                (Register::LoadDestination, *words),
            ],
            Op::Store { words, .. } => vec![
                (Register::StoreMemory, *words),
                (Register::StoreSource, *words),
            ],
            Op::Exec { window, .. } => vec![(Register::ExecWeights, window.steps() as u32)],
            Op::Requantise { .. } => vec![(
                Register::VecParameters,
                arch.array.cols / arch.vector.requantise_lanes,
            )],
            Op::MaxPool { .. } | Op::Lookup { .. } | Op::Pack { .. } => Vec::new(),
        }
    }
}

impl Places {
    fn bank(arch: &Arch, address: i64) -> Option<(u32, u32)> {
        let space = 1i64 << arch.activation_addr_bits();
        // Address arithmetic wraps; beyond the last bank there is nothing.
        let address = address.rem_euclid(space) as u32;
        let bank = address / arch.activations.words;
        (bank < arch.activations.banks).then_some((address, bank))
    }

    fn read_bank(&mut self, arch: &Arch, address: i64) -> Option<()> {
        let (address, bank) = Places::bank(arch, address)?;
        self.reads.push(Place::Bank(address));
        let port = Place::ReadPort(bank);
        if !self.writes.contains(&port) {
            self.writes.push(port);
        }
        Some(())
    }

    fn write_bank(&mut self, arch: &Arch, address: i64) -> Option<()> {
        let (address, bank) = Places::bank(arch, address)?;
        let place = Place::Bank(address);
        if self.writes.contains(&place) {
            return None;
        }
        self.writes.push(place);
        let port = Place::WritePort(bank);
        if !self.writes.contains(&port) {
            self.writes.push(port);
        }
        Some(())
    }
}

impl Window {
    pub(super) fn steps(&self) -> i64 {
        self.kernel[0] * self.kernel[1] * self.blocks
    }

    /// Calls `each` with the address of every step whose coordinates are valid.
    fn visit(&self, mut each: impl FnMut(i64) -> Option<()>) -> Option<()> {
        for y in 0..self.pixels[1] {
            for x in 0..self.pixels[0] {
                for b in 0..self.blocks {
                    for ky in 0..self.kernel[1] {
                        for kx in 0..self.kernel[0] {
                            let column =
                                self.origin[0] + x * self.stride[0] + kx * self.dilation[0];
                            let row = self.origin[1] + y * self.stride[1] + ky * self.dilation[1];
                            if (0..self.extent[0]).contains(&column)
                                && (0..self.extent[1]).contains(&row)
                            {
                                let position = [kx, ky, b, x, y];
                                each(
                                    self.source
                                        + position
                                            .iter()
                                            .zip(self.strides)
                                            .map(|(n, s)| n * s)
                                            .sum::<i64>(),
                                )?;
                            }
                        }
                    }
                }
            }
        }
        Some(())
    }

    fn common(&self, arch: &Arch, names: [Register; 6], list: &mut Vec<(Register, Vec<i64>)>) {
        let [source, origin, extent, step, reduction, pixels] = names;
        list.push((
            source,
            vec![self.source.rem_euclid(1 << arch.activation_addr_bits())],
        ));
        list.push((origin, self.origin.to_vec()));
        list.push((extent, self.extent.to_vec()));
        list.push((step, [self.stride, self.dilation].concat()));
        list.push((reduction, vec![self.kernel[0], self.kernel[1], self.blocks]));
        list.push((pixels, self.pixels.to_vec()));
    }

    /// Turns strides into the deltas of the loops in `order`, innermost first; `names` are by loop.
    fn deltas(
        &self,
        order: [usize; 5],
        names: [Register; 5],
        list: &mut Vec<(Register, Vec<i64>)>,
    ) {
        let bounds = [
            self.kernel[0],
            self.kernel[1],
            self.blocks,
            self.pixels[0],
            self.pixels[1],
        ];
        let mut inside = 0;
        for index in order {
            list.push((names[index], vec![self.strides[index] - inside]));
            inside += self.strides[index] * (bounds[index] - 1);
        }
    }
}

fn destination_rows(
    destination: u32,
    pixels: [i64; 2],
    row: i64,
    list: &mut Vec<(Register, Vec<i64>)>,
) {
    list.push((Register::VecDestination, vec![i64::from(destination)]));
    list.push((Register::VecPixels, pixels.to_vec()));
    list.push((Register::VecDestinationDeltaY, vec![row - (pixels[0] - 1)]));
}

fn rows(pixels: [i64; 2], row: i64, mut each: impl FnMut(i64) -> Option<()>) -> Option<()> {
    for y in 0..pixels[1] {
        (0..pixels[0]).try_for_each(|x| each(y * row + x))?;
    }
    Some(())
}
