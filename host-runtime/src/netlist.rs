//! The last check of a bitstream: its mapped netlist, with the vendor's cell models, runs a real program over the
//! serial line.
//!
//! The netlist is the one that was placed. Everything goes over the pins, as on a board: program, constants and
//! input in, START, STATUS until idle, outputs back.

use std::time::Instant;

use hw::flow::{NETLIST_TOP, ToolError, ToolRun};
use ir::MemoryModel;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::artifact::Artifact;
use crate::device::memory_with_inputs;
use crate::link::{Link, LinkError, MAX_WORDS, Pins};
use crate::machine::Machine as _;
use crate::simulated::SimMachine;
use crate::verilated::{BuildError, LoadError, Model, Optimise, Rtl, build};

/// A step of a check, for progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Verilator and the C++ compiler make a model of the netlist.
    Compile,
    /// Program, constants and inputs go over the line; most of the time is spent here.
    Send {
        /// Words that are on the device.
        done: usize,
        /// Words of this image's memory that it does not have yet.
        of: usize,
    },
    /// The program runs and its outputs come back.
    Run,
}

/// What the netlist did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetlistRun {
    /// Images that ran, all with the reference's outputs.
    pub images: usize,
    /// Values of outputs compared.
    pub values_compared: u64,
    /// Cycles of a run, by the design's own counter; those of the simulator.
    pub cycles: Vec<u64>,
    /// Clock cycles simulated, most of which the serial line needs.
    pub simulated_cycles: u64,
    /// Wall time of the simulation, without the building of its model.
    pub wall_seconds: f64,
    /// Bytes of program, constants and inputs sent over the line.
    pub bytes_sent: u64,
    /// BLAKE3 hash of the netlist, to be compared with that of the build.
    pub netlist_hash: String,
    /// The tools that built the model; empty if it was in the cache.
    pub tools: Vec<ToolRun>,
}

/// Why a netlist is not good, or could not be looked at.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum NetlistError {
    /// An output differs: synthesis, a model or the design is wrong.
    #[error(
        "image {image}, output {output}, value {index}: the netlist has {found}, the reference {expected} ({wrong} of {values} differ)"
    )]
    #[diagnostic(
        code(netlist::value),
        help("the bitstream is wrong; run `tilewright verify` to see whether the RTL is right")
    )]
    Value {
        /// Index of the image.
        image: usize,
        /// Index of the output.
        output: usize,
        /// First value that differs.
        index: usize,
        /// Of the netlist.
        found: i8,
        /// Of the reference.
        expected: i8,
        /// How many differ.
        wrong: usize,
        /// Of how many.
        values: usize,
    },
    /// The cycle counter differs.
    #[error("image {image}: the netlist takes {found} cycles, the simulator {expected}")]
    #[diagnostic(code(netlist::cycles))]
    Cycles {
        /// Index of the image.
        image: usize,
        /// Of the netlist.
        found: u64,
        /// Of the simulator.
        expected: u64,
    },
    /// The design says that it belongs to another Arch.
    #[error("the netlist was made for arch {found:016x}, the program for {expected:016x}")]
    #[diagnostic(code(netlist::arch))]
    Arch {
        /// Of the netlist.
        found: u64,
        /// Of the program.
        expected: u64,
    },
    /// The machine does not come to an end, or raises its fault line.
    #[error("image {image}: the netlist {what}")]
    #[diagnostic(code(netlist::run))]
    Run {
        /// Index of the image.
        image: usize,
        /// What it does.
        what: String,
    },
    /// The serial line does not work.
    #[error("the netlist does not answer")]
    #[diagnostic(code(netlist::link))]
    Link(#[from] LinkError),
    /// The artifact is unsound, or the simulator refuses its program.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Device(#[from] Error),
    /// The model cannot be built.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Build(#[from] BuildError),
    /// The model cannot be loaded.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Load(#[from] LoadError),
}

impl NetlistError {
    /// The reason, if only a tool is missing here.
    pub fn unavailable(&self) -> Option<String> {
        match self {
            NetlistError::Build(BuildError::Tool(error @ ToolError::Missing { .. })) => {
                Some(error.to_string())
            }
            _ => None,
        }
    }

    /// The exit code of the command line for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            NetlistError::Build(BuildError::Tool(error)) => error.exit_code(),
            NetlistError::Build(BuildError::Cache { .. }) => 7,
            NetlistError::Build(_) | NetlistError::Load(_) => 5,
            NetlistError::Device(_) => 3,
            _ => 1,
        }
    }
}

