//! EXEC: one tile of a convolution.
//!
//! Sums wrap at 32 bits, so their order does not matter, and both dataflows are computed with the weights
//! outside and the pixels inside: a tile is unpacked once and used for all pixels.

use ir::operation::Exec;

use super::{Addresses, Fault, Values};

/// A weight tile as 16-bit values, `[column][row]`.
#[derive(Default)]
pub(super) struct Tile(Vec<i16>);

impl Values<'_> {
    pub(super) fn exec(&mut self, op: &Exec) -> Result<(), Fault> {
        let cols = self.arch().array.cols as usize;
        let [nx, ny] = op.window.pixels;
        let half = usize::from(op.half);
        let first = half * self.arch().accumulators.pixels as usize * cols;
        let n_pixels = nx as usize * ny as usize;
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
                    self.unpack_tile(op.tile.wrapping_add(step))?;
                    match self.arch().array.rows {
                        8 => self.exec_step::<8>(op, [kx, ky, block], first)?,
                        16 => self.exec_step::<16>(op, [kx, ky, block], first)?,
                        _ => self.exec_step::<32>(op, [kx, ky, block], first)?,
                    }
                    step += 1;
                }
            }
        }
        Ok(())
    }

    /// Reads the weight tile `tile`, modulo the number of tiles.
    fn unpack_tile(&mut self, tile: u32) -> Result<(), Fault> {
        let arch = self.arch();
        let (rows, cols) = (arch.array.rows as usize, arch.array.cols as usize);
        let first = (tile % arch.weight_tiles()) as usize * cols;
        for word in first..first + cols {
            self.hazards.read_weights(word)?;
        }
        let bytes = &self.state.weights[first * rows..][..cols * rows];
        self.scratch.0.clear();
        self.scratch
            .0
            .extend(bytes.iter().map(|&b| i16::from(b as i8)));
        Ok(())
    }

    /// One reduction step for all pixels of the tile.
    fn exec_step<const ROWS: usize>(
        &mut self,
        op: &Exec,
        [kx, ky, block]: [u32; 3],
        first: usize,
    ) -> Result<(), Fault> {
        let addresses = Addresses::of(self.arch());
        let cols = self.arch().array.cols as usize;
        let (w, s) = (&op.window, &op.window.strides);
        let base = i64::from(w.source)
            + s.kernel[0] * i64::from(kx)
            + s.kernel[1] * i64::from(ky)
            + s.block * i64::from(block);
        let corner = [
            w.origin[0] + w.dilation[0] * i64::from(kx),
            w.origin[1] + w.dilation[1] * i64::from(ky),
        ];
        let padding = [i16::from(op.padding); ROWS];
        let mut sums = self.state.accumulators[first..].chunks_exact_mut(cols);
        for y in 0..i64::from(w.pixels[1]) {
            let inside_y = (0..w.extent[1]).contains(&(corner[1] + w.stride[1] * y));
            for x in 0..i64::from(w.pixels[0]) {
                let sums = sums.next().expect("the tile fits its half");
                let inside = inside_y && (0..w.extent[0]).contains(&(corner[0] + w.stride[0] * x));
                if inside {
                    let word = addresses.word(base + s.pixel[0] * x + s.pixel[1] * y)?;
                    self.hazards.read_activation(word)?;
                    let bytes = &self.state.activations[word * ROWS..][..ROWS];
                    let values: [i16; ROWS] = std::array::from_fn(|r| i16::from(bytes[r] as i8));
                    multiply(sums, &values, &self.scratch.0);
                } else {
                    multiply(sums, &padding, &self.scratch.0);
                }
            }
        }
        Ok(())
    }
}

/// Adds the product of one activation word with a tile to the sums of a pixel.
#[inline(always)]
fn multiply<const ROWS: usize>(sums: &mut [i32], values: &[i16; ROWS], tile: &[i16]) {
    for (sum, column) in sums.iter_mut().zip(tile.chunks_exact(ROWS)) {
        let dot: i32 = (0..ROWS)
            .map(|r| i32::from(values[r]) * i32::from(column[r]))
            .sum();
        *sum = sum.wrapping_add(dot);
    }
}
