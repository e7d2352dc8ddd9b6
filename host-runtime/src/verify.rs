//! Do all devices agree? Reference against simulator in every tensor, simulator against RTL in everything.
//!
//! Each network is compiled twice: plain, and with every tensor between layers kept in memory where the reference can
//! be asked about it. Each program runs with every memory model and every image, one after the other on one machine,
//! so that what a run leaves behind would show in the next.

use ir::arch::{Arch, Attachment};
use ir::memory::MemoryModel;
use ir::network::{Network, TensorId};
use ir::program::Program;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::artifact::Artifact;
use crate::compare::{Difference, Differences, What, compare_memory, compare_runs, sum};
use crate::device::{intermediates, memory_with_inputs, outputs};
use crate::machine::Machine;
use crate::simulated::SimMachine;

/// Which of the two programs of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// As users compile it.
    Plain,
    /// Every tensor between layers is in memory at the end.
    KeepAll,
}

/// A device that took no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The device.
    pub device: String,
    /// Why.
    pub reason: String,
}

/// One program with one memory model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Which program.
    pub variant: Variant,
    /// The memory model, or `on_chip`.
    pub memory: String,
    /// Instructions of the program.
    pub instructions: usize,
    /// Cycles of each image, as the simulator has them.
    pub cycles: Vec<u64>,
    /// Values of tensors compared with the reference, for each device.
    pub values_compared: u64,
    /// Run instructions compared, for each device beside the simulator.
    pub spans_compared: u64,
    /// What differed.
    pub differences: Differences,
}

/// The result of [`verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Name of the network.
    pub network: String,
    /// Name of the arch.
    pub arch: String,
    /// [`Arch::hash`].
    pub arch_hash: u64,
    /// Devices that took part.
    pub devices: Vec<String>,
    /// Devices that did not.
    pub skipped: Vec<Skipped>,
    /// Images run with each config.
    pub images: usize,
    /// Values and bytes that differ; `None` where nothing was compared, here and below.
    pub bit_mismatches: Option<u64>,
    /// Instructions and runs whose cycles differ.
    pub cycle_differences: Option<u64>,
    /// Counters that differ.
    pub counter_differences: Option<u64>,
    /// The first difference of all.
    pub first: Option<Difference>,
    /// The parts.
    pub configs: Vec<Config>,
}

impl Verification {
    /// Whether the devices that took part agree in everything that was compared, and values were.
    ///
    /// Cycles and counters are compared only where a machine stands beside the simulator.
    pub fn agrees(&self) -> bool {
        let figures = [self.cycle_differences, self.counter_differences];
        self.first.is_none()
            && self.bit_mismatches == Some(0)
            && figures.into_iter().flatten().all(|n| n == 0)
    }
}

/// The name of a machine, and the machine or why there is none.
pub type NamedMachine = (&'static str, Result<Box<dyn Machine>, Error>);

/// What to verify with.
pub struct Options<'a> {
    /// Memory models; one run with the first where the memory is on chip.
    pub models: &'a [MemoryModel],
    /// Images: for each the inputs in the order of the network's.
    pub images: &'a [Vec<Vec<i8>>],
    /// Machines to compare with the simulator; an `Unavailable` one is reported as skipped.
    pub machines: Vec<NamedMachine>,
    /// Cycles after which a run is stopped.
    pub cycle_limit: u64,
}

