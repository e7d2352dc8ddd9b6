//! Reading a tree from TOML, with errors that point into the file.

use std::ops::Range;

use miette::{Diagnostic, NamedSource, SourceSpan};
use serde::Deserialize;
use toml::Spanned;

use super::{Component, Compute, FORMAT, Memory, Tree};
use crate::text;
use crate::workload::Role;

/// A tree file that cannot be used; always the file's fault.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(code(tree::file), help("{help}"))]
pub struct TreeError {
    /// What is wrong.
    message: String,
    /// What to do.
    help: String,
    /// The file.
    #[source_code]
    source_code: NamedSource<String>,
    /// Where in the file.
    #[label("here")]
    span: SourceSpan,
}

/// Whether the TOML `text` says of itself that it is a tree.
pub fn is_tree(text: &str) -> bool {
    let table: Result<toml::Table, _> = toml::from_str(text);
    table.is_ok_and(|t| t.get("kind").and_then(|k| k.as_str()) == Some("tree"))
}

/// Reads a tree from the TOML `text` of the file `name` and checks it.
///
/// # Errors
/// [`TreeError`], with the place in the file.
pub fn read(name: &str, text: &str) -> Result<Tree, TreeError> {
    let error = |message: String, help: &str, span: Range<usize>| TreeError {
        message,
        help: help.to_owned(),
        source_code: NamedSource::new(name, text.to_owned()),
        span: span.into(),
    };
    let tree: Tree = toml::from_str(text).map_err(|e| {
        let help = "`docs/reference/tree.schema.json` lists every key";
        let span = fault_in_component(text).or(e.span()).unwrap_or(0..0);
        error(e.message().replace('\n', " "), help, span)
    })?;
    match tree.violations().into_iter().next() {
        None => Ok(tree),
        Some(problem) => Err(error(
            problem.message,
            problem.help,
            problem.place.span(text),
        )),
    }
}

/// The component that does not read; the reader itself names the list of all, because their class stands inside them.
fn fault_in_component(text: &str) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Parts {
        component: Vec<Spanned<toml::Value>>,
    }
    let parts: Parts = toml::from_str(text).ok()?;
    let reads =
        |part: &Spanned<toml::Value>| part.get_ref().clone().try_into::<Component>().is_ok();
    parts
        .component
        .iter()
        .find(|part| !reads(part))
        .map(Spanned::span)
}

/// The JSON Schema of tree files, for editors: `docs/reference/tree.schema.json`.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Tree);
    serde_json::to_string_pretty(&schema).expect("a schema is plain data") + "\n"
}

/// The most components of a tree.
const MAX_COMPONENTS: usize = 32;

/// The most copies of the compute.
const MAX_COPIES: u64 = 1 << 30;

/// What no mapper can work with.
struct Problem {
    place: Place,
    message: String,
    help: &'static str,
}

/// What a problem points at.
enum Place {
    /// A key of the tree itself.
    Key(&'static str),
    /// The line that names the component of this index.
    Component(usize),
}

impl Place {
    fn span(&self, text: &str) -> Range<usize> {
        let (key, mut skip) = match self {
            Place::Key(key) => (*key, 0),
            Place::Component(index) => ("name", index + 1),
        };
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let (found, _) = line.split_once('=').unwrap_or((line, ""));
            if found.trim() == key {
                if skip == 0 {
                    return start..start + line.trim_end().len();
                }
                skip -= 1;
            }
            start += line.len();
        }
        0..0
    }
}

impl Component {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Component::Memory(memory) => &memory.name,
            Component::Fanout(fanout) => &fanout.name,
            Component::Compute(compute) => &compute.name,
        }
    }
}

/// The problems found so far.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn rule(
        &mut self,
        holds: bool,
        place: Place,
        message: impl FnOnce() -> String,
        help: &'static str,
    ) {
        if !holds {
            let message = message();
            self.0.push(Problem {
                place,
                message,
                help,
            });
        }
    }
}

impl Tree {
    /// What no mapper can work with; empty for every tree that [`read`] gives.
    pub fn problems(&self) -> Vec<String> {
        self.violations().into_iter().map(|p| p.message).collect()
    }

