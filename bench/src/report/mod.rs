//! What a report states, as plain data with the origin of every number.
//!
//! A part that could not be had is [`Part::Absent`] with its reason, never a zero.
//! [`Report::to_json`] writes the data, [`Report::to_html`] one page without scripts that needs no other file.

mod canvas;
mod chart;
mod markup;
mod page;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// Where a number comes from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Counted in the inputs: the network, the arch, the program.
    Given,
    /// Taken from something that ran, or counted in the result of a tool.
    Measured,
    /// Counted in the generated hardware, simulated from its Verilog.
    RtlSimulated,
    /// Counted by the simulator, which `verify` holds against the hardware.
    Simulated,
    /// Computed by the mapper's closed-form cost model.
    Modelled,
    /// Estimated by a tool's static analysis.
    Estimated,
}

impl Provenance {
    /// All of them, most certain first.
    pub const ALL: [Provenance; 6] = [
        Provenance::Given,
        Provenance::Measured,
        Provenance::RtlSimulated,
        Provenance::Simulated,
        Provenance::Modelled,
        Provenance::Estimated,
    ];

    /// What the results of a device are.
    pub fn of_device(name: &str) -> Provenance {
        match name {
            "sim" => Provenance::Simulated,
            "rtl" => Provenance::RtlSimulated,
            _ => Provenance::Measured,
        }
    }

    /// The words that readers see.
    pub const fn name(self) -> &'static str {
        match self {
            Provenance::Given => "given",
            Provenance::Measured => "measured",
            Provenance::RtlSimulated => "RTL-simulated",
            Provenance::Simulated => "simulated",
            Provenance::Modelled => "modelled",
            Provenance::Estimated => "estimated",
        }
    }

    /// The letter behind a number on the page.
    pub const fn mark(self) -> &'static str {
        match self {
            Provenance::Given => "g",
            Provenance::Measured => "m",
            Provenance::RtlSimulated => "r",
            Provenance::Simulated => "s",
            Provenance::Modelled => "c",
            Provenance::Estimated => "e",
        }
    }

    /// What it means, for the legend.
    pub const fn meaning(self) -> &'static str {
        match self {
            Provenance::Given => "counted in the inputs: network, arch, program",
            Provenance::Measured => {
                "taken from something that ran, or counted in the result of a tool"
            }
            Provenance::RtlSimulated => {
                "counted in the generated hardware, simulated from its Verilog"
            }
            Provenance::Simulated => "counted by the simulator",
            Provenance::Modelled => "computed by the mapper's closed-form cost model",
            Provenance::Estimated => "estimated by a tool's static analysis",
        }
    }
}

/// A number with its origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure<T> {
    /// The number.
    pub value: T,
    /// Its origin.
    pub provenance: Provenance,
}

impl<T> Figure<T> {
    /// A number with its origin.
    pub fn new(value: T, provenance: Provenance) -> Figure<T> {
        Figure { value, provenance }
    }
}

/// Something that may be missing, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part<T> {
    /// It is here.
    Present(T),
    /// It is not.
    Absent {
        /// Why.
        reason: String,
    },
}

impl<T> Part<T> {
    /// Not here, for `reason`.
    pub fn absent(reason: impl Into<String>) -> Part<T> {
        Part::Absent {
            reason: reason.into(),
        }
    }

    /// What is here, if it is.
    pub fn present(&self) -> Option<&T> {
        match self {
            Part::Present(part) => Some(part),
            Part::Absent { .. } => None,
        }
    }
}

/// The metrics of one network on one arch, with their origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was run.
    pub network: NetworkFacts,
    /// What it ran on.
    pub arch: ArchFacts,
    /// What was asked, and how often the answer was right.
    pub dataset: Part<Dataset>,
    /// All devices, those that took no part with the reason.
    pub devices: Vec<Device>,
    /// One image on the simulator, in all.
    pub run: Run,
    /// The same, layer by layer.
    pub layers: Vec<Layer>,
    /// Cycles of each engine after its last instruction.
    pub tail: PerEngine<Cycles>,
    /// The same, unit by unit in time.
    pub timeline: Part<Timeline>,
    /// Whether the devices agree.
    pub equality: Part<Equality>,
    /// The bitstream.
    pub fpga: Part<Fpga>,
    /// The designs around this one.
    pub exploration: Part<Exploration>,
    /// What is needed to make the report again.
    pub origin: Origin,
}

