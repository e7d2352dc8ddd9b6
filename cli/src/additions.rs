//! How far the additions of a network are from the exact real sum, for every command that shows a network.

use ir::network::{ConstantTensor, Network};
use ir::op::{AddError, Difference, Kind};
use serde::Serialize;

use crate::console::{count, thousands};

/// One addition, over all pairs of operands.
#[derive(Serialize)]
pub(crate) struct Addition {
    layer: String,
    /// Of 65,536 pairs.
    differing_pairs: usize,
    worst_steps: u8,
}

/// All additions of two tensors of `network`; the codes of a constant may stand for any numbers.
pub(crate) fn of(network: &Network) -> Result<Vec<Addition>, AddError> {
    let additions = network.einsums.iter().filter_map(|einsum| {
        let Kind::Add(op) = &einsum.kind else {
            return None;
        };
        let is_constant = |constant: &ConstantTensor| constant.tensor == einsum.inputs[1];
        if network.constants.iter().any(is_constant) {
            return None;
        }
        let [a, b] = [0, 1].map(|which| network.tensor(einsum.inputs[which]));
        let difference = op.difference(a, b, network.tensor(einsum.output));
        Some(difference.map(|Difference { pairs, steps }| Addition {
            layer: einsum.name.clone(),
            differing_pairs: pairs,
            worst_steps: steps,
        }))
    });
    additions.collect()
}

/// Lines that say it: one for all that are exact, one for each other.
pub(crate) fn text(additions: &[Addition]) -> String {
    let (exact, others): (Vec<_>, Vec<_>) = additions
        .iter()
        .partition(|addition| addition.differing_pairs == 0);
    let mut text = String::new();
    if !exact.is_empty() {
        let n = count(exact.len() as u64, "addition");
        text += &format!("{n}: 0 of 65,536 pairs of operands differ from the exact sum\n");
    }
    for addition in others {
        text += &format!(
            "addition `{}`: {} of 65,536 pairs of operands differ from the exact sum, by up to {}\n",
            addition.layer,
            thousands(addition.differing_pairs as u64),
            count(addition.worst_steps.into(), "step")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let addition = |layer: &str, differing_pairs, worst_steps| Addition {
            layer: layer.to_owned(),
            differing_pairs,
            worst_steps,
        };
        assert_eq!(text(&[]), "");
        assert_eq!(
            text(&[
                addition("a", 0, 0),
                addition("b", 1234, 1),
                addition("c", 0, 0)
            ]),
            "2 additions: 0 of 65,536 pairs of operands differ from the exact sum\n\
             addition `b`: 1,234 of 65,536 pairs of operands differ from the exact sum, by up to 1 step\n"
        );
    }

    #[test]
    fn a_damaged_table_is_counted() {
        let mut network = onnx::zoo::build("resnet8", 7).expect("it is in the zoo").0;
        let exact = of(&network).expect("its scales are good");
        assert_eq!(exact.len(), 3);
        assert!(exact.iter().all(|addition| addition.differing_pairs == 0));
        let add = network
            .einsums
            .iter_mut()
            .find_map(|einsum| match &mut einsum.kind {
                Kind::Add(op) => Some(op),
                _ => None,
            });
        add.expect("it has additions").tables[1].fill(0);
        let damaged = of(&network).expect("its scales are good");
        assert!(damaged[0].differing_pairs > 10_000 && damaged[0].worst_steps > 1);
        assert_eq!(damaged[1].differing_pairs, 0);
    }
}
