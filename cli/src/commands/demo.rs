//! `tilewright demo`: the whole main job on a bundled network with real data, on what is installed.

use std::path::PathBuf;
use std::time::Instant;

use bench::report::{Fpga, Part};
use host_runtime::verify::Skipped;
use host_runtime::{Artifact, Outcome as RunOutcome, Settings};
use hw::flow::{Board, ToolState, ToolStatus};
use ir::arch::{Arch, Attachment};
use ir::memory::MemoryModel;
use mapper::Compiled;
use serde_json::{Value, json};

use super::report::{MODELS, write as write_report};
use super::verify::{Job, Verified, figures, verify_all};
use super::{build, run as run_command};
use crate::accuracy::Accuracy;
use crate::console::{Console, count, thousands};
use crate::directives::Directed;
use crate::failure::{Code, Failure, Outcome};
use crate::gather::{self, Subject};
use crate::input::{self, Count, DataArgs, Images, Loaded, Source, image_count};
use crate::{interrupt, oracle};

/// Run the whole main job on a bundled network with real data, on what is installed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder for reports and bitstream
    #[arg(
        short,
        long,
        alias = "out",
        value_name = "DIR",
        default_value = "build/demo"
    )]
    output: PathBuf,
    /// How many images run on reference, simulator and RTL against each other, or `all`
    #[arg(long, value_name = "N", default_value = "20", value_parser = image_count)]
    verify_images: Count,
    /// Leave the bitstream out
    #[arg(long)]
    no_bitstream: bool,
}

const ARCHS: [&str; 2] = ["edge", "nano"];
/// The arch and the board of the bitstream.
const BITSTREAM: (&str, &str) = ("nano", "icebreaker");
const MEMORY: MemoryModel = MemoryModel::M1;

/// The steps that are done, and what they said.
struct Log<'a> {
    console: &'a Console,
    steps: Vec<Value>,
    begin: Instant,
}

impl Log<'_> {
    fn new(console: &Console) -> Log<'_> {
        Log {
            console,
            steps: Vec::new(),
            begin: now(),
        }
    }

    /// States what a step gave, with the time since the last one.
    fn done(&mut self, step: &str, text: &str) -> Result<(), Failure> {
        interrupt::check()?;
        let seconds = self.begin.elapsed().as_secs_f64();
        self.steps
            .push(json!({"step": step, "state": "done", "result": text, "seconds": seconds}));
        self.console
            .print(&format!("{seconds:>7.2} s  {step:<10} {text}\n"))?;
        self.begin = now();
        Ok(())
    }

    /// States that a step is not done, why, and what to do about it.
    fn skipped(&mut self, step: &str, reason: &str, help: &str) -> Result<(), Failure> {
        self.steps
            .push(json!({"step": step, "state": "skipped", "reason": reason, "help": help}));
        self.console.print(&format!(
            "           {step:<10} skipped: {reason}\n{:<22}help: {help}\n",
            ""
        ))?;
        self.begin = now();
        Ok(())
    }

    /// States that a step failed; the demo goes on and ends as failed.
    fn failed(&mut self, step: &str, failure: &Failure) -> Result<(), Failure> {
        let seconds = self.begin.elapsed().as_secs_f64();
        self.steps.push(json!({"step": step, "state": "failed", "error": crate::console::diagnostic_json(failure.report.as_ref()), "seconds": seconds}));
        self.console.print(&format!(
            "{seconds:>7.2} s  {step:<10} FAILED: {}\n",
            failure.report
        ))?;
        self.begin = now();
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "wall times of steps, printed as measured"
)]
fn now() -> Instant {
    Instant::now()
}

/// One arch of the demo with what was found on it.
struct OnArch {
    arch: Arch,
    compiled: Compiled,
    outcomes: Vec<RunOutcome>,
    accuracy: Accuracy,
    traced: sim::Outcome,
    verified: Verified,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let begin = now();
    let mut log = Log::new(console);
    let mut good = true;
    console.print(
        "digits: 8x8 images of hand-written digits, a small int8 network, two accelerators\n\n",
    )?;

    let loaded = Source::find("digits")?.load(&onnx::Options::default())?;
    let network = &loaded.network;
    let images = input::digits_images(network, Count::All)?;
    log.done(
        "import",
        &format!(
            "{} layers, {} MACs; {}",
            network.einsums.len(),
            thousands(network.total_macs()),
            count(images.images.len() as u64, "test image")
        ),
    )?;

    let right = reference(&loaded, &images, console)?;
    log.done(
        "reference",
        &format!(
            "{} of {} images right (measured, plain integer loops)",
            right.right, right.of
        ),
    )?;