/// The network. All numbers are [`Provenance::Given`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkFacts {
    /// Its name.
    pub name: String,
    /// The hash of its file.
    pub hash: String,
    /// Layers.
    pub layers: usize,
    /// Multiply-accumulates of one image, padding included.
    pub macs: u64,
    /// Weights and biases.
    pub parameters: u64,
}

/// The arch. All numbers are [`Provenance::Given`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArchFacts {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// `Arch::hash`, in hexadecimal digits.
    pub hash: String,
    /// Rows of the array.
    pub rows: u32,
    /// Columns of the array.
    pub cols: u32,
    /// Multiplications a cycle at full use.
    pub macs_per_cycle: u32,
    /// Bytes of a memory word.
    pub word_bytes: u32,
    /// The clock that the design is meant for.
    pub clock_hz: u64,
    /// The memories inside the design.
    pub memories: Vec<MemoryBits>,
    /// The memory model behind the port, or `on chip`.
    pub memory_model: String,
}

/// One memory inside the design.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryBits {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bits: u64,
}

/// What was asked, and how often the answer was right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dataset {
    /// The name of the data.
    pub name: String,
    /// The device whose answers were counted.
    pub device: String,
    /// Images asked.
    pub images: u64,
    /// Images answered right.
    pub correct: u64,
    /// Outputs compared with those of another implementation, and how many of them are equal to the bit.
    pub outputs: Part<OutputsCompared>,
    /// The origin of these numbers.
    pub provenance: Provenance,
}

/// A comparison of outputs with those of another implementation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutputsCompared {
    /// The other implementation.
    pub with: String,
    /// Values compared.
    pub compared: u64,
    /// Values that are equal to the bit.
    pub equal: u64,
}

/// A device and what it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// What it did.
    pub ran: Part<DeviceRun>,
}

/// What a device did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceRun {
    /// Images that it ran.
    pub images: u64,
    /// Cycles of one image, where the device counts cycles.
    pub cycles: Option<u64>,
    /// The origin of these numbers.
    pub provenance: Provenance,
}

/// One image on the simulator, in all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Cycles from the doorbell until the machine was quiet, weights in memory at the start.
    pub cycles: Figure<u64>,
    /// Instructions.
    pub instructions: Figure<u64>,
    /// The clock divided by the cycles: no wall time is in it.
    pub images_per_second: Figure<f64>,
    /// Multiply-accumulates of the network, divided by rows, columns and cycles.
    pub utilisation: Figure<f64>,
    /// What the cost model predicted.
    pub modelled_cycles: Figure<u64>,
    /// Cycles of FETCH. All numbers are [`Provenance::Simulated`].
    pub fetch: FetchCycles,
    /// Cycles of each engine. All numbers are [`Provenance::Simulated`].
    pub engines: PerEngine<Cycles>,
    /// What was moved. All numbers are [`Provenance::Simulated`].
    pub traffic: Traffic,
}

/// Cycles of FETCH by state; they sum up to the cycles of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FetchCycles {
    /// An instruction is dispatched.
    pub dispatch: u64,
    /// The queue of the instruction's engine is full.
    pub blocked: u64,
    /// The instruction has not arrived from memory.
    pub starved: u64,
    /// The last instruction is dispatched.
    pub done: u64,
}

/// One value for each engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PerEngine<T> {
    /// LOAD.
    pub load: T,
    /// EXEC.
    pub exec: T,
    /// VEC.
    pub vec: T,
    /// STORE.
    pub store: T,
}

impl<T> PerEngine<T> {
    /// From values in the order of `ir::isa::Engine`.
    pub fn from_array([load, exec, vec, store]: [T; 4]) -> PerEngine<T> {
        PerEngine {
            load,
            exec,
            vec,
            store,
        }
    }

    /// The values with the names of their engines, in the order of `ir::isa::Engine`.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        [
            ("load", &self.load),
            ("exec", &self.exec),
            ("vec", &self.vec),
            ("store", &self.store),
        ]
        .into_iter()
    }
}

