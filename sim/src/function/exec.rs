//! EXEC: one tile of a convolution.
//!
//! Sums wrap at 32 bits, so their order does not matter, and both dataflows are computed with the weights
//! outside and the pixels inside: a tile is unpacked once and used for all pixels.

use std::ops::Range;

use ir::arch::Arch;
use ir::operation::Exec;

use super::kernel::Line;
use super::{Addresses, Fault, Values};
use crate::watch::{Watch, Words};

impl<W: Watch> Values<'_, W> {
    pub(super) fn exec(&mut self, op: &Exec) -> Result<(), Fault> {
        let cols = self.arch().array.cols as usize;
        let [nx, ny] = op.window.pixels;
        let half = usize::from(op.half);
        let first = half * self.arch().accumulators.pixels as usize * cols;
        let n_pixels = nx as usize * ny as usize;
        for pixel in 0..n_pixels {
            self.watch
                .write(Words::Accumulators, first / cols + pixel)?;
        }
        if !op.accumulate {
            self.state.accumulators[first..][..n_pixels * cols].fill(0);
        }
        let mut step = 0;
        for block in 0..op.window.blocks {
            for ky in 0..op.window.kernel[1] {
                for kx in 0..op.window.kernel[0] {
                    let tile = self.turned(op.tile.wrapping_add(step))?;
                    for y in 0..ny {
                        let row = first + (y * nx) as usize * cols;
                        self.row(op, [kx, ky, block], y, tile, row)?;
                    }
                    step += 1;
                }
            }
        }
        Ok(())
    }

    /// Has the weight tile `tile`, modulo the number of tiles, ready for the kernel.
    fn turned(&mut self, tile: u32) -> Result<usize, Fault> {
        let arch = self.arch();
        let (rows, cols) = (arch.array.rows as usize, arch.array.cols as usize);
        let nth = (tile % arch.weight_tiles()) as usize;
        let first = nth * cols;
        for word in first..first + cols {
            self.watch.read(Words::Weights, word)?;
        }
        let (tile, is_turned) = &mut self.scratch.tiles[nth];
        if !*is_turned {
            tile.set(&self.state.weights[first * rows..][..cols * rows]);
            *is_turned = true;
        }
        Ok(nth)
    }

    /// One reduction step for the pixels of row `y`, whose sums start at `sums`.
    ///
    /// Their words lie at equal distances, with padding at either end.
    fn row(
        &mut self,
        op: &Exec,
        [kx, ky, block]: [u32; 3],
        y: u32,
        tile: usize,
        sums: usize,
    ) -> Result<(), Fault> {
        let (w, s) = (&op.window, &op.window.strides);
        let first = i64::from(w.source)
            + s.kernel[0] * i64::from(kx)
            + s.kernel[1] * i64::from(ky)
            + s.block * i64::from(block)
            + s.pixel[1] * i64::from(y);
        let column = w.origin[0] + w.dilation[0] * i64::from(kx);
        let row = w.origin[1] + w.dilation[1] * i64::from(ky) + w.stride[1] * i64::from(y);
        let is_inside = |x: i64| (0..w.extent[0]).contains(&(column + w.stride[0] * x));
        let n_pixels = i64::from(w.pixels[0]);
        let inside = if (0..w.extent[1]).contains(&row) {
            let begin = (0..n_pixels).find(|&x| is_inside(x)).unwrap_or(n_pixels);
            let end = (begin..n_pixels)
                .find(|&x| !is_inside(x))
                .unwrap_or(n_pixels);
            begin..end
        } else {
            0..0
        };
        self.pad(op.padding, tile, sums, 0..inside.start);
        self.words(first, s.pixel[0], tile, sums, inside.clone())?;
        self.pad(op.padding, tile, sums, inside.end..n_pixels);
        Ok(())
    }

    /// Adds the product of padding to the sums of some pixels of the row whose sums start at `sums`.
    fn pad(&mut self, padding: i8, tile: usize, sums: usize, pixels: Range<i64>) {
        if pixels.is_empty() {
            return;
        }
        self.scratch.padding.fill(padding as u8);
        let line = Line {
            bytes: &self.scratch.padding,
            start: 0,
            step: 0,
        };
        let (tile, _) = &self.scratch.tiles[tile];
        let sums = &mut self.state.accumulators[sums..];
        tile.multiply(of_pixels(sums, pixels, self.checked.arch), line);
    }

    /// Adds the products of words to the sums of some pixels of the row whose sums start at `sums`. Pixel 0 has the word at
    /// address `first`, the others lie `step` words apart.
    fn words(
        &mut self,
        first: i64,
        step: i64,
        tile: usize,
        sums: usize,
        pixels: Range<i64>,
    ) -> Result<(), Fault> {
        let addresses = Addresses::of(self.arch());
        let start = first + step * pixels.start;
        let Some(word) = addresses.line(start, step, pixels.clone().count()) else {
            // Where addresses wrap, one after the other; a single one does not.
            for x in pixels {
                addresses.word(first + step * x)?;
                self.words(first, step, tile, sums, x..x + 1)?;
            }
            return Ok(());
        };
        for x in 0..pixels.end - pixels.start {
            self.watch
                .read(Words::Activations, (word as i64 + step * x) as usize)?;
        }
        let word_bytes = self.arch().word_bytes() as usize;
        let line = Line {
            bytes: &self.state.activations,
            start: word * word_bytes,
            step: step as isize * word_bytes as isize,
        };
        let (tile, _) = &self.scratch.tiles[tile];
        let sums = &mut self.state.accumulators[sums..];
        tile.multiply(of_pixels(sums, pixels, self.checked.arch), line);
        Ok(())
    }
}

/// The sums of some pixels of a row.
fn of_pixels<'a>(sums: &'a mut [i32], pixels: Range<i64>, arch: &Arch) -> &'a mut [i32] {
    let cols = arch.array.cols as usize;
    &mut sums[pixels.start as usize * cols..pixels.end as usize * cols]
}
