//! Is a difference between the reference and onnxruntime a fault, or a rounding tie?
//!
//! Both round a real number to a step; where it lies in the middle of two steps, float arithmetic decides, and two
//! correct programs may choose different ones. The *twin*, the same graph in double precision, has the number itself, so
//! the two cases can be told apart.

use serde::Serialize;

use crate::onnxruntime::{Tensor, Values};

/// How near the middle of two steps counts as a tie, in steps.
pub const TIE: f64 = 1.0 / 1024.0;

/// How near the middle of two steps float arithmetic of 32 bits may round to either, whatever the network: a few units of
/// the last place of 256 steps.
const SINGLE: f64 = 1.0 / 16384.0;

/// How far a float may lie from the value in double precision, in units of its last place.
pub const ULPS: f64 = 4.0;

/// How much nearer to the exact value than one step a float is right all the same: what sums of doubles lose where they
/// cancel, as in `1 + erf(x)` of a file for a negative `x`.
const CANCELLED: f64 = 1.0 / (1_u64 << 40) as f64;

/// What the graph in double precision says of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Exact {
    /// The values, rounded where the file rounds.
    pub values: Vec<f64>,
    /// The values in front of the last rounding, where each output value has one.
    pub real: Option<Vec<f64>>,
    /// One step of the last rounding.
    pub step: f64,
    /// How far a bias of the reference is off in front of it, in steps, as `check` lists it; a tie is as much wider.
    pub slack: f64,
}

/// Whether the reference is right inside of the network, at each node for the operands that it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Within {
    /// Every value is the exact one, or nothing is known.
    Right,
    /// Some values lie on ties, or as far from one as a bias is off that is listed, or so near to one that arithmetic in
    /// single precision rounds them to either side.
    Ties,
    /// Some value is wrong.
    Wrong,
}

/// The values inside of the network over all images that are not the same, against the exact ones of their own operands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inside {
    /// Values compared.
    pub values: u64,
    /// Those next to the middle of two steps: on the side of the exact value where they are all but there, or on the other.
    pub ties: u64,
    /// Those that are wrong.
    pub wrong: u64,
    /// The first that is wrong.
    pub first_wrong: Option<Wrong>,
}

/// A wrong value inside of the network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wrong {
    /// The name of the tensor in the file.
    pub tensor: String,
    /// Which image.
    pub image: usize,
    /// Which value of the tensor, in row-major order.
    pub index: usize,
    /// The reference's value.
    pub reference: f64,
    /// The exact value in front of the rounding.
    pub exact: f64,
}

impl Inside {
    /// Adds the tensor `name` of one image and says what is in it.
    pub fn add(&mut self, image: usize, name: &str, ours: &Tensor, exact: &Exact) -> Within {
        let real = exact.real.as_ref().unwrap_or(&exact.values);
        let mut within = Within::Right;
        let exact_values = exact.values.iter().zip(real);
        let all = ours.values.to_f64().into_iter().zip(exact_values);
        for (index, (reference, (&value, &real))) in all.enumerate() {
            self.values += 1;
            let is_right = reference == value;
            let of_middle = (real - real.floor() - 0.5).abs();
            if is_right && of_middle > SINGLE {
                continue;
            }
            if is_right || (reference - real).abs() <= 0.5 + TIE + exact.slack {
                self.ties += 1;
                within = within.max(Within::Ties);
                continue;
            }
            self.wrong += 1;
            within = Within::Wrong;
            self.first_wrong.get_or_insert_with(|| Wrong {
                tensor: name.to_owned(),
                image,
                index,
                reference,
                exact: real,
            });
        }
        within
    }
}

/// What two values of one place are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same.
    Equal,
    /// Floats: the reference is within [`ULPS`] of the exact value, onnxruntime within one step of the last rounding.
    Close,
    /// One step apart, and the reference has a right rounding.
    Tie,
    /// Further apart, and the reference is right at each node for the operands that it has there, some of them on ties.
    Behind,
    /// One step apart, and nothing tells a tie from a fault.
    Untold,
    /// Anything else: one of the two is wrong.
    Different,
}