/// Cycles of one engine by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cycles {
    /// An operation runs.
    pub busy: u64,
    /// A register is written.
    pub configure: u64,
    /// The operation at the head waits, by the engine that raises the semaphore.
    pub wait: PerEngine<u64>,
    /// The queue is empty.
    pub empty: u64,
}

impl Cycles {
    /// The sum of all causes.
    pub fn total(&self) -> u64 {
        self.causes().iter().map(|(_, cycles)| cycles).sum()
    }

    /// The causes by name, in the order of charts and tables.
    pub fn causes(&self) -> [(&'static str, u64); 7] {
        [
            ("busy", self.busy),
            ("configure", self.configure),
            ("wait load", self.wait.load),
            ("wait exec", self.wait.exec),
            ("wait vec", self.wait.vec),
            ("wait store", self.wait.store),
            ("empty", self.empty),
        ]
    }
}

/// What was moved between memory and chip, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Words that FETCH read; 0 for single layers, since fetching runs ahead of them.
    pub fetch_words: u64,
    /// Words that LOAD read.
    pub load_words: u64,
    /// Words that STORE wrote.
    pub store_words: u64,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Multiply-accumulates, [`Provenance::Given`].
    pub macs: u64,
    /// Instructions, [`Provenance::Given`].
    pub instructions: u64,
    /// Cycles of each engine by cause, [`Provenance::Simulated`].
    ///
    /// A cycle is charged to the layer of the engine's next instruction, so for each engine the cycles of all layers
    /// and of the tail sum up to the run.
    pub engines: PerEngine<Cycles>,
    /// Multiply-accumulates divided by rows, columns and the cycles of EXEC; nothing for layers that EXEC has no part in.
    pub utilisation: Option<Figure<f64>>,
    /// What was moved.
    pub traffic: Part<Figure<Traffic>>,
    /// The prediction of the cost model.
    pub modelled: Figure<ModelledCost>,
    /// The loop nest.
    pub mapping: String,
    /// What the search proves, for layers on the array. All numbers are [`Provenance::Modelled`].
    pub certificate: Option<Certificate>,
}

/// The prediction of the cost model for one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelledCost {
    /// Cycles from the first load to the last store.
    pub cycles: u64,
    /// Busy cycles of each engine.
    pub busy: PerEngine<u64>,
    /// Words moved.
    pub traffic_words: u64,
}

/// What the search of one layer proves, in its model and space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// The search.
    pub search: String,
    /// The cost model.
    pub model: String,
    /// Points of the space.
    pub candidates: u64,
    /// Points with a full cost; the others do not fit, or a bound excludes them.
    pub costed: u64,
    /// How far the unexplored rest could be better, in per mille of the best.
    pub gap_per_mille: u32,
    /// Cycles that the multipliers need at full use.
    pub compute_bound_cycles: u64,
    /// Words that must be moved at least.
    pub compulsory_words: u64,
    /// The whole in one sentence.
    pub sentence: String,
}

/// What each unit did when. All numbers are [`Provenance::Simulated`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// Cycles of the run.
    pub cycles: u64,
    /// Stretches closer than this many cycles are drawn as one; 0 when all are as they were.
    pub merged_below: u64,
    /// The units.
    pub tracks: Vec<Track>,
}

/// What one unit did when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Track {
    /// The unit.
    pub unit: String,
    /// Its stretches, in order; where there is none, it had nothing to do.
    pub stretches: Vec<Stretch>,
}

/// A stretch of cycles in which a unit did one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    /// What it did.
    pub activity: Activity,
    /// The index of the layer it was for, where that is known.
    pub layer: Option<u16>,
    /// The first cycle.
    pub from: u64,
    /// Number of cycles.
    pub cycles: u64,
}

/// What a unit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// An engine runs an operation; FETCH dispatches.
    Busy,
    /// An engine writes registers.
    Configure,
    /// An engine waits for a token; FETCH waits for room in a queue or for memory.
    Wait,
}

