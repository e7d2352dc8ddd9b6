//! EXEC: one tile of a convolution on the array.

use super::loops::{Nesting, WindowRegisters};
use super::{Advance, OperandError, Operands, Registers, Settings, Window, bit, half_holds};
use crate::arch::{Arch, Dataflow};
use crate::fit::Fit;
use crate::isa::{FieldOverflow, Opcode, Register};

/// The sums of some pixels for one column tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The accumulator half, 0 or 1.
    pub half: u8,
    /// Whether the sums that are there are kept; weight-stationary only.
    pub accumulate: bool,
    /// The order of the loops.
    pub dataflow: Dataflow,
    /// What is read, and how often.
    pub window: Window,
    /// The value read in the padding.
    pub padding: i8,
    /// First weight tile; each reduction step takes the next.
    pub tile: u32,
}

const HALF: u8 = Opcode::Exec.flag("half");
const ACCUMULATE: u8 = Opcode::Exec.flag("accumulate");
const OUTPUT: u8 = Opcode::Exec.flag("output");

const NAMES: WindowRegisters = WindowRegisters {
    source: Register::ExecSource,
    origin: Register::ExecOrigin,
    extent: Register::ExecExtent,
    step: Register::ExecStep,
    bounds: Register::ExecReduction,
    pixels: Register::ExecPixels,
    deltas: [
        Register::ExecDeltaKernelX,
        Register::ExecDeltaKernelY,
        Register::ExecDeltaBlock,
        Register::ExecDeltaX,
        Register::ExecDeltaY,
    ],
};

/// Which loops are inside: those of the reduction, or those over pixels.
const fn nesting(dataflow: Dataflow) -> Nesting {
    match dataflow {
        Dataflow::OutputStationary => [0, 1, 2, 3, 4],
        Dataflow::WeightStationary => [3, 4, 0, 1, 2],
    }
}

/// The loop order of an EXEC with these `flags`.
const fn dataflow_of(flags: u8) -> Dataflow {
    if flags & OUTPUT != 0 {
        Dataflow::OutputStationary
    } else {
        Dataflow::WeightStationary
    }
}

impl Operands for Exec {
    const OPCODE: Opcode = Opcode::Exec;

    fn has_unit(arch: &Arch, flags: u8) -> bool {
        arch.has(dataflow_of(flags))
    }

    fn flags(&self) -> u8 {
        let output = self.dataflow == Dataflow::OutputStationary;
        bit(self.half == 1, HALF) | bit(self.accumulate, ACCUMULATE) | bit(output, OUTPUT)
    }

    fn read(registers: &Registers, flags: u8) -> Result<Exec, OperandError> {
        let dataflow = dataflow_of(flags);
        let window = Window::read(registers, &NAMES, nesting(dataflow))?;
        let accumulate = flags & ACCUMULATE != 0 && dataflow == Dataflow::WeightStationary;
        Ok(Exec {
            half: u8::from(flags & HALF != 0),
            accumulate,
            dataflow,
            window,
            padding: registers.signed(Register::ExecPadding).fit::<i8>(),
            tile: registers.first(Register::ExecWeights),
        })
    }

    fn fits(&self, arch: &Arch) -> Result<(), OperandError> {
        half_holds(arch, self.window.n_pixels())
    }

    fn settings(&self) -> Result<Settings, FieldOverflow> {
        let window = &self.window;
        let mut settings = Settings::default();
        window.set(&mut settings, &NAMES)?;
        settings.add(NAMES.pixels, window.pixels.map(i64::from))?;
        settings.add(Register::ExecPadding, [self.padding.into()])?;
        settings.add(Register::ExecWeights, [self.tile.into()])?;
        window.set_deltas(&mut settings, &NAMES, nesting(self.dataflow))?;
        Ok(settings)
    }

    fn advances(&self, arch: &Arch) -> Vec<Advance> {
        vec![Advance {
            register: Register::ExecWeights,
            amount: self.window.steps().fit::<u32>(),
            end: arch.weight_tiles(),
        }]
    }

    fn steps(&self) -> u64 {
        self.window.n_pixels() * self.window.steps()
    }

    fn cycles(&self, arch: &Arch) -> Option<u64> {
        Some(arch.exec_cycles(self.dataflow, self.window.n_pixels(), self.window.steps()))
    }
}
