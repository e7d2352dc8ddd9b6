//! Why a network has no program on an arch.

use ir::isa::FieldOverflow;
use ir::network::NetworkError;
use ir::program::CheckError;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};

use crate::directives::Cite;

/// A network that cannot be mapped. Unless a variant says otherwise, network and arch do not fit each other.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum MapError {
    /// The network itself is not valid.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Network(#[from] NetworkError),
    /// The arch is outside the template family: the caller's fault, as a file is checked when it is read.
    #[error("arch `{arch}`: {problem}")]
    #[diagnostic(
        code(mapper::arch),
        help("read the arch with `ir::arch::read`, which points at the line")
    )]
    Arch {
        /// Name of the arch.
        arch: String,
        /// The first problem.
        problem: String,
    },
    /// The arch lacks a unit or a dataflow that the einsum needs.
    #[error("`{einsum}`: {reason}")]
    #[diagnostic(code(mapper::unsupported), help("{help}"))]
    Unsupported {
        /// The einsum.
        einsum: String,
        /// What is missing.
        reason: String,
        /// What to do.
        help: String,
    },
    /// Something of an einsum is larger than what the arch has for it.
    #[error("`{einsum}`: {what} needs {needed} {unit}, arch `{arch}` has {available}")]
    #[diagnostic(code(mapper::capacity), help("{help}"))]
    Capacity {
        /// The einsum.
        einsum: String,
        /// The arch.
        arch: String,
        /// What does not fit.
        what: String,
        /// What it needs.
        needed: u64,
        /// What there is.
        available: u64,
        /// The unit of both.
        unit: &'static str,
        /// What to do.
        help: String,
    },
    /// A number is too large for a field of the instruction set.
    #[error("`{einsum}`: {overflow}")]
    #[diagnostic(
        code(mapper::field),
        help("this einsum is larger than the instruction set can say")
    )]
    Field {
        /// The einsum.
        einsum: String,
        /// The field and the value.
        overflow: FieldOverflow,
    },
    /// Program, constants and tensors together exceed the memory.
    #[error("`{network}` needs {needed} words of memory, arch `{arch}` has {available}")]
    #[diagnostic(
        code(mapper::memory),
        help(
            "raise `memory.words`, or raise `activations.words` so that fewer tensors lie in memory"
        )
    )]
    Memory {
        /// The network.
        network: String,
        /// The arch.
        arch: String,
        /// Words needed.
        needed: u64,
        /// Words there are.
        available: u64,
    },
    /// The program needs more pairs of engines that wait for each other than there are semaphores.
    #[error("`{network}` needs {needed} semaphores, arch `{arch}` has {available}")]
    #[diagnostic(
        code(mapper::semaphores),
        help("raise `semaphores.count` in the arch; 12 are always enough")
    )]
    Semaphores {
        /// The network.
        network: String,
        /// The arch.
        arch: String,
        /// Semaphores needed.
        needed: usize,
        /// Semaphores there are.
        available: u32,
    },
    /// Directives that no mapping can obey: the user's fault.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Directives(Box<Conflict>),
    /// The caller wanted the compilation to end.
    #[error("mapping was stopped")]
    #[diagnostic(code(mapper::stopped))]
    Stopped,
    /// The finished program does not pass its own check: always a bug in this crate.
    #[error("the compiled program is faulty: {0}")]
    #[diagnostic(code(mapper::bug), help("please report the network and the arch"))]
    Check(CheckError),
}

/// Directives that contradict each other or a limit, with their places.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(code(mapper::directives))]
pub struct Conflict {
    /// What they contradict, with value and limit.
    pub message: String,
    /// What to do.
    #[help]
    pub help: String,
    /// The file of the first.
    #[source_code]
    pub source_code: NamedSource<String>,
    /// Their places in that file.
    #[label(collection)]
    pub places: Vec<LabeledSpan>,
    /// Those in other files.
    #[related]
    pub elsewhere: Vec<Elsewhere>,
}

/// A directive in another file than the first of a [`Conflict`].
#[derive(Debug, Clone, PartialEq, thiserror::Error, Diagnostic)]
#[error("with `{setting}`")]
#[diagnostic(severity(Advice))]
pub struct Elsewhere {
    /// What it says.
    pub setting: String,
    /// Its file.
    #[source_code]
    pub source_code: NamedSource<String>,
    /// Its place.
    #[label("this one")]
    pub place: SourceSpan,
}

impl Conflict {
    /// The error of at least one setting.
    pub(crate) fn of(cites: &[&Cite], message: String, help: &str) -> MapError {
        let source_code = cites[0].place.source();
        let (mut places, mut elsewhere): (Vec<LabeledSpan>, Vec<Elsewhere>) = Default::default();
        for cite in cites {
            let (source, span) = (cite.place.source(), cite.place.span.clone());
            if source == source_code {
                let label = if places.is_empty() {
                    "this one"
                } else {
                    "and this one"
                };
                // One directive may say the same of several layers.
                if places.iter().all(|other| other.offset() != span.start) {
                    places.push(LabeledSpan::at(span, label));
                }
            } else {
                elsewhere.push(Elsewhere {
                    setting: cite.setting.to_string(),
                    source_code: source,
                    place: span.into(),
                });
            }
        }
        MapError::Directives(Box::new(Conflict {
            message,
            help: help.to_owned(),
            source_code,
            places,
            elsewhere,
        }))
    }
}
