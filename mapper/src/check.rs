//! An independent check of a mapping: it walks the loops, and knows nothing of how they were found.
//!
//! It holds that every point of the einsum is computed exactly once, and that what each level keeps fits it, and it
//! counts how often each level is filled. Small nests are walked point by point; for large ones the ranks are walked
//! one by one, which is the same because loops of different ranks do not depend on each other.

use ir::fit::Fit;
use std::collections::BTreeMap;

use ir::arch::Arch;
use ir::mapping::{Mapping, Node, Projection};

/// Points up to which the whole nest is walked.
const WALK_LIMIT: u64 = 1 << 16;

/// What is wrong with a mapping: the mapping's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum MappingFault {
    /// A node names a rank or tensor that the einsum does not have.
    #[error("`{einsum}`: there is no `{name}`")]
    #[diagnostic(code(mapping::name), help("declare it with `rank` or `tensor`"))]
    Name {
        /// The einsum.
        einsum: String,
        /// The name.
        name: String,
    },
    /// A loop states a size that is not that of the tile around it.
    #[error("`{einsum}`: the loop over `{rank}` says 0..{size}, the tile around it has {actual}")]
    #[diagnostic(code(mapping::size))]
    Size {
        /// The einsum.
        einsum: String,
        /// The rank.
        rank: String,
        /// What the loop says.
        size: u64,
        /// What it is.
        actual: u64,
    },
    /// A point is computed not at all or more than once.
    #[error("`{einsum}`: index {index} of `{rank}` is covered {times} times")]
    #[diagnostic(
        code(mapping::coverage),
        help("the innermost loops must have a step of 1, or of what is spatial")
    )]
    Coverage {
        /// The einsum.
        einsum: String,
        /// The rank.
        rank: String,
        /// The first such index.
        index: u64,
        /// How often.
        times: u64,
    },
    /// A tile does not fit its level.
    #[error("`{einsum}`: {tensors} need {needed} words, `{level}` has {available}")]
    #[diagnostic(
        code(mapping::capacity),
        help("lower a bound above `{level}`, or raise its size in the arch")
    )]
    Capacity {
        /// The einsum.
        einsum: String,
        /// The tensors that the level keeps.
        tensors: String,
        /// Words needed.
        needed: u64,
        /// The level.
        level: String,
        /// Words there are.
        available: u64,
    },
    /// More neighbours than the array has.
    #[error("`{einsum}`: `{rank}` is spread over {size}, the array has {available}")]
    #[diagnostic(code(mapping::spatial))]
    Spatial {
        /// The einsum.
        einsum: String,
        /// The rank.
        rank: String,
        /// How many.
        size: u64,
        /// Rows or columns of the array.
        available: u64,
    },
}

/// What a legal mapping does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accesses {
    /// For each level and tensor the words that are brought to it, in all.
    pub fills: BTreeMap<(String, String), u64>,
    /// Points of the einsum, each computed once.
    pub points: u64,
}

/// Checks `mapping` against `arch`, and counts what it moves.
///
/// # Errors
/// The first [`MappingFault`].
pub fn check(mapping: &Mapping, arch: &Arch) -> Result<Accesses, MappingFault> {
    names(mapping)?;
    sizes(mapping)?;
    let points: u64 = mapping.ranks.iter().map(|r| r.size).product();
    for rank in &mapping.ranks {
        rank_coverage(mapping, &rank.name, rank.size)?;
    }
    if points <= WALK_LIMIT {
        nest_coverage(mapping, points)?;
    }
    capacity(mapping, arch)?;
    Ok(Accesses {
        fills: fills(mapping, arch),
        points,
    })
}

fn names(mapping: &Mapping) -> Result<(), MappingFault> {
    let fault = |name: &str| {
        Err(MappingFault::Name {
            einsum: mapping.einsum.clone(),
            name: name.to_owned(),
        })
    };
    let terms = mapping
        .tensors
        .iter()
        .flat_map(|t| &t.dimensions)
        .flat_map(|d| &d.terms)
        .map(|(_, rank)| rank);
    let loops = mapping.nodes.iter().filter_map(|node| match node {
        Node::For { rank, .. } | Node::Strips { rank, .. } | Node::Spatial { rank, .. } => {
            Some(rank)
        }
        Node::Keep { .. } => None,
    });
    if let Some(rank) = terms
        .chain(loops)
        .find(|rank| mapping.size_of(rank).is_none())
    {
        return fault(rank);
    }
    let kept = mapping.nodes.iter().filter_map(|node| match node {
        Node::Keep { tensors, .. } => Some(tensors),
        _ => None,
    });
    match kept
        .flatten()
        .find(|name| projection(mapping, name).is_none())
    {
        Some(name) => fault(name),
        None => Ok(()),
    }
}