    let tools = hw::flow::doctor();
    let no_rtl = missing(&tools, &[hw::flow::VERILATOR.name, hw::flow::GXX.name]);
    let mut on_archs = Vec::new();
    for name in ARCHS {
        let on_arch = on_arch(
            name,
            &loaded,
            &images,
            right,
            args,
            no_rtl.is_none(),
            &mut log,
        )?;
        good &= on_arch.verified.agrees && on_arch.accuracy == right;
        on_archs.push(on_arch);
    }
    if let Some((reason, help)) = &no_rtl {
        log.skipped("rtl", reason, help)?;
    }

    let fpga = bitstream(&loaded, args, &tools, &mut log, &mut good)?;

    let mut reports = Vec::new();
    for on_arch in &on_archs {
        let fpga = if on_arch.arch.name == BITSTREAM.0 {
            fpga.clone()
        } else {
            Part::absent("the demo builds a bitstream of `nano` only")
        };
        let report = gather::report(Subject {
            loaded: &loaded,
            arch: &on_arch.arch,
            compiled: &on_arch.compiled,
            memory: MEMORY,
            images: &images,
            outcomes: &on_arch.outcomes,
            accuracy: Some(on_arch.accuracy),
            traced: &on_arch.traced,
            verification: Part::Present(&on_arch.verified.parts[0]),
            fpga,
            exploration: Part::absent(
                "`tilewright explore digits -o FILE` and `tilewright report --points FILE` make one",
            ),
            command: "tilewright demo".to_owned(),
        });
        reports.push(write_report(
            &report,
            &args.output.join(&on_arch.arch.name),
        )?);
    }
    log.done("report", &format!("{} pages", reports.len()))?;

    let result = json!({
        "passed": good,
        "seconds": begin.elapsed().as_secs_f64(),
        "steps": log.steps,
        "accuracy": right,
        "archs": on_archs.iter().map(|on_arch| json!({
            "arch": on_arch.arch.name,
            "cycles": on_arch.traced.cycles,
            "modelled_cycles": on_arch.compiled.predicted_cycles(),
            "verification": on_arch.verified,
        })).collect::<Vec<_>>(),
        "reports": reports.iter().map(|(page, data)| json!({"html": page, "json": data})).collect::<Vec<_>>(),
    });
    console.result("demo", &result, || {
        let pages: String = reports
            .iter()
            .map(|(page, _)| format!("  {}\n", page.display()))
            .collect();
        let end = if good {
            "everything that ran agrees"
        } else {
            "FAILED: see above"
        };
        format!(
            "\n{end}, in {:.1} s\nreports:\n{pages}",
            begin.elapsed().as_secs_f64()
        )
    })?;
    Ok(Outcome::good_if(good))
}

