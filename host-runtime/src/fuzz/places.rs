//! The places that an operation of a random program touches, word by word.

use ir::arch::Arch;
use ir::isa::Engine;
use ir::operation::{Destination, Operation, Pack, Space, Window};

/// A place that operations share: what it is, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Bank(u32),
    Weights(u32),
    Parameters(u32),
    Tables(u32),
    Sums(u8, u32),
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

/// The row of the coverage table.
pub(super) fn variant(operation: &Operation) -> String {
    match operation {
        Operation::Load(load) => format!("load {}", load.space.name()),
        Operation::Exec(exec) => {
            let order = match exec.dataflow {
                ir::arch::Dataflow::OutputStationary => "output",
                ir::arch::Dataflow::WeightStationary => "weight",
            };
            let accumulate = if exec.accumulate { " accumulate" } else { "" };
            format!("exec {order}{accumulate} half{}", exec.half)
        }
        Operation::Requantise(requantise) => format!("requantise half{}", requantise.half),
        Operation::Lookup(lookup) if lookup.source_b.is_some() => "lookup pair".to_owned(),
        other => other.opcode().name().to_owned(),
    }
}

impl Places {
    /// The places that `operation` touches; `None` when an address is outside its memory, or `arch` cannot run it.
    pub(super) fn of(operation: &Operation, arch: &Arch) -> Option<Places> {
        let mut places = Places::default();
        match operation {
            Operation::Load(load) => {
                let words = load.local..load.local + load.words;
                let memory = load.memory..load.memory + load.words;
                places.reads.extend(memory.map(Place::Memory));
                if words.end > load.space.words(arch) {
                    return None;
                }
                for word in words {
                    match load.space {
                        Space::Activations => places.write_bank(arch, word.into())?,
                        Space::Weights => places.writes.push(Place::Weights(word)),
                        Space::Parameters => places.writes.push(Place::Parameters(word)),
                        Space::Tables => places.writes.push(Place::Tables(word)),
                    }
                }
            }
            Operation::Store(store) => {
                let memory = store.memory..store.memory + store.words;
                places.writes.extend(memory.map(Place::Memory));
                (store.local..store.local + store.words)
                    .try_for_each(|word| places.read_bank(arch, word.into()))?;
            }
            Operation::Exec(exec) => {
                let window = &exec.window;
                let pixels = u32::try_from(window.n_pixels()).ok()?;
                let end = exec.tile + u32::try_from(window.steps()).ok()?;
                let fits = pixels <= arch.accumulators.pixels && end <= arch.weight_tiles();
                if !fits || !arch.has(exec.dataflow) {
                    return None;
                }
                visit_window(window, |address| places.read_bank(arch, address))?;
                let weights = exec.tile * arch.array.cols..end * arch.array.cols;
                places.reads.extend(weights.map(Place::Weights));
                let sums = (0..pixels).map(|pixel| Place::Sums(exec.half, pixel));
                if exec.accumulate {
                    places.reads.extend(sums.clone());
                }
                places.writes.extend(sums);
            }
            Operation::Requantise(requantise) => {
                let pixels = u32::try_from(requantise.destination.n_pixels()).ok()?;
                let first = requantise.channel(arch);
                let in_range = first + arch.array.cols <= arch.parameters.channels
                    && requantise.byte(arch) < arch.word_bytes();
                if pixels > arch.accumulators.pixels
                    || !in_range
                    || !first.is_multiple_of(arch.array.cols)
                {
                    return None;
                }
                let sums = (0..pixels).map(|pixel| Place::Sums(requantise.half, pixel));
                places.reads.extend(sums);
                let channels_per_word = arch.word_bytes() / 8;
                let last = (first + arch.array.cols - 1) / channels_per_word;
                let parameters = first / channels_per_word..=last;
                places.reads.extend(parameters.map(Place::Parameters));
                places.write_words(arch, &requantise.destination, 1)?;
                if arch.array.cols < arch.word_bytes() {
                    places.partial = places.banks_written();
                }
            }
            Operation::MaxPool(pool) => {
                visit_window(&pool.window, |address| places.read_bank(arch, address))?;
                places.write_words(arch, &pool.destination, pool.window.blocks)?;
            }
            Operation::Lookup(lookup) => {
                let [nx, ny] = lookup.destination.pixels.map(i64::from);
                let [across, down] = lookup.strides;
                for first in [Some(lookup.source), lookup.source_b].into_iter().flatten() {
                    for y in 0..ny {
                        let row = i64::from(first) + y * down;
                        (0..nx).try_for_each(|x| places.read_bank(arch, row + x * across))?;
                    }
                }
                places.write_words(arch, &lookup.destination, 1)?;
                let used = match lookup.source_b {
                    Some(_) => arch.table_words(),
                    None => arch.table_words() / 2,
                };
                places.reads.extend((0..used).map(Place::Tables));
            }
            Operation::Pack(pack) => {
                if pack.lane + pack.taps > arch.word_bytes() {
                    return None;
                }
                visit_rows(pack, arch, |address| places.read_bank(arch, address))?;
                places.write_words(arch, &pack.destination, 1)?;
                if pack.taps < arch.word_bytes() {
                    places.partial = places.banks_written();
                }
            }
        }
        places.reads.sort();
        places.reads.dedup();
        places.writes.sort();
        // A word that one vector operation reads and writes has a value that depends on its pipeline.
        let own = operation.engine() == Engine::Vec
            && places.reads.iter().any(|place| {
                matches!(place, Place::Bank(_)) && places.writes.binary_search(place).is_ok()
            });
        (!own).then_some(places)
    }

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

