//! What the tests share: presets, a comparison with the reference, and random networks and archs.

#![allow(dead_code, reason = "each test file uses a part of it")]

mod remembers;

use std::path::Path;

use ir::arch::{Arch, Attachment, Dataflow, Reduction};
use ir::directive::{Placed, Residency, Setting};
use ir::mapping::{Mapping, Node, Order};
use ir::memory::MemoryModel;
use ir::network::{Einsum, Network, Tensor, TensorId};
use ir::numerics::Clamp;
use ir::op::{Add, AveragePool, Concat, Conv, Kind, MaxPool, Table, Window, table_values};
use mapper::{Compiled, MapError, Options, compile};
#[allow(unused_imports, reason = "each test file uses a part of it")]
pub(crate) use remembers::Remembers;
use sim::{Memory, Mode, Outcome, simulate};

/// The arch of `examples/archs`.
pub(crate) fn preset(name: &str) -> Arch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/archs/{name}.toml"));
    ir::arch::read(
        name,
        &std::fs::read_to_string(path).expect("the preset is there"),
    )
    .expect("presets are legal")
}

/// The digits network of `examples/networks`.
pub(crate) fn digits() -> Network {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/networks/digits_int8.onnx");
    onnx::import(&path, &onnx::Options::default()).expect("digits is supported")
}

/// Options with the directives of `lines`, as in a file of directives.
pub(crate) fn directed(lines: &str) -> Options {
    let text = format!("directives {}\n{lines}\n", ir::directive::FORMAT);
    Options {
        directives: ir::directive::read("test", &text).expect("they can be read"),
        ..Options::default()
    }
}

/// Runs a compiled network on the simulator with random inputs and compares every tensor in memory with the reference.
pub(crate) fn verify(
    network: &Network,
    arch: &Arch,
    compiled: &Compiled,
    seed: u64,
) -> Result<Outcome, String> {
    let checked = compiled.program.check(arch).map_err(|e| e.to_string())?;
    let mut random = Random(seed);
    let inputs: Vec<Vec<i8>> = network
        .inputs
        .iter()
        .map(|id| {
            (0..network.tensor(*id).n_values())
                .map(|_| random.next() as i8)
                .collect()
        })
        .collect();
    let reference = network.reference(&inputs).map_err(|e| e.to_string())?;
    let mut memory = Memory::of(checked);
    let word_bytes = arch.word_bytes();
    for (image, values) in compiled.program.inputs.iter().zip(&inputs) {
        let start = (image.word * word_bytes) as usize;
        let bytes = image.pack(word_bytes, values);
        memory.bytes[start..start + bytes.len()].copy_from_slice(&bytes);
    }
    let outcome = simulate(checked, &mut memory, MemoryModel::M1, Mode::Full)
        .map_err(|e| format!("{e}: {e:?}"))?;
    for image in compiled
        .program
        .outputs
        .iter()
        .chain(&compiled.program.intermediates)
    {
        let values = image.unpack(
            word_bytes,
            &memory.bytes[(image.word * word_bytes) as usize..],
        );
        let expected = &reference[image.tensor as usize];
        if let Some(at) = values.iter().zip(expected).position(|(a, b)| a != b) {
            let tensor = &network.tensors[image.tensor as usize];
            return Err(format!(
                "tensor `{}` {:?} differs at {at}: {} instead of {}",
                tensor.name,
                tensor.shape(),
                values[at],
                expected[at]
            ));
        }
    }
    Ok(outcome)
}

/// Compiles, and verifies with every tensor kept.
pub(crate) fn compile_and_verify(
    network: &Network,
    arch: &Arch,
) -> Result<(Compiled, Outcome), String> {
    let keep = Options {
        keep_all: true,
        ..Options::default()
    };
    let kept = compile(network, arch, &keep).map_err(|e: MapError| e.to_string())?;
    verify(network, arch, &kept, 7)?;
    for mapping in &kept.schedule.mappings {
        mapper::check::check(mapping, arch).map_err(|e| format!("{e}\n{mapping}"))?;
    }
    let text = kept.schedule.to_string();
    if text.parse() != Ok(kept.schedule.clone()) {
        return Err(format!("the schedule does not read back:\n{text}"));
    }
    let compiled = compile(network, arch, &Options::default()).map_err(|e| e.to_string())?;
    let outcome = verify(network, arch, &compiled, 7)?;
    Ok((compiled, outcome))
}

