//! Reading workloads from TOML, with errors that point into the file.

use crate::fit::Fit;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Range, RangeInclusive};

use miette::{Diagnostic, NamedSource, SourceSpan};
use serde::Deserialize;
use toml::Spanned;

use super::{Einsum, FORMAT, MAX_RANKS, Operand, Role, Unit, Workload};
use crate::mapping::{Dimension, Rank};
use crate::text;

/// A workload file that cannot be used; always the file's fault.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(code(workload::file), help("{help}"))]
pub struct WorkloadError {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Spanned<u32>,
    name: Spanned<String>,
    #[serde(default)]
    einsum: Vec<EinsumFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EinsumFile {
    name: Spanned<String>,
    equation: Spanned<String>,
    ranks: Spanned<toml::Table>,
    repeat: Option<Spanned<u64>>,
    #[serde(default)]
    unit: Unit,
    /// Inputs that take the place of weights; the second input without a list.
    weights: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    bits: BTreeMap<String, Spanned<u32>>,
    partial_bits: Option<Spanned<u32>>,
}

/// Bits of a value where the file says nothing.
const BITS: u32 = 8;

/// Bits of a partial sum where the file says nothing.
const PARTIAL_BITS: u32 = 32;

/// The largest tensor, in values, and the most operations of an einsum.
const MAX_POINTS: u64 = 1 << 50;

/// The most operations of a workload.
const MAX_OPERATIONS: u64 = 1 << 60;

/// What is wrong, and where.
struct Fault(Range<usize>, String, &'static str);

const EQUATION: &str = "an equation is `O[m, p] += I[c, p+r] * W[m, c, r]`: one output, `=` or `+=`, inputs joined by `*`";

/// Reads a workload from the TOML `text` of the file `name`.
///
/// # Errors
/// [`WorkloadError`], with the place in the file.
pub fn read(name: &str, text: &str) -> Result<Workload, WorkloadError> {
    workload(text).map_err(|Fault(span, message, help)| WorkloadError {
        message,
        help: help.to_owned(),
        source_code: NamedSource::new(name, text.to_owned()),
        span: span.into(),
    })
}

fn workload(text: &str) -> Result<Workload, Fault> {
    let file: File = toml::from_str(text).map_err(|e| {
        let help = "`docs/reference/workload.md` lists every key";
        Fault(
            e.span().unwrap_or(0..0),
            e.message().replace('\n', " "),
            help,
        )
    })?;
    let format = file.format.get_ref();
    if *format != FORMAT {
        let message = format!("`format` is {format}: {FORMAT} is the only version");
        return Err(Fault(file.format.span(), message, "write `format = 1`"));
    }
    plain("name", &file.name)?;
    if file.einsum.is_empty() {
        let message = "the workload has no einsum".to_owned();
        return Err(Fault(
            file.name.span(),
            message,
            "write one under `[[einsum]]`",
        ));
    }
    let mut workload = Workload {
        name: file.name.get_ref().clone(),
        einsums: Vec::new(),
    };
    let mut operations = 0_u64;
    for part in &file.einsum {
        let einsum = einsum(part)?;
        if workload.einsums.iter().any(|e| e.name == einsum.name) {
            let message = format!("einsum `{}` is there already", einsum.name);
            return Err(Fault(
                part.name.span(),
                message,
                "names are unique in a workload",
            ));
        }
        operations = operations.saturating_add(einsum.n_operations().saturating_mul(einsum.repeat));
        if operations > MAX_OPERATIONS {
            let message = "the workload makes more than 2^60 operations".to_owned();
            return Err(Fault(part.name.span(), message, "lower `repeat`"));
        }
        workload.einsums.push(einsum);
    }
    Ok(workload)
}

/// Refuses what no name needs.
fn plain(key: &str, text: &Spanned<String>) -> Result<(), Fault> {
    text::check(text.get_ref()).map_err(|hidden| {
        Fault(
            text.span(),
            format!("`{key}` is no name: {hidden}"),
            text::HELP,
        )
    })
}

fn einsum(file: &EinsumFile) -> Result<Einsum, Fault> {
    plain("einsum.name", &file.name)?;
    let ranks = ranks(&file.ranks)?;
    let span = file.equation.span();
    let fault = |message: String| Fault(span.clone(), message, EQUATION);
    let (left, right) = file
        .equation
        .get_ref()
        .split_once('=')
        .ok_or_else(|| fault("the equation has no `=`".to_owned()))?;
    let (output, sums) = left
        .strip_suffix('+')
        .map_or((left, false), |output| (output, true));
    let mut operands: Vec<Operand> = Vec::new();
    for text in split_operands(right).into_iter().chain([output]) {
        let operand = operand(text, &ranks).map_err(&fault)?;
        if operands.iter().any(|o| o.tensor == operand.tensor) {
            return Err(fault(format!(
                "tensor `{}` occurs twice in the equation",
                operand.tensor
            )));
        }
        operands.push(operand);
    }
    if let Some(rank) = ranks
        .iter()
        .find(|r| !operands.iter().any(|o| o.depends_on(&r.name)))
    {
        let message = format!("rank `{}` indexes no tensor", rank.name);
        return Err(Fault(
            file.ranks.span(),
            message,
            "remove it, or use it in the equation",
        ));
    }
    let (output, inputs) = operands.split_last_mut().expect("the output is read");
    if let Some(rank) = ranks.iter().find(|r| !sums && !output.depends_on(&r.name)) {
        return Err(fault(format!(
            "rank `{}` does not index the output, so `=` must be `+=`",
            rank.name
        )));
    }
    set_weights(file, inputs)?;
    output.role = Role::Output;
    set_bits(file, &mut operands)?;
    let repeat = bounded("repeat", file.repeat.as_ref(), 1..=u64::from(u32::MAX))?.unwrap_or(1);
    Ok(Einsum {
        name: file.name.get_ref().clone(),
        repeat,
        unit: file.unit,
        ranks,
        operands,
    })
}

/// Gives the inputs that `weights` names their role, or else the second input.
fn set_weights(file: &EinsumFile, inputs: &mut [Operand]) -> Result<(), Fault> {
    for name in file.weights.iter().flatten() {
        let Some(operand) = inputs.iter_mut().find(|o| o.tensor == *name.get_ref()) else {
            let message = format!(
                "`weights` names `{}`, which is no input of the equation",
                name.get_ref()
            );
            return Err(Fault(name.span(), message, "name an input of the equation"));
        };
        operand.role = Role::Weights;
    }
    if let (true, [_, second, ..]) = (file.weights.is_none(), inputs) {
        second.role = Role::Weights;
    }
    Ok(())
}

/// Gives each operand its width, and the output that of its partial sums.
fn set_bits(file: &EinsumFile, operands: &mut [Operand]) -> Result<(), Fault> {
    for (name, bits) in &file.bits {
        let Some(operand) = operands.iter_mut().find(|o| o.tensor == *name) else {
            let message = format!("`bits` names `{name}`, which is no tensor of the equation");
            return Err(Fault(bits.span(), message, "name a tensor of the equation"));
        };
        operand.bits = bounded(&format!("bits.{name}"), Some(bits), 1..=64)?.unwrap_or(BITS);
        operand.partial_bits = operand.bits;
    }
    let partial_bits =
        bounded("partial_bits", file.partial_bits.as_ref(), 1..=64)?.unwrap_or(PARTIAL_BITS);
    let output = operands.last_mut().expect("an einsum has an output");
    output.partial_bits = partial_bits.max(output.bits);
    Ok(())
}

/// The number under `key` of the file, if it is there.
fn bounded<T: Copy + PartialOrd + fmt::Display>(
    key: &str,
    value: Option<&Spanned<T>>,
    range: RangeInclusive<T>,
) -> Result<Option<T>, Fault> {
    match value {
        Some(value) if !range.contains(value.get_ref()) => {
            let (first, last) = range.into_inner();
            let message = format!(
                "`{key}` is {}: {first} to {last} is possible",
                value.get_ref()
            );
            Err(Fault(
                value.span(),
                message,
                "choose a number in this range",
            ))
        }
        value => Ok(value.map(|v| *v.get_ref())),
    }
}

fn ranks(table: &Spanned<toml::Table>) -> Result<Vec<Rank>, Fault> {
    let fault =
        |message: String| Fault(table.span(), message, "write `ranks = { m = 64, c = 32 }`");
    let count = table.get_ref().len();
    if count > MAX_RANKS {
        return Err(fault(format!("{count} ranks: {MAX_RANKS} are the limit")));
    }
    let rank = |(name, value): (&String, &toml::Value)| match value.as_integer() {
        _ if !is_name(name) => Err(fault(format!("`{name}` is no name of a rank"))),
        Some(size @ 1..=0xFF_FFFF) => Ok(Rank {
            name: name.clone(),
            size: size.fit::<u64>(),
        }),
        _ => Err(fault(format!(
            "the bound of rank `{name}` is {value}: 1 to 16777215 is possible"
        ))),
    };
    let ranks: Vec<Rank> = table.get_ref().iter().map(rank).collect::<Result<_, _>>()?;
    let operations = ranks
        .iter()
        .fold(1, |n: u64, rank| n.saturating_mul(rank.size));
    if operations > MAX_POINTS {
        return Err(fault("the ranks make more than 2^50 operations".to_owned()));
    }
    Ok(ranks)
}

/// Whether text forms can print `text` as it stands: letters, digits and `_`, a letter first.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The operands of `I[c, 2*p+r] * W[m, c]`: a `*` inside brackets is a factor.
fn split_operands(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i64);
    for (at, symbol) in text.char_indices() {
        match symbol {
            '[' => depth += 1,
            ']' => depth -= 1,
            '*' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn operand(text: &str, ranks: &[Rank]) -> Result<Operand, String> {
    let text = text.trim();
    let (tensor, indices) = text
        .strip_suffix(']')
        .and_then(|t| t.split_once('['))
        .ok_or_else(|| format!("`{text}` is not a tensor with indices in brackets"))?;
    let tensor = tensor.trim().to_owned();
    if !is_name(&tensor) {
        return Err(format!("`{tensor}` is no name of a tensor"));
    }
    let indices: Vec<&str> = if indices.trim().is_empty() {
        Vec::new()
    } else {
        indices.split(',').collect()
    };
    let dimensions: Vec<Dimension> = indices
        .iter()
        .map(|index| dimension(index, ranks))
        .collect::<Result<_, _>>()?;
    if dimensions
        .iter()
        .fold(1, |n: u64, d| n.saturating_mul(d.size))
        > MAX_POINTS
    {
        return Err(format!("tensor `{tensor}` has more than 2^50 values"));
    }
    Ok(Operand {
        tensor,
        role: Role::Input,
        bits: BITS,
        partial_bits: BITS,
        dimensions,
    })
}

fn dimension(text: &str, ranks: &[Rank]) -> Result<Dimension, String> {
    let size_of = |name: &str| ranks.iter().find(|r| r.name == name).map(|r| r.size);
    let mut terms: Vec<(u64, String)> = Vec::new();
    for term in text.split('+') {
        let (factor, rank) = term.split_once('*').unwrap_or(("1", term));
        let factor: u64 = factor
            .trim()
            .parse()
            .ok()
            .filter(|n| (1..=0xFFFF).contains(n))
            .ok_or_else(|| format!("`{}` is not a factor from 1 to 65535", factor.trim()))?;
        let rank = rank.trim().to_owned();
        if size_of(&rank).is_none() {
            return Err(format!("`{rank}` is no rank of the einsum"));
        }
        if terms.iter().any(|(_, other)| *other == rank) {
            return Err(format!("rank `{rank}` occurs twice in `{}`", text.trim()));
        }
        terms.push((factor, rank));
    }
    let mut dimension = Dimension {
        terms,
        size: u64::MAX,
    };
    dimension.size = dimension.extent(|rank| size_of(rank).expect("it was looked up above"));
    Ok(dimension)
}

impl Workload {
    /// The TOML text; [`read`] gives the same workload back.
    pub fn to_toml(&self) -> String {
        let mut text = format!("format = {FORMAT}\nname = {}\n", quote(&self.name));
        self.einsums
            .iter()
            .for_each(|einsum| print(einsum, &mut text));
        text
    }
}

/// Adds the table of `einsum` to `text`, without what the reader assumes.
fn print(einsum: &Einsum, text: &mut String) {
    let list = |items: Vec<String>| items.join(", ");
    let ranks = list(
        einsum
            .ranks
            .iter()
            .map(|r| format!("{} = {}", r.name, r.size))
            .collect(),
    );
    *text += &format!(
        "\n[[einsum]]\nname = {}\nequation = {}\nranks = {{ {ranks} }}\n",
        quote(&einsum.name),
        quote(&einsum.equation())
    );
    if einsum.repeat != 1 {
        *text += &format!("repeat = {}\n", einsum.repeat);
    }
    if einsum.unit == Unit::Vector {
        *text += "unit = \"vector\"\n";
    }
    let (output, inputs) = einsum
        .operands
        .split_last()
        .expect("an einsum has an output");
    let is_weights = |o: &Operand| o.role == Role::Weights;
    if inputs
        .iter()
        .enumerate()
        .any(|(i, o)| is_weights(o) != (i == 1))
    {
        let weights = inputs
            .iter()
            .filter(|o| is_weights(o))
            .map(|o| quote(&o.tensor));
        *text += &format!("weights = [{}]\n", list(weights.collect()));
    }
    let bits: Vec<String> = einsum
        .operands
        .iter()
        .filter(|o| o.bits != BITS)
        .map(|o| format!("{} = {}", o.tensor, o.bits))
        .collect();
    if !bits.is_empty() {
        *text += &format!("bits = {{ {} }}\n", list(bits));
    }
    if output.partial_bits != PARTIAL_BITS.max(output.bits) {
        *text += &format!("partial_bits = {}\n", output.partial_bits);
    }
}

fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}
