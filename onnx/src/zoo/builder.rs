//! Building a network layer by layer, each calibrated before the next.

use super::file::File;
use ir::fit::Fit;
use ir::network::{
    Arrangement, Einsum, GraphOutput, HostId, HostOperator, HostStep, HostType, HostView, Network,
    Tensor, TensorId,
};
use ir::numerics::{Clamp, dequantise, quantise};
use ir::op::{Add, AveragePool, Conv, Kind, MaxPool, Value, Window};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Padding of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pad {
    /// As much on all sides.
    All(usize),
    /// So that the output has `image / stride` rows and columns, the odd one behind.
    Same,
}

/// A convolution to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    pub(super) out: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
    pub(super) pad: Pad,
    pub(super) groups: usize,
    pub(super) relu: bool,
}

/// The deviation of sums where there is no image to know it from; a scale within the parameter word comes of it.
const UNKNOWN_SPREAD: f32 = 10_000.0;

/// A network under construction, with the values of every tensor for every calibration image.
pub(super) struct Builder {
    network: Network,
    /// For each tensor, the values of each image.
    values: Vec<Vec<Vec<i8>>>,
    file: File,
    rng: ChaCha8Rng,
}

impl Builder {
    pub(super) fn new(name: &str, image: [usize; 3], n_images: usize, seed: u64) -> Self {
        let [channels, height, width] = image;
        let host = HostView {
            name: "image".into(),
            shape: vec![1, channels, height, width],
            strides: strides(image),
            host_type: HostType::Float32,
        };
        let (scale, zero_point) = (1.0 / 64.0, 0);
        let name_of_input = "image".to_string();
        let input = Tensor {
            name: name_of_input,
            channels,
            height,
            width,
            scale,
            zero_point,
            host: Some(host),
        };
        let network = Network {
            name: name.to_string(),
            tensors: vec![input],
            einsums: Vec::new(),
            inputs: vec![TensorId(0)],
            constants: Vec::new(),
            outputs: Vec::new(),
            host_steps: Vec::new(),
            results: Vec::new(),
            batch: 1,
        };
        let file = File::new(&network.tensors[0]);
        Builder {
            network,
            values: vec![images(image, n_images, seed)],
            file,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(super) fn input(&self) -> TensorId {
        self.network.inputs[0]
    }

    /// Appends a convolution with random weights.
    pub(super) fn conv(&mut self, x: TensorId, layer: Layer) -> TensorId {
        let [channels, height, width] = self.network.tensor(x).shape();
        let mut window = Window {
            stride: [layer.stride; 2],
            ..Window::dense(layer.kernel)
        };
        window.pads = match layer.pad {
            Pad::All(pad) => [pad; 4],
            Pad::Same => {
                let total = |size: usize, kernel: usize| {
                    ((size.div_ceil(layer.stride) - 1) * layer.stride + kernel).saturating_sub(size)
                };
                let (rows, columns) = (
                    total(height, layer.kernel[0]),
                    total(width, layer.kernel[1]),
                );
                [
                    rows / 2,
                    columns / 2,
                    rows - rows / 2,
                    columns - columns / 2,
                ]
            }
        };
        let group_channels = channels / layer.groups;
        let n_weights = layer.out * group_channels * window.n_taps();
        let op = Conv {
            out_channels: layer.out,
            group_channels,
            groups: layer.groups,
            window,
            stretch: [1, 1],
            weights: (0..n_weights)
                .map(|_| (self.rng.next_u32() % 255) as i8)
                .map(|w| w.max(-127))
                .collect(),
            bias: vec![0; layer.out],
            bias_error: 0.0,
            scales: vec![1.0; layer.out],
            clamp: Clamp::FULL,
        };
        self.calibrated_conv(x, op, layer.relu, false)
    }

    /// Appends a fully connected layer over the whole image, without ReLU.
    pub(super) fn fully_connected(&mut self, x: TensorId, out: usize) -> TensorId {
        let [channels, height, width] = self.network.tensor(x).shape();
        let n_weights = out * channels * height * width;
        let op = Conv {
            out_channels: out,
            group_channels: channels,
            groups: 1,
            window: Window::dense([height, width]),
            stretch: [1, 1],
            weights: (0..n_weights)
                .map(|_| (self.rng.next_u32() % 255) as i8)
                .map(|w| w.max(-127))
                .collect(),
            bias: vec![0; out],
            bias_error: 0.0,
            scales: vec![1.0; out],
            clamp: Clamp::FULL,
        };
        self.calibrated_conv(x, op, false, true)
    }

    /// Chooses the weight scales and bias of `op` such that its channels are centred and as wide as each other, more or
    /// less, and its output scale such that the widest value just fits.
    fn calibrated_conv(
        &mut self,
        x: TensorId,
        mut op: Conv,
        relu: bool,
        is_gemm: bool,
    ) -> TensorId {
        let shape = op
            .output_shape(self.network.tensor(x).shape())
            .expect("zoo shapes fit");
        let mut sums = self.sums(x, &op, shape);
        let statistics: Vec<(f32, f32)> = (0..op.out_channels)
            .map(|out| mean_and_deviation(&sums, out, shape))
            .collect();
        let all: Vec<f32> = sums.iter().flatten().map(|&sum| sum as f32).collect();
        let spread = if all.is_empty() {
            UNKNOWN_SPREAD
        } else {
            deviation(&all, mean(&all)).max(1.0)
        };
        let x_scale = self.network.tensor(x).scale;
        let mut weight_scales = Vec::with_capacity(op.out_channels);
        for (out, (mean, own_spread)) in statistics.into_iter().enumerate() {
            let width = own_spread.max(spread / 8.0);
            let (gain, centre) = (0.75 + self.unit() / 2.0, self.unit() - 0.5);
            weight_scales.push(gain / (width * x_scale));
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a zoo bias is far within int32"
            )]
            let steps = (centre * width - mean).round_ties_even() as i32;
            op.bias[out] = steps;
        }
        let steps: Vec<f32> = weight_scales.iter().map(|&scale| x_scale * scale).collect();
        let n_pixels = shape[1] * shape[2];
        for (i, sum) in sums
            .iter_mut()
            .flat_map(|image| image.iter_mut().enumerate())
        {
            *sum += op.bias[i / n_pixels];
        }
        let real = |sums: &Vec<i32>| -> Vec<f32> {
            let value = |(i, &sum): (usize, &i32)| sum as f32 * steps[i / n_pixels];
            sums.iter().enumerate().map(value).collect()
        };
        let real: Vec<Vec<f32>> = sums.iter().map(real).collect();
        // The last layer has few values to calibrate with, so it gets room for values not seen yet.
        let room = if is_gemm { 1.6 } else { 1.0 };
        let y = self.output(shape, &real, relu, room);
        op.scales = steps.iter().map(|step| step / y.scale).collect();
        let values = sums.iter().map(|sums| op.requantised(sums, &y)).collect();
        let einsum = self.einsum(if is_gemm { "fc" } else { "conv" }, Kind::Conv(op), vec![x]);
        self.file.conv(
            &einsum,
            self.network.tensor(x),
            &y,
            &weight_scales,
            if is_gemm { None } else { Some(relu) },
        );
        self.push_values(einsum, y, values)
    }

