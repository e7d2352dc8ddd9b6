//! Each operation on a case that can be checked by hand, and the shape rules.

use super::*;
use crate::numerics::Clamp;
use proptest::prelude::*;

fn tensor([channels, height, width]: [usize; 3], scale: f32, zero_point: i8) -> Tensor {
    Tensor {
        name: "t".into(),
        channels,
        height,
        width,
        scale,
        zero_point,
        host: None,
    }
}

fn conv(
    weights: Vec<i8>,
    out_channels: usize,
    groups: usize,
    group_channels: usize,
    window: Window,
) -> Conv {
    let (bias, scales) = (vec![0; out_channels], vec![1.0; out_channels]);
    Conv {
        out_channels,
        group_channels,
        groups,
        window,
        stretch: [1, 1],
        weights,
        bias,
        bias_error: 0.0,
        scales,
        clamp: Clamp::FULL,
    }
}

/// Runs `kind` on one operand of `shape` with zero point 1.
#[track_caller]
fn run(kind: Kind, shape: [usize; 3], values: &[i8]) -> Vec<i8> {
    let x = tensor(shape, 1.0, 1);
    let y = tensor(kind.output_shape(&[shape]).unwrap(), 1.0, 1);
    kind.reference(&[Value { tensor: &x, values }], &y)
}

#[test]
fn conv_pads_with_the_zero_point_and_strides() {
    let window = Window {
        stride: [1, 2],
        pads: [0, 1, 0, 1],
        ..Window::dense([1, 3])
    };
    let op = conv(vec![1, 10, 100], 1, 1, 1, window);
    // Without the zero point the values are 1, 2, 3, 0; the first window starts in the padding.
    let mut clamped = op.clone();
    assert_eq!(run(Kind::Conv(op), [1, 1, 3], &[2, 3, 2]), [127, 13]);
    clamped.clamp = Clamp { lo: 20, hi: 100 };
    assert_eq!(run(Kind::Conv(clamped), [1, 1, 3], &[2, 3, 2]), [100, 20]);
}

#[test]
fn conv_keeps_groups_apart() {
    let op = conv(vec![1, 2, 3, 4], 2, 2, 2, Window::dense([1, 1]));
    assert_eq!(run(Kind::Conv(op), [4, 1, 1], &[2, 3, 4, 5]), [6, 26]);
}

#[test]
fn conv_dilates() {
    let window = Window {
        dilation: [2, 1],
        ..Window::dense([2, 1])
    };
    let op = conv(vec![1, 10], 1, 1, 1, window);
    assert_eq!(run(Kind::Conv(op), [1, 4, 1], &[2, 3, 4, 5]), [32, 43]);
}

#[test]
fn conv_wraps_around() {
    let mut op = conv(vec![127], 1, 1, 1, Window::dense([1, 1]));
    op.bias = vec![i32::MAX];
    assert_eq!(run(Kind::Conv(op), [1, 1, 1], &[2]), [-128]);
}

#[test]
fn padding_never_wins_a_maximum() {
    let window = Window {
        pads: [0, 1, 0, 1],
        ..Window::dense([1, 2])
    };
    assert_eq!(
        run(Kind::MaxPool(MaxPool { window }), [1, 1, 2], &[-9, -5]),
        [-9, -5, -5]
    );
}

#[test]
fn an_average_counts_the_values_inside() {
    let window = Window {
        pads: [0, 1, 0, 0],
        ..Window::dense([1, 2])
    };
    let op = |counted| {
        Kind::AveragePool(AveragePool {
            window,
            counted,
            clamp: Clamp::FULL,
        })
    };
    // Without the zero point the values are 4 and 8.
    assert_eq!(run(op([0; 4]), [1, 1, 2], &[5, 9]), [5, 7]);
    assert_eq!(run(op(window.pads), [1, 1, 2], &[5, 9]), [3, 7]);
}

#[test]
fn concat_and_table_translate() {
    let (x, y) = (tensor([1, 1, 2], 1.0, 0), tensor([1, 1, 2], 2.0, 5));
    let table = Table::new(&x, &y, |value| value.max(0.0));
    assert_eq!(
        table.reference(Value {
            tensor: &x,
            values: &[-4, 4]
        }),
        [5, 7]
    );
    let identity: Vec<i8> = table_values().collect();
    let op = Concat {
        tables: vec![identity, table.values],
    };
    assert_eq!(op.output_shape(&[[1, 1, 2], [1, 1, 2]]), Ok([2, 1, 2]));
    let operand = Value {
        tensor: &x,
        values: &[-4, 4],
    };
    assert_eq!(op.reference(&[operand, operand]), [-4, 4, 5, 7]);
}

