//! What is written down while a program runs.

use ir::isa::Engine;
use ir::operation::Window;
use ir::program::Checked;

use crate::counters::{Counters, LayerCycles, Traffic};
use crate::timing::FetchStep;
use crate::trace::{Port, Trace, Unit};
use crate::{Outcome, Span};

/// What an engine does in one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineState {
    Busy,
    Configure,
    /// For a token of this engine.
    Wait(Engine),
    Empty,
}

/// The outcome of a run, as it grows.
pub(crate) struct Record<'a> {
    layer_of: &'a [u16],
    macs_per_cycle: u64,
    outcome: Outcome,
}

impl<'a> Record<'a> {
    pub(crate) fn new(checked: Checked<'a>, traced: bool) -> Record<'a> {
        let program = checked.program;
        let n_layers = program.layers.len() + 1;
        Record {
            layer_of: &program.layer_of,
            macs_per_cycle: u64::from(checked.arch.macs_per_cycle()),
            outcome: Outcome {
                cycles: 0,
                instructions: Vec::new(),
                counters: Counters::default(),
                layers: vec![<[LayerCycles; 4]>::default(); n_layers],
                traffic: Traffic::default(),
                trace: traced.then(Trace::default),
            },
        }
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        self.outcome
    }

    pub(crate) fn finish(&mut self, cycles: u64) {
        self.outcome.cycles = cycles;
        self.outcome.instructions.sort_by_key(|span| span.index);
    }

    /// Counts `n` cycles from `from` on of an engine whose current or next instruction is `next`.
    pub(crate) fn engine(
        &mut self,
        engine: Engine,
        state: EngineState,
        next: Option<usize>,
        from: u64,
        n: u64,
    ) {
        let end = self.outcome.layers.len() - 1;
        let layer = next.map_or(end, |index| usize::from(self.layer_of[index]));
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
            trace.engine(engine, state, next, from, n);
        }
    }

    pub(crate) fn fetch(&mut self, step: FetchStep, from: u64, n: u64) {
        let counter = &mut self.outcome.counters.fetch;
        match step {
            FetchStep::Dispatch => counter.dispatch += n,
            FetchStep::Blocked => counter.blocked += n,
            FetchStep::Starved => counter.starved += n,
            FetchStep::Done => counter.done += n,
        }
        if let Some(trace) = &mut self.outcome.trace {
            trace.fetch(step, from, n);
        }
    }

    pub(crate) fn span(
        &mut self,
        index: usize,
        engine: Engine,
        start: u64,
        last: u64,
        signal: u64,
    ) {
        self.outcome.instructions.push(Span {
            index,
            engine,
            start,
            last,
            signal,
        });
    }

    /// Counts the multiplications of an EXEC.
    pub(crate) fn macs(&mut self, window: &Window) {
        self.outcome.traffic.macs += self.macs_per_cycle * window.n_pixels() * window.steps();
    }

    /// Counts a burst that was accepted in `cycle` and whose last word arrives in `last`.
    pub(crate) fn fetch_burst(&mut self, words: u32, cycle: u64, last: u64) {
        self.outcome.traffic.fetch_words += u64::from(words);
        self.outcome.traffic.fetch_bursts += 1;
        self.burst(Port::Read, Unit::Fetch, words, cycle, last);
    }

    /// Counts a burst that was accepted in `cycle` and whose last word arrives in `last`.
    pub(crate) fn load_burst(&mut self, words: u32, cycle: u64, last: u64) {
        self.outcome.traffic.load_words += u64::from(words);
        self.outcome.traffic.load_bursts += 1;
        self.burst(Port::Read, Unit::Engine(Engine::Load), words, cycle, last);
    }

    /// Counts a burst that was accepted in `cycle` and whose response arrives in `response`.
    pub(crate) fn store_burst(&mut self, words: u32, cycle: u64, response: u64) {
        self.outcome.traffic.store_words += u64::from(words);
        self.outcome.traffic.store_bursts += 1;
        self.burst(
            Port::Write,
            Unit::Engine(Engine::Store),
            words,
            cycle,
            response,
        );
    }

    fn burst(&mut self, port: Port, unit: Unit, words: u32, cycle: u64, last: u64) {
        if let Some(trace) = &mut self.outcome.trace {
            trace.burst(port, unit, words, cycle, last);
        }
    }
}
