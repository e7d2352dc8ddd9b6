//! `tilewright run`: an artifact on a device, or a network on a device that needs no machine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use host_runtime::artifact::is_artifact;
use host_runtime::device::{self, TimeBase};
use host_runtime::onnxruntime::{Tensor, Values};
use host_runtime::{Artifact, Error, Outcome as RunOutcome, Settings};
use ir::isa::Engine;
use ir::memory::MemoryModel;
use serde::Serialize;
use serde_json::{Value, json};
use sim::{LayerCycles, Mode};

use crate::accuracy::{Accuracy, results};
use crate::console::{Console, Table, count, thousands};
use crate::failure::{Failure, Outcome};
use crate::input::{
    self, Count, DataArgs, Images, Loaded, dimension, hash_of, image_count, memory_model,
};
use crate::{interrupt, output};

use super::run_network;

/// Run an artifact or a network on a device: outputs, accuracy, cycles, counters and where the cycles went
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact that `compile` wrote; on `reference` and `onnxruntime` a network: an ONNX file, `digits`, or
    /// `zoo:NAME`
    #[arg(value_name = "ART|NET")]
    pub(super) subject: String,
    /// The device
    #[arg(long, default_value = "sim", value_parser = clap::builder::PossibleValuesParser::new(["reference", "sim", "rtl", "onnxruntime"]))]
    pub(super) device: String,
    /// The size of a symbolic dimension of a network, such as `N=1`
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dimension)]
    pub(super) dims: Vec<(String, usize)>,
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// How many images, or `all`; the first 20 of data, or one random image, unless given
    #[arg(long, value_name = "N", value_parser = image_count)]
    pub(super) images: Option<Count>,
    /// The memory behind the port of an artifact's arch: `m0`, `m1` or `m2`; `m1` unless given
    #[arg(long, value_name = "MODEL", value_parser = memory_model)]
    pub(super) memory: Option<MemoryModel>,
    /// Also write what every unit did for the first image, for Perfetto; from the simulator
    #[arg(long, value_name = "FILE", value_parser = output::file)]
    pub(super) trace: Option<PathBuf>,
    /// Also write every output as JSON
    #[arg(long, value_name = "FILE", value_parser = output::file)]
    pub(super) outputs: Option<PathBuf>,
    /// Stop a run of an artifact after this many cycles; 2^32 unless given
    #[arg(long, value_name = "CYCLES")]
    pub(super) cycle_limit: Option<u64>,
}

/// Images of data that run unless the user says how many: one says nothing of accuracy.
pub(super) const IMAGES: usize = 20;

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
    /// The outputs of the file for the first image, or the first batch.
    first_output: Vec<Output>,
    counters: Option<Vec<(String, u64)>>,
    stalls: Option<Vec<Value>>,
}

/// An output of the file.
#[derive(Serialize)]
pub(super) struct Output {
    pub(super) name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    shape: Vec<usize>,
    pub(super) values: Value,
}

impl Output {
    pub(super) fn of(tensor: &Tensor) -> Output {
        Output {
            name: tensor.name.clone(),
            kind: tensor.values.type_name(),
            shape: tensor.shape.clone(),
            values: values_json(&tensor.values),
        }
    }
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let path = Path::new(&args.subject);
    let machine = ["sim", "rtl"].contains(&args.device.as_str());
    match (is_artifact(path), args.device.as_str()) {
        (true, "onnxruntime") => {
            return Err(Failure::usage(
                "device `onnxruntime` runs the ONNX file, which an artifact does not hold",
                "name the network that the artifact was compiled from",
            ));
        }
        (false, _) if !machine => return run_network::run(args, console),
        (false, device) if names_network(&args.subject) => {
            return Err(Failure::usage(
                format!(
                    "device `{device}` runs an artifact, and `{}` is none",
                    args.subject
                ),
                "compile the network with `tilewright compile NET --arch ARCH -o ART`, or use `--device reference`",
            ));
        }
        _ => {}
    }
    let artifact = input::artifact(path)?;
    if let Some((name, _)) = args.dims.first() {
        return Err(Failure::usage(
            format!("`--dim {name}` has no effect: the sizes of an artifact are fixed"),
            "give it to `tilewright compile`",
        ));
    }
    let memory = args.memory.unwrap_or(MemoryModel::M1);
    let artifact_hash = hash_of(&artifact.to_bytes());
    let images = images(args, &artifact, console)?;
    let settings = Settings {
        memory,
        cycle_limit: args.cycle_limit.unwrap_or(1 << 32),
        ..Settings::default()
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "wall time of the device, printed as measured"
    )]
    let begin = Instant::now();
    let outcomes = run_images(&artifact, &args.device, settings, &images, console)?;
    let wall_seconds = begin.elapsed().as_secs_f64();
    let results = results(&outcomes, &artifact.network)?;
    if let Some(path) = &args.outputs {
        let values = |tensors: &Vec<Tensor>| -> Vec<Value> {
            tensors.iter().map(|x| values_json(&x.values)).collect()
        };
        let all: Vec<Vec<Value>> = results.iter().map(values).collect();
        output::write(path, json!(all).to_string() + "\n")?;
    }
    let simulated = match (&args.trace, args.device.as_str()) {
        (None, "reference") => None,
        _ => Some(traced(&artifact, memory)?),
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
    let firsts = results.iter().flat_map(|outputs| outputs.first());
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
            memory.name()
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
        accuracy: Accuracy::of(firsts, &artifact.network, &images),
        first_output: results[0].iter().map(Output::of).collect(),
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

/// Whether the text can only mean a network.
fn names_network(subject: &str) -> bool {
    subject == "digits" || subject.starts_with("zoo:") || subject.ends_with(".onnx")
}

fn images(args: &Args, artifact: &Artifact, console: &Console) -> Result<Images, Failure> {
    // An artifact does not hold the hash of its file, but digits is known by its network.
    let digits = onnx::import_bytes(crate::input::DIGITS, &onnx::Options::default())?;
    let hash = if digits == artifact.network {
        hash_of(crate::input::DIGITS)
    } else {
        String::new()
    };
    let loaded = Loaded {
        network: artifact.network.clone(),
        hash,
    };
    let count = args.images.unwrap_or(Count::UpTo(IMAGES));
    loaded.images(&args.data, count, console)
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

/// What one run takes, with its trace: the same for every image.
pub(crate) fn traced(artifact: &Artifact, memory: MemoryModel) -> Result<sim::Outcome, Failure> {
    let checked = artifact.check()?;
    let outcome = sim::simulate(checked, &mut sim::Memory::default(), memory, Mode::Trace);
    Ok(outcome.map_err(|error| Error::Simulation(Box::new(error)))?)
}

pub(super) fn values_json(values: &Values) -> Value {
    match values {
        Values::Float32(values) => json!(values),
        Values::Float64(values) => json!(values),
        Values::Int8(values) => json!(values),
        Values::Uint8(values) => json!(values),
        Values::Int32(values) => json!(values),
        Values::Int64(values) => json!(values),
        Values::Bool(values) => json!(values),
    }
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

/// The first of many values.
pub(super) fn shortened(values: &Value) -> String {
    let values = values.to_string();
    if values.len() > 300 {
        format!("{}..", &values[..300])
    } else {
        values
    }
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
        let _ = writeln!(text, "{accuracy}");
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
    for output in &ran.first_output {
        let shown = shortened(&output.values);
        let of = if artifact.network.batch > 1 {
            "batch"
        } else {
            "image"
        };
        let name = ir::text::cell(&output.name);
        let _ = writeln!(text, "output `{name}` of the first {of}: {shown}");
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
