//! The in-order instruction queues.

use ir::isa::Engine;
use ir::program::Program;

/// The queue of one engine.
///
/// What an engine will ever receive is known, so the queue is the list of it with two marks.
pub(crate) struct Queue {
    /// Indices of all instructions of this engine, in program order.
    instructions: Vec<usize>,
    pushed: usize,
    popped: usize,
    depth: usize,
}

impl Queue {
    pub(crate) fn new(program: &Program, engine: Engine, depth: u32) -> Queue {
        let all = program.instructions.iter().enumerate();
        Queue {
            instructions: all
                .filter(|(_, i)| i.engine() == Some(engine))
                .map(|(index, _)| index)
                .collect(),
            pushed: 0,
            popped: 0,
            depth: depth as usize,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pushed == self.popped
    }

    pub(crate) fn has_room(&self) -> bool {
        self.pushed - self.popped < self.depth
    }

    /// The instruction at the head.
    pub(crate) fn head(&self) -> Option<usize> {
        if self.is_empty() { None } else { self.next() }
    }

    /// The instruction that is or will be at the head.
    pub(crate) fn next(&self) -> Option<usize> {
        self.instructions.get(self.popped).copied()
    }

    pub(crate) fn push(&mut self) {
        debug_assert!(self.has_room(), "fetch asks for room first");
        self.pushed += 1;
    }

    pub(crate) fn pop(&mut self) {
        debug_assert!(!self.is_empty(), "only a head is popped");
        self.popped += 1;
    }
}
