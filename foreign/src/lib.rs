//! Timeloop, AccelForge and ZigZag files to Tree and Workload.
//!
//! [`read`] recognises the format by its content: Timeloop v4 (`architecture`, `problem`, `ERT`), AccelForge 1.0 (`arch`,
//! `workload`) and ZigZag 3.9 (`memories` with `operational_array`, or a list of layers).
//! What a file says and a [`Tree`] or [`Workload`] cannot say is an error; what changes no result, or only enlarges the
//! space that is searched, is left out and listed in [`Foreign::ignored`].
//! Either way the file, the line and the key are named, and everything is found in one go.
//! No key is dropped in silence: what no reader asks for is an error.
//!
//! - `yaml`, `table`: text to nodes with places, and nodes to values with the keys that nobody asked for.
//! - `expression`: arithmetic, sets of tensors, and sums of ranks, as the formats write them.
//! - `build`: parts to Tree and Workload, checked by the rules of `ir`.
//! - `timeloop`, `accelforge`, `zigzag`: what each format means.
//!
//! Deliberately not here: writing these formats, templates (Jinja), sparsity, networks on chip, compute in memory, energies
//! that a plug-in computes, and mappings.

mod accelforge;
mod build;
mod expression;
mod finding;
mod table;
mod timeloop;
mod yaml;
mod zigzag;

use ir::tree::Tree;
use ir::workload::Workload;

pub use finding::{Finding, ForeignError};

use finding::Findings;
use table::At;

/// What a foreign file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// The format.
    pub format: Format,
    /// The accelerator, if the file has one.
    pub tree: Option<Tree>,
    /// The einsums, if the file has any.
    pub workload: Option<Workload>,
    /// What was left out.
    pub ignored: Vec<Finding>,
}

/// A format of another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Timeloop v4.
    Timeloop,
    /// AccelForge 1.0.
    AccelForge,
    /// ZigZag 3.9.
    ZigZag,
}

impl Format {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Format::Timeloop => "Timeloop v4",
            Format::AccelForge => "AccelForge 1.0",
            Format::ZigZag => "ZigZag 3.9",
        }
    }
}

/// Reads the `text` of the file `name`.
///
/// # Errors
/// [`ForeignError`], with everything that cannot be said here, and its places.
///
/// # Example
/// ```
/// let text = "
/// problem:
///   shape:
///     name: product
///     dimensions: [M, N, K]
///     data_spaces:
///     - {name: A, projection: [[[M]], [[K]]]}
///     - {name: B, projection: [[[K]], [[N]]]}
///     - {name: Z, projection: [[[M]], [[N]]], read_write: true}
///   instance: {M: 64, N: 32, K: 16}
/// ";
/// let foreign = foreign::read("product.yaml", text).unwrap();
/// let workload = foreign.workload.unwrap();
/// assert_eq!(workload.einsums[0].equation(), "Z[M, N] += A[M, K] * B[K, N]");
/// ```
pub fn read(name: &str, text: &str) -> Result<Foreign, ForeignError> {
    let findings = Findings::default();
    let content = content(name, text, &findings);
    let (faults, ignored) = findings.into_sorted();
    match content {
        Some((format, tree, workload)) if faults.is_empty() => Ok(Foreign {
            format,
            tree,
            workload,
            ignored,
        }),
        _ => Err(ForeignError::new(name, text, faults)),
    }
}

type Content = (Format, Option<Tree>, Option<Workload>);

fn content(name: &str, text: &str, findings: &Findings) -> Option<Content> {
    if let [first, others @ ..] = yaml::templates(text).as_slice() {
        let more = match others.len() {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let message = format!("a template{more}: render it first, this reads plain YAML");
        findings.fault(first.clone(), "the file", message);
        return None;
    }
    let root = yaml::parse(text, findings)?;
    let stem = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let root = At::root(&root);
    let content = meaning(stem, &root, findings);
    if findings.is_sound() {
        root.sweep(findings);
    }
    content
}

/// What a document means, by the format that its content shows.
fn meaning(stem: &str, root: &At<'_>, findings: &Findings) -> Option<Content> {
    if let Some(items) = root.list() {
        if items.iter().any(|item| item.has("spatial_mapping")) {
            let message = "a mapping of ZigZag: it is searched for, not read; what an axis may unroll stands in the \
                           accelerator as `dataflows`";
            root.fault(findings, message);
            return None;
        }
        let workload = zigzag::workload(stem, root, findings);
        return Some((Format::ZigZag, None, workload));
    }
    let has = |key: &str| root.has(key);
    if has("memories") && has("operational_array") {
        let tree = zigzag::tree(root, findings);
        return Some((Format::ZigZag, tree, None));
    }
    if has("architecture") || has("problem") {
        let (tree, workload) = timeloop::read(stem, root, findings);
        return Some((Format::Timeloop, tree, workload));
    }
    if has("arch") || has("workload") {
        let (tree, workload) = accelforge::read(stem, root, findings);
        return Some((Format::AccelForge, tree, workload));
    }
    let message = "neither `architecture` or `problem` (Timeloop), `arch` or `workload` (AccelForge), \
                   `memories` with `operational_array`, nor a list of layers (ZigZag): \
                   name the file that has them; constraints, components and settings of a search are not read alone";
    root.fault(findings, message);
    None
}
