//! What tests, benches and examples share: a report of digits, and the conversion from the simulator's types.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;

use bench::gather::{Inputs, SimBurst, SimRun, SimStretch, SimTrace, Transfer};
use bench::report::{
    Activity, Cycles, FetchCycles, Origin, Part, PerEngine, Report, Tool, Traffic,
};
use ir::arch::Arch;
use ir::isa::Engine;
use ir::memory::MemoryModel;
use ir::network::Network;
use sim::trace::{Port, Unit};
use sim::{Memory, Mode, Outcome, simulate};

/// The arch of `examples/archs`.
pub(crate) fn preset(name: &str) -> Arch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/archs/{name}.toml"));
    ir::arch::read(
        name,
        &std::fs::read_to_string(path).expect("the preset is there"),
    )
    .expect("presets are legal")
}

/// The digits network of `examples/networks`.
pub(crate) fn digits() -> Network {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/networks/digits_int8.onnx");
    onnx::import(&path, &onnx::Options::default()).expect("digits is supported")
}

/// The parts of the simulator's outcome that a report is made of.
pub(crate) fn sim_run(outcome: &Outcome) -> SimRun {
    let cycles = |c: &sim::LayerCycles| Cycles {
        busy: c.busy,
        configure: c.configure,
        wait: PerEngine::from_array(c.wait),
        empty: c.empty,
    };
    let fetch = outcome.counters.fetch;
    let transfers = outcome
        .instructions
        .iter()
        .filter(|s| matches!(s.engine, Engine::Load | Engine::Store));
    SimRun {
        cycles: outcome.cycles,
        fetch: FetchCycles {
            dispatch: fetch.dispatch,
            blocked: fetch.blocked,
            starved: fetch.starved,
            done: fetch.done,
        },
        layers: outcome
            .layers
            .iter()
            .map(|layer| [0, 1, 2, 3].map(|engine| cycles(&layer[engine])))
            .collect(),
        traffic: Traffic {
            fetch_words: outcome.traffic.fetch_words,
            load_words: outcome.traffic.load_words,
            store_words: outcome.traffic.store_words,
        },
        transfers: transfers
            .map(|s| Transfer {
                instruction: s.index,
                store: s.engine == Engine::Store,
                start: s.start,
                last: s.last,
            })
            .collect(),
        trace: outcome.trace.as_ref().map(sim_trace),
    }
}

fn sim_trace(trace: &sim::Trace) -> SimTrace {
    let stretches = trace.intervals.iter().map(|i| SimStretch {
        unit: match i.unit {
            Unit::Fetch => 0,
            Unit::Engine(engine) => 1 + engine.index(),
        },
        activity: match i.activity {
            sim::trace::Activity::Dispatch | sim::trace::Activity::Busy => Activity::Busy,
            sim::trace::Activity::Configure => Activity::Configure,
            sim::trace::Activity::Blocked
            | sim::trace::Activity::Starved
            | sim::trace::Activity::Wait(_) => Activity::Wait,
        },
        instruction: i.instruction,
        from: i.from,
        cycles: i.cycles,
    });
    let bursts = trace.bursts.iter().filter(|b| b.unit != Unit::Fetch);
    SimTrace {
        stretches: stretches.collect(),
        bursts: bursts
            .map(|b| SimBurst {
                store: b.port == Port::Write,
                words: b.words.into(),
                accepted: b.accepted,
            })
            .collect(),
    }
}

/// A report of `network` on `arch` with what the simulator alone can say.
pub(crate) fn report(network: &Network, arch: &Arch) -> Report {
    let compiled =
        mapper::compile(network, arch, &mapper::Options::default()).expect("the network fits");
    let checked = compiled
        .program
        .check(arch)
        .expect("compiled programs are sound");
    let memory = MemoryModel::M1;
    let outcome =
        simulate(checked, &mut Memory::of(checked), memory, Mode::Trace).expect("it runs");
    bench::gather(Inputs {
        network,
        network_hash: "0123456789abcdef".to_owned(),
        arch,
        compiled: &compiled,
        memory,
        run: sim_run(&outcome),
        dataset: Part::absent("no dataset was given"),
        devices: Vec::new(),
        verification: Part::absent("`verify` was not run"),
        fpga: Part::absent("`nextpnr-ice40` is not installed"),
        exploration: Part::absent("no space was given"),
        origin: Origin {
            tools: vec![Tool {
                name: "tilewright".to_owned(),
                version: "0.1.0".to_owned(),
            }],
            ..Origin::default()
        },
    })
}
