//! A node with its label and typed access to its attributes.

use crate::error::Reason;
use crate::proto::{AttributeProto, NodeProto, TensorProto};

/// A node of the graph.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    /// The message.
    pub(crate) proto: &'a NodeProto,
    /// The node's name, or that of its first output.
    pub(crate) label: String,
}

impl<'a> Node<'a> {
    pub(crate) fn new(proto: &'a NodeProto) -> Self {
        let first_output = proto.output.first().map_or("", String::as_str);
        let label = if proto.name().is_empty() {
            first_output
        } else {
            proto.name()
        };
        Node {
            proto,
            label: label.to_string(),
        }
    }

    /// The operator with its domain, if it is not ONNX's own.
    pub(crate) fn operator(&self) -> String {
        match self.proto.domain() {
            "" | "ai.onnx" => self.proto.op_type().to_string(),
            domain => format!("{domain}.{}", self.proto.op_type()),
        }
    }

    /// The name of input `i`, or `None` if it is left out.
    pub(crate) fn input(&self, i: usize) -> Option<&'a str> {
        self.proto
            .input
            .get(i)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// The integer attribute `name`, or `default` if it is left out.
    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.i())
    }

    /// The float attribute `name`, or `default` if it is left out.
    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.f())
    }

    /// The text attribute `name`, or `default` if it is left out.
    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or(default.into(), |attribute| {
            String::from_utf8_lossy(attribute.s()).into_owned()
        })
    }

    /// The tensor attribute `name`.
    pub(crate) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.attribute(name)?.t.as_ref()
    }

    /// The list attribute `name`, or `None` if it is left out.
    pub(crate) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name)
            .map(|attribute| attribute.ints.as_slice())
    }

    /// The list attribute `name` of floats; empty if it is left out.
    pub(crate) fn floats(&self, name: &str) -> &'a [f32] {
        self.attribute(name)
            .map_or(&[], |attribute| attribute.floats.as_slice())
    }

    /// The list attribute `name` as `[rows, columns]` or their doubles; one-dimensional lists get `fill` for the rows.
    pub(crate) fn sizes<const N: usize>(
        &self,
        name: &str,
        fill: usize,
    ) -> Result<[usize; N], Reason> {
        let Some(given) = self.ints(name).filter(|list| !list.is_empty()) else {
            return Ok([fill; N]);
        };
        let mut sizes = Vec::with_capacity(N);
        for &size in given {
            let valid = usize::try_from(size)
                .ok()
                .filter(|&size| size <= i32::MAX as usize);
            sizes.push(
                valid
                    .ok_or_else(|| Reason::dimensions(format!("`{name}` has the entry {size}")))?,
            );
        }
        if sizes.len() * 2 == N {
            // One spatial dimension is an image of one row: fill in what its rows would say.
            sizes = sizes.iter().flat_map(|&size| [fill, size]).collect();
        }
        <[usize; N]>::try_from(sizes.as_slice()).map_err(|_| {
            Reason::dimensions(format!(
                "`{name}` has {} entries, {N} are expected",
                given.len()
            ))
        })
    }

    /// Whether the attribute `name` is given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto
            .attribute
            .iter()
            .find(|attribute| attribute.name() == name)
    }
}