/// Whether the devices agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Equality {
    /// Devices that took part; the first is the oracle of values, the second of cycles.
    pub devices: Vec<String>,
    /// Devices that did not, with the reason.
    pub skipped: Vec<(String, String)>,
    /// Images run with each config.
    pub images: u64,
    /// Programs and memory models.
    pub configs: Vec<EqualityConfig>,
    /// The first difference in words, if there is one.
    pub first_difference: Option<String>,
    /// The origin of these numbers.
    pub provenance: Provenance,
}

/// The comparison of one program with one memory model, over all images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EqualityConfig {
    /// `plain`, or `keep all` with every tensor between layers in memory.
    pub program: String,
    /// The memory model.
    pub memory: String,
    /// Instructions of the program.
    pub instructions: u64,
    /// Starts and signals of instructions compared.
    pub spans_compared: u64,
    /// Values of tensors compared.
    pub values_compared: u64,
    /// Starts, signals and run lengths that differ; absent where nothing was compared, here and below.
    pub cycle_differences: Option<u64>,
    /// Counters that differ.
    pub counter_differences: Option<u64>,
    /// Values and bytes that differ.
    pub bit_mismatches: Option<u64>,
}

/// The bitstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fpga {
    /// The device.
    pub device: String,
    /// The board whose pins are used.
    pub board: Option<String>,
    /// What the placed design uses.
    pub resources: Vec<Resource>,
    /// The clock that was asked for.
    pub clock_hz: Figure<u64>,
    /// The highest clock by static timing analysis.
    pub fmax_hz: Figure<u64>,
    /// Bytes of the bitstream.
    pub bitstream_bytes: Figure<u64>,
    /// The checks of the flow.
    pub checks: Vec<Check>,
    /// The tools.
    pub tools: Vec<Tool>,
}

/// One kind of cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Its name: `LC`, `DSP`, `BRAM`, `SPRAM`.
    pub name: String,
    /// How many are used.
    pub used: Figure<u64>,
    /// How many the device has.
    pub available: u64,
}

/// A check that a flow made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

/// A tool with its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The designs around this one. All numbers are [`Provenance::Simulated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exploration {
    /// The name of the space.
    pub space: String,
    /// Points of the space.
    pub points_in_space: u64,
    /// Points with a result.
    pub designs: Vec<ExploredDesign>,
    /// Points without one, by reason.
    pub rejected: Vec<Rejected>,
}

/// A point with a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExploredDesign {
    /// Its name.
    pub name: String,
    /// Cycles of one image.
    pub cycles: u64,
    /// Useful multiplications of all that were possible.
    pub utilisation: f64,
    /// Multipliers of the array.
    pub multipliers: u64,
    /// Bits of all memories inside the design.
    pub memory_bits: u64,
    /// Bytes moved between memory and chip.
    pub traffic_bytes: u64,
    /// Whether no other point is at least as good in cycles, multipliers and memory bits, and better in one.
    pub on_front: bool,
}

/// Points without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rejected {
    /// Why.
    pub reason: String,
    /// How many.
    pub points: u64,
}

/// What is needed to make the report again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The command line, without paths that only this machine has.
    pub command: Option<String>,
    /// Tools with their versions, tilewright first.
    pub tools: Vec<Tool>,
    /// Seeds by purpose.
    pub seeds: Vec<(String, u64)>,
    /// Input files by name, with their hashes.
    pub inputs: Vec<(String, String)>,
}

impl Report {
    /// The JSON form, for programs; [`Report::from_json`] gives the same report back.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a report is plain data");
        text.push('\n');
        text
    }

    /// One page without scripts that needs no other file.
    pub fn to_html(&self) -> String {
        page::page(self)
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// What keeps the text from being a report of [`SCHEMA_VERSION`].
    pub fn from_json(text: &str) -> Result<Report, String> {
        let report: Report = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if report.schema_version == SCHEMA_VERSION {
            Ok(report)
        } else {
            Err(format!(
                "schema version {} is not {SCHEMA_VERSION}",
                report.schema_version
            ))
        }
    }

    /// The JSON Schema of the JSON form.
    pub fn json_schema() -> String {
        let schema = schemars::schema_for!(Report);
        let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
        text.push('\n');
        text
    }
}
