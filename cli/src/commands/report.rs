//! `tilewright report`: one self-contained page and its data.

use std::path::{Path, PathBuf};

use bench::report::{Part, Report};
use explore::print;
use host_runtime::{Artifact, Settings};
use serde_json::json;

use super::map::MappingArgs;
use super::verify::{Job, verify_all};
use super::{build, explore as explore_command, run as run_command};
use crate::accuracy::Accuracy;
use crate::console::{Console, thousands};
use crate::failure::{Failure, Outcome};
use crate::gather::{self, Subject};
use crate::input::{self, Count, DataArgs, NetworkArgs, image_count};
use crate::output;

/// Write one self-contained HTML page and its data, as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    mapping: MappingArgs,
    /// The folder for `report.html` and `report.json`
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// How many images run on the simulator, or `all`
    #[arg(long, value_name = "N", default_value = "all", value_parser = image_count)]
    images: Count,
    /// How many images run on all devices, or `all`
    #[arg(long, value_name = "N", default_value = "3", value_parser = image_count)]
    verify_images: Count,
    /// A folder that `build` wrote, for the bitstream
    #[arg(long, value_name = "DIR")]
    bitstream: Option<PathBuf>,
    /// A file that `explore` wrote, for the designs around this one
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let arch = args.mapping.arch()?;
    let loaded = args.network.load()?;
    let images = loaded.images(&args.data, args.images, console)?;
    let verify_images = loaded.images(&args.data, args.verify_images, console)?;
    let fpga = match &args.bitstream {
        None => Part::absent("no bitstream was given with `--bitstream`"),
        Some(folder) => Part::Present(build::for_report(&build::read(folder)?)),
    };
    let exploration = match &args.points {
        None => Part::absent("no exploration was given with `--points`"),
        Some(path) => {
            let subject = print::Subject {
                network_hash: loaded.hash.clone(),
                memory: args.mapping.memory().name().to_owned(),
            };
            let points = print::from_jsonl(&subject, &input::text(path, POINTS_BYTES)?)
                .map_err(|reason| Failure::read(path, reason))?;
            Part::Present(explore_command::for_report("given", &points))
        }
    };
    let directed = args.mapping.directed(&loaded.network, console)?;
    let compiled = args
        .mapping
        .compile(&loaded.network, &arch, false, &directed, console)?;
    let artifact = Artifact {
        network: loaded.network.clone(),
        arch: arch.clone(),
        program: compiled.program.clone(),
    };
    let memory = args.mapping.memory();
    let settings = Settings {
        memory,
        ..Settings::default()
    };
    let outcomes = run_command::run_images(&artifact, "sim", settings, &images, console)?;
    let accuracy = Accuracy::of_runs(&outcomes, &loaded.network, &images)?;
    let traced = run_command::traced(&artifact, memory)?;
    let job = Job {
        network: &loaded.network,
        network_hash: &loaded.hash,
        arch: &arch,
        directed: &directed,
        images: &verify_images,
        models: &MODELS,
        with_rtl: true,
        fuzz: 0,
        seed: input::SEED,
        cycle_limit: settings.cycle_limit,
    };
    let verified = verify_all(&job, console)?;
    let report = gather::report(Subject {
        loaded: &loaded,
        arch: &arch,
        compiled: &compiled,
        memory,
        images: &images,
        outcomes: &outcomes,
        accuracy,
        traced: &traced,
        verification: Part::Present(&verified.parts[0]),
        fpga,
        exploration,
        command: format!(
            "tilewright report {} --arch {}",
            args.network.network, args.mapping.arch
        ),
    });
    let (page, data) = write(&report, &args.output)?;
    let result = json!({"html": page, "json": data, "agrees": verified.agrees, "cycles": report.run.cycles.value});
    console.result("report", &result, || {
        format!(
            "wrote `{}` and `{}`: {} cycles an image (simulated)\n",
            page.display(),
            data.display(),
            thousands(report.run.cycles.value)
        )
    })?;
    Ok(Outcome::good_if(verified.agrees))
}

/// The memory models that devices are compared with.
pub(crate) const MODELS: [ir::MemoryModel; 3] = [
    ir::MemoryModel::Ideal,
    ir::MemoryModel::M1,
    ir::MemoryModel::M2,
];

/// Files of points above this size are none.
const POINTS_BYTES: u64 = 1 << 30;

/// Writes page and data to `folder`, and gives their paths.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    output::folder(folder)?;
    let (page, data) = (folder.join("report.html"), folder.join("report.json"));
    output::write(&page, report.to_html())?;
    output::write(&data, report.to_json())?;
    Ok((page, data))
}
