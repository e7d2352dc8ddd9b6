//! Device and Session: one way to run an Artifact, whatever runs it.
//!
//! A device is found, then loads an [`Artifact`], then runs images one after the other. `poll` never blocks: it
//! advances the device by one slice, so one thread can drive many. A device that is not here is a value with a reason
//! ([`Error::Unavailable`]), never a build failure.

use std::time::{Duration, Instant};

use ir::memory::MemoryModel;
use ir::network::{NetworkError, TensorId};
use ir::program::Checked;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::artifact::Artifact;
use crate::machine::{Machine, Span, late, memory_image};
use crate::rtl::RtlMachine;
use crate::simulated::SimMachine;
use crate::verilated::Optimise;

/// What the time of an outcome is counted in; figures of two time bases are never compared without their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeBase {
    /// The device has no time of its own.
    None,
    /// Cycles of a clock of `hz`; how long the simulation took says nothing.
    CyclesAt {
        /// The clock that the design is meant for.
        hz: u64,
    },
    /// Wall time on the host.
    WallMeasured,
    /// Time stamps of the device.
    DeviceEvent,
}

/// The result of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The outputs in the order of the network's, each `[channel][y][x]`.
    pub outputs: Vec<Vec<i8>>,
    /// Tensors between layers, as far as the device has them at the end.
    pub intermediates: Vec<(TensorId, Vec<i8>)>,
    /// Cycles from doorbell to end.
    pub cycles: Option<u64>,
    /// What `cycles` counts.
    pub time: TimeBase,
    /// Hardware counters by name.
    pub counters: Option<Vec<(String, u64)>>,
    /// Start and signal of every run instruction.
    pub spans: Option<Vec<Span>>,
}

/// How a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The memory behind the external port; without effect for memory on chip.
    pub memory: MemoryModel,
    /// Cycles after which a run is stopped.
    pub cycle_limit: u64,
    /// How the C++ compiler treats the verilated model.
    pub optimise: Optimise,
}

impl Default for Settings {
    /// Memory model M1, and a limit of 2^32 cycles: the width of the hardware's counter.
    fn default() -> Settings {
        Settings {
            memory: MemoryModel::M1,
            cycle_limit: 1 << 32,
            optimise: Optimise::Full,
        }
    }
}

/// Something that runs Artifacts.
pub trait Device {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn description(&self) -> &'static str;

    /// Checks the artifact and gets the device ready for it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device is not here; otherwise what is wrong with the artifact.
    fn load(&self, artifact: &Artifact) -> Result<Box<dyn Session>, Error>;
}

/// One loaded instance, which runs one image after the other.
pub trait Session: Send {
    /// The device's name.
    fn name(&self) -> &'static str;

    /// Hands over the inputs of one image, in the order of the network's, each `[channel][y][x]`.
    ///
    /// # Errors
    /// [`Error::Network`] when they do not fit, [`Error::Order`] when an image is under way.
    fn submit(&mut self, inputs: &[Vec<i8>]) -> Result<(), Error>;

    /// Advances the image under way by one slice; its outcome when it is done.
    ///
    /// # Errors
    /// Why there will be no outcome; the session can be used again. [`Error::Order`] when nothing is under way.
    fn poll(&mut self) -> Result<Option<Outcome>, Error>;

    /// Polls until the outcome is there.
    ///
    /// # Errors
    /// As [`Session::poll`], and [`Error::Wait`] after `limit`.
    fn wait(&mut self, limit: Duration) -> Result<Outcome, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a limit on waiting is about the host's time"
        )]
        let begin = Instant::now();
        loop {
            if let Some(outcome) = self.poll()? {
                return Ok(outcome);
            }
            if begin.elapsed() > limit {
                return Err(Error::Wait {
                    device: self.name(),
                    seconds: limit.as_secs_f64(),
                });
            }
        }
    }

    /// Runs one image to its end.
    ///
    /// # Errors
    /// As [`Session::submit`] and [`Session::poll`].
    fn run(&mut self, inputs: &[Vec<i8>]) -> Result<Outcome, Error> {
        self.submit(inputs)?;
        loop {
            if let Some(outcome) = self.poll()? {
                return Ok(outcome);
            }
        }
    }
}

