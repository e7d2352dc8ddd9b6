//! PACK: neighbouring bytes of image rows into lanes of words, the row mapping `taps`.

use super::loops::strides;
use super::{Destination, OperandError, Operands, Registers, Settings, at_most};
use crate::arch::Arch;
use crate::fit::Fit;
use crate::isa::{FieldOverflow, Opcode, Register};

/// The bytes of one kernel row for some pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Word of column 0 in the first row, which may lie in the padding; addresses wrap.
    pub source: u32,
    /// Address change per output row.
    pub row: i64,
    /// Column (in bytes) and row of the first step.
    pub origin: [i64; 2],
    /// Valid columns and rows are 0 or more, and below it.
    pub extent: [i64; 2],
    /// Columns and rows per output pixel.
    pub stride: [i64; 2],
    /// First lane filled.
    pub lane: u32,
    /// Lanes filled, at least 1.
    pub taps: u32,
    /// The value read in the padding.
    pub padding: i8,
    /// Where the words are that it fills a part of.
    pub destination: Destination,
}

impl Operands for Pack {
    const OPCODE: Opcode = Opcode::Pack;

    fn has_unit(arch: &Arch, _flags: u8) -> bool {
        arch.vector.pack
    }

    fn read(registers: &Registers, _flags: u8) -> Result<Pack, OperandError> {
        let [taps] = registers.bounds(Register::VecWindow)?;
        let destination = Destination::read(registers)?;
        let [lane, padding] = registers.fields(Register::VecPack);
        let [x, y] = destination.pixels;
        let column = registers.signed(Register::VecDeltaX);
        if column != 0 && x > 1 {
            return Err(OperandError {
                what: "`address` of `vec.delta_x`".to_owned(),
                value: column,
                limit: "pack finds its column by the coordinate, 0 is possible".to_owned(),
            });
        }
        let [_, row] = strides([(x, 0), (y, registers.signed(Register::VecDeltaY))]);
        Ok(Pack {
            source: registers.first(Register::VecSource),
            row,
            origin: registers.fields(Register::VecOrigin),
            extent: registers.fields(Register::VecExtent),
            stride: registers.fields(Register::VecStep),
            lane: lane.fit::<u32>(),
            taps,
            padding: padding.fit::<i8>(),
            destination,
        })
    }

    fn fits(&self, arch: &Arch) -> Result<(), OperandError> {
        let lanes = i64::from(self.lane) + i64::from(self.taps);
        at_most(
            "the last lane of `vec.pack`",
            lanes,
            arch.word_bytes().into(),
        )
    }

    fn settings(&self) -> Result<Settings, FieldOverflow> {
        let Destination {
            address, pixels, ..
        } = self.destination;
        let [stride_x, stride_y] = self.stride;
        let mut settings = Settings::default();
        settings.add(Register::VecDestination, [address.into()])?;
        settings.add(Register::VecPixels, pixels.map(i64::from))?;
        settings.add(Register::VecSource, [self.source.into()])?;
        settings.add(Register::VecOrigin, self.origin)?;
        settings.add(Register::VecExtent, self.extent)?;
        settings.add(Register::VecStep, [stride_x, stride_y, 1, 1])?;
        settings.add(Register::VecWindow, [self.taps.into(), 1, 1])?;
        settings.add(Register::VecDeltaX, [0])?;
        settings.add(Register::VecPack, [self.lane.into(), self.padding.into()])?;
        if pixels[1] > 1 {
            settings.add(Register::VecDeltaY, [self.row])?;
        }
        self.destination.set_delta_y(&mut settings)?;
        Ok(settings)
    }

    fn steps(&self) -> u64 {
        u64::from(self.taps) * self.destination.n_pixels()
    }

    fn cycles(&self, arch: &Arch) -> Option<u64> {
        Some(arch.vec_cycles(Opcode::Pack, self.destination.n_pixels()))
    }
}
