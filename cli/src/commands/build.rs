//! `tilewright build`: a bitstream, called good only after its checks.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bench::report::{Check, Figure, Fpga, Provenance, Resource, Tool};
use host_runtime::Artifact;
use host_runtime::netlist::{self, NetlistRun};
use hw::flow::{self, Board, BuildReport, Step};
use ir::Arch;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::console::{Console, Table, count, thousands};
use crate::failure::{Failure, Outcome};
use crate::input::{self, Count, DataArgs, Images, Loaded, Source, image_count};
use crate::{interrupt, output};

/// Build a bitstream, called good only after its checks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The arch: `nano`, or a file
    #[arg(long, value_name = "ARCH")]
    arch: String,
    /// The board
    #[arg(long, value_name = "BOARD", value_parser = clap::builder::PossibleValuesParser::new(Board::names()))]
    target: String,
    /// The network that the mapped netlist must run right: an ONNX file, `digits`, or `zoo:NAME`
    #[arg(long, value_name = "NET", default_value = "digits")]
    network: String,
    /// How many images it must run right, over the simulated pins
    #[arg(long, value_name = "N", default_value = "1", value_parser = image_count)]
    images: Count,
    /// The folder to write to; it is replaced as a whole
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let arch = input::arch(&args.arch)?;
    let board = Board::named(&args.target).ok_or_else(|| {
        Failure::usage(
            format!("there is no board `{}`", args.target),
            "`tilewright build --help` lists the boards",
        )
    })?;
    let loaded = Source::find(&args.network)?.load(&onnx::Options::default())?;
    let images = loaded.images(&DataArgs::default(), args.images, console)?;
    if let Some(parent) = args.output.parent() {
        output::folder(parent)?;
    }
    let built = build(&arch, &board, &loaded, &images, &args.output, console)?;
    let mut result = serde_json::to_value(&built.report).unwrap_or(Value::Null);
    result["netlist"] = json!(built.netlist);
    result["output"] = json!(args.output);
    console.result("build", &result, || {
        text(&built, &args.output.display().to_string())
    })?;
    Ok(Outcome::Good)
}

/// A bitstream that passed every check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Built {
    pub(crate) report: BuildReport,
    pub(crate) netlist: NetlistRun,
}

/// The name of [`Built`] in the folder of a build.
const CHECKS: &str = "checks.json";

/// Builds with progress: the network runs on the mapped netlist while that is placed and routed.
///
/// The folder holds only a bitstream that passed every check; one whose netlist gives wrong values goes to
/// `NAME.failed`.
pub(crate) fn build(
    arch: &Arch,
    board: &Board,
    loaded: &Loaded,
    images: &Images,
    folder: &Path,
    console: &Console,
) -> Result<Built, Failure> {
    let program = mapper::compile(&loaded.network, arch, &mapper::Options::default())?.program;
    let artifact = Artifact {
        network: loaded.network.clone(),
        arch: arch.clone(),
        program,
    };
    let work = folder.parent().filter(|path| !path.as_os_str().is_empty());
    let spinner = console.spinner("building");
    let synthesis = flow::synthesise(arch, board, work.unwrap_or(Path::new(".")), &mut |step| {
        spinner.set_message(step_text(step))
    });
    interrupt::check()?;
    let mut synthesis = synthesis?;
    let files = synthesis.netlist()?;

    // What each of the two is doing.
    let doing = Mutex::new([String::new(), String::new()]);
    let tell = |which: usize, text: String| {
        let mut doing = doing.lock().expect("nothing panics while it holds this");
        doing[which] = text;
        spinner.set_message(doing.join("; "));
    };
    let (report, checked) = std::thread::scope(|scope| {
        let check = scope.spawn(|| {
            let checked = netlist::check(
                &files,
                board.clocks_per_bit,
                &artifact,
                &images.images,
                &mut |step| tell(1, netlist_text(step)),
            );
            tell(1, "mapped netlist checked".to_owned());
            checked
        });
        let report = synthesis.place(&mut |step| tell(0, step_text(step)));
        tell(0, "placement done".to_owned());
        (report, check.join().expect("a check does not panic"))
    });
    spinner.finish_and_clear();
    interrupt::check()?;
    match (report, checked) {
        (Ok(report), Ok(netlist)) => {
            let built = Built { report, netlist };
            synthesis.write(&built.report, folder)?;
            output::write(
                &folder.join(CHECKS),
                serde_json::to_vec_pretty(&built).expect("plain data"),
            )?;
            Ok(built)
        }
        (Ok(report), Err(error)) => {
            let mut name = folder.file_name().unwrap_or_default().to_owned();
            name.push(".failed");
            synthesis.write(&report, &folder.with_file_name(name))?;
            Err(error.into())
        }
        (Err(error), Ok(_)) => Err(error.into()),
        // Wrong values weigh more than a clock that is not met.
        (Err(_), Err(error)) => Err(error.into()),
    }
}

