//! Random operations on one arch, and their assembly into a program.

use std::ops::Range;

use ir::arch::{Arch, Dataflow};
use ir::isa::{Engine, Register};
use ir::numerics::{Clamp, FRACTION_BITS};
use ir::operation::{
    Destination, Exec, Load, Lookup, MaxPool, Operation, Pack, Requantise, Space, Store, Strides,
    Window,
};
use ir::program::{Program, instruction_words};

use super::emit::{Emitter, Item};
use super::places::{Place, variant};
use super::random::Random;

/// Where things are in memory, in words.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    instruction_limit: usize,
    data: Range<u32>,
    parameters: Range<u32>,
    tables: Range<u32>,
    /// Where programs store and load again.
    scratch: Range<u32>,
    /// Where the banks are stored at the end.
    results: Range<u32>,
}

impl Layout {
    fn new(arch: &Arch) -> Option<Layout> {
        let instruction_limit = 4096;
        let start = instruction_words(arch, instruction_limit);
        let n_results: u32 = windows(arch)
            .iter()
            .map(|range| range.end - range.start)
            .sum();
        let parameters = arch.parameter_words(arch.parameters.channels.min(96));
        let tables = if arch.vector.table_lanes > 0 {
            arch.table_words()
        } else {
            0
        };
        let mut next = start;
        let mut region = |words: u32| {
            next += words;
            next - words..next
        };
        let (data, parameters, tables, scratch, results) = (
            region(300),
            region(parameters),
            region(tables),
            region(100),
            region(n_results),
        );
        (results.end <= arch.memory.words).then_some(Layout {
            instruction_limit,
            data,
            parameters,
            tables,
            scratch,
            results,
        })
    }
}

/// The parts of the banks that programs use: the ends of each bank, as linear ranges, some across two banks.
#[expect(
    clippy::single_range_in_vec_init,
    reason = "a list of ranges, which may have one"
)]
fn windows(arch: &Arch) -> Vec<Range<u32>> {
    let (words, banks) = (arch.activations.words, arch.activations.banks);
    if words * banks <= 512 {
        return vec![0..words * banks];
    }
    let (low, high) = (words.min(48), words.min(64) - words.min(48));
    let mut list = vec![0..low];
    list.extend((1..banks).map(|bank| bank * words - high..bank * words + low));
    list.push(words * banks - high..words * banks);
    list.retain(|range| !range.is_empty());
    list
}

/// A random program as its operations; instructions follow from it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed of everything.
    pub seed: u64,
    pub(super) items: Vec<Item>,
    semaphores: Vec<(Engine, Engine)>,
    layout: Layout,
}

impl Case {
    /// A random case of about `n_operations` operations beside those that fill the memories and store the banks.
    ///
    /// `None` when the memory of the arch is too small.
    pub fn random(arch: &Arch, seed: u64, n_operations: usize) -> Option<Case> {
        let mut random = Random::new(seed);
        let layout = Layout::new(arch)?;
        let semaphores = semaphores(arch, &mut random);
        let mut case = Case {
            seed,
            items: Vec::new(),
            semaphores,
            layout,
        };
        let mut emitter = case.emitter(arch);
        let mut items = Vec::new();
        let push = |items: &mut Vec<Item>,
                    emitter: &mut Emitter,
                    operation: Operation,
                    random: &mut Random| {
            let item = Item {
                operation,
                seed: random.bits(),
            };
            let pushed = emitter.push(&item, 0);
            if pushed {
                items.push(item);
            }
            pushed
        };
        for op in case.fill(arch, &mut random) {
            push(&mut items, &mut emitter, op, &mut random);
        }
        let (mut wanted, mut tries) = (n_operations, n_operations * 60);
        while wanted > 0 && tries > 0 {
            tries -= 1;
            let op = case.operation(arch, &emitter, &mut random);
            if op.is_some_and(|op| push(&mut items, &mut emitter, op, &mut random)) {
                wanted -= 1;
            }
        }
        for op in case.stores(arch) {
            // A store that finds no token has more to choose from after an operation on another engine.
            for _ in 0..40 {
                if push(&mut items, &mut emitter, op.clone(), &mut random) {
                    break;
                }
                if let Some(other) = case.operation(arch, &emitter, &mut random) {
                    push(&mut items, &mut emitter, other, &mut random);
                }
            }
        }
        // The machine is not quiet before the sums of an EXEC are written, which shows only if that comes last.
        let (mut wanted, mut tries) = (if random.chance(50) { 3 } else { 0 }, 200);
        while wanted > 0 && tries > 0 {
            tries -= 1;
            if exec(arch, &emitter, &mut random)
                .is_some_and(|op| push(&mut items, &mut emitter, op, &mut random))
            {
                wanted -= 1;
            }
        }
        case.items = items;
        Some(case)
    }

