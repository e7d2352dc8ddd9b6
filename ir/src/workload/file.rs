//! Reading workloads from TOML, with errors that point into the file.

use std::collections::BTreeMap;

use miette::{Diagnostic, NamedSource, SourceSpan};
use serde::Deserialize;
use toml::Spanned;

use super::{Einsum, FORMAT, MAX_RANKS, Operand, Role, Unit, Workload};
use crate::mapping::{Dimension, Rank};

/// A workload file that cannot be used; always the file's fault.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
#[diagnostic(code(workload::syntax), help("{help}"))]
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
    name: String,
    #[serde(default)]
    einsum: Vec<EinsumFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EinsumFile {
    name: Spanned<String>,
    equation: Spanned<String>,
    ranks: Spanned<toml::Table>,
    #[serde(default = "one")]
    repeat: u64,
    #[serde(default)]
    unit: Unit,
    /// Inputs that take the place of weights; the second input if none is named.
    #[serde(default)]
    weights: Vec<Spanned<String>>,
    #[serde(default)]
    bits: BTreeMap<String, u32>,
    #[serde(default = "partial_bits")]
    partial_bits: u32,
}

fn one() -> u64 {
    1
}

fn partial_bits() -> u32 {
    32
}

/// What is wrong, and where.
struct Fault(std::ops::Range<usize>, String, &'static str);

const EQUATION: &str = "an equation is `O[m, p] += I[c, p+r] * W[m, c, r]`: one output, `=` or `+=`, inputs joined by `*`";

/// Reads a workload from the TOML `text` of the file `name`.
///
/// # Errors
/// [`WorkloadError`], with the place in the file.
pub fn read(name: &str, text: &str) -> Result<Workload, WorkloadError> {
    let error = |message: String, help: &str, span: std::ops::Range<usize>| WorkloadError {
        message,
        help: help.to_owned(),
        source_code: NamedSource::new(name, text.to_owned()),
        span: span.into(),
    };
    let file: File = toml::from_str(text).map_err(|e| {
        error(
            e.message().replace('\n', " "),
            EQUATION,
            e.span().unwrap_or(0..0),
        )
    })?;
    if *file.format.get_ref() != FORMAT {
        let message = format!(
            "`format` is {}: {FORMAT} is the only version",
            file.format.get_ref()
        );
        return Err(error(message, "write `format = 1`", file.format.span()));
    }
    let mut workload = Workload {
        name: file.name,
        einsums: Vec::new(),
    };
    for part in &file.einsum {
        let einsum =
            einsum(part).map_err(|Fault(span, message, help)| error(message, help, span))?;
        if workload.einsums.iter().any(|e| e.name == einsum.name) {
            let message = format!("einsum `{}` is there already", einsum.name);
            return Err(error(
                message,
                "names are unique in a workload",
                part.name.span(),
            ));
        }
        workload.einsums.push(einsum);
    }
    Ok(workload)
}

fn einsum(file: &EinsumFile) -> Result<Einsum, Fault> {
    let ranks = ranks(&file.ranks)?;
    let span = file.equation.span();
    let fault = |message: String| Fault(span.clone(), message, EQUATION);
    let text = file.equation.get_ref();
    let (output, inputs) = text
        .split_once('=')
        .ok_or_else(|| fault("the equation has no `=`".to_owned()))?;
    let output = output.trim_end().trim_end_matches('+');
    let mut operands = Vec::new();
    for (index, text) in split_operands(inputs)
        .into_iter()
        .chain([output])
        .enumerate()
    {
        let operand = operand(text, &ranks).map_err(&fault)?;
        if operands
            .iter()
            .any(|o: &Operand| o.tensor == operand.tensor)
        {
            return Err(fault(format!(
                "tensor `{}` occurs twice in the equation",
                operand.tensor
            )));
        }
        let named = file.weights.iter().any(|w| *w.get_ref() == operand.tensor);
        let is_weights = if file.weights.is_empty() {
            index == 1
        } else {
            named
        };
        let role = if is_weights {
            Role::Weights
        } else {
            Role::Input
        };
        let bits = file.bits.get(&operand.tensor).copied().unwrap_or(8);
        operands.push(Operand {
            role,
            bits,
            partial_bits: bits,
            ..operand
        });
    }
    let last = operands.last_mut().expect("the output was read");
    last.role = Role::Output;
    last.partial_bits = file.partial_bits.max(last.bits);
    if operands.len() < 2 {
        return Err(fault("the equation has no input".to_owned()));
    }
    if let Some(other) = file
        .weights
        .iter()
        .find(|w| !operands.iter().any(|o| o.tensor == *w.get_ref()))
    {
        let message = format!(
            "`weights` names `{}`, which is no tensor of the equation",
            other.get_ref()
        );
        return Err(Fault(
            other.span(),
            message,
            "name an input of the equation",
        ));
    }
    if let Some(other) = file
        .bits
        .keys()
        .find(|t| !operands.iter().any(|o| o.tensor == **t))
    {
        return Err(fault(format!(
            "`bits` names `{other}`, which is no tensor of the equation"
        )));
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
    Ok(Einsum {
        name: file.name.get_ref().clone(),
        repeat: file.repeat,
        unit: file.unit,
        ranks,
        operands,
    })
}

fn ranks(table: &Spanned<toml::Table>) -> Result<Vec<Rank>, Fault> {
    const HELP: &str = "write `ranks = { m = 64, c = 32 }`";
    let fault = |message: String| Fault(table.span(), message, HELP);
    if table.get_ref().len() > MAX_RANKS {
        return Err(fault(format!(
            "{} ranks: {MAX_RANKS} are the limit",
            table.get_ref().len()
        )));
    }
    let rank = |(name, value): (&String, &toml::Value)| match value.as_integer() {
        Some(size @ 1..=0xFF_FFFF) => Ok(Rank {
            name: name.clone(),
            size: size as u64,
        }),
        _ => Err(fault(format!(
            "the bound of rank `{name}` is {value}: 1 to 16777215 is possible"
        ))),
    };
    let ranks: Vec<Rank> = table.get_ref().iter().map(rank).collect::<Result<_, _>>()?;
    let operations: u128 = ranks.iter().map(|r| u128::from(r.size)).product();
    if operations >= 1 << 50 {
        return Err(fault(format!(
            "the ranks make {operations} operations: 2^50 is the limit"
        )));
    }
    Ok(ranks)
}

/// The operands of `I[c, 2*p+r] * W[m, c]`: a `*` inside brackets is a factor.
fn split_operands(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
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
    let dimensions = indices
        .split(',')
        .filter(|index| !index.trim().is_empty())
        .map(|index| dimension(index, ranks))
        .collect::<Result<_, _>>()?;
    Ok(Operand {
        tensor: tensor.trim().to_owned(),
        role: Role::Input,
        bits: 0,
        partial_bits: 0,
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
    dimension.size = dimension.extent(|rank| size_of(rank).expect("checked above"));
    Ok(dimension)
}
