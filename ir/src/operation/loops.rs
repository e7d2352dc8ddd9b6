//! The loops of an operation: where it reads and writes, as a first address and a stride for each loop.
//!
//! The registers hold address *changes* instead: what is added when a loop advances while the loops inside it go back to
//! their start, so that the hardware needs one adder. [`strides`] and [`deltas`] are the two directions.

use super::{OperandError, Registers, Settings};
use crate::isa::{FieldOverflow, Register};

/// The source side of the five loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Address of the first step, which may lie in the padding; addresses wrap.
    pub source: u32,
    /// Coordinates (x, y) of the first step.
    pub origin: [i64; 2],
    /// Valid coordinates are 0 or more, and below it.
    pub extent: [i64; 2],
    /// Coordinates per output pixel.
    pub stride: [i64; 2],
    /// Coordinates per kernel tap.
    pub dilation: [i64; 2],
    /// Taps in x and y.
    pub kernel: [u32; 2],
    /// Channel blocks.
    pub blocks: u32,
    /// Output pixels in x and y.
    pub pixels: [u32; 2],
    /// The addresses.
    pub strides: Strides,
}

/// Address of a loop position: the first address plus index times stride for each loop, modulo the address space. The
/// stride of a loop that runs once means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strides {
    /// Per kernel tap in x and y.
    pub kernel: [i64; 2],
    /// Per channel block.
    pub block: i64,
    /// Per output pixel in x and y.
    pub pixel: [i64; 2],
}

/// The destination side: one word for each pixel and block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Address of the first word.
    pub address: u32,
    /// Output pixels in x, which follow each other, and y.
    pub pixels: [u32; 2],
    /// Address change per channel block.
    pub block: i64,
    /// Address change per row of pixels.
    pub row: i64,
}

/// The registers of a window; the deltas are of kernel x, kernel y, blocks, pixel x and pixel y.
pub(super) struct WindowRegisters {
    pub(super) source: Register,
    pub(super) origin: Register,
    pub(super) extent: Register,
    pub(super) step: Register,
    pub(super) bounds: Register,
    pub(super) pixels: Register,
    pub(super) deltas: [Register; 5],
}

/// The loops of a window by their place in [`WindowRegisters::deltas`], innermost first.
pub(super) type Nesting = [usize; 5];

impl Window {
    /// Reduction steps per pixel.
    pub fn steps(&self) -> u64 {
        u64::from(self.kernel[0]) * u64::from(self.kernel[1]) * u64::from(self.blocks)
    }

    /// Output pixels.
    pub fn n_pixels(&self) -> u64 {
        n_pixels(self.pixels)
    }

    pub(super) fn read(
        registers: &Registers,
        names: &WindowRegisters,
        nesting: Nesting,
    ) -> Result<Window, OperandError> {
        let [stride_x, stride_y, dilation_x, dilation_y] = registers.fields(names.step);
        let [kernel_x, kernel_y, blocks] = registers.bounds(names.bounds)?;
        let pixels = registers.bounds(names.pixels)?;
        let bounds = [kernel_x, kernel_y, blocks, pixels[0], pixels[1]];
        let loops = nesting.map(|which| (bounds[which], registers.signed(names.deltas[which])));
        let mut own = [0; 5];
        for (which, stride) in nesting.into_iter().zip(strides(loops)) {
            own[which] = stride;
        }
        Ok(Window {
            source: registers.first(names.source),
            origin: registers.fields(names.origin),
            extent: registers.fields(names.extent),
            stride: [stride_x, stride_y],
            dilation: [dilation_x, dilation_y],
            kernel: [kernel_x, kernel_y],
            blocks,
            pixels,
            strides: Strides {
                kernel: [own[0], own[1]],
                block: own[2],
                pixel: [own[3], own[4]],
            },
        })
    }

    /// Everything but pixels and address changes.
    pub(super) fn set(
        &self,
        settings: &mut Settings,
        names: &WindowRegisters,
    ) -> Result<(), FieldOverflow> {
        let [[stride_x, stride_y], [dilation_x, dilation_y]] = [self.stride, self.dilation];
        settings.add(names.source, [self.source.into()])?;
        settings.add(names.origin, self.origin)?;
        settings.add(names.extent, self.extent)?;
        settings.add(names.step, [stride_x, stride_y, dilation_x, dilation_y])?;
        let [kernel_x, kernel_y] = self.kernel;
        settings.add(
            names.bounds,
            [kernel_x, kernel_y, self.blocks].map(i64::from),
        )
    }

    pub(super) fn set_deltas(
        &self,
        settings: &mut Settings,
        names: &WindowRegisters,
        nesting: Nesting,
    ) -> Result<(), FieldOverflow> {
        let Strides {
            kernel,
            block,
            pixel,
        } = self.strides;
        let loops = [
            (self.kernel[0], kernel[0]),
            (self.kernel[1], kernel[1]),
            (self.blocks, block),
            (self.pixels[0], pixel[0]),
            (self.pixels[1], pixel[1]),
        ];
        let changes = deltas(nesting.map(|which| loops[which]));
        settings.add_some(nesting.map(|which| names.deltas[which]), changes)
    }
}

impl Destination {
    /// The address of the word of a pixel in a block.
    pub fn word(&self, x: u32, block: u32, y: u32) -> i64 {
        i64::from(self.address)
            + i64::from(x)
            + self.block * i64::from(block)
            + self.row * i64::from(y)
    }

    /// Output pixels.
    pub fn n_pixels(&self) -> u64 {
        n_pixels(self.pixels)
    }

    /// The destination of an operation without blocks.
    pub(super) fn read(registers: &Registers) -> Result<Destination, OperandError> {
        let pixels = registers.bounds(Register::VecPixels)?;
        let delta_y = registers.signed(Register::VecDestinationDeltaY);
        let [_, row] = strides([(pixels[0], 1), (pixels[1], delta_y)]);
        Ok(Destination {
            address: registers.first(Register::VecDestination),
            pixels,
            block: 0,
            row,
        })
    }

    /// What is added to the address behind the last word of a row.
    pub(super) fn delta_y(&self) -> i64 {
        let [_, change] = deltas([(self.pixels[0], 1), (u32::MAX, self.row)]);
        change.unwrap_or_default()
    }

    /// The same, where there is another row.
    pub(super) fn set_delta_y(&self, settings: &mut Settings) -> Result<(), FieldOverflow> {
        let change = (self.pixels[1] > 1).then(|| self.delta_y());
        settings.add_some([Register::VecDestinationDeltaY], [change])
    }
}

fn n_pixels([x, y]: [u32; 2]) -> u64 {
    u64::from(x) * u64::from(y)
}

/// Turns the address changes of nested loops, `(bound, change)` with the innermost first, into strides from the start of
/// each loop.
pub(super) fn strides<const N: usize>(loops: [(u32, i64); N]) -> [i64; N] {
    let mut inside = 0;
    loops.map(|(bound, delta)| {
        if bound == 1 {
            return 0;
        }
        let stride = delta + inside;
        inside += stride * (i64::from(bound) - 1);
        stride
    })
}

/// Turns the strides of nested loops, `(bound, stride)` with the innermost first, into address changes; a loop that runs
/// once has none.
pub(super) fn deltas<const N: usize>(loops: [(u32, i64); N]) -> [Option<i64>; N] {
    let mut inside = 0;
    loops.map(|(bound, stride)| {
        let delta = stride - inside;
        inside += stride * (i64::from(bound) - 1);
        (bound > 1).then_some(delta)
    })
}
