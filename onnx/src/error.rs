//! What can be wrong with a file.

use crate::file::OPSETS;
use ir::network::NetworkError;
use miette::Diagnostic;
use std::fmt::{self, Display};
use std::path::PathBuf;

/// Why a file did not become a network.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum ImportError {
    /// The file cannot be read: a wrong path, or no permission.
    #[error("`{}` cannot be read: {source}", .path.display())]
    #[diagnostic(code(onnx::read), help("check the path and its permissions"))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than protobuf allows.
    #[error("`{}` has {n_bytes} bytes, the limit of a protobuf file is {limit}", .path.display())]
    #[diagnostic(code(onnx::file_size), help("export the weights as external data"))]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Its size.
        n_bytes: u64,
        /// The largest size.
        limit: u64,
    },
    /// The file is truncated, or no ONNX file.
    #[error("not an ONNX file: {reason}")]
    #[diagnostic(code(onnx::decode), help("export or download the file again"))]
    Decode {
        /// What the decoder said.
        reason: String,
    },
    /// The file is of another format.
    #[error("not an ONNX file but {what}")]
    #[diagnostic(
        code(onnx::format),
        help(
            "only ONNX is read: convert it, as tf2onnx does for TensorFlow Lite and Keras, and torch.onnx.export for PyTorch"
        )
    )]
    Format {
        /// What it is.
        what: &'static str,
    },
    /// The operator set is one that import does not know.
    #[error("operator set is {version}, supported are {} to {}", OPSETS.start(), OPSETS.end())]
    #[diagnostic(
        code(onnx::opset),
        help("export with another `opset_version`, or use onnx.version_converter")
    )]
    Opset {
        /// The version in the file, 0 if there is none.
        version: i64,
    },
    /// A size is given to a dimension that is not there, or has one: the caller's fault.
    #[error("the network has no open dimension `{name}`, {}", open(.known))]
    #[diagnostic(
        code(onnx::dimension),
        help(
            "name a dimension by its symbol, or as `INPUT.AXIS` where it has none, such as `image.2`"
        )
    )]
    Dimension {
        /// The name that was given.
        name: String,
        /// The dimensions without a size.
        known: Vec<String>,
    },
    /// Nodes wait for each other.
    #[error("the graph has a cycle through node `{node}`")]
    #[diagnostic(code(onnx::cycle), help("the file is damaged; export it again"))]
    Cycle {
        /// A node of the cycle, or behind it.
        node: String,
    },
    /// The file can be read, but not all of it can run.
    #[error("the network cannot be imported: {} {}", .problems.len(), if .problems.len() == 1 { "problem" } else { "problems" })]
    #[diagnostic(code(onnx::refused))]
    Refused {
        /// Every problem of the file, in the order of its nodes.
        #[related]
        problems: Vec<Problem>,
    },
    /// Import built a network that contradicts itself: always a bug of import.
    #[error("import built an invalid network: {0}")]
    #[diagnostic(
        code(onnx::invalid),
        help("this is a bug of the importer; please report the file")
    )]
    Invalid(#[from] NetworkError),
}

fn open(known: &[String]) -> String {
    match known {
        [] => "all its sizes are fixed".to_owned(),
        known => format!("it has `{}`", known.join("`, `")),
    }
}

/// One thing in a file that stands in the way, with the node, input or tensor that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The code of the kind of problem, such as `onnx::unsupported`.
    pub code: &'static str,
    /// The node with its operator, or the tensor.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn Display>)
    }
}

/// A [`Problem`] before its place is known.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    code: &'static str,
    message: String,
    help: Option<String>,
}

impl Reason {
    /// The operator, or the way it is used, is outside the closed list.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Reason {
            code: "onnx::unsupported",
            message: message.into(),
            help: None,
        }
    }

    /// A tensor that nothing provides.
    pub(crate) fn missing(name: &str) -> Self {
        let message = format!("tensor `{name}` is not provided by any node, input or initialiser");
        Reason {
            code: "onnx::missing_tensor",
            message,
            help: Some("the file is damaged; export it again".into()),
        }
    }

    /// A constant whose values or size are wrong.
    pub(crate) fn constant(message: impl Into<String>) -> Self {
        Reason {
            code: "onnx::constant",
            message: message.into(),
            help: None,
        }
    }

    /// Dimensions that are absent, absurd or do not fit.
    pub(crate) fn dimensions(message: impl Into<String>) -> Self {
        Reason {
            code: "onnx::dimensions",
            message: message.into(),
            help: None,
        }
    }

    /// External data that cannot be read.
    pub(crate) fn external(message: impl Into<String>) -> Self {
        let help = "keep the data file beside the model, with a plain relative path".to_string();
        Reason {
            code: "onnx::external_data",
            message: message.into(),
            help: Some(help),
        }
    }

    /// A name that two things share.
    pub(crate) fn duplicate(message: impl Into<String>) -> Self {
        Reason {
            code: "onnx::duplicate_name",
            message: message.into(),
            help: None,
        }
    }

    /// Adds what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Ties the reason to its place.
    pub(crate) fn at(self, place: impl Into<String>) -> Problem {
        Problem {
            code: self.code,
            place: place.into(),
            message: self.message,
            help: self.help,
        }
    }
}

impl From<ir::op::OpError> for Reason {
    fn from(error: ir::op::OpError) -> Self {
        Reason::dimensions(error.to_string())
    }
}

impl From<ir::op::AddError> for Reason {
    fn from(error: ir::op::AddError) -> Self {
        Reason {
            code: "onnx::addition_scales",
            message: error.to_string(),
            help: error.help().map(|help| help.to_string()),
        }
    }
}
