//! REQUANTISE: the accumulators of one tile become int8.

use super::{
    Advance, Destination, OperandError, Operands, Registers, Settings, at_most, bit, half_holds,
};
use crate::arch::Arch;
use crate::fit::Fit;
use crate::isa::{FieldOverflow, Opcode, Register};
use crate::numerics::Clamp;

/// One column tile of some pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requantise {
    /// The accumulator half, 0 or 1.
    pub half: u8,
    /// Where the words are that it fills a part of.
    pub destination: Destination,
    /// The part of each word: its first byte is `group * cols`.
    pub group: u32,
    /// First channel group in the parameter memory; a group is `requantise_lanes` channels.
    pub parameters: u32,
    /// The range of the output.
    pub clamp: Clamp,
    /// The zero point of the output.
    pub zero_point: i8,
}

const HALF: u8 = Opcode::Requantise.flag("half");

impl Requantise {
    /// First byte that it fills of each word.
    pub fn byte(&self, arch: &Arch) -> u32 {
        self.group * arch.array.cols
    }

    /// First channel in the parameter memory; it may lie behind the last, and wraps.
    pub fn channel(&self, arch: &Arch) -> u32 {
        self.parameters.wrapping_mul(arch.vector.requantise_lanes)
    }
}

impl Operands for Requantise {
    const OPCODE: Opcode = Opcode::Requantise;

    fn flags(&self) -> u8 {
        bit(self.half == 1, HALF)
    }

    fn read(registers: &Registers, flags: u8) -> Result<Requantise, OperandError> {
        let destination = Destination::read(registers)?;
        Ok(Requantise {
            half: u8::from(flags & HALF != 0),
            destination,
            group: registers.first(Register::VecGroup),
            parameters: registers.first(Register::VecParameters),
            clamp: registers.clamp()?,
            zero_point: registers.signed(Register::VecZeroPoint).fit::<i8>(),
        })
    }

    fn fits(&self, arch: &Arch) -> Result<(), OperandError> {
        half_holds(arch, self.destination.n_pixels())?;
        let (byte, last) = (self.byte(arch), arch.word_bytes() - 1);
        at_most("the first byte of `vec.group`", byte.into(), last.into())
    }

    fn settings(&self) -> Result<Settings, FieldOverflow> {
        let Destination {
            address, pixels, ..
        } = self.destination;
        let mut settings = Settings::default();
        settings.add(Register::VecDestination, [address.into()])?;
        settings.add(Register::VecGroup, [self.group.into()])?;
        settings.add(Register::VecPixels, pixels.map(i64::from))?;
        settings.add(Register::VecParameters, [self.parameters.into()])?;
        // The third field is of tables alone, and mostly 0: so it need not be written again.
        let Clamp { lo, hi } = self.clamp;
        settings.add(Register::VecClamp, [lo.into(), hi.into(), 0])?;
        settings.add(Register::VecZeroPoint, [self.zero_point.into()])?;
        self.destination.set_delta_y(&mut settings)?;
        Ok(settings)
    }

    fn advances(&self, arch: &Arch) -> Vec<Advance> {
        let lanes = arch.vector.requantise_lanes;
        vec![Advance {
            register: Register::VecParameters,
            amount: arch.array.cols / lanes,
            end: arch.parameters.channels / lanes,
        }]
    }

    fn steps(&self) -> u64 {
        self.destination.n_pixels()
    }

    fn cycles(&self, arch: &Arch) -> Option<u64> {
        Some(arch.vec_cycles(Opcode::Requantise, self.destination.n_pixels()))
    }
}
