//! What the user sees: results on standard output, progress and failures on standard error.
//!
//! Everything goes through [`ir::text`], for names and files may hold what a terminal obeys.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ir::text;
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity,
    SourceCode, SourceSpan,
};
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
        if self.json {
            Ok(())
        } else {
            to_stdout(&Harmless::lines(text))
        }
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
            json_to_stdout(command, value)
        } else {
            to_stdout(&Harmless::lines(&text()))
        }
    }

    /// Prints a line about what is going on.
    pub(crate) fn note(&self, text: &str) {
        // Whoever closes standard error does not want to know.
        let _ = writeln!(io::stderr(), "{}", Harmless::lines(text).0);
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
        bar.set_message(text::cell(message).into_owned());
        bar
    }

    /// Prints why a command ended without its work done.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let _ = json_to_stdout("error", &failure_json(failure));
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

/// A diagnostic with all its texts as a screen may show them, which leaves colours to whoever renders it.
#[derive(Debug)]
struct Shown {
    message: String,
    code: Option<String>,
    severity: Option<Severity>,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
    source: Option<NamedSource<String>>,
    related: Vec<Shown>,
    cause: Option<Box<Shown>>,
    /// Whether the cause is a diagnostic of its own, with a code and help.
    cause_is_diagnostic: bool,
}

impl Shown {
    fn of(diagnostic: &dyn Diagnostic) -> Shown {
        let text = |text: &dyn std::fmt::Display| text::screen(&text.to_string()).into_owned();
        let label = |label: LabeledSpan| {
            LabeledSpan::new_with_span(label.label().map(|l| text(&l)), *label.inner())
        };
        Shown {
            message: text(&diagnostic),
            code: diagnostic.code().map(|code| text(&code)),
            severity: diagnostic.severity(),
            help: diagnostic.help().map(|help| text(&help)),
            labels: diagnostic
                .labels()
                .into_iter()
                .flatten()
                .map(label)
                .collect(),
            source: diagnostic.source_code().and_then(masked),
            related: diagnostic
                .related()
                .into_iter()
                .flatten()
                .map(Shown::of)
                .collect(),
            cause: diagnostic
                .diagnostic_source()
                .map(Shown::of)
                .or_else(|| diagnostic.source().map(Shown::of_cause))
                .map(Box::new),
            cause_is_diagnostic: diagnostic.diagnostic_source().is_some(),
        }
    }

    fn of_cause(error: &dyn std::error::Error) -> Shown {
        Shown {
            message: text::screen(&error.to_string()).into_owned(),
            code: None,
            severity: None,
            help: None,
            labels: Vec::new(),
            source: None,
            related: Vec::new(),
            cause: error.source().map(Shown::of_cause).map(Box::new),
            cause_is_diagnostic: false,
        }
    }
}

/// The whole file, each hidden character as one that prints and is as long, so that places stay where they are.
fn masked(source: &dyn SourceCode) -> Option<NamedSource<String>> {
    let contents = source
        .read_span(&SourceSpan::from(0..0), 0, usize::MAX)
        .ok()?;
    let mask = |c: char| match c {
        '\n' | '\t' => c,
        c if !text::is_hidden(c) => c,
        c => ['?', '\u{bf}', '\u{fffd}', '\u{1f6ab}'][c.len_utf8() - 1],
    };
    let text = String::from_utf8_lossy(contents.data())
        .chars()
        .map(mask)
        .collect();
    let name = text::line(contents.name().unwrap_or("")).into_owned();
    Some(NamedSource::new(name, text))
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause.as_deref()?)
    }
}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(self.code.as_ref()?))
    }

    fn severity(&self) -> Option<Severity> {
        self.severity
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(self.help.as_ref()?))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.labels.iter().cloned()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source.as_ref()?)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.related.is_empty() {
            return None;
        }
        Some(Box::new(self.related.iter().map(|r| r as &dyn Diagnostic)))
    }

    fn diagnostic_source(&self) -> Option<&dyn Diagnostic> {
        let cause = self.cause.as_deref().filter(|_| self.cause_is_diagnostic)?;
        Some(cause)
    }
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
    rendered_in(theme, diagnostic)
}