    /// The sums of `op` without bias, for each image.
    fn sums(&self, x: TensorId, op: &Conv, shape: [usize; 3]) -> Vec<Vec<i32>> {
        let tensor = self.network.tensor(x);
        let output = Tensor {
            channels: shape[0],
            height: shape[1],
            width: shape[2],
            ..tensor.clone()
        };
        self.values[x.index()]
            .iter()
            .map(|values| op.accumulators(Value { tensor, values }, &output))
            .collect()
    }

    /// Appends a residual addition.
    pub(super) fn add(&mut self, a: TensorId, b: TensorId, relu: bool) -> TensorId {
        let (left, right) = (self.real(a), self.real(b));
        let sum = |(a, b): (Vec<f32>, Vec<f32>)| a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let real: Vec<Vec<f32>> = left.into_iter().zip(right).map(sum).collect();
        let (a_tensor, b_tensor) = (self.network.tensor(a), self.network.tensor(b));
        let y = self.output(a_tensor.shape(), &real, relu, 1.0);
        let op = Add::new(a_tensor, b_tensor, &y, Clamp::FULL)
            .expect("the output's scale is that of the sums of its operands");
        let einsum = self.einsum("add", Kind::Add(op), vec![a, b]);
        self.file.add(
            &einsum,
            [self.network.tensor(a), self.network.tensor(b)],
            &y,
            relu,
        );
        self.push(einsum, y)
    }

