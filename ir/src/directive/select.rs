//! Which einsums a directive selects.

use super::{Directive, Operator, Relation, Selector, Size};
use crate::network::{Einsum, Network};
use crate::op::{ConvAdd, Kind, Window};

impl Directive {
    /// Whether every selector selects `einsum` of `network`.
    pub fn selects(&self, network: &Network, einsum: &Einsum) -> bool {
        self.selectors.iter().all(|selector| match selector {
            Selector::Name(pattern) => matches(pattern, &einsum.name),
            Selector::Operator(operator) => is_of(*operator, &einsum.kind),
            Selector::Size(size, relation, value) => {
                let sizes = sizes(*size, network, einsum);
                !sizes.is_empty() && sizes.iter().all(|n| relation.holds(*n as u64, *value))
            }
        })
    }
}

impl Relation {
    fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Relation::AtMost => left <= right,
            Relation::AtLeast => left >= right,
            Relation::Equal => left == right,
        }
    }
}

fn is_of(operator: Operator, kind: &Kind) -> bool {
    match (operator, kind) {
        (Operator::Depthwise, Kind::Conv(op)) => op.is_depthwise(),
        _ => operator.word() == kind.name(),
    }
}

/// The numbers that a size stands for; none where the einsum does not have it.
fn sizes(size: Size, network: &Network, einsum: &Einsum) -> Vec<usize> {
    let output = network.tensor(einsum.output);
    let window = match &einsum.kind {
        Kind::Conv(op) | Kind::ConvAdd(ConvAdd { conv: op, .. }) => op.window,
        Kind::MaxPool(op) => op.window,
        Kind::AveragePool(op) => op.window,
        Kind::Add(_) | Kind::Concat(_) | Kind::Table(_) | Kind::Select(_) | Kind::Mul(_) => {
            Window::dense([1, 1])
        }
    };
    let conv = match &einsum.kind {
        Kind::Conv(op) | Kind::ConvAdd(ConvAdd { conv: op, .. }) => Some(op),
        _ => None,
    };
    match size {
        Size::P => vec![output.height],
        Size::Q => vec![output.width],
        Size::M => vec![output.channels],
        Size::C => conv.map(|op| op.group_channels).into_iter().collect(),
        Size::Groups => conv.map(|op| op.groups).into_iter().collect(),
        Size::R => vec![window.kernel[0]],
        Size::S => vec![window.kernel[1]],
        Size::Stride => window.stride.to_vec(),
        Size::Dilation => window.dilation.to_vec(),
    }
}

/// Whether `text` matches a pattern in which `*` is any text and `?` any character.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // The row of a table: whether the pattern so far matches the first `n` characters.
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for p in pattern {
        let mut next = vec![false; text.len() + 1];
        next[0] = p == '*' && row[0];
        for (n, c) in text.iter().enumerate() {
            next[n + 1] = match p {
                '*' => next[n] || row[n + 1],
                '?' => row[n],
                _ => row[n] && p == *c,
            };
        }
        row = next;
    }
    row[text.len()]
}
