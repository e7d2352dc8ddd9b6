//! What the user sees: results on standard output, progress and failures on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{CliError, Code, Failure};

/// The version of all JSON results; it grows when a key changes its meaning or goes away.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// The two streams.
pub(crate) struct Console {
    /// Whether results are JSON.
    pub(crate) json: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Console {
        Console { json }
    }

    /// Prints a part of the result for people; nothing when results are JSON.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { to_stdout(text) }
    }

    /// Whether the result is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the result as JSON when that is asked for, else as `text`.
    pub(crate) fn result(
        &self,
        command: &str,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            to_stdout(&format!("{:#}\n", with_header(command, value)))
        } else {
            to_stdout(&text())
        }
    }

    /// Prints a line about what is going on.
    pub(crate) fn note(&self, text: &str) {
        // Whoever closes standard error does not want to know.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// A progress bar of `length` steps; invisible unless standard error is a terminal.
    pub(crate) fn bar(&self, length: u64, message: &str) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}")
            .unwrap_or(ProgressStyle::default_bar());
        self.progress(ProgressBar::new(length).with_style(style), message)
    }

    /// A sign of life for work without known length; invisible unless standard error is a terminal.
    pub(crate) fn spinner(&self, message: &str) -> ProgressBar {
        let bar = self.progress(ProgressBar::new_spinner(), message);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn progress(&self, bar: ProgressBar, message: &str) -> ProgressBar {
        if io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_message(message.to_owned());
        bar
    }

    /// Prints why a command ended without its work done.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let _ = to_stdout(&format!(
                "{:#}\n",
                with_header("error", &failure_json(failure))
            ));
        }
        let _ = write!(io::stderr(), "{}", rendered(failure.report.as_ref()));
    }
}

/// Adds `schema_version` and `command` to an object.
fn with_header(command: &str, value: &impl Serialize) -> Value {
    let mut object = json!({"schema_version": SCHEMA_VERSION, "command": command});
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => object
            .as_object_mut()
            .expect("it is an object")
            .extend(fields),
        Ok(other) => object["result"] = other,
        Err(error) => object["error"] = json!(error.to_string()),
    }
    object
}

fn failure_json(failure: &Failure) -> Value {
    json!({"exit_code": failure.code as u8, "error": diagnostic_json(failure.report.as_ref())})
}

/// A diagnostic with its code, message, help, places in files, and related ones.
pub(crate) fn diagnostic_json(diagnostic: &dyn Diagnostic) -> Value {
    let place = |label: miette::LabeledSpan| {
        let mut place =
            json!({"offset": label.offset(), "length": label.len(), "label": label.label()});
        let source = diagnostic.source_code();
        if let Some(Ok(contents)) = source.map(|source| source.read_span(label.inner(), 0, 0)) {
            place["file"] = json!(contents.name());
            place["line"] = json!(contents.line() + 1);
            place["column"] = json!(contents.column() + 1);
        }
        place
    };
    json!({
        "code": diagnostic.code().map(|code| code.to_string()),
        "message": diagnostic.to_string(),
        "help": diagnostic.help().map(|help| help.to_string()),
        "places": diagnostic.labels().into_iter().flatten().map(place).collect::<Vec<_>>(),
        "related": diagnostic.related().into_iter().flatten().map(diagnostic_json).collect::<Vec<_>>(),
    })
}

/// A diagnostic as text, in colour where the terminal has it and the user has not set `NO_COLOR`.
pub(crate) fn rendered(diagnostic: &dyn Diagnostic) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || !io::stderr().is_terminal();
    let theme = if plain {
        GraphicalTheme::unicode_nocolor()
    } else {
        GraphicalTheme::unicode()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(100)
        .with_context_lines(1);
    // Some messages already say what their cause says.
    let message = diagnostic.to_string();
    let repeats = diagnostic
        .source()
        .is_some_and(|source| message.contains(&source.to_string()));
    let handler = if repeats {
        handler.without_cause_chain()
    } else {
        handler
    };
    let mut text = String::new();
    match handler.render_report(&mut text, diagnostic) {
        Ok(()) => text,
        Err(_) => format!("{diagnostic}\n"),
    }
}

/// Whether standard output was closed when the program was started. Before `main` Rust opens `/dev/null` in its place,
/// which takes everything, so that a write cannot tell.
static IS_CLOSED: AtomicBool = AtomicBool::new(false);

#[used]
#[expect(
    unsafe_code,
    reason = "only what runs before Rust's start-up sees a closed stream; what runs is one system call"
)]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // A copy can be made of every stream that is open.
    let copy = io::stdout().as_fd().try_clone_to_owned();
    IS_CLOSED.store(copy.is_err(), Ordering::Relaxed);
}

/// Writes to standard output; a reader that has seen enough ends the program as quietly as it would end `cat`.
fn to_stdout(text: &str) -> Result<(), Failure> {
    if IS_CLOSED.load(Ordering::Relaxed) {
        let closed = CliError::Write {
            path: "standard output".into(),
            reason: "it is closed".to_owned(),
        };
        return Err(Failure::new(Code::Resource, closed));
    }
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::write(Path::new("standard output"), error)),
    }
}

/// A table with aligned columns: text to the left, numbers to the right.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Table {
        Table {
            rows: vec![header.map(str::to_owned).to_vec()],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn is_number(cell: &str) -> bool {
        cell.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            && cell
                .chars()
                .all(|c| c.is_ascii_digit() || ",.%-x ".contains(c))
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n_columns = self.rows[0].len();
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..n_columns)
            .map(|column| {
                self.rows
                    .iter()
                    .map(|row| cell(row, column).chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let right: Vec<bool> = (0..n_columns)
            .map(|column| {
                let mut body = self.rows[1..]
                    .iter()
                    .map(|row| cell(row, column))
                    .filter(|cell| !cell.is_empty())
                    .peekable();
                body.peek().is_some() && body.all(|cell| Table::is_number(&cell))
            })
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for column in 0..n_columns {
                let (text, width) = (cell(row, column), widths[column]);
                let padded = if right[column] {
                    format!("{text:>width$}")
                } else {
                    format!("{text:<width$}")
                };
                line += &padded;
                line += "  ";
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number with commas between thousands.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun, in the plural where that is due.
pub(crate) fn count(n: u64, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{} {noun}s", thousands(n))
    }
}
