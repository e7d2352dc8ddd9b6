//! The serial line at the pins of a verilated design.

use std::collections::VecDeque;

use super::Transport;
use crate::verilated::{LoadError, Model, Port};

/// Bit times after which a line counts as silent: more than a memory access, less than a frame's timeout.
const SILENT_BITS: u64 = 64;

/// Bit times after which a device has forgotten an unfinished request, with margin.
const FORGET_BITS: u64 = 4096 + 64;

/// The host's end of a serial line whose other end is the board shell, and the clock of that design.
pub struct Pins {
    model: Model,
    clk: Port,
    rx: Port,
    tx: Port,
    clocks_per_bit: u64,
    cycles: u64,
    /// The byte that the design is sending: cycles since its start bit began, and its bits so far.
    receiving: Option<(u64, u8)>,
    received: VecDeque<u8>,
}

impl Pins {
    /// Finds the shell's ports in `model`, resets the design and lets it run for a moment.
    ///
    /// # Errors
    /// [`LoadError::Missing`] when the design has no such ports.
    pub fn new(mut model: Model, clocks_per_bit: u32) -> Result<Pins, LoadError> {
        let (clk, rst_n) = (model.port("clk_i", 1)?, model.port("rst_ni", 1)?);
        let (rx, tx) = (model.port("rx_i", 1)?, model.port("tx_o", 1)?);
        model.set(clk, 0);
        model.set(rx, 1);
        model.set(rst_n, 1);
        model.eval();
        let clocks_per_bit = u64::from(clocks_per_bit);
        let mut pins = Pins {
            model,
            clk,
            rx,
            tx,
            clocks_per_bit,
            cycles: 0,
            receiving: None,
            received: VecDeque::new(),
        };
        for level in [0, 1] {
            pins.model.set(rst_n, level);
            pins.run(16);
        }
        pins.received.clear();
        pins.receiving = None;
        Ok(pins)
    }

    /// Clock cycles since the beginning.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Runs `cycles` clock cycles with the line as it is.
    pub fn run(&mut self, cycles: u64) {
        for _ in 0..cycles {
            for level in [1, 0] {
                self.model.set(self.clk, level);
                self.model.eval();
            }
            self.cycles += 1;
            self.listen();
        }
    }

    /// Looks at the line after a cycle.
    fn listen(&mut self) {
        let line = self.model.get(self.tx) == 1;
        let Some((cycles, bits)) = self.receiving else {
            if !line {
                self.receiving = Some((0, 0));
            }
            return;
        };
        let cycles = cycles + 1;
        self.receiving = Some((cycles, bits));
        // The middle of bit k of the byte, with the start bit as bit 0.
        if cycles % self.clocks_per_bit == self.clocks_per_bit / 2 {
            match cycles / self.clocks_per_bit {
                0 => {}
                9 => {
                    if line {
                        self.received.push_back(bits);
                    }
                    self.receiving = None;
                }
                _ => self.receiving = Some((cycles, bits >> 1 | u8::from(line) << 7)),
            }
        }
    }
}

impl Transport for Pins {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for byte in bytes {
            // Start bit, eight bits, stop bit.
            let frame = u64::from(*byte) << 1 | 1 << 9;
            for bit in 0..10 {
                self.model.set(self.rx, frame >> bit & 1);
                self.run(self.clocks_per_bit);
            }
        }
        Ok(())
    }

    fn receive(&mut self, bytes: &mut Vec<u8>, length: usize) -> std::io::Result<()> {
        while bytes.len() < length {
            let mut silent = 0;
            while self.received.is_empty() && silent < SILENT_BITS {
                self.run(self.clocks_per_bit);
                silent = if self.receiving.is_some() {
                    0
                } else {
                    silent + 1
                };
            }
            match self.received.pop_front() {
                Some(byte) => bytes.push(byte),
                None => break,
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> std::io::Result<()> {
        self.run(FORGET_BITS * self.clocks_per_bit);
        self.received.clear();
        Ok(())
    }
}