    /// The case without the items for which `drop` holds, and without those that make no sense any more.
    pub(super) fn without(&self, arch: &Arch, drop: impl Fn(usize) -> bool) -> Case {
        let mut case = Case {
            items: Vec::new(),
            ..self.clone()
        };
        let mut emitter = case.emitter(arch);
        for (_, item) in self
            .items
            .iter()
            .enumerate()
            .filter(|(index, _)| !drop(*index))
        {
            if emitter.push(item, 0) {
                case.items.push(item.clone());
            }
        }
        case
    }

    /// Operations in the case.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The program; its layers are the operations.
    pub fn program(&self, arch: &Arch) -> Program {
        let mut emitter = self.emitter(arch);
        let mut layers = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            if emitter.push(item, index as u16) {
                layers.push(variant(&item.operation));
            }
        }
        let constants_word = instruction_words(arch, self.layout.instruction_limit);
        Program {
            network: format!("fuzz_{}", self.seed),
            arch_hash: arch.hash(),
            semaphores: emitter.semaphores(),
            instructions: emitter.instructions,
            layer_of: emitter.layer_of,
            layers,
            constants_word,
            constants: self.constants(arch),
            memory_words: self.layout.results.end,
            inputs: Vec::new(),
            outputs: Vec::new(),
            intermediates: Vec::new(),
        }
    }

    fn emitter<'a>(&self, arch: &'a Arch) -> Emitter<'a> {
        Emitter::new(
            arch,
            &self.semaphores,
            self.layout.data.start..self.layout.tables.end,
            self.layout.instruction_limit,
        )
    }

    /// Random data, parameters that a compiler could write, and table entries.
    fn constants(&self, arch: &Arch) -> Vec<u8> {
        let mut random = Random::new(!self.seed);
        let word = arch.word_bytes();
        let bytes = |range: &Range<u32>| (range.len() as u32 * word) as usize;
        let mut constants: Vec<u8> = (0..bytes(&self.layout.data))
            .map(|_| random.bits() as u8)
            .collect();
        for _ in 0..bytes(&self.layout.parameters) / 8 {
            let bias = random.between(-(1 << 18), 1 << 18) as i32;
            let (mantissa, shift) = if random.chance(4) {
                (0, 0)
            } else {
                (1 << 23 | random.below(1 << 23), random.between(18, 46))
            };
            constants.extend(bias.to_le_bytes());
            constants.extend(&mantissa.to_le_bytes()[..3]);
            constants.push(shift as u8);
        }
        for _ in 0..bytes(&self.layout.tables) / 4 {
            let fraction = table_fraction(&mut random);
            let bits = (fraction + random.between(-4, 11)).clamp(0, 31);
            let value = random.between(-(1 << bits) + 1, (1 << bits) - 1);
            // Halves, so that there are ties.
            let value = if random.chance(30) {
                random.between(-200, 200) << (fraction - 1)
            } else {
                value
            };
            constants.extend((value as i32).to_le_bytes());
        }
        constants
    }

    /// LOADs that fill all local memories, in pieces and in random order.
    fn fill(&self, arch: &Arch, random: &mut Random) -> Vec<Operation> {
        let mut spans: Vec<(Space, Range<u32>)> = windows(arch)
            .into_iter()
            .map(|range| (Space::Activations, range))
            .collect();
        let tile_words = arch.array.cols;
        let tiles = arch.weight_tiles().min((200 / tile_words).max(12));
        spans.push((Space::Weights, 0..tiles * tile_words));
        if arch.weight_tiles() > tiles {
            spans.push((
                Space::Weights,
                arch.weights.words - tile_words..arch.weights.words,
            ));
        }
        spans.push((Space::Parameters, 0..self.layout.parameters.len() as u32));
        if !self.layout.tables.is_empty() {
            spans.push((Space::Tables, 0..arch.table_words()));
        }
        let mut loads = Vec::new();
        for (space, range) in spans {
            let mut local = range.start;
            while local < range.end {
                let source = match space {
                    Space::Parameters => &self.layout.parameters,
                    Space::Tables => &self.layout.tables,
                    Space::Activations | Space::Weights => &self.layout.data,
                };
                let words = (range.end - local)
                    .min(random.between(1, 120) as u32)
                    .min(source.len() as u32);
                let memory = source.start + random.below(source.len() as u32 - words + 1);
                let load = Load {
                    memory,
                    space,
                    local,
                    words,
                };
                loads.push(load.into());
                local += words;
            }
        }
        random.shuffle(&mut loads);
        loads
    }

    /// STOREs of all that programs use of the banks.
    fn stores(&self, arch: &Arch) -> Vec<Operation> {
        let mut memory = self.layout.results.start;
        let store = |range: Range<u32>| {
            memory += range.len() as u32;
            Operation::from(Store {
                local: range.start,
                memory: memory - range.len() as u32,
                words: range.len() as u32,
            })
        };
        windows(arch).into_iter().map(store).collect()
    }

    fn operation(&self, arch: &Arch, emitter: &Emitter, random: &mut Random) -> Option<Operation> {
        match random.below(100) {
            0..22 => self.load(arch, emitter, random),
            22..32 => self.store(arch, emitter, random),
            32..62 => exec(arch, emitter, random),
            62..82 => requantise(arch, emitter, random),
            82..91 if arch.vector.max_pool && !(arch.vector.pack && random.chance(40)) => {
                max_pool(arch, random)
            }
            82..91 if arch.vector.pack => pack(arch, random),
            91..100 if arch.vector.table_lanes > 0 => lookup(arch, random),
            _ => None,
        }
    }

    fn load(&self, arch: &Arch, emitter: &Emitter, random: &mut Random) -> Option<Operation> {
        let space = *random.pick(&Space::ALL);
        let source = match space {
            Space::Parameters => &self.layout.parameters,
            Space::Tables => &self.layout.tables,
            Space::Activations | Space::Weights if random.chance(50) => &self.layout.scratch,
            Space::Activations | Space::Weights => &self.layout.data,
        };
        let words = random.between(1, 40) as u32;
        let memory = source.start + random.below((source.len() as u32).checked_sub(words)?);
        let memory = go_on(
            emitter,
            Register::LoadMemory,
            source.start..source.end - words,
            random,
        )
        .unwrap_or(memory);
        let local = match space {
            Space::Activations => bank_range(arch, words, random)?,
            _ => random.below(space.words(arch).min(200).checked_sub(words)? + 1),
        };
        let load = Load {
            memory,
            space,
            local,
            words,
        };
        Some(load.into())
    }

    fn store(&self, arch: &Arch, emitter: &Emitter, random: &mut Random) -> Option<Operation> {
        let words = random.between(1, 40) as u32;
        let scratch = &self.layout.scratch;
        let memory = scratch.start + random.below(scratch.len() as u32 - words + 1);
        let memory = go_on(
            emitter,
            Register::StoreMemory,
            scratch.start..scratch.end - words,
            random,
        )
        .unwrap_or(memory);
        let local = bank_range(arch, words, random)?;
        // An address outside the banks is refused later.
        let local = go_on(emitter, Register::StoreSource, 0..u32::MAX, random).unwrap_or(local);
        let store = Store {
            local,
            memory,
            words,
        };
        Some(store.into())
    }
}

