//! Instructions: registers are written only when their value changes.
//!
//! A shadow of every register, with the addresses that the machine advances by itself, says what a register holds.
//! An address that ran past the end of its memory counts as unknown.

use std::collections::BTreeMap;

use ir::arch::Arch;
use ir::isa::{FieldOverflow, Instruction, Opcode, Register, Run};

use crate::op::{Base, Op};
use crate::sync::Tokens;

/// Where constants and tensors start in memory, in words.
#[derive(Clone, Copy)]
pub(crate) struct Bases {
    pub(crate) constants: u32,
    pub(crate) tensors: u32,
}

/// Instructions with the layer of each.
pub(crate) type Code = (Vec<Instruction>, Vec<u16>);

/// Encodes `ops` with their `tokens`; an error comes with the layer.
pub(crate) fn encode(
    ops: &[Op],
    tokens: &Tokens,
    arch: &Arch,
    bases: Bases,
) -> Result<Code, (u16, FieldOverflow)> {
    let mut shadow: BTreeMap<Register, u32> = BTreeMap::new();
    let mut code: Code = Default::default();
    for (index, op) in ops.iter().enumerate() {
        let mut push = |instruction| {
            code.0.push(instruction);
            code.1.push(op.layer);
        };
        let memory = op.place.map(|place| {
            let register = if op.opcode == Opcode::Load {
                Register::LoadMemory
            } else {
                Register::StoreMemory
            };
            let base = match place.base {
                Base::Constants => bases.constants,
                Base::Tensors => bases.tensors,
            };
            (register, vec![i64::from(base) + i64::from(place.word)])
        });
        for (register, values) in memory.iter().chain(&op.registers) {
            let instruction = register
                .pack(values)
                .map_err(|overflow| (op.layer, overflow))?;
            let Instruction::Configure { value, .. } = instruction else {
                continue;
            };
            if shadow.insert(*register, value) != Some(value) {
                push(instruction);
            }
        }
        push(Instruction::Run(Run {
            opcode: op.opcode,
            waits: tokens.waits[index],
            signals: tokens.signals[index],
            flags: op.flags,
        }));
        advance(&mut shadow, op.opcode, arch);
    }
    Ok(code)
}

/// Adds to the shadow what the machine adds to its registers at the end of a run.
fn advance(shadow: &mut BTreeMap<Register, u32>, opcode: Opcode, arch: &Arch) {
    let activations = arch.activations.banks * arch.activations.words;
    match opcode {
        Opcode::Load => {
            let words = shadow_value(shadow, Register::LoadLength);
            let space = shadow_value(shadow, Register::LoadDestination) >> 20;
            let limit = match space {
                0 => activations,
                1 => arch.weights.words,
                2 => arch.parameter_words(arch.parameters.channels),
                _ => arch.table_words(),
            };
            let mut add = |register, bits, limit| add_to(shadow, register, words, bits, limit);
            add(Register::LoadMemory, 22, arch.memory.words);
            add(Register::LoadDestination, 20, limit);
        }
        Opcode::Store => {
            let words = shadow_value(shadow, Register::StoreLength);
            add_to(shadow, Register::StoreMemory, words, 22, arch.memory.words);
            add_to(shadow, Register::StoreSource, words, 20, activations);
        }
        Opcode::Exec => {
            let reduction = shadow_value(shadow, Register::ExecReduction);
            let steps: i64 = Register::ExecReduction
                .fields()
                .iter()
                .map(|f| f.extract(reduction))
                .product();
            add_to(
                shadow,
                Register::ExecWeights,
                steps as u32,
                18,
                arch.weight_tiles(),
            );
        }
        Opcode::Requantise => {
            let lanes = arch.vector.requantise_lanes;
            let groups = arch.array.cols / lanes;
            add_to(
                shadow,
                Register::VecParameters,
                groups,
                18,
                arch.parameters.channels / lanes,
            );
        }
        Opcode::MaxPool | Opcode::Lookup | Opcode::Pack => {}
    }
}

fn add_to(
    shadow: &mut BTreeMap<Register, u32>,
    register: Register,
    amount: u32,
    bits: u32,
    limit: u32,
) {
    let Some(value) = shadow.get_mut(&register) else {
        return;
    };
    if (*value & ((1 << bits) - 1)) + amount < limit.min(1 << bits) {
        *value += amount;
    } else {
        shadow.remove(&register);
    }
}

fn shadow_value(shadow: &BTreeMap<Register, u32>, register: Register) -> u32 {
    shadow.get(&register).copied().unwrap_or(0)
}
