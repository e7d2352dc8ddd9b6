//! What an operation says of its registers is what is read back from them.

use super::loops::{deltas, strides};
use super::{
    Destination, Exec, Load, Lookup, MaxPool, Operation, Pack, Registers, Requantise, Space, Store,
    Strides, Window,
};
use crate::arch::{Arch, Dataflow};
use crate::isa::{Opcode, Register};
use crate::numerics::Clamp;
use proptest::prelude::*;

fn edge() -> Arch {
    let text = include_str!("../../../examples/archs/edge.toml");
    crate::arch::read("edge", text).expect("the preset is legal")
}

/// The rule of `docs/concepts/machine.md`, literally: the innermost loop that is not at its end advances, those inside
/// restart.
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
    assert_eq!(
        deltas([(3, s[0]), (1, s[1]), (2, s[2]), (4, s[3])]),
        [Some(2), None, Some(7), Some(-5)]
    );
}

#[test]
fn an_address_advances_within_its_field_and_is_known_within_its_memory() {
    let load = |local| {
        let load = Load {
            memory: 0,
            space: Space::Parameters,
            local,
            words: 3,
        };
        Operation::from(load)
    };
    let mut registers = Registers::default();
    registers.set(Register::LoadDestination, 2 << 20 | 0xf_ffff);
    let advances = load(0xf_ffff).advances(&edge());
    advances
        .iter()
        .for_each(|advance| registers.advance(advance));
    assert_eq!(
        registers.get(Register::LoadDestination),
        2 << 20 | 2,
        "the space stays"
    );
    assert_eq!(registers.get(Register::LoadMemory), 3);
    let end = Space::Parameters.words(&edge());
    assert_eq!(
        advances[1].within(2 << 20 | (end - 4)),
        Some(2 << 20 | (end - 1))
    );
    assert_eq!(advances[1].within(2 << 20 | (end - 3)), None);
}

#[test]
fn what_no_unit_can_follow_is_refused_with_its_limit() {
    let mut registers = Registers::default();
    let read = |registers: &Registers, opcode| {
        let run = crate::isa::Run::new(opcode);
        Operation::read(registers, &run).map_err(|error| error.to_string())
    };
    let zero = "`x` of `vec.pixels` is 0: at least 1 is possible";
    assert_eq!(read(&registers, Opcode::Lookup), Err(zero.to_owned()));
    registers.set(Register::VecPixels, 1 << 11 | 1);
    registers.set(Register::VecClamp, 20 << 16);
    let dropped = "`dropped` of `vec.clamp` is 20: 19 at most";
    assert_eq!(read(&registers, Opcode::Lookup), Err(dropped.to_owned()));
}

/// A loop that runs once has no stride.
fn stride(bound: u32) -> impl Strategy<Value = i64> {
    (-300_i64..300).prop_map(move |stride| if bound == 1 { 0 } else { stride })
}

fn pixels() -> impl Strategy<Value = [u32; 2]> {
    (1..9_u32, 1..9_u32).prop_map(|(x, y)| [x, y])
}

fn window() -> impl Strategy<Value = Window> {
    let bounds = (pixels(), 1..5_u32, pixels());
    let coordinates = (-9..9_i64, -9..9_i64, 1..200_i64, 1..200_i64);
    bounds.prop_flat_map(move |(kernel, blocks, pixels)| {
        let strides = (
            stride(kernel[0]),
            stride(kernel[1]),
            stride(blocks),
            stride(pixels[0]),
            stride(pixels[1]),
        );
        let steps = (0..4_i64, 0..4_i64, 0..4_i64, 0..4_i64);
        (0..4096_u32, coordinates.clone(), steps, strides).prop_map(
            move |(source, (x, y, width, height), steps, s)| Window {
                source,
                origin: [x, y],
                extent: [width, height],
                stride: [steps.0, steps.1],
                dilation: [steps.2, steps.3],
                kernel,
                blocks,
                pixels,
                strides: Strides {
                    kernel: [s.0, s.1],
                    block: s.2,
                    pixel: [s.3, s.4],
                },
            },
        )
    })
}

