//! `tilewright verify`: reference, simulator, RTL and onnxruntime against each other, in every tensor and every cycle.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use host_runtime::compare::{Difference, sum};
use host_runtime::fuzz::{self, fuzz};
use host_runtime::verify::{Config, Options, Skipped, Variant, Verification, verify};
use host_runtime::verilated::Optimise;
use host_runtime::{Error, Machine, MachineRun, RtlMachine};
use indicatif::ProgressBar;
use ir::arch::{Arch, Attachment};
use ir::memory::MemoryModel;
use ir::network::Network;
use ir::program::{Checked, Program};
use serde::Serialize;
use serde_json::{Value, json};

use crate::console::{Console, Table, count, thousands};
use crate::directives::{Directed, DirectiveArgs};
use crate::failure::{Code, Failure, Outcome};
use crate::input::{self, Count, DataArgs, Images, Loaded, NetworkArgs, image_count, memory_model};
use crate::interrupt;
use crate::oracle::{self, Against};

/// Run a network on all devices and compare every tensor, every cycle and every counter
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// The arch: `nano`, `edge`, `both`, or a file; with memory on chip, its variant with a memory port is run too.
    /// Without it, only reference and onnxruntime are compared
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    #[command(flatten)]
    directives: DirectiveArgs,
    #[command(flatten)]
    data: DataArgs,
    /// How many images, or `all`
    #[arg(long, value_name = "N", default_value = "3", value_parser = image_count)]
    images: Count,
    /// The device to compare with reference and simulator; it must then be here
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<DeviceArg>,
    /// Memory models behind the port
    #[arg(long, value_name = "MODEL", value_delimiter = ',', default_value = "m0,m1,m2", value_parser = memory_model, requires = "arch")]
    memory: Vec<MemoryModel>,
    /// Also run this many random programs on each arch
    #[arg(long, value_name = "N", default_value_t = 0, requires = "arch")]
    fuzz: usize,
    /// Stop a run after this many cycles
    #[arg(long, value_name = "CYCLES", default_value_t = 1 << 32, requires = "arch")]
    cycle_limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DeviceArg {
    /// The meaning of the network, in plain loops
    Reference,
    /// The simulator
    Sim,
    /// The generated design in Verilator
    Rtl,
    /// The ONNX file itself, by onnxruntime
    Onnxruntime,
}

impl Args {
    /// Whether the device takes part.
    fn wants(&self, device: DeviceArg) -> bool {
        self.devices.is_empty() || self.devices.contains(&device)
    }
}

/// The whole result, in the form of the JSON output.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    devices: Devices,
    #[serde(skip_serializing_if = "Option::is_none")]
    onnxruntime: Option<Against>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Devices {
    All(Box<Verified>),
    /// Without an arch.
    Reference {
        network: String,
        network_hash: String,
        data: String,
        data_hash: Option<String>,
        images: usize,
        agrees: bool,
    },
}

/// What is compared.
pub(crate) struct Job<'a> {
    pub(crate) network: &'a Network,
    pub(crate) network_hash: &'a str,
    pub(crate) arch: &'a Arch,
    pub(crate) directed: &'a Directed,
    pub(crate) images: &'a Images,
    pub(crate) models: &'a [MemoryModel],
    /// Whether a verilated design takes part.
    pub(crate) with_rtl: bool,
    pub(crate) fuzz: usize,
    pub(crate) seed: u64,
    pub(crate) cycle_limit: u64,
}

