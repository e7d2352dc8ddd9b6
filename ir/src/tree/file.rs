//! Reading a tree from TOML, with errors that point into the file.

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::{Component, FORMAT, Memory, Tree};
use crate::workload::Role;

/// A tree file that cannot be used; always the file's fault.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(code(tree::value), help("{help}"))]
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
    let error = |message: String, help: &str, span: std::ops::Range<usize>| TreeError {
        message,
        help: help.to_owned(),
        source_code: NamedSource::new(name, text.to_owned()),
        span: span.into(),
    };
    let tree: Tree = toml::from_str(text).map_err(|e| {
        let help = "`docs/reference/tree.schema.json` lists every key";
        error(
            e.message().replace('\n', " "),
            help,
            e.span().unwrap_or(0..0),
        )
    })?;
    match tree.problems().into_iter().next() {
        None => Ok(tree),
        Some(problem) => Err(error(
            problem.message,
            problem.help,
            span_of(text, &problem.component),
        )),
    }
}

/// The JSON Schema of tree files, for editors: `docs/reference/tree.schema.json`.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Tree);
    serde_json::to_string_pretty(&schema).expect("a schema is plain data") + "\n"
}

/// What no mapper can work with.
struct Problem {
    component: String,
    message: String,
    help: &'static str,
}

/// The line that names `component`.
fn span_of(text: &str, component: &str) -> std::ops::Range<usize> {
    let quoted = format!("\"{component}\"");
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("name") && line.contains(&quoted) {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    0..0
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

impl Tree {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut rule = |holds: bool, component: &str, message: String, help: &'static str| {
            if !holds {
                problems.push(Problem {
                    component: component.to_owned(),
                    message,
                    help,
                });
            }
        };
        let version = format!("`format` is {}: {FORMAT} is the only version", self.format);
        rule(
            self.format == FORMAT,
            &self.name,
            version,
            "write `format = 1`",
        );
        let first = match self.components.first() {
            Some(Component::Memory(memory)) => {
                memory.size_bits.is_none()
                    && Role::ALL.iter().all(|r| memory.keeps.contains(r))
                    && memory.may_bypass.is_empty()
            }
            _ => false,
        };
        rule(
            first,
            self.components.first().map_or(&self.name, |c| c.name()),
            "the first component is not a memory of everything".to_owned(),
            "start with a memory without `size_bits`, `keeps` and `may_bypass`: where all tensors begin and end",
        );
        let computes = self
            .components
            .iter()
            .filter(|c| matches!(c, Component::Compute(_)))
            .count();
        rule(
            computes == 1 && matches!(self.components.last(), Some(Component::Compute(_))),
            &self.name,
            format!("the tree has {computes} components of compute, or it is not the last"),
            "end with one component of class `compute`",
        );
        for (index, component) in self.components.iter().enumerate() {
            let name = component.name();
            let before = &self.components[..index];
            rule(
                !before.iter().any(|c| c.name() == name),
                name,
                format!("component `{name}` is there already"),
                "names are unique in a tree",
            );
            if let Component::Memory(memory) = component {
                memory_rules(memory, &mut rule);
            }
            if let Component::Fanout(fanout) = component {
                rule(
                    (1..=1 << 20).contains(&fanout.size),
                    name,
                    format!(
                        "`size` of `{name}` is {}: 1 to 1048576 is possible",
                        fanout.size
                    ),
                    "a fan-out is at least one copy",
                );
            }
        }
        problems
    }
}

fn memory_rules(memory: &Memory, rule: &mut impl FnMut(bool, &str, String, &'static str)) {
    let name = &memory.name;
    let energies = [memory.read_pj_per_bit, memory.write_pj_per_bit];
    rule(
        energies.iter().all(|e| e.is_finite() && *e >= 0.0),
        name,
        format!("an energy of `{name}` is negative or not a number"),
        "energies are picojoules per bit",
    );
    rule(
        memory
            .ports
            .iter()
            .all(|p| p.bits_per_cycle.is_finite() && p.bits_per_cycle > 0.0),
        name,
        format!("a port of `{name}` has no bandwidth"),
        "`bits_per_cycle` is above 0; leave the port out if it never limits",
    );
    rule(
        memory.may_bypass.iter().all(|r| memory.keeps.contains(r)),
        name,
        format!("`{name}` lets pass by what it never keeps"),
        "`may_bypass` is a part of `keeps`",
    );
}