/// Whether a loop nest shows `tensor` where a directive wants it.
fn lies(mapping: &Mapping, tensor: &str, place: Residency) -> bool {
    let keeps = |node: &Node, at: &str| matches!(node, Node::Keep { level, tensors } if level == at && tensors.iter().any(|name| name == tensor));
    let mut outside = mapping
        .nodes
        .iter()
        .take_while(|node| !matches!(node, Node::For { .. } | Node::Strips { .. }));
    match place {
        Residency::Stays => outside.any(|node| keeps(node, "banks")),
        // A single strip has no loop around it.
        Residency::Spills => outside.any(|node| keeps(node, "memory")),
        Residency::Passes => {
            let mut inside = mapping.nodes.iter();
            !outside.any(|node| keeps(node, "banks")) && inside.any(|node| keeps(node, "banks"))
        }
    }
}

/// The first setting that a compiled network does not obey.
pub(crate) fn disobeyed(
    network: &Network,
    arch: &Arch,
    directives: &[Placed],
    compiled: &Compiled,
) -> Option<String> {
    for (index, einsum) in network.einsums.iter().enumerate() {
        let (layer, mapping) = (&compiled.layers[index], &compiled.schedule.mappings[index]);
        let output = network.tensor(einsum.output);
        let height = output.height;
        let first_p = mapping.nodes.iter().find_map(|node| match node {
            Node::For { rank, size, step } if rank == "p" => Some((*size, *step)),
            _ => None,
        });
        let selecting = directives
            .iter()
            .filter(|placed| placed.directive.selects(network, einsum));
        for setting in selecting.flat_map(|placed| &placed.directive.settings) {
            let obeys = match (*setting, layer.choice) {
                (Setting::Inputs(place), _) => (0..einsum.inputs.len()).all(|i| {
                    let name = if i == 0 {
                        "input".to_owned()
                    } else {
                        format!("input{}", i + 1)
                    };
                    let listed = mapping.tensors.iter().any(|tensor| tensor.tensor == name);
                    !listed || lies(mapping, &name, place)
                }),
                (Setting::Output(place), _) => lies(mapping, "output", place),
                (Setting::StripRows(n), _) => {
                    n >= height || first_p.is_some_and(|(_, step)| step == n as u64)
                }
                (_, None) => true,
                (Setting::Rows(rows), Some(choice)) => rows == choice.rows,
                (Setting::Dataflow(dataflow), Some(choice)) => dataflow == choice.dataflow,
                (Setting::TileRows(n), Some(choice)) => n.min(height) == choice.tile_rows,
                (Setting::TileCols(n), Some(choice)) => n.min(output.width) == choice.tile_cols,
                (Setting::GroupTiles(n), Some(choice)) => {
                    let n_tiles = output.channels.div_ceil(arch.array.cols as usize);
                    n.min(n_tiles) == choice.group_tiles
                }
                // Where there are several strips, weights are outside only if the loop over them is.
                (Setting::Order(Order::WeightsOuter), Some(choice)) => {
                    let n_tiles = output.channels.div_ceil(arch.array.cols as usize);
                    let mut loops = mapping.nodes.iter().filter_map(|node| match node {
                        Node::For { rank, .. } if rank == "p" || rank == "m" => Some(rank),
                        _ => None,
                    });
                    choice.group_tiles == n_tiles || loops.next().is_some_and(|rank| rank == "m")
                }
                (Setting::Order(order), Some(choice)) => order == choice.order,
            };
            if !obeys {
                return Some(format!(
                    "`{}` does not obey {setting}:\n{mapping}",
                    einsum.name
                ));
            }
        }
    }
    None
}