fn rendered_in(theme: GraphicalTheme, diagnostic: &dyn Diagnostic) -> String {
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(100)
        .with_context_lines(1);
    let shown = Shown::of(diagnostic);
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
    match handler.render_report(&mut text, &shown) {
        Ok(()) => text,
        Err(_) => format!("{shown}\n"),
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

fn json_to_stdout(command: &str, value: &impl Serialize) -> Result<(), Failure> {
    to_stdout(&Harmless::json(command, value))
}

/// Text that acts on nothing, as all results and notes are.
struct Harmless(String);

impl Harmless {
    /// Text that the program laid out, with texts of the user in it.
    fn lines(text: &str) -> Harmless {
        Harmless(text::screen(text).into_owned())
    }

    /// A result as JSON.
    fn json(command: &str, value: &impl Serialize) -> Harmless {
        let json = format!("{:#}\n", with_header(command, value));
        Harmless(text::json(&json).into_owned())
    }
}

/// Writes to standard output; a reader that has seen enough ends the program as quietly as it would end `cat`.
fn to_stdout(Harmless(text): &Harmless) -> Result<(), Failure> {
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

/// A table with aligned columns: text to the left, numbers to the right; each cell as [`text::cell`] shows it.
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
        let cells = cells.into_iter();
        self.rows
            .push(cells.map(|cell| text::cell(&cell).into_owned()).collect());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with a text everywhere that a user's text can be.
    #[derive(Debug, thiserror::Error, Diagnostic)]
    #[error("`{text}` is wrong")]
    #[diagnostic(code(test::text), help("not {text}"))]
    struct Hostile {
        text: String,
        #[source_code]
        file: NamedSource<String>,
        #[label("{text}")]
        span: SourceSpan,
        #[source]
        cause: std::io::Error,
        #[related]
        related: Vec<Failing>,
    }

    #[derive(Debug, thiserror::Error, Diagnostic)]
    #[error("{0}")]
    struct Failing(String);

    #[test]
    fn nothing_of_a_users_text_acts_on_the_terminal() {
        for text in text::hostile() {
            let error = Hostile {
                file: NamedSource::new(&text, format!("first\n{text}\nlast")),
                span: (6..6 + text.len()).into(),
                // What the message already says would not be shown.
                cause: std::io::Error::other(format!("because of {text}")),
                related: vec![Failing(text.clone())],
                text: text.clone(),
            };
            let rendered =
                rendered_in(GraphicalTheme::unicode_nocolor(), &error).replace(['\n', '\t'], "");
            assert_eq!(text::check(&rendered), Ok(()), "{rendered}");
            let json = Harmless::json("error", &diagnostic_json(&error)).0;
            assert_eq!(text::check(&json.replace('\n', "")), Ok(()));
            let lines = Harmless::lines(&text).0;
            assert_eq!(text::check(&lines.replace('\n', "")), Ok(()));

            let mut table = Table::new(["name", "size"]);
            table.row([text, "1".to_owned()]);
            let table = table.to_string();
            assert_eq!(table.lines().count(), 2, "{table}");
            assert_eq!(text::check(&table.replace('\n', "")), Ok(()), "{table}");
        }
    }

    #[test]
    fn places_in_files_stay_where_they_are() {
        let text = "ä\u{1b}\u{85}\u{2028}\u{e0041}\n\tend";
        let source = masked(&NamedSource::new("a\nb", text.to_owned())).expect("it can be read");
        assert_eq!(source.inner(), "ä?\u{bf}\u{fffd}\u{1f6ab}\n\tend");
        assert_eq!(source.inner().len(), text.len());
        assert_eq!(source.name(), "a\\u{a}b");
    }
}