/// Two values that are not the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Apart {
    /// Which image.
    pub image: usize,
    /// Which value of the output, in row-major order.
    pub index: usize,
    /// The reference's value.
    pub reference: f64,
    /// onnxruntime's value.
    pub onnxruntime: f64,
    /// The exact value in front of the rounding, or the exact value where it is not rounded.
    pub exact: Option<f64>,
    /// One step.
    pub step: f64,
}

/// One output over all images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its name in the file.
    pub output: String,
    /// The type of its values.
    pub element: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Values that are the same.
    pub equal: u64,
    /// [`Class::Close`].
    pub close: u64,
    /// [`Class::Tie`].
    pub ties: u64,
    /// [`Class::Behind`].
    pub behind: u64,
    /// [`Class::Untold`].
    pub untold: u64,
    /// [`Class::Different`].
    pub different: u64,
    /// The first two values that are one step apart and no difference.
    pub first_step: Option<Apart>,
    /// The first difference.
    pub first_different: Option<Apart>,
    /// Why the values cannot be compared at all: another type or shape, or no such output.
    pub unlike: Option<String>,
}

impl Compared {
    /// An output of which nothing has been compared yet.
    pub fn of(output: &Tensor) -> Compared {
        Compared {
            output: output.name.clone(),
            element: output.values.type_name(),
            shape: output.shape.clone(),
            equal: 0,
            close: 0,
            ties: 0,
            behind: 0,
            untold: 0,
            different: 0,
            first_step: None,
            first_different: None,
            unlike: None,
        }
    }

    /// Whether reference and onnxruntime mean the same.
    pub fn agrees(&self) -> bool {
        self.different == 0 && self.unlike.is_none()
    }

    /// Whether onnxruntime's first value that is a step apart is no whole number of steps: the last quantiser did not run.
    pub fn is_between_steps(&self) -> bool {
        self.first_step.as_ref().is_some_and(|apart| {
            let steps = apart.onnxruntime / apart.step;
            (steps - steps.round()).abs() > 0.01
        })
    }

    /// Adds one image: `theirs` of onnxruntime, `ours` of the reference, which may lack the output.
    pub fn add(
        &mut self,
        image: usize,
        ours: Option<&Tensor>,
        theirs: &Tensor,
        exact: Option<&Exact>,
        within: Within,
    ) {
        let Some(ours) = ours else {
            self.unlike = Some("the reference has no such output".to_owned());
            return;
        };
        let form = |tensor: &Tensor| format!("{} {:?}", tensor.values.type_name(), tensor.shape);
        if form(ours) != form(theirs) {
            self.unlike = Some(format!(
                "the reference has {}, the file {}",
                form(ours),
                form(theirs)
            ));
            return;
        }
        let (ours, values) = (ours.values.to_f64(), theirs.values.to_f64());
        let fits = |of: &Vec<f64>| of.len() == values.len();
        let exact =
            exact.filter(|exact| fits(&exact.values) && exact.real.as_ref().is_none_or(fits));
        let values = ours.into_iter().zip(values.iter().copied());
        for (index, (reference, onnxruntime)) in values.enumerate() {
            let exact = exact.map(|exact| At {
                value: exact.values[index],
                real: exact.real.as_ref().map(|real| real[index]),
                step: exact.step,
                slack: exact.slack,
            });
            let class = classify(&theirs.values, reference, onnxruntime, exact, within);
            let count = match class {
                Class::Equal => &mut self.equal,
                Class::Close => &mut self.close,
                Class::Tie => &mut self.ties,
                Class::Behind => &mut self.behind,
                Class::Untold => &mut self.untold,
                Class::Different => &mut self.different,
            };
            *count += 1;
            let first = match class {
                Class::Tie | Class::Untold => &mut self.first_step,
                Class::Different => &mut self.first_different,
                Class::Equal | Class::Close | Class::Behind => continue,
            };
            first.get_or_insert(Apart {
                image,
                index,
                reference,
                onnxruntime,
                exact: exact.map(|at| at.real.unwrap_or(at.value)),
                step: exact.map_or(1.0, |at| at.step),
            });
        }
    }
}