/// The result, in the form of the JSON output.
#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    network: String,
    network_hash: String,
    arch: String,
    arch_hash: String,
    directives: Value,
    data: String,
    data_hash: Option<String>,
    /// Devices that took part.
    pub(crate) devices: Vec<String>,
    /// Devices that did not, each with its reason.
    pub(crate) skipped: Vec<Skipped>,
    /// Images run with each configuration.
    pub(crate) images: usize,
    /// Values and bytes that differ; `None` where nothing was compared, here and below.
    bit_mismatches: Option<u64>,
    /// Instructions and runs whose cycles differ.
    cycle_differences: Option<u64>,
    /// Counters that differ.
    counter_differences: Option<u64>,
    /// Starts and signals compared with the simulator's.
    pub(crate) instructions_compared: u64,
    /// Values compared with the reference's.
    pub(crate) values_compared: u64,
    /// Whether nothing differs of what was compared, and values were.
    pub(crate) agrees: bool,
    first_difference: Option<Difference>,
    /// Arch by program by memory model.
    pub(crate) configurations: Vec<Configuration>,
    fuzz: Vec<Value>,
    /// The verifications themselves, for the report.
    #[serde(skip)]
    pub(crate) parts: Vec<Verification>,
    #[serde(skip)]
    fuzz_texts: Vec<String>,
}

/// One program of one arch with one memory model.
#[derive(Debug, Serialize)]
pub(crate) struct Configuration {
    arch: String,
    #[serde(flatten)]
    config: Config,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    if args.arch.is_none() && args.directives.is_given() {
        return Err(Failure::usage(
            "directives have no effect without `--arch`: nothing is mapped",
            "give `--arch`, such as `--arch edge`, or leave them out",
        ));
    }
    let (loaded, file) = args.network.load_with_file()?;
    let images = loaded.images(&args.data, args.images, console)?;
    let verified = match &args.arch {
        Some(arch) => Some(verify_devices(args, arch, &loaded, &images, console)?),
        None if args
            .devices
            .iter()
            .all(|device| *device == DeviceArg::Onnxruntime) =>
        {
            None
        }
        None => {
            return Err(Failure::usage(
                "without `--arch`, only the reference and onnxruntime can be compared",
                "give `--arch`, such as `--arch edge`",
            ));
        }
    };
    let onnxruntime = if args.wants(DeviceArg::Onnxruntime) {
        let must = verified.is_none() || !args.devices.is_empty();
        match oracle::compare(
            &loaded.network,
            &file,
            &args.network.options()?,
            &images,
            console,
        )? {
            Err(error) if must => return Err(device_failure(error)),
            Err(error) => Some(Against::not_compared(&error)),
            Ok(against) => Some(against),
        }
    } else {
        None
    };
    let agrees = onnxruntime.as_ref().is_none_or(Against::agrees);
    let devices = match verified {
        Some(mut verified) => {
            verified.agrees &= agrees;
            Devices::All(Box::new(verified))
        }
        None => Devices::Reference {
            network: loaded.network.name.clone(),
            network_hash: loaded.hash.clone(),
            data: images.origin.clone(),
            data_hash: images.hash.clone(),
            images: images.images.len(),
            agrees,
        },
    };
    let whole = Whole {
        devices,
        onnxruntime,
    };
    console.result("verify", &whole, || whole_text(&whole))?;
    Ok(Outcome::good_if(match &whole.devices {
        Devices::All(verified) => verified.agrees,
        Devices::Reference { agrees, .. } => *agrees,
    }))
}

fn verify_devices(
    args: &Args,
    arch: &str,
    loaded: &Loaded,
    images: &Images,
    console: &Console,
) -> Result<Verified, Failure> {
    let arch = input::arch(arch)?;
    let directed = args.directives.read(&loaded.network, console)?;
    let verified = verify_all(
        &Job {
            network: &loaded.network,
            network_hash: &loaded.hash,
            arch: &arch,
            directed: &directed,
            images,
            models: &args.memory,
            with_rtl: args.wants(DeviceArg::Rtl),
            fuzz: args.fuzz,
            seed: args.data.seed,
            cycle_limit: args.cycle_limit,
        },
        console,
    )?;
    match verified.skipped.first() {
        Some(skipped) if args.devices.contains(&DeviceArg::Rtl) => {
            Err(device_failure(Error::Unavailable {
                device: "rtl",
                reason: skipped.reason.clone(),
            }))
        }
        _ => Ok(verified),
    }
}