/// Runs `images` (for each the inputs of the network) on the netlist `files`, names and texts with the models first,
/// and compares all outputs with the reference and the cycles with the simulator.
///
/// # Errors
/// [`NetlistError`]: what differs, or why there is no result.
pub fn check(
    files: &[(String, String)],
    clocks_per_bit: u32,
    artifact: &Artifact,
    images: &[Vec<Vec<i8>>],
    progress: &mut dyn FnMut(Step),
) -> Result<NetlistRun, NetlistError> {
    progress(Step::Compile);
    let program = artifact.check()?;
    let rtl = Rtl {
        top: NETLIST_TOP,
        files: files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect(),
    };
    let built = build(&rtl, Optimise::Quick)?;
    let begin = now();
    let mut link = Link::new(Pins::new(Model::load(&built.path)?, clocks_per_bit)?);
    let (found, expected) = (link.arch_hash()?, artifact.program.arch_hash);
    if found != expected {
        return Err(NetlistError::Arch { found, expected });
    }
    let mut run = NetlistRun {
        images: images.len(),
        values_compared: 0,
        cycles: vec![],
        simulated_cycles: 0,
        wall_seconds: 0.0,
        bytes_sent: 0,
        netlist_hash: files
            .last()
            .map(|(_, text)| blake3::hash(text.as_bytes()).to_hex().to_string())
            .unwrap_or_default(),
        tools: if built.cached { vec![] } else { built.runs },
    };
    let word_bytes = artifact.arch.word_bytes() as usize;
    let mut simulator = SimMachine::new(&artifact.arch);
    let mut on_device: Vec<u8> = vec![];
    for (image, inputs) in images.iter().enumerate() {
        let mut memory = memory_with_inputs(artifact, inputs);
        // Only what the device does not have yet.
        let word = |word: usize| word * word_bytes..(word + 1) * word_bytes;
        let all = 0..memory.len() / word_bytes;
        let words: Vec<usize> = all
            .filter(|w| on_device.get(word(*w)) != Some(&memory[word(*w)]))
            .collect();
        let mut done = 0;
        for span in words
            .chunk_by(|a, b| a + 1 == *b)
            .flat_map(|span| span.chunks(MAX_WORDS))
        {
            progress(Step::Send {
                done,
                of: words.len(),
            });
            let bytes = &memory[span[0] * word_bytes..][..span.len() * word_bytes];
            link.write(span[0] as u16, bytes)?;
            run.bytes_sent += bytes.len() as u64;
            done += span.len();
        }
        progress(Step::Run);
        let simulated = simulator.run(program, &mut memory, MemoryModel::Ideal, u64::MAX)?;
        // What the run leaves in memory is what the simulator leaves there; outputs are compared below.
        on_device = memory;

        link.start(0, program.program.chunks(program.arch) as u16)?;
        link.transport().run(simulated.cycles);
        let mut status = link.status()?;
        if status.busy {
            // Far beyond what the same program may take.
            link.transport().run(simulated.cycles + 10_000);
            status = link.status()?;
        }
        if status.busy || status.fault {
            let what = if status.busy {
                "does not end"
            } else {
                "raises its fault line"
            };
            return Err(NetlistError::Run {
                image,
                what: what.to_owned(),
            });
        }
        let cycles = u64::from(link.cycles()?);
        compare(&mut link, artifact, image, inputs, &mut run)?;
        if cycles != simulated.cycles {
            return Err(NetlistError::Cycles {
                image,
                found: cycles,
                expected: simulated.cycles,
            });
        }
        run.cycles.push(cycles);
    }
    run.simulated_cycles = link.transport().cycles();
    run.wall_seconds = begin.elapsed().as_secs_f64();
    Ok(run)
}

#[expect(clippy::disallowed_methods, reason = "a wall time, stated as measured")]
fn now() -> Instant {
    Instant::now()
}

fn compare(
    link: &mut Link<Pins>,
    artifact: &Artifact,
    image: usize,
    inputs: &[Vec<i8>],
    run: &mut NetlistRun,
) -> Result<(), NetlistError> {
    let values = artifact.network.reference(inputs).map_err(Error::from)?;
    let word_bytes = artifact.arch.word_bytes();
    for (output, place) in artifact.program.outputs.iter().enumerate() {
        let bytes = link.read(place.word as u16, place.words(word_bytes) as usize)?;
        let found = place.unpack(word_bytes, &bytes);
        let expected = &values[place.tensor as usize];
        let wrong: Vec<usize> = (0..expected.len())
            .filter(|i| found.get(*i) != expected.get(*i))
            .collect();
        if let Some(&index) = wrong.first() {
            let (found, expected, values) = (found[index], expected[index], expected.len());
            return Err(NetlistError::Value {
                image,
                output,
                index,
                found,
                expected,
                wrong: wrong.len(),
                values,
            });
        }
        run.values_compared += expected.len() as u64;
    }
    Ok(())
}
