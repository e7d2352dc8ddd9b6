//! `BatchNormalization` with constants, which is a factor and a number to be added for each channel.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::conv::{Affine, affine};
use crate::value::{ConvDraft, Pending, PendingOp, Value};
use crate::walk::{Walk, pending, pending_image};

/// `BatchNormalization`: folded into the convolution or product before it, or a convolution of its own.
pub(crate) fn batch_normalization(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    if node.int("training_mode", 0) != 0 {
        return Err(
            Reason::unsupported("`training_mode` 1").help("export the network in evaluation mode")
        );
    }
    let value = walk.value(node, 0)?;
    if let Value::Pending(result) = &value
        && let PendingOp::Conv(draft) = &result.op
        && result.is_unlimited()
    {
        let terms = terms(walk, node, draft.out_channels)?;
        return affine(result, draft, &terms);
    }
    let view = walk.real(node, 0)?;
    let (x, image) = match *view.shape.as_slice() {
        [1, channels] => (walk.row(&view)?, [channels, 1, 1]),
        _ => walk.image(&view)?,
    };
    let terms = terms(walk, node, image[0])?;
    let draft = ConvDraft::scaling(x, walk.quant_of(x)?.scale.into(), &terms);
    let result = pending_image(&node.label, PendingOp::Conv(draft), image, view.shape.len());
    Ok(pending(Pending {
        shape: view.shape,
        ..result
    }))
}

/// Factor and number to be added of each channel.
fn terms(walk: &mut Walk, node: &Node, channels: usize) -> Result<Vec<Affine>, Reason> {
    let mut constants = Vec::new();
    for i in 1..5 {
        let values = walk.reals(node, i)?.values;
        if values.len() != channels {
            return Err(Reason::constant(format!(
                "input {i} has {} values for {channels} channels",
                values.len()
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
    Ok((0..channels).map(term).collect())
}
