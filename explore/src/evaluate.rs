//! Every point mapped and simulated in timing mode, in parallel, always with the same result.

use std::sync::atomic::{AtomicUsize, Ordering};

use ir::arch::Arch;
use ir::directive::Placed;
use ir::memory::MemoryModel;
use ir::network::Network;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sim::{Memory, Mode, simulate};

use crate::space::{Coordinates, Space};

/// How points are evaluated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The memory behind the port, for mapper and simulator; without effect for memory on chip.
    pub memory: MemoryModel,
    /// Parts of mappings that are given; a point that cannot obey them is unmappable.
    pub directives: Vec<Placed>,
}

impl Default for Options {
    /// Memory model M1 and no directives.
    fn default() -> Self {
        Options {
            memory: MemoryModel::M1,
            directives: Vec::new(),
        }
    }
}

/// A point of a space with what is known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// The index in the space.
    pub index: usize,
    /// The name, see [`Coordinates::name`].
    pub name: String,
    /// The place.
    pub coordinates: Coordinates,
    /// [`Arch::hash`], in hexadecimal digits.
    pub arch_hash: String,
    /// What came out.
    pub outcome: Outcome,
}

/// What came out of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The network runs.
    Runs(Metrics),
    /// No design of the template family has these values.
    Illegal {
        /// The first rule that is broken.
        reason: String,
    },
    /// The network has no program on this arch.
    Unmappable {
        /// Why not.
        reason: String,
    },
    /// The simulator refuses the program: a bug of the mapper.
    Refused {
        /// Why.
        reason: String,
    },
    /// The exploration was stopped before.
    NotReached,
}

/// What a point costs and gives, for one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// Cycles from doorbell to end, by the simulator in timing mode.
    pub cycles: u64,
    /// Multiply-accumulates of the network, divided by rows, columns and cycles.
    pub utilisation: f64,
    /// Multipliers of the array.
    pub multipliers: u64,
    /// Bits of all memories inside the design.
    pub memory_bits: u64,
    /// Words of program, constants and tensors that were moved between memory and chip.
    pub traffic_words: u64,
    /// The same in bytes.
    pub traffic_bytes: u64,
    /// Instructions.
    pub instructions: u64,
    /// What the mapper's cost model predicted.
    pub modelled_cycles: u64,
}

impl Point {
    /// The metrics, if the network runs.
    pub fn metrics(&self) -> Option<&Metrics> {
        match &self.outcome {
            Outcome::Runs(metrics) => Some(metrics),
            _ => None,
        }
    }
}

impl Outcome {
    /// The kind of outcome and its reason, for points without metrics.
    pub fn rejection(&self) -> Option<(&'static str, &str)> {
        match self {
            Outcome::Runs(_) => None,
            Outcome::Illegal { reason } => Some(("illegal", reason)),
            Outcome::Unmappable { reason } => Some(("unmappable", reason)),
            Outcome::Refused { reason } => Some(("refused", reason)),
            Outcome::NotReached => Some(("not reached", "the exploration was stopped")),
        }
    }
}

/// How far an exploration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Points done.
    pub done: usize,
    /// Points in all.
    pub points: usize,
}

/// Evaluates all points of `space` around `base`, in the order of the space.
///
/// The result does not depend on the number of threads of the surrounding rayon pool. `progress` is called after each
/// point, from any thread. Once `stop` returns true, the points not begun are [`Outcome::NotReached`].
pub fn run(
    space: &Space,
    network: &Network,
    base: &Arch,
    options: &Options,
    progress: &(dyn Fn(Progress) + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> Vec<Point> {
    let points = space.len();
    let done = AtomicUsize::new(0);
    let one = |index: usize| {
        let coordinates = space.coordinates(index, base);
        let arch = coordinates.arch(base);
        let outcome = if stop() {
            Outcome::NotReached
        } else {
            evaluate(network, &arch, options)
        };
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(Progress { done, points });
        Point {
            index,
            name: coordinates.name(),
            coordinates,
            arch_hash: format!("{:016x}", arch.hash()),
            outcome,
        }
    };
    (0..points).into_par_iter().map(one).collect()
}

/// Maps `network` on `arch` and runs one image in timing mode.
pub fn evaluate(network: &Network, arch: &Arch, options: &Options) -> Outcome {
    if let Some(reason) = arch.problems().into_iter().next() {
        return Outcome::Illegal { reason };
    }
    let compile = mapper::Options {
        memory: options.memory,
        directives: options.directives.clone(),
        ..mapper::Options::default()
    };
    let compiled = match mapper::compile(network, arch, &compile) {
        Ok(compiled) => compiled,
        Err(error) => {
            return Outcome::Unmappable {
                reason: error.to_string(),
            };
        }
    };
    let checked = match compiled.program.check(arch) {
        Ok(checked) => checked,
        Err(error) => {
            return Outcome::Refused {
                reason: error.to_string(),
            };
        }
    };
    let outcome = match simulate(
        checked,
        &mut Memory::default(),
        options.memory,
        Mode::Timing,
    ) {
        Ok(outcome) => outcome,
        Err(error) => {
            return Outcome::Refused {
                reason: error.to_string(),
            };
        }
    };
    let multipliers = u64::from(arch.macs_per_cycle());
    let traffic_words =
        outcome.traffic.fetch_words + outcome.traffic.load_words + outcome.traffic.store_words;
    Outcome::Runs(Metrics {
        cycles: outcome.cycles,
        utilisation: network.total_macs() as f64 / (multipliers as f64 * outcome.cycles as f64),
        multipliers,
        memory_bits: arch.memory_bits().iter().map(|(_, bits)| bits).sum(),
        traffic_words,
        traffic_bytes: traffic_words * u64::from(arch.word_bytes()),
        instructions: compiled.program.instructions.len() as u64,
        modelled_cycles: compiled.predicted_cycles(),
    })
}
