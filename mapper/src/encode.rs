//! Instructions: registers are written only when their value changes.
//!
//! A shadow of every register, with the addresses that the machine advances by itself, says what a register holds.
//! An address that ran past the end of its memory counts as unknown.

use ir::arch::Arch;
use ir::isa::{FieldOverflow, Instruction, Register, Run};
use ir::operation::{Advance, Load, Operation, Store};

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
    let mut shadow = Shadow([None; Register::ALL.len()]);
    let mut code = Code::default();
    for (index, op) in ops.iter().enumerate() {
        let mut operation = op.operation.clone();
        if let (
            Operation::Load(Load { memory, .. }) | Operation::Store(Store { memory, .. }),
            Base::Tensors,
        ) = (&mut operation, op.base)
        {
            *memory += constant_words;
        }
        let settings = operation.settings();
        for (register, value) in settings.map_err(|overflow| (op.layer, overflow))? {
            if shadow.set(register, value) {
                let configure = Instruction::Configure { register, value };
                code.instructions.push(configure);
            }
        }
        code.instructions.push(Instruction::Run(Run {
            waits: tokens.waits[index],
            signals: tokens.signals[index],
            ..operation.run()
        }));
        code.layer_of.resize(code.instructions.len(), op.layer);
        for advance in operation.advances(arch) {
            shadow.advance(&advance);
        }
    }
    Ok(code)
}

/// What each register is known to hold.
struct Shadow([Option<u32>; Register::ALL.len()]);

impl Shadow {
    /// Whether `register` did not hold `value` already.
    fn set(&mut self, register: Register, value: u32) -> bool {
        self.0[register as usize].replace(value) != Some(value)
    }

    /// Adds what the machine adds at the end of a run.
    fn advance(&mut self, advance: &Advance) {
        let known = &mut self.0[advance.register as usize];
        *known = known.and_then(|value| advance.within(value));
    }
}
