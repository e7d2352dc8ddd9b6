//! Nests as [`Mapping`]s, and back.

use ir::mapping::{Mapping, Node, Projection, RowMapping};
use ir::tree::Tree;
use ir::workload::Einsum;

use super::cost::{Cost, held_bits};
use super::nest::{Nest, Step};
use super::problem::Problem;

/// A mapping that is not a nest of the einsum on the tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[diagnostic(code(mapping::nest))]
pub enum NestError {
    /// A node names what is not there, or cannot stand where it does.
    #[error("einsum `{einsum}`, node `{node}`: {reason}")]
    Node {
        /// The einsum.
        einsum: String,
        /// The node, in text form.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// The nest does not reach single operations.
    #[error("einsum `{einsum}`: the loops over rank `{rank}` end at tiles of {tile}")]
    #[diagnostic(help("the innermost loop of each rank goes by 1"))]
    Unfinished {
        /// The einsum.
        einsum: String,
        /// The rank.
        rank: String,
        /// Its innermost tile.
        tile: u64,
    },
    /// Tiles do not fit.
    #[error("tiles of {needed} bits are kept in `{memory}`, which has {available} bits")]
    #[diagnostic(help("lower the tiles kept there, or raise `size_bits` in the tree"))]
    Room {
        /// The memory.
        memory: String,
        /// Bits of all tiles.
        needed: u64,
        /// Its size.
        available: u64,
    },
}

/// The text form of a nest.
pub(crate) fn mapping(einsum: &Einsum, tree: &Tree, nest: &Nest) -> Mapping {
    let memories: Vec<&str> = tree.memories().map(|(_, m)| m.name.as_str()).collect();
    let fanouts: Vec<&str> = tree.fanouts().map(|(_, f)| f.name.as_str()).collect();
    let mut tile: Vec<u64> = einsum.ranks.iter().map(|r| r.size).collect();
    let mut nodes: Vec<Node> = Vec::new();
    for step in nest {
        match *step {
            Step::Keep { memory, operand } => {
                let tensor = einsum.operands[operand].tensor.clone();
                match nodes.last_mut() {
                    Some(Node::Keep { level, tensors }) if level == memories[memory] => {
                        tensors.push(tensor)
                    }
                    _ => nodes.push(Node::Keep {
                        level: memories[memory].to_owned(),
                        tensors: vec![tensor],
                    }),
                }
            }
            Step::Time { rank, tile: step } => {
                nodes.push(Node::For {
                    rank: einsum.ranks[rank].name.clone(),
                    size: tile[rank],
                    step,
                });
                tile[rank] = step;
            }
            Step::Space {
                fanout,
                rank,
                copies,
                tile: piece,
            } => {
                let rank_name = einsum.ranks[rank].name.clone();
                nodes.push(Node::Spatial {
                    rank: rank_name,
                    size: copies,
                    fanout: Some(fanouts[fanout].to_owned()),
                });
                tile[rank] = piece;
            }
        }
    }
    let tensors = einsum.operands.iter();
    Mapping {
        einsum: einsum.name.clone(),
        rows: RowMapping::default(),
        ranks: einsum.ranks.clone(),
        tensors: tensors
            .map(|o| Projection {
                tensor: o.tensor.clone(),
                dimensions: o.dimensions.clone(),
            })
            .collect(),
        nodes,
    }
}

/// The nest of a mapping.
pub(crate) fn nest(
    einsum: &Einsum,
    tree: &Tree,
    problem: &Problem,
    mapping: &Mapping,
) -> Result<Nest, NestError> {
    let memories: Vec<&str> = tree.memories().map(|(_, m)| m.name.as_str()).collect();
    let fanouts: Vec<&str> = tree.fanouts().map(|(_, f)| f.name.as_str()).collect();
    let mut tile = problem.sizes.clone();
    let mut used = vec![1; fanouts.len()];
    // Fan-outs that loops have passed, and those that kept tiles stand inside of.
    let (mut passed, mut kept) = (0, 0);
    let mut steps: Nest = Vec::new();
    for node in &mapping.nodes {
        let fault = |reason: String| NestError::Node {
            einsum: einsum.name.clone(),
            node: node.to_string(),
            reason,
        };
        let rank_of = |name: &str| {
            let at = einsum.ranks.iter().position(|r| r.name == name);
            at.ok_or_else(|| fault(format!("the einsum has no rank `{name}`")))
        };
        match node {
            Node::Keep { level, tensors } => {
                let memory = memories.iter().position(|m| m == level);
                let memory =
                    memory.ok_or_else(|| fault(format!("the tree has no memory `{level}`")))?;
                let above = problem.memories[memory].below_fanouts;
                if above < passed {
                    return Err(fault(format!(
                        "`{level}` stands above fan-out `{}`",
                        fanouts[passed - 1]
                    )));
                }
                (passed, kept) = (above, above);
                for tensor in tensors {
                    let operand = einsum.operands.iter().position(|o| o.tensor == *tensor);
                    let operand = operand
                        .ok_or_else(|| fault(format!("the einsum has no tensor `{tensor}`")))?;
                    if problem.memories[memory].keeps >> operand & 1 == 0 {
                        return Err(fault(format!(
                            "`{level}` does not keep `{}`",
                            einsum.operands[operand].role.name()
                        )));
                    }
                    let below = |s: &Step| matches!(s, Step::Keep { memory: m, operand: o } if *o == operand && *m >= memory);
                    if steps.iter().any(below) {
                        return Err(fault(format!(
                            "`{tensor}` is kept there or further inside already"
                        )));
                    }
                    steps.push(Step::Keep { memory, operand });
                }
            }
            Node::For { rank, size, step } => {
                let rank = rank_of(rank)?;
                if *size != tile[rank] || step > size || *step == 0 {
                    return Err(fault(format!("the tile at hand is {}", tile[rank])));
                }
                tile[rank] = *step;
                steps.push(Step::Time { rank, tile: *step });
            }
            Node::Strips { .. } => {
                return Err(fault(
                    "strips of a depth-first run are for a machine, not for a tree".to_owned(),
                ));
            }
            Node::Spatial { rank, size, fanout } => {
                let rank = rank_of(rank)?;
                let name = fanout.as_deref().unwrap_or_default();
                let fanout = fanouts.iter().position(|f| *f == name);
                let fanout =
                    fanout.ok_or_else(|| fault(format!("the tree has no fan-out `{name}`")))?;
                if fanout + 1 < passed || fanout < kept {
                    return Err(fault(format!(
                        "fan-out `{name}` stands above what comes before it",
                    )));
                }
                if problem.fanouts[fanout].ranks >> rank & 1 == 0 {
                    return Err(fault(format!("`{name}` cannot unroll that rank")));
                }
                if *size == 0 {
                    return Err(fault("there is no copy".to_owned()));
                }
                used[fanout] = u64::saturating_mul(used[fanout], *size);
                if used[fanout] > problem.fanouts[fanout].size {
                    return Err(fault(format!(
                        "{} copies are used of {}",
                        used[fanout], problem.fanouts[fanout].size
                    )));
                }
                passed = passed.max(fanout + 1);
                tile[rank] = tile[rank].div_ceil(*size);
                steps.push(Step::Space {
                    fanout,
                    rank,
                    copies: *size,
                    tile: tile[rank],
                });
            }
        }
    }
    complete(einsum, tree, problem, &steps)?;
    match tile.iter().position(|t| *t > 1) {
        None => Ok(steps),
        Some(rank) => Err(NestError::Unfinished {
            einsum: einsum.name.clone(),
            rank: einsum.ranks[rank].name.clone(),
            tile: tile[rank],
        }),
    }
}

/// Every memory keeps what may not pass it by, and the outermost keeps whole tensors.
fn complete(
    einsum: &Einsum,
    tree: &Tree,
    problem: &Problem,
    steps: &Nest,
) -> Result<(), NestError> {
    for (index, (_, component)) in tree.memories().enumerate() {
        let memory = &problem.memories[index];
        for operand in super::problem::members(memory.keeps & !memory.may_bypass) {
            let keeps = |s: &Step| matches!(s, Step::Keep { memory: m, operand: o } if *m == index && *o == operand);
            let at = steps.iter().position(keeps);
            let whole = |at: usize| steps[..at].iter().all(|s| matches!(s, Step::Keep { .. }));
            if at.is_none_or(|at| index == 0 && !whole(at)) {
                return Err(NestError::Node {
                    einsum: einsum.name.clone(),
                    node: format!(
                        "{} keeps {}",
                        component.name, einsum.operands[operand].tensor
                    ),
                    reason: if index == 0 {
                        "it comes before all loops"
                    } else {
                        "it is missing"
                    }
                    .to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// Whether all tiles fit.
pub(crate) fn check_room(tree: &Tree, problem: &Problem, cost: &Cost) -> Result<(), NestError> {
    let held = held_bits(problem, &cost.accesses);
    for ((_, memory), needed) in tree.memories().zip(held) {
        if let Some(available) = memory.size_bits.filter(|size| needed > *size) {
            return Err(NestError::Room {
                memory: memory.name.clone(),
                needed,
                available,
            });
        }
    }
    Ok(())
}