/// The build in a folder that [`build`] filled.
pub(crate) fn read(folder: &Path) -> Result<Built, Failure> {
    let path = folder.join(CHECKS);
    serde_json::from_str(&input::text(&path, 1 << 20)?).map_err(|error| Failure::read(&path, error))
}

fn step_text(step: Step) -> String {
    match step {
        Step::Lint => "linting".to_owned(),
        Step::Synthesis => "synthesising".to_owned(),
        Step::Cells => "comparing hard cells".to_owned(),
        Step::Place(seed) => format!("placing and routing, seed {seed}"),
        Step::Pack => "packing the bitstream".to_owned(),
    }
}

fn netlist_text(step: netlist::Step) -> String {
    match step {
        netlist::Step::Compile => "compiling the mapped netlist".to_owned(),
        netlist::Step::Send { done, of } => {
            format!("simulating the mapped netlist: {done} of {of} words over the serial line")
        }
        netlist::Step::Run => "simulating the mapped netlist: running the program".to_owned(),
    }
}

/// Kinds of cells: name, number used, number available.
fn resources(report: &BuildReport) -> [(&'static str, u64, u64); 4] {
    let (used, available) = (report.used, report.available);
    [
        ("logic cells", used.logic_cells, available.logic_cells),
        ("multipliers", used.multipliers, available.multipliers),
        ("block RAMs", used.block_rams, available.block_rams),
        (
            "single-port RAMs",
            used.single_port_rams,
            available.single_port_rams,
        ),
    ]
}

fn text(built: &Built, folder: &str) -> String {
    let Built { report, netlist } = built;
    let mhz = |hz: f64| hz / 1e6;
    let mut table = Table::new(["cells", "used", "available", "share"]);
    for (name, used, available) in resources(report) {
        let share = 100.0 * used as f64 / available.max(1) as f64;
        table.row([
            name.to_owned(),
            thousands(used),
            thousands(available),
            format!("{share:.1} %"),
        ]);
    }
    let seconds: f64 = report.tools.iter().map(|run| run.wall_seconds).sum();
    format!(
        "wrote `{folder}`: bitstream of arch `{}` for board `{}`, {} B\n\n{table}\nclock {:.2} MHz asked for, {:.2} MHz reached with seed {} (estimated by nextpnr)\nslowest path: {} to {}, {:.1} ns logic, {:.1} ns wires\nserial line: {} baud\nmapped netlist: {} right over the simulated pins, {} cycles each as simulated\ntools: {seconds:.1} s\n",
        report.arch,
        report.board,
        thousands(report.bitstream_bytes),
        mhz(report.clock_hz as f64),
        mhz(report.placement.fmax_hz),
        report.placement.seed,
        report.placement.critical.from,
        report.placement.critical.to,
        report.placement.critical.logic_ns,
        report.placement.critical.routing_ns,
        thousands(report.baud),
        count(netlist.images as u64, "image"),
        thousands(netlist.cycles.first().copied().unwrap_or(0)),
    )
}

/// A build as the report states it.
pub(crate) fn for_report(built: &Built) -> Fpga {
    let Built { report, netlist } = built;
    let measured = |value| Figure::new(value, Provenance::Measured);
    let check = |name: &str, detail: String| Check {
        name: name.to_owned(),
        passed: true,
        detail,
    };
    let mut tools: Vec<Tool> = report
        .tools
        .iter()
        .map(|run| Tool {
            name: run.tool.clone(),
            version: run.version.clone(),
        })
        .collect();
    tools.dedup();
    let fmax_hz = report.placement.fmax_hz as u64;
    Fpga {
        device: report.part.clone(),
        board: Some(report.board.clone()),
        resources: resources(report)
            .into_iter()
            .map(|(name, used, available)| Resource {
                name: name.to_owned(),
                used: measured(used),
                available,
            })
            .collect(),
        clock_hz: Figure::new(report.clock_hz, Provenance::Given),
        fmax_hz: Figure::new(fmax_hz, Provenance::Estimated),
        bitstream_bytes: measured(report.bitstream_bytes),
        // A report exists only when all of these hold.
        checks: vec![
            check(
                "lint",
                "Verilator reads the design without a warning".to_owned(),
            ),
            check(
                "hard cells",
                "numbers and every parameter of the multipliers equal the design's".to_owned(),
            ),
            check("capacity", "every kind of cell fits the part".to_owned()),
            check(
                "netlist",
                format!(
                    "{}, {} values equal to the reference, {} cycles simulated",
                    count(netlist.images as u64, "image"),
                    thousands(netlist.values_compared),
                    thousands(netlist.simulated_cycles)
                ),
            ),
            check(
                "clock",
                format!(
                    "{:.2} MHz of {:.2} MHz",
                    fmax_hz as f64 / 1e6,
                    report.clock_hz as f64 / 1e6
                ),
            ),
        ],
        tools,
    }
}
