//! How a command can end, and with which exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use host_runtime::verilated::BuildError;
use miette::{Diagnostic, Report};

/// The end of a command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything it looked at is good.
    Good,
    /// It looked, and something is not good; what it is stands in the result.
    CheckFailed,
}

impl Outcome {
    pub(crate) fn good_if(holds: bool) -> Outcome {
        if holds {
            Outcome::Good
        } else {
            Outcome::CheckFailed
        }
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Outcome::Good => ExitCode::SUCCESS,
            Outcome::CheckFailed => ExitCode::from(Code::CheckFailed as u8),
        }
    }
}

/// The exit codes other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A check failed.
    CheckFailed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// An input file is bad.
    Input = 3,
    /// A tool is missing.
    ToolMissing = 4,
    /// A tool failed, or was stopped at its limit.
    ToolFailed = 5,
    /// A device that was asked for is not here.
    Device = 6,
    /// Disk, memory or process table refused.
    Resource = 7,
    /// The user stopped it.
    Interrupted = 130,
}

impl Code {
    /// The code of a crate's error, which states it as a number.
    fn of(exit_code: u8) -> Code {
        match exit_code {
            1 => Code::CheckFailed,
            3 => Code::Input,
            4 => Code::ToolMissing,
            7 => Code::Resource,
            130 => Code::Interrupted,
            _ => Code::ToolFailed,
        }
    }
}

/// A command that could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: Code,
    /// What happened, for people.
    pub(crate) report: Report,
}

impl Failure {
    pub(crate) fn new(code: Code, error: impl Diagnostic + Send + Sync + 'static) -> Failure {
        Failure {
            code,
            report: Report::new(error),
        }
    }

    /// The file system refused to write `path`.
    pub(crate) fn write(path: &std::path::Path, source: std::io::Error) -> Failure {
        // Some errors of wrappers name a temporary file, which tells the user nothing.
        let reason = match source.raw_os_error() {
            Some(_) => source.to_string(),
            None => source.kind().to_string(),
        };
        Failure::new(
            Code::Resource,
            CliError::Write {
                path: path.to_owned(),
                reason,
            },
        )
    }

    /// The file system refused to read `path`.
    pub(crate) fn read(path: &std::path::Path, reason: impl ToString) -> Failure {
        Failure::new(
            Code::Input,
            CliError::Read {
                path: path.to_owned(),
                reason: reason.to_string(),
            },
        )
    }

    /// The arguments do not make sense together.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::new(
            Code::Usage,
            CliError::Usage {
                message: message.into(),
                help: help.into(),
            },
        )
    }

    pub(crate) fn interrupted() -> Failure {
        Failure::new(Code::Interrupted, CliError::Interrupted)
    }
}

/// What the command line itself finds wrong.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(crate) enum CliError {
    /// A name that is neither a preset nor a file.
    #[error("there is no {kind} `{name}`")]
    #[diagnostic(code(cli::name), help("give {known}, or the path of a file"))]
    Name {
        kind: &'static str,
        name: String,
        known: String,
    },
    /// Arguments that contradict each other.
    #[error("{message}")]
    #[diagnostic(code(cli::usage), help("{help}"))]
    Usage { message: String, help: String },
    /// A file cannot be read.
    #[error("cannot read `{}`: {reason}", .path.display())]
    #[diagnostic(code(cli::read), help("check the path and its permissions"))]
    Read { path: PathBuf, reason: String },
    /// A file is larger than any of its kind.
    #[error("`{}` is larger than the {limit} B that are read", .path.display())]
    #[diagnostic(code(cli::size), help("check the path"))]
    Size { path: PathBuf, limit: u64 },
    /// A file cannot be written.
    #[error("cannot write `{}`: {reason}", .path.display())]
    #[diagnostic(
        code(cli::write),
        help("check the folder, its permissions and the space on its disk")
    )]
    Write { path: PathBuf, reason: String },
    /// A folder holds what is not ours to replace.
    #[error("`{}` holds {what}, which `tilewright {command}` did not write", .folder.display())]
    #[diagnostic(
        code(cli::folder),
        help("give a folder that is new or empty, or `--force` to write there all the same")
    )]
    Foreign {
        folder: PathBuf,
        what: String,
        command: &'static str,
    },
    /// The limit of time came before anything was found.
    #[error("nothing found within the time limit of {seconds} s")]
    #[diagnostic(
        code(cli::time_limit),
        help("give `--time-limit` more seconds, or map less at once")
    )]
    TimeLimit { seconds: f64 },
    /// The limit of memory came before anything was found.
    #[error("nothing found in the memory allowed: {held} MiB held, the limit is {limit} MiB")]
    #[diagnostic(
        code(cli::memory_limit),
        help("give `--memory-limit` more, or map less at once")
    )]
    MemoryLimit { held: u64, limit: u64 },
    /// The user stopped the command.
    #[error("interrupted")]
    #[diagnostic(code(cli::interrupted))]
    Interrupted,
}

macro_rules! failure_from {
    ($($error:ty => $code:expr),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::new($code, error)
            }
        })+
    };
}

failure_from! {
    onnx::ImportError => Code::Input,
    onnx::dataset::DatasetError => Code::Input,
    foreign::ForeignError => Code::Input,
    ir::arch::ArchError => Code::Input,
    ir::directive::DirectiveError => Code::Input,
    ir::network::NetworkError => Code::Input,
    ir::op::AddError => Code::Input,
    ir::program::CheckError => Code::Input,
    ir::mapping::MappingError => Code::Input,
    ir::tree::TreeError => Code::Input,
    ir::workload::WorkloadError => Code::Input,
    mapper::MapError => Code::Input,
    mapper::exact::Infeasible => Code::CheckFailed,
    mapper::exact::NestError => Code::CheckFailed,
    onnx::zoo::ZooError => Code::Usage,
    sim::SimError => Code::CheckFailed,
}

impl From<hw::flow::ToolError> for Failure {
    fn from(error: hw::flow::ToolError) -> Failure {
        Failure::new(Code::of(error.exit_code()), error)
    }
}

impl From<host_runtime::Error> for Failure {
    fn from(error: host_runtime::Error) -> Failure {
        use host_runtime::Error;
        if error.unavailable().is_some() {
            return Failure::new(Code::Device, error);
        }
        let code = match &error {
            Error::Program(_)
            | Error::Network(_)
            | Error::Unsound { .. }
            | Error::Artifact { .. } => Code::Input,
            Error::Build(BuildError::Tool(error)) => Code::of(error.exit_code()),
            Error::Build(_) | Error::Load(_) | Error::Timeout { .. } | Error::Wait { .. } => {
                Code::ToolFailed
            }
            _ => Code::CheckFailed,
        };
        Failure::new(code, error)
    }
}

impl From<hw::flow::BuildError> for Failure {
    fn from(error: hw::flow::BuildError) -> Failure {
        Failure::new(Code::of(error.exit_code()), error)
    }
}

impl From<Box<explore::SpaceError>> for Failure {
    fn from(error: Box<explore::SpaceError>) -> Failure {
        Failure::new(Code::Input, *error)
    }
}

impl From<host_runtime::netlist::NetlistError> for Failure {
    fn from(error: host_runtime::netlist::NetlistError) -> Failure {
        Failure::new(Code::of(error.exit_code()), error)
    }
}