/// A device that was asked for is not here, or does not run.
fn device_failure(error: Error) -> Failure {
    match error {
        Error::Unavailable { .. } | Error::OnnxRuntime { .. } => Failure::new(Code::Device, error),
        error => error.into(),
    }
}

fn whole_text(whole: &Whole) -> String {
    let mut text = match &whole.devices {
        Devices::All(verified) => text(verified),
        Devices::Reference {
            network,
            images,
            data,
            ..
        } => format!(
            "network `{network}`, {}: {data}\n",
            count(*images as u64, "image")
        ),
    };
    if let Some(against) = &whole.onnxruntime {
        text += &oracle::text(against);
    }
    text
}

/// Compares the devices on the arch and, where its memory is on chip, on its variant with a memory port.
pub(crate) fn verify_all(job: &Job, console: &Console) -> Result<Verified, Failure> {
    let archs: Vec<Arch> = std::iter::once(job.arch.clone())
        .chain(input::port_variant(job.arch))
        .collect();
    let mut parts = Vec::new();
    let mut fuzzed = Vec::new();
    let mut fuzz_texts = Vec::new();
    for arch in &archs {
        interrupt::check()?;
        parts.push(verify_one(job, arch, console)?);
        interrupt::check()?;
        if job.fuzz > 0 {
            let report = fuzz_one(job, arch, console)?;
            fuzzed.push(fuzz_json(arch, &report));
            fuzz_texts.push(fuzz_text(arch, &report));
        }
    }
    let total = |of: fn(&Verification) -> Option<u64>| sum(parts.iter().map(of));
    let configs = || {
        parts
            .iter()
            .flat_map(|part| part.configs.iter().map(move |config| (part, config)))
    };
    let devices: BTreeSet<(usize, &String)> = parts
        .iter()
        .flat_map(|part| part.devices.iter().enumerate())
        .collect();
    let devices: Vec<String> = devices
        .into_iter()
        .map(|(_, device)| device.clone())
        .collect();
    let mut skipped: Vec<Skipped> = parts.iter().flat_map(|part| part.skipped.clone()).collect();
    skipped.dedup();
    let fuzz_agrees = fuzzed.iter().all(|report| report["failure"].is_null());
    Ok(Verified {
        network: job.network.name.clone(),
        network_hash: job.network_hash.to_owned(),
        arch: job.arch.name.clone(),
        arch_hash: format!("{:016x}", job.arch.hash()),
        directives: job.directed.json.clone(),
        data: job.images.origin.clone(),
        data_hash: job.images.hash.clone(),
        devices,
        skipped,
        images: job.images.images.len(),
        bit_mismatches: total(|part| part.bit_mismatches),
        cycle_differences: total(|part| part.cycle_differences),
        counter_differences: total(|part| part.counter_differences),
        instructions_compared: configs().map(|(_, config)| config.spans_compared).sum(),
        values_compared: configs().map(|(_, config)| config.values_compared).sum(),
        agrees: parts.iter().all(Verification::agrees) && fuzz_agrees,
        first_difference: parts.iter().find_map(|part| part.first.clone()),
        configurations: configs()
            .map(|(part, config)| Configuration {
                arch: part.arch.clone(),
                config: config.clone(),
            })
            .collect(),
        fuzz: fuzzed,
        fuzz_texts,
        parts,
    })
}

