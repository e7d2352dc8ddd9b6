//! The configuration registers of all engines.

use ir::isa::Register;

/// Registers per engine that the 6-bit index of `configure` can name.
const PER_ENGINE: usize = 64;

/// The value of every configuration register; zero after reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    values: [[u32; PER_ENGINE]; 4],
}

impl Default for Registers {
    fn default() -> Self {
        Registers {
            values: [[0; PER_ENGINE]; 4],
        }
    }
}

impl Registers {
    /// The raw value of `register`.
    pub fn get(&self, register: Register) -> u32 {
        self.values[register.engine().index()][register.index() as usize]
    }

    /// Writes the raw value of `register`.
    pub fn set(&mut self, register: Register, value: u32) {
        self.values[register.engine().index()][register.index() as usize] = value;
    }

    /// The fields of `register`, in the order of [`Register::fields`].
    pub(crate) fn fields<const N: usize>(&self, register: Register) -> [i64; N] {
        let fields = register.fields();
        std::array::from_fn(|i| fields[i].extract(self.get(register)))
    }

    /// Adds `amount` to the first field of `register`, which wraps in its own width.
    pub(crate) fn advance(&mut self, register: Register, amount: u32) {
        let field = register.fields()[0];
        let mask = ((1u64 << field.width) - 1) as u32;
        let raw = self.get(register);
        let sum = (raw >> field.lsb).wrapping_add(amount) & mask;
        self.set(register, raw & !(mask << field.lsb) | sum << field.lsb);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_advances_within_its_field() {
        let mut registers = Registers::default();
        registers.set(Register::LoadDestination, 1 << 20 | 0xf_ffff);
        registers.advance(Register::LoadDestination, 3);
        assert_eq!(
            registers.fields::<2>(Register::LoadDestination),
            [2, 1],
            "the space stays"
        );
    }
}
