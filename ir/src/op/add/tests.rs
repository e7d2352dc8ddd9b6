//! The sums of all pairs of operands, against arithmetic of their own.

use super::*;
use miette::Diagnostic;
use proptest::prelude::*;

fn tensor(scale: f32, zero_point: i8) -> Tensor {
    Tensor {
        name: "t".into(),
        channels: 1,
        height: 1,
        width: 1,
        scale,
        zero_point,
        host: None,
    }
}

fn tensors(scales: [f32; 3], zero_points: [i8; 3]) -> [Tensor; 3] {
    std::array::from_fn(|i| tensor(scales[i], zero_points[i]))
}

/// A scale of 2^-40 and more as an integer in steps of 2^-63.
fn integer(scale: f32) -> i128 {
    let integer = f64::from(scale) * 2_f64.powi(63);
    assert!(
        integer >= 2_f64.powi(23) && integer < 2_f64.powi(100),
        "{scale:e}"
    );
    integer as i128
}

/// The exact sum by one division, for scales that [`integer`] can say.
fn expected([a, b, y]: &[Tensor; 3], p: i8, q: i8, clamp: Clamp) -> i8 {
    let real =
        |x: &Tensor, value: i8| (i128::from(value) - i128::from(x.zero_point)) * integer(x.scale);
    let step = integer(y.scale);
    let sum = real(a, p) + real(b, q) + i128::from(y.zero_point) * step;
    // Towards zero, and from there by the remainder.
    let (whole, rest) = (sum / step, 2 * (sum % step).abs());
    let away = rest > step || (rest == step && whole % 2 != 0);
    let rounded = whole + if away { sum.signum() } else { 0 };
    clamp.apply(rounded.clamp(-1000, 1000) as i64)
}

/// Adds all pairs and gives the addition.
#[track_caller]
fn check(scales: [f32; 3], zero_points: [i8; 3], clamp: Clamp) -> Add {
    let tensors = tensors(scales, zero_points);
    let [a, b, y] = &tensors;
    let add = Add::new(a, b, y, clamp).unwrap();
    let pairs = || table_values().flat_map(|p| table_values().map(move |q| (p, q)));
    let wrong = pairs().find(|&(p, q)| add.apply(p, q) != expected(&tensors, p, q, clamp));
    assert_eq!(wrong, None, "{scales:?} {zero_points:?} {clamp:?}");
    assert_eq!(add.difference(a, b, y), Ok(Difference::default()));
    add
}

/// The scale `bits` units in the last place above `scale`.
fn above(scale: f32, bits: i32) -> f32 {
    f32::from_bits(scale.to_bits().wrapping_add_signed(bits))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_pair_is_the_exact_sum(
        mantissas in prop::array::uniform3(0_u32..1 << 23),
        (a, apart, equal) in (-10_i32..=20, -12_i32..=12, prop::bool::weighted(0.3)),
        zero_points: [i8; 3],
        relu: bool,
    ) {
        let scale = |mantissa, exponent: i32| f32::from_bits(((120 + exponent) as u32) << 23 | mantissa);
        let b = (a + apart).clamp(-10, 20);
        let first = scale(mantissas[0], a);
        let scales = [first, if equal { first } else { scale(mantissas[1], b) }, scale(mantissas[2], 0)];
        let lo = if relu { zero_points[2] } else { i8::MIN };
        check(scales, zero_points, Clamp { lo, hi: i8::MAX });
    }

    /// Where sums lie within a few 2^-24 of a tie, entries that are merely nearest miss thousands of pairs.
    #[test]
    fn every_pair_is_the_exact_sum_near_ties(
        (p, q) in (1_u8..12, 1_u8..12),
        exponents in prop::array::uniform2(-6_i32..=20),
        ulps in prop::array::uniform2(-4_i32..=4),
        zero_points: [i8; 3],
    ) {
        let scale = |n: u8, exponent: i32, ulps| above(f32::from(n) / 12.0 * 2_f32.powi(exponent), ulps);
        let scales = [scale(p, exponents[0], ulps[0]), scale(q, exponents[1], ulps[1]), 1.0];
        check(scales, zero_points, Clamp::FULL);
    }
}

