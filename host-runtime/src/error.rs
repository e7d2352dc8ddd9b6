//! Why a device gives no result.

use std::path::PathBuf;

use ir::network::NetworkError;
use ir::program::CheckError;

use crate::slave::PortFault;
use crate::verilated::{BuildError, LoadError};

/// Why a device gives no result.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The device cannot be used here; never a failure of the program.
    #[error("device `{device}` is not available: {reason}")]
    #[diagnostic(code(device::unavailable))]
    Unavailable {
        /// The device.
        device: &'static str,
        /// What is missing.
        reason: String,
    },
    /// onnxruntime does not start or run the file.
    #[error("onnxruntime: {message}")]
    #[diagnostic(
        code(device::onnxruntime),
        help("see whether the file runs in onnxruntime without Tilewright")
    )]
    OnnxRuntime {
        /// What it says.
        message: String,
    },
    /// The program does not fit the arch, or would not end: the compiler's fault, or a damaged artifact.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Program(#[from] CheckError),
    /// The network contradicts itself, or the inputs do not fit it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Network(#[from] NetworkError),
    /// The program runs longer than the limit.
    #[error("device `{device}` was stopped in cycle {cycle}: {state}")]
    #[diagnostic(
        code(device::timeout),
        help("raise the cycle limit if the program is really that long")
    )]
    Timeout {
        /// The device.
        device: &'static str,
        /// The cycle, counted from the doorbell.
        cycle: u64,
        /// What each engine was doing.
        state: String,
    },
    /// The time to wait for a result is over; the run goes on with the next `poll`.
    #[error("device `{device}` gave no result within {seconds} s")]
    #[diagnostic(code(device::wait))]
    Wait {
        /// The device.
        device: &'static str,
        /// The limit.
        seconds: f64,
    },
    /// The machine broke a rule of its own contract: a bug of the device.
    #[error("device `{device}`, cycle {cycle}: {what}")]
    #[diagnostic(code(device::fault))]
    Fault {
        /// The device.
        device: &'static str,
        /// The cycle, counted from the doorbell.
        cycle: u64,
        /// What happened.
        what: String,
    },
    /// Sessions run one submission after the other.
    #[error("device `{device}` {what}")]
    #[diagnostic(code(device::order))]
    Order {
        /// The device.
        device: &'static str,
        /// What the caller did.
        what: &'static str,
    },
    /// The simulator refuses the program: a hazard, an operand without meaning, too many tokens.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Simulation(Box<sim::SimError>),
    /// The verilated model cannot be built.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Build(#[from] BuildError),
    /// The verilated model cannot be loaded.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Load(#[from] LoadError),
    /// Network, arch and program do not fit each other, or the file is no artifact.
    #[error("the artifact cannot be used: {reason}")]
    #[diagnostic(
        code(artifact::unsound),
        help("compile the network again; an artifact is not made by hand")
    )]
    Unsound {
        /// Why not.
        reason: String,
    },
    /// An artifact cannot be read.
    #[error("cannot read artifact `{path}`: {reason}", path = path.display())]
    #[diagnostic(code(artifact::file))]
    Artifact {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
}

impl Error {
    /// The reason, if the device is only missing here.
    pub fn unavailable(&self) -> Option<String> {
        match self {
            Error::Unavailable { reason, .. } => Some(reason.clone()),
            Error::Build(BuildError::Tool(error @ hw::flow::ToolError::Missing { .. })) => {
                Some(error.to_string())
            }
            Error::Build(error @ BuildError::Cache { source, .. }) => {
                Some(format!("{error}: {source}"))
            }
            _ => None,
        }
    }

    pub(crate) fn port(device: &'static str, fault: PortFault) -> Error {
        Error::Fault {
            device,
            cycle: fault.cycle,
            what: fault.what,
        }
    }
}