/// A number from the environment, for longer runs.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// SplitMix64: small, seeded, good enough for shapes and weights.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub(crate) fn within(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub(crate) fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.within(0, list.len() - 1)].clone()
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// Builds a network einsum by einsum.
pub(crate) struct Build {
    pub(crate) network: Network,
    pub(crate) random: Random,
}

impl Build {
    pub(crate) fn new(seed: u64, image: [usize; 3]) -> Self {
        let mut build = Build {
            network: Network {
                name: format!("random{seed}"),
                tensors: Vec::new(),
                einsums: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                constants: Vec::new(),
                host_steps: Vec::new(),
                results: Vec::new(),
                batch: 1,
            },
            random: Random(seed),
        };
        let id = build.tensor(image);
        build.network.inputs.push(id);
        build
    }

    pub(crate) fn tensor(&mut self, [channels, height, width]: [usize; 3]) -> TensorId {
        let id = TensorId(self.network.tensors.len() as u32);
        let zero_point = self.random.next() as i8 / 4;
        let scale = self.random.within(50, 150) as f32 / 1000.0;
        let name = format!("t{}", id.0);
        self.network.tensors.push(Tensor {
            name,
            channels,
            height,
            width,
            scale,
            zero_point,
            host: None,
        });
        id
    }

    pub(crate) fn push(&mut self, kind: Kind, inputs: &[TensorId], output: TensorId) -> TensorId {
        let name = format!("{}{}", kind.name(), self.network.einsums.len());
        self.network.einsums.push(Einsum {
            name,
            kind,
            inputs: inputs.to_vec(),
            output,
        });
        output
    }

    fn clamp(&mut self) -> Clamp {
        if self.random.chance(50) {
            Clamp::FULL
        } else {
            Clamp { lo: -60, hi: 100 }
        }
    }

    /// A convolution, if its window fits.
    pub(crate) fn conv(
        &mut self,
        input: TensorId,
        out_channels: usize,
        groups: usize,
        window: Window,
    ) -> Option<TensorId> {
        let [channels, height, width] = self.network.tensor(input).shape();
        let [rows, columns] = window.output_size([height, width]).ok()?;
        let group_channels = channels / groups;
        let n = out_channels * group_channels * window.n_taps();
        let weights = (0..n).map(|_| self.random.next() as i8).collect();
        let bias = (0..out_channels)
            .map(|_| self.random.next() as i16 as i32)
            .collect();
        let base = 0.5 / ((group_channels * window.n_taps()) as f32 * 64.0);
        let scales = (0..out_channels)
            .map(|_| base * self.random.within(50, 150) as f32 / 100.0)
            .collect();
        let clamp = self.clamp();
        let output = self.tensor([out_channels, rows, columns]);
        let op = Conv {
            out_channels,
            group_channels,
            groups,
            window,
            stretch: [1, 1],
            weights,
            bias,
            bias_error: 0.0,
            scales,
            clamp,
        };
        Some(self.push(Kind::Conv(op), &[input], output))
    }

    pub(crate) fn window(&mut self, image: [usize; 3]) -> Window {
        let kernel = [
            self.random.within(1, 4.min(image[1])),
            self.random.within(1, 4.min(image[2])),
        ];
        let mut pads = [0; 4];
        for (axis, pad) in pads.iter_mut().enumerate() {
            *pad = self.random.within(0, kernel[axis % 2] - 1);
        }
        let stride = [self.random.within(1, 2), self.random.within(1, 2)];
        let dilation = if self.random.chance(20) {
            [2, 1]
        } else {
            [1, 1]
        };
        Window {
            kernel,
            stride,
            pads,
            dilation,
        }
    }

    /// One random einsum on a random tensor.
    pub(crate) fn step(&mut self, vector: bool) {
        let input = TensorId(self.random.within(0, self.network.tensors.len() - 1) as u32);
        self.step_on(input, vector);
    }

