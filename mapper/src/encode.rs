//! Instructions: registers are written only when their value changes.
//!
//! A shadow of every register, with the addresses that the machine advances by itself, says what a register holds.
//! An address that ran past the end of its memory counts as unknown.

use ir::arch::Arch;
use ir::fit::Fit;
use ir::isa::{FieldOverflow, Instruction, Opcode, Register, Run};

use crate::op::{Base, Op};
use crate::sync::Tokens;

/// Instructions with the layer of each.
#[derive(Default)]
pub(crate) struct Code {
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) layer_of: Vec<u16>,
}

impl Code {
    /// Moves all addresses in memory, which count from the first constant, by `words`.
    pub(crate) fn relocate(&mut self, words: u32) {
        for instruction in &mut self.instructions {
            if let Instruction::Configure {
                register: Register::LoadMemory | Register::StoreMemory,
                value,
            } = instruction
            {
                *value += words;
            }
        }
    }
}

/// Encodes `ops` with their `tokens`; addresses in memory count from the first of `constant_words` words of constants,
/// which tensors follow. An error comes with the layer.
pub(crate) fn encode(
    ops: &[Op],
    tokens: &Tokens,
    arch: &Arch,
    constant_words: u32,
) -> Result<Code, (u16, FieldOverflow)> {
    let mut shadow: Shadow = [None; Register::ALL.len()];
    let mut code = Code::default();
    for (index, op) in ops.iter().enumerate() {
        let mut configure = |register: Register, values: &[i64]| {
            let instruction = register
                .pack(values)
                .map_err(|overflow| (op.layer, overflow))?;
            if let Instruction::Configure { value, .. } = instruction
                && shadow[register as usize].replace(value) != Some(value)
            {
                code.instructions.push(instruction);
            }
            Ok(())
        };
        if let Some(place) = op.place {
            let register = if op.opcode == Opcode::Load {
                Register::LoadMemory
            } else {
                Register::StoreMemory
            };
            let base = match place.base {
                Base::Constants => 0,
                Base::Tensors => constant_words,
            };
            configure(register, &[i64::from(base) + i64::from(place.word)])?;
        }
        for (register, values) in &op.registers {
            configure(*register, values)?;
        }
        code.instructions.push(Instruction::Run(Run {
            opcode: op.opcode,
            waits: tokens.waits[index],
            signals: tokens.signals[index],
            flags: op.flags,
        }));
        code.layer_of.resize(code.instructions.len(), op.layer);
        advance(&mut shadow, op.opcode, arch);
    }
    Ok(code)
}

/// What each register is known to hold.
type Shadow = [Option<u32>; Register::ALL.len()];

/// Adds to the shadow what the machine adds to its registers at the end of a run.
fn advance(shadow: &mut Shadow, opcode: Opcode, arch: &Arch) {
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
            add(Register::LoadMemory, 22, u32::MAX);
            add(Register::LoadDestination, 20, limit);
        }
        Opcode::Store => {
            let words = shadow_value(shadow, Register::StoreLength);
            add_to(shadow, Register::StoreMemory, words, 22, u32::MAX);
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
                steps.fit::<u32>(),
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

fn add_to(shadow: &mut Shadow, register: Register, amount: u32, bits: u32, limit: u32) {
    let known = &mut shadow[register as usize];
    *known = known
        .filter(|value| (value & ((1 << bits) - 1)) + amount < limit.min(1 << bits))
        .map(|value| value + amount);
}

fn shadow_value(shadow: &Shadow, register: Register) -> u32 {
    shadow[register as usize].unwrap_or(0)
}