#[test]
fn contradictions_are_refused() {
    let dense = Window::dense([2, 2]);
    let check = |kind: Kind, inputs: &[[usize; 3]], message: &str| {
        assert_eq!(kind.output_shape(inputs).unwrap_err().to_string(), message);
    };
    let op = conv(vec![0; 4], 1, 1, 1, dense);
    check(
        Kind::Conv(op.clone()),
        &[[2, 4, 4]],
        "operand has 2 channels, the weights want 1",
    );
    check(
        Kind::Conv(op.clone()),
        &[[1, 1, 4]],
        "window [2, 2] with stride [1, 1] has no place in an image of [1, 4] with its padding",
    );
    check(Kind::Conv(op.clone()), &[], "1 operands expected, 0 given");
    let short = Conv {
        weights: vec![0; 3],
        ..op.clone()
    };
    check(
        Kind::Conv(short),
        &[[1, 4, 4]],
        "weights has 3 entries, 4 are needed",
    );
    let huge = Conv {
        scales: vec![1e9],
        ..op
    };
    assert!(matches!(
        Kind::Conv(huge).output_shape(&[[1, 4, 4]]),
        Err(OpError::Scale(_))
    ));
    let add = Add {
        tables: [vec![0; 256], vec![0; 256]],
        fraction_bits: 20,
        clamp: Clamp::FULL,
    };
    for (fraction_bits, message) in [
        (
            20,
            "operand shapes [1, 2, 3] and [3, 2, 1] do not fit each other",
        ),
        (
            0,
            "addition tables have 0 bits of fraction, 1 to 20 are possible",
        ),
        (
            21,
            "addition tables have 21 bits of fraction, 1 to 20 are possible",
        ),
    ] {
        let add = Add {
            fraction_bits,
            ..add.clone()
        };
        check(Kind::Add(add), &[[1, 2, 3], [3, 2, 1]], message);
    }
}

#[test]
fn a_pooling_window_may_not_lie_in_the_padding_alone() {
    let pool = |pads| MaxPool {
        window: Window {
            stride: [2, 2],
            pads,
            ..Window::dense([2, 2])
        },
    };
    assert!(pool([1, 1, 1, 1]).output_shape([1, 4, 4]).is_ok());
    assert!(pool([2, 0, 0, 0]).output_shape([1, 4, 4]).is_err());
    assert!(pool([0, 0, 0, 2]).output_shape([1, 4, 4]).is_err());
}

proptest! {
    /// The window rule against counting the places one by one.
    #[test]
    fn windows_fit_as_often_as_they_can(
        size in 1_usize..12, kernel in 1_usize..5, stride in 1_usize..4, before in 0_usize..3, after in 0_usize..3, dilation in 1_usize..3,
    ) {
        let window = Window { kernel: [kernel, 1], stride: [stride, 1], pads: [before, 0, after, 0], dilation: [dilation, 1] };
        let reach = (kernel - 1) * dilation;
        let n = (0..size + before + after).step_by(stride).filter(|start| start + reach < size + before + after).count();
        match window.output_size([size, 1]) {
            Ok([rows, 1]) => prop_assert_eq!(rows, n),
            other => prop_assert!(n == 0, "{:?}", other),
        }
        let sees_image = |out: usize| (0..kernel).any(|tap| (0..size as isize).contains(&window.row(out, tap)));
        prop_assert_eq!(window.pooled_shape([1, size, 1]).is_ok(), n > 0 && (0..n).all(sees_image));
    }
}