    /// One random einsum on `input`.
    pub(crate) fn step_on(&mut self, input: TensorId, vector: bool) {
        let shape = self.network.tensor(input).shape();
        let channels = shape[0];
        match self.random.within(0, if vector { 9 } else { 6 }) {
            0..=2 => {
                let window = self.window(shape);
                let out = self.random.within(1, 40);
                self.conv(input, out, 1, window);
            }
            3 => {
                let window = self.window(shape);
                self.conv(input, channels, channels, window);
            }
            4 => {
                let groups = *[4, 3, 2, 1]
                    .iter()
                    .find(|g| channels.is_multiple_of(**g))
                    .expect("one divides all");
                let out = groups * self.random.within(1, 12);
                let window = self.window(shape);
                self.conv(input, out, groups, window);
            }
            5 => {
                let window = Window::dense([shape[1], shape[2]]);
                let out = self.random.within(1, 20);
                self.conv(input, out, 1, window);
            }
            6 => {
                let mut window = self.window(shape);
                window.dilation = [1, 1];
                if self.random.chance(40) {
                    window = Window::dense([shape[1], shape[2]]);
                }
                let clamp = self.clamp();
                let counted = if self.random.chance(50) {
                    window.pads
                } else {
                    [0; 4]
                };
                let op = AveragePool {
                    window,
                    counted,
                    clamp,
                };
                if let Ok(shape) = op.output_shape(shape) {
                    let output = self.tensor(shape);
                    self.push(Kind::AveragePool(op), &[input], output);
                }
            }
            7 => {
                let mut window = self.window(shape);
                window.dilation = [1, 1];
                let op = MaxPool { window };
                if let Ok(shape) = op.output_shape(shape) {
                    let output = self.tensor(shape);
                    let (scale, zero_point) = (
                        self.network.tensor(input).scale,
                        self.network.tensor(input).zero_point,
                    );
                    let tensor = &mut self.network.tensors[output.index()];
                    (tensor.scale, tensor.zero_point) = (scale, zero_point);
                    self.push(Kind::MaxPool(op), &[input], output);
                }
            }
            8 => {
                let same: Vec<TensorId> = (0..self.network.tensors.len() as u32)
                    .map(TensorId)
                    .filter(|id| self.network.tensor(*id).shape() == shape)
                    .collect();
                let other = self.random.pick(&same);
                let clamp = self.clamp();
                let output = self.tensor(shape);
                // Some outputs have steps far below those of the operands.
                let finer = 4_f32.powi(self.network.einsums.len() as i32 % 9);
                self.network.tensors[output.index()].scale /= finer;
                let tensor = |id| self.network.tensor(id);
                let op = Add::new(tensor(input), tensor(other), tensor(output), clamp)
                    .expect("the scales of the generator are near each other");
                self.push(Kind::Add(op), &[input, other], output);
            }
            _ if self.random.chance(50) => {
                let output = self.tensor(shape);
                let values = (0..256).map(|_| self.random.next() as i8).collect();
                self.push(Kind::Table(Table { values }), &[input], output);
            }
            _ => {
                let same: Vec<TensorId> = (0..self.network.tensors.len() as u32)
                    .map(TensorId)
                    .filter(|id| self.network.tensor(*id).shape()[1..] == shape[1..])
                    .collect();
                let other = self.random.pick(&same);
                let identity: Vec<i8> = table_values().collect();
                let tables = (0..2)
                    .map(|_| {
                        if self.random.chance(50) {
                            identity.clone()
                        } else {
                            (0..256).map(|_| self.random.next() as i8).collect()
                        }
                    })
                    .collect();
                // Most operands that others follow end at a block.
                let aligned = channels.is_multiple_of(8);
                let [input, other] = if aligned {
                    [input, other]
                } else {
                    [other, input]
                };
                let channels = channels
                    + self
                        .network
                        .tensor(if aligned { other } else { input })
                        .channels;
                let output = self.tensor([channels, shape[1], shape[2]]);
                self.push(Kind::Concat(Concat { tables }), &[input, other], output);
            }
        }
    }