/// Runs `network` on `arch` on all devices and compares them.
///
/// `compile` gives the program of each variant.
///
/// # Errors
/// What `compile` returns, [`Error::Unsound`] and [`Error::Program`] for its programs, and errors of machines that are
/// not just unavailable. A device that fails during a run is a difference, not an error.
pub fn verify<E: From<Error>>(
    network: &Network,
    arch: &Arch,
    options: Options,
    mut compile: impl FnMut(Variant) -> Result<Program, E>,
) -> Result<Verification, E> {
    let mut machines = Vec::new();
    let mut skipped = Vec::new();
    for (device, machine) in options.machines {
        match machine {
            Ok(machine) => machines.push(machine),
            Err(error) => match error.unavailable() {
                Some(reason) => skipped.push(Skipped {
                    device: device.to_owned(),
                    reason,
                }),
                None => return Err(error.into()),
            },
        }
    }
    let references = options
        .images
        .iter()
        .map(|image| network.reference(image))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::from)?;
    let on_chip = arch.memory.attachment == Attachment::OnChip;
    let models = if on_chip {
        &options.models[..options.models.len().min(1)]
    } else {
        options.models
    };
    let mut configs = Vec::new();
    // One simulator beside one of each machine: what earlier runs left in unused lanes of the banks is then the same.
    let mut simulator = SimMachine::new(arch);
    for variant in [Variant::Plain, Variant::KeepAll] {
        let artifact = Artifact {
            network: network.clone(),
            arch: arch.clone(),
            program: compile(variant)?,
        };
        artifact.check()?;
        for &model in models {
            let memory = if on_chip { "on_chip" } else { model.name() }.to_owned();
            let mut config = Config {
                variant,
                memory,
                instructions: artifact.program.instructions.len(),
                cycles: Vec::new(),
                values_compared: 0,
                spans_compared: 0,
                differences: Differences::default(),
            };
            for (image, reference) in options.images.iter().zip(&references) {
                run_image(
                    &artifact,
                    image,
                    reference,
                    model,
                    options.cycle_limit,
                    &mut simulator,
                    &mut machines,
                    &mut config,
                )?;
            }
            configs.push(config);
        }
    }
    let total =
        |of: fn(&Differences) -> Option<u64>| sum(configs.iter().map(|c| of(&c.differences)));
    let names = machines.iter().map(|machine| machine.name());
    Ok(Verification {
        network: network.name.clone(),
        arch: arch.name.clone(),
        arch_hash: arch.hash(),
        devices: ["reference", "sim"]
            .into_iter()
            .chain(names)
            .map(str::to_owned)
            .collect(),
        skipped,
        images: options.images.len(),
        bit_mismatches: total(|d| d.bytes),
        cycle_differences: total(|d| d.cycles),
        counter_differences: total(|d| d.counters),
        first: configs
            .iter()
            .find_map(|config| config.differences.first.clone()),
        configs,
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "the one step of all loops of `verify`"
)]
fn run_image(
    artifact: &Artifact,
    image: &[Vec<i8>],
    reference: &[Vec<i8>],
    model: MemoryModel,
    cycle_limit: u64,
    simulator: &mut SimMachine,
    machines: &mut [Box<dyn Machine>],
    config: &mut Config,
) -> Result<(), Error> {
    let program = artifact.program.check(&artifact.arch)?;
    let begin = memory_with_inputs(artifact, image);
    let mut expected_memory = begin.clone();
    let expected = match simulator.run(program, &mut expected_memory, model, cycle_limit) {
        Ok(run) => run,
        Err(error) => {
            config.differences.add(failure("sim", &error));
            return Ok(());
        }
    };
    config.cycles.push(expected.cycles);
    compare_tensors(artifact, "sim", reference, &expected_memory, config);
    for machine in machines {
        let mut memory = begin.clone();
        match machine.run(
            program,
            &mut memory,
            model,
            cycle_limit.min(expected.cycles.saturating_mul(4) + 10_000),
        ) {
            Err(error) => config.differences.add(failure(machine.name(), &error)),
            Ok(run) => {
                // Tensors are read from the memory, which has to be there for that.
                if memory.len() == expected_memory.len() {
                    compare_tensors(artifact, machine.name(), reference, &memory, config);
                }
                config.spans_compared += run.spans.len() as u64;
                config.differences.add(compare_runs(
                    &artifact.arch,
                    &artifact.program,
                    machine.name(),
                    &expected,
                    &run,
                ));
                config.differences.add(compare_memory(
                    &artifact.arch,
                    machine.name(),
                    &expected_memory,
                    &memory,
                ));
            }
        }
    }
    Ok(())
}

fn failure(device: &str, error: &Error) -> Differences {
    Differences {
        first: Some(*Difference::failure(device, error)),
        cycles: Some(1),
        ..Differences::default()
    }
}

fn compare_tensors(
    artifact: &Artifact,
    device: &str,
    reference: &[Vec<i8>],
    memory: &[u8],
    config: &mut Config,
) {
    let network = &artifact.network;
    let outputs = network
        .outputs
        .iter()
        .copied()
        .zip(outputs(artifact, memory));
    for (id, values) in outputs.chain(intermediates(artifact, memory)) {
        config.values_compared += values.len() as u64;
        config.differences.add(compare_tensor(
            network,
            device,
            id,
            &reference[id.index()],
            &values,
        ));
    }
}

fn compare_tensor(
    network: &Network,
    device: &str,
    id: TensorId,
    expected: &[i8],
    actual: &[i8],
) -> Differences {
    let differing = || {
        expected
            .iter()
            .zip(actual)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
    };
    let first = differing()
        .next()
        .map(|(index, (&expected, &actual))| Difference {
            device: device.to_owned(),
            what: What::Tensor {
                tensor: network.tensor(id).name.clone(),
                index,
                expected,
                actual,
            },
        });
    Differences {
        bytes: (!expected.is_empty()).then(|| differing().count() as u64),
        first,
        ..Differences::default()
    }
}