#[test]
fn entries_take_the_bits_of_fraction_that_fit() {
    let bits = |scales| check(scales, [3, -7, 0], Clamp::FULL).fraction_bits;
    assert_eq!(bits([1.0, 1.0, 1.0]), 20);
    assert_eq!(bits([16.0, 16.0, 1.0]), 18);
    assert_eq!(bits([3000.0, 5000.0, 1.0]), 11);
    // Of the larger operand only values near the zero point can be brought back into the range of the output.
    assert_eq!(bits([1e6, 0.7, 1.0]), 20);
    assert_eq!(bits([2_f32.powi(20), 2_f32.powi(20), 1.0]), 2);
}

#[test]
fn addition_rounds_once_with_the_zero_point_inside() {
    let add = check([0.5, 1.0, 1.0], [3, 0, 1], Clamp::FULL);
    // 0.5 + 0 + 1 is a half and goes to 2; outside the rounding it would be 0 + 1.
    assert_eq!(add.apply(4, 0), 2);
    assert_eq!(add.apply(3, -128), -127);
    assert_eq!(add.apply(127, 127), 127);
}

#[test]
fn the_smallest_operand_breaks_a_tie() {
    for (tiny, huge) in [
        (1e-37, 1e37),
        (1e-20, 1e9),
        (2_f32.powi(-45), 2_f32.powi(32)),
    ] {
        let [a, b, y] = tensors([0.5, tiny, 1.0], [0; 3]);
        let add = Add::new(&a, &b, &y, Clamp::FULL).unwrap();
        let sums = [
            (1, 0),
            (1, 1),
            (1, -1),
            (3, 0),
            (3, 1),
            (3, -1),
            (-1, -1),
            (0, 127),
        ];
        assert_eq!(
            sums.map(|(p, q)| add.apply(p, q)),
            [0, 1, 0, 2, 2, 1, -1, 0],
            "{tiny:e}"
        );
        // And the largest decides alone.
        let [a, b, y] = tensors([huge, 0.5, 1.0], [7, 0, -3]);
        let add = Add::new(&a, &b, &y, Clamp::FULL).unwrap();
        let sums = [(8, -128), (6, 127), (7, 4), (7, 1)];
        assert_eq!(
            sums.map(|(p, q)| add.apply(p, q)),
            [127, -128, -1, -2],
            "{huge:e}"
        );
        assert_eq!(add.difference(&a, &b, &y), Ok(Difference::default()));
    }
}

#[test]
fn pairs_that_differ_are_counted() {
    let [a, b, y] = tensors([0.5, 1.0, 1.0], [3, 0, 1]);
    let add = Add::new(&a, &b, &y, Clamp::FULL).unwrap();
    let [mut one, mut two] = [add.tables.clone(), add.tables.clone()];
    // The value 3 of the first operand gives too much, except where that is held at 127.
    one[0][table_index(3)] += 1 << add.fraction_bits;
    two[0][table_index(3)] += 2 << add.fraction_bits;
    for (tables, pairs, steps) in [(one, 254, 1), (two, 254, 2)] {
        let broken = Add {
            tables,
            ..add.clone()
        };
        assert_eq!(
            broken.difference(&a, &b, &y),
            Ok(Difference { pairs, steps })
        );
    }
}

#[test]
fn scales_that_cannot_be_brought_together_are_refused() {
    let error = |scales| {
        let [a, b, y] = tensors(scales, [0; 3]);
        let error = Add::new(&a, &b, &y, Clamp::FULL).unwrap_err();
        let [code, help] = [
            error.code().unwrap().to_string(),
            error.help().unwrap().to_string(),
        ];
        format!("{error} [{code}] {help}")
    };
    assert_eq!(
        error([4e6, 5e6, 0.5]),
        "the operands of an addition reach 1024000257 steps of its output, its tables hold 536870911 \
         [numerics::addition_range] the output scale 5e-1 is too small beside those of the operands, 4e6 and 5e6: \
         calibrate the range of the output again"
    );
    for scale in [0.0, -1.0, 1e-39, f32::INFINITY, f32::NAN] {
        let code = "is not a positive normal number [numerics::addition_scale]";
        assert!(error([1.0, scale, 1.0]).contains(code), "{scale}");
        assert!(error([1.0, 1.0, scale]).contains(code), "{scale}");
    }
}
