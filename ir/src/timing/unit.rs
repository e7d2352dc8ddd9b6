//! An engine with all it will ever receive: its queue is a list with two marks.

use super::memory::Beats;
use super::transfer::Transfer;
use super::{NEVER, Step};
use crate::arch::Arch;
use crate::arch::latency::STORE_LEAD;
use crate::isa::{Run, Semaphore, Wait};
use crate::operation::{Load, Operation, Store};

/// What an instruction keeps its engine busy with.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// A register, for one cycle.
    Configure,
    /// Cycles from the start to the last cycle.
    Fixed(u64),
    /// Words from an address in memory on, the first burst of which is offered some cycles after the start.
    Transfer { address: u32, words: u32, lead: u64 },
}

/// An instruction before its turn.
#[derive(Clone, Copy)]
pub(super) struct Next {
    index: usize,
    pub(super) work: Work,
    pub(super) waits: [Option<Wait>; 2],
    signals: [Option<Semaphore>; 2],
}

impl Next {
    pub(super) fn configure(index: usize) -> Next {
        Next {
            index,
            work: Work::Configure,
            waits: [None; 2],
            signals: [None; 2],
        }
    }

    pub(super) fn run(index: usize, run: &Run, operation: &Operation, arch: &Arch) -> Next {
        let work = match (operation, operation.cycles(arch)) {
            (_, Some(cycles)) => Work::Fixed(cycles),
            (&Operation::Load(Load { memory, words, .. }), None) => Work::Transfer {
                address: memory,
                words,
                lead: 1,
            },
            (&Operation::Store(Store { memory, words, .. }), None) => Work::Transfer {
                address: memory,
                words,
                lead: STORE_LEAD,
            },
            (_, None) => unreachable!("only transfers depend on the memory"),
        };
        Next {
            index,
            work,
            waits: run.waits,
            signals: run.signals,
        }
    }
}

/// One engine.
#[derive(Default)]
pub(super) struct Unit {
    pub(super) queue: Vec<Next>,
    /// Cycles in which instructions were dispatched to it.
    pub(super) pushed: Vec<u64>,
    /// Those that have ended.
    pub(super) steps: Vec<Step>,
    /// What runs, if that is a transfer, and its end is not known yet.
    running: Option<(Step, Option<Transfer>)>,
}

impl Unit {
    pub(super) fn is_done(&self) -> bool {
        self.steps.len() == self.queue.len()
    }

    /// The first cycle in which a queue of `depth` has room for another instruction, if that is known.
    pub(super) fn room_from(&self, depth: usize) -> Option<u64> {
        match self.pushed.len().checked_sub(depth) {
            None => Some(0),
            Some(full) => self.steps.get(full).map(|step| step.last + 1),
        }
    }

    /// The instruction whose turn it is, and the first cycle in which the engine is free and sees it; none if it is not
    /// dispatched yet, or another one runs.
    pub(super) fn head(&self) -> Option<(&Next, u64)> {
        let at = self.steps.len();
        if self.running.is_some() {
            return None;
        }
        let pushed = self.pushed.get(at)?;
        let free_from = self.steps.last().map_or(0, |step| step.last + 1);
        Some((&self.queue[at], free_from.max(pushed + 1)))
    }

    /// Starts the instruction at the head.
    pub(super) fn begin(&mut self, start: u64, tokens: [u64; 2], arch: &Arch) {
        let at = self.steps.len();
        let next = &self.queue[at];
        let step = Step {
            index: next.index,
            pushed: self.pushed[at],
            tokens,
            start,
            last: start,
            signal: None,
        };
        let transfer = match next.work {
            Work::Transfer {
                address,
                words,
                lead,
            } => Some(Transfer::new(address, words, start + lead, arch)),
            Work::Configure | Work::Fixed(_) => None,
        };
        self.running = Some((step, transfer));
    }

    /// Ends what runs in `last`; gives the semaphores that it raises, `drain` cycles later, and when.
    pub(super) fn end(&mut self, last: u64, drain: u64) -> ([Option<Semaphore>; 2], u64) {
        let next = &self.queue[self.steps.len()];
        let (step, _) = self.running.take().expect("something runs until its end");
        let (signal, at) = match next.work {
            Work::Configure => (None, last),
            Work::Fixed(_) | Work::Transfer { .. } => (Some(last + drain), last + drain),
        };
        self.steps.push(Step {
            last,
            signal,
            ..step
        });
        (next.signals, at)
    }

    fn transfer(&mut self) -> &mut Transfer {
        let running = self.running.as_mut();
        let transfer = running.and_then(|(_, transfer)| transfer.as_mut());
        transfer.expect("a transfer runs while bursts move")
    }

    fn of_transfer(&self, of: impl Fn(&Transfer) -> u64) -> u64 {
        match &self.running {
            Some((_, Some(transfer))) => of(transfer),
            _ => NEVER,
        }
    }

    /// The cycle from which the request for the next burst of the LOAD that runs is valid.
    pub(super) fn request_from(&self) -> u64 {
        self.of_transfer(Transfer::request_from)
    }

    /// The cycle from which the next burst of the STORE that runs is offered.
    pub(super) fn offered_from(&self) -> u64 {
        self.of_transfer(Transfer::offered_from)
    }

    /// The request for a burst is taken in `cycle`; gives its words.
    pub(super) fn grant(&mut self, cycle: u64) -> u32 {
        self.transfer().grant(cycle)
    }

    /// The memory has accepted a burst of the LOAD that runs; gives its last cycle when that was the last one.
    pub(super) fn read(&mut self, beats: &Beats) -> Option<u64> {
        self.transfer().read(beats)
    }

    /// The memory has accepted a burst of the STORE that runs; gives its last cycle when that was the last one.
    pub(super) fn written(&mut self, beats: &Beats) -> Option<u64> {
        self.transfer().written(beats)
    }
}
