//! A report from a network, an arch, a compilation, and what devices and tools gave.
//!
//! What the simulator gave comes in as plain data ([`SimRun`]), since this crate does not know the simulator;
//! `bench/tests/common/mod.rs` shows the conversion.

use host_runtime::verify::{Variant, Verification};
use ir::arch::{Arch, Attachment};
use ir::memory::MemoryModel;
use ir::network::Network;
use ir::op::Kind;
use mapper::{Compiled, LayerReport};

use crate::report::{
    Activity, ArchFacts, Certificate, Cycles, Dataset, Device, Equality, EqualityConfig,
    Exploration, FetchCycles, Figure, Fpga, Layer, MemoryBits, ModelledCost, NetworkFacts, Origin,
    Part, PerEngine, Provenance, Report, Run, SCHEMA_VERSION, Stretch, Timeline, Track, Traffic,
};

/// Everything that a report is made of.
pub struct Inputs<'a> {
    /// The network.
    pub network: &'a Network,
    /// The hash of its file.
    pub network_hash: String,
    /// The arch.
    pub arch: &'a Arch,
    /// The compilation for both.
    pub compiled: &'a Compiled,
    /// The memory model of `run`; without effect for memory on chip.
    pub memory: MemoryModel,
    /// One image on the simulator.
    pub run: SimRun,
    /// What was asked, and how often the answer was right.
    pub dataset: Part<Dataset>,
    /// All devices.
    pub devices: Vec<Device>,
    /// What `host_runtime::verify` found.
    pub verification: Part<&'a Verification>,
    /// The bitstream.
    pub fpga: Part<Fpga>,
    /// The designs around this one.
    pub exploration: Part<Exploration>,
    /// What is needed to make the report again.
    pub origin: Origin,
}

/// One run of the simulator: the parts of `sim::Outcome` that a report is made of.
#[derive(Clone, Debug, Default)]
pub struct SimRun {
    /// Cycles from the doorbell until the machine was quiet.
    pub cycles: u64,
    /// Cycles of FETCH.
    pub fetch: FetchCycles,
    /// Cycles of each engine for each layer; a last row holds what came after an engine's last instruction.
    pub layers: Vec<[Cycles; 4]>,
    /// Words moved in all.
    pub traffic: Traffic,
    /// When each `run` instruction of LOAD and STORE ran.
    pub transfers: Vec<Transfer>,
    /// Events, if the run was traced.
    pub trace: Option<SimTrace>,
}

/// When a `run` instruction of LOAD or STORE ran.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// Index in the program.
    pub instruction: usize,
    /// Whether it is a STORE.
    pub store: bool,
    /// The first cycle.
    pub start: u64,
    /// The last cycle.
    pub last: u64,
}

/// The events of one run.
#[derive(Clone, Debug, Default)]
pub struct SimTrace {
    /// The stretches of FETCH, LOAD, EXEC, VEC and STORE.
    pub stretches: Vec<SimStretch>,
    /// The bursts of LOAD and STORE.
    pub bursts: Vec<SimBurst>,
}

/// A stretch of cycles of one unit.
#[derive(Clone, Copy, Debug)]
pub struct SimStretch {
    /// 0 for FETCH, then the engines in the order of `ir::isa::Engine`.
    pub unit: usize,
    /// What it did.
    pub activity: Activity,
    /// The instruction, for engines.
    pub instruction: Option<usize>,
    /// The first cycle.
    pub from: u64,
    /// Number of cycles.
    pub cycles: u64,
}

/// A burst of LOAD or STORE.
#[derive(Clone, Copy, Debug)]
pub struct SimBurst {
    /// Whether it is of a STORE.
    pub store: bool,
    /// Words.
    pub words: u64,
    /// The cycle in which the memory accepted it.
    pub accepted: u64,
}

/// Stretches of one track above which neighbours are joined.
const STRETCH_LIMIT: u64 = 1200;

const UNITS: [&str; 5] = ["fetch", "load", "exec", "vec", "store"];

