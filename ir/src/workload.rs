//! Workloads: einsums as a mapper sees them, ranks with bounds and the projections of their tensors.
//!
//! Convolution with stride and dilation, depthwise and grouped convolution, GEMM, batched matmul and attention are all one
//! form here: every point of the product of the ranks is one operation, and each tensor is indexed by sums of ranks.
//! [`crate::network`] has the operators with constants and exact numbers; this form has none, because where data move
//! does not depend on values.
//!
//! ```text
//! format = 1
//! name = "example"
//!
//! [[einsum]]
//! name = "conv"
//! equation = "O[m, p, q] += I[c, 2*p+r, 2*q+s] * W[m, c, r, s]"
//! ranks = { m = 64, c = 3, p = 112, q = 112, r = 7, s = 7 }
//! ```
//!
//! Padding is part of the input: a dimension is as large as its indices reach.
//! `docs/reference/workload.md` has every key.
//! Deliberately not here: sparsity, and indices that are not sums of multiples of ranks.

mod file;
mod network;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mapping::{Dimension, Rank};

pub(crate) use file::is_name;
pub use file::{WorkloadError, read};

/// The version of the text form.
pub const FORMAT: u32 = 1;

/// The most ranks of an einsum.
pub const MAX_RANKS: usize = 12;

/// Einsums in the order of their execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// The einsums; an input of the same tensor name as an earlier output is that output.
    pub einsums: Vec<Einsum>,
}

/// One tensor operation: ranks with bounds, and the projections of its operands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Einsum {
    /// The name, unique in the workload.
    pub name: String,
    /// How often it occurs; equal einsums are mapped once.
    pub repeat: u64,
    /// What computes a point.
    pub unit: Unit,
    /// The ranks, each with its bound.
    pub ranks: Vec<Rank>,
    /// The inputs in order, then the output.
    pub operands: Vec<Operand>,
}

/// What computes a point of an einsum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A multiplier of the array.
    #[default]
    Mac,
    /// A lane of the vector engine.
    Vector,
}

/// A tensor as an einsum uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operand {
    /// The name of the tensor.
    pub tensor: String,
    /// What it is to the einsum.
    pub role: Role,
    /// Bits of a value.
    pub bits: u32,
    /// Bits of a value of which terms are still missing; only outputs have such.
    pub partial_bits: u32,
    /// Its dimensions, as wide as their indices reach.
    pub dimensions: Vec<Dimension>,
}

/// What a tensor is to an einsum.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What flows in: activations.
    Input,
    /// The second factor: weights, or the activations that take their place.
    Weights,
    /// What is computed.
    Output,
}

impl Role {
    /// All of them, in order.
    pub const ALL: [Role; 3] = [Role::Input, Role::Weights, Role::Output];

    /// The name in text forms.
    pub fn name(self) -> &'static str {
        match self {
            Role::Input => "input",
            Role::Weights => "weights",
            Role::Output => "output",
        }
    }
}

impl Operand {
    /// The number of values.
    pub fn n_values(&self) -> u64 {
        self.dimensions.iter().map(|d| d.size).product()
    }

    /// Whether a loop over `rank` reaches other values of it.
    pub fn depends_on(&self, rank: &str) -> bool {
        self.terms_of(rank).next().is_some()
    }

    /// Whether `rank` is an index together with another, so that neighbouring tiles overlap.
    pub fn slides_over(&self, rank: &str) -> bool {
        let shared = |d: &&Dimension| d.terms.len() > 1 && d.terms.iter().any(|(_, r)| r == rank);
        self.dimensions.iter().any(|d| shared(&d))
    }

    fn indices(&self) -> String {
        let index = |dimension: &Dimension| {
            let text = dimension.to_string();
            text.rsplit_once(':')
                .map_or(text.clone(), |(terms, _)| terms.to_owned())
        };
        let indices: Vec<String> = self.dimensions.iter().map(index).collect();
        indices.join(", ")
    }

    fn terms_of<'a>(&'a self, rank: &'a str) -> impl Iterator<Item = &'a (u64, String)> {
        let terms = self.dimensions.iter().flat_map(|d| &d.terms);
        terms.filter(move |(_, name)| name == rank)
    }
}

impl Einsum {
    /// The number of operations.
    pub fn n_operations(&self) -> u64 {
        self.ranks.iter().map(|rank| rank.size).product()
    }

    /// The output.
    pub fn output(&self) -> &Operand {
        self.operands.last().expect("an einsum has an output")
    }

    /// Everything that a mapping depends on, which is all but the names of tensors; equal texts have equal mappings.
    pub fn shape(&self) -> String {
        let ranks: Vec<String> = self
            .ranks
            .iter()
            .map(|r| format!("{}={}", r.name, r.size))
            .collect();
        let operands: Vec<String> = self
            .operands
            .iter()
            .map(|o| {
                format!(
                    "{}:{}/{}[{}]",
                    o.role.name(),
                    o.bits,
                    o.partial_bits,
                    o.indices()
                )
            })
            .collect();
        format!("{:?} {} {}", self.unit, ranks.join(" "), operands.join(" "))
    }

    /// The equation: `O[m, p] += I[c, p] * W[m, c]`.
    pub fn equation(&self) -> String {
        let (output, inputs) = self.operands.split_last().expect("an einsum has an output");
        let reduces = self.ranks.iter().any(|rank| !output.depends_on(&rank.name));
        let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        let sign = if reduces { "+=" } else { "=" };
        format!("{output} {sign} {}", inputs.join(" * "))
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.tensor, self.indices())
    }
}