fn verify_one(job: &Job, arch: &Arch, console: &Console) -> Result<Verification, Failure> {
    let n_models = if arch.memory.attachment == Attachment::OnChip {
        1
    } else {
        job.models.len()
    };
    let bar = console.bar(
        (job.images.images.len() * n_models * 2) as u64,
        &format!("verifying on {}", arch.name),
    );
    let mut machines = Vec::new();
    if job.with_rtl {
        let spinner = console.spinner(&format!("building the RTL of {}", arch.name));
        let machine = rtl(arch, job.images.images.len() > 50 || job.fuzz > 200);
        spinner.finish_and_clear();
        machines.push((
            "rtl",
            machine.map(|machine| {
                Box::new(Watched {
                    machine,
                    bar: bar.clone(),
                }) as Box<dyn Machine>
            }),
        ));
    }
    let compile = |variant: Variant| -> Result<Program, Failure> {
        let options = mapper::Options {
            keep_all: variant == Variant::KeepAll,
            directives: job.directed.directives.clone(),
            ..Default::default()
        };
        Ok(mapper::compile(job.network, arch, &options)?.program)
    };
    let options = Options {
        models: job.models,
        images: &job.images.images,
        machines,
        cycle_limit: job.cycle_limit,
    };
    let verification = verify(job.network, arch, options, compile);
    bar.finish_and_clear();
    // What an interrupted machine reports are no differences.
    interrupt::check()?;
    verification
}

fn rtl(arch: &Arch, long: bool) -> Result<RtlMachine, Error> {
    RtlMachine::of(
        arch,
        if long {
            Optimise::Full
        } else {
            Optimise::Quick
        },
    )
}

/// A machine that shows its progress and stops when the user wants it to.
struct Watched {
    machine: RtlMachine,
    bar: ProgressBar,
}

impl Machine for Watched {
    fn name(&self) -> &'static str {
        self.machine.name()
    }

    fn begin(&mut self, program: Checked, model: MemoryModel) {
        self.bar.inc(1);
        self.machine.begin(program, model);
    }

    fn advance(
        &mut self,
        program: Checked,
        memory: &mut Vec<u8>,
        cycles: u64,
    ) -> Result<Option<MachineRun>, Error> {
        const SLICE: u64 = 100_000;
        let mut left = cycles;
        while left > 0 {
            if interrupt::requested() {
                return Err(self.machine.stop(program));
            }
            let slice = left.min(SLICE);
            if let Some(run) = self.machine.advance(program, memory, slice)? {
                return Ok(Some(run));
            }
            left -= slice;
        }
        Ok(None)
    }

    fn stop(&mut self, program: Checked) -> Error {
        self.machine.stop(program)
    }
}

/// Runs random programs in portions, so that progress shows.
fn fuzz_one(job: &Job, arch: &Arch, console: &Console) -> Result<fuzz::Report, Failure> {
    const PORTION: usize = 20;
    let mut machine = match job.with_rtl.then(|| rtl(arch, job.fuzz > 200)) {
        None => None,
        Some(Ok(machine)) => Some(machine),
        Some(Err(error)) if error.unavailable().is_some() => None,
        Some(Err(error)) => return Err(error.into()),
    };
    let on_chip = arch.memory.attachment == Attachment::OnChip;
    let models = if on_chip {
        &job.models[..job.models.len().min(1)]
    } else {
        job.models
    };
    let bar = console.bar(
        job.fuzz as u64,
        &format!("random programs on {}", arch.name),
    );
    let mut total = fuzz::Report {
        coverage: fuzz::Coverage::of(arch),
        ..Default::default()
    };
    let mut done = 0;
    while done < job.fuzz && total.failure.is_none() {
        interrupt::check()?;
        let n = PORTION.min(job.fuzz - done);
        let other = machine.as_mut().map(|machine| machine as &mut dyn Machine);
        let report = fuzz(arch, other, models, job.seed.wrapping_add(done as u64), n)?;
        total.cases += report.cases;
        total.instructions += report.instructions;
        total.cycles += report.cycles;
        total.coverage.add(&report.coverage);
        total.failure = report.failure;
        done += n;
        bar.inc(n as u64);
    }
    bar.finish_and_clear();
    Ok(total)
}

