//! A report from what the commands found: the conversion of the simulator's data, and of versions and hashes.

use bench::gather::{Inputs, SimBurst, SimRun, SimStretch, SimTrace, Transfer, gather};
use bench::report::{
    Activity, Cycles, Dataset, Device, DeviceRun, Exploration, FetchCycles, Fpga, Origin, Part,
    PerEngine, Provenance, Report, Tool, Traffic,
};
use host_runtime::Outcome as RunOutcome;
use host_runtime::verify::Verification;
use ir::arch::Arch;
use ir::isa::Engine;
use ir::memory::MemoryModel;
use mapper::Compiled;
use sim::trace::{Activity as SimActivity, Unit};

use crate::accuracy::Accuracy;
use crate::input::{Images, Loaded, SEED};

/// What a report is about.
pub(crate) struct Subject<'a> {
    pub(crate) loaded: &'a Loaded,
    pub(crate) arch: &'a Arch,
    pub(crate) compiled: &'a Compiled,
    pub(crate) memory: MemoryModel,
    pub(crate) images: &'a Images,
    /// All images on the simulator.
    pub(crate) outcomes: &'a [RunOutcome],
    /// Of these, where the images have labels.
    pub(crate) accuracy: Option<Accuracy>,
    /// The first image on the simulator, traced.
    pub(crate) traced: &'a sim::Outcome,
    pub(crate) verification: Part<&'a Verification>,
    pub(crate) fpga: Part<Fpga>,
    pub(crate) exploration: Part<Exploration>,
    /// The command line.
    pub(crate) command: String,
}

/// Makes the report.
pub(crate) fn report(subject: Subject) -> Report {
    let Subject {
        loaded,
        arch,
        images,
        ..
    } = subject;
    let dataset = match subject.accuracy {
        None => Part::absent("the images have no labels"),
        Some(accuracy) => Part::Present(Dataset {
            name: images.origin.clone(),
            device: "sim".to_owned(),
            images: accuracy.of as u64,
            correct: accuracy.right as u64,
            outputs: Part::absent("no outputs of another runtime were given"),
            provenance: Provenance::Measured,
        }),
    };
    let devices = devices(&subject);
    let mut inputs = vec![("network".to_owned(), loaded.hash.clone())];
    inputs.extend(images.hash.clone().map(|hash| ("images".to_owned(), hash)));
    let mut tools = vec![Tool {
        name: "tilewright".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }];
    for status in hw::flow::doctor() {
        if let hw::flow::ToolState::Found { version, .. } = status.state {
            tools.push(Tool {
                name: status.tool,
                version,
            });
        }
    }
    gather(Inputs {
        network: &loaded.network,
        network_hash: loaded.hash.clone(),
        arch,
        compiled: subject.compiled,
        memory: subject.memory,
        run: sim_run(subject.traced),
        dataset,
        devices,
        verification: subject.verification,
        fpga: subject.fpga,
        exploration: subject.exploration,
        origin: Origin {
            command: Some(subject.command),
            tools,
            seeds: vec![("random images".to_owned(), SEED)],
            inputs,
        },
    })
}

fn devices(subject: &Subject) -> Vec<Device> {
    let verification = subject.verification.present();
    let compared =
        |name: &str| verification.filter(|v| v.devices.iter().any(|device| device == name));
    let skipped = |name: &str| {
        let skipped =
            verification.and_then(|v| v.skipped.iter().find(|skipped| skipped.device == name));
        skipped.map_or_else(
            || "it was not asked for".to_owned(),
            |skipped| skipped.reason.clone(),
        )
    };
    host_runtime::devices(host_runtime::Settings::default())
        .iter()
        .map(|device| {
            let name = device.name();
            let run = |images: usize, cycles| DeviceRun {
                images: images as u64,
                cycles,
                provenance: Provenance::of_device(name),
            };
            let ran = match (name, compared(name)) {
                ("sim", _) => Part::Present(run(
                    subject.outcomes.len(),
                    subject.outcomes.first().and_then(|outcome| outcome.cycles),
                )),
                ("reference", Some(v)) => Part::Present(run(v.images, None)),
                (_, Some(v)) if v.cycle_differences == Some(0) => Part::Present(run(
                    v.images,
                    v.configs
                        .iter()
                        .find(|c| c.memory == "on_chip" || c.memory == subject.memory.name())
                        .and_then(|c| c.cycles.first().copied()),
                )),
                (_, Some(v)) => Part::Present(run(v.images, None)),
                (_, None) => Part::absent(skipped(name)),
            };
            Device {
                name: name.to_owned(),
                description: device.description().to_owned(),
                ran,
            }
        })
        .collect()
}

fn sim_run(outcome: &sim::Outcome) -> SimRun {
    let fetch = outcome.counters.fetch;
    let layer = |cycles: &sim::LayerCycles| Cycles {
        busy: cycles.busy,
        configure: cycles.configure,
        wait: PerEngine::from_array(cycles.wait),
        empty: cycles.empty,
    };
    let transfer = |span: &sim::Span| match span.engine {
        Engine::Load | Engine::Store => Some(Transfer {
            instruction: span.index,
            store: span.engine == Engine::Store,
            start: span.start,
            last: span.last,
        }),
        Engine::Exec | Engine::Vec => None,
    };
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
            .map(|engines| engines.each_ref().map(layer))
            .collect(),
        traffic: Traffic {
            fetch_words: outcome.traffic.fetch_words,
            load_words: outcome.traffic.load_words,
            store_words: outcome.traffic.store_words,
        },
        transfers: outcome.instructions.iter().filter_map(transfer).collect(),
        trace: outcome.trace.as_ref().map(sim_trace),
    }
}

fn sim_trace(trace: &sim::Trace) -> SimTrace {
    let stretches = trace.intervals.iter().map(|interval| SimStretch {
        unit: match interval.unit {
            Unit::Fetch => 0,
            Unit::Engine(engine) => 1 + engine.index(),
        },
        activity: match interval.activity {
            SimActivity::Dispatch | SimActivity::Busy => Activity::Busy,
            SimActivity::Configure => Activity::Configure,
            SimActivity::Blocked | SimActivity::Starved | SimActivity::Wait(_) => Activity::Wait,
        },
        instruction: interval.instruction,
        from: interval.from,
        cycles: interval.cycles,
    });
    let bursts = trace.bursts.iter().filter_map(|burst| match burst.unit {
        Unit::Engine(engine) => Some(SimBurst {
            store: engine == Engine::Store,
            words: burst.words.into(),
            accepted: burst.accepted,
        }),
        Unit::Fetch => None,
    });
    SimTrace {
        stretches: stretches.collect(),
        bursts: bursts.collect(),
    }
}
