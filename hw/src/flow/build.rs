//! Arch to bitstream, with the checks that make it good.
//!
//! [`synthesise`] gives a [`Synthesis`]: a mapped netlist whose hard cells are those of the design.
//! [`Synthesis::place`] makes a bitstream of it, and [`Synthesis::write`] puts everything into one directory.
//!
//! The last check, the simulation of the mapped netlist on a real program, needs a program and stands in
//! `host_runtime::netlist`; [`Synthesis::netlist`] gives the netlist for it. It needs no placement, so both can go on
//! at the same time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ir::Arch;
use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::board::{Board, Resources};
use super::mapped;
use super::registry::{self, ICEPACK, NEXTPNR_ICE40, VERILATOR, YOSYS};
use super::tool::{self, Limits, ToolError, ToolRun};
use super::{JobDir, Tool};
use crate::design::{self, Design, Technology};

/// The files that [`Synthesis::write`] writes beside [`NETLIST_FILES`]: the bitstream, and the [`BuildReport`].
pub const RESULT_FILES: [&str; 2] = ["bitstream.bin", "report.json"];

/// The netlist for simulation and its cell models, in the order in which a simulator reads them.
pub const NETLIST_FILES: [&str; 3] = ["models.v", "clock.v", "netlist.v"];

/// The top module of the netlist.
pub const NETLIST_TOP: &str = design::UART_TOP;

/// Seeds of the placer, tried in this order until one meets the clock. Nextpnr gives the same result for the same seed.
const SEEDS: [u32; 4] = [1, 2, 3, 4];

/// What a build made, with every number and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildReport {
    /// Name of the Arch.
    pub arch: String,
    /// Hash of the Arch, which the bitstream answers to INFO: 16 hexadecimal digits.
    pub arch_hash: String,
    /// Name of the board.
    pub board: String,
    /// Name of the part.
    pub part: String,
    /// The clock that was asked for and met.
    pub clock_hz: u64,
    /// Cycles of a bit of the serial line.
    pub clocks_per_bit: u32,
    /// Bits a second of the serial line.
    pub baud: u64,
    /// What synthesis made; `logic_cells` counts look-up tables.
    pub mapped: Resources,
    /// What the placer used.
    pub used: Resources,
    /// What the part has.
    pub available: Resources,
    /// The placement that met the clock.
    pub placement: Placement,
    /// Placements before it that did not.
    pub missed: Vec<Placement>,
    /// Size of the bitstream.
    pub bitstream_bytes: u64,
    /// BLAKE3 hash of the bitstream.
    pub bitstream_hash: String,
    /// BLAKE3 hash of the netlist for simulation.
    pub netlist_hash: String,
    /// Every run of a tool, in order.
    pub tools: Vec<ToolRun>,
}

/// One run of the placer and router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// Seed of the placer.
    pub seed: u32,
    /// The highest frequency at which the routed design works, as nextpnr's timing analysis says.
    pub fmax_hz: f64,
    /// What limits it.
    pub critical: CriticalPath,
}

/// The slowest path of a placement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CriticalPath {
    /// Where it starts, in the template's words.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// The parts of the template that it passes, in order.
    pub through: Vec<String>,
    /// Delay of logic.
    pub logic_ns: f64,
    /// Delay of wires.
    pub routing_ns: f64,
    /// Cells and pins, for those who know the netlist.
    pub cells: Vec<String>,
}

/// A step of a build, for progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Verilator reads the design.
    Lint,
    /// Yosys maps it.
    Synthesis,
    /// Counts and settings of hard cells are compared.
    Cells,
    /// Nextpnr places and routes with a seed.
    Place(u32),
    /// Icepack writes the bitstream.
    Pack,
}

