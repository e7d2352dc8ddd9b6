//! Parts to Tree and Workload, checked by the rules of `ir`.

use ir::tree::{Component, Kind, Tree};
use ir::workload::{Einsum, Unit, Workload};

use crate::finding::Findings;
use crate::table::At;

/// The clock where a format has none.
pub(crate) const CLOCK_HZ: u64 = 1_000_000_000;

/// What is said of the size of the outermost memory.
pub(crate) const OUTERMOST: &str = "the outermost memory is as large as needed";

/// A component and its place in the file.
pub(crate) type Part<'a> = (Component, At<'a>);

/// A name that text forms can print.
pub(crate) fn name(text: &str) -> String {
    let symbol = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = text.chars().map(symbol).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name
    } else {
        format!("c{name}")
    }
}

/// A tree of the parts, if nothing is wrong with them.
pub(crate) fn tree(
    name: &str,
    from: &str,
    clock_hz: u64,
    parts: Vec<Part<'_>>,
    at: &At<'_>,
    findings: &Findings,
) -> Option<Tree> {
    let (components, places): (Vec<Component>, Vec<At<'_>>) = parts.into_iter().unzip();
    let tree = Tree {
        format: ir::tree::FORMAT,
        kind: Kind::Tree,
        name: name.to_owned(),
        description: format!("read from a {from} file"),
        clock_hz,
        components,
    };
    if !findings.is_sound() {
        return None;
    }
    for problem in tree.problems() {
        let names = |c: &Component| problem.contains(&format!("`{}`", c.name()));
        let index = tree.components.iter().position(names);
        let place = index.map_or(at, |index| &places[index]);
        place.fault(findings, problem);
    }
    findings.is_sound().then_some(tree)
}

/// A tensor of an einsum, each index as factors and ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) indices: Vec<Vec<(u64, String)>>,
    pub(crate) bits: u64,
}

impl Tensor {
    pub(crate) fn uses(&self, rank: &str) -> bool {
        self.indices.iter().flatten().any(|(_, r)| r == rank)
    }

    fn text(&self) -> String {
        let term = |(factor, rank): &(u64, String)| match factor {
            1 => rank.clone(),
            factor => format!("{factor}*{rank}"),
        };
        let index = |terms: &Vec<(u64, String)>| {
            let terms: Vec<String> = terms.iter().map(term).collect();
            terms.join("+")
        };
        let indices: Vec<String> = self.indices.iter().map(index).collect();
        format!("{}[{}]", self.name, indices.join(", "))
    }
}

/// The parts of an einsum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) repeat: u64,
    /// Ranks and bounds.
    pub(crate) ranks: Vec<(String, u64)>,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) output: Tensor,
    /// The input that takes the place of weights, if not the second.
    pub(crate) weights: Option<String>,
    pub(crate) partial_bits: u64,
}

/// The einsum, read from its text form, so that the rules of that form hold.
pub(crate) fn einsum(parts: &Parts, at: &At<'_>, findings: &Findings) -> Option<Einsum> {
    let names: Vec<&String> = parts
        .inputs
        .iter()
        .chain([&parts.output])
        .map(|t| &t.name)
        .collect();
    if let Some(i) = (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
        at.fault(findings, format!("tensor `{}` occurs twice", names[i]));
        return None;
    }
    let quote = |text: &str| format!("{text:?}");
    let inputs: Vec<String> = parts.inputs.iter().map(Tensor::text).collect();
    let sums = parts.ranks.iter().any(|(rank, _)| !parts.output.uses(rank));
    let sign = if sums { "+=" } else { "=" };
    let equation = format!("{} {sign} {}", parts.output.text(), inputs.join(" * "));
    let ranks = parts
        .ranks
        .iter()
        .map(|(r, n)| format!("{} = {n}", quote(r)));
    let tensors = parts.inputs.iter().chain([&parts.output]);
    let bits = tensors.map(|t| format!("{} = {}", quote(&t.name), t.bits));
    let unit = match parts.unit {
        Unit::Mac => "mac",
        Unit::Vector => "vector",
    };
    let weights = parts.weights.iter().map(|w| quote(w));
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    let text = format!(
        "format = 1\nname = \"w\"\n[[einsum]]\nname = \"e\"\nequation = {}\nranks = {{ {} }}\nbits = {{ {} }}\n\
         unit = \"{unit}\"\nrepeat = {}\npartial_bits = {}\nweights = [{}]\n",
        quote(&equation),
        list(&mut { ranks }),
        list(&mut { bits }),
        parts.repeat,
        parts.partial_bits,
        list(&mut { weights }),
    );
    match ir::workload::read("einsum", &text) {
        Ok(mut workload) => {
            let einsum = workload.einsums.pop()?;
            let name = parts.name.clone();
            Some(Einsum { name, ..einsum })
        }
        Err(error) => {
            at.fault(findings, error.to_string());
            None
        }
    }
}

/// A workload of the einsums, if nothing is wrong with them.
pub(crate) fn workload(
    name: &str,
    einsums: Vec<Einsum>,
    at: &At<'_>,
    findings: &Findings,
) -> Option<Workload> {
    if !findings.is_sound() {
        return None;
    }
    let workload = Workload {
        name: name.to_owned(),
        einsums,
    };
    match ir::workload::read("workload", &workload.to_toml()) {
        Ok(workload) => Some(workload),
        Err(error) => {
            at.fault(findings, error.to_string());
            None
        }
    }
}
