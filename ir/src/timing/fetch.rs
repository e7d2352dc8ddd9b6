//! FETCH: reads the program in chunks and dispatches one instruction a cycle.

use super::memory::Beats;
use super::unit::Unit;
use super::{Dispatch, NEVER};
use crate::arch::Arch;
use crate::isa::{Engine, Instruction};
use crate::program::instruction_words;

pub(super) struct Fetch {
    /// The engine of each instruction; none for a nop, also for those that fill the last chunk.
    engines: Vec<Option<Engine>>,
    per_word: usize,
    per_chunk: usize,
    pub(super) dispatches: Vec<Dispatch>,
    /// Chunks requested and granted, and the cycle of the last grant.
    granted: usize,
    last_grant: u64,
    /// When the words of the accepted chunks arrive.
    chunks: Vec<Beats>,
}

impl Fetch {
    pub(super) fn new(code: &[Instruction], arch: &Arch) -> Fetch {
        let per_word = arch.instructions_per_word() as usize;
        let total = instruction_words(arch, code.len()) as usize * per_word;
        let mut engines: Vec<Option<Engine>> = code.iter().map(Instruction::engine).collect();
        engines.resize(total, None);
        Fetch {
            dispatches: Vec::with_capacity(total),
            engines,
            per_word,
            per_chunk: per_word * arch.fetch.chunk_words as usize,
            granted: 0,
            last_grant: 0,
            chunks: Vec::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.dispatches.len() == self.engines.len()
    }

    pub(super) fn last_dispatch(&self) -> u64 {
        self.dispatches.last().map_or(0, |dispatch| dispatch.cycle)
    }

    /// Dispatches as far as what is needed is known; true if it did.
    pub(super) fn dispatch(&mut self, arch: &Arch, units: &mut [Unit; 4]) -> bool {
        let before = self.dispatches.len();
        while let Some(engine) = self.engines.get(self.dispatches.len()) {
            let next = self.dispatches.len();
            let Some(beats) = self.chunks.get(next / self.per_chunk) else {
                break;
            };
            let word = (next % self.per_chunk / self.per_word) as u64;
            let ready = (self.last_dispatch() + 1).max(beats.beat(word) + 1);
            let mut cycle = ready;
            if let Some(engine) = engine {
                let unit = &mut units[engine.index()];
                let Some(room) = unit.room_from(arch.queues.depth as usize) else {
                    break;
                };
                cycle = cycle.max(room);
                unit.pushed.push(cycle);
            }
            self.dispatches.push(Dispatch { ready, cycle });
        }
        self.dispatches.len() > before
    }

    /// The cycle from which the request for the next chunk is valid.
    pub(super) fn request_from(&self, arch: &Arch) -> u64 {
        let chunk = self.granted;
        if chunk * self.per_chunk == self.engines.len() {
            return NEVER;
        }
        let room = match chunk.checked_sub(arch.fetch.chunks as usize) {
            None => 0,
            Some(before) => {
                let last = self.dispatches.get((before + 1) * self.per_chunk - 1);
                last.map_or(NEVER, |dispatch| dispatch.cycle + 1)
            }
        };
        room.max(self.last_grant + 1)
    }

    /// The arbiter takes the request for a chunk; gives its words.
    pub(super) fn grant(&mut self, cycle: u64, arch: &Arch) -> u32 {
        self.granted += 1;
        self.last_grant = cycle;
        arch.fetch.chunk_words
    }

    /// The memory has accepted the request for a chunk.
    pub(super) fn accept(&mut self, beats: Beats) {
        self.chunks.push(beats);
    }
}