/// What the twin says of one value.
#[derive(Clone, Copy)]
struct At {
    value: f64,
    real: Option<f64>,
    step: f64,
    slack: f64,
}

fn classify(of: &Values, ours: f64, theirs: f64, exact: Option<At>, within: Within) -> Class {
    if ours == theirs || (ours.is_nan() && theirs.is_nan()) {
        return Class::Equal;
    }
    let apart = (ours - theirs).abs();
    let quantised = matches!(of, Values::Int8(_) | Values::Uint8(_));
    if !quantised && !of.is_float() {
        // An index or a condition has no step.
        return Class::Different;
    }
    let Some(At {
        value,
        real,
        step,
        slack,
    }) = exact
    else {
        return match quantised {
            true if apart == 1.0 => Class::Untold,
            false if apart <= ULPS * ulp(ours) => Class::Close,
            _ => Class::Different,
        };
    };
    let right = if quantised {
        ours == value
    } else {
        (ours - value).abs() <= (ULPS * ulp(value)).max(CANCELLED * step)
    };
    if within == Within::Wrong {
        return Class::Different;
    }
    if apart.is_nan() || apart > step * (1.0 + TIE) {
        return match within {
            Within::Ties if right && !apart.is_nan() => Class::Behind,
            _ => Class::Different,
        };
    }
    let middle = |of: f64| real.is_some_and(|real| (of - real).abs() <= step * (0.5 + TIE + slack));
    match (right, quantised || real.is_some()) {
        (true, true) => Class::Tie,
        (true, false) => Class::Close,
        (false, _) if middle(ours) && middle(theirs) => Class::Tie,
        _ => Class::Different,
    }
}

