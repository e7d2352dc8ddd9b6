//! The mapping of each einsum in its text form, from the plan and the choice that lowering follows.

use ir::arch::{Arch, Dataflow};
use ir::fit::Fit;
use ir::mapping::{Dimension, Mapping, Node, Order, Projection, Rank, RowMapping};
use ir::network::Network;
use ir::op::{Kind, Window};

use crate::mapspace::{Choice, Mapspace, chunks, max_steps, stays};
use crate::plan::{Access, EinsumPlan, Strips};
use crate::sums::{Sums, Taps};

/// Collects nodes, leaving out loops with one iteration.
struct Nest {
    nodes: Vec<Node>,
    tile: Vec<(&'static str, u64)>,
}

impl Nest {
    fn size(&mut self, rank: &'static str) -> &mut u64 {
        &mut self
            .tile
            .iter_mut()
            .find(|(name, _)| *name == rank)
            .expect("the rank was declared")
            .1
    }

    fn split(&mut self, rank: &'static str, step: u64) {
        let size = *self.size(rank);
        if step < size {
            self.nodes.push(Node::For {
                rank: rank.to_owned(),
                size,
                step,
            });
            *self.size(rank) = step;
        }
    }

    fn strips(&mut self, strips: &Strips) {
        let Strips { first, rows, .. } = strips;
        if first == rows {
            return self.split("p", *rows as u64);
        }
        let size = *self.size("p");
        self.nodes.push(Node::Strips {
            rank: "p".to_owned(),
            size,
            first: *first as u64,
            step: *rows as u64,
        });
        *self.size("p") = strips.tallest() as u64;
    }

    fn keep(&mut self, level: &str, tensors: &[&str]) {
        if !tensors.is_empty() {
            let tensors = tensors.iter().map(|t| (*t).to_owned()).collect();
            self.nodes.push(Node::Keep {
                level: level.to_owned(),
                tensors,
            });
        }
    }

