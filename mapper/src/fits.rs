//! What every layer needs of an arch, and everything that stands in the way, in one go.

use ir::arch::{Arch, Dataflow};
use ir::network::{Network, Tensor};
use ir::op::{Kind, Positions, table_index, table_values};

use crate::error::MapError;
use crate::mapspace::{chunks, is_whole, max_steps};
use crate::sums::{Sums, select_window};
use crate::sums_of;

/// Pixels that a side of an image has at most.
const MAX_SIDE: usize = 1023;

/// What one layer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFit {
    /// Name of the einsum.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Words of weights, with the zeros of unused rows, columns and groups.
    pub weight_words: u64,
    /// Words of weights of the largest column tile.
    pub tile_weight_words: u64,
    /// Channels of parameters.
    pub parameter_channels: u64,
    /// Words of each operand.
    pub input_words: Vec<u64>,
    /// Words of the output.
    pub output_words: u64,
    /// Whether the reduction must be split over several runs.
    pub split: bool,
}

/// The needs of all layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Fits {
    /// In the order of the einsums; empty if the network is not valid.
    pub layers: Vec<LayerFit>,
    /// Everything that stands in the way; empty if the network can be compiled.
    pub problems: Vec<MapError>,
}

/// Finds what every layer of `network` needs of `arch`, and everything that stands in the way.
pub fn fits(network: &Network, arch: &Arch) -> Fits {
    if let Err(error) = network.validate() {
        return Fits {
            layers: Vec::new(),
            problems: vec![error.into()],
        };
    }
    let mut problems: Vec<MapError> = arch
        .problems()
        .into_iter()
        .map(|problem| MapError::Arch {
            arch: arch.name.clone(),
            problem,
        })
        .collect();
    if !problems.is_empty() {
        return Fits {
            layers: Vec::new(),
            problems,
        };
    }
    let layers = (0..network.einsums.len())
        .map(|index| layer(network, arch, index, &mut problems))
        .collect();
    // Larger sides are refused above, and their words may not fit the numbers that planning uses.
    if network
        .tensors
        .iter()
        .all(|tensor| large_side(tensor).is_none())
    {
        problems.extend(crate::plan::problems(network, arch));
    }
    Fits { layers, problems }
}

/// The longer side of `tensor`, if no field of the instruction set holds it.
fn large_side(tensor: &Tensor) -> Option<usize> {
    Some(tensor.width.max(tensor.height)).filter(|side| *side > MAX_SIDE)
}

fn layer(network: &Network, arch: &Arch, index: usize, problems: &mut Vec<MapError>) -> LayerFit {
    let einsum = &network.einsums[index];
    let words = |id: &ir::network::TensorId| {
        u64::from(crate::plan::row_words(network, arch, *id)) * network.tensor(*id).height as u64
    };
    let mut fit = LayerFit {
        name: einsum.name.clone(),
        kind: einsum.kind.name(),
        weight_words: 0,
        tile_weight_words: 0,
        parameter_channels: 0,
        input_words: einsum.inputs.iter().map(words).collect(),
        output_words: words(&einsum.output),
        split: false,
    };
    let sides = einsum
        .inputs
        .iter()
        .chain([&einsum.output])
        .map(|id| network.tensor(*id));
    if let Some((large, side)) = sides
        .into_iter()
        .find_map(|tensor| Some((tensor, large_side(tensor)?)))
    {
        problems.push(MapError::Capacity {
            einsum: einsum.name.clone(),
            arch: arch.name.clone(),
            what: format!("a side of `{}`", large.name),
            needed: side as u64,
            available: MAX_SIDE as u64,
            unit: "pixels",
            help: "split the image before it comes to the machine".to_owned(),
        });
        return fit;
    }
    let unsupported = |reason: String, help: &str| MapError::Unsupported {
        einsum: einsum.name.clone(),
        reason,
        help: help.to_owned(),
    };
    match &einsum.kind {
        Kind::Conv(op) if op.stretch != [1, 1] => problems.push(unsupported(
            format!(
                "its input is stretched by {:?}, arch `{}` has no unit for it",
                op.stretch, arch.name
            ),
            "replace the transposed convolution by a resize to the nearest pixel and a convolution",
        )),
        Kind::Mul(_) => problems.push(unsupported(
            format!(
                "arch `{}` has no unit that multiplies two tensors",
                arch.name
            ),
            "leave out the gate, or run the network on the reference: `run NET --device reference`",
        )),
        Kind::ConvAdd(_) => problems.push(unsupported(
            format!(
                "arch `{}` has no unit that adds a residual before it rounds",
                arch.name
            ),
            "put a QuantizeLinear and DequantizeLinear between the convolution and the addition",
        )),
        Kind::Select(op) if op.repeats() => {
            let input = network.tensor(einsum.inputs[0]);
            let whole = |positions: &Positions, size: usize| {
                positions.start == 0
                    && positions.step == 1
                    && positions.size == size * positions.repeat
            };
            let is_plain = op.keeps_channels(input.channels)
                && whole(&op.rows, input.height)
                && whole(&op.columns, input.width);
            if !arch.vector.max_pool || !is_plain {
                problems.push(unsupported(
                    format!(
                        "arch `{}` repeats whole images only, and with a max-pool unit",
                        arch.name
                    ),
                    "set `vector.max_pool = true` in the arch",
                ));
            }
        }
        Kind::Select(op) if select_window(op).is_none() => problems.push(unsupported(
            "it takes rows or columns backwards".to_owned(),
            "run the network on the reference: `run NET --device reference`",
        )),
        Kind::Conv(_) | Kind::AveragePool(_) | Kind::Select(_) => {
            sums(network, arch, index, &mut fit, problems);
        }
        Kind::MaxPool(op) => {
            if !arch.vector.max_pool {
                problems.push(unsupported(
                    format!("arch `{}` has no max-pool unit", arch.name),
                    "set `vector.max_pool = true` in the arch",
                ));
            }
            window(&op.window, 63, &einsum.name, problems);
        }
        Kind::Add(_) | Kind::Table(_) => {
            if arch.vector.table_lanes == 0 {
                problems.push(unsupported(
                    format!(
                        "arch `{}` has no table unit for `{}`",
                        arch.name,
                        einsum.kind.name()
                    ),
                    "set `vector.table_lanes` above 0 in the arch",
                ));
            }
        }
        Kind::Concat(op) => {
            let copies = op
                .tables
                .iter()
                .all(|t| table_values().all(|v| t[table_index(v)] == v));
            if arch.vector.table_lanes == 0 && !(copies && arch.vector.max_pool) {
                problems.push(unsupported(
                    format!(
                        "arch `{}` has no unit that can join tensors{}",
                        arch.name,
                        if copies { "" } else { " of unequal scales" }
                    ),
                    "set `vector.table_lanes` above 0 in the arch",
                ));
            }
            let rows = arch.array.rows as usize;
            let (_, before) = einsum.inputs.split_last().expect("a concat has operands");
            for id in before
                .iter()
                .filter(|id| !network.tensor(**id).channels.is_multiple_of(rows))
            {
                let tensor = network.tensor(*id);
                problems.push(unsupported(
                    format!(
                        "operand `{}` has {} channels: the next operand would start inside a word of {rows} channels",
                        tensor.name, tensor.channels
                    ),
                    "join tensors whose channels are a multiple of `array.rows`",
                ));
            }
        }
    }
    fit
}

