//! The constants of a program, decoded by a reader that knows only the machine's contract: it runs each EXEC and
//! requantise as plain loops over what LOAD brought, and finds the weights, biases and scales of the network again.

mod common;

use common::{Build, directed, preset};
use ir::isa::{Instruction, Opcode, Register};
use ir::network::TensorId;
use ir::op::{Kind, Window};
use mapper::compile;
use std::collections::BTreeMap;

#[test]
fn weights_and_parameters_read_back() {
    let arch = preset("nano");
    let mut build = Build::new(5, [11, 6, 6]);
    build.conv(
        TensorId(0),
        7,
        1,
        Window {
            pads: [1; 4],
            ..Window::dense([3, 3])
        },
    );
    let network = build.finish();
    // All column tiles in one group, so that the tiles of a pixel tile follow each other.
    let options = directed("conv0: group_tiles=4");
    let compiled = compile(&network, &arch, &options).expect("it fits");
    let program = &compiled.program;
    let image = program.image(&arch);
    let Kind::Conv(conv) = &network.einsums[0].kind else {
        unreachable!()
    };
    let (rows, cols) = (arch.array.rows as usize, arch.array.cols as usize);

    let mut registers: BTreeMap<Register, u32> = BTreeMap::new();
    let mut weights = vec![0u8; arch.weights.words as usize * rows];
    let mut parameters = vec![0u8; arch.parameters.channels as usize * 8];
    let mut seen = Vec::new();
    let mut channel = 0;
    for instruction in &program.instructions {
        match instruction {
            Instruction::Configure { register, value } => drop(registers.insert(*register, *value)),
            Instruction::Run(run) if run.opcode == Opcode::Load => {
                let words = registers[&Register::LoadLength] as usize;
                let from = registers[&Register::LoadMemory] as usize * rows;
                let destination = registers[&Register::LoadDestination];
                let to = (destination & 0xf_ffff) as usize * rows;
                let local = match destination >> 20 {
                    1 => &mut weights,
                    2 => &mut parameters,
                    _ => continue,
                };
                local[to..to + words * rows].copy_from_slice(&image[from..from + words * rows]);
                *registers.get_mut(&Register::LoadMemory).expect("set") += words as u32;
                *registers.get_mut(&Register::LoadDestination).expect("set") += words as u32;
            }
            Instruction::Run(run) if run.opcode == Opcode::Exec => {
                let first = registers[&Register::ExecWeights] as usize;
                let steps = 3 * 3 * 2;
                seen.push(weights[first * cols * rows..(first + steps) * cols * rows].to_vec());
                *registers.get_mut(&Register::ExecWeights).expect("set") += steps as u32;
            }
            Instruction::Run(run) if run.opcode == Opcode::Requantise => {
                let group = registers[&Register::VecParameters] as usize;
                let tile = seen.remove(0);
                for col in 0..cols {
                    let out = channel % 8 + col;
                    let at = (group * arch.vector.requantise_lanes as usize + col) * 8;
                    let word =
                        u64::from_le_bytes(parameters[at..at + 8].try_into().expect("eight bytes"));
                    if out >= conv.out_channels {
                        assert_eq!(word, 0, "parameters beyond the last channel are zero");
                        continue;
                    }
                    let mut sum = 0;
                    for block in 0..2 {
                        for tap in 0..9 {
                            for row in 0..rows {
                                let weight =
                                    tile[((block * 9 + tap) * cols + col) * rows + row] as i8;
                                let input = block * rows + row;
                                let expected = if input < 11 {
                                    conv.weight(out, input, tap / 3, tap % 3)
                                } else {
                                    0
                                };
                                assert_eq!(
                                    weight, expected,
                                    "output {out} input {input} tap {tap}"
                                );
                                sum += i32::from(weight);
                            }
                        }
                    }
                    let zero_point = i32::from(network.tensors[0].zero_point);
                    assert_eq!(
                        word as u32 as i32,
                        conv.bias[out] - zero_point * sum,
                        "bias of {out}"
                    );
                    let scale = conv.requantise().expect("in range")[out];
                    assert_eq!(
                        (word >> 32 & 0xff_ffff, word >> 56),
                        (scale.mantissa.into(), scale.shift.into()),
                        "scale of {out}"
                    );
                }
                channel += cols;
                *registers.get_mut(&Register::VecParameters).expect("set") +=
                    arch.array.cols / arch.vector.requantise_lanes;
            }
            _ => {}
        }
    }
    assert!(
        channel > 0 && channel % 8 == 0,
        "whole tiles of pixels were requantised"
    );
}
