//! What a reader finds in a file: faults, which end it, and what it leaves out.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, NamedSource};

/// Something in a file that cannot be said, or was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1.
    pub line: usize,
    /// The key, with the keys above it.
    pub key: String,
    /// What about it.
    pub message: String,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, `{}`: {}", self.line, self.key, self.message)
    }
}

/// A place in the file: its line and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) line: usize,
    pub(crate) bytes: Range<usize>,
}

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    faults: RefCell<Vec<Finding>>,
    ignored: RefCell<Vec<Finding>>,
}

impl Findings {
    /// Notes what cannot be said.
    pub(crate) fn fault(&self, span: Span, key: &str, message: impl Into<String>) {
        self.faults
            .borrow_mut()
            .push(Finding::new(span, key, message.into()));
    }

    /// Notes what is left out.
    pub(crate) fn ignore(&self, span: Span, key: &str, message: impl Into<String>) {
        self.ignored
            .borrow_mut()
            .push(Finding::new(span, key, message.into()));
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_sound(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    /// Faults and what was left out, in the order of the file.
    pub(crate) fn into_sorted(self) -> (Vec<Finding>, Vec<Finding>) {
        let mut faults = self.faults.into_inner();
        let mut ignored = self.ignored.into_inner();
        let place = |f: &Finding| (f.line, f.span.start, f.key.clone(), f.message.clone());
        faults.sort_by_cached_key(place);
        faults.dedup();
        ignored.sort_by_cached_key(place);
        ignored.dedup();
        (faults, ignored)
    }
}

impl Finding {
    fn new(span: Span, key: &str, message: String) -> Finding {
        Finding {
            line: span.line,
            key: key.to_owned(),
            message,
            span: span.bytes,
        }
    }
}

/// A file that cannot be read; the file's fault, or a meaning that is not here.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {}", list(.findings))]
pub struct ForeignError {
    name: String,
    findings: Vec<Finding>,
    source_code: NamedSource<String>,
}

fn list(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl ForeignError {
    pub(crate) fn new(name: &str, text: &str, findings: Vec<Finding>) -> ForeignError {
        ForeignError {
            name: name.to_owned(),
            findings,
            source_code: NamedSource::new(name, text.to_owned()),
        }
    }

    /// Everything that stands in the way, in the order of the file.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl Diagnostic for ForeignError {
    fn code(&self) -> Option<Box<dyn fmt::Display + '_>> {
        Some(Box::new("foreign::meaning"))
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        Some(Box::new(
            "`docs/reference/foreign.md` says what is read of each format",
        ))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source_code)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = |f: &Finding| LabeledSpan::at(f.span.clone(), f.message.clone());
        Some(Box::new(self.findings.iter().map(label)))
    }
}
