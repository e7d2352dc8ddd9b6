//! MAX_POOL: the lane-wise maximum over a window of words; a window of one word is a copy.

use super::loops::{Nesting, WindowRegisters, deltas, strides};
use super::{Destination, OperandError, Operands, Registers, Settings, Window};
use crate::arch::Arch;
use crate::isa::{FieldOverflow, Opcode, Register};

/// The maxima of some pixels of some channel blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// What is read.
    pub window: Window,
    /// Where the results go; pixels are those of the window.
    pub destination: Destination,
}

const NAMES: WindowRegisters = WindowRegisters {
    source: Register::VecSource,
    origin: Register::VecOrigin,
    extent: Register::VecExtent,
    step: Register::VecStep,
    bounds: Register::VecWindow,
    pixels: Register::VecPixels,
    deltas: [
        Register::VecDeltaKernelX,
        Register::VecDeltaKernelY,
        Register::VecDeltaBlock,
        Register::VecDeltaX,
        Register::VecDeltaY,
    ],
};

/// Kernel, pixels of a row, blocks, rows.
const NESTING: Nesting = [0, 1, 3, 2, 4];

impl Operands for MaxPool {
    const OPCODE: Opcode = Opcode::MaxPool;

    fn has_unit(arch: &Arch, _flags: u8) -> bool {
        arch.vector.max_pool
    }

    fn read(registers: &Registers, _flags: u8) -> Result<MaxPool, OperandError> {
        let window = Window::read(registers, &NAMES, NESTING)?;
        let [x, y] = window.pixels;
        let [_, block, row] = strides([
            (x, 1),
            (
                window.blocks,
                registers.signed(Register::VecDestinationDeltaBlock),
            ),
            (y, registers.signed(Register::VecDestinationDeltaY)),
        ]);
        let destination = Destination {
            address: registers.first(Register::VecDestination),
            pixels: window.pixels,
            block,
            row,
        };
        Ok(MaxPool {
            window,
            destination,
        })
    }

    fn fits(&self, _arch: &Arch) -> Result<(), OperandError> {
        Ok(())
    }

    fn settings(&self) -> Result<Settings, FieldOverflow> {
        let Destination {
            address,
            pixels,
            block,
            row,
        } = self.destination;
        let mut settings = Settings::default();
        settings.add(Register::VecDestination, [address.into()])?;
        settings.add(NAMES.pixels, pixels.map(i64::from))?;
        self.window.set(&mut settings, &NAMES)?;
        self.window.set_deltas(&mut settings, &NAMES, NESTING)?;
        let [_, by_block, by_row] = deltas([
            (pixels[0], 1),
            (self.window.blocks, block),
            (pixels[1], row),
        ]);
        let names = [
            Register::VecDestinationDeltaBlock,
            Register::VecDestinationDeltaY,
        ];
        settings.add_some(names, [by_block, by_row])?;
        Ok(settings)
    }

    fn steps(&self) -> u64 {
        self.window.n_pixels() * self.window.steps()
    }

    fn cycles(&self, arch: &Arch) -> Option<u64> {
        Some(arch.vec_cycles(Opcode::MaxPool, self.steps()))
    }
}
