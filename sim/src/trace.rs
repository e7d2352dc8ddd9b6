//! The time-ordered events of one run, and their export for trace viewers.

use ir::isa::{Engine, Instruction};
use ir::program::Program;
use ir::timing::Burst;
use serde_json::{Value, json};

use crate::record::{EngineState, FetchState, Stretch};

/// A unit that has a track of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// FETCH.
    Fetch,
    /// One of the engines.
    Engine(Engine),
}

impl Unit {
    /// The name of the track, as in counters.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Fetch => "fetch",
            Unit::Engine(engine) => engine.name(),
        }
    }
}

/// A channel of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Program and LOAD.
    Read,
    /// STORE.
    Write,
}

/// What a unit did for some cycles on end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// FETCH dispatched one instruction a cycle.
    Dispatch,
    /// FETCH found the queue full.
    Blocked,
    /// FETCH waited for memory.
    Starved,
    /// An engine ran an operation.
    Busy,
    /// An engine wrote registers.
    Configure,
    /// An engine waited for a token of this engine.
    Wait(Engine),
}

/// One stretch of cycles of one unit; a unit without one has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The unit.
    pub unit: Unit,
    /// What it did.
    pub activity: Activity,
    /// Index of the (first) instruction of the stretch, for engines.
    pub instruction: Option<usize>,
    /// First cycle.
    pub from: u64,
    /// Number of cycles.
    pub cycles: u64,
}

/// One burst on the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstEvent {
    /// The channel.
    pub port: Port,
    /// The unit it is for.
    pub unit: Unit,
    /// Number of words.
    pub words: u32,
    /// The cycle in which the memory accepted it.
    pub accepted: u64,
    /// The cycle of the last word read, or of the write response.
    pub last: u64,
}

/// The events of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The stretches of all units, by their start.
    pub intervals: Vec<Interval>,
    /// The bursts, in the order of acceptance.
    pub bursts: Vec<BurstEvent>,
}

impl Trace {
    pub(crate) fn engine(
        &mut self,
        engine: Engine,
        state: EngineState,
        next: Option<usize>,
        stretch: Stretch,
    ) {
        let activity = match state {
            EngineState::Busy => Activity::Busy,
            EngineState::Configure => Activity::Configure,
            EngineState::Wait(producer) => Activity::Wait(producer),
            EngineState::Empty => return,
        };
        self.extend(Unit::Engine(engine), activity, next, stretch);
    }

    pub(crate) fn fetch(&mut self, state: FetchState, stretch: Stretch) {
        let activity = match state {
            FetchState::Dispatch => Activity::Dispatch,
            FetchState::Blocked => Activity::Blocked,
            FetchState::Starved => Activity::Starved,
            FetchState::Done => return,
        };
        self.extend(Unit::Fetch, activity, None, stretch);
    }

    pub(crate) fn burst(&mut self, port: Port, unit: Unit, burst: &Burst) {
        self.bursts.push(BurstEvent {
            port,
            unit,
            words: burst.words,
            accepted: burst.accepted,
            last: burst.last,
        });
    }

    /// Brings the stretches of all units in one order.
    pub(crate) fn sort(&mut self) {
        let by = |interval: &Interval| (interval.from, track(interval.unit));
        self.intervals.sort_by_key(by);
    }

    /// Makes the latest stretch of the unit longer, or starts a new one.
    fn extend(
        &mut self,
        unit: Unit,
        activity: Activity,
        instruction: Option<usize>,
        stretch: Stretch,
    ) {
        let (from, n) = (stretch.from, stretch.cycles());
        if n == 0 {
            return;
        }
        if let Some(interval) = self.intervals.last_mut().filter(|last| last.unit == unit) {
            let goes_on = interval.from + interval.cycles == from && interval.activity == activity;
            // Each operation is a span of its own; registers in a row are one.
            if goes_on && (interval.instruction == instruction || activity == Activity::Configure) {
                interval.cycles += n;
                return;
            }
        }
        self.intervals.push(Interval {
            unit,
            activity,
            instruction,
            from,
            cycles: n,
        });
    }

    /// The events as JSON that Perfetto and `chrome://tracing` read; one microsecond on their axis is one cycle.
    ///
    /// `program` must be the one that ran.
    pub fn to_json(&self, program: &Program) -> String {
        let mut events: Vec<Value> = TRACKS
            .iter()
            .enumerate()
            .map(|(tid, name)| {
                json!({"ph": "M", "pid": 0, "tid": tid, "name": "thread_name", "args": {"name": name}})
            })
            .collect();
        events.extend(self.intervals.iter().map(|i| interval_event(i, program)));
        let bursts = self.bursts.iter().enumerate();
        events.extend(bursts.flat_map(|(id, burst)| burst_events(id, burst)));
        json!({
            "traceEvents": events,
            "displayTimeUnit": "ns",
            "metadata": {"network": program.network, "ts": "cycles after the doorbell; shown as microseconds"},
        })
        .to_string()
    }
}

const TRACKS: [&str; 7] = [
    "fetch",
    "load",
    "exec",
    "vec",
    "store",
    "memory read",
    "memory write",
];

fn track(unit: Unit) -> usize {
    match unit {
        Unit::Fetch => 0,
        Unit::Engine(engine) => 1 + engine.index(),
    }
}

fn interval_event(interval: &Interval, program: &Program) -> Value {
    let mut args = json!({});
    if let Some(index) = interval.instruction {
        args["instruction"] = json!(index);
        args["layer"] = json!(program.layers[usize::from(program.layer_of[index])]);
    }
    let name = match (interval.activity, interval.instruction) {
        (Activity::Busy, Some(index)) => program.instructions[index].to_string(),
        (Activity::Wait(producer), _) => {
            args["cause"] = json!(producer.name());
            "wait".to_owned()
        }
        (Activity::Configure, _) => "configure".to_owned(),
        (Activity::Dispatch, _) => "dispatch".to_owned(),
        (Activity::Blocked, _) => "blocked".to_owned(),
        (Activity::Starved, _) => "starved".to_owned(),
        (Activity::Busy, None) => "busy".to_owned(),
    };
    if let (Activity::Wait(_), Some(index)) = (interval.activity, interval.instruction)
        && let Instruction::Run(run) = &program.instructions[index]
    {
        let of = |s: usize| program.semaphores[s].meaning.as_str();
        let waits = run.waits.iter().flatten();
        args["for"] = waits.map(|w| of(w.semaphore.0 as usize)).collect();
    }
    json!({
        "ph": "X", "pid": 0, "tid": track(interval.unit), "name": name,
        "ts": interval.from, "dur": interval.cycles, "args": args,
    })
}

/// Bursts overlap, so each is a pair of asynchronous events.
fn burst_events(id: usize, burst: &BurstEvent) -> [Value; 2] {
    let tid = match burst.port {
        Port::Read => 5,
        Port::Write => 6,
    };
    let event = |phase, ts| {
        json!({
            "ph": phase, "cat": TRACKS[tid], "id": id, "pid": 0, "tid": tid, "name": burst.unit.name(),
            "ts": ts, "args": {"words": burst.words},
        })
    };
    [event("b", burst.accepted), event("e", burst.last + 1)]
}