/// All devices, in the order in which they are listed.
pub fn devices(settings: Settings) -> Vec<Box<dyn Device>> {
    vec![
        Box::new(Reference),
        Box::new(Simulator { settings }),
        Box::new(Verilated { settings }),
    ]
}

/// The reference executor of the network: plain loops, no time. The oracle of all others.
pub struct Reference;

/// The simulator.
pub struct Simulator {
    /// How it runs.
    pub settings: Settings,
}

/// The generated design, verilated.
pub struct Verilated {
    /// How it runs.
    pub settings: Settings,
}

impl Device for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn description(&self) -> &'static str {
        "the meaning of the network, in plain loops"
    }

    fn load(&self, artifact: &Artifact) -> Result<Box<dyn Session>, Error> {
        artifact.check()?;
        Ok(Box::new(ReferenceSession {
            network: artifact.network.clone(),
            inputs: None,
        }))
    }
}

impl Device for Simulator {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn description(&self) -> &'static str {
        "the simulator: bit and cycle exact"
    }

    fn load(&self, artifact: &Artifact) -> Result<Box<dyn Session>, Error> {
        artifact.check()?;
        let machine = SimMachine::new(&artifact.arch);
        Ok(Box::new(MachineSession::new(
            machine,
            artifact,
            self.settings,
        )))
    }
}

impl Device for Verilated {
    fn name(&self) -> &'static str {
        "rtl"
    }

    fn description(&self) -> &'static str {
        "the generated design in Verilator"
    }

    fn load(&self, artifact: &Artifact) -> Result<Box<dyn Session>, Error> {
        artifact.check()?;
        let machine = RtlMachine::of(&artifact.arch, self.settings.optimise)?;
        Ok(Box::new(MachineSession::new(
            machine,
            artifact,
            self.settings,
        )))
    }
}

struct ReferenceSession {
    network: ir::network::Network,
    inputs: Option<Vec<Vec<i8>>>,
}

impl Session for ReferenceSession {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn submit(&mut self, inputs: &[Vec<i8>]) -> Result<(), Error> {
        in_order(
            "reference",
            self.inputs.is_none(),
            "was given an image while another is under way",
        )?;
        check_inputs(&self.network, inputs)?;
        self.inputs = Some(inputs.to_vec());
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<Outcome>, Error> {
        let inputs = self.inputs.take();
        in_order(
            "reference",
            inputs.is_some(),
            "was polled while no image is under way",
        )?;
        let mut values = self.network.reference(&inputs.unwrap_or_default())?;
        let outputs: Vec<Vec<i8>> = self
            .network
            .outputs
            .iter()
            .map(|id| values[id.index()].clone())
            .collect();
        let between =
            |id: &TensorId| !self.network.inputs.contains(id) && !self.network.outputs.contains(id);
        let ids = (0..values.len() as u32).map(TensorId).filter(between);
        let intermediates = ids
            .map(|id| (id, std::mem::take(&mut values[id.index()])))
            .collect();
        Ok(Some(Outcome {
            outputs,
            intermediates,
            cycles: None,
            time: TimeBase::None,
            counters: None,
            spans: None,
        }))
    }
}

/// A machine with one artifact.
struct MachineSession<M> {
    machine: M,
    artifact: Artifact,
    settings: Settings,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    memory: Vec<u8>,
    cycles_left: u64,
}

impl<M: Machine> MachineSession<M> {
    fn new(machine: M, artifact: &Artifact, settings: Settings) -> MachineSession<M> {
        MachineSession {
            machine,
            artifact: artifact.clone(),
            settings,
            under_way: None,
        }
    }
}

/// Cycles of one poll: some milliseconds of a verilated design.
const SLICE: u64 = 20_000;

impl<M: Machine> Session for MachineSession<M> {
    fn name(&self) -> &'static str {
        self.machine.name()
    }

