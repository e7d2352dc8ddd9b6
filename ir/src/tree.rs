//! Architectures as trees of memories, fan-outs and compute: what a mapper can reason about.
//!
//! [`crate::Arch`] is an accelerator of the template family, which can be generated; a [`Tree`] is any accelerator of one
//! kind of compute, such as a published one, which can be mapped to and compared.
//! The components stand from the outermost inwards. Memories of different tensors beside each other need no order;
//! a fan-out stands between the memories above it, of which there is one, and those below, of which there are `size`.
//!
//! ```text
//! format = 1
//! kind = "tree"
//! name = "example"
//! description = "one buffer and a row of multipliers"
//! clock_hz = 1_000_000_000
//!
//! [[component]]
//! class = "memory"
//! name = "dram"
//! read_pj_per_bit = 10.0
//! write_pj_per_bit = 11.0
//! ports = [{ bits_per_cycle = 64 }]
//!
//! [[component]]
//! class = "memory"
//! name = "buffer"
//! size_bits = 1_048_576
//! read_pj_per_bit = 0.2
//! write_pj_per_bit = 0.3
//!
//! [[component]]
//! class = "fanout"
//! name = "row"
//! size = 16
//!
//! [[component]]
//! class = "compute"
//! name = "mac"
//! pj_per_operation = 0.2
//! ```
//!
//! Deliberately not here: several kinds of compute at once, and leakage.

mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::workload::Role;

pub use file::{TreeError, is_tree, json_schema, read};

/// The version of the text form.
pub const FORMAT: u32 = 1;

/// An accelerator, as a mapper sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Version of the text form: 1.
    pub format: u32,
    /// What tells this from an arch of the template family.
    pub kind: Kind,
    /// Short name.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// Clock, in Hz.
    pub clock_hz: u64,
    /// From the outermost inwards: a memory without a size first, compute last.
    #[serde(rename = "component")]
    pub components: Vec<Component>,
}

/// What tells a tree from an arch of the template family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A tree.
    Tree,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum Component {
    /// Keeps tiles of tensors.
    Memory(Memory),
    /// Copies of everything below.
    Fanout(Fanout),
    /// Computes one operation a cycle.
    Compute(Compute),
}

/// A memory; below a fan-out, each of its copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Its name, unique in the tree.
    pub name: String,
    /// Its size; without one it is as large as needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bits: Option<u64>,
    /// The tensors that it keeps.
    #[serde(default = "every_role")]
    pub keeps: Vec<Role>,
    /// Those of them that may pass it by, if the search wants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_bypass: Vec<Role>,
    /// Bits of a value here, where it is not the tensor's own width.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub value_bits: BTreeMap<Role, u32>,
    /// Whether a tile is filled while the one before is used, each in half of the memory.
    #[serde(default)]
    pub double_buffered: bool,
    /// What happens to values that neighbouring tiles share.
    #[serde(default)]
    pub overlap: Overlap,
    /// Energy of reading a bit.
    pub read_pj_per_bit: f64,
    /// Energy of writing a bit.
    pub write_pj_per_bit: f64,
    /// Its ports; without any it is never waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// What happens to values that two tiles share, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// They are fetched again.
    #[default]
    Refetch,
    /// They stay: only what is new is fetched.
    Reuse,
}

/// A port of a memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// What it does; both share its bandwidth if both are named.
    #[serde(default = "both_directions")]
    pub does: Vec<Direction>,
    /// Bits in a cycle.
    pub bits_per_cycle: f64,
}

/// What a port does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Reads the memory.
    Read,
    /// Writes the memory.
    Write,
}

/// Copies of everything below, along one axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fanout {
    /// Its name, unique in the tree.
    pub name: String,
    /// How many copies.
    pub size: u64,
    /// Ranks that may be unrolled; any if there is no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Vec<String>>,
    /// Only ranks that do not index these tensors may be unrolled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Role>,
    /// Tensors that one read delivers to all copies that want it.
    #[serde(default = "inputs")]
    pub multicasts: Vec<Role>,
    /// Whether outputs of the copies are summed on the way up.
    #[serde(default = "yes")]
    pub reduces: bool,
}

/// Compute: one operation a cycle in each copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// Its name, unique in the tree.
    pub name: String,
    /// Energy of an operation.
    pub pj_per_operation: f64,
    /// The vector engine beside the array, for einsums of that unit; they run on the array if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorUnit>,
}

/// A vector engine beside the array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VectorUnit {
    /// Operations in a cycle.
    pub lanes: u64,
    /// Energy of an operation.
    pub pj_per_operation: f64,
}

fn every_role() -> Vec<Role> {
    Role::ALL.to_vec()
}

fn both_directions() -> Vec<Direction> {
    vec![Direction::Read, Direction::Write]
}

fn inputs() -> Vec<Role> {
    vec![Role::Input, Role::Weights]
}

fn yes() -> bool {
    true
}

impl Tree {
    /// The memories, with their positions.
    pub fn memories(&self) -> impl Iterator<Item = (usize, &Memory)> {
        let components = self.components.iter().enumerate();
        components.filter_map(|(i, component)| match component {
            Component::Memory(memory) => Some((i, memory)),
            _ => None,
        })
    }

    /// The fan-outs, with their positions.
    pub fn fanouts(&self) -> impl Iterator<Item = (usize, &Fanout)> {
        let components = self.components.iter().enumerate();
        components.filter_map(|(i, component)| match component {
            Component::Fanout(fanout) => Some((i, fanout)),
            _ => None,
        })
    }

    /// The compute.
    ///
    /// # Panics
    /// If there is none; [`read`] refuses such a file.
    pub fn compute(&self) -> &Compute {
        match self.components.last() {
            Some(Component::Compute(compute)) => compute,
            _ => panic!("a tree ends with compute"),
        }
    }

    /// Operations per cycle at full use.
    pub fn operations_per_cycle(&self) -> u64 {
        self.fanouts().map(|(_, fanout)| fanout.size).product()
    }

    /// The first 8 bytes of the BLAKE3 hash of the canonical text.
    pub fn hash(&self) -> u64 {
        let canonical = serde_json::to_vec(self).expect("a tree is plain data");
        let bytes = *blake3::hash(&canonical).as_bytes();
        u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
    }

    /// The TOML text; [`read`] gives the same tree back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a tree is plain data")
    }
}