fn sums(
    network: &Network,
    arch: &Arch,
    index: usize,
    fit: &mut LayerFit,
    problems: &mut Vec<MapError>,
) {
    let sums: Sums = sums_of(network, index).expect("the kind runs on the array");
    let einsum = &network.einsums[index];
    let cols = u64::from(arch.array.cols);
    let tile_words = |n| sums.whole(arch, n).steps() as u64 * cols;
    let n_tiles = sums.n_tiles(arch);
    fit.weight_words = (0..n_tiles)
        .filter(|&n| sums.same_weights(arch, n) == n)
        .map(tile_words)
        .sum();
    fit.tile_weight_words = (0..n_tiles).map(tile_words).max().unwrap_or(0);
    fit.parameter_channels = n_tiles as u64 * cols * sums.sets.len() as u64;
    fit.split = !is_whole(&sums, arch);
    window(&sums.window, usize::MAX, &einsum.name, problems);
    let capacity = |what: &str, needed, available: u32, unit, help: &str| MapError::Capacity {
        einsum: einsum.name.clone(),
        arch: arch.name.clone(),
        what: what.to_owned(),
        needed,
        available: available.into(),
        unit,
        help: help.to_owned(),
    };
    if fit.split && !arch.has(Dataflow::WeightStationary) {
        let [kernel_y, kernel_x] = sums.window.kernel;
        if kernel_x.max(kernel_y) > 63 {
            problems.push(capacity(
                "its window",
                kernel_x.max(kernel_y) as u64,
                63,
                "taps",
                "add `weight_stationary` to `array.dataflows`, which can split the sum",
            ));
        } else {
            let help = "raise `weights.words`, or add `weight_stationary` to `array.dataflows`: output-stationary cannot split the sum";
            problems.push(capacity(
                "one column tile's weights",
                fit.tile_weight_words,
                arch.weights.words,
                "words",
                help,
            ));
        }
    }
    let set_channels =
        (sums.sets.len() as u64 * cols).next_multiple_of(u64::from(arch.word_bytes() / 8));
    if set_channels > arch.parameters.channels.into() {
        problems.push(capacity(
            "one column tile's parameters",
            set_channels,
            arch.parameters.channels,
            "channels",
            "raise `parameters.channels`",
        ));
    }
    debug_assert!(!chunks(&sums, arch, 0, max_steps(arch)).is_empty());
}

/// Sizes that the fields of the instruction set cannot hold.
fn window(window: &ir::op::Window, max_kernel: usize, einsum: &str, problems: &mut Vec<MapError>) {
    let kernel = window.kernel[0].max(window.kernel[1]);
    let step = window
        .stride
        .into_iter()
        .chain(window.dilation)
        .max()
        .unwrap_or(1);
    let pads = window.pads.into_iter().max().unwrap_or(0);
    let mut refuse = |reason: String, help: &str| {
        problems.push(MapError::Unsupported {
            einsum: einsum.to_owned(),
            reason,
            help: help.to_owned(),
        });
    };
    if kernel > max_kernel {
        refuse(
            format!("its window of {kernel} exceeds the field of 63"),
            "pool in two steps",
        );
    }
    if step > 31 {
        refuse(
            format!("its stride or dilation of {step} exceeds the field of 31"),
            "use smaller steps",
        );
    }
    if pads > 1023 {
        refuse(
            format!("its padding of {pads} exceeds the field of 1023"),
            "use less padding",
        );
    }
}