fn projection<'a>(mapping: &'a Mapping, name: &str) -> Option<&'a Projection> {
    mapping.tensors.iter().find(|t| t.tensor == name)
}

fn sizes(mapping: &Mapping) -> Result<(), MappingFault> {
    let mut tile: BTreeMap<&str, u64> = mapping
        .ranks
        .iter()
        .map(|r| (r.name.as_str(), r.size))
        .collect();
    for node in &mapping.nodes {
        if let Some((rank, size, first, step)) = cuts(node) {
            let tallest = first.max(step).min(size);
            let actual = tile.insert(rank, tallest).expect("names were checked");
            if actual != size || step == 0 || first == 0 {
                return Err(MappingFault::Size {
                    einsum: mapping.einsum.clone(),
                    rank: rank.to_owned(),
                    size,
                    actual,
                });
            }
        }
    }
    Ok(())
}

/// A loop in time as its rank, the tile at hand, and the sizes of the first and of every other tile inside.
fn cuts(node: &Node) -> Option<(&str, u64, u64, u64)> {
    match node {
        Node::For { rank, size, step } => Some((rank, *size, *step, *step)),
        Node::Strips {
            rank,
            size,
            first,
            step,
        } => Some((rank, *size, *first, *step)),
        Node::Spatial { .. } | Node::Keep { .. } => None,
    }
}

/// The parts of a tile of which the first has `first` indices and the others `step`.
fn parts(start: u64, end: u64, first: u64, step: u64) -> Vec<(u64, u64)> {
    let mut parts = Vec::new();
    let (mut from, mut to) = (start, start + first);
    while from < end {
        parts.push((from, to.min(end)));
        (from, to) = (to, to + step);
    }
    parts
}

/// Walks the loops of one rank and counts how often each index is met.
fn rank_coverage(mapping: &Mapping, rank: &str, size: u64) -> Result<(), MappingFault> {
    let mut tiles = vec![(0, size)];
    let mut spatial = 1;
    for node in &mapping.nodes {
        match (node, cuts(node)) {
            (_, Some((of, _, first, step))) if of == rank => {
                let inside = |(start, end)| parts(start, end, first, step);
                tiles = tiles.into_iter().flat_map(inside).collect();
            }
            (Node::Spatial { rank: of, size, .. }, _) if of == rank => spatial = *size,
            _ => {}
        }
    }
    let mut times = vec![0; size.fit::<usize>()];
    for (start, end) in tiles {
        (start..end.min(start + spatial)).for_each(|i| times[i.fit::<usize>()] += 1);
    }
    let fault = |(index, times): (usize, &u64)| MappingFault::Coverage {
        einsum: mapping.einsum.clone(),
        rank: rank.to_owned(),
        index: index as u64,
        times: *times,
    };
    times
        .iter()
        .enumerate()
        .find(|(_, times)| **times != 1)
        .map_or(Ok(()), |found| Err(fault(found)))
}

/// Walks the whole nest and counts how often each point is met.
fn nest_coverage(mapping: &Mapping, points: u64) -> Result<(), MappingFault> {
    let mut times = vec![0u32; points.fit::<usize>()];
    let tile: Vec<(u64, u64)> = mapping.ranks.iter().map(|r| (0, r.size)).collect();
    walk(mapping, &mapping.nodes, &tile, &mut times);
    match times.iter().position(|t| *t != 1) {
        None => Ok(()),
        Some(index) => Err(MappingFault::Coverage {
            einsum: mapping.einsum.clone(),
            rank: "all ranks".to_owned(),
            index: index as u64,
            times: times[index].into(),
        }),
    }
}

fn walk(mapping: &Mapping, nodes: &[Node], tile: &[(u64, u64)], times: &mut [u32]) {
    let position = |rank: &str| {
        mapping
            .ranks
            .iter()
            .position(|r| r.name == rank)
            .expect("names were checked")
    };
    match nodes.split_first() {
        None => {
            // What is left of each rank is spatial, or a single index.
            let mut indices = vec![0usize];
            for ((start, end), rank) in tile.iter().zip(&mapping.ranks) {
                indices = indices
                    .iter()
                    .flat_map(|i| {
                        (*start..*end).map(move |x| i * rank.size.fit::<usize>() + x.fit::<usize>())
                    })
                    .collect();
            }
            indices.into_iter().for_each(|i| times[i] += 1);
        }
        Some((node, inside)) => match cuts(node) {
            Some((rank, _, first, step)) => {
                let at = position(rank);
                for part in parts(tile[at].0, tile[at].1, first, step) {
                    let mut next = tile.to_vec();
                    next[at] = part;
                    walk(mapping, inside, &next, times);
                }
            }
            None => walk(mapping, inside, tile, times),
        },
    }
}

