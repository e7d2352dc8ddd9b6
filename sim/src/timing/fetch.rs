//! FETCH: reads the program in chunks and dispatches one instruction a cycle.

use ir::isa::Instruction;
use ir::program::Checked;

use super::memory::Beats;
use super::queue::Queue;
use super::{NEVER, PerEngine};

/// What FETCH does in one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchStep {
    Dispatch,
    /// The instruction is there, the queue of its engine is full.
    Blocked,
    /// The instruction has not arrived from memory.
    Starved,
    Done,
}

pub(crate) struct Fetch<'a> {
    instructions: &'a [Instruction],
    /// Instructions with the nops that fill the last chunk.
    total: usize,
    per_word: usize,
    per_chunk: usize,
    chunk_words: u32,
    n_chunks: usize,
    /// Buffered chunks; everything per chunk is kept by chunk number modulo this.
    n_buffers: usize,
    /// Next instruction to dispatch.
    next: usize,
    /// Chunks requested and granted, and the cycle of the last grant.
    granted: usize,
    last_grant: u64,
    /// Chunks accepted by the memory, and when their words arrive.
    accepted: usize,
    beats: [Beats; 2],
    /// Chunks whose instructions are all dispatched, and when the last of them was.
    dispatched: usize,
    last_dispatch: [u64; 2],
}

impl<'a> Fetch<'a> {
    pub(crate) fn new(checked: Checked<'a>) -> Fetch<'a> {
        let (program, arch) = (checked.program, checked.arch);
        let per_word = arch.instructions_per_word() as usize;
        let per_chunk = per_word * arch.fetch.chunk_words as usize;
        let n_chunks = program.chunks(arch) as usize;
        Fetch {
            instructions: &program.instructions,
            total: n_chunks * per_chunk,
            per_word,
            per_chunk,
            chunk_words: arch.fetch.chunk_words,
            n_chunks,
            n_buffers: arch.fetch.chunks as usize,
            next: 0,
            granted: 0,
            last_grant: 0,
            accepted: 0,
            beats: [Beats::default(); 2],
            dispatched: 0,
            last_dispatch: [0; 2],
        }
    }

    pub(crate) fn done(&self) -> bool {
        self.next == self.total
    }

    /// The instruction to dispatch next; a nop beyond the end of the program.
    fn instruction(&self) -> Instruction {
        self.instructions
            .get(self.next)
            .copied()
            .unwrap_or(Instruction::Nop)
    }

    /// The first cycle in which the next instruction is in the buffer.
    fn available_from(&self) -> u64 {
        let chunk = self.next / self.per_chunk;
        if chunk >= self.accepted {
            return NEVER;
        }
        let word = (self.next % self.per_chunk / self.per_word) as u64;
        self.beats[chunk % self.n_buffers].beat(word) + 1
    }

    fn blocked(&self, queues: &PerEngine<Queue>) -> bool {
        self.instruction()
            .engine()
            .is_some_and(|engine| !queues[engine.index()].has_room())
    }

    /// What happens in `cycle`, from the state at its start.
    pub(crate) fn decide(&self, cycle: u64, queues: &PerEngine<Queue>) -> FetchStep {
        if self.done() {
            FetchStep::Done
        } else if self.available_from() > cycle {
            FetchStep::Starved
        } else if self.blocked(queues) {
            FetchStep::Blocked
        } else {
            FetchStep::Dispatch
        }
    }

    /// Dispatches one instruction.
    pub(crate) fn dispatch(&mut self, cycle: u64, queues: &mut PerEngine<Queue>) {
        if let Some(engine) = self.instruction().engine() {
            queues[engine.index()].push();
        }
        let chunk = self.next / self.per_chunk;
        self.next += 1;
        if self.next.is_multiple_of(self.per_chunk) {
            self.last_dispatch[chunk % self.n_buffers] = cycle;
            self.dispatched = chunk + 1;
        }
    }

    /// The next cycle after `cycle` in which the state may change without another unit.
    pub(crate) fn next(&self, cycle: u64, queues: &PerEngine<Queue>) -> u64 {
        if self.done() {
            return NEVER;
        }
        match self.available_from() {
            from if from > cycle => from,
            _ if self.blocked(queues) => NEVER,
            _ => cycle + 1,
        }
    }

    /// The cycle from which a request for the next chunk is valid.
    pub(crate) fn request_from(&self) -> u64 {
        let chunk = self.granted;
        let room = match chunk.checked_sub(self.n_buffers) {
            None => 0,
            Some(before) if before < self.dispatched => {
                self.last_dispatch[before % self.n_buffers] + 1
            }
            Some(_) => NEVER,
        };
        if chunk == self.n_chunks {
            NEVER
        } else {
            room.max(self.last_grant + 1)
        }
    }

    /// The arbiter takes the request for a chunk; gives its words.
    pub(crate) fn grant(&mut self, cycle: u64) -> u32 {
        self.granted += 1;
        self.last_grant = cycle;
        self.chunk_words
    }

    /// The memory has accepted the request for a chunk.
    pub(crate) fn accept(&mut self, beats: Beats) {
        self.beats[self.accepted % self.n_buffers] = beats;
        self.accepted += 1;
    }
}