    /// Appends the average over the whole image.
    pub(super) fn global_average(&mut self, x: TensorId) -> TensorId {
        let [channels, height, width] = self.network.tensor(x).shape();
        let average = |image: Vec<f32>| image.chunks(height * width).map(mean).collect();
        let real: Vec<Vec<f32>> = self.real(x).into_iter().map(average).collect();
        let y = self.output([channels, 1, 1], &real, false, 1.0);
        let op = AveragePool {
            window: Window::dense([height, width]),
            counted: [0; 4],
            clamp: Clamp::FULL,
        };
        let einsum = self.einsum("average", Kind::AveragePool(op), vec![x]);
        self.file
            .global_average(&einsum, self.network.tensor(x), &y);
        self.push(einsum, y)
    }

    /// Appends a square maximum pooling.
    pub(super) fn max_pool(
        &mut self,
        x: TensorId,
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> TensorId {
        let window = Window {
            stride: [stride; 2],
            pads: [pad; 4],
            ..Window::dense([kernel; 2])
        };
        let op = MaxPool { window };
        let tensor = self.network.tensor(x);
        let [channels, height, width] = op.output_shape(tensor.shape()).expect("zoo shapes fit");
        let y = Tensor {
            name: self.tensor_name(),
            channels,
            height,
            width,
            host: None,
            ..tensor.clone()
        };
        let einsum = self.einsum("pool", Kind::MaxPool(op), vec![x]);
        self.file
            .max_pool(&einsum, self.network.tensor(x), &y, &window);
        self.push(einsum, y)
    }

    /// Ends the network with `output` and gives it with its file.
    pub(super) fn finish(mut self, output: TensorId) -> (Network, Vec<u8>) {
        self.network.outputs.push(output);
        let Tensor {
            channels,
            scale,
            zero_point,
            ..
        } = *self.network.tensor(output);
        let steps = [
            HostOperator::Read(output),
            HostOperator::Arrange(Arrangement {
                shape: vec![1, channels],
                digits: vec![(channels, 1)],
            }),
            HostOperator::Dequantise {
                scale,
                zero_point: zero_point.into(),
            },
        ];
        let name = "logits".to_string();
        for (position, operator) in (0_u32..).zip(steps) {
            self.network.host_steps.push(HostStep {
                name: name.clone(),
                operator,
                inputs: position.checked_sub(1).map(HostId).into_iter().collect(),
            });
        }
        let value = HostId(2);
        self.network.results.push(GraphOutput { name, value });
        let bytes = self
            .file
            .finish(&self.network.name, self.network.tensor(output));
        (self.network, bytes)
    }

    /// A number from 0 to 1.
    fn unit(&mut self) -> f32 {
        (self.rng.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// The real values of a tensor, for each image.
    fn real(&self, x: TensorId) -> Vec<Vec<f32>> {
        let Tensor {
            scale, zero_point, ..
        } = *self.network.tensor(x);
        let image = |image: &Vec<i8>| {
            image
                .iter()
                .map(|&value| dequantise(value, scale, zero_point))
                .collect()
        };
        self.values[x.index()].iter().map(image).collect()
    }

    /// A tensor for the `real` values, whose scale leaves `room` times the widest.
    fn output(
        &self,
        [channels, height, width]: [usize; 3],
        real: &[Vec<f32>],
        relu: bool,
        room: f32,
    ) -> Tensor {
        let lowest = real.iter().flatten().fold(0.0, |a: f32, &b| a.min(b));
        let lo = if relu { 0.0 } else { lowest };
        // Without images any scale is as good as another.
        let least = if real.is_empty() { 4.0 } else { 1e-3 };
        let hi = real
            .iter()
            .flatten()
            .fold(lo + least, |a: f32, &b| a.max(b));
        let (lo, hi) = (lo * room, hi * room);
        let scale = (hi - lo) / 255.0;
        let zero_point = quantise(-lo, scale, i8::MIN);
        Tensor {
            name: self.tensor_name(),
            channels,
            height,
            width,
            scale,
            zero_point,
            host: None,
        }
    }

    fn tensor_name(&self) -> String {
        format!("t{}", self.network.tensors.len())
    }

    fn einsum(&self, name: &str, kind: Kind, inputs: Vec<TensorId>) -> Einsum {
        let n_einsums = self.network.einsums.len();
        let output = TensorId(self.network.tensors.len().fit::<u32>());
        Einsum {
            name: format!("{name}{n_einsums}"),
            kind,
            inputs,
            output,
        }
    }

    /// Appends `einsum` and `output` and computes the values of every image.
    fn push(&mut self, einsum: Einsum, output: Tensor) -> TensorId {
        let n_images = self.values[0].len();
        let run = |image: usize| {
            let operand = |&id: &TensorId| Value {
                tensor: self.network.tensor(id),
                values: &self.values[id.index()][image],
            };
            einsum.kind.reference(
                &einsum.inputs.iter().map(operand).collect::<Vec<_>>(),
                &output,
            )
        };
        let values = (0..n_images).map(run).collect();
        self.push_values(einsum, output, values)
    }

    /// Appends `einsum` and `output` with its values of every image.
    fn push_values(&mut self, einsum: Einsum, output: Tensor, values: Vec<Vec<i8>>) -> TensorId {
        let id = einsum.output;
        self.values.push(values);
        self.network.tensors.push(output);
        self.network.einsums.push(einsum);
        id
    }
}

/// Draws calibration or test images.
pub(super) fn images(
    [channels, height, width]: [usize; 3],
    n_images: usize,
    seed: u64,
) -> Vec<Vec<i8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x696d_6167_6573);
    let mut draw = |n: u32| (rng.next_u32() % n).fit::<i32>();
    let image = |_| {
        let (contrast, brightness) = (draw(96) + 16, draw(96) - 48);
        let mut values = Vec::with_capacity(channels * height * width);
        for _ in 0..channels {
            let (down, across, phase) = (draw(24), draw(24), draw(64));
            for y in 0..height.fit::<i32>() {
                for x in 0..width.fit::<i32>() {
                    let wave = ((y * down + x * across + phase).rem_euclid(64) - 32).abs() - 16;
                    let value = brightness + wave * contrast / 16 + draw(16) - 8;
                    values.push(value.clamp(-128, 127).fit::<i8>());
                }
            }
        }
        values
    };
    (0..n_images).map(image).collect()
}

/// The steps of channel, row and column in the row-major order, 0 where there is only one.
fn strides([channels, height, width]: [usize; 3]) -> [usize; 3] {
    let step = |size: usize, step: usize| if size > 1 { step } else { 0 };
    [
        step(channels, height * width),
        step(height, width),
        step(width, 1),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "statistics are kept in f32"
)]
fn mean(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    (sum / values.len().max(1) as f64) as f32
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "statistics are kept in f32"
)]
fn deviation(values: &[f32], mean: f32) -> f32 {
    let sum: f64 = values
        .iter()
        .map(|&value| f64::from(value - mean).powi(2))
        .sum();
    (sum / values.len().max(1) as f64).sqrt() as f32
}

fn mean_and_deviation(sums: &[Vec<i32>], out: usize, shape: [usize; 3]) -> (f32, f32) {
    let n_pixels = shape[1] * shape[2];
    let channel = sums
        .iter()
        .flat_map(|image| &image[out * n_pixels..][..n_pixels]);
    let values: Vec<f32> = channel.map(|&sum| sum as f32).collect();
    let mean = mean(&values);
    // One value has no spread of its own, and its mean is all there is of it.
    if values.len() < 4 {
        (0.0, deviation(&values, 0.0))
    } else {
        (mean, deviation(&values, mean))
    }
}