    fn spatial(&mut self, rank: &'static str, size: u64) {
        self.nodes.push(Node::Spatial {
            rank: rank.to_owned(),
            size,
            fanout: None,
        });
    }
}

fn projection(tensor: &str, dimensions: Vec<Dimension>) -> Projection {
    Projection {
        tensor: tensor.to_owned(),
        dimensions,
    }
}

fn plain(rank: &str, size: u64) -> Dimension {
    Dimension {
        terms: vec![(1, rank.to_owned())],
        size,
    }
}

fn window_dimension(
    out: &str,
    stride: usize,
    tap: &str,
    dilation: usize,
    size: usize,
) -> Dimension {
    Dimension {
        terms: vec![
            (stride as u64, out.to_owned()),
            (dilation as u64, tap.to_owned()),
        ],
        size: size as u64,
    }
}

fn finish(
    einsum: &str,
    rows: RowMapping,
    nest: Nest,
    sizes: &[(&'static str, u64)],
    tensors: Vec<Projection>,
) -> Mapping {
    let ranks = sizes
        .iter()
        .map(|(name, size)| Rank {
            name: (*name).to_owned(),
            size: *size,
        })
        .collect();
    Mapping {
        einsum: einsum.to_owned(),
        rows,
        ranks,
        tensors,
        nodes: nest.nodes,
    }
}

/// Tensors that lie in a bank as a whole, and those that pass through in strips.
fn residency(plan: &EinsumPlan, names: &[&'static str]) -> (Vec<&'static str>, Vec<&'static str>) {
    let accesses = plan
        .inputs
        .iter()
        .take(names.len() - 1)
        .chain([&plan.output]);
    let (passing, whole): (Vec<_>, Vec<_>) = names
        .iter()
        .zip(accesses)
        .partition(|(_, a)| matches!(a, Access::Strips(_) | Access::Passes { .. }));
    let names = |list: Vec<(&&'static str, _)>| list.into_iter().map(|(name, _)| *name).collect();
    (names(whole), names(passing))
}

/// The ranks of a layer of sums and their bounds, and its tensors.
type Space = (Vec<(&'static str, u64)>, Vec<Projection>);

/// The space of a layer whose rows are channels.
fn channels_space(arch: &Arch, sums: &Sums) -> Space {
    let rows = u64::from(arch.array.rows);
    let n_tiles = sums.n_tiles(arch);
    let [kernel_y, kernel_x] = sums.window.kernel.map(|n| n as u64);
    let blocks = (0..n_tiles)
        .map(|n| sums.blocks(arch, n).len() as u64)
        .max()
        .unwrap_or(1);
    // A group's channels are those of the blocks that one column tile reads, zeros included.
    let channels = (blocks * rows).min((sums.input.channels as u64).next_multiple_of(rows));
    let output = sums.output;
    let sizes = vec![
        ("p", output.height as u64),
        ("q", output.width as u64),
        ("m", output.channels as u64),
        ("c", channels),
        ("r", kernel_y),
        ("s", kernel_x),
    ];
    let dense = sums.blocks(arch, 0) == (0..sums.input.channels.div_ceil(rows.fit::<usize>()));
    let input_channels = if dense {
        plain("c", channels)
    } else {
        // A tile of output channels reads its own blocks.
        Dimension {
            terms: vec![(1, "c".to_owned()), (1, "m".to_owned())],
            size: (sums.input.channels as u64).next_multiple_of(rows),
        }
    };
    let weight_channels = sums.period(arch).map_or(sizes[2].1, u64::from);
    let window = &sums.window;
    let tensors = vec![
        projection(
            "input",
            vec![
                input_channels,
                window_dimension(
                    "p",
                    window.stride[0],
                    "r",
                    window.dilation[0],
                    sums.input.height,
                ),
                window_dimension(
                    "q",
                    window.stride[1],
                    "s",
                    window.dilation[1],
                    sums.input.width,
                ),
            ],
        ),
        projection(
            "weights",
            vec![
                plain("m", weight_channels),
                plain("c", channels),
                plain("r", kernel_y),
                plain("s", kernel_x),
            ],
        ),
        projection("parameters", vec![plain("m", sizes[2].1)]),
        projection(
            "output",
            vec![
                plain("m", sizes[2].1),
                plain("p", sizes[0].1),
                plain("q", sizes[1].1),
            ],
        ),
    ];
    (sizes, tensors)
}

/// The space of a layer whose rows are packed taps. A word holds `g` groups of `s` taps, one for each channel and kernel
/// row; which channel and row that is, no sum of ranks says, so the image counts as a whole.
fn taps_space(arch: &Arch, sums: &Sums, taps: &Taps) -> Space {
    let rows = u64::from(arch.array.rows);
    let (words, groups) = (sums.input.channels as u64 / rows, taps.per_word as u64);
    let kernel_x = taps.window.kernel[1] as u64;
    let output = sums.output;
    let sizes = vec![
        ("p", output.height as u64),
        ("q", output.width as u64),
        ("m", output.channels as u64),
        ("w", words),
        ("g", groups),
        ("s", kernel_x),
    ];
    let lanes = || Dimension {
        terms: vec![
            (rows, "w".to_owned()),
            (kernel_x, "g".to_owned()),
            (1, "s".to_owned()),
        ],
        size: sums.input.channels as u64,
    };
    let all = |size: usize| Dimension {
        terms: Vec::new(),
        size: size as u64,
    };
    let tensors = vec![
        projection(
            "input",
            vec![
                all(taps.image.width),
                all(taps.image.height),
                all(taps.image.channels),
            ],
        ),
        projection(
            "packed",
            vec![lanes(), plain("p", sizes[0].1), plain("q", sizes[1].1)],
        ),
        projection("weights", vec![plain("m", sizes[2].1), lanes()]),
        projection("parameters", vec![plain("m", sizes[2].1)]),
        projection(
            "output",
            vec![
                plain("m", sizes[2].1),
                plain("p", sizes[0].1),
                plain("q", sizes[1].1),
            ],
        ),
    ];
    (sizes, tensors)
}

/// The mapping of a layer of sums.
pub(crate) fn sums(
    einsum: &str,
    arch: &Arch,
    plan: &EinsumPlan,
    mapspace: &Mapspace,
    choice: &Choice,
) -> Mapping {
    let sums = mapspace.sums;
    let (rows, cols) = (u64::from(arch.array.rows), u64::from(arch.array.cols));
    let (sizes, tensors) = match &sums.taps {
        Some(taps) => taps_space(arch, sums, taps),
        None => channels_space(arch, sums),
    };
    let mut nest = Nest {
        nodes: Vec::new(),
        tile: sizes.clone(),
    };
    let (mut whole, mut passing) = residency(plan, &["input", "output"]);
    if sums.taps.is_some() {
        let one_strip = plan.strips.count() == 1;
        if one_strip { &mut whole } else { &mut passing }.push("packed");
    }
    nest.keep(
        "memory",
        &memory_tensors(plan, &["input", "output"], &["weights", "parameters"]),
    );
    nest.keep("banks", &whole);
    let constants = ["weights", "parameters"];
    let n_strips = plan.strips.count();
    let stays = stays(sums, arch, choice.group_tiles, n_strips);
    if stays {
        nest.keep("constants", &constants);
    }
    let group = choice.group_tiles as u64 * cols;
    match choice.order {
        Order::StripsOuter => {
            nest.strips(&plan.strips);
            nest.keep("banks", &passing);
            nest.split("m", group);
        }
        Order::WeightsOuter => {
            nest.split("m", group);
            if !stays {
                nest.keep("constants", &constants);
            }
            nest.strips(&plan.strips);
            nest.keep("banks", &passing);
        }
    }
    if !mapspace.split && !stays && choice.order == Order::StripsOuter {
        nest.keep("constants", &constants);
    }
    if mapspace.split {
        nest.split("m", cols);
        nest.keep("constants", &["parameters"]);
    }
    nest.split("p", choice.tile_rows as u64);
    nest.split("q", choice.tile_cols as u64);
    nest.split("m", cols);
    nest.keep("accumulators", &["output"]);
    if mapspace.split {
        let part = &chunks(sums, arch, 0, (max_steps(arch) / 2).max(1))[0];
        nest.split("c", part.blocks.len() as u64 * rows);
        nest.split("r", part.kernel_y.len() as u64);
        nest.split("s", part.kernel_x.len() as u64);
        nest.keep("constants", &["weights"]);
    }
    let pixels = |nest: &mut Nest| {
        nest.split("p", 1);
        nest.split("q", 1);
    };
    if choice.dataflow == Dataflow::OutputStationary {
        pixels(&mut nest);
    }
    if sums.taps.is_some() {
        nest.split("w", 1);
    } else {
        nest.split("c", rows);
        nest.split("r", 1);
        nest.split("s", 1);
    }
    if choice.dataflow == Dataflow::WeightStationary {
        pixels(&mut nest);
    }
    if sums.taps.is_some() {
        let (groups, taps) = (*nest.size("g"), *nest.size("s"));
        nest.spatial("g", groups);
        nest.spatial("s", taps);
    } else {
        nest.spatial("c", rows);
    }
    nest.spatial("m", cols);
    finish(einsum, choice.rows, nest, &sizes, tensors)
}

/// The mapping of a layer of the vector engine.
pub(crate) fn vector(network: &Network, arch: &Arch, plan: &EinsumPlan, index: usize) -> Mapping {
    let einsum = &network.einsums[index];
    let rows = u64::from(arch.array.rows);
    let output = network.tensor(einsum.output);
    let window = match &einsum.kind {
        Kind::MaxPool(op) => op.window,
        _ => Window::dense([1, 1]),
    };
    let [kernel_y, kernel_x] = window.kernel.map(|n| n as u64);
    let sizes = [
        ("p", output.height as u64),
        ("q", output.width as u64),
        ("m", output.channels as u64),
        ("r", kernel_y),
        ("s", kernel_x),
    ];
    let names = [
        "input", "input2", "input3", "input4", "input5", "input6", "input7", "input8",
    ];
    // An operand that is read twice lies in the banks once.
    let first = |i: &usize| !einsum.inputs[..*i].contains(&einsum.inputs[*i]);
    let inputs: Vec<usize> = (0..einsum.inputs.len())
        .filter(first)
        .take(names.len())
        .collect();
    let plan = &EinsumPlan {
        inputs: inputs.iter().map(|&i| plan.inputs[i].clone()).collect(),
        ..plan.clone()
    };
    let mut tensors: Vec<Projection> = inputs
        .iter()
        .zip(names)
        .map(|(&i, name)| {
            let input = network.tensor(einsum.inputs[i]);
            let dimensions = vec![
                plain("m", input.channels as u64),
                window_dimension("p", window.stride[0], "r", window.dilation[0], input.height),
                window_dimension("q", window.stride[1], "s", window.dilation[1], input.width),
            ];
            projection(name, dimensions)
        })
        .collect();
    tensors.push(projection(
        "output",
        vec![
            plain("m", sizes[2].1),
            plain("p", sizes[0].1),
            plain("q", sizes[1].1),
        ],
    ));
    let mut all: Vec<&'static str> = names[..inputs.len()].to_vec();
    all.push("output");
    let (whole, passing) = residency(plan, &all);
    let mut nest = Nest {
        nodes: Vec::new(),
        tile: sizes.to_vec(),
    };
    nest.keep("memory", &memory_tensors(plan, &all, &[]));
    nest.keep("banks", &whole);
    nest.strips(&plan.strips);
    nest.keep("banks", &passing);
    nest.split("p", 1);
    nest.split("m", rows);
    nest.split("q", 1);
    nest.split("r", 1);
    nest.split("s", 1);
    nest.spatial("m", rows);
    finish(&einsum.name, RowMapping::Channels, nest, &sizes, tensors)
}

/// The tensors that are in memory: operands that are loaded, outputs that are stored, and constants.
fn memory_tensors(
    plan: &EinsumPlan,
    names: &[&'static str],
    constants: &[&'static str],
) -> Vec<&'static str> {
    let inputs = plan
        .inputs
        .iter()
        .zip(names)
        .filter(|(access, _)| !matches!(access, Access::Bank(_) | Access::Passes { .. }))
        .map(|(_, name)| *name);
    let output = plan.stored.then_some("output");
    inputs
        .take(names.len() - 1)
        .chain(output)
        .chain(constants.iter().copied())
        .collect()
}
