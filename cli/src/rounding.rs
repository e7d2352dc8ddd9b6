//! How far the layers of a network are from the exact real value, for every command that shows a network.

use ir::network::{ConstantTensor, Network};
use ir::op::{AddError, Difference, Kind};
use serde::Serialize;

use crate::console::{count, thousands};
use ir::text::cell;

/// What is rounded besides each result.
#[derive(Default, Serialize)]
pub(crate) struct Rounding {
    /// All additions of two tensors.
    additions: Vec<Addition>,
    /// The layers whose bias lies between steps of the accumulator.
    biases: Vec<Bias>,
}

/// One addition, over all pairs of operands.
#[derive(Serialize)]
struct Addition {
    layer: String,
    /// Of 65,536 pairs.
    differing_pairs: usize,
    worst_steps: u8,
}

/// A bias that is not a whole number of steps of its accumulator.
#[derive(Serialize)]
struct Bias {
    layer: String,
    /// How far it is off, at most, in steps of the output.
    steps: f32,
}

impl Rounding {
    /// What `network` rounds.
    pub(crate) fn of(network: &Network) -> Result<Rounding, AddError> {
        Ok(Rounding {
            additions: additions(network)?,
            biases: biases(network),
        })
    }

    /// Lines that say it: one for all additions that are exact, one for each other layer.
    pub(crate) fn text(&self) -> String {
        let (exact, others): (Vec<_>, Vec<_>) = self
            .additions
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
                cell(&addition.layer),
                thousands(addition.differing_pairs as u64),
                count(addition.worst_steps.into(), "step")
            );
        }
        for Bias { layer, steps } in &self.biases {
            text += &format!(
                "`{}`: its bias lies between steps of the accumulator, and is off by up to {steps:.3} steps of the output\n",
                cell(layer)
            );
        }
        text
    }
}

fn biases(network: &Network) -> Vec<Bias> {
    let biases = network.einsums.iter().filter_map(|einsum| {
        let steps = einsum.kind.bias_error();
        (steps > 0.0).then(|| Bias {
            layer: einsum.name.clone(),
            steps,
        })
    });
    biases.collect()
}

/// The codes of a constant may stand for any numbers, so that an addition of one is left out.
fn additions(network: &Network) -> Result<Vec<Addition>, AddError> {
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
        assert_eq!(Rounding::default().text(), "");
        let rounding = Rounding {
            additions: vec![
                addition("a", 0, 0),
                addition("b", 1234, 1),
                addition("c", 0, 0),
            ],
            biases: vec![Bias {
                layer: "d".to_owned(),
                steps: 0.04,
            }],
        };
        assert_eq!(
            rounding.text(),
            "2 additions: 0 of 65,536 pairs of operands differ from the exact sum\n\
             addition `b`: 1,234 of 65,536 pairs of operands differ from the exact sum, by up to 1 step\n\
             `d`: its bias lies between steps of the accumulator, and is off by up to 0.040 steps of the output\n"
        );
    }

    #[test]
    fn a_damaged_table_is_counted() {
        let mut network = onnx::zoo::build("resnet8", 7).expect("it is in the zoo").0;
        let exact = additions(&network).expect("its scales are good");
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
        let damaged = additions(&network).expect("its scales are good");
        assert!(damaged[0].differing_pairs > 10_000 && damaged[0].worst_steps > 1);
        assert_eq!(damaged[1].differing_pairs, 0);
    }
}
