//! When the memory accepts a burst and moves its words.

use crate::arch::latency::{ON_CHIP_READ, ON_CHIP_WRITE};
use crate::arch::{Arch, Attachment};
use crate::memory::{Channel, MemoryModel};

/// When the words of an accepted burst move, in cycles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beats {
    first: u64,
    gap: u64,
    pub(super) last: u64,
    /// When the write response arrives; of no meaning for a read.
    pub(super) response: u64,
}

impl Beats {
    pub(super) fn beat(&self, word: u64) -> u64 {
        self.first + word * self.gap
    }
}

/// The memory of one run.
pub(super) enum Memory {
    /// One access a cycle for all users.
    OnChip {
        /// The first cycle in which the next burst can be accepted.
        free_from: u64,
    },
    /// Behind a port with independent read and write channels.
    Port {
        model: MemoryModel,
        read: Port,
        write: Port,
    },
}

/// One channel of the external port.
#[derive(Default)]
pub(super) struct Port {
    /// Number of the next burst.
    number: u64,
    free_from: u64,
    last_beat: u64,
    last_response: u64,
}

impl Memory {
    pub(super) fn new(arch: &Arch, model: MemoryModel) -> Memory {
        match arch.memory.attachment {
            Attachment::OnChip => Memory::OnChip { free_from: 0 },
            Attachment::Port => Memory::Port {
                model,
                read: Port::default(),
                write: Port::default(),
            },
        }
    }

    /// The first cycle in which a burst offered on `channel` would be accepted, as things stand.
    pub(super) fn free_from(&self, channel: Channel) -> u64 {
        match (self, channel) {
            (Memory::OnChip { free_from }, _) => *free_from,
            (Memory::Port { read, .. }, Channel::Read) => read.free_from,
            (Memory::Port { write, .. }, Channel::Write) => write.free_from,
        }
    }

    /// Accepts a burst of `words` in `cycle`.
    pub(super) fn accept(&mut self, channel: Channel, cycle: u64, words: u32) -> Beats {
        let words = u64::from(words);
        match self {
            Memory::OnChip { free_from } => {
                *free_from = cycle + words;
                let first = match channel {
                    Channel::Read => cycle + ON_CHIP_READ,
                    Channel::Write => cycle + ON_CHIP_WRITE,
                };
                Beats {
                    first,
                    gap: 1,
                    last: first + words - 1,
                    response: cycle + words + 1,
                }
            }
            Memory::Port { model, read, write } => {
                let port = match channel {
                    Channel::Read => read,
                    Channel::Write => write,
                };
                port.accept(*model, channel, cycle, words)
            }
        }
    }
}

impl Port {
    fn accept(&mut self, model: MemoryModel, channel: Channel, cycle: u64, words: u64) -> Beats {
        let burst = model.burst(channel, self.number);
        let first = (cycle + burst.latency).max(self.last_beat + 1);
        let last = first + (words - 1) * burst.beat_gap;
        self.number += 1;
        self.last_beat = last;
        self.last_response = (last + burst.response).max(self.last_response + 1);
        self.free_from = cycle + 1 + model.burst(channel, self.number).accept_stall;
        Beats {
            first,
            gap: burst.beat_gap,
            last,
            response: self.last_response,
        }
    }
}