    /// Every tensor without a consumer is an output; a network without einsums gets one.
    pub(crate) fn finish(mut self) -> Network {
        if self.network.einsums.is_empty() {
            self.conv(TensorId(0), 5, 1, Window::dense([1, 1]));
        }
        let ids = (0..self.network.tensors.len() as u32).map(TensorId);
        let ends: Vec<TensorId> = ids
            .filter(|id| {
                !self.network.inputs.contains(id) && self.network.consumers(*id).next().is_none()
            })
            .collect();
        self.network.outputs = ends;
        self.network
    }
}

/// A random network of up to `most` einsums.
pub(crate) fn random_network(seed: u64, most: usize, vector: bool) -> Network {
    let mut random = Random(seed ^ 0x5eed);
    let image = [
        random.within(1, 20),
        random.within(1, 14),
        random.within(1, 14),
    ];
    let mut build = Build::new(seed, image);
    for _ in 0..random.within(1, most) {
        build.step(vector);
    }
    build.finish()
}

/// A random chain of up to `most` einsums on a tall image; some of them also read an earlier tensor.
pub(crate) fn random_chain(seed: u64, most: usize, vector: bool) -> Network {
    let mut random = Random(seed ^ 0xc4a1);
    let image = [
        random.within(1, 24),
        random.within(12, 24),
        random.within(2, 8),
    ];
    let mut build = Build::new(seed, image);
    for _ in 0..random.within(2, most) {
        let last = TensorId(build.network.tensors.len() as u32 - 1);
        if build.network.tensor(last).height < 5 {
            break;
        }
        build.step_on(last, vector);
    }
    build.finish()
}

/// A random legal arch.
pub(crate) fn random_arch(seed: u64) -> Arch {
    let mut random = Random(seed ^ 0xa4c4);
    let mut arch = preset("edge");
    arch.name = format!("random{seed}");
    let rows = random.pick(&[8, 8, 16, 32]);
    arch.array.rows = rows;
    arch.array.cols = random.pick(&[1, 2, 4, 8, 16, 32]).min(rows);
    arch.array.reduction = random.pick(&[Reduction::Dot, Reduction::Systolic]);
    arch.array.dataflows = match (arch.array.reduction, random.within(0, 2)) {
        (Reduction::Systolic, _) | (_, 0) => vec![Dataflow::WeightStationary],
        (_, 1) => vec![Dataflow::OutputStationary],
        _ => vec![Dataflow::WeightStationary, Dataflow::OutputStationary],
    };
    arch.memory.words = 1 << 20;
    arch.memory.burst_words = random.pick(&[1, 4, 8, 16]);
    arch.fetch.chunk_words = random.pick(&[1, 2, 4]).min(arch.memory.burst_words);
    arch.fetch.chunks = random.pick(&[1, 2]);
    arch.queues.depth = random.pick(&[1, 2, 3, 4, 8]);
    arch.semaphores.count = random.pick(&[5, 8, 12, 16]);
    arch.semaphores.bits = random.pick(&[1, 2, 3]);
    arch.load.outstanding = random.pick(&[1, 2, 4]);
    arch.activations.banks = random.pick(&[2, 3, 4, 6]);
    arch.activations.words = random.pick(&[64, 128, 256, 512, 1024]);
    arch.weights.words = random.pick(&[2, 4, 16, 64, 256, 1024]) * arch.array.cols;
    arch.parameters.channels = random.pick(&[2 * rows, 64, 256, 1024]).max(2 * rows);
    arch.accumulators.pixels = random.pick(&[4, 8, 32, 128, 512]);
    arch.vector.requantise_lanes = random.pick(&[1, 2, 4, 8, 16]).min(arch.array.cols);
    arch.vector.requantise_interval = random.pick(&[1, 2, 4]);
    arch.vector.max_pool = true;
    arch.vector.table_lanes = random.pick(&[1, 2, 4]);
    if rows == 8 && random.chance(30) {
        arch.memory.attachment = Attachment::OnChip;
        arch.memory.words = 16384;
        arch.host = ir::arch::Host::Uart;
        arch.memory.burst_words = random.pick(&[4, 8]);
    }
    assert_eq!(arch.problems(), Vec::<String>::new());
    arch
}
