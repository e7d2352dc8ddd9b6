//! The description of one accelerator of the template family.
//!
//! An Arch is a tree: memory at the root, below it the local memories, below them the array.
//! Cost model, simulator and generator read their hardware parameters from here and define none of
//! their own; every derived number is a method. `docs/concepts/machine.md` explains the machine.

mod file;
pub mod latency;

pub use file::{ArchError, json_schema, read};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the text form.
pub const FORMAT: u32 = 1;

/// One accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arch {
    /// Version of the text form: 1.
    pub format: u32,
    /// Short name, used in file and module names: lower case letters, digits and `_`.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// Clock that the design is meant for, in Hz.
    pub clock_hz: u64,
    /// The memory that holds program, weights and spilled activations.
    pub memory: Memory,
    /// The unit that reads the program.
    pub fetch: Fetch,
    /// The instruction queue of each engine.
    pub queues: Queues,
    /// The counting semaphores between engines.
    pub semaphores: Semaphores,
    /// The unit that moves words from memory to the local memories.
    pub load: Load,
    /// The activation banks.
    pub activations: Activations,
    /// The weight memory.
    pub weights: Weights,
    /// The memory of bias and scale per output channel.
    pub parameters: Parameters,
    /// The accumulators between array and vector engine.
    pub accumulators: Accumulators,
    /// The array of multipliers.
    pub array: Array,
    /// The vector engine.
    pub vector: Vector,
    /// What is counted in hardware.
    pub counters: Counters,
    /// How the host reaches the machine.
    pub host: Host,
}

/// The memory at the root of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Where it is.
    pub attachment: Attachment,
    /// Its size in words of `array.rows` bytes.
    pub words: u32,
    /// Longest burst in words, a power of two; bursts never cross a multiple of it.
    pub burst_words: u32,
}

/// Where the memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// Inside the design, one access a cycle for all users.
    OnChip,
    /// Behind a port with independent read and write channels.
    Port,
}

/// The unit that reads the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Words read by one request, a power of two, at most `memory.burst_words`.
    pub chunk_words: u32,
    /// Chunks that can be buffered: 1 or 2.
    pub chunks: u32,
}

/// The instruction queue of each engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queues {
    /// Instructions that a queue holds, including the one that runs.
    pub depth: u32,
}

/// The counting semaphores between engines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Semaphores {
    /// How many, at most 16.
    pub count: u32,
    /// Bits of each counter.
    pub bits: u32,
}

/// The unit that moves words from memory to the local memories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Bursts under way at once.
    pub outstanding: u32,
}

/// The activation banks: one reader and one writer each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activations {
    /// Number of banks.
    pub banks: u32,
    /// Words of `array.rows` bytes in each bank, a power of two.
    pub words: u32,
}

/// The weight memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Words of `array.rows` bytes, a power of two; a tile is `array.cols` of them.
    pub words: u32,
}

/// The memory of bias and scale per output channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Output channels that it holds, a power of two; 8 bytes each.
    pub channels: u32,
}

/// The accumulators: two halves of `array.cols` 32-bit values per pixel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accumulators {
    /// Output pixels per half, a power of two.
    pub pixels: u32,
}

/// The array of multipliers: rows are the reduction, columns are output channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Array {
    /// Rows: channels of one activation word; 8, 16 or 32.
    pub rows: u32,
    /// Columns: a power of two, at most `rows`.
    pub cols: u32,
    /// How the products of a column are summed.
    pub reduction: Reduction,
    /// The dataflows that the design can run.
    pub dataflows: Vec<Dataflow>,
}

/// How the products of a column are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Partial sums hop from row to row, one row a cycle.
    Systolic,
    /// An adder tree sums all rows in one cycle.
    Dot,
}

/// Which operand stays in the array while the others move.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Dataflow {
    /// Weights stay for all pixels of a tile; partial sums move through the accumulators.
    WeightStationary,
    /// Partial sums stay for the whole reduction of a pixel; weights move.
    OutputStationary,
}

impl Dataflow {
    /// All of them.
    pub const ALL: [Dataflow; 2] = [Dataflow::WeightStationary, Dataflow::OutputStationary];