fn destination(pixels: [u32; 2], blocks: u32) -> impl Strategy<Value = Destination> {
    (0..4096_u32, stride(blocks), stride(pixels[1])).prop_map(move |(address, block, row)| {
        Destination {
            address,
            pixels,
            block,
            row,
        }
    })
}

fn clamp() -> impl Strategy<Value = Clamp> {
    (any::<i8>(), any::<i8>()).prop_map(|(a, b)| Clamp {
        lo: a.min(b),
        hi: a.max(b),
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let transfer = || (0..9999_u32, 0..4096_u32, 1..400_u32);
    let load = (transfer(), 0..4_usize).prop_map(|((memory, local, words), space)| {
        let space = Space::ALL[space];
        Operation::from(Load {
            memory,
            space,
            local,
            words,
        })
    });
    let store = transfer().prop_map(|(memory, local, words)| {
        Operation::from(Store {
            local,
            memory,
            words,
        })
    });
    let exec = (
        window(),
        0..2_u8,
        any::<bool>(),
        any::<bool>(),
        any::<i8>(),
        0..99_u32,
    );
    let exec = exec.prop_map(|(window, half, accumulate, output, padding, tile)| {
        let dataflow = if output {
            Dataflow::OutputStationary
        } else {
            Dataflow::WeightStationary
        };
        let accumulate = accumulate && !output;
        Operation::from(Exec {
            half,
            accumulate,
            dataflow,
            window,
            padding,
            tile,
        })
    });
    let requantise = (
        pixels().prop_flat_map(|pixels| destination(pixels, 1)),
        0..2_u8,
        0..99_u32,
        clamp(),
        any::<i8>(),
    );
    let requantise = requantise.prop_map(|(destination, half, parameters, clamp, zero_point)| {
        Operation::from(Requantise {
            half,
            destination,
            group: 0,
            parameters,
            clamp,
            zero_point,
        })
    });
    let pool = window().prop_flat_map(|window| {
        let destination = destination(window.pixels, window.blocks);
        destination.prop_map(move |destination| {
            Operation::from(MaxPool {
                window: window.clone(),
                destination,
            })
        })
    });
    let lookup = pixels().prop_flat_map(|pixels| {
        let sources = (0..4096_u32, proptest::option::of(0..4096_u32));
        (
            destination(pixels, 1),
            sources,
            stride(pixels[0]),
            stride(pixels[1]),
            1..21_u32,
            clamp(),
        )
    });
    let lookup = lookup.prop_map(
        |(destination, (source, source_b), x, y, fraction_bits, clamp)| {
            Operation::from(Lookup {
                source,
                source_b,
                strides: [x, y],
                destination,
                fraction_bits,
                clamp,
            })
        },
    );
    let pack = pixels().prop_flat_map(|pixels| {
        (
            destination(pixels, 1),
            stride(pixels[1]),
            0..4096_u32,
            1..5_u32,
            0..9_u32,
        )
    });
    let pack = (pack, (-9..9_i64, -9..9_i64), any::<i8>()).prop_map(
        |((destination, row, source, taps, lane), origin, padding)| {
            let (origin, extent, stride) = ([origin.0, origin.1], [40, 9], [2, 1]);
            Operation::from(Pack {
                source,
                row,
                origin,
                extent,
                stride,
                lane,
                taps,
                padding,
                destination,
            })
        },
    );
    prop_oneof![load, store, exec, requantise, pool, lookup, pack]
}

proptest! {
    #[test]
    fn an_operation_is_read_back_from_its_registers(operation in operation(), before in any::<u32>()) {
        let mut registers = Registers::default();
        // What earlier operations left in the registers does not show.
        Register::ALL.iter().for_each(|&register| registers.set(register, before & 0x3f_ffff));
        for (register, value) in operation.settings().expect("small numbers") {
            registers.set(register, value);
        }
        let read = Operation::read(&registers, &operation.run());
        prop_assert_eq!(read, Ok(operation));
    }
}
