//! The shapes of the networks.

use super::builder::{Builder, Layer, Pad};
use ir::network::TensorId;

/// A convolution of `out` channels with padding as TensorFlow's `SAME`, and a ReLU.
fn same(out: usize, kernel: usize, stride: usize) -> Layer {
    Layer {
        out,
        kernel: [kernel; 2],
        stride,
        pad: Pad::Same,
        groups: 1,
        relu: true,
    }
}

/// A convolution of `out` channels with `pad` on all sides, and a ReLU.
fn padded(out: usize, kernel: usize, stride: usize, pad: usize) -> Layer {
    Layer {
        pad: Pad::All(pad),
        ..same(out, kernel, stride)
    }
}

fn linear(layer: Layer) -> Layer {
    Layer {
        relu: false,
        ..layer
    }
}

fn depthwise(channels: usize, stride: usize) -> Layer {
    Layer {
        groups: channels,
        ..same(channels, 3, stride)
    }
}

/// DS-CNN of MLPerf Tiny.
pub(super) fn ds_cnn(net: &mut Builder, input: TensorId) -> TensorId {
    let mut x = net.conv(
        input,
        Layer {
            kernel: [10, 4],
            ..same(64, 0, 2)
        },
    );
    for _ in 0..4 {
        x = net.conv(x, depthwise(64, 1));
        x = net.conv(x, same(64, 1, 1));
    }
    let x = net.global_average(x);
    net.fully_connected(x, 12)
}

/// ResNet-8 of MLPerf Tiny.
pub(super) fn resnet8(net: &mut Builder, input: TensorId) -> TensorId {
    let mut x = net.conv(input, same(16, 3, 1));
    for (out, stride) in [(16, 1), (32, 2), (64, 2)] {
        let a = net.conv(x, same(out, 3, stride));
        let b = net.conv(a, linear(same(out, 3, 1)));
        let shortcut = if stride == 1 {
            x
        } else {
            net.conv(x, linear(same(out, 1, stride)))
        };
        x = net.add(shortcut, b, true);
    }
    let x = net.global_average(x);
    net.fully_connected(x, 10)
}

/// MobileNet v1 of quarter width, as in MLPerf Tiny.
pub(super) fn mobilenet_v1_025(net: &mut Builder, input: TensorId) -> TensorId {
    let mut channels = 8;
    let mut x = net.conv(input, same(channels, 3, 2));
    let early = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)];
    let late = [
        (128, 1),
        (128, 1),
        (128, 1),
        (128, 1),
        (128, 1),
        (256, 2),
        (256, 1),
    ];
    for (out, stride) in early.into_iter().chain(late) {
        x = net.conv(x, depthwise(channels, stride));
        x = net.conv(x, same(out, 1, 1));
        channels = out;
    }
    let x = net.global_average(x);
    net.fully_connected(x, 2)
}

/// MobileNet v2 of full width.
pub(super) fn mobilenet_v2(net: &mut Builder, input: TensorId) -> TensorId {
    let mut channels = 32;
    let mut x = net.conv(input, padded(channels, 3, 2, 1));
    // Expansion, output channels, repetitions, stride of the first.
    let stages = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ];
    for (expansion, out, n_blocks, first_stride) in stages {
        for block in 0..n_blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            let hidden = channels * expansion;
            let wide = if expansion == 1 {
                x
            } else {
                net.conv(x, same(hidden, 1, 1))
            };
            let filtered = net.conv(
                wide,
                Layer {
                    pad: Pad::All(1),
                    ..depthwise(hidden, stride)
                },
            );
            let narrow = net.conv(filtered, linear(same(out, 1, 1)));
            x = if stride == 1 && channels == out {
                net.add(x, narrow, false)
            } else {
                narrow
            };
            channels = out;
        }
    }
    let x = net.conv(x, same(1280, 1, 1));
    let x = net.global_average(x);
    net.fully_connected(x, 1000)
}

/// ResNet-18.
pub(super) fn resnet18(net: &mut Builder, input: TensorId) -> TensorId {
    let stem = net.conv(input, padded(64, 7, 2, 3));
    let mut x = net.max_pool(stem, 3, 2, 1);
    let mut channels = 64;
    for (stage, out) in [64, 128, 256, 512].into_iter().enumerate() {
        for block in 0..2 {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let a = net.conv(x, padded(out, 3, stride, 1));
            let b = net.conv(a, linear(padded(out, 3, 1, 1)));
            let shortcut = if channels == out {
                x
            } else {
                net.conv(x, linear(padded(out, 1, stride, 0)))
            };
            x = net.add(b, shortcut, true);
            channels = out;
        }
    }
    let x = net.global_average(x);
    net.fully_connected(x, 1000)
}

/// ResNet-50, with the stride in the 3x3 convolution.
pub(super) fn resnet50(net: &mut Builder, input: TensorId) -> TensorId {
    let stem = net.conv(input, padded(64, 7, 2, 3));
    let mut x = net.max_pool(stem, 3, 2, 1);
    for (stage, (width, n_blocks)) in [(64, 3), (128, 4), (256, 6), (512, 3)]
        .into_iter()
        .enumerate()
    {
        for block in 0..n_blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let a = net.conv(x, padded(width, 1, 1, 0));
            let b = net.conv(a, padded(width, 3, stride, 1));
            let c = net.conv(b, linear(padded(width * 4, 1, 1, 0)));
            let shortcut = if block == 0 {
                net.conv(x, linear(padded(width * 4, 1, stride, 0)))
            } else {
                x
            };
            x = net.add(c, shortcut, true);
        }
    }
    let x = net.global_average(x);
    net.fully_connected(x, 1000)
}
