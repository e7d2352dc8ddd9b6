//! The cost model against the simulator: whole programs, and each layer of a network alone.
//!
//! *Alone* means: a network of one layer, compiled by itself, on a machine after reset with the weights in memory, from
//! the doorbell to the last store.

use ir::arch::Arch;
use ir::memory::MemoryModel;
use ir::network::{EinsumId, Network};
use mapper::Compiled;
use rayon::prelude::*;
use serde::Serialize;
use sim::{Memory, Mode, simulate};

/// Cycles of one program, by the model and by the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cycles {
    /// What the cost model says.
    pub modelled: u64,
    /// What the simulator says.
    pub simulated: u64,
}

impl Cycles {
    /// How far the model is above the simulator, in per cent of the simulator.
    pub fn difference_percent(&self) -> f64 {
        let difference = self.modelled as f64 - self.simulated as f64;
        100.0 * difference / self.simulated as f64
    }
}

/// Both cycles of a compiled program; `memory` is the one that it was compiled for.
///
/// # Panics
/// If the simulator refuses the program, which is a bug in the mapper.
pub fn cycles(compiled: &Compiled, arch: &Arch, memory: MemoryModel) -> Cycles {
    let checked = compiled
        .program
        .check(arch)
        .expect("compiled programs are sound");
    let outcome = simulate(checked, &mut Memory::default(), memory, Mode::Timing)
        .expect("compiled programs run");
    Cycles {
        modelled: compiled.predicted_cycles(),
        simulated: outcome.cycles,
    }
}

/// Both cycles of each layer alone, or why it has no program alone.
pub fn layers(
    network: &Network,
    arch: &Arch,
    options: &mapper::Options,
) -> Vec<Result<Cycles, String>> {
    let ids: Vec<EinsumId> = network.einsum_ids().collect();
    let one = |id: &EinsumId| match mapper::compile(&network.alone(*id), arch, options) {
        Ok(compiled) => Ok(cycles(&compiled, arch, options.memory)),
        Err(error) => Err(error.to_string()),
    };
    ids.par_iter().map(one).collect()
}
