//! The order of values in memory, as index arithmetic.
//!
//! ONNX moves values around with `Reshape`, `Flatten` and `Transpose`. An [`Order`] says where each value of a view,
//! counted in ONNX's row-major order, lies in the tensor underneath: the index is written in mixed radix, and each digit
//! has a step. A reshape changes nothing at all, a transpose permutes digits. No list of indices is ever built, so size
//! does not matter.

/// One digit of an index: `size` values, each `step` further in the tensor underneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digit {
    pub(crate) size: usize,
    pub(crate) step: usize,
}

/// An axis that steps of one tensor are translated along into steps of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) size: usize,
    pub(crate) from_step: usize,
    pub(crate) to_step: usize,
}

/// Where the values of a view lie. Most significant digit first; no digit of size 1; neighbours merged where possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order(Vec<Digit>);

impl Order {
    /// The order of a tensor of `n_values` itself.
    pub(crate) fn identity(n_values: usize) -> Self {
        Order::new(vec![Digit {
            size: n_values,
            step: 1,
        }])
    }

    /// The order of the given digits.
    pub(crate) fn new(digits: Vec<Digit>) -> Self {
        let mut merged: Vec<Digit> = Vec::with_capacity(digits.len());
        for digit in digits.into_iter().filter(|digit| digit.size != 1) {
            match merged.last_mut() {
                Some(last) if last.step == digit.step * digit.size => {
                    *last = Digit {
                        size: last.size * digit.size,
                        step: digit.step,
                    };
                }
                _ => merged.push(digit),
            }
        }
        Order(merged)
    }

    /// Size and step of each digit, most significant first.
    pub(crate) fn digits(&self) -> Vec<(usize, usize)> {
        self.0
            .iter()
            .map(|digit| (digit.size, digit.step))
            .collect()
    }

    /// The positions along each axis of a view of `shape`, from the start of that axis; `None` if digits and shape do not
    /// share boundaries.
    pub(crate) fn along(&self, shape: &[usize]) -> Option<Vec<Vec<usize>>> {
        let axes = self.split(shape)?.into_iter();
        Some(axes.map(|digits| Order(digits).positions()).collect())
    }

    /// Whether every value lies where its index says.
    pub(crate) fn is_identity(&self) -> bool {
        matches!(self.0.as_slice(), [] | [Digit { step: 1, .. }])
    }

    /// The order after a transpose of a view of `shape`, or `None` if digits and shape do not share boundaries.
    pub(crate) fn transpose(&self, shape: &[usize], permutation: &[usize]) -> Option<Order> {
        let axes = self.split(shape)?;
        Some(Order::new(
            permutation
                .iter()
                .flat_map(|&axis| axes[axis].clone())
                .collect(),
        ))
    }

    /// The one step along each axis of a view of `shape`, or `None` if an axis has no single step.
    pub(crate) fn steps(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let step = |digits: Vec<Digit>| match Order::new(digits).0.as_slice() {
            [] => Some(0),
            [digit] => Some(digit.step),
            _ => None,
        };
        self.split(shape)?.into_iter().map(step).collect()
    }

    /// The order in the tensor that `axes` lead to, or `None` if digits and axes do not share boundaries.
    pub(crate) fn through(&self, axes: &[Axis]) -> Option<Order> {
        let mut digits = Vec::new();
        for digit in self.0.iter().rev() {
            let Digit { mut size, mut step } = *digit;
            while size > 1 {
                let axis = axes
                    .iter()
                    .find(|a| (a.from_step..a.from_step * a.size).contains(&step))?;
                let skip = step / axis.from_step;
                let room = axis.size / skip;
                if step % axis.from_step != 0
                    || (size > room && (axis.size % skip != 0 || size % room != 0))
                {
                    return None;
                }
                let here = size.min(room);
                digits.push(Digit {
                    size: here,
                    step: skip * axis.to_step,
                });
                size = if size > room { size / room } else { 1 };
                step *= here;
            }
        }
        digits.reverse();
        Some(Order::new(digits))
    }

    /// The position of each value in the tensor underneath.
    pub(crate) fn positions(&self) -> Vec<usize> {
        self.0.iter().fold(vec![0], |positions, digit| {
            let along = |start: usize| (0..digit.size).map(move |i| start + i * digit.step);
            positions.into_iter().flat_map(along).collect()
        })
    }

    /// The digits of each axis of a view of `shape`.
    fn split(&self, shape: &[usize]) -> Option<Vec<Vec<Digit>>> {
        let mut rest = self.0.clone();
        let mut axes = vec![Vec::new(); shape.len()];
        for (axis, &size) in axes.iter_mut().zip(shape).rev() {
            let mut needed = size;
            while needed > 1 {
                let digit = rest.pop()?;
                if needed.is_multiple_of(digit.size) {
                    axis.insert(0, digit);
                    needed /= digit.size;
                } else if digit.size.is_multiple_of(needed) {
                    axis.insert(
                        0,
                        Digit {
                            size: needed,
                            step: digit.step,
                        },
                    );
                    rest.push(Digit {
                        size: digit.size / needed,
                        step: digit.step * needed,
                    });
                    needed = 1;
                } else {
                    return None;
                }
            }
        }
        rest.is_empty().then_some(axes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nhwc_to_nchw() -> Order {
        Order::identity(2 * 3 * 4)
            .transpose(&[1, 2, 3, 4], &[0, 3, 1, 2])
            .unwrap()
    }

    #[test]
    fn transpose_and_back_is_the_identity() {
        let back = nhwc_to_nchw()
            .transpose(&[1, 4, 2, 3], &[0, 2, 3, 1])
            .unwrap();
        assert!(back.is_identity());
    }

    #[test]
    fn positions_follow_a_transpose() {
        let order = Order::identity(6).transpose(&[2, 3], &[1, 0]).unwrap();
        assert_eq!(order.positions(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(order.steps(&[3, 2]).unwrap(), [1, 3]);
        assert_eq!(order.steps(&[6]), None);
    }

    #[test]
    fn boundaries_that_cut_a_digit_unevenly_have_no_order() {
        let order = Order::identity(12).transpose(&[3, 4], &[1, 0]).unwrap();
        assert_eq!(order.transpose(&[6, 2], &[1, 0]), None);
        assert_eq!(order.steps(&[12]), None);
    }
}
