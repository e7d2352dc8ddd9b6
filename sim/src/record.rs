//! What the cycles of a run are counted for.

use ir::isa::{Engine, Instruction};
use ir::operation::Operation;
use ir::program::Checked;
use ir::timing::{Step, Timeline};

use crate::counters::{Counters, LayerCycles, Traffic};
use crate::trace::{Port, Trace, Unit};
use crate::{Outcome, Span};

/// What an engine does for some cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineState {
    Busy,
    Configure,
    /// For a token of this engine.
    Wait(Engine),
    Empty,
}

/// What FETCH does for some cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchState {
    Dispatch,
    /// The instruction is there, the queue of its engine is full.
    Blocked,
    /// The instruction has not arrived from memory.
    Starved,
    Done,
}

/// Cycles on end, of which there may be none.
#[derive(Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) from: u64,
    /// The first cycle after it.
    pub(crate) end: u64,
}

impl Stretch {
    pub(crate) fn cycles(self) -> u64 {
        self.end.saturating_sub(self.from)
    }
}

/// The outcome of a run, as it grows.
struct Record<'a> {
    checked: Checked<'a>,
    outcome: Outcome,
}

/// What a run that took `timeline` gave.
pub(crate) fn outcome(
    checked: Checked<'_>,
    operations: &[Operation],
    timeline: &Timeline,
    traced: bool,
) -> Outcome {
    let n_layers = checked.program.layers.len() + 1;
    let mut record = Record {
        checked,
        outcome: Outcome {
            cycles: timeline.cycles,
            instructions: Vec::new(),
            counters: Counters::default(),
            layers: vec![<[LayerCycles; 4]>::default(); n_layers],
            traffic: Traffic::default(),
            trace: traced.then(Trace::default),
        },
    };
    record.fetch(timeline);
    for engine in Engine::ALL {
        record.engine(engine, &timeline.steps[engine.index()]);
    }
    record.traffic(operations, timeline);
    let mut outcome = record.outcome;
    outcome.instructions.sort_by_key(|span| span.index);
    if let Some(trace) = &mut outcome.trace {
        trace.sort();
    }
    outcome
}

impl Record<'_> {
    fn fetch(&mut self, timeline: &Timeline) {
        let mut from = 1;
        for dispatch in &timeline.dispatches {
            let (ready, cycle) = (dispatch.ready, dispatch.cycle);
            self.fetch_does(FetchState::Starved, Stretch { from, end: ready });
            let blocked = Stretch {
                from: ready,
                end: cycle,
            };
            self.fetch_does(FetchState::Blocked, blocked);
            from = cycle + 1;
            let dispatched = Stretch {
                from: cycle,
                end: from,
            };
            self.fetch_does(FetchState::Dispatch, dispatched);
        }
        let end = timeline.cycles + 1;
        self.fetch_does(FetchState::Done, Stretch { from, end });
    }

    fn fetch_does(&mut self, state: FetchState, stretch: Stretch) {
        let counter = &mut self.outcome.counters.fetch;
        *match state {
            FetchState::Dispatch => &mut counter.dispatch,
            FetchState::Blocked => &mut counter.blocked,
            FetchState::Starved => &mut counter.starved,
            FetchState::Done => &mut counter.done,
        } += stretch.cycles();
        if let Some(trace) = &mut self.outcome.trace {
            trace.fetch(state, stretch);
        }
    }

    fn engine(&mut self, engine: Engine, steps: &[Step]) {
        let program = self.checked.program;
        let mut from = 1;
        for step in steps {
            let next = Some(step.index);
            let seen = from.max(step.pushed + 1);
            self.engine_does(
                engine,
                EngineState::Empty,
                next,
                Stretch { from, end: seen },
            );
            from = seen;
            if let Instruction::Run(run) = &program.instructions[step.index] {
                // The first wait that lacks tokens is the one that counts.
                for (wait, end) in run.waits.iter().zip(step.tokens) {
                    let Some(wait) = wait else { continue };
                    let producer = program.semaphores[wait.semaphore.0 as usize].producer;
                    self.engine_does(
                        engine,
                        EngineState::Wait(producer),
                        next,
                        Stretch { from, end },
                    );
                    from = from.max(end);
                }
            }
            let end = step.last + 1;
            let state = match step.signal {
                Some(signal) => {
                    self.outcome.instructions.push(Span {
                        index: step.index,
                        engine,
                        start: step.start,
                        last: step.last,
                        signal,
                    });
                    EngineState::Busy
                }
                None => EngineState::Configure,
            };
            self.engine_does(engine, state, next, Stretch { from, end });
            from = end;
        }
        let end = self.outcome.cycles + 1;
        self.engine_does(engine, EngineState::Empty, None, Stretch { from, end });
    }

    /// Counts cycles of an engine whose current or next instruction is `next`.
    fn engine_does(
        &mut self,
        engine: Engine,
        state: EngineState,
        next: Option<usize>,
        stretch: Stretch,
    ) {
        let n = stretch.cycles();
        let after_the_last = self.outcome.layers.len() - 1;
        let layer_of = |index: usize| usize::from(self.checked.program.layer_of[index]);
        let layer = next.map_or(after_the_last, layer_of);
        let counter = &mut self.outcome.counters.engines[engine.index()];
        let of_layer = &mut self.outcome.layers[layer][engine.index()];
        match state {
            EngineState::Busy => {
                counter.busy += n;
                of_layer.busy += n;
            }
            EngineState::Configure => {
                counter.configure += n;
                of_layer.configure += n;
            }
            EngineState::Wait(producer) => {
                counter.wait += n;
                of_layer.wait[producer.index()] += n;
            }
            EngineState::Empty => {
                counter.empty += n;
                of_layer.empty += n;
            }
        }
        if let Some(trace) = &mut self.outcome.trace {
            trace.engine(engine, state, next, stretch);
        }
    }

    fn traffic(&mut self, operations: &[Operation], timeline: &Timeline) {
        let traffic = &mut self.outcome.traffic;
        let sums = operations.iter().filter(|o| o.engine() == Engine::Exec);
        let steps: u64 = sums.map(Operation::steps).sum();
        traffic.macs = u64::from(self.checked.arch.macs_per_cycle()) * steps;
        for burst in &timeline.bursts {
            let (port, unit, words, bursts) = match burst.engine {
                None => (
                    Port::Read,
                    Unit::Fetch,
                    &mut traffic.fetch_words,
                    &mut traffic.fetch_bursts,
                ),
                Some(Engine::Store) => (
                    Port::Write,
                    Unit::Engine(Engine::Store),
                    &mut traffic.store_words,
                    &mut traffic.store_bursts,
                ),
                Some(engine) => (
                    Port::Read,
                    Unit::Engine(engine),
                    &mut traffic.load_words,
                    &mut traffic.load_bursts,
                ),
            };
            *words += u64::from(burst.words);
            *bursts += 1;
            if let Some(trace) = &mut self.outcome.trace {
                trace.burst(port, unit, burst);
            }
        }
    }
}
