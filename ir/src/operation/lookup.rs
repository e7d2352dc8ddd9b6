//! LOOKUP: words through a table, or the sum of two words through two tables.

use super::loops::{deltas, strides};
use super::{Destination, OperandError, Operands, Registers, Settings, bit};
use crate::arch::Arch;
use crate::fit::Fit;
use crate::isa::{FieldOverflow, Opcode, Register};
use crate::numerics::{Clamp, FRACTION_BITS};

/// Some words through the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// First word of the operand.
    pub source: u32,
    /// First word of the second operand, if there is one.
    pub source_b: Option<u32>,
    /// Address change of both sources per `x` and per `y`, from the start of the loop.
    pub strides: [i64; 2],
    /// Where the results go.
    pub destination: Destination,
    /// Bits of fraction of the table entries, 1 to [`FRACTION_BITS`].
    pub fraction_bits: u32,
    /// The range of the output.
    pub clamp: Clamp,
}

const PAIR: u8 = Opcode::Lookup.flag("pair");

impl Operands for Lookup {
    const OPCODE: Opcode = Opcode::Lookup;

    fn has_unit(arch: &Arch, _flags: u8) -> bool {
        arch.vector.table_lanes > 0
    }

    fn flags(&self) -> u8 {
        bit(self.source_b.is_some(), PAIR)
    }

    fn read(registers: &Registers, flags: u8) -> Result<Lookup, OperandError> {
        let destination = Destination::read(registers)?;
        let [x, y] = destination.pixels;
        let clamp = registers.clamp()?;
        let [_, _, dropped] = registers.fields(Register::VecClamp);
        super::at_most(
            "`dropped` of `vec.clamp`",
            dropped,
            i64::from(FRACTION_BITS) - 1,
        )?;
        Ok(Lookup {
            source: registers.first(Register::VecSource),
            source_b: (flags & PAIR != 0).then(|| registers.first(Register::VecSourceB)),
            strides: strides([
                (x, registers.signed(Register::VecDeltaX)),
                (y, registers.signed(Register::VecDeltaY)),
            ]),
            destination,
            fraction_bits: FRACTION_BITS - dropped.fit::<u32>(),
            clamp,
        })
    }

    fn fits(&self, _arch: &Arch) -> Result<(), OperandError> {
        Ok(())
    }

    /// All address changes: most look-ups walk words that follow each other, whatever the number of rows, so that they
    /// rarely have to be written again.
    fn settings(&self) -> Result<Settings, FieldOverflow> {
        let Destination {
            address, pixels, ..
        } = self.destination;
        let [stride_x, stride_y] = self.strides;
        let mut settings = Settings::default();
        settings.add(Register::VecDestination, [address.into()])?;
        settings.add(Register::VecPixels, pixels.map(i64::from))?;
        settings.add(Register::VecDestinationDeltaY, [self.destination.delta_y()])?;
        let Clamp { lo, hi } = self.clamp;
        let dropped = i64::from(FRACTION_BITS) - i64::from(self.fraction_bits);
        settings.add(Register::VecClamp, [lo.into(), hi.into(), dropped])?;
        settings.add(Register::VecDeltaX, [stride_x])?;
        let [_, by_row] = deltas([(pixels[0], stride_x), (u32::MAX, stride_y)]);
        settings.add(Register::VecDeltaY, [by_row.unwrap_or_default()])?;
        settings.add(Register::VecSource, [self.source.into()])?;
        settings.add_some([Register::VecSourceB], [self.source_b.map(i64::from)])?;
        Ok(settings)
    }

    fn steps(&self) -> u64 {
        self.destination.n_pixels()
    }

    fn cycles(&self, arch: &Arch) -> Option<u64> {
        Some(arch.vec_cycles(Opcode::Lookup, self.destination.n_pixels()))
    }
}
