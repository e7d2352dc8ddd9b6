//! `Softmax` as the last step, which is left to the host.

use crate::error::Reason;
use crate::node::Node;
use crate::value::Value;
use crate::walk::Walk;
use ir::network::HostStep;

/// Leaves a softmax to the host: nothing but address changes and quantisation may follow.
pub(crate) fn softmax(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let view = walk.real(node, 0)?;
    walk.host_tail.push(HostStep {
        name: node.label.clone(),
        operator: node.operator(),
        input: view.tensor,
    });
    Ok(Value::Host(view))
}
