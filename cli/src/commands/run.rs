//! `tilewright run`: an artifact on a device.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use host_runtime::device::{self, TimeBase};
use host_runtime::machine::memory_image;
use host_runtime::{Artifact, Error, Outcome as RunOutcome, Settings};
use ir::isa::Engine;
use ir::memory::MemoryModel;
use ir::network::{HostValues, Network};
use serde::Serialize;
use serde_json::{Value, json};
use sim::{LayerCycles, MemoryTiming, Mode};

use crate::console::{Console, Table, count, thousands};
use crate::failure::{Failure, Outcome};
use crate::input::{
    Count, DataArgs, Images, Loaded, class, hash_of, image_count, memory_model, n_right,
};
use crate::{interrupt, output};

/// Run an artifact on a device: outputs, accuracy, cycles, counters and where the cycles went
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact that `compile` wrote
    #[arg(value_name = "ART")]
    artifact: PathBuf,
    /// The device
    #[arg(long, default_value = "sim", value_parser = clap::builder::PossibleValuesParser::new(["reference", "sim", "rtl"]))]
    device: String,
    #[command(flatten)]
    data: DataArgs,
    /// How many images, or `all`
    #[arg(long, value_name = "N", default_value = "1", value_parser = image_count)]
    images: Count,
    /// The memory behind the port: `m0`, `m1` or `m2`
    #[arg(long, value_name = "MODEL", default_value = "m1", value_parser = memory_model)]
    memory: MemoryModel,
    /// Also write what every unit did for the first image, for Perfetto; from the simulator
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Also write every output as JSON
    #[arg(long, value_name = "FILE")]
    outputs: Option<PathBuf>,
    /// Stop a run after this many cycles
    #[arg(long, value_name = "CYCLES", default_value_t = 1 << 32)]
    cycle_limit: u64,
}

#[derive(Serialize)]
struct Ran {
    network: String,
    arch: String,
    artifact_hash: String,
    device: String,
    memory: &'static str,
    data: String,
    data_hash: Option<String>,
    images: usize,
    /// Cycles of each image; the machine's timing does not depend on data.
    cycles: Vec<u64>,
    time_base: TimeBase,
    images_per_second: Option<f64>,
    wall_seconds: f64,
    accuracy: Option<Accuracy>,
    first_output: Vec<Value>,
    counters: Option<Vec<(String, u64)>>,
    stalls: Option<Vec<Value>>,
}

#[derive(Serialize)]
struct Accuracy {
    right: usize,
    of: usize,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let artifact = Artifact::read(&args.artifact)?;
    let artifact_hash = hash_of(&artifact.to_bytes());
    let images = images(args, &artifact)?;
    let settings = Settings {
        memory: args.memory,
        cycle_limit: args.cycle_limit,
        ..Settings::default()
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "wall time of the device, printed as measured"
    )]
    let begin = Instant::now();
    let outcomes = run_images(&artifact, &args.device, settings, &images, console)?;
    let wall_seconds = begin.elapsed().as_secs_f64();
    if let Some(path) = &args.outputs {
        let all: Vec<Value> = outcomes
            .iter()
            .map(|outcome| json!(host_outputs(&artifact.network, outcome)))
            .collect();
        output::write(path, serde_json::to_string(&all).expect("numbers") + "\n")?;
    }
    let simulated = match (&args.trace, args.device.as_str()) {
        (None, "reference") => None,
        _ => Some(simulate(&artifact, &images.images[0], args.memory)?),
    };
    if let (Some(path), Some(simulated)) = (&args.trace, &simulated) {
        let trace = simulated.trace.as_ref().expect("it ran in trace mode");
        output::write(path, trace.to_json(&artifact.program))?;
    }
    let layers = simulated
        .as_ref()
        .filter(|_| args.device != "reference")
        .map(|outcome| outcome.layers.as_slice());
    let first = &outcomes[0];
    let classes: Vec<usize> = outcomes
        .iter()
        .map(|outcome| class(&outcome.outputs[0]))
        .collect();
    let cycles: Vec<u64> = outcomes
        .iter()
        .filter_map(|outcome| outcome.cycles)
        .collect();
    let mean = cycles.iter().sum::<u64>() as f64 / cycles.len().max(1) as f64;
    let ran = Ran {
        network: artifact.network.name.clone(),
        arch: artifact.arch.name.clone(),
        artifact_hash,
        device: args.device.clone(),
        memory: if artifact.arch.memory.attachment == ir::arch::Attachment::OnChip {
            "on_chip"
        } else {
            args.memory.name()
        },
        data: images.origin.clone(),
        data_hash: images.hash.clone(),
        images: outcomes.len(),
        time_base: first.time,
        images_per_second: match first.time {
            TimeBase::CyclesAt { hz } if mean > 0.0 => Some(hz as f64 / mean),
            _ => None,
        },
        wall_seconds,
        accuracy: images.labels.as_ref().map(|labels| Accuracy {
            right: n_right(&classes, labels),
            of: labels.len(),
        }),
        first_output: host_outputs(&artifact.network, first),
        counters: first.counters.clone(),
        stalls: layers.map(|layers| {
            stall_rows(&artifact, layers)
                .iter()
                .map(StallRow::json)
                .collect()
        }),
        cycles,
    };
    console.result("run", &ran, || text(&ran, &artifact, layers))?;
    Ok(Outcome::Good)
}

