//! Reading an Arch from TOML, with errors that point into the file.

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::{Arch, Attachment, Dataflow, FORMAT, Host, Reduction};

/// An arch file that cannot be used; always the file's fault.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum ArchError {
    /// The text is not TOML, or a key is missing, unknown or of the wrong type.
    #[error("{message}")]
    #[diagnostic(
        code(arch::syntax),
        help("`docs/reference/arch.schema.json` lists every key")
    )]
    Syntax {
        /// What the TOML reader says.
        message: String,
        /// The file.
        #[source_code]
        source_code: NamedSource<String>,
        /// Where in the file.
        #[label("here")]
        span: SourceSpan,
    },
    /// A value that no design of the template family can have.
    #[error("`{key}` is {value}: {limit}")]
    #[diagnostic(code(arch::value))]
    Value {
        /// The key, with its table.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        limit: String,
        /// What to do.
        #[help]
        help: Option<&'static str>,
        /// The file.
        #[source_code]
        source_code: NamedSource<String>,
        /// Where in the file.
        #[label("this value")]
        span: SourceSpan,
    },
}

/// Reads an Arch from the TOML `text` of the file `name` and checks it against the template family.
///
/// # Errors
/// [`ArchError`], with the place in the file.
pub fn read(name: &str, text: &str) -> Result<Arch, ArchError> {
    let arch: Arch = toml::from_str(text).map_err(|error| ArchError::Syntax {
        message: error.message().replace('\n', " "),
        source_code: NamedSource::new(name, text.to_owned()),
        span: error.span().unwrap_or(0..0).into(),
    })?;
    match violations(&arch).into_iter().next() {
        None => Ok(arch),
        Some(Violation {
            key,
            value,
            limit,
            help,
        }) => Err(ArchError::Value {
            key,
            value,
            limit,
            help,
            source_code: NamedSource::new(name, text.to_owned()),
            span: span_of(text, key).into(),
        }),
    }
}

/// The JSON Schema of arch files, for editors: `docs/reference/arch.schema.json`.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Arch);
    serde_json::to_string_pretty(&schema).expect("a schema is plain data") + "\n"
}

impl Arch {
    /// What keeps this Arch from being a design of the template family; empty when nothing does.
    pub fn problems(&self) -> Vec<String> {
        violations(self)
            .into_iter()
            .map(|v| format!("`{}` is {}: {}", v.key, v.value, v.limit))
            .collect()
    }

    /// The TOML text; [`read`] gives the same Arch back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("an arch is plain data")
    }
}

struct Violation {
    key: &'static str,
    value: String,
    limit: String,
    help: Option<&'static str>,
}

/// Finds the line of `table.key` in the text: the first line that sets `key` after the header of its table.
fn span_of(text: &str, path: &str) -> std::ops::Range<usize> {
    let (table, key) = path.split_once('.').unwrap_or(("", path));
    let mut inside = table.is_empty();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            inside = trimmed.trim_matches(|c| c == '[' || c == ']') == table;
        } else if inside && trimmed.split('=').next().is_some_and(|k| k.trim() == key) {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    0..0
}

