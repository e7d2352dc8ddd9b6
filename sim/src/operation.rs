//! What a `run` instruction will do, read from its flags and its engine's registers in its start cycle.
//!
//! Timing and values both start from here, so they cannot disagree about a bound or an address.

use ir::arch::{Arch, Dataflow};
use ir::isa::{Opcode, Register, Run};
use ir::numerics::{Clamp, FRACTION_BITS};

use crate::registers::Registers;

/// The local memories, by their code in `load.destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Activations,
    Weights,
    Parameters,
    Tables,
}

/// One operation with all its operands.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Load(Transfer, Space),
    Store(Transfer),
    Exec(Exec),
    Requantise(Requantise),
    MaxPool(MaxPool),
    /// Of two operands when there is a second source address.
    Lookup(Lookup),
    Pack(Pack),
}

/// Words copied between memory and a local memory.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// First word in memory.
    pub(crate) memory: u32,
    /// First word in the local memory.
    pub(crate) local: u32,
    pub(crate) words: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Exec {
    pub(crate) half: usize,
    pub(crate) accumulate: bool,
    pub(crate) dataflow: Dataflow,
    pub(crate) window: Window,
    pub(crate) padding: i8,
    /// First weight tile.
    pub(crate) tile: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Requantise {
    pub(crate) half: usize,
    pub(crate) destination: Destination,
    /// First byte in the destination words.
    pub(crate) byte: usize,
    /// First channel in the parameter memory.
    pub(crate) channel: u32,
    pub(crate) clamp: Clamp,
    pub(crate) zero_point: i8,
}

#[derive(Clone, Debug)]
pub(crate) struct MaxPool {
    pub(crate) window: Window,
    pub(crate) destination: Destination,
}

#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) source: u32,
    pub(crate) source_b: Option<u32>,
    /// Address change of both sources per `x` and per `y`, from the start of the loop.
    pub(crate) strides: [i64; 2],
    pub(crate) destination: Destination,
    /// Of the table entries.
    pub(crate) fraction_bits: u32,
    pub(crate) clamp: Clamp,
}

/// Bytes of image rows packed into lanes.
#[derive(Clone, Debug)]
pub(crate) struct Pack {
    /// Word of column 0 in the first row.
    pub(crate) source: u32,
    /// Address change per output row.
    pub(crate) row_stride: i64,
    /// Column (in bytes) and row of the first step.
    pub(crate) origin: [i64; 2],
    /// Valid columns and rows are below it.
    pub(crate) extent: [i64; 2],
    /// Columns and rows per output pixel.
    pub(crate) stride: [i64; 2],
    /// Lanes filled: `taps` from `lane` on.
    pub(crate) lane: usize,
    pub(crate) taps: usize,
    pub(crate) padding: i8,
    pub(crate) destination: Destination,
}

/// The source side of the five loops.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Address of the first step.
    pub(crate) source: u32,
    /// Coordinates (x, y) of the first step.
    pub(crate) origin: [i64; 2],
    /// Valid coordinates are below it.
    pub(crate) extent: [i64; 2],
    /// Coordinates per output pixel.
    pub(crate) stride: [i64; 2],
    /// Coordinates per kernel tap.
    pub(crate) dilation: [i64; 2],
    /// Taps in x and y.
    pub(crate) kernel: [u32; 2],
    pub(crate) blocks: u32,
    /// Output pixels in x and y.
    pub(crate) pixels: [u32; 2],
    pub(crate) strides: Strides,
}

/// Address of a loop position: the first address plus index times stride for each loop, modulo the address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strides {
    pub(crate) kernel: [i64; 2],
    pub(crate) block: i64,
    pub(crate) pixel: [i64; 2],
}

/// The destination side: `pixels` words in `x`, `y` and blocks.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) address: u32,
    pub(crate) pixels: [u32; 2],
    /// Address change per `x`, block and `y`, from the start of the loop.
    pub(crate) strides: [i64; 3],
}

impl Window {
    /// Reduction steps per pixel.
    pub(crate) fn steps(&self) -> u64 {
        u64::from(self.kernel[0]) * u64::from(self.kernel[1]) * u64::from(self.blocks)
    }
}

