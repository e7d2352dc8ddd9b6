//! `BatchNormalization` with constants, which is a factor and a number to be added for each channel.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::conv::{Affine, affine};
use crate::value::{PendingOp, Value};
use crate::walk::{Walk, unexpected};

/// `BatchNormalization` behind a convolution or product, into which it is folded.
pub(crate) fn batch_normalization(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    if node.int("training_mode", 0) != 0 {
        return Err(Reason::unsupported("`training_mode` 1")
            .help("export the network in evaluation mode"));
    }
    let value = walk.value(node, 0)?;
    let (result, draft) = match &value {
        Value::Pending(result) => match &result.op {
            PendingOp::Conv(draft) if result.is_unlimited() => (result, draft),
            _ => return Err(not_behind_conv()),
        },
        Value::Real(_) => return Err(not_behind_conv()),
        other => return Err(unexpected(0, "a float result", other)),
    };
    let mut constants = Vec::new();
    for i in 1..5 {
        let values = walk.reals(node, i)?.values;
        if values.len() != draft.out_channels {
            return Err(Reason::constant(format!(
                "input {i} has {} values for {} channels",
                values.len(),
                draft.out_channels
            )));
        }
        constants.push(values);
    }
    let epsilon = f64::from(node.float("epsilon", 1e-5));
    let term = |channel: usize| {
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| constants[i][channel]);
        let factor = gamma / (variance + epsilon).sqrt();
        Affine {
            factor,
            added: beta - mean * factor,
        }
    };
    let terms: Vec<Affine> = (0..draft.out_channels).map(term).collect();
    affine(result, draft, &terms)
}

fn not_behind_conv() -> Reason {
    Reason::unsupported("it does not stand directly behind a convolution or product")
        .help("fold it when exporting, or quantise nothing between the convolution and it")
}