/// Why there is no bitstream.
#[derive(Debug, Error, Diagnostic)]
pub enum BuildError {
    /// The board cannot carry the Arch: choose another of either.
    #[error("arch `{arch}` cannot be built for board `{board}`: {reason}")]
    #[diagnostic(
        code(build::unsupported),
        help("`nano` is the preset for the iCE40 UP5K")
    )]
    Unsupported {
        /// The Arch.
        arch: String,
        /// The board.
        board: String,
        /// Why.
        reason: String,
    },
    /// The design has warnings: a bug of the generator or of a cell.
    #[error("the design of arch `{arch}` is not clean:\n{first_lines}")]
    #[diagnostic(
        code(build::lint),
        help("this is a bug of the generator, please report it")
    )]
    Lint {
        /// The Arch.
        arch: String,
        /// The first warnings.
        first_lines: String,
    },
    /// Synthesis made another number of hard cells than the design has: a bug of the flow.
    #[error("the mapped design has {found} {what}, the design has {expected}")]
    #[diagnostic(
        code(build::count),
        help("synthesis turned something into other cells; this is a bug of the flow")
    )]
    Count {
        /// The cells.
        what: &'static str,
        /// Of the design.
        expected: u64,
        /// Of the netlist.
        found: u64,
    },
    /// Synthesis changed a multiplier: a bug of the flow.
    #[error("multiplier `{cell}`: `{setting}` is {found}, the design has {expected}")]
    #[diagnostic(
        code(build::setting),
        help("never synthesise with `-dsp`: it rewrites multipliers instantiated by hand")
    )]
    Setting {
        /// The cell.
        cell: String,
        /// Parameter or pin.
        setting: String,
        /// Bits in the design.
        expected: String,
        /// Bits in the netlist.
        found: String,
    },
    /// The part is too small.
    #[error("the design needs {needed} {what}, part `{part}` has {available}")]
    #[diagnostic(
        code(build::capacity),
        help("reduce the arch: fewer rows, cols or semaphores, or a longer `requantise_interval`")
    )]
    Capacity {
        /// The cells.
        what: &'static str,
        /// How many.
        needed: u64,
        /// Of how many.
        available: u64,
        /// The part.
        part: String,
    },
    /// No placement is fast enough.
    #[error(
        "the clock is not met: {clock_mhz:.2} MHz asked for, {fmax_mhz:.2} MHz reached with seed {seed} (best of {seeds}); the slowest path goes from {from} to {to} through {through}: {logic_ns:.1} ns logic, {routing_ns:.1} ns wires"
    )]
    #[diagnostic(code(build::timing), help("lower `clock_hz` in the arch"))]
    Timing {
        /// The frequency of the Arch.
        clock_mhz: f64,
        /// The frequency of the best placement.
        fmax_mhz: f64,
        /// Its seed.
        seed: u32,
        /// Number of seeds tried.
        seeds: usize,
        /// Start of its slowest path.
        from: String,
        /// End of its slowest path.
        to: String,
        /// Parts between.
        through: String,
        /// Delay of logic.
        logic_ns: f64,
        /// Delay of wires.
        routing_ns: f64,
    },
    /// A tool wrote something that cannot be read: a tool of another version, or a bug of the flow.
    #[error("cannot read what `{tool}` wrote: {reason}")]
    #[diagnostic(code(build::output))]
    Output {
        /// The tool.
        tool: &'static str,
        /// Why.
        reason: String,
    },
    /// A tool is missing, failed or was stopped.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tool(#[from] ToolError),
}

impl BuildError {
    /// The exit code of the command line for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            BuildError::Unsupported { .. } => 3,
            BuildError::Lint { .. }
            | BuildError::Count { .. }
            | BuildError::Setting { .. }
            | BuildError::Capacity { .. }
            | BuildError::Timing { .. } => 1,
            BuildError::Output { .. } => 5,
            BuildError::Tool(error) => error.exit_code(),
        }
    }
}

/// A design as synthesis left it: a netlist whose hard cells are those of the design, not placed yet.
///
/// Its files live in a directory of their own, which goes with it.
#[derive(Debug)]
pub struct Synthesis {
    arch: Arch,
    board: Board,
    job: JobDir,
    mapped: Resources,
    tools: Vec<ToolRun>,
}