/// Now and then, where the last operation left the address in `register`, if that is in `range`.
fn go_on(
    emitter: &Emitter,
    register: Register,
    range: Range<u32>,
    random: &mut Random,
) -> Option<u32> {
    let go_on = random.chance(20);
    emitter
        .held(register)
        .filter(|value| go_on && range.contains(value))
}

/// The pairs of engines with a semaphore: a ring, which reaches everyone, and others as far as there are semaphores.
fn semaphores(arch: &Arch, random: &mut Random) -> Vec<(Engine, Engine)> {
    let mut ring = Engine::ALL;
    random.shuffle(&mut ring);
    let mut pairs: Vec<_> = (0..4).map(|i| (ring[i], ring[(i + 1) % 4])).collect();
    let all = Engine::ALL.iter().flat_map(|a| {
        Engine::ALL
            .iter()
            .filter(move |b| *b != a)
            .map(move |b| (*a, *b))
    });
    let mut others: Vec<_> = all.filter(|pair| !pairs.contains(pair)).collect();
    random.shuffle(&mut others);
    pairs.extend(others);
    pairs.truncate(arch.semaphores.count as usize);
    random.shuffle(&mut pairs);
    pairs
}

/// The first of `words` words that lie in one of the windows.
fn bank_range(arch: &Arch, words: u32, random: &mut Random) -> Option<u32> {
    let windows = windows(arch);
    let window = random.pick(&windows);
    let room = (window.end - window.start).checked_sub(words)?;
    Some(window.start + random.below(room + 1))
}