impl Operation {
    /// Reads the operands of `run`; an error is the reason why `arch` cannot run it.
    pub(crate) fn decode(
        arch: &Arch,
        registers: &Registers,
        run: &Run,
    ) -> Result<Operation, String> {
        match run.opcode {
            Opcode::Load => decode_load(registers),
            Opcode::Store => decode_store(registers),
            Opcode::Exec => decode_exec(arch, registers, run),
            Opcode::Requantise => decode_requantise(arch, registers, run),
            Opcode::MaxPool => decode_max_pool(registers),
            Opcode::Lookup => decode_lookup(registers, run.flag("pair")),
            Opcode::Pack => decode_pack(arch, registers),
        }
    }

    /// Moves the registers that advance by themselves on to the next tile.
    pub(crate) fn advance(&self, arch: &Arch, registers: &mut Registers) {
        match self {
            Operation::Load(transfer, _) => {
                registers.advance(Register::LoadMemory, transfer.words);
                registers.advance(Register::LoadDestination, transfer.words);
            }
            Operation::Store(transfer) => {
                registers.advance(Register::StoreMemory, transfer.words);
                registers.advance(Register::StoreSource, transfer.words);
            }
            Operation::Exec(exec) => {
                registers.advance(Register::ExecWeights, exec.window.steps() as u32);
            }
            Operation::Requantise(_) => {
                let groups = arch.array.cols / arch.vector.requantise_lanes;
                registers.advance(Register::VecParameters, groups);
            }
            Operation::MaxPool(_) | Operation::Lookup(_) | Operation::Pack(_) => {}
        }
    }
}

fn decode_load(registers: &Registers) -> Result<Operation, String> {
    let [memory] = registers.fields(Register::LoadMemory);
    let [local, space] = registers.fields(Register::LoadDestination);
    let [words] = registers.fields(Register::LoadLength);
    let space = match space {
        0 => Space::Activations,
        1 => Space::Weights,
        2 => Space::Parameters,
        _ => Space::Tables,
    };
    Ok(Operation::Load(transfer(memory, local, words)?, space))
}

fn decode_store(registers: &Registers) -> Result<Operation, String> {
    let [memory] = registers.fields(Register::StoreMemory);
    let [local] = registers.fields(Register::StoreSource);
    let [words] = registers.fields(Register::StoreLength);
    Ok(Operation::Store(transfer(memory, local, words)?))
}

fn transfer(memory: i64, local: i64, words: i64) -> Result<Transfer, String> {
    at_least_one("length", &[words])?;
    Ok(Transfer {
        memory: memory as u32,
        local: local as u32,
        words: words as u32,
    })
}

fn decode_exec(arch: &Arch, registers: &Registers, run: &Run) -> Result<Operation, String> {
    let dataflow = if run.flag("output") {
        Dataflow::OutputStationary
    } else {
        Dataflow::WeightStationary
    };
    if !arch.has(dataflow) {
        return Err("the arch does not have this dataflow".to_owned());
    }
    let delta = |register| registers.fields::<1>(register)[0];
    let kernel = [
        delta(Register::ExecDeltaKernelX),
        delta(Register::ExecDeltaKernelY),
    ];
    let (block, x, y) = (
        delta(Register::ExecDeltaBlock),
        delta(Register::ExecDeltaX),
        delta(Register::ExecDeltaY),
    );
    let mut window = window(
        registers,
        [
            Register::ExecSource,
            Register::ExecOrigin,
            Register::ExecExtent,
            Register::ExecStep,
            Register::ExecReduction,
            Register::ExecPixels,
        ],
    )?;
    let [kernel_x, kernel_y] = window.kernel;
    let reduction = [
        (kernel_x, kernel[0]),
        (kernel_y, kernel[1]),
        (window.blocks, block),
    ];
    let output = [(window.pixels[0], x), (window.pixels[1], y)];
    window.strides = if dataflow == Dataflow::OutputStationary {
        let [kx, ky, block] = reduction;
        let [kx, ky, block, x, y] = strides([kx, ky, block, output[0], output[1]]);
        Strides {
            kernel: [kx, ky],
            block,
            pixel: [x, y],
        }
    } else {
        let [kx, ky, block] = reduction;
        let [x, y, kx, ky, block] = strides([output[0], output[1], kx, ky, block]);
        Strides {
            kernel: [kx, ky],
            block,
            pixel: [x, y],
        }
    };
    let pixels = u64::from(window.pixels[0]) * u64::from(window.pixels[1]);
    half_holds(arch, pixels)?;
    Ok(Operation::Exec(Exec {
        half: usize::from(run.flag("half")),
        accumulate: run.flag("accumulate") && dataflow == Dataflow::WeightStationary,
        dataflow,
        window,
        padding: delta(Register::ExecPadding) as i8,
        tile: delta(Register::ExecWeights) as u32,
    }))
}