    fn submit(&mut self, inputs: &[Vec<i8>]) -> Result<(), Error> {
        in_order(
            self.machine.name(),
            self.under_way.is_none(),
            "was given an image while another is under way",
        )?;
        check_inputs(&self.artifact.network, inputs)?;
        let program = loaded(&self.artifact);
        let memory = memory_with_inputs(&self.artifact, inputs);
        self.machine.begin(program, self.settings.memory);
        self.under_way = Some(UnderWay {
            memory,
            cycles_left: self.settings.cycle_limit,
        });
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<Outcome>, Error> {
        let run = self.under_way.take();
        in_order(
            self.machine.name(),
            run.is_some(),
            "was polled while no image is under way",
        )?;
        let Some(mut run) = run else { return Ok(None) };
        let program = loaded(&self.artifact);
        let slice = run.cycles_left.min(SLICE);
        let Some(result) = self.machine.advance(program, &mut run.memory, slice)? else {
            run.cycles_left -= slice;
            if run.cycles_left == 0 {
                return Err(self.machine.stop(program));
            }
            self.under_way = Some(run);
            return Ok(None);
        };
        if result.cycles > self.settings.cycle_limit {
            return Err(late(self.machine.name(), result.cycles));
        }
        Ok(Some(Outcome {
            outputs: outputs(&self.artifact, &run.memory),
            intermediates: intermediates(&self.artifact, &run.memory),
            cycles: Some(result.cycles),
            time: TimeBase::CyclesAt {
                hz: self.artifact.arch.clock_hz,
            },
            counters: result.counters,
            spans: Some(result.spans),
        }))
    }
}

/// The program of an artifact that `load` has checked.
fn loaded(artifact: &Artifact) -> Checked<'_> {
    Checked {
        program: &artifact.program,
        arch: &artifact.arch,
    }
}

/// The memory before a run, inputs included. The inputs fit the network.
pub(crate) fn memory_with_inputs(artifact: &Artifact, inputs: &[Vec<i8>]) -> Vec<u8> {
    let mut memory = memory_image(loaded(artifact));
    let word_bytes = artifact.arch.word_bytes();
    for (id, values) in artifact.network.inputs.iter().zip(inputs) {
        for image in artifact
            .program
            .inputs
            .iter()
            .filter(|image| image.tensor == id.0)
        {
            let bytes = image.pack(word_bytes, values);
            memory[(image.word * word_bytes) as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
    }
    memory
}

/// The outputs in memory after a run, in the order of the network's.
pub(crate) fn outputs(artifact: &Artifact, memory: &[u8]) -> Vec<Vec<i8>> {
    let places = &artifact.program.outputs;
    let ids = artifact.network.outputs.iter();
    ids.filter_map(|id| places.iter().find(|image| image.tensor == id.0))
        .map(|image| unpack(artifact, image, memory))
        .collect()
}

/// The tensors between layers that are in memory after a run.
pub(crate) fn intermediates(artifact: &Artifact, memory: &[u8]) -> Vec<(TensorId, Vec<i8>)> {
    let places = artifact.program.intermediates.iter();
    places
        .map(|image| (TensorId(image.tensor), unpack(artifact, image, memory)))
        .collect()
}

fn unpack(artifact: &Artifact, image: &ir::program::TensorImage, memory: &[u8]) -> Vec<i8> {
    let word_bytes = artifact.arch.word_bytes();
    image.unpack(
        word_bytes,
        &memory[image.word as usize * word_bytes as usize..],
    )
}

fn check_inputs(network: &ir::network::Network, inputs: &[Vec<i8>]) -> Result<(), Error> {
    if inputs.len() != network.inputs.len() {
        return Err(NetworkError::InputCount {
            expected: network.inputs.len(),
            given: inputs.len(),
        }
        .into());
    }
    for (id, values) in network.inputs.iter().zip(inputs) {
        let tensor = network.tensor(*id);
        if values.len() != tensor.n_values() {
            let (expected, given) = (
                format!("{} int8 values", tensor.n_values()),
                values.len().to_string(),
            );
            return Err(NetworkError::Boundary {
                tensor: tensor.name.clone(),
                expected,
                given,
            }
            .into());
        }
    }
    Ok(())
}

fn in_order(device: &'static str, holds: bool, what: &'static str) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::Order { device, what })
    }
}