fn images(args: &Args, artifact: &Artifact) -> Result<Images, Failure> {
    // An artifact does not hold the hash of its file, but digits is known by its network.
    let digits = onnx::import_bytes(crate::input::DIGITS, &onnx::Options::default())?;
    let hash = if digits == artifact.network {
        hash_of(crate::input::DIGITS)
    } else {
        String::new()
    };
    Loaded {
        network: artifact.network.clone(),
        hash,
    }
    .images(&args.data, args.images)
}

/// Runs all images on the device, with progress.
pub(crate) fn run_images(
    artifact: &Artifact,
    device: &str,
    settings: Settings,
    images: &Images,
    console: &Console,
) -> Result<Vec<RunOutcome>, Failure> {
    let found = device::devices(settings)
        .into_iter()
        .find(|found| found.name() == device);
    let found = found.ok_or_else(|| {
        Failure::usage(
            format!("there is no device `{device}`"),
            "`tilewright doctor` lists the devices",
        )
    })?;
    let spinner = console.spinner(&format!("loading {device}"));
    let mut session = found.load(artifact)?;
    spinner.finish_and_clear();
    let bar = console.bar(images.images.len() as u64, &format!("running on {device}"));
    let mut outcomes = Vec::with_capacity(images.images.len());
    for image in &images.images {
        session.submit(image)?;
        let outcome = loop {
            interrupt::check()?;
            if let Some(outcome) = session.poll()? {
                break outcome;
            }
        };
        outcomes.push(outcome);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(outcomes)
}

/// Runs one image on the simulator, with its trace.
pub(crate) fn simulate(
    artifact: &Artifact,
    image: &[Vec<i8>],
    memory: MemoryModel,
) -> Result<sim::Outcome, Failure> {
    let checked = artifact.check()?;
    let mut bytes = memory_image(checked);
    let word_bytes = artifact.arch.word_bytes();
    for (id, values) in artifact.network.inputs.iter().zip(image) {
        if let Some(place) = artifact.image_of(*id) {
            let packed = place.pack(word_bytes, values);
            bytes[(place.word * word_bytes) as usize..][..packed.len()].copy_from_slice(&packed);
        }
    }
    let timing = MemoryTiming::of(&artifact.arch, memory);
    let outcome = sim::simulate(checked, &mut sim::Memory { bytes }, timing, Mode::Trace);
    Ok(outcome.map_err(|error| Error::Simulation(Box::new(error)))?)
}

fn host_outputs(network: &Network, outcome: &RunOutcome) -> Vec<Value> {
    let host = network
        .outputs
        .iter()
        .zip(&outcome.outputs)
        .map(|(id, values)| network.tensor(*id).to_host(values));
    host.map(|values| match values {
        Ok(HostValues::Float32(values)) => json!(values),
        Ok(HostValues::Int8(values)) => json!(values),
        Ok(HostValues::Uint8(values)) => json!(values),
        Err(_) => Value::Null,
    })
    .collect()
}

/// Where the cycles of one engine went at one layer.
struct StallRow<'a> {
    layer: &'a str,
    engine: Engine,
    cycles: LayerCycles,
}

