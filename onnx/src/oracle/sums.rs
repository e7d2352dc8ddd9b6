//! Convolution and average pooling in double precision, for which onnxruntime has no kernels: windows as slices, sums as
//! matrix products.

use super::NoRewrite;
use super::emit::{Emit, ints};
use super::place;
use crate::node::Node;

/// The largest size, step and padding along an axis.
const MAX_SIZE: usize = 1 << 30;

/// How windows lie on an input, for each spatial axis.
struct Windows {
    kernel: Vec<usize>,
    stride: Vec<usize>,
    dilation: Vec<usize>,
    /// Positions in front of the input.
    begin: Vec<i64>,
    /// Positions behind the input that the file states.
    end: Vec<i64>,
    output: Vec<usize>,
}

impl Windows {
    fn of(
        node: &Node,
        kernel: &[usize],
        input: &[usize],
        output: &[usize],
    ) -> Result<Windows, NoRewrite> {
        let n = kernel.len();
        let shapes = [kernel, input, output];
        let fits = |shape: &&[usize]| {
            shape.len() == n && shape.iter().all(|size| (1..=MAX_SIZE).contains(size))
        };
        if !shapes.iter().all(fits) {
            return Err(refused(
                node,
                format!("window, input and output are {shapes:?}"),
            ));
        }
        let list = |name: &str| -> Result<Vec<usize>, NoRewrite> {
            let given = node.ints(name).filter(|list| !list.is_empty());
            let list = given.map_or(vec![1; n], |list| {
                list.iter().map(|&size| size.max(0) as usize).collect()
            });
            if list.len() == n && list.iter().all(|&size| size <= MAX_SIZE) {
                Ok(list)
            } else {
                Err(refused(node, format!("`{name}` is {list:?} for {n} axes")))
            }
        };
        let (stride, dilation) = (list("strides")?, list("dilations")?);
        let (mut begin, mut end) = (vec![0; n], vec![0; n]);
        let auto = node.text("auto_pad", "NOTSET");
        if auto.starts_with("SAME") {
            for axis in 0..n {
                let span = (output[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis];
                let total = (span as i64 + 1 - input[axis] as i64).max(0);
                let less = total / 2;
                (begin[axis], end[axis]) = if auto == "SAME_LOWER" {
                    (total - less, less)
                } else {
                    (less, total - less)
                };
            }
        } else if let Some(pads) = node.ints("pads").filter(|pads| pads.len() == 2 * n) {
            if pads.iter().any(|pad| pad.unsigned_abs() > MAX_SIZE as u64) {
                return Err(refused(node, format!("`pads` is {pads:?}")));
            }
            begin.copy_from_slice(&pads[..n]);
            end.copy_from_slice(&pads[n..]);
        }
        Ok(Windows {
            kernel: kernel.to_vec(),
            stride,
            dilation,
            begin,
            end,
            output: output.to_vec(),
        })
    }

    /// The places of the window, each with its offset on every axis.
    fn taps(&self) -> Vec<Vec<usize>> {
        let mut taps = vec![Vec::new()];
        for &size in &self.kernel {
            taps = taps
                .iter()
                .flat_map(|tap| (0..size).map(move |place| [tap.as_slice(), &[place]].concat()))
                .collect();
        }
        taps
    }

    /// For each place of the window what it sees: a slice of `x`, with zeros round it, of the output's size.
    fn slices(&self, emit: &mut Emit, x: &str, input: &[usize]) -> Vec<String> {
        let n = self.kernel.len();
        let mut pads = vec![0_i64; 2 * (n + 2)];
        for axis in 0..n {
            let last = (self.output[axis] - 1) * self.stride[axis]
                + (self.kernel[axis] - 1) * self.dilation[axis];
            pads[2 + axis] = self.begin[axis];
            pads[n + 4 + axis] = last as i64 + 1 - self.begin[axis] - input[axis] as i64;
        }
        let pads = emit.list(&pads);
        let padded = emit.op("Pad", &[x, &pads]);
        let axes: Vec<i64> = (2..n as i64 + 2).collect();
        let (axes, steps) = (emit.list(&axes), as_list(emit, &self.stride));
        let mut slices = Vec::new();
        for tap in self.taps() {
            let starts: Vec<usize> = (0..n).map(|axis| tap[axis] * self.dilation[axis]).collect();
            let ends: Vec<usize> = (0..n)
                .map(|axis| starts[axis] + (self.output[axis] - 1) * self.stride[axis] + 1)
                .collect();
            let (starts, ends) = (as_list(emit, &starts), as_list(emit, &ends));
            slices.push(emit.op("Slice", &[&padded, &starts, &ends, &axes, &steps]));
        }
        slices
    }
}

/// What lies behind the first two dimensions of each shape.
pub(super) fn images<'a, const N: usize>(
    node: &Node,
    shapes: [&'a [usize]; N],
) -> Result<[&'a [usize]; N], NoRewrite> {
    if shapes.iter().any(|shape| shape.len() < 3) {
        return Err(refused(node, format!("its shapes are {shapes:?}")));
    }
    Ok(shapes.map(|shape| &shape[2..]))
}

/// `Conv` of doubles: `x` of shape `[n, c, ..]`, `w` of shape `[m, c / group, ..]`.
pub(super) fn conv(
    emit: &mut Emit,
    node: &Node,
    [x, w]: [&str; 2],
    bias: Option<&str>,
    [x_shape, w_shape, y_shape]: [&[usize]; 3],
) -> Result<String, NoRewrite> {
    let [x_image, w_image, y_image] = images(node, [x_shape, w_shape, y_shape])?;
    let windows = Windows::of(node, w_image, x_image, y_image)?;
    let group = node.int("group", 1).max(1) as usize;
    let n_taps: usize = w_shape[2..].iter().product();
    let rows = [1, group, w_shape[0] / group, w_shape[1] * n_taps];
    let w = emit.reshape(w, &rows);
    products(emit, &windows, [x, &w], bias, group, [x_shape, y_shape])
}

/// `ConvTranspose` of doubles, as a convolution over the input with zeros between its values.
pub(super) fn conv_transpose(
    emit: &mut Emit,
    node: &Node,
    [x, w]: [&str; 2],
    bias: Option<&str>,
    [x_shape, w_shape, y_shape]: [&[usize]; 3],
) -> Result<String, NoRewrite> {
    let [x_image, w_image, y_image] = images(node, [x_shape, w_shape, y_shape])?;
    let n = w_image.len();
    let mut of_file = Windows::of(node, w_image, x_image, y_image)?;
    let auto = node.text("auto_pad", "NOTSET");
    if auto.starts_with("SAME") || node.ints("output_shape").is_some() {
        // The size of the output says how much is cut off, half of it at each end.
        let extra = node.ints("output_padding").unwrap_or_default();
        for axis in 0..n {
            let reach = (w_image[axis] - 1) * of_file.dilation[axis] + 1;
            let whole = (x_image[axis] - 1) * of_file.stride[axis] + reach;
            let whole = whole as i64 + extra.get(axis).copied().unwrap_or(0);
            let cut = whole - y_image[axis] as i64;
            of_file.begin[axis] = if auto == "SAME_UPPER" {
                cut / 2
            } else {
                cut - cut / 2
            };
        }
    }
    // Each value becomes the first of `stride` values, the others zero.
    let mut apart = x_shape[..2].to_vec();
    let mut pads = vec![0_i64; 2 * (2 * n + 2)];
    let mut stretched = x_shape[..2].to_vec();
    for axis in 0..n {
        apart.extend([x_shape[2 + axis], 1]);
        pads[2 * n + 2 + 3 + 2 * axis] = of_file.stride[axis] as i64 - 1;
        stretched.push(x_shape[2 + axis] * of_file.stride[axis]);
    }
    let x = emit.reshape(x, &apart);
    let pads = emit.list(&pads);
    let x = emit.op("Pad", &[&x, &pads]);
    let x = emit.reshape(&x, &stretched);
    // The window is turned round, and its input and output channels change places.
    let group = node.int("group", 1).max(1) as usize;
    let n_taps: usize = w_shape[2..].iter().product();
    let axes: Vec<usize> = (2..n + 2).collect();
    let axes = as_list(emit, &axes);
    let [from, to, back] = [-1, i64::MIN + 1, -1].map(|value| emit.list(&vec![value; n]));
    let w = emit.op("Slice", &[w, &from, &to, &axes, &back]);
    let w = emit.reshape(&w, &[group, w_shape[0] / group, w_shape[1], n_taps]);
    let w = emit.op_with("Transpose", &[&w], vec![ints("perm", &[0, 2, 1, 3])]);
    let w = emit.reshape(&w, &[1, group, w_shape[1], w_shape[0] / group * n_taps]);
    let windows = Windows {
        begin: (0..n)
            .map(|axis| {
                ((w_shape[2 + axis] - 1) * of_file.dilation[axis]) as i64 - of_file.begin[axis]
            })
            .collect(),
        stride: vec![1; n],
        ..of_file
    };
    products(emit, &windows, [&x, &w], bias, group, [&stretched, y_shape])
}

/// Windows of `x` times `w` of shape `[1, group, m / group, c / group * taps]`.
fn products(
    emit: &mut Emit,
    windows: &Windows,
    [x, w]: [&str; 2],
    bias: Option<&str>,
    group: usize,
    [x_shape, y_shape]: [&[usize]; 2],
) -> Result<String, NoRewrite> {
    let (images, channels) = (x_shape[0], x_shape[1]);
    let pixels: usize = y_shape[2..].iter().product();
    let slices = windows.slices(emit, x, &x_shape[2..]);
    let n_taps = slices.len();
    let columns: Vec<String> = slices
        .iter()
        .map(|slice| emit.reshape(slice, &[images, group, channels / group, 1, pixels]))
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let x = emit.op_with("Concat", &columns, vec![super::emit::int("axis", 3)]);
    let x = emit.reshape(&x, &[images, group, channels / group * n_taps, pixels]);
    let y = emit.op("MatMul", &[w, &x]);
    let y = emit.reshape(&y, y_shape);
    Ok(match bias {
        None => y,
        Some(bias) => {
            let mut shape = vec![1; y_shape.len() - 1];
            shape[0] = y_shape[1];
            let bias = emit.reshape(bias, &shape);
            emit.op("Add", &[&y, &bias])
        }
    })
}

/// `AveragePool` of doubles.
pub(super) fn average_pool(
    emit: &mut Emit,
    node: &Node,
    x: &str,
    [x_shape, y_shape]: [&[usize]; 2],
) -> Result<String, NoRewrite> {
    let kernel: Vec<usize> = node
        .ints("kernel_shape")
        .unwrap_or_default()
        .iter()
        .map(|&size| size.max(0) as usize)
        .collect();
    if kernel.len() + 2 != x_shape.len() {
        return Err(refused(
            node,
            "`kernel_shape` does not fit its input".into(),
        ));
    }
    let [x_image, y_image] = images(node, [x_shape, y_shape])?;
    let windows = Windows::of(node, &kernel, x_image, y_image)?;
    let slices = windows.slices(emit, x, &x_shape[2..]);
    let slices: Vec<&str> = slices.iter().map(String::as_str).collect();
    let sum = emit.op("Sum", &slices);
    let with_pads = node.int("count_include_pad", 0) != 0;
    let mut counts = vec![1.0];
    for axis in 0..kernel.len() {
        let size = x_shape[2 + axis] as i64;
        let (low, high) = if with_pads {
            (-windows.begin[axis], size + windows.end[axis])
        } else {
            (0, size)
        };
        let counted = |at: usize| {
            let first = (at * windows.stride[axis]) as i64 - windows.begin[axis];
            let places = (0..kernel[axis]).map(|tap| first + (tap * windows.dilation[axis]) as i64);
            places.filter(|place| (low..high).contains(place)).count() as f64
        };
        counts = counts
            .iter()
            .flat_map(|count| (0..windows.output[axis]).map(move |at| count * counted(at)))
            .collect();
    }
    let counts = emit.doubles(&[&[1, 1], &y_shape[2..]].concat(), &counts);
    Ok(emit.op("Div", &[&sum, &counts]))
}

/// The mean of each channel, in the output's shape.
pub(super) fn global_average(
    emit: &mut Emit,
    node: &Node,
    x: &str,
    [x_shape, y_shape]: [&[usize]; 2],
) -> Result<String, NoRewrite> {
    let [x_image, _] = images(node, [x_shape, y_shape])?;
    let pixels: usize = x_image.iter().product();
    let x = emit.reshape(x, &[x_shape[0], x_shape[1], pixels]);
    let ones = emit.doubles(&[pixels, 1], &vec![1.0; pixels]);
    let sum = emit.op("MatMul", &[&x, &ones]);
    let count = emit.double(pixels as f64);
    let mean = emit.op("Div", &[&sum, &count]);
    Ok(emit.reshape(&mean, y_shape))
}

fn as_list(emit: &mut Emit, values: &[usize]) -> String {
    let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
    emit.list(&values)
}

fn refused(node: &Node, reason: String) -> NoRewrite {
    NoRewrite {
        place: place(node.proto),
        reason,
    }
}