/// Classes all images with the reference.
fn reference(loaded: &Loaded, images: &Images, console: &Console) -> Result<Accuracy, Failure> {
    let bar = console.bar(images.images.len() as u64, "running the reference");
    let mut outputs = Vec::new();
    for image in images.images.chunks(loaded.network.batch) {
        interrupt::check()?;
        outputs.push(oracle::graph_outputs(&loaded.network, image)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let firsts = outputs.iter().map(|outputs| &outputs[0]);
    Ok(Accuracy::of(firsts, &loaded.network, images).expect("digits has labels"))
}

fn on_arch(
    name: &str,
    loaded: &Loaded,
    images: &Images,
    right: Accuracy,
    args: &Args,
    with_rtl: bool,
    log: &mut Log,
) -> Result<OnArch, Failure> {
    let console = log.console;
    console.print("\n")?;
    let network = &loaded.network;
    let arch = input::arch(name)?;
    log.done(
        name,
        &format!(
            "{}, {} MACs a cycle at {} MHz",
            arch.description,
            arch.macs_per_cycle(),
            arch.clock_hz / 1_000_000
        ),
    )?;

    let options = mapper::Options {
        memory: MEMORY,
        ..Default::default()
    };
    let compiled = mapper::compile(network, &arch, &options)?;
    let candidates: u64 = compiled
        .layers
        .iter()
        .filter_map(|layer| layer.certificate.as_ref())
        .map(|c| c.candidates)
        .sum();
    let text = format!(
        "{} instructions, best of {} mappings: {} cycles (modelled)",
        thousands(compiled.program.instructions.len() as u64),
        thousands(candidates),
        thousands(compiled.predicted_cycles())
    );
    log.done("compile", &text)?;

    let artifact = Artifact {
        network: network.clone(),
        arch: arch.clone(),
        program: compiled.program.clone(),
    };
    let settings = Settings {
        memory: MEMORY,
        ..Settings::default()
    };
    let outcomes = run_command::run_images(&artifact, "sim", settings, images, console)?;
    let accuracy = Accuracy::of_runs(&outcomes, network, images)?.expect("digits has labels");
    let traced = run_command::traced(&artifact, MEMORY)?;
    let utilisation = 100.0 * network.total_macs() as f64
        / (f64::from(arch.macs_per_cycle()) * traced.cycles as f64);
    let memory = if arch.memory.attachment == Attachment::OnChip {
        "memory on chip"
    } else {
        "memory M1"
    };
    let text = format!(
        "{} cycles an image (simulated, {memory}), {utilisation:.1} % of peak, {:.0} images/s; {} of {} right",
        thousands(traced.cycles),
        arch.clock_hz as f64 / traced.cycles as f64,
        accuracy.right,
        accuracy.of
    );
    log.done("simulate", &text)?;
    if accuracy != right {
        console.print(
            "                      FAILED: the simulator's accuracy is not the reference's\n",
        )?;
    }

    let verify_images = loaded.images(&DataArgs::default(), args.verify_images, console)?;
    let job = Job {
        network,
        network_hash: &loaded.hash,
        arch: &arch,
        directed: &Directed::default(),
        images: &verify_images,
        models: &MODELS,
        with_rtl,
        fuzz: 0,
        seed: input::SEED,
        cycle_limit: settings.cycle_limit,
    };
    let mut verified = verify_all(&job, console)?;
    if !with_rtl {
        verified.skipped.push(Skipped {
            device: "rtl".to_owned(),
            reason: "its tools are not installed".to_owned(),
        });
        verified
            .parts
            .iter_mut()
            .for_each(|part| part.skipped.clone_from(&verified.skipped));
    }
    let text = format!(
        "{}: {}; {}, {}",
        verified.devices.join(" = "),
        figures(&verified),
        count(verified.images as u64, "image"),
        count(verified.configurations.len() as u64, "configuration"),
    );
    log.done("verify", &text)?;
    Ok(OnArch {
        arch,
        compiled,
        outcomes,
        accuracy,
        traced,
        verified,
    })
}

/// The tools of `names` that are not here: the reason and what to do.
fn missing(tools: &[ToolStatus], names: &[&str]) -> Option<(String, String)> {
    let missing: Vec<&ToolStatus> = tools
        .iter()
        .filter(|status| {
            names.contains(&status.tool.as_str())
                && !matches!(status.state, ToolState::Found { .. })
        })
        .collect();
    missing.first()?;
    let names: Vec<String> = missing
        .iter()
        .map(|status| format!("`{}`", status.tool))
        .collect();
    let reason = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("{} and {last} are not installed", rest.join(", "))
        }
        _ => format!("{} is not installed", names[0]),
    };
    let installs: Vec<&str> = missing
        .iter()
        .map(|status| status.install.as_str())
        .collect();
    Some((
        reason,
        format!("{}, or run `make setup`", installs.join(", ")),
    ))
}

fn bitstream(
    loaded: &Loaded,
    args: &Args,
    tools: &[ToolStatus],
    log: &mut Log,
    good: &mut bool,
) -> Result<Part<Fpga>, Failure> {
    let (arch, board) = BITSTREAM;
    log.console.print("\n")?;
    if args.no_bitstream {
        return Ok(Part::absent("it was left out with `--no-bitstream`"));
    }
    let names = [
        hw::flow::VERILATOR.name,
        hw::flow::YOSYS.name,
        hw::flow::NEXTPNR_ICE40.name,
        hw::flow::ICEPACK.name,
    ];
    if let Some((reason, help)) = missing(tools, &names) {
        log.skipped("bitstream", &reason, &help)?;
        return Ok(Part::absent(reason));
    }
    log.console.print(
        "           bitstream  synthesis, then placing and routing beside a simulation of the netlist: some minutes\n",
    )?;
    let board = Board::named(board).expect("the board is part of the program");
    let first = loaded.images(&DataArgs::default(), Count::First(1), log.console)?;
    let folder = args.output.join("bitstream");
    crate::output::claim(&folder, "build", false)?;
    crate::output::folder(&args.output)?;
    match build::build(
        &input::arch(arch)?,
        &board,
        loaded,
        &first,
        &folder,
        log.console,
    ) {
        Ok(built) => {
            let report = &built.report;
            let text = format!(
                "{}: {} of {} logic cells, {} DSPs, {} block RAMs (measured), {:.1} MHz (estimated by nextpnr); its netlist gives the reference's logits",
                report.part,
                thousands(report.used.logic_cells),
                thousands(report.available.logic_cells),
                report.used.multipliers,
                report.used.block_rams,
                report.placement.fmax_hz / 1e6
            );
            log.done("bitstream", &text)?;
            Ok(Part::Present(build::for_report(&built)))
        }
        Err(failure) if failure.code == Code::Interrupted => Err(failure),
        Err(failure) => {
            *good = false;
            let reason = failure.report.to_string();
            log.failed("bitstream", &failure)?;
            Ok(Part::absent(reason))
        }
    }
}