fn fuzz_json(arch: &Arch, report: &fuzz::Report) -> Value {
    let failure = report.failure.as_ref().map(|failure| {
        json!({
            "difference": failure.difference, "memory": failure.model.name(),
            "operations": failure.case.len(), "operations_before_shrinking": failure.operations_before,
            "program": failure.case.program(arch).disassembly(),
        })
    });
    json!({
        "arch": arch.name, "cases": report.cases, "instructions": report.instructions, "cycles": report.cycles,
        "coverage": report.coverage, "empty_cells": report.coverage.empty_cells(), "failure": failure,
    })
}

fn fuzz_text(arch: &Arch, report: &fuzz::Report) -> String {
    let mut text = format!(
        "\nrandom programs on `{}`: {}, {} instructions, {} cycles\n",
        arch.name,
        report.cases,
        thousands(report.instructions as u64),
        thousands(report.cycles)
    );
    if let Some(failure) = &report.failure {
        let _ = writeln!(text, "  differs: {}", failure.difference);
        let _ = writeln!(
            text,
            "  with memory {}, shrunk from {} to {} operations:",
            failure.model.name(),
            failure.operations_before,
            failure.case.len()
        );
        for line in failure.case.program(arch).disassembly().lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = writeln!(text, "{}", report.coverage);
    let empty = report.coverage.empty_cells();
    if !empty.is_empty() {
        let _ = writeln!(text, "never met: {}", empty.join("; "));
    }
    text
}

const NOT_COMPARED: &str = "not compared";

/// What differs, in one line.
pub(crate) fn figures(verified: &Verified) -> String {
    let figure = |figure: Option<u64>, what: &str, one: &str| match figure {
        Some(n) => count(n, one).replace("mismatchs", "mismatches"),
        None => format!("{what} {NOT_COMPARED}"),
    };
    [
        figure(verified.bit_mismatches, "bits", "bit mismatch"),
        figure(verified.cycle_differences, "cycles", "cycle difference"),
        figure(
            verified.counter_differences,
            "counters",
            "counter difference",
        ),
    ]
    .join(", ")
}

/// The result for people.
pub(crate) fn text(verified: &Verified) -> String {
    let mut text = format!(
        "network `{}` on arch `{}`, {}: {}\n\n",
        ir::text::cell(&verified.network),
        verified.arch,
        count(verified.images as u64, "image"),
        verified.data
    );
    let mut table = Table::new([
        "arch",
        "program",
        "memory",
        "instructions",
        "cycles",
        "values compared",
        "starts compared",
        "differences",
    ]);
    for Configuration { arch, config } in &verified.configurations {
        let cycles = match (config.cycles.iter().min(), config.cycles.iter().max()) {
            (Some(least), Some(most)) if least == most => thousands(*least),
            (Some(least), Some(most)) => format!("{} - {}", thousands(*least), thousands(*most)),
            _ => String::new(),
        };
        let differences = &config.differences;
        table.row([
            arch.clone(),
            if config.variant == Variant::Plain {
                "plain"
            } else {
                "all tensors"
            }
            .to_owned(),
            config.memory.clone(),
            thousands(config.instructions as u64),
            cycles,
            thousands(config.values_compared),
            thousands(config.spans_compared),
            sum([differences.bytes, differences.cycles, differences.counters])
                .map_or_else(|| NOT_COMPARED.to_owned(), thousands),
        ]);
    }
    let _ = write!(text, "{table}");
    for fuzz in &verified.fuzz_texts {
        text += fuzz;
    }
    for skipped in &verified.skipped {
        let _ = writeln!(
            text,
            "\nskipped: device `{}`: {}",
            skipped.device, skipped.reason
        );
    }
    let _ = writeln!(
        text,
        "\n{}: {}",
        verified.devices.join(", "),
        figures(verified),
    );
    if let Some(difference) = &verified.first_difference {
        let _ = writeln!(text, "first difference: {difference}");
    }
    text
}