/// Lints and synthesises the Design of `arch` for `board`, in a new directory in `work`.
///
/// `progress` is called at the start of each step.
///
/// # Errors
/// [`BuildError`]: which check failed, or which tool is missing or failed.
pub fn synthesise(
    arch: &Arch,
    board: &Board,
    work: &Path,
    progress: &mut dyn FnMut(Step),
) -> Result<Synthesis, BuildError> {
    let unsupported = |reason| BuildError::Unsupported {
        arch: arch.name.clone(),
        board: board.name.to_owned(),
        reason,
    };
    let generic = design::generate_for(arch, board, Technology::Generic).map_err(unsupported)?;
    let design = design::generate_for(arch, board, Technology::Ice40).map_err(unsupported)?;
    let mut job = JobDir::create(work, "build")?;
    let mut tools = vec![];

    progress(Step::Lint);
    lint(arch, &generic, &mut job, &mut tools)?;

    progress(Step::Synthesis);
    let expected = design::hard_cells(arch);
    fits(expected, board)?;
    map(&design, &mut job, &mut tools)?;

    progress(Step::Cells);
    let mapped = mapped::check(&job.read("mapped.json")?, &design.top, expected)?;
    Ok(Synthesis {
        arch: arch.clone(),
        board: board.clone(),
        job,
        mapped,
        tools,
    })
}

impl Synthesis {
    /// The netlist for simulation: names ([`NETLIST_FILES`]) and texts.
    ///
    /// # Errors
    /// When the cell models or the netlist cannot be read.
    pub fn netlist(&self) -> Result<Vec<(String, String)>, BuildError> {
        let [models, clock, netlist] = NETLIST_FILES.map(str::to_owned);
        Ok(vec![
            (models, cell_models()?),
            (clock, CLOCK_MODEL.to_owned()),
            (netlist, self.job.read_text("netlist.v")?),
        ])
    }

    /// Places, routes and packs: the bitstream of the first seed that meets the clock.
    ///
    /// # Errors
    /// [`BuildError`]: the part is too small or the clock is not met, or a tool is missing or failed.
    pub fn place(&mut self, progress: &mut dyn FnMut(Step)) -> Result<BuildReport, BuildError> {
        let Synthesis {
            arch,
            board,
            job,
            mapped,
            tools,
        } = self;
        let (placement, missed, used) = place(arch.clock_hz, board, job, tools, progress)?;

        progress(Step::Pack);
        let arguments = ["placed.asc", "bitstream.bin"];
        tools.push(tool::run(&ICEPACK, &arguments, job, &minutes(2))?.run);

        let bitstream = job.read("bitstream.bin")?;
        let netlist = job.read("netlist.v")?;
        Ok(BuildReport {
            arch: arch.name.clone(),
            arch_hash: format!("{:016x}", arch.hash()),
            board: board.name.to_owned(),
            part: board.part.name.to_owned(),
            clock_hz: arch.clock_hz,
            clocks_per_bit: board.clocks_per_bit,
            baud: board.baud(arch.clock_hz),
            mapped: *mapped,
            used,
            available: board.part.capacity,
            placement,
            missed,
            bitstream_bytes: bitstream.len() as u64,
            bitstream_hash: blake3::hash(&bitstream).to_hex().to_string(),
            netlist_hash: blake3::hash(&netlist).to_hex().to_string(),
            tools: tools.clone(),
        })
    }

    /// Writes `report`, the bitstream it is about, and the netlist to the directory `out`.
    ///
    /// `out` is replaced as a whole, or left as it was. It then holds [`RESULT_FILES`], [`NETLIST_FILES`] and `others`,
    /// which are names and contents.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn write(
        &self,
        report: &BuildReport,
        others: &[(&str, Vec<u8>)],
        out: &Path,
    ) -> Result<(), BuildError> {
        let text = serde_json::to_vec_pretty(report).expect("a report is plain data");
        let [bitstream, record] = RESULT_FILES.map(str::to_owned);
        let mut files = vec![(bitstream, self.job.read("bitstream.bin")?), (record, text)];
        files.extend(
            others
                .iter()
                .map(|(name, contents)| ((*name).to_owned(), contents.clone())),
        );
        files.extend(
            self.netlist()?
                .into_iter()
                .map(|(name, text)| (name, text.into_bytes())),
        );
        Ok(publish(out, &files)?)
    }
}

fn minutes(n: u64) -> Limits {
    Limits::wall(Duration::from_secs(60 * n))
}

/// Writes all files to a new directory, which then takes the place of `out`.
fn publish(out: &Path, files: &[(String, Vec<u8>)]) -> Result<(), ToolError> {
    let parent = out
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut fresh = JobDir::create(parent, "results")?;
    for (name, contents) in files {
        let path = fresh.root().join(name);
        fs::write(&path, contents).map_err(|source| ToolError::io("write", &path, source))?;
    }
    // What was there goes into a directory that is then removed.
    let old = JobDir::create(parent, "replaced")?;
    match fs::rename(out, old.path("old")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ToolError::Io {
                action: "replace",
                path: out.to_owned(),
                source: error,
            });
        }
        _ => {}
    }
    fresh.keep();
    fs::rename(fresh.root(), out).map_err(|source| ToolError::Io {
        action: "create",
        path: out.to_owned(),
        source,
    })
}

