//! EXEC: one tile of a convolution.
//!
//! Sums wrap at 32 bits, so their order does not matter, and both dataflows are computed with the weights
//! outside and the pixels inside: a tile is unpacked once and used for all pixels.

use ir::operation::Exec;

use super::kernel::{Tile, Words};
use super::{Addresses, Fault, Values};

/// What one reduction step reads, kept for the next to overwrite.
#[derive(Default)]
pub(super) struct Scratch {
    tile: Tile,
    starts: Vec<Option<usize>>,
}

impl Values<'_> {
    pub(super) fn exec(&mut self, op: &Exec) -> Result<(), Fault> {
        let cols = self.arch().array.cols as usize;
        let [nx, ny] = op.window.pixels;
        let half = usize::from(op.half);
        let first = half * self.arch().accumulators.pixels as usize * cols;
        let n_pixels = nx as usize * ny as usize;
        let padding = vec![op.padding as u8; self.arch().word_bytes() as usize];
        for pixel in 0..n_pixels {
            self.hazards.write_accumulators(half, pixel)?;
        }
        if !op.accumulate {
            self.state.accumulators[first..][..n_pixels * cols].fill(0);
        }
        let mut step = 0;
        for block in 0..op.window.blocks {
            for ky in 0..op.window.kernel[1] {
                for kx in 0..op.window.kernel[0] {
                    self.take_tile(op.tile.wrapping_add(step))?;
                    self.read_words(op, [kx, ky, block])?;
                    let words = Words {
                        bytes: &self.state.activations,
                        starts: &self.scratch.starts,
                        padding: &padding,
                    };
                    let sums = &mut self.state.accumulators[first..][..n_pixels * cols];
                    self.kernel.multiply(sums, &words, &self.scratch.tile);
                    step += 1;
                }
            }
        }
        Ok(())
    }

    /// Reads the weight tile `tile`, modulo the number of tiles.
    fn take_tile(&mut self, tile: u32) -> Result<(), Fault> {
        let arch = self.arch();
        let (rows, cols) = (arch.array.rows as usize, arch.array.cols as usize);
        let first = (tile % arch.weight_tiles()) as usize * cols;
        for word in first..first + cols {
            self.hazards.read_weights(word)?;
        }
        let bytes = &self.state.weights[first * rows..][..cols * rows];
        self.scratch.tile.set(bytes, rows);
        Ok(())
    }

    /// Reads the word of each pixel for one reduction step.
    fn read_words(&mut self, op: &Exec, [kx, ky, block]: [u32; 3]) -> Result<(), Fault> {
        let addresses = Addresses::of(self.arch());
        let word_bytes = self.arch().word_bytes() as usize;
        let (w, s) = (&op.window, &op.window.strides);
        let base = i64::from(w.source)
            + s.kernel[0] * i64::from(kx)
            + s.kernel[1] * i64::from(ky)
            + s.block * i64::from(block);
        let corner = [
            w.origin[0] + w.dilation[0] * i64::from(kx),
            w.origin[1] + w.dilation[1] * i64::from(ky),
        ];
        self.scratch.starts.clear();
        for y in 0..i64::from(w.pixels[1]) {
            let inside_y = (0..w.extent[1]).contains(&(corner[1] + w.stride[1] * y));
            for x in 0..i64::from(w.pixels[0]) {
                let inside = inside_y && (0..w.extent[0]).contains(&(corner[0] + w.stride[0] * x));
                self.scratch.starts.push(if inside {
                    let word = addresses.word(base + s.pixel[0] * x + s.pixel[1] * y)?;
                    self.hazards.read_activation(word)?;
                    Some(word * word_bytes)
                } else {
                    None
                });
            }
        }
        Ok(())
    }
}