    fn write_words(&mut self, arch: &Arch, to: &Destination, blocks: u32) -> Option<()> {
        for y in 0..to.pixels[1] {
            for block in 0..blocks {
                (0..to.pixels[0]).try_for_each(|x| self.write_bank(arch, to.word(x, block, y)))?;
            }
        }
        Some(())
    }

    fn banks_written(&self) -> Vec<Place> {
        let whole = |place: &&Place| matches!(place, Place::Bank(_));
        self.writes.iter().filter(whole).copied().collect()
    }
}

/// Calls `each` with the address of every step whose coordinates are valid.
fn visit_window(window: &Window, mut each: impl FnMut(i64) -> Option<()>) -> Option<()> {
    let [nx, ny] = window.pixels.map(i64::from);
    let [kernel_x, kernel_y] = window.kernel.map(i64::from);
    let strides = &window.strides;
    for y in 0..ny {
        for x in 0..nx {
            for block in 0..i64::from(window.blocks) {
                for ky in 0..kernel_y {
                    for kx in 0..kernel_x {
                        let column =
                            window.origin[0] + x * window.stride[0] + kx * window.dilation[0];
                        let row = window.origin[1] + y * window.stride[1] + ky * window.dilation[1];
                        let is_inside = (0..window.extent[0]).contains(&column)
                            && (0..window.extent[1]).contains(&row);
                        if is_inside {
                            each(
                                i64::from(window.source)
                                    + kx * strides.kernel[0]
                                    + ky * strides.kernel[1]
                                    + block * strides.block
                                    + x * strides.pixel[0]
                                    + y * strides.pixel[1],
                            )?;
                        }
                    }
                }
            }
        }
    }
    Some(())
}

/// Calls `each` with the address of every word that a pixel of `pack` reads.
fn visit_rows(pack: &Pack, arch: &Arch, mut each: impl FnMut(i64) -> Option<()>) -> Option<()> {
    let word_bytes = i64::from(arch.word_bytes());
    let [nx, ny] = pack.destination.pixels.map(i64::from);
    for y in 0..ny {
        if !(0..pack.extent[1]).contains(&(pack.origin[1] + y * pack.stride[1])) {
            continue;
        }
        for x in 0..nx {
            let first = pack.origin[0] + x * pack.stride[0];
            // The two words from that of the first byte on are read where they hold bytes of the row.
            let word = first.div_euclid(word_bytes);
            let inside = |word: &i64| (0..pack.extent[0]).contains(&(word * word_bytes));
            (word..word + 2)
                .filter(inside)
                .try_for_each(|word| each(i64::from(pack.source) + y * pack.row + word))?;
        }
    }
    Some(())
}