/// Makes a report.
///
/// The same inputs always give the same report.
pub fn gather(inputs: Inputs) -> Report {
    let Inputs {
        network,
        arch,
        compiled,
        run,
        ..
    } = inputs;
    let peak = f64::from(arch.macs_per_cycle());
    let share = |macs: u64, cycles: u64| macs as f64 / (peak * cycles as f64);
    let simulated = |value| Figure::new(value, Provenance::Simulated);
    let modelled = compiled.predicted_cycles();
    let traffic = layer_traffic(&run, compiled);
    let layers = compiled.layers.iter().enumerate().map(|(index, layer)| {
        let engines = PerEngine::from_array(run.layers.get(index).copied().unwrap_or_default());
        let cycles = engines.exec.total();
        let works = layer.macs > 0 && engines.exec.busy > 0;
        Layer {
            name: layer.name.clone(),
            kind: layer.kind.to_owned(),
            macs: layer.macs,
            instructions: layer.instructions as u64,
            engines,
            utilisation: works.then(|| simulated(share(layer.macs, cycles))),
            traffic: match &traffic {
                Some(traffic) => Part::Present(Figure::new(traffic[index], Provenance::Simulated)),
                None => Part::absent("the run was not traced"),
            },
            modelled: Figure::new(cost_of(&layer.cost), Provenance::Modelled),
            mapping: compiled
                .schedule
                .mappings
                .get(index)
                .map(ToString::to_string)
                .unwrap_or_default(),
            certificate: certificate(layer),
        }
    });
    let total_macs = network.total_macs();
    Report {
        schema_version: SCHEMA_VERSION,
        network: NetworkFacts {
            name: network.name.clone(),
            hash: inputs.network_hash,
            layers: network.einsums.len(),
            macs: total_macs,
            parameters: parameters(network),
        },
        arch: arch_facts(arch, inputs.memory),
        dataset: inputs.dataset,
        devices: inputs.devices,
        run: Run {
            cycles: Figure::new(run.cycles, Provenance::Simulated),
            instructions: Figure::new(
                compiled.program.instructions.len() as u64,
                Provenance::Given,
            ),
            images_per_second: simulated(arch.clock_hz as f64 / run.cycles as f64),
            utilisation: simulated(share(total_macs, run.cycles)),
            modelled_cycles: Figure::new(modelled, Provenance::Modelled),
            fetch: run.fetch,
            engines: PerEngine::from_array(total(&run.layers)),
            traffic: run.traffic,
        },
        layers: layers.collect(),
        tail: PerEngine::from_array(
            run.layers
                .get(compiled.layers.len())
                .copied()
                .unwrap_or_default(),
        ),
        timeline: match &run.trace {
            Some(trace) => Part::Present(timeline(run.cycles, trace, compiled)),
            None => Part::absent("the run was not traced"),
        },
        equality: match inputs.verification {
            Part::Present(verification) => Part::Present(equality(verification)),
            Part::Absent { reason } => Part::Absent { reason },
        },
        fpga: inputs.fpga,
        exploration: inputs.exploration,
        origin: inputs.origin,
    }
}

fn arch_facts(arch: &Arch, memory: MemoryModel) -> ArchFacts {
    let memories = arch
        .memory_bits()
        .into_iter()
        .map(|(name, bits)| MemoryBits {
            name: name.to_owned(),
            bits,
        });
    ArchFacts {
        name: arch.name.clone(),
        description: arch.description.clone(),
        hash: format!("{:016x}", arch.hash()),
        rows: arch.array.rows,
        cols: arch.array.cols,
        macs_per_cycle: arch.macs_per_cycle(),
        word_bytes: arch.word_bytes(),
        clock_hz: arch.clock_hz,
        memories: memories.collect(),
        memory_model: match (arch.memory.attachment, memory) {
            (Attachment::OnChip, _) => "on chip".to_owned(),
            (Attachment::Port, MemoryModel::Ideal) => "m0: ideal".to_owned(),
            (Attachment::Port, MemoryModel::Fixed { latency, beat_gap }) => {
                format!("m1: first word after {latency} cycles, one word every {beat_gap} after it")
            }
            (Attachment::Port, MemoryModel::Jitter { latency, seed }) => {
                format!(
                    "m2: first word after {latency} cycles or more, pseudo-random stalls of seed {seed}"
                )
            }
        },
    }
}

fn parameters(network: &Network) -> u64 {
    let of = |kind: &Kind| match kind {
        Kind::Conv(conv) => (conv.weights.len() + conv.bias.len()) as u64,
        _ => 0,
    };
    network.einsums.iter().map(|einsum| of(&einsum.kind)).sum()
}

fn total(layers: &[[Cycles; 4]]) -> [Cycles; 4] {
    let mut sum = [Cycles::default(); 4];
    for (engine, one) in layers.iter().flat_map(|layer| layer.iter().enumerate()) {
        let total = &mut sum[engine];
        total.busy += one.busy;
        total.configure += one.configure;
        total.wait.load += one.wait.load;
        total.wait.exec += one.wait.exec;
        total.wait.vec += one.wait.vec;
        total.wait.store += one.wait.store;
        total.empty += one.empty;
    }
    sum
}

