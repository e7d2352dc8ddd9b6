//! The einsums of a network of operators.

use super::{Einsum, Operand, Role, Unit, Workload};
use crate::mapping::{Dimension, Rank};
use crate::network::{self, Network};
use crate::op::{ConvAdd, Kind, Window};

impl Workload {
    /// The einsums of `network`, in its order.
    ///
    /// Convolutions are einsums of the array; pooling, add, concat and tables are of the vector engine.
    pub fn of(network: &Network) -> Workload {
        let einsums = network.einsums.iter().map(|e| einsum(network, e)).collect();
        Workload {
            name: network.name.clone(),
            einsums,
        }
    }
}

fn einsum(network: &Network, einsum: &network::Einsum) -> Einsum {
    let output = network.tensor(einsum.output);
    let input = network.tensor(einsum.inputs[0]);
    let name = |id: crate::network::TensorId| network.tensor(id).name.clone();
    let [channels, height, width] =
        [output.channels, output.height, output.width].map(|n| n as u64);
    let plane = || vec![("p", height), ("q", width)];
    let mut ranks = vec![("m", channels)];
    ranks.extend(plane());
    let mut unit = Unit::Vector;
    let mut operands = Vec::new();
    match &einsum.kind {
        Kind::Conv(op) | Kind::ConvAdd(ConvAdd { conv: op, .. }) => {
            unit = Unit::Mac;
            let [rows, cols] = op.window.kernel.map(|n| n as u64);
            let groups = op.groups as u64;
            let per_group = op.out_channels as u64 / groups;
            ranks = vec![("g", groups), ("m", per_group)];
            ranks.extend(plane());
            ranks.extend([("c", op.group_channels as u64), ("r", rows), ("s", cols)]);
            operands.push((
                name(einsum.inputs[0]),
                Role::Input,
                image(&["g", "c"], &op.window),
            ));
            operands.push((
                format!("{} weights", einsum.name),
                Role::Weights,
                plain(&["g", "m", "c", "r", "s"]),
            ));
            if let Some(id) = einsum.inputs.get(1) {
                operands.push((name(*id), Role::Input, plain(&["g", "m", "p", "q"])));
            }
            operands.push((
                name(einsum.output),
                Role::Output,
                plain(&["g", "m", "p", "q"]),
            ));
        }
        Kind::AveragePool(_) | Kind::MaxPool(_) => {
            let window = match &einsum.kind {
                Kind::AveragePool(op) => op.window,
                Kind::MaxPool(op) => op.window,
                _ => Window::dense([input.height, input.width]),
            };
            ranks.extend([
                ("r", window.kernel[0] as u64),
                ("s", window.kernel[1] as u64),
            ]);
            operands.push((name(einsum.inputs[0]), Role::Input, image(&["m"], &window)));
        }
        Kind::Add(_) | Kind::Mul(_) | Kind::Table(_) | Kind::Concat(_) | Kind::Select(_) => {
            let n_operands = match einsum.kind {
                Kind::Add(_) | Kind::Mul(_) => 2,
                _ => 1,
            };
            for id in einsum.inputs.iter().take(n_operands) {
                // A tensor that is combined with itself is read once.
                if !operands.iter().any(|(tensor, ..)| *tensor == name(*id)) {
                    // A factor may have one value for many channels, rows or columns.
                    let sizes = network.tensor(*id).shape();
                    let sides = ["m", "p", "q"].into_iter().zip(sizes).zip(output.shape());
                    let own = sides.filter(|((_, size), whole)| *size == *whole || *size > 1);
                    let own: Vec<&str> = own.map(|((rank, _), _)| rank).collect();
                    operands.push((name(*id), Role::Input, plain(&own)));
                }
            }
        }
    }
    if unit == Unit::Vector {
        operands.push((name(einsum.output), Role::Output, plain(&["m", "p", "q"])));
    }
    let ranks: Vec<Rank> = ranks
        .into_iter()
        .map(|(name, size)| Rank {
            name: name.to_owned(),
            size,
        })
        .collect();
    let operands = operands
        .into_iter()
        .map(|(tensor, role, dimensions)| operand(&ranks, tensor, role, dimensions))
        .collect();
    Einsum {
        name: einsum.name.clone(),
        repeat: 1,
        unit,
        ranks,
        operands,
    }
}

type Terms = Vec<(u64, &'static str)>;

/// Channels, rows and columns that a window reads.
fn image(channels: &[&'static str], window: &Window) -> Vec<Terms> {
    let axis = |axis: usize, out: &'static str, tap: &'static str| {
        vec![
            (window.stride[axis] as u64, out),
            (window.dilation[axis] as u64, tap),
        ]
    };
    [plain(channels), vec![axis(0, "p", "r"), axis(1, "q", "s")]].concat()
}

/// One dimension for each rank.
fn plain(ranks: &[&'static str]) -> Vec<Terms> {
    ranks.iter().map(|rank| vec![(1, *rank)]).collect()
}

fn operand(ranks: &[Rank], tensor: String, role: Role, dimensions: Vec<Terms>) -> Operand {
    let size_of = |name: &str| ranks.iter().find(|r| r.name == name).map_or(1, |r| r.size);
    let dimension = |terms: Terms| {
        let terms = terms
            .into_iter()
            .map(|(factor, rank)| (factor, rank.to_owned()))
            .collect();
        let mut dimension = Dimension {
            terms,
            size: u64::MAX,
        };
        dimension.size = dimension.extent(size_of);
        dimension
    };
    let partial_bits = if role == Role::Output { 32 } else { 8 };
    Operand {
        tensor,
        role,
        bits: 8,
        partial_bits,
        dimensions: dimensions.into_iter().map(dimension).collect(),
    }
}