/// A window on an image that lies in the banks as a compiler would lay it, or nearly so.
fn window(arch: &Arch, random: &mut Random, pixel_limit: i64) -> Option<Window> {
    let many_blocks = random.chance(5);
    let [width, height] = if many_blocks {
        [1, 1]
    } else {
        [random.between(1, 7), random.between(1, 6)]
    };
    let blocks = match random.below(10) {
        _ if many_blocks => random.between(16, 40),
        0..6 => 1,
        _ => random.between(2, 3),
    };
    let base = i64::from(bank_range(arch, (width * height * blocks) as u32, random)?);
    let small = |random: &mut Random| {
        if random.chance(50) {
            [1, 1]
        } else {
            [random.between(1, 3), random.between(1, 3)]
        }
    };
    let (mut kernel, stride, dilation) = (small(random), small(random), small(random));
    let origin = if random.chance(50) {
        [0, 0]
    } else {
        [random.between(-3, 1), random.between(-3, 1)]
    };
    let mut pixels = [random.between(1, 6), random.between(1, 6)];
    // Long kernels, most of which lies in the padding.
    let long_kernel = !many_blocks && random.chance(6);
    if long_kernel {
        kernel = [random.between(32, 63), 1];
        random.shuffle(&mut kernel);
    }
    if many_blocks || long_kernel {
        pixels = [random.between(1, 2), 1];
    }
    let row = width * blocks;
    let mut strides = [
        dilation[0],
        dilation[1] * row,
        width,
        stride[0],
        stride[1] * row,
    ];
    if random.chance(12) {
        strides[random.below(5) as usize] = random.between(-9, 9);
    }
    let source = base + origin[0] + origin[1] * row;
    let fits = pixels[0] * pixels[1] <= pixel_limit;
    let [kernel_x, kernel_y, block, pixel_x, pixel_y] = strides;
    let (away_x, away_y) = (far_away(random), far_away(random));
    let origin = [origin[0] + away_x, origin[1] + away_y];
    let extent = [width + away_x, height + away_y];
    fits.then_some(Window {
        source: wrapped(arch, source),
        origin,
        extent,
        stride,
        dilation,
        kernel: kernel.map(|n| n as u32),
        blocks: blocks as u32,
        pixels: pixels.map(|n| n as u32),
        strides: Strides {
            kernel: [kernel_x, kernel_y],
            block,
            pixel: [pixel_x, pixel_y],
        },
    })
}

/// An address modulo the address space of the banks.
fn wrapped(arch: &Arch, address: i64) -> u32 {
    address.rem_euclid(1 << arch.activation_addr_bits()) as u32
}

/// How far a window is from the corner of its image: of a large image only the last pixels are looked at.
fn far_away(random: &mut Random) -> i64 {
    if random.chance(10) {
        random.between(512, 700)
    } else {
        0
    }
}

fn exec(arch: &Arch, emitter: &Emitter, random: &mut Random) -> Option<Operation> {
    let window = window(arch, random, i64::from(arch.accumulators.pixels))?;
    let output = match (
        arch.has(Dataflow::OutputStationary),
        arch.has(Dataflow::WeightStationary),
    ) {
        (true, true) => random.chance(50),
        (output, _) => output,
    };
    let half = u8::from(random.chance(50));
    let pixels = window.n_pixels() as u32;
    let accumulate = !output
        && random.chance(60)
        && (0..pixels).all(|pixel| emitter.holds(Place::Sums(half, pixel)));
    let steps = window.steps() as u32;
    let last = arch.weight_tiles().checked_sub(steps)?;
    let tile = if random.chance(5) {
        last
    } else {
        random.below(last.min(12) + 1)
    };
    let tile = go_on(emitter, Register::ExecWeights, 0..last + 1, random).unwrap_or(tile);
    let exec = Exec {
        half,
        accumulate,
        dataflow: if output {
            Dataflow::OutputStationary
        } else {
            Dataflow::WeightStationary
        },
        window,
        padding: random.between(-128, 127) as i8,
        tile,
    };
    Some(exec.into())
}