/// Charges each burst to the layer of the transfer that ran when the memory accepted it; an engine runs one at a time.
fn layer_traffic(run: &SimRun, compiled: &Compiled) -> Option<Vec<Traffic>> {
    let bursts = &run.trace.as_ref()?.bursts;
    let mut traffic = vec![Traffic::default(); compiled.layers.len()];
    for store in [false, true] {
        let mut transfers: Vec<&Transfer> =
            run.transfers.iter().filter(|t| t.store == store).collect();
        transfers.sort_by_key(|t| t.start);
        for burst in bursts.iter().filter(|b| b.store == store) {
            let after = transfers.partition_point(|t| t.start <= burst.accepted);
            let transfer = transfers[..after].last()?;
            let layer = usize::from(compiled.program.layer_of[transfer.instruction]);
            let words = if store {
                &mut traffic[layer].store_words
            } else {
                &mut traffic[layer].load_words
            };
            *words += burst.words;
        }
    }
    Some(traffic)
}

fn cost_of(cost: &mapper::cost::Cost) -> ModelledCost {
    ModelledCost {
        cycles: cost.cycles,
        busy: PerEngine {
            load: cost.load,
            exec: cost.exec,
            vec: cost.vec,
            store: cost.store,
        },
        traffic_words: cost.traffic_words,
    }
}

fn certificate(layer: &LayerReport) -> Option<Certificate> {
    let found = layer.certificate.as_ref()?;
    Some(Certificate {
        search: found.search.clone(),
        model: found.model.clone(),
        candidates: found.candidates,
        costed: found.costed,
        gap_per_mille: found.gap_per_mille,
        compute_bound_cycles: found.compute_bound_cycles,
        compulsory_words: found.compulsory_words,
        sentence: found.sentence(),
    })
}

fn timeline(cycles: u64, trace: &SimTrace, compiled: &Compiled) -> Timeline {
    let longest = (0..UNITS.len())
        .map(|unit| trace.stretches.iter().filter(|s| s.unit == unit).count())
        .max();
    let merged_below = if longest.unwrap_or(0) as u64 > STRETCH_LIMIT {
        cycles.div_ceil(STRETCH_LIMIT)
    } else {
        0
    };
    let tracks = UNITS.iter().enumerate().map(|(unit, name)| {
        let of_unit = trace
            .stretches
            .iter()
            .filter(|s| s.unit == unit)
            .map(|s| Stretch {
                activity: s.activity,
                layer: s.instruction.map(|i| compiled.program.layer_of[i]),
                from: s.from,
                cycles: s.cycles,
            });
        Track {
            unit: (*name).to_owned(),
            stretches: merge(of_unit, merged_below),
        }
    });
    Timeline {
        cycles,
        merged_below,
        tracks: tracks.collect(),
    }
}

/// Joins neighbours of the same kind and layer, and gives stretches below the limit to the one before them.
fn merge(stretches: impl Iterator<Item = Stretch>, below: u64) -> Vec<Stretch> {
    let mut merged: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        if let Some(before) = merged.last_mut() {
            let end = before.from + before.cycles;
            let same = before.activity == stretch.activity && before.layer == stretch.layer;
            let short = stretch.cycles < below && before.layer == stretch.layer;
            if stretch.from - end <= below && (same || short) {
                before.cycles = stretch.from + stretch.cycles - before.from;
                continue;
            }
        }
        merged.push(stretch);
    }
    merged
}

fn equality(verification: &Verification) -> Equality {
    let configs = verification.configs.iter().map(|config| EqualityConfig {
        program: match config.variant {
            Variant::Plain => "plain",
            Variant::KeepAll => "keep all",
        }
        .to_owned(),
        memory: config.memory.replace('_', " "),
        instructions: config.instructions as u64,
        spans_compared: config.spans_compared,
        values_compared: config.values_compared,
        cycle_differences: config.differences.cycles,
        counter_differences: config.differences.counters,
        bit_mismatches: config.differences.bytes,
    });
    let has_rtl = verification.devices.iter().any(|device| device == "rtl");
    Equality {
        devices: verification.devices.clone(),
        skipped: verification
            .skipped
            .iter()
            .map(|s| (s.device.clone(), s.reason.clone()))
            .collect(),
        images: verification.images as u64,
        configs: configs.collect(),
        first_difference: verification.first.as_ref().map(ToString::to_string),
        provenance: if has_rtl {
            Provenance::RtlSimulated
        } else {
            Provenance::Simulated
        },
    }
}