    /// The name in text forms.
    pub fn name(self) -> &'static str {
        match self {
            Dataflow::WeightStationary => "weight_stationary",
            Dataflow::OutputStationary => "output_stationary",
        }
    }
}

/// The vector engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// Requantise units side by side: a power of two, at most `array.cols`.
    pub requantise_lanes: u32,
    /// Cycles per result of one requantise unit: 1, 2 or 4.
    pub requantise_interval: u32,
    /// Whether there is a max-pool unit.
    pub max_pool: bool,
    /// Lanes of the table unit (add and table), a power of two, at most `array.rows / 2`; 0 for none.
    pub table_lanes: u32,
    /// Whether there is a pack unit, for the row mapping `taps`.
    #[serde(default)]
    pub pack: bool,
}

/// What is counted in hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counters {
    /// Total cycles.
    Basic,
    /// Total cycles, and busy, configure, wait and empty cycles of each engine.
    Full,
}

/// How the host reaches the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// AXI4-Lite registers; memory behind AXI4.
    Axi,
    /// Framed commands over a UART; memory on chip.
    Uart,
}

impl Arch {
    /// Bytes of a word: one activation word, one weight word, one memory word.
    pub fn word_bytes(&self) -> u32 {
        self.array.rows
    }

    /// Instructions in a memory word.
    pub fn instructions_per_word(&self) -> u32 {
        self.word_bytes() / 4
    }

    /// Multiplications per cycle at full use.
    pub fn macs_per_cycle(&self) -> u32 {
        self.array.rows * self.array.cols
    }

    /// Whether the design can run `dataflow`.
    pub fn has(&self, dataflow: Dataflow) -> bool {
        self.array.dataflows.contains(&dataflow)
    }

    /// Whether a whole weight tile is read in one cycle; otherwise one column a cycle, into shadow registers.
    ///
    /// Output-stationary needs a new tile every cycle, so designs that have it read whole tiles.
    pub fn reads_whole_tiles(&self) -> bool {
        self.has(Dataflow::OutputStationary)
    }

    /// Weight tiles (one reduction step for all columns) that the weight memory holds.
    pub fn weight_tiles(&self) -> u32 {
        self.weights.words / self.array.cols
    }

    /// Bits of an address of the activation banks: bank index above word index.
    pub fn activation_addr_bits(&self) -> u32 {
        clog2(self.activations.banks) + clog2(self.activations.words)
    }

    /// Words of memory for the parameters of `channels` output channels: 8 bytes each, whole words.
    pub fn parameter_words(&self, channels: u32) -> u32 {
        (channels * 8).div_ceil(self.word_bytes())
    }

    /// Words of memory for the two tables of one add: 512 entries of 4 bytes.
    pub fn table_words(&self) -> u32 {
        512 * 4 / self.word_bytes()
    }

    /// Bits of all memories inside the design, by name; the generated design holds exactly these.
    pub fn memory_bits(&self) -> Vec<(&'static str, u64)> {
        let word = u64::from(self.word_bytes()) * 8;
        let mut bits = vec![
            (
                "activations",
                u64::from(self.activations.banks) * u64::from(self.activations.words) * word,
            ),
            ("weights", u64::from(self.weights.words) * word),
            ("parameters", u64::from(self.parameters.channels) * 64),
            (
                "accumulators",
                2 * u64::from(self.accumulators.pixels) * u64::from(self.array.cols) * 32,
            ),
        ];
        if self.vector.table_lanes > 0 {
            bits.push(("tables", u64::from(self.vector.table_lanes) * 512 * 32));
        }
        if self.memory.attachment == Attachment::OnChip {
            bits.push(("memory", u64::from(self.memory.words) * word));
        }
        bits
    }

    /// The first 8 bytes of the BLAKE3 hash of the canonical text: what a design and a program carry.
    pub fn hash(&self) -> u64 {
        let canonical = serde_json::to_vec(self).expect("an arch is plain data");
        let bytes = *blake3::hash(&canonical).as_bytes();
        u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
    }
}

/// Bits of an index below `n`; 0 for a single element.
pub const fn clog2(n: u32) -> u32 {
    if n <= 1 {
        0
    } else {
        u32::BITS - (n - 1).leading_zeros()
    }
}