fn requantise(arch: &Arch, emitter: &Emitter, random: &mut Random) -> Option<Operation> {
    let half = u8::from(random.chance(50));
    let pixels = [random.between(1, 6), random.between(1, 6)];
    let row = pixels[0] + random.between(0, 3);
    let destination = bank_range(arch, (row * pixels[1]) as u32, random)?;
    let ready =
        (0..pixels[0] * pixels[1]).all(|pixel| emitter.holds(Place::Sums(half, pixel as u32)));
    let per_tile = arch.array.cols / arch.vector.requantise_lanes;
    let tiles = arch.parameters.channels.min(96) / arch.array.cols;
    let requantise = Requantise {
        half,
        destination: rows(destination, pixels, row),
        group: random.below(arch.word_bytes() / arch.array.cols),
        parameters: random.below(tiles) * per_tile,
        clamp: clamp(random),
        zero_point: random.between(-128, 127) as i8,
    };
    ready.then_some(requantise.into())
}

fn max_pool(arch: &Arch, random: &mut Random) -> Option<Operation> {
    let window = window(arch, random, 1 << 11)?;
    let [x, y] = window.pixels.map(i64::from);
    let block = x + random.between(0, 2);
    let row = block * i64::from(window.blocks) + random.between(0, 3);
    let destination = bank_range(arch, (row * y) as u32, random)?;
    let pool = MaxPool {
        destination: Destination {
            block,
            ..rows(destination, [x, y], row)
        },
        window,
    };
    Some(pool.into())
}

fn lookup(arch: &Arch, random: &mut Random) -> Option<Operation> {
    let pixels = [random.between(1, 7), random.between(1, 4)];
    let row = pixels[0] + random.between(0, 3);
    let strides = if random.chance(80) {
        [1, pixels[0] + random.between(0, 3)]
    } else {
        [random.between(-2, 3), random.between(-9, 12)]
    };
    let words = (pixels[0] * pixels[1] * 2) as u32;
    let second = if random.chance(60) {
        Some(bank_range(arch, words, random)?)
    } else {
        None
    };
    let lookup = Lookup {
        source_b: second,
        source: bank_range(arch, words, random)?,
        strides,
        destination: rows(
            bank_range(arch, (row * pixels[1]) as u32, random)?,
            pixels,
            row,
        ),
        clamp: clamp(random),
        fraction_bits: table_fraction(random) as u32,
    };
    Some(lookup.into())
}

/// Rows of words from `address` on, `row` words apart.
fn rows(address: u32, pixels: [i64; 2], row: i64) -> Destination {
    Destination {
        address,
        pixels: pixels.map(|n| n as u32),
        block: 0,
        row,
    }
}

/// The bits of fraction of a table, of which 20 are by far the most usual.
fn table_fraction(random: &mut Random) -> i64 {
    let most = i64::from(FRACTION_BITS);
    if random.chance(40) {
        most
    } else {
        random.between(1, most)
    }
}

/// Rows of plain bytes as a compiler would lay them, most of them longer than a word.
fn pack(arch: &Arch, random: &mut Random) -> Option<Operation> {
    let word_bytes = i64::from(arch.word_bytes());
    let [width, height] = [random.between(1, word_bytes * 3), random.between(1, 6)];
    let row_words = (width + word_bytes - 1) / word_bytes;
    let base = i64::from(bank_range(arch, (row_words * height) as u32, random)?);
    let origin = if random.chance(30) {
        [0, 0]
    } else {
        [
            random.between(-word_bytes - 3, width),
            random.between(-3, 1),
        ]
    };
    let stride = [random.between(1, 4), random.between(1, 3)];
    let down = if random.chance(88) {
        stride[1] * row_words
    } else {
        random.between(-5, 9)
    };
    let most = if random.chance(20) {
        word_bytes
    } else {
        word_bytes.min(5)
    };
    let taps = random.between(1, most);
    let pixels = [random.between(1, 7), random.between(1, 4)];
    let row = pixels[0] + random.between(0, 3);
    let words_away = far_away(random) / word_bytes;
    let source = base + origin[1] * row_words - words_away;
    let away = words_away * word_bytes;
    let (origin, extent) = ([origin[0] + away, origin[1]], [width + away, height]);
    let pack = Pack {
        source: wrapped(arch, source),
        row: down,
        origin,
        extent,
        stride,
        taps: taps as u32,
        lane: random.between(0, word_bytes - taps) as u32,
        padding: random.between(-128, 127) as i8,
        destination: rows(
            bank_range(arch, (row * pixels[1]) as u32, random)?,
            pixels,
            row,
        ),
    };
    Some(pack.into())
}

fn clamp(random: &mut Random) -> Clamp {
    if random.chance(60) {
        return Clamp::FULL;
    }
    let low = random.between(-128, 60);
    Clamp {
        lo: low as i8,
        hi: random.between(low, 127) as i8,
    }
}