fn write_design(design: &Design, prefix: &str, job: &JobDir) -> Result<Vec<String>, ToolError> {
    let mut names = vec![];
    for (name, text) in &design.files {
        let name = format!("{prefix}{name}");
        job.write(&name, text)?;
        names.push(name);
    }
    Ok(names)
}

/// Verilator without a waiver, on the generic version: vendor cells differ from it in the primitives only.
fn lint(
    arch: &Arch,
    design: &Design,
    job: &mut JobDir,
    tools: &mut Vec<ToolRun>,
) -> Result<(), BuildError> {
    let names = write_design(design, "generic_", job)?;
    // The file of a module that is not in it, which `-Wall` wants otherwise.
    let mut arguments = vec![
        "--lint-only",
        "-Wall",
        "-Wno-DECLFILENAME",
        "--top-module",
        &design.top,
    ];
    arguments.extend(names.iter().map(String::as_str));
    match tool::run(&VERILATOR, &arguments, job, &minutes(5)) {
        Ok(finished) => tools.push(finished.run),
        Err(ToolError::Failed { tail, .. }) => {
            return Err(BuildError::Lint {
                arch: arch.name.clone(),
                first_lines: tail,
            });
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The script of yosys. `-dsp` must never stand in it: it rewrites multipliers instantiated by hand.
fn script(files: &[String], top: &str) -> String {
    let mut lines: Vec<String> = files
        .iter()
        .map(|name| format!("read_verilog -sv {name}"))
        .collect();
    lines.push(format!("synth_ice40 -top {top} -run begin:flatten"));
    // Sums marked so become carry chains before the tree they stand in can become a carry-save adder.
    lines.push("alumacc A:carry_chain".into());
    lines.push(format!("synth_ice40 -top {top} -run flatten:"));
    lines.push("check -assert -mapped".into());
    lines.push("write_json mapped.json".into());
    // The models have no PLL.
    lines.push("chtype -set SIM_PLL40_PAD t:SB_PLL40_PAD".into());
    lines.push("write_verilog -noattr netlist.v".into());
    lines.join("\n") + "\n"
}

fn map(design: &Design, job: &mut JobDir, tools: &mut Vec<ToolRun>) -> Result<(), BuildError> {
    let names = write_design(design, "", job)?;
    job.write("synth.ys", script(&names, &design.top))?;
    tools.push(tool::run(&YOSYS, &["-q", "-s", "synth.ys"], job, &minutes(20))?.run);
    Ok(())
}

/// Compares hard cells with what the part has, before any tool does.
fn fits(needed: Resources, board: &Board) -> Result<(), BuildError> {
    let capacity = board.part.capacity;
    let pairs = [
        ("logic cells", needed.logic_cells, capacity.logic_cells),
        ("multipliers", needed.multipliers, capacity.multipliers),
        ("block memories", needed.block_rams, capacity.block_rams),
        (
            "single-port memories",
            needed.single_port_rams,
            capacity.single_port_rams,
        ),
    ];
    for (what, needed, available) in pairs {
        if needed > available {
            return Err(BuildError::Capacity {
                what,
                needed,
                available,
                part: board.part.name.to_owned(),
            });
        }
    }
    Ok(())
}

type Placed = (Placement, Vec<Placement>, Resources);

fn place(
    clock_hz: u64,
    board: &Board,
    job: &mut JobDir,
    tools: &mut Vec<ToolRun>,
    progress: &mut dyn FnMut(Step),
) -> Result<Placed, BuildError> {
    job.write("pins.pcf", board.pins)?;
    let device = format!("--{}", board.part.device);
    let mhz = format!("{}", clock_hz as f64 / 1e6);
    let mut missed: Vec<Placement> = vec![];
    for seed in SEEDS {
        progress(Step::Place(seed));
        let number = seed.to_string();
        let mut arguments = vec![
            device.as_str(),
            "--package",
            &board.part.package,
            "--freq",
            &mhz,
            "--seed",
            &number,
        ];
        arguments.extend([
            "--json",
            "mapped.json",
            "--pcf",
            "pins.pcf",
            "--asc",
            "placed.asc",
        ]);
        // The report judges, not the exit status, which says nothing about where the time goes.
        arguments.extend(["--report", "placed.json", "--timing-allow-fail"]);
        match tool::run(&NEXTPNR_ICE40, &arguments, job, &minutes(40)) {
            Ok(finished) => tools.push(finished.run),
            Err(error) => return Err(too_large(&error, board).unwrap_or(BuildError::Tool(error))),
        }
        let (fmax_hz, critical, used) = read_report(&job.read("placed.json")?)?;
        let placement = Placement {
            seed,
            fmax_hz,
            critical,
        };
        if placement.fmax_hz >= clock_hz as f64 {
            return Ok((placement, missed, used));
        }
        missed.push(placement);
    }
    let best = missed
        .iter()
        .max_by(|a, b| a.fmax_hz.total_cmp(&b.fmax_hz))
        .expect("seeds were tried");
    Err(BuildError::Timing {
        clock_mhz: clock_hz as f64 / 1e6,
        fmax_mhz: best.fmax_hz / 1e6,
        seed: best.seed,
        seeds: missed.len(),
        from: best.critical.from.clone(),
        to: best.critical.to.clone(),
        through: best.critical.through.join(", "),
        logic_ns: best.critical.logic_ns,
        routing_ns: best.critical.routing_ns,
    })
}

/// The capacity error that the log of a failed placement tells, if it does.
fn too_large(error: &ToolError, board: &Board) -> Option<BuildError> {
    let ToolError::Failed { log, .. } = error else {
        return None;
    };
    let log = fs::read_to_string(log).ok()?;
    let mut needed = Resources::default();
    for line in log.lines() {
        // `Info: ICESTORM_LC:  5402/ 5280   102%`
        let Some((name, rest)) = line
            .split_once(':')
            .and_then(|(_, rest)| rest.trim().split_once(':'))
        else {
            continue;
        };
        let Some(used) = rest
            .split('/')
            .next()
            .and_then(|used| used.trim().parse().ok())
        else {
            continue;
        };
        match name {
            "ICESTORM_LC" => needed.logic_cells = used,
            "ICESTORM_DSP" => needed.multipliers = used,
            "ICESTORM_RAM" => needed.block_rams = used,
            "ICESTORM_SPRAM" => needed.single_port_rams = used,
            _ => {}
        }
    }
    fits(needed, board).err()
}

#[derive(Deserialize)]
struct Report {
    fmax: BTreeMap<String, Fmax>,
    utilization: BTreeMap<String, Used>,
    critical_paths: Vec<TimingPath>,
}

#[derive(Deserialize)]
struct Fmax {
    achieved: f64,
}

#[derive(Deserialize)]
struct Used {
    used: u64,
}

#[derive(Deserialize)]
struct TimingPath {
    from: String,
    to: String,
    path: Vec<Hop>,
}

#[derive(Deserialize)]
struct Hop {
    delay: f64,
    #[serde(rename = "type")]
    kind: String,
    from: Pin,
    to: Pin,
}

#[derive(Deserialize)]
struct Pin {
    cell: String,
    port: String,
}

/// Frequency, slowest path and cells of nextpnr's report.
fn read_report(json: &[u8]) -> Result<(f64, CriticalPath, Resources), BuildError> {
    let output = |reason: String| BuildError::Output {
        tool: "nextpnr-ice40",
        reason,
    };
    let report: Report = serde_json::from_slice(json).map_err(|e| output(e.to_string()))?;
    let slowest = report
        .fmax
        .values()
        .map(|clock| clock.achieved)
        .min_by(f64::total_cmp);
    let fmax = slowest.ok_or_else(|| output("the report has no clock".to_owned()))?;
    let used = |kind: &str| report.utilization.get(kind).map_or(0, |cells| cells.used);
    let resources = Resources {
        logic_cells: used("ICESTORM_LC"),
        multipliers: used("ICESTORM_DSP"),
        block_rams: used("ICESTORM_RAM"),
        single_port_rams: used("ICESTORM_SPRAM"),
    };
    let inside =
        |path: &&TimingPath| path.from.starts_with("posedge") && path.to.starts_with("posedge");
    let critical = report
        .critical_paths
        .iter()
        .find(inside)
        .map(critical_path)
        .unwrap_or_default();
    Ok((fmax * 1e6, critical, resources))
}

fn critical_path(path: &TimingPath) -> CriticalPath {
    let sum = |routing: bool| {
        path.path
            .iter()
            .filter(|hop| (hop.kind == "routing") == routing)
            .map(|hop| hop.delay)
            .sum()
    };
    let pins: Vec<&Pin> = path
        .path
        .iter()
        .flat_map(|hop| [&hop.from, &hop.to])
        .collect();
    // A cell that the placer added belongs to what is around it.
    let named = pins.iter().filter(|pin| !pin.cell.starts_with('$'));
    let mut through: Vec<String> = named.map(|pin| part_of(&pin.cell)).collect();
    through.dedup();
    let mut cells: Vec<String> = pins
        .iter()
        .map(|pin| format!("{}.{}", pin.cell, pin.port))
        .collect();
    cells.dedup();
    CriticalPath {
        from: through.first().cloned().unwrap_or_default(),
        to: through.last().cloned().unwrap_or_default(),
        through,
        logic_ns: sum(false),
        routing_ns: sum(true),
        cells,
    }
}

/// Instances of the template in the words of `docs/concepts/machine.md`; the longest that fits is the one.
const PARTS: [(&str, &str); 30] = [
    ("u_shell", "the board shell"),
    ("u_shell.u_host", "the UART host"),
    ("u_machine", "the top"),
    ("u_machine.u_memory", "the memory on chip"),
    ("u_machine.u_core", "the core"),
    ("u_machine.u_core.u_fetch", "FETCH"),
    (
        "u_machine.u_core.gen_front[0]",
        "LOAD's queue and sequencer",
    ),
    (
        "u_machine.u_core.gen_front[1]",
        "EXEC's queue and sequencer",
    ),
    ("u_machine.u_core.gen_front[2]", "VEC's queue and sequencer"),
    (
        "u_machine.u_core.gen_front[3]",
        "STORE's queue and sequencer",
    ),
    ("u_machine.u_core.u_semaphores", "the semaphores"),
    ("u_machine.u_core.u_load", "LOAD"),
    ("u_machine.u_core.u_read_arbiter", "the read arbiter"),
    ("u_machine.u_core.u_banks", "the activation banks"),
    ("u_machine.u_core.u_exec_control", "EXEC's control"),
    ("u_machine.u_core.u_exec_control.u_loops", "EXEC's loops"),
    (
        "u_machine.u_core.gen_whole_tiles.u_weights",
        "the weight memory",
    ),
    (
        "u_machine.u_core.gen_columns.u_weights",
        "the weight memory",
    ),
    ("u_machine.u_core.gen_whole_tiles.u_array", "the array"),
    ("u_machine.u_core.gen_columns", "the array"),
    ("u_machine.u_core.u_accumulators", "the accumulators"),
    ("u_machine.u_core.u_parameters", "the parameter memory"),
    ("u_machine.u_core.u_vec", "VEC"),
    (
        "u_machine.u_core.u_vec.u_requantise",
        "the requantise units",
    ),
    ("u_machine.u_core.u_vec.gen_source", "VEC's loops"),
    ("u_machine.u_core.u_vec.gen_pool", "the max-pool unit"),
    ("u_machine.u_core.u_vec.gen_tables", "the table unit"),
    ("u_machine.u_core.u_store", "STORE"),
    ("u_machine.u_core.u_cycles", "the cycle counter"),
    ("u_machine.u_core.gen_counters", "the counters"),
];

/// The part of the template that the cell `name` of the netlist belongs to.
fn part_of(name: &str) -> String {
    let inside = |part: &str| {
        name.strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let parts = PARTS.iter().filter(|(part, _)| inside(part));
    parts
        .max_by_key(|(part, _)| part.len())
        .map_or_else(|| "the top".to_owned(), |(_, words)| (*words).to_owned())
}

/// What stands in for the PLL: its input is its output. The simulated clock is the core's.
const CLOCK_MODEL: &str =
    "// The PLL passes its clock on: the clock of the simulation is that of the core.
module SIM_PLL40_PAD (
  input PACKAGEPIN, input RESETB, input BYPASS, input EXTFEEDBACK, input [7:0] DYNAMICDELAY,
  input LATCHINPUTVALUE, input SDI, input SCLK,
  output PLLOUTCORE, output PLLOUTGLOBAL, output LOCK, output SDO
);
  parameter FEEDBACK_PATH = \"SIMPLE\";
  parameter DIVR = 4'd0;
  parameter DIVF = 7'd0;
  parameter DIVQ = 3'd0;
  parameter FILTER_RANGE = 3'd0;
  assign PLLOUTCORE = PACKAGEPIN;
  assign PLLOUTGLOBAL = PACKAGEPIN;
  assign LOCK = RESETB;
  assign SDO = 1'b0;
endmodule
";

/// The vendor's cell models that come with yosys, in a form that Verilator reads.
fn cell_models() -> Result<String, BuildError> {
    let path = models_of(&YOSYS).ok_or_else(|| YOSYS.missing())?;
    let text = fs::read_to_string(&path).map_err(|source| ToolError::Io {
        action: "read",
        path: path.clone(),
        source,
    })?;
    Ok(format!("`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{text}"))
}

/// `share/yosys/ice40/cells_sim.v` beside the program's `bin`.
fn models_of(yosys: &Tool) -> Option<PathBuf> {
    let program = fs::canonicalize(registry::find(yosys)?).ok()?;
    Some(
        program
            .parent()?
            .parent()?
            .join("share/yosys/ice40/cells_sim.v"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{
      "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": [
        {"delay": 1.5, "type": "clk-to-q", "net": "a", "from": {"cell": "u_machine.u_core.u_fetch.word_q_SB_DFF_Q_DFFLC", "port": "CLK"}, "to": {"cell": "u_machine.u_core.u_fetch.word_q_SB_DFF_Q_DFFLC", "port": "O"}},
        {"delay": 0.5, "type": "routing", "net": "a", "from": {"cell": "u_machine.u_core.u_fetch.word_q_SB_DFF_Q_DFFLC", "port": "O"}, "to": {"cell": "$nextpnr_ICESTORM_LC_0", "port": "I1"}},
        {"delay": 1.5, "type": "routing", "net": "a", "from": {"cell": "$nextpnr_ICESTORM_LC_0", "port": "COUT"}, "to": {"cell": "u_machine.u_core.u_vec.u_requantise.y_SB_LUT4_O_LC", "port": "I0"}},
        {"delay": 1.0, "type": "setup", "net": "a", "from": {"cell": "u_machine.u_core.u_vec.u_requantise.y_SB_LUT4_O_LC", "port": "I0"}, "to": {"cell": "u_machine.u_core.u_vec.u_requantise.y_SB_LUT4_O_LC", "port": "CLK"}}]}],
      "fmax": {"clk": {"achieved": 25.5, "constraint": 24.0}},
      "utilization": {"ICESTORM_LC": {"available": 5280, "used": 4600}, "ICESTORM_DSP": {"available": 8, "used": 8}}}"#;

    #[test]
    fn report_is_told_in_the_words_of_the_template() {
        let (fmax, path, used) = read_report(REPORT.as_bytes()).expect("a report");
        assert!((fmax - 25.5e6).abs() < 1.0);
        assert_eq!(
            (used.logic_cells, used.multipliers, used.block_rams),
            (4600, 8, 0)
        );
        assert_eq!(path.through, ["FETCH", "the requantise units"]);
        assert!((path.logic_ns - 2.5).abs() < 1e-9 && (path.routing_ns - 2.0).abs() < 1e-9);
    }

    /// Two multipliers by hand, and a chain of sums between the shell's pins.
    const SMALL: &str = "module small (
  input  logic clk_i, input logic rst_ni, input logic rx_i,
  output logic tx_o, output logic led_busy_no, output logic led_fault_no
);
  logic [31:0] x_q;
  logic [15:0] p0, p1;
  always_ff @(posedge clk_i) x_q <= {x_q[30:0], rx_i} + {p1, p0};
  prim_mac_pair u_mac (
    .clk_i, .x0_i(x_q[7:0]), .w0_i(x_q[15:8]), .x1_i(x_q[23:16]), .w1_i(x_q[31:24]), .p0_o(p0), .p1_o(p1)
  );
  assign {tx_o, led_busy_no, led_fault_no} = {x_q[31], x_q[30], !rst_ni};
endmodule
";

    /// A job with the netlist of `text`, or `None` with a printed reason when a tool is missing.
    fn small(text: &str, change: impl Fn(String) -> String) -> Option<(tempfile::TempDir, JobDir)> {
        for tool in [&YOSYS, &NEXTPNR_ICE40] {
            if registry::find(tool).is_none() {
                #[expect(clippy::print_stderr, reason = "a skipped test says why")]
                {
                    eprintln!("skipped: {}", tool.missing());
                }
                return None;
            }
        }
        let root = tempfile::tempdir().expect("a directory");
        let mut job = JobDir::create(root.path(), "small").expect("a job");
        let primitive = include_str!("../../rtl/ice40/prim_mac_pair.sv");
        job.write("prim_mac_pair.sv", primitive).expect("a file");
        job.write("small.sv", text).expect("a file");
        let files = ["prim_mac_pair.sv".to_owned(), "small.sv".to_owned()];
        job.write("synth.ys", change(script(&files, "small")))
            .expect("a file");
        tool::run(&YOSYS, &["-q", "-s", "synth.ys"], &mut job, &minutes(5)).expect("synthesis");
        Some((root, job))
    }

    const ONE_MULTIPLIER: Resources = Resources {
        logic_cells: 0,
        multipliers: 1,
        block_rams: 0,
        single_port_rams: 0,
    };

    #[test]
    fn multiplier_that_synthesis_rewrote_is_found() {
        let check = |job: &JobDir| {
            mapped::check(
                &job.read("mapped.json").expect("a netlist"),
                "small",
                ONE_MULTIPLIER,
            )
        };
        let Some((_root, job)) = small(SMALL, |script| script) else {
            return;
        };
        check(&job).expect("the multiplier is as it was instantiated");
        // What the flow must never do.
        let (_root, job) =
            small(SMALL, |script| script.replace("-top", "-dsp -top")).expect("tools are here");
        let error = check(&job).expect_err("`-dsp` rewrites it");
        assert!(matches!(error, BuildError::Setting { .. }), "{error}");
        assert!(error.to_string().contains("the design has"), "{error}");
    }

    #[test]
    fn missed_clock_is_an_error_that_says_where_the_time_goes() {
        let board = Board::named("icebreaker").expect("a board");
        let Some((_root, mut job)) = small(SMALL, |script| script) else {
            return;
        };
        let (placement, missed, used) =
            place(12_000_000, &board, &mut job, &mut vec![], &mut |_| {})
                .expect("it is slow enough");
        assert!(placement.seed == SEEDS[0] && missed.is_empty() && used.multipliers == 1);
        assert!(placement.fmax_hz > 12e6);
        let error = place(400_000_000, &board, &mut job, &mut vec![], &mut |_| {})
            .expect_err("no UP5K does that");
        assert_eq!(error.exit_code(), 1);
        let text = error.to_string();
        assert!(
            text.starts_with("the clock is not met: 400.00 MHz asked for, "),
            "{text}"
        );
        assert!(
            text.contains("(best of 4); the slowest path goes from the top to the top"),
            "{text}"
        );
    }

    #[test]
    fn part_that_is_too_small_is_an_error_with_numbers() {
        let board = Board::named("icebreaker").expect("a board");
        // More flip-flops than the part has logic cells.
        let large = SMALL.replace("logic [31:0] x_q;", "logic [31:0] x_q; logic [5299:0] y_q;").replace(
            "always_ff @(posedge clk_i) x_q",
            "always_ff @(posedge clk_i) y_q <= {y_q[5298:0], rx_i};\n  always_ff @(posedge clk_i) x_q",
        );
        let large = large.replace("!rst_ni}", "y_q[5299]}");
        let Some((_root, mut job)) = small(&large, |script| script) else {
            return;
        };
        let error = place(12_000_000, &board, &mut job, &mut vec![], &mut |_| {})
            .expect_err("it cannot fit");
        let BuildError::Capacity {
            what: "logic cells",
            needed,
            available: 5280,
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert!(needed > 5300);
    }

    #[test]
    fn script_never_infers_multipliers() {
        let text = script(&["a.sv".to_owned()], "top");
        assert!(!text.contains("-dsp"));
    }
}