impl StallRow<'_> {
    fn json(&self) -> Value {
        let LayerCycles {
            busy,
            configure,
            wait,
            empty,
        } = self.cycles;
        let wait: serde_json::Map<String, Value> = Engine::ALL
            .iter()
            .map(|engine| (engine.name().to_owned(), json!(wait[engine.index()])))
            .collect();
        json!({"layer": self.layer, "engine": self.engine.name(), "busy": busy, "configure": configure, "wait_for": wait, "empty": empty})
    }
}

fn stall_rows<'a>(artifact: &'a Artifact, layers: &[[LayerCycles; 4]]) -> Vec<StallRow<'a>> {
    let names = artifact
        .program
        .layers
        .iter()
        .map(String::as_str)
        .chain(["(after the last)"]);
    let used = |cycles: &LayerCycles| {
        cycles.busy + cycles.configure + cycles.wait.iter().sum::<u64>() + cycles.empty > 0
    };
    names
        .zip(layers)
        .flat_map(|(layer, engines)| {
            Engine::ALL.map(|engine| StallRow {
                layer,
                engine,
                cycles: engines[engine.index()],
            })
        })
        .filter(|row| used(&row.cycles))
        .collect()
}

fn text(ran: &Ran, artifact: &Artifact, layers: Option<&[[LayerCycles; 4]]>) -> String {
    let mut text = format!(
        "network `{}` on arch `{}`, device `{}`, memory {}, {}: {}\n",
        ir::text::cell(&ran.network),
        ran.arch,
        ran.device,
        ran.memory,
        count(ran.images as u64, "image"),
        ran.data
    );
    if let Some(accuracy) = &ran.accuracy {
        let percent = 100.0 * accuracy.right as f64 / accuracy.of.max(1) as f64;
        let _ = writeln!(
            text,
            "accuracy: {} of {} right, {percent:.1} % (measured)",
            accuracy.right, accuracy.of
        );
    }
    let label = if ran.device == "rtl" {
        "RTL-simulated"
    } else {
        "simulated"
    };
    if let (Some(least), Some(most)) = (ran.cycles.iter().min(), ran.cycles.iter().max()) {
        let cycles = if least == most {
            thousands(*least)
        } else {
            format!("{} to {}", thousands(*least), thousands(*most))
        };
        let _ = writeln!(text, "cycles an image: {cycles} ({label})");
    }
    if let (TimeBase::CyclesAt { hz }, Some(rate)) = (ran.time_base, ran.images_per_second) {
        let _ = writeln!(
            text,
            "images a second: {rate:.0} at {} MHz ({label} cycles at the arch's clock)",
            hz as f64 / 1e6
        );
    }
    let _ = writeln!(
        text,
        "wall time of the device: {:.2} s (measured)",
        ran.wall_seconds
    );
    for (id, values) in artifact.network.outputs.iter().zip(&ran.first_output) {
        let values = values.to_string();
        let shown = if values.len() > 300 {
            format!("{}..", &values[..300])
        } else {
            values
        };
        let tensor = artifact.network.tensor(*id);
        let name = tensor.host.as_ref().map_or(&tensor.name, |view| &view.name);
        let _ = writeln!(
            text,
            "output `{}` of the first image: {shown}",
            ir::text::cell(name)
        );
    }
    if let Some(counters) = &ran.counters {
        let mut table = Table::new(["counter", "cycles"]);
        for (name, value) in counters {
            table.row([name.clone(), thousands(*value)]);
        }
        let _ = write!(text, "\n{table}");
    }
    if let Some(layers) = layers {
        let mut table = Table::new([
            "layer",
            "engine",
            "busy",
            "configure",
            "wait load",
            "wait exec",
            "wait vec",
            "wait store",
            "empty",
        ]);
        for row in stall_rows(artifact, layers) {
            let LayerCycles {
                busy,
                configure,
                wait,
                empty,
            } = row.cycles;
            let numbers =
                [busy, configure, wait[0], wait[1], wait[2], wait[3], empty].map(thousands);
            table.row(
                [row.layer.to_owned(), row.engine.name().to_owned()]
                    .into_iter()
                    .chain(numbers),
            );
        }
        let _ = write!(
            text,
            "\nwhere the cycles of the first image went (simulated)\n{table}"
        );
    }
    text
}
