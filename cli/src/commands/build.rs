//! `tilewright build`: a bitstream, called good only after its checks.

use std::path::PathBuf;

use bench::report::{Check, Figure, Fpga, Provenance, Resource, Tool};
use hw::flow::{Board, BuildReport, Step, build_with};
use serde_json::{Value, json};

use crate::console::{Console, Table, thousands};
use crate::failure::{Failure, Outcome};
use crate::{input, output};

/// Build a bitstream, called good only after its checks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The arch: `nano`, or a file
    #[arg(long, value_name = "ARCH")]
    arch: String,
    /// The board
    #[arg(long, value_name = "BOARD", value_parser = clap::builder::PossibleValuesParser::new(Board::names()))]
    target: String,
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
    if let Some(parent) = args.output.parent() {
        output::folder(parent)?;
    }
    let report = build(&arch, &board, &args.output, console)?;
    let mut result = serde_json::to_value(&report).unwrap_or(Value::Null);
    result["output"] = json!(args.output);
    console.result("build", &result, || {
        text(&report, &args.output.display().to_string())
    })?;
    Ok(Outcome::Good)
}

/// Builds with progress.
pub(crate) fn build(
    arch: &ir::Arch,
    board: &Board,
    folder: &std::path::Path,
    console: &Console,
) -> Result<BuildReport, Failure> {
    let spinner = console.spinner("building");
    let report = build_with(arch, board, folder, &mut |step| {
        spinner.set_message(step_text(step))
    });
    spinner.finish_and_clear();
    crate::interrupt::check()?;
    Ok(report?)
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

fn text(report: &BuildReport, folder: &str) -> String {
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
        "wrote `{folder}`: bitstream of arch `{}` for board `{}`, {} B\n\n{table}\nclock {:.2} MHz asked for, {:.2} MHz reached with seed {} (estimated by nextpnr)\nslowest path: {} to {}, {:.1} ns logic, {:.1} ns wires\nserial line: {} baud\ntools: {seconds:.1} s\n",
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
    )
}

/// A build as the report states it.
pub(crate) fn for_report(report: &BuildReport) -> Fpga {
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