#[test]
fn a_selection_repeats_skips_pads_and_reorders() {
    let along = |size, start, step, repeat| Positions {
        size,
        start,
        step,
        repeat,
    };
    let op = |channels: &[usize], columns| {
        Kind::Select(Select {
            channels: channels.to_vec(),
            rows: Positions::all(1),
            columns,
            padding: 9,
        })
    };
    let x = [1, 2, 3, 4, 5, 6];
    let of = |channels: &[usize], columns| run(op(channels, columns), [2, 1, 3], &x);
    assert_eq!(of(&[1, 0], Positions::all(3)), [4, 5, 6, 1, 2, 3]);
    assert_eq!(of(&[0], along(6, 0, 1, 2)), [1, 1, 2, 2, 3, 3]);
    assert_eq!(of(&[1], along(5, -1, 1, 1)), [9, 4, 5, 6, 9]);
    assert_eq!(of(&[0], along(2, 2, -2, 1)), [3, 1]);
    let missing = op(&[2], Positions::all(3));
    assert!(missing.output_shape(&[[2, 1, 3]]).is_err());
}

#[test]
fn a_stretched_convolution_is_a_transposed_one() {
    let mut conv = conv(
        vec![1, 2, 3],
        1,
        1,
        1,
        Window {
            pads: [0, 2, 0, 2],
            ..Window::dense([1, 3])
        },
    );
    conv.stretch = [1, 2];
    // Each pixel adds 3, 2, 1 times itself from its own place on; the zero point of both is 1.
    assert_eq!(
        run(Kind::Conv(conv), [1, 1, 2], &[2, 11]),
        [4, 3, 32, 21, 11]
    );
}

#[test]
fn a_gate_multiplies_every_pixel_of_its_channel() {
    let (a, b) = (tensor([2, 1, 2], 0.5, 1), tensor([2, 1, 1], 0.25, -1));
    let y = tensor([2, 1, 2], 0.125, 0);
    let op = Mul {
        scale: 1.0,
        clamp: Clamp::FULL,
    };
    let value = |tensor, values| Value { tensor, values };
    let operands = [value(&a, &[1, 2, 3, -1]), value(&b, &[1, 3])];
    assert_eq!(op.reference(operands, &y), [0, 2, 8, -8]);
    assert!(op.output_shape([[2, 1, 2], [1, 1, 3]]).is_err());
}

#[test]
fn a_residual_is_added_before_the_one_rounding() {
    let (x, r) = (tensor([1, 1, 3], 1.0, 0), tensor([1, 1, 3], 1.0, 0));
    let y = tensor([1, 1, 3], 1.0, 0);
    let mut conv = conv(vec![1], 1, 1, 1, Window::dense([1, 1]));
    conv.scales = vec![0.25];
    let residuals = table_values()
        .map(|value| f32::from(value) * 0.25)
        .collect();
    let op = ConvAdd { conv, residuals };
    let value = |tensor, values| Value { tensor, values };
    // 0.25 and 0.25 make a half, which is even; 0.75 and -0.25 too; 0.75 and 0.75 make one and a half.
    let operands = [value(&x, &[1, 3, 3]), value(&r, &[1, -1, 3])];
    assert_eq!(op.reference(operands, &y), [0, 0, 2]);
}

proptest! {
    #[test]
    fn a_sum_of_products_is_rounded_once(
        a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000,
        low in 100_u32..140, distance in 0_u32..16, mantissas: [u32; 2],
    ) {
        // With exponents that near each other f64 holds every product and sum exactly.
        let scale = |exponent: u32, mantissa: u32| f32::from_bits(exponent << 23 | (mantissa & 0x7f_ff00));
        let scales = [scale(low, mantissas[0]), scale(low + distance, mantissas[1])];
        let exact = a as f64 * f64::from(scales[0]) + b as f64 * f64::from(scales[1]);
        let rounded = crate::numerics::round_sum([(a, scales[0]), (b, scales[1])]);
        prop_assert_eq!(rounded, exact.round_ties_even() as i64);
    }
}

#[test]
fn terms_far_below_a_tie_decide_it() {
    let sum = |terms| crate::numerics::round_sum(terms);
    assert_eq!(sum([(5, 0.5), (0, 1.0)]), 2);
    assert_eq!(sum([(5, 0.5), (1, 1e-38)]), 3);
    assert_eq!(sum([(7, 0.5), (-1, 1e-38)]), 3);
    assert_eq!(sum([(-5, 0.5), (-1, f32::from_bits(1))]), -3);
    assert_eq!(sum([(1, 1e-30), (1, 1e-30)]), 0);
    assert_eq!(sum([(1, f32::MAX), (-1, 1.0)]), i64::MAX);
}