fn decode_requantise(arch: &Arch, registers: &Registers, run: &Run) -> Result<Operation, String> {
    let [group] = registers.fields(Register::VecGroup);
    let [parameters] = registers.fields(Register::VecParameters);
    let [zero_point] = registers.fields(Register::VecZeroPoint);
    let destination = destination_rows(registers)?;
    half_holds(
        arch,
        u64::from(destination.pixels[0]) * u64::from(destination.pixels[1]),
    )?;
    let byte = group as u32 * arch.array.cols;
    if byte >= arch.word_bytes() {
        return Err(format!(
            "group {group} starts at byte {byte} of a word of {} bytes",
            arch.word_bytes()
        ));
    }
    Ok(Operation::Requantise(Requantise {
        half: usize::from(run.flag("half")),
        destination,
        byte: byte as usize,
        channel: (parameters as u32).wrapping_mul(arch.vector.requantise_lanes),
        clamp: clamp(registers)?,
        zero_point: zero_point as i8,
    }))
}

fn decode_max_pool(registers: &Registers) -> Result<Operation, String> {
    let mut window = window(
        registers,
        [
            Register::VecSource,
            Register::VecOrigin,
            Register::VecExtent,
            Register::VecStep,
            Register::VecWindow,
            Register::VecPixels,
        ],
    )?;
    let delta = |register| registers.fields::<1>(register)[0];
    let [kx, ky, x, block, y] = strides([
        (window.kernel[0], delta(Register::VecDeltaKernelX)),
        (window.kernel[1], delta(Register::VecDeltaKernelY)),
        (window.pixels[0], delta(Register::VecDeltaX)),
        (window.blocks, delta(Register::VecDeltaBlock)),
        (window.pixels[1], delta(Register::VecDeltaY)),
    ]);
    window.strides = Strides {
        kernel: [kx, ky],
        block,
        pixel: [x, y],
    };
    let destination = Destination {
        address: registers.fields::<1>(Register::VecDestination)[0] as u32,
        pixels: window.pixels,
        strides: strides([
            (window.pixels[0], 1),
            (window.blocks, delta(Register::VecDestinationDeltaBlock)),
            (window.pixels[1], delta(Register::VecDestinationDeltaY)),
        ]),
    };
    Ok(Operation::MaxPool(MaxPool {
        window,
        destination,
    }))
}

fn decode_lookup(registers: &Registers, two_operands: bool) -> Result<Operation, String> {
    let field = |register| registers.fields::<1>(register)[0];
    let destination = destination_rows(registers)?;
    let [x, y] = destination.pixels;
    let [_, _, dropped] = registers.fields(Register::VecClamp);
    let fraction_bits = FRACTION_BITS
        .checked_sub(dropped as u32)
        .filter(|bits| *bits >= 1)
        .ok_or_else(|| {
            format!("`dropped` is {dropped}, tables have {FRACTION_BITS} bits of fraction and keep at least 1")
        })?;
    Ok(Operation::Lookup(Lookup {
        source: field(Register::VecSource) as u32,
        source_b: two_operands.then(|| field(Register::VecSourceB) as u32),
        strides: strides([
            (x, field(Register::VecDeltaX)),
            (y, field(Register::VecDeltaY)),
        ]),
        destination,
        fraction_bits,
        clamp: clamp(registers)?,
    }))
}

fn decode_pack(arch: &Arch, registers: &Registers) -> Result<Operation, String> {
    let field = |register| registers.fields::<1>(register)[0];
    let destination = destination_rows(registers)?;
    let [stride_x, stride_y, _, _] = registers.fields(Register::VecStep);
    let [taps, _, _] = registers.fields(Register::VecWindow);
    let [lane, padding] = registers.fields(Register::VecPack);
    at_least_one(Register::VecWindow.name(), &[taps])?;
    if lane + taps > i64::from(arch.word_bytes()) {
        return Err(format!(
            "lanes {lane} to {} of a word of {} bytes",
            lane + taps,
            arch.word_bytes()
        ));
    }
    let [x, y] = destination.pixels;
    let [column, row_stride] = strides([
        (x, field(Register::VecDeltaX)),
        (y, field(Register::VecDeltaY)),
    ]);
    if column != 0 && x > 1 {
        return Err("pack finds its column by the coordinate: `delta_x` must be 0".to_owned());
    }
    Ok(Operation::Pack(Pack {
        source: field(Register::VecSource) as u32,
        row_stride,
        origin: registers.fields(Register::VecOrigin),
        extent: registers.fields(Register::VecExtent),
        stride: [stride_x, stride_y],
        lane: lane as usize,
        taps: taps as usize,
        padding: padding as i8,
        destination,
    }))
}

