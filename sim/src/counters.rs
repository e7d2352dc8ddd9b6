//! The counters that the hardware has too, and their split by layer and cause.

use serde::Serialize;

/// Cycles of FETCH by state; they sum up to the cycles of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FetchCycles {
    /// An instruction is dispatched.
    pub dispatch: u64,
    /// The queue of the instruction's engine is full.
    pub blocked: u64,
    /// The instruction has not arrived from memory.
    pub starved: u64,
    /// The last instruction is dispatched.
    pub done: u64,
}

/// Cycles of one engine by state; they sum up to the cycles of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EngineCycles {
    /// An operation runs.
    pub busy: u64,
    /// A register is written.
    pub configure: u64,
    /// The operation at the head waits for a semaphore.
    pub wait: u64,
    /// The queue is empty.
    pub empty: u64,
}

/// All counters of a run, in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// FETCH.
    pub fetch: FetchCycles,
    /// The engines, by [`ir::isa::Engine::index`].
    pub engines: [EngineCycles; 4],
}

impl Counters {
    /// The names, in the order of the hardware's registers and of [`Counters::values`].
    pub const NAMES: [&'static str; 20] = [
        "fetch.dispatch",
        "fetch.blocked",
        "fetch.starved",
        "fetch.done",
        "load.busy",
        "load.configure",
        "load.wait",
        "load.empty",
        "exec.busy",
        "exec.configure",
        "exec.wait",
        "exec.empty",
        "vec.busy",
        "vec.configure",
        "vec.wait",
        "vec.empty",
        "store.busy",
        "store.configure",
        "store.wait",
        "store.empty",
    ];

    /// The values, in the order of [`Counters::NAMES`].
    pub fn values(&self) -> [u64; 20] {
        let f = self.fetch;
        let mut values = [0; 20];
        values[..4].copy_from_slice(&[f.dispatch, f.blocked, f.starved, f.done]);
        for (chunk, e) in values[4..].chunks_exact_mut(4).zip(self.engines) {
            chunk.copy_from_slice(&[e.busy, e.configure, e.wait, e.empty]);
        }
        values
    }
}

/// Where the cycles of one engine went while it was at one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerCycles {
    /// Cycles in which an operation of the layer ran.
    pub busy: u64,
    /// Cycles in which a register was written for the layer.
    pub configure: u64,
    /// Cycles in which an operation of the layer waited, by the engine that raises the semaphore
    /// ([`ir::isa::Engine::index`]); the first wait of the instruction that lacks tokens is the one that counts.
    pub wait: [u64; 4],
    /// Cycles in which the queue was empty before the engine's next instruction, one of this layer, arrived.
    pub empty: u64,
}

/// What a run moved and multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Words that FETCH read.
    pub fetch_words: u64,
    /// Words that LOAD read.
    pub load_words: u64,
    /// Words that STORE wrote.
    pub store_words: u64,
    /// Bursts that FETCH read.
    pub fetch_bursts: u64,
    /// Bursts that LOAD read.
    pub load_bursts: u64,
    /// Bursts that STORE wrote.
    pub store_bursts: u64,
    /// Multiplications that EXEC issued: `rows * cols` for each pixel and step, useful or not.
    pub macs: u64,
}
