//! The configuration registers of all engines.

use super::OperandError;
use crate::fit::Fit;
use crate::isa::{FieldOverflow, Register};
use crate::numerics::Clamp;

/// The value of every configuration register; zero after reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    values: [u32; Register::ALL.len()],
}

impl Default for Registers {
    fn default() -> Self {
        Registers {
            values: [0; Register::ALL.len()],
        }
    }
}

/// A register whose first field the machine moves on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The register.
    pub register: Register,
    /// What is added to its first field.
    pub amount: u32,
    /// The size of the memory that the field addresses, in its unit: from there on nobody should rely on the field.
    pub end: u32,
}

impl Advance {
    /// The value of the register after `value`, if it still addresses the memory.
    pub fn within(&self, value: u32) -> Option<u32> {
        let field = self.register.fields()[0];
        let first = field.extract(value).fit::<u32>();
        let end = self.end.min(1 << field.width);
        (first + self.amount < end).then(|| value + (self.amount << field.lsb))
    }
}

impl Registers {
    /// The raw value of `register`.
    pub fn get(&self, register: Register) -> u32 {
        self.values[register as usize]
    }

    /// Writes the raw value of `register`.
    pub fn set(&mut self, register: Register, value: u32) {
        self.values[register as usize] = value;
    }

    /// Adds to the first field of a register, which wraps in its own width.
    pub fn advance(&mut self, advance: &Advance) {
        let field = advance.register.fields()[0];
        let mask = u32::MAX >> (32 - field.width);
        let raw = self.get(advance.register);
        let sum = (raw >> field.lsb).wrapping_add(advance.amount) & mask;
        let others = raw & !(mask << field.lsb);
        self.set(advance.register, others | sum << field.lsb);
    }

    /// The first `N` fields of `register`.
    pub(super) fn fields<const N: usize>(&self, register: Register) -> [i64; N] {
        let fields = register.fields();
        std::array::from_fn(|i| fields[i].extract(self.get(register)))
    }

    /// The first field of `register`, an address or a count.
    pub(super) fn first(&self, register: Register) -> u32 {
        self.fields::<1>(register)[0].fit::<u32>()
    }

    /// The first field of `register`, which has a sign.
    pub(super) fn signed(&self, register: Register) -> i64 {
        self.fields::<1>(register)[0]
    }

    /// The first `N` fields of `register`, each of which is at least 1.
    pub(super) fn bounds<const N: usize>(
        &self,
        register: Register,
    ) -> Result<[u32; N], OperandError> {
        let values = self.fields::<N>(register);
        let mut fields = register.fields().iter().zip(values);
        if let Some((field, value)) = fields.find(|(_, value)| *value < 1) {
            return Err(OperandError {
                what: format!("`{}` of {}", field.name, named(register)),
                value,
                limit: "at least 1 is possible".to_owned(),
            });
        }
        Ok(values.map(|value| value.fit::<u32>()))
    }

    /// The range of the output, which must not be empty.
    pub(super) fn clamp(&self) -> Result<Clamp, OperandError> {
        let [low, high] = self.fields(Register::VecClamp);
        if low > high {
            return Err(OperandError {
                what: "`low` of `vec.clamp`".to_owned(),
                value: low,
                limit: format!("`high`, {high}, at most"),
            });
        }
        Ok(Clamp {
            lo: low.fit::<i8>(),
            hi: high.fit::<i8>(),
        })
    }
}

/// The register as assembly text has it.
fn named(register: Register) -> String {
    format!("`{}.{}`", register.engine().name(), register.name())
}

/// Registers and the values that they have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<(Register, u32)>);

impl Settings {
    /// Adds `register` with the values of its fields.
    pub(super) fn add<const N: usize>(
        &mut self,
        register: Register,
        fields: [i64; N],
    ) -> Result<(), FieldOverflow> {
        self.0.push((register, register.pack(&fields)?));
        Ok(())
    }

    /// Adds each register of `names` that has a value.
    pub(super) fn add_some<const N: usize>(
        &mut self,
        names: [Register; N],
        values: [Option<i64>; N],
    ) -> Result<(), FieldOverflow> {
        for (name, value) in names.into_iter().zip(values) {
            if let Some(value) = value {
                self.add(name, [value])?;
            }
        }
        Ok(())
    }
}

impl IntoIterator for Settings {
    type Item = (Register, u32);
    type IntoIter = std::vec::IntoIter<(Register, u32)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