/// Reads a window from the registers of address, origin, extent, step, reduction and pixels; `strides` is left to the caller.
fn window(registers: &Registers, names: [Register; 6]) -> Result<Window, String> {
    let [source] = registers.fields(names[0]);
    let origin = registers.fields(names[1]);
    let extent = registers.fields(names[2]);
    let [stride_x, stride_y, dilation_x, dilation_y] = registers.fields(names[3]);
    let [kernel_x, kernel_y, blocks] = registers.fields(names[4]);
    let [x, y] = registers.fields(names[5]);
    at_least_one(names[4].name(), &[kernel_x, kernel_y, blocks])?;
    at_least_one(names[5].name(), &[x, y])?;
    Ok(Window {
        source: source as u32,
        origin,
        extent,
        stride: [stride_x, stride_y],
        dilation: [dilation_x, dilation_y],
        kernel: [kernel_x as u32, kernel_y as u32],
        blocks: blocks as u32,
        pixels: [x as u32, y as u32],
        strides: Strides::default(),
    })
}

/// The destination of an operation that walks `x y` only.
fn destination_rows(registers: &Registers) -> Result<Destination, String> {
    let [address] = registers.fields(Register::VecDestination);
    let [x, y] = registers.fields(Register::VecPixels);
    let [delta_y] = registers.fields(Register::VecDestinationDeltaY);
    at_least_one(Register::VecPixels.name(), &[x, y])?;
    let [stride_x, stride_y] = strides([(x as u32, 1), (y as u32, delta_y)]);
    Ok(Destination {
        address: address as u32,
        pixels: [x as u32, y as u32],
        strides: [stride_x, 0, stride_y],
    })
}

fn clamp(registers: &Registers) -> Result<Clamp, String> {
    let [low, high, _] = registers.fields(Register::VecClamp);
    if low > high {
        return Err(format!("`clamp` is empty: {low} is above {high}"));
    }
    Ok(Clamp {
        lo: low as i8,
        hi: high as i8,
    })
}

/// Turns the deltas of nested loops (`(bound, delta)`, innermost first) into strides from the start of each loop.
///
/// A delta is added while the loops inside go back from their last position to their first.
fn strides<const N: usize>(loops: [(u32, i64); N]) -> [i64; N] {
    let mut inside = 0;
    loops.map(|(bound, delta)| {
        let stride = delta + inside;
        inside += stride * (i64::from(bound) - 1);
        stride
    })
}

fn at_least_one(name: &str, values: &[i64]) -> Result<(), String> {
    if values.contains(&0) {
        return Err(format!("`{name}` has a bound of 0"));
    }
    Ok(())
}

fn half_holds(arch: &Arch, pixels: u64) -> Result<(), String> {
    let limit = arch.accumulators.pixels;
    if pixels > u64::from(limit) {
        return Err(format!(
            "{pixels} pixels do not fit an accumulator half of {limit}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule of `machine.md`, literally: the innermost loop that is not at its end advances, those inside restart.
    fn walk(loops: &[(u32, i64)]) -> Vec<i64> {
        let (mut index, mut address, mut seen) = (vec![0; loops.len()], 0, vec![0]);
        while let Some(advancing) = (0..loops.len()).find(|&i| index[i] + 1 < loops[i].0) {
            index[..advancing].fill(0);
            index[advancing] += 1;
            address += loops[advancing].1;
            seen.push(address);
        }
        seen
    }

    #[test]
    fn strides_give_the_addresses_of_the_walk() {
        let loops = [(3, 2), (1, 1000), (2, 7), (4, -5)];
        let s = strides(loops);
        let mut seen = Vec::new();
        for d in 0..4 {
            for c in 0..2 {
                for a in 0..3 {
                    seen.push(s[0] * a + s[2] * c + s[3] * d);
                }
            }
        }
        assert_eq!(seen, walk(&loops));
    }
}