/// The distance of 32-bit floats round `value`.
fn ulp(value: f64) -> f64 {
    let value = (value as f32).abs();
    f64::from(value.next_up()) - f64::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One step of the quantised, and a scale that is no power of two.
    const SCALE: f64 = 0.1;

    #[track_caller]
    fn check(of: Values, pair: [f64; 2], exact: Option<(f64, Option<f64>)>, expected: Class) {
        let step = if of.is_float() { SCALE } else { 1.0 };
        let exact = exact.map(|(value, real)| At {
            value,
            real,
            step,
            slack: 0.0,
        });
        assert_eq!(
            classify(&of, pair[0], pair[1], exact, Within::Right),
            expected
        );
    }

    #[test]
    fn a_byte_is_a_tie_only_where_the_exact_value_says_so() {
        let byte = || Values::Int8(Vec::new());
        let at = |value, real| Some((value, Some(real)));
        check(byte(), [3.0, 3.0], at(9.0, 9.0), Class::Equal);
        check(byte(), [3.0, 4.0], at(3.0, 3.49), Class::Tie);
        check(byte(), [4.0, 3.0], at(3.0, 3.4999), Class::Tie);
        // The reference is a step off the exact value, far from the middle.
        check(byte(), [4.0, 3.0], at(3.0, 3.4), Class::Different);
        // Two steps are never a tie.
        check(byte(), [3.0, 5.0], at(3.0, 3.5), Class::Different);
        check(byte(), [3.0, 4.0], None, Class::Untold);
        check(byte(), [3.0, 5.0], None, Class::Different);
    }

    #[test]
    fn a_float_is_close_to_the_exact_value_or_a_step_away() {
        let float = || Values::Float32(Vec::new());
        let next = f64::from(1.0_f32.next_up());
        check(float(), [1.0, next], Some((1.0, None)), Class::Close);
        check(float(), [1.0, 1.05], Some((1.0, None)), Class::Close);
        check(float(), [1.05, 1.0], Some((1.0, None)), Class::Different);
        check(float(), [1.0, 1.2], Some((1.0, None)), Class::Different);
        check(float(), [0.3, 0.4], Some((0.3, Some(0.34))), Class::Tie);
        check(
            float(),
            [0.4, 0.3],
            Some((0.3, Some(0.34))),
            Class::Different,
        );
        check(
            float(),
            [1.0, f64::NAN],
            Some((1.0, None)),
            Class::Different,
        );
        check(float(), [1.0, next], None, Class::Close);
        check(float(), [1.0, 1.001], None, Class::Different);
    }

    #[test]
    fn what_is_far_apart_agrees_only_behind_ties() {
        let class = |ours, within| {
            let exact = At {
                value: 0.3,
                real: Some(0.31),
                step: SCALE,
                slack: 0.0,
            };
            let of = Values::Float32(Vec::new());
            classify(&of, ours, 0.6, Some(exact), within)
        };
        assert_eq!(class(0.3, Within::Ties), Class::Behind);
        assert_eq!(class(0.3, Within::Right), Class::Different);
        assert_eq!(class(0.3, Within::Wrong), Class::Different);
        assert_eq!(class(0.4, Within::Ties), Class::Different);
    }

    #[test]
    fn a_value_inside_is_right_or_on_a_tie_or_wrong() {
        let mut inside = Inside::default();
        let mut add = |codes: [i8; 3], slack| {
            let exact = Exact {
                values: vec![1.0, 2.0, 3.0],
                real: Some(vec![1.2, 2.4999, 3.4]),
                step: 1.0,
                slack,
            };
            let ours = Tensor {
                name: "given/t".to_owned(),
                shape: vec![1, 3],
                values: Values::Int8(codes.to_vec()),
            };
            inside.add(0, "t", &ours, &exact)
        };
        assert_eq!(add([1, 2, 3], 0.0), Within::Right);
        let mut near = Inside::default();
        let mut middle = |real: f64| {
            let exact = Exact {
                values: vec![real.round_ties_even()],
                real: Some(vec![real]),
                step: 1.0,
                slack: 0.0,
            };
            let ours = Tensor {
                name: "given/t".to_owned(),
                shape: vec![1],
                values: Values::Int8(vec![real.round_ties_even() as i8]),
            };
            near.add(0, "t", &ours, &exact)
        };
        // Right, and so near the middle that single precision may round to the other side.
        assert_eq!(middle(7.499_999_9), Within::Ties);
        assert_eq!(middle(-3.499_999_9), Within::Ties);
        assert_eq!(middle(7.499), Within::Right);
        assert_eq!(add([1, 3, 3], 0.0), Within::Ties);
        assert_eq!(add([1, 3, 4], 0.2), Within::Ties);
        assert_eq!(add([1, 3, 4], 0.0), Within::Wrong);
        assert_eq!((inside.values, inside.ties, inside.wrong), (12, 4, 1));
        assert_eq!(inside.first_wrong.map(|wrong| wrong.index), Some(2));
    }

    #[test]
    fn an_index_has_no_neighbours() {
        check(
            Values::Int64(Vec::new()),
            [3.0, 4.0],
            Some((3.0, None)),
            Class::Different,
        );
    }

    #[test]
    fn another_shape_or_type_or_no_output_never_agrees() {
        let of = |shape: &[usize], values| Tensor {
            name: "y".to_owned(),
            shape: shape.to_vec(),
            values,
        };
        let theirs = of(&[1, 2], Values::Int8(vec![1, 2]));
        let other = [
            None,
            Some(of(&[2], Values::Int8(vec![1, 2]))),
            Some(of(&[1, 2], Values::Float32(vec![1.0, 2.0]))),
        ];
        for ours in other {
            let mut compared = Compared::of(&theirs);
            compared.add(0, ours.as_ref(), &theirs, None, Within::Right);
            assert!(!compared.agrees(), "{ours:?}");
            assert_eq!(compared.equal, 0);
        }
    }
}