#[expect(
    clippy::too_many_lines,
    reason = "one line per rule, in the order of the file"
)]
fn violations(arch: &Arch) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut rule = |holds: bool,
                    key: &'static str,
                    value: &dyn ToString,
                    limit: &str,
                    help: Option<&'static str>| {
        if !holds {
            found.push(Violation {
                key,
                value: value.to_string(),
                limit: limit.to_owned(),
                help,
            });
        }
    };
    let pow2 = |n: u32| n.is_power_of_two();
    let (rows, cols) = (arch.array.rows, arch.array.cols);

    rule(
        arch.format == FORMAT,
        "format",
        &arch.format,
        "this version reads format 1",
        None,
    );
    let name_ok = !arch.name.is_empty()
        && arch.name.len() <= 32
        && arch.name.starts_with(|c: char| c.is_ascii_lowercase())
        && arch
            .name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    rule(
        name_ok,
        "name",
        &arch.name,
        "must be 1 to 32 lower case letters, digits or `_`, a letter first",
        None,
    );
    rule(
        arch.clock_hz > 0,
        "clock_hz",
        &arch.clock_hz,
        "must be above 0 Hz",
        None,
    );

    rule(
        [8, 16, 32].contains(&rows),
        "array.rows",
        &rows,
        "must be 8, 16 or 32",
        Some("rows are the channels of one activation word, whose width memory and buses share"),
    );
    rule(
        pow2(cols) && cols <= rows,
        "array.cols",
        &cols,
        "must be a power of two, at most `array.rows`",
        None,
    );
    rule(
        !arch.array.dataflows.is_empty(),
        "array.dataflows",
        &"empty",
        "must name at least one dataflow",
        None,
    );
    let os_systolic =
        arch.has(Dataflow::OutputStationary) && arch.array.reduction == Reduction::Systolic;
    rule(
        !os_systolic,
        "array.reduction",
        &"systolic",
        "output-stationary needs the dot reduction",
        Some("set `reduction = \"dot\"`, or leave `output_stationary` out of `dataflows`"),
    );

    rule(
        pow2(arch.memory.burst_words)
            && (1..=256).contains(&arch.memory.burst_words)
            && arch.memory.burst_words * rows <= 4096,
        "memory.burst_words",
        &arch.memory.burst_words,
        "must be a power of two, at most 256 words and 4096 bytes",
        None,
    );
    rule(
        (64..=1 << 22).contains(&arch.memory.words),
        "memory.words",
        &arch.memory.words,
        "must be 64 to 4194304 words",
        None,
    );
    let spram =
        arch.memory.attachment == Attachment::Port || arch.memory.words == 16384 && rows == 8;
    rule(
        spram,
        "memory.words",
        &arch.memory.words,
        "memory on chip is 16384 words of 8 bytes",
        Some(
            "four 32 KB single-port memories side by side; use `attachment = \"port\"` for other sizes",
        ),
    );
    rule(
        pow2(arch.fetch.chunk_words) && arch.fetch.chunk_words <= arch.memory.burst_words,
        "fetch.chunk_words",
        &arch.fetch.chunk_words,
        "must be a power of two, at most `memory.burst_words`",
        None,
    );
    rule(
        [1, 2].contains(&arch.fetch.chunks),
        "fetch.chunks",
        &arch.fetch.chunks,
        "must be 1 or 2",
        None,
    );
    rule(
        (1..=64).contains(&arch.queues.depth),
        "queues.depth",
        &arch.queues.depth,
        "must be 1 to 64 instructions",
        None,
    );
    rule(
        (4..=16).contains(&arch.semaphores.count),
        "semaphores.count",
        &arch.semaphores.count,
        "must be 4 to 16",
        None,
    );
    rule(
        (1..=3).contains(&arch.semaphores.bits),
        "semaphores.bits",
        &arch.semaphores.bits,
        "must be 1 to 3 bits",
        None,
    );
    rule(
        (1..=8).contains(&arch.load.outstanding),
        "load.outstanding",
        &arch.load.outstanding,
        "must be 1 to 8 bursts",
        None,
    );

    rule(
        (2..=16).contains(&arch.activations.banks),
        "activations.banks",
        &arch.activations.banks,
        "must be 2 to 16",
        None,
    );
    rule(
        pow2(arch.activations.words) && (16..=1 << 16).contains(&arch.activations.words),
        "activations.words",
        &arch.activations.words,
        "must be a power of two, 16 to 65536 words",
        None,
    );
    rule(
        pow2(arch.weights.words) && (2 * cols..=1 << 18).contains(&arch.weights.words),
        "weights.words",
        &arch.weights.words,
        "must be a power of two, at least two tiles of `array.cols` words, at most 262144",
        None,
    );
    rule(
        pow2(arch.parameters.channels) && (2 * rows..=1 << 16).contains(&arch.parameters.channels),
        "parameters.channels",
        &arch.parameters.channels,
        "must be a power of two, at least twice `array.rows`, at most 65536",
        None,
    );
    rule(
        pow2(arch.accumulators.pixels) && (4..=4096).contains(&arch.accumulators.pixels),
        "accumulators.pixels",
        &arch.accumulators.pixels,
        "must be a power of two, 4 to 4096 pixels",
        None,
    );

    let lanes = arch.vector.requantise_lanes;
    rule(
        pow2(lanes) && lanes <= cols,
        "vector.requantise_lanes",
        &lanes,
        "must be a power of two, at most `array.cols`",
        None,
    );
    rule(
        [1, 2, 4].contains(&arch.vector.requantise_interval),
        "vector.requantise_interval",
        &arch.vector.requantise_interval,
        "must be 1, 2 or 4 cycles",
        None,
    );
    let tables = arch.vector.table_lanes;
    rule(
        tables == 0 || pow2(tables) && tables <= rows / 2,
        "vector.table_lanes",
        &tables,
        "must be 0, or a power of two, at most half of `array.rows`",
        None,
    );
    let host = (arch.host == Host::Uart) == (arch.memory.attachment == Attachment::OnChip);
    rule(
        host || arch.host == Host::Axi && arch.memory.attachment == Attachment::Port,
        "host",
        &format!("{:?}", arch.host).to_lowercase(),
        "`uart` goes with memory on chip, `axi` with memory behind a port",
        None,
    );
    found
}