/// The words of a tile of a tensor at a level.
fn words(arch: &Arch, level: &str, tensor: &Projection, tile: &BTreeMap<&str, u64>) -> u64 {
    let extents: Vec<u64> = tensor
        .dimensions
        .iter()
        .map(|d| d.extent(|rank| tile[rank]))
        .collect();
    let (rows, cols) = (u64::from(arch.array.rows), u64::from(arch.array.cols));
    let rest: u64 = extents[1..].iter().product();
    match (level, tensor.tensor.as_str()) {
        (_, "weights") => {
            extents[0].div_ceil(cols)
                * cols
                * extents[1].div_ceil(rows)
                * extents[2..].iter().product::<u64>()
        }
        (_, "parameters") => (extents[0].next_multiple_of(cols) * 8).div_ceil(rows),
        ("accumulators", _) => extents[0].div_ceil(cols) * rest,
        _ => extents[0].div_ceil(rows) * rest,
    }
}

fn capacity(mapping: &Mapping, arch: &Arch) -> Result<(), MappingFault> {
    let einsum = || mapping.einsum.clone();
    let mut tile: BTreeMap<&str, u64> = mapping
        .ranks
        .iter()
        .map(|r| (r.name.as_str(), r.size))
        .collect();
    // Ranks that share the rows of the array.
    let mut rows = 1;
    let mut used: BTreeMap<(&str, bool), (u64, Vec<&str>)> = BTreeMap::new();
    for node in &mapping.nodes {
        match node {
            Node::For { .. } | Node::Strips { .. } => {
                let (rank, size, first, step) = cuts(node).expect("it is a loop in time");
                tile.insert(rank, first.max(step).min(size));
            }
            Node::Spatial { rank, size, .. } => {
                let (spread, available) = if rank == "m" && !is_vector(mapping) {
                    (*size, u64::from(arch.array.cols))
                } else {
                    rows *= *size;
                    (rows, u64::from(arch.array.rows))
                };
                if spread > available {
                    return Err(MappingFault::Spatial {
                        einsum: einsum(),
                        rank: rank.clone(),
                        size: spread,
                        available,
                    });
                }
            }
            Node::Keep { level, tensors } => {
                for name in tensors {
                    let tensor = projection(mapping, name).expect("names were checked");
                    let entry = used.entry((level, name == "parameters")).or_default();
                    entry.0 += words(arch, level, tensor, &tile);
                    entry.1.push(name);
                }
            }
        }
    }
    for ((level, parameters), (needed, tensors)) in used {
        let available = match (level, parameters) {
            ("memory", _) => arch.memory.words,
            ("banks", _) => arch.activations.banks * arch.activations.words,
            ("constants", true) => arch.parameter_words(arch.parameters.channels),
            ("constants", false) => arch.weights.words,
            ("accumulators", _) => arch.accumulators.pixels,
            _ => {
                return Err(MappingFault::Name {
                    einsum: einsum(),
                    name: level.to_owned(),
                });
            }
        };
        if needed > available.into() {
            let (tensors, level) = (tensors.join(" and "), level.to_owned());
            return Err(MappingFault::Capacity {
                einsum: einsum(),
                tensors,
                needed,
                level,
                available: available.into(),
            });
        }
    }
    Ok(())
}

fn is_vector(mapping: &Mapping) -> bool {
    projection(mapping, "weights").is_none()
}

/// Words that each level is filled with: the tile, once for each iteration of the loops above it, except of those
/// directly above that do not change the tile.
fn fills(mapping: &Mapping, arch: &Arch) -> BTreeMap<(String, String), u64> {
    let mut tile: BTreeMap<&str, u64> = mapping
        .ranks
        .iter()
        .map(|r| (r.name.as_str(), r.size))
        .collect();
    let mut loops: Vec<(&str, u64)> = Vec::new();
    let mut fills = BTreeMap::new();
    for node in &mapping.nodes {
        match node {
            Node::For { .. } | Node::Strips { .. } => {
                let (rank, size, first, step) = cuts(node).expect("it is a loop in time");
                loops.push((rank, parts(0, size, first, step).len() as u64));
                tile.insert(rank, first.max(step).min(size));
            }
            Node::Spatial { .. } => {}
            Node::Keep { level, tensors } => {
                for name in tensors {
                    let tensor = projection(mapping, name).expect("names were checked");
                    let changes = |rank: &str| {
                        tensor
                            .dimensions
                            .iter()
                            .any(|d| d.terms.iter().any(|(_, r)| r == rank))
                    };
                    let reused = loops
                        .iter()
                        .rev()
                        .take_while(|(rank, _)| !changes(rank))
                        .count();
                    let times: u64 = loops[..loops.len() - reused]
                        .iter()
                        .map(|(_, n)| n)
                        .product();
                    *fills.entry((level.clone(), name.clone())).or_insert(0) +=
                        times * words(arch, level, tensor, &tile);
                }
            }
        }
    }
    fills
}