    fn violations(&self) -> Vec<Problem> {
        let mut found = Problems::default();
        let components = &self.components;
        found.rule(
            self.format == FORMAT,
            Place::Key("format"),
            || format!("`format` is {}: {FORMAT} is the only version", self.format),
            "write `format = 1`",
        );
        found.rule(
            self.clock_hz > 0,
            Place::Key("clock_hz"),
            || "`clock_hz` is 0: must be above 0 Hz".to_owned(),
            "any clock will do if only energy and cycles count",
        );
        found.rule(
            components.len() <= MAX_COMPONENTS,
            Place::Component(MAX_COMPONENTS),
            || {
                format!(
                    "the tree has {} components: {MAX_COMPONENTS} are the limit",
                    components.len()
                )
            },
            "leave out what moves no data",
        );
        for (key, text) in [("name", &self.name), ("description", &self.description)] {
            found.rule(
                text::check(text).is_ok(),
                Place::Key(key),
                || {
                    format!(
                        "`{key}` is {}: must be one line of characters that print",
                        text::cell(text)
                    )
                },
                text::HELP,
            );
        }
        let first = match components.first() {
            Some(Component::Memory(memory)) => {
                memory.size_bits.is_none()
                    && Role::ALL.iter().all(|r| memory.keeps.contains(r))
                    && memory.may_bypass.is_empty()
            }
            _ => false,
        };
        found.rule(
            first,
            Place::Component(0),
            || "the first component is not a memory of everything".to_owned(),
            "start with a memory without `size_bits`, `keeps` and `may_bypass`: where all tensors begin and end",
        );
        let is_compute = |c: &&Component| matches!(c, Component::Compute(_));
        let computes = components.iter().filter(is_compute).count();
        found.rule(
            computes == 1 && components.last().as_ref().is_some_and(is_compute),
            Place::Component(components.len().saturating_sub(1)),
            || format!("the tree has {computes} components of compute, or it is not the last"),
            "end with one component of class `compute`",
        );
        for (index, component) in components.iter().enumerate() {
            let name = component.name();
            let twice = components[..index].iter().any(|c| c.name() == name);
            found.rule(
                crate::workload::is_name(name),
                Place::Component(index),
                || format!("`{}` is no name of a component", text::cell(name)),
                "names are letters, digits and `_`, a letter first",
            );
            found.rule(
                !twice,
                Place::Component(index),
                || format!("component `{name}` is there already"),
                "names are unique in a tree",
            );
            match component {
                Component::Memory(memory) => memory_rules(memory, index, &mut found),
                Component::Fanout(fanout) => found.rule(
                    (1..=1 << 20).contains(&fanout.size),
                    Place::Component(index),
                    || {
                        format!(
                            "`size` of `{name}` is {}: 1 to 1048576 is possible",
                            fanout.size
                        )
                    },
                    "a fan-out is at least one copy",
                ),
                Component::Compute(compute) => compute_rules(compute, index, &mut found),
            }
        }
        let copies = self
            .fanouts()
            .fold(1, |n: u64, (_, fanout)| n.saturating_mul(fanout.size));
        found.rule(
            copies <= MAX_COPIES,
            Place::Component(components.len().saturating_sub(1)),
            || format!("the fan-outs make more than {MAX_COPIES} copies of the compute"),
            "make a fan-out smaller",
        );
        found.0
    }
}

fn memory_rules(memory: &Memory, index: usize, found: &mut Problems) {
    let name = &memory.name;
    found.rule(
        memory
            .size_bits
            .is_none_or(|bits| (1..=1 << 50).contains(&bits)),
        Place::Component(index),
        || {
            format!(
                "`size_bits` of `{name}` is {}: 1 to 2^50 is possible",
                memory.size_bits.unwrap_or(0)
            )
        },
        "leave `size_bits` out if the memory is as large as needed",
    );
    found.rule(
        !memory.keeps.is_empty() && is_set(&memory.keeps),
        Place::Component(index),
        || format!("`keeps` of `{name}` is empty, or names a tensor twice"),
        "leave `keeps` out for every tensor, and the memory if it keeps none",
    );
    found.rule(
        memory.may_bypass.iter().all(|r| memory.keeps.contains(r)) && is_set(&memory.may_bypass),
        Place::Component(index),
        || format!("`{name}` lets pass by what it never keeps, or names a tensor twice"),
        "`may_bypass` is a part of `keeps`",
    );
    found.rule(
        memory
            .value_bits
            .iter()
            .all(|(role, bits)| memory.keeps.contains(role) && (1..=64).contains(bits)),
        Place::Component(index),
        || format!("`value_bits` of `{name}` is not 1 to 64 bits of a tensor that it keeps"),
        "write `value_bits = { output = 32 }`",
    );
    found.rule(
        [memory.read_pj_per_bit, memory.write_pj_per_bit]
            .into_iter()
            .all(is_energy),
        Place::Component(index),
        || format!("an energy of `{name}` is negative, not a number or above 10^12"),
        "energies are picojoules per bit",
    );
    found.rule(
        memory
            .ports
            .iter()
            .all(|p| (1e-6..=1e12).contains(&p.bits_per_cycle)),
        Place::Component(index),
        || format!("a port of `{name}` is not 10^-6 to 10^12 bits in a cycle"),
        "leave the port out if it never limits",
    );
    found.rule(
        memory.ports.iter().all(|p| !p.does.is_empty()),
        Place::Component(index),
        || format!("a port of `{name}` does nothing"),
        "leave `does` out if the port reads and writes",
    );
}

fn compute_rules(compute: &Compute, index: usize, found: &mut Problems) {
    let name = &compute.name;
    let vector = compute.vector.as_ref();
    found.rule(
        is_energy(compute.pj_per_operation) && vector.is_none_or(|v| is_energy(v.pj_per_operation)),
        Place::Component(index),
        || format!("an energy of `{name}` is negative, not a number or above 10^12"),
        "energies are picojoules per operation",
    );
    found.rule(
        vector.is_none_or(|v| (1..=1 << 20).contains(&v.lanes)),
        Place::Component(index),
        || {
            format!(
                "`vector.lanes` of `{name}` is {}: 1 to 1048576 is possible",
                vector.map_or(0, |v| v.lanes)
            )
        },
        "leave `vector` out if there is no vector engine",
    );
}

fn is_energy(picojoules: f64) -> bool {
    (0.0..=1e12).contains(&picojoules)
}

/// Whether no role occurs twice.
fn is_set(roles: &[Role]) -> bool {
    roles
        .iter()
        .enumerate()
        .all(|(i, role)| !roles[..i].contains(role))
}
