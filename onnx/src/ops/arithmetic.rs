//! `Add`, `Sub`, `Mul`, `Div`, `Pow`, `Max`, `Min`: of two activations, of activations and constants, of constants.

use crate::constant::{Constant, Data, broadcast, made};
use crate::error::Reason;
use crate::node::Node;
use crate::ops::conv::{Affine, affine, emit};
use crate::ops::function::{Codes, operand};
use crate::order::Order;
use crate::value::{ConvDraft, Pending, PendingOp, Quant, UNLIMITED, Value, View};
use crate::walk::{Walk, pending, unexpected};
use std::rc::Rc;

/// What two numbers make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
}

impl Operation {
    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Operation::Add => a + b,
            Operation::Sub => a - b,
            Operation::Mul => a * b,
            Operation::Div => a / b,
            Operation::Pow => libm::pow(a, b),
            Operation::Max => a.max(b),
            Operation::Min => a.min(b),
        }
    }

    /// What it holds its other operand to, if that is `Max` or `Min` with `number`, and `number` a float.
    fn range(self, number: f64) -> Option<(f32, f32)> {
        #[expect(clippy::cast_possible_truncation, reason = "it is looked at")]
        let bound = number as f32;
        match self {
            _ if f64::from(bound) != number => None,
            Operation::Max => Some((bound, f32::INFINITY)),
            Operation::Min => Some((f32::NEG_INFINITY, bound)),
            _ => None,
        }
    }

    fn of_integers(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Operation::Add => a.checked_add(b),
            Operation::Sub => a.checked_sub(b),
            Operation::Mul => a.checked_mul(b),
            Operation::Div => a.checked_div(b),
            Operation::Pow => a.checked_pow(u32::try_from(b).ok()?),
            Operation::Max => Some(a.max(b)),
            Operation::Min => Some(a.min(b)),
        }
    }
}

/// `Add`.
pub(crate) fn add(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    combine(walk, node, Operation::Add)
}

/// `Sub`.
pub(crate) fn sub(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    combine(walk, node, Operation::Sub)
}

/// `Mul`.
pub(crate) fn mul(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    combine(walk, node, Operation::Mul)
}

/// `Div`.
pub(crate) fn div(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    combine(walk, node, Operation::Div)
}

/// `Pow`.
pub(crate) fn pow(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    combine(walk, node, Operation::Pow)
}

/// `Max` of two operands.
pub(crate) fn max(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    combine(walk, node, Operation::Max)
}

/// `Min` of two operands.
pub(crate) fn min(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    combine(walk, node, Operation::Min)
}

/// onnxruntime's `QLinearAdd`.
pub(crate) fn qlinear_add(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    quantised(walk, node, Operation::Add)
}

/// onnxruntime's `QLinearMul`.
pub(crate) fn qlinear_mul(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    quantised(walk, node, Operation::Mul)
}

fn quantised(walk: &mut Walk, node: &Node, operation: Operation) -> Result<Value, Reason> {
    let mut operand = |i: usize| -> Result<Value, Reason> {
        Ok(match walk.value(node, i)? {
            Value::Constant(_) => Value::QuantConstant(walk.integer_constant(node, i, 0)?),
            _ => Value::Real(walk.integer(node, i)?),
        })
    };
    let operands = [operand(0)?, operand(3)?];
    let result = of_values(walk, node, operation, operands)?;
    emit(walk, node, &result, 6)
}

fn combine(walk: &mut Walk, node: &Node, operation: Operation) -> Result<Value, Reason> {
    if node.proto.input.len() != 2 {
        return Err(Reason::unsupported(format!(
            "{} operands, only two are supported",
            node.proto.input.len()
        )));
    }
    let operands = [walk.value(node, 0)?, walk.value(node, 1)?];
    if let [Value::Constant(a), Value::Constant(b)] = &operands {
        return fold(operation, a, b);
    }
    of_values(walk, node, operation, operands)
}

fn of_values(
    walk: &mut Walk,
    node: &Node,
    operation: Operation,
    operands: [Value; 2],
) -> Result<Value, Reason> {
    let is_constant = |value: &Value| matches!(value, Value::Constant(_) | Value::QuantConstant(_));
    if let Some(i) = operands.iter().position(is_constant) {
        let reals = Reals::of(&operands[i])?;
        return with_constant(walk, node, operation, (1 - i, &operands[1 - i]), &reals);
    }
    if let Some(value) = of_one_tensor(walk, node, operation, &operands)? {
        return Ok(value);
    }
    match (operation, &operands) {
        (Operation::Add, [Value::Pending(sum), _]) if has_draft(sum) => {
            residual(walk, node, sum, 1)
        }
        (Operation::Add, [_, Value::Pending(sum)]) if has_draft(sum) => {
            residual(walk, node, sum, 0)
        }
        (Operation::Add | Operation::Mul, _) => {
            let views = activations(walk, node, operands)?;
            two_tensors(walk, node, operation, views)
        }
        (Operation::Sub, _) => {
            let [a, b] = activations(walk, node, operands)?;
            let b = walk.negated(&b)?;
            two_tensors(walk, node, Operation::Add, [a, b])
        }
        _ => Err(Reason::unsupported(
            "of two tensors of activations, only sums, differences and products are supported",
        )),
    }
}

/// The two operands as tensors of the device; those of the integer spelling are so already.
fn activations(walk: &mut Walk, node: &Node, operands: [Value; 2]) -> Result<[View; 2], Reason> {
    if let [Value::Real(a), Value::Real(b)] = operands {
        return Ok([a, b]);
    }
    Ok([walk.real(node, 0)?, walk.real(node, 1)?])
}

fn has_draft(pending: &Pending) -> bool {
    matches!(pending.op, PendingOp::Conv(_)) && pending.is_unlimited()
}

/// Two functions of the values of one tensor, such as `x * sigmoid(x)`; two plain tensors are left to the adder.
fn of_one_tensor(
    walk: &mut Walk,
    node: &Node,
    operation: Operation,
    operands: &[Value; 2],
) -> Result<Option<Value>, Reason> {
    if operands.iter().all(|value| matches!(value, Value::Real(_))) && operation == Operation::Add {
        return Ok(None);
    }
    let (Some(a), Some(b)) = (
        Codes::of(walk, &operands[0])?,
        Codes::of(walk, &operands[1])?,
    ) else {
        return Ok(None);
    };
    let (a, b) = (a.at_root(walk), b.at_root(walk));
    let both = a.with(&node.label, &b, |a, b| operation.apply(a, b));
    Ok(both.map(pending))
}

/// A convolution's result and a residual, rounded together.
fn residual(
    walk: &mut Walk,
    node: &Node,
    sum: &Rc<Pending>,
    other: usize,
) -> Result<Value, Reason> {
    let PendingOp::Conv(draft) = &sum.op else {
        unreachable!("the caller has looked");
    };
    let view = walk.real(node, other)?;
    walk.decide_by_rank(&view)?;
    if walk.tensor(view.tensor).shape() != sum.image
        || view.shape != sum.shape
        || walk.order(&view)? != sum.order
    {
        return Err(differ(&sum.shape, &view.shape));
    }
    Ok(pending(Pending {
        op: PendingOp::ConvAdd(draft.clone(), view.tensor),
        label: node.label.clone(),
        ..sum.as_ref().clone()
    }))
}

fn differ(a: &[usize], b: &[usize]) -> Reason {
    if a == b {
        return Reason::unsupported(format!(
            "its operands of the shape {a:?} lie in memory in different orders, one of them behind a Transpose or Reshape"
        ))
        .help("add or multiply tensors in front of the Transpose or Reshape");
    }
    Reason::unsupported(format!("operands {a:?} and {b:?} differ in shape")).help(
        "give both tensors the same shape; a factor may have one value for each channel or row",
    )
}

fn two_tensors(
    walk: &mut Walk,
    node: &Node,
    operation: Operation,
    mut views: [View; 2],
) -> Result<Value, Reason> {
    let n_values = |view: &View| view.shape.iter().product::<usize>();
    if operation == Operation::Mul && n_values(&views[0]) < n_values(&views[1]) {
        views.swap(0, 1);
    }
    let [a, b] = &views;
    walk.decide_by_rank(a)?;
    walk.decide_by_rank(b)?;
    let shapes = [walk.tensor(a.tensor).shape(), walk.tensor(b.tensor).shape()];
    let orders = [walk.order(a)?, walk.order(b)?];
    let is_same = a.shape == b.shape && shapes[0] == shapes[1] && orders[0] == orders[1];
    // A gate has one value for each channel: `[1, C, 1, 1]`.
    let is_gate = operation == Operation::Mul
        && a.shape.len() == b.shape.len()
        && orders.iter().all(Order::is_identity)
        && a.shape.len() == 4
        && [a, b]
            .iter()
            .zip(&shapes)
            .all(|(view, image)| view.shape[1..] == image[..])
        && shapes[1]
            .iter()
            .zip(&shapes[0])
            .all(|(&b, &a)| b == a || b == 1);
    if !is_same && !is_gate {
        return Err(differ(&a.shape, &b.shape));
    }
    let tensors = [a.tensor, b.tensor];
    let [_, order_b] = orders;
    let order = if is_same {
        order_b
    } else {
        Order::identity(shapes[0].iter().product())
    };
    Ok(pending(Pending {
        label: node.label.clone(),
        op: if operation == Operation::Add {
            PendingOp::Add(tensors)
        } else {
            PendingOp::Mul(tensors)
        },
        image: shapes[0],
        shape: a.shape.clone(),
        order,
        range: UNLIMITED,
    }))
}

/// A constant as real numbers.
pub(crate) struct Reals {
    pub(crate) dims: Vec<usize>,
    pub(crate) values: Vec<f64>,
    /// The integers that they are in the file, where these are quantised as a tensor of activations is.
    codes: Option<(Quant, Vec<i8>)>,
}

impl Reals {
    fn of(value: &Value) -> Result<Reals, Reason> {
        match value {
            Value::Constant(constant) => Ok(Reals {
                dims: constant.dims.clone(),
                values: constant.reals(),
                codes: None,
            }),
            Value::QuantConstant(constant) => Ok(Reals {
                dims: constant.integers.dims.clone(),
                values: constant.reals()?,
                codes: constant.codes(),
            }),
            other => Err(Reason::unsupported(format!(
                "it is {}, a constant is needed",
                other.describe()
            ))),
        }
    }

    /// The values in the order of a tensor of `[channels, height, width]`, of which a view has `shape` and `order`.
    fn in_tensor(&self, shape: &[usize], order: &Order) -> Result<Vec<f64>, Reason> {
        self.spread(shape, order, &self.values)
    }

    /// `values`, one for each of these, in the order of a tensor.
    fn spread<T: Copy + Default>(
        &self,
        shape: &[usize],
        order: &Order,
        values: &[T],
    ) -> Result<Vec<T>, Reason> {
        let from = broadcast(&self.dims, shape).ok_or_else(|| {
            Reason::unsupported(format!(
                "a constant of the shape {:?} does not spread over {shape:?}",
                self.dims
            ))
        })?;
        let mut spread = vec![T::default(); made(shape)?];
        for (from, to) in from.positions().into_iter().zip(order.positions()) {
            spread[to] = values[from];
        }
        Ok(spread)
    }
}

impl Walk<'_> {
    /// The constant at input `i` of `node` as real numbers.
    pub(crate) fn reals(&mut self, node: &Node, i: usize) -> Result<Reals, Reason> {
        Reals::of(&self.value(node, i)?)
    }
}

impl Reals {
    /// The one value for each channel of a tensor of `image`, of which a view has `shape` and `order`; none if they differ
    /// within a channel.
    pub(crate) fn of_channels(
        &self,
        shape: &[usize],
        order: &Order,
        image: [usize; 3],
    ) -> Result<Option<Vec<f64>>, Reason> {
        Ok(per_channel(&self.in_tensor(shape, order)?, image))
    }
}

/// The one value of each channel, if all of a channel are the same.
fn per_channel(values: &[f64], [channels, height, width]: [usize; 3]) -> Option<Vec<f64>> {
    let pixels = height * width;
    let of = |channel: usize| &values[channel * pixels..(channel + 1) * pixels];
    let same = |values: &[f64]| {
        values
            .iter()
            .all(|value| value == &values[0])
            .then(|| values[0])
    };
    (0..channels).map(|channel| same(of(channel))).collect()
}

/// Activations at input `i`, which are `value`, and a constant at the other input.
fn with_constant(
    walk: &mut Walk,
    node: &Node,
    operation: Operation,
    (i, value): (usize, &Value),
    constant: &Reals,
) -> Result<Value, Reason> {
    let constant_first = i == 1;
    let number = match constant.values.as_slice() {
        &[number] if constant.dims.len() <= value.shape().unwrap_or_default().len() => Some(number),
        _ => None,
    };
    if let Value::Pending(result) = value
        && let Some(range) = number.and_then(|number| operation.range(number))
    {
        // The other spelling of a Clip.
        return Ok(pending(result.limited(range)));
    }
    if let Value::Pending(result) = value
        && let PendingOp::Conv(draft) = &result.op
        && result.is_unlimited()
    {
        let values = constant.in_tensor(&result.shape, &result.order)?;
        return behind_conv(node, operation, (result, draft), &values, constant_first);
    }
    if let Some(number) = number {
        let codes = match Codes::of(walk, value)? {
            Some(codes) => codes,
            None => operand(walk, node, i)?,
        };
        let function = |x: f64| match constant_first {
            true => operation.apply(number, x),
            false => operation.apply(x, number),
        };
        return Ok(pending(codes.map(&node.label, function)));
    }
    let view = match value {
        Value::Real(view) => view.clone(),
        Value::FloatInput(_) => {
            return Err(unexpected(i, "a dequantised tensor", value)
                .help("put a QuantizeLinear and DequantizeLinear behind the graph input"));
        }
        _ => walk.real(node, i)?,
    };
    walk.decide_by_rank(&view)?;
    let (image, order) = (walk.tensor(view.tensor).shape(), walk.order(&view)?);
    let values = constant.in_tensor(&view.shape, &order)?;
    let result = |op: PendingOp| {
        pending(Pending {
            label: node.label.clone(),
            op,
            image,
            shape: view.shape.clone(),
            order: order.clone(),
            range: UNLIMITED,
        })
    };
    let added = |sign: f64| {
        values
            .iter()
            .map(|value| sign * value)
            .collect::<Vec<f64>>()
    };
    let is_plain = matches!(operation, Operation::Add | Operation::Mul);
    let is_factor = operation == Operation::Mul && per_channel(&values, image).is_some();
    if let Some((quant, codes)) = &constant.codes
        && is_plain
        && !is_factor
    {
        let codes = constant.spread(&view.shape, &order, codes)?;
        let other = walk.constant_tensor(&node.label, image, *quant, codes);
        return Ok(result(if operation == Operation::Add {
            PendingOp::Add([view.tensor, other])
        } else {
            PendingOp::Mul([view.tensor, other])
        }));
    }
    match (operation, constant_first) {
        (Operation::Add, _) => Ok(result(PendingOp::AddConstant(
            view.tensor,
            Rc::new(added(1.0)),
        ))),
        (Operation::Sub, false) => Ok(result(PendingOp::AddConstant(
            view.tensor,
            Rc::new(added(-1.0)),
        ))),
        (Operation::Mul, _) | (Operation::Div, false) => {
            let factors = per_channel(&values, image).ok_or_else(|| {
                Reason::unsupported("the factors differ within a channel")
                    .help("one factor for all, or one for each channel, is supported")
            })?;
            let term = |factor: &f64| Affine {
                factor: match operation {
                    Operation::Mul => *factor,
                    _ => 1.0 / factor,
                },
                added: 0.0,
            };
            let scale = f64::from(walk.quant_of(view.tensor)?.scale);
            let terms: Vec<Affine> = factors.iter().map(term).collect();
            let draft = ConvDraft::scaling(view.tensor, scale, &terms);
            Ok(result(PendingOp::Conv(draft)))
        }
        _ => Err(Reason::unsupported(format!(
            "`{}` of activations and a constant of {} values",
            node.operator(),
            constant.values.len()
        ))
        .help("one number for all values is supported")),
    }
}

/// A constant behind a convolution becomes a part of its scales and bias.
fn behind_conv(
    node: &Node,
    operation: Operation,
    (result, draft): (&Pending, &ConvDraft),
    values: &[f64],
    constant_first: bool,
) -> Result<Value, Reason> {
    let added = match (operation, constant_first) {
        (Operation::Add, _) => Some(1.0),
        (Operation::Sub, false) => Some(-1.0),
        _ => None,
    };
    let values = match (per_channel(values, result.image), added) {
        (Some(values), _) => values,
        (None, Some(sign)) => {
            let reals = values.iter().map(|value| sign * value).collect();
            return Ok(pending(Pending {
                op: PendingOp::ConvAddConstant(draft.clone(), Rc::new(reals)),
                label: node.label.clone(),
                ..result.clone()
            }));
        }
        (None, None) => {
            return Err(
                Reason::unsupported("a factor behind a product differs within a channel").help(
                    "put a QuantizeLinear and DequantizeLinear between the product and the factor",
                ),
            );
        }
    };
    let of = |factor: f64, added: f64| Affine { factor, added };
    let terms = values
        .iter()
        .map(|&value| match (operation, constant_first) {
            (Operation::Add, _) => Some(of(1.0, value)),
            (Operation::Sub, false) => Some(of(1.0, -value)),
            (Operation::Sub, true) => Some(of(-1.0, value)),
            (Operation::Mul, _) => Some(of(value, 0.0)),
            (Operation::Div, false) => Some(of(1.0 / value, 0.0)),
            _ => None,
        });
    let terms: Option<Vec<Affine>> = terms.collect();
    let terms = terms.ok_or_else(|| {
        Reason::unsupported(format!(
            "`{}` of a float result and a constant",
            node.operator()
        ))
        .help("put a QuantizeLinear and DequantizeLinear in front")
    })?;
    affine(result, draft, &terms)
}

/// Arithmetic on constants, as exporters leave it in the graph for shapes.
fn fold(operation: Operation, a: &Constant, b: &Constant) -> Result<Value, Reason> {
    let (longer, shorter) = if a.dims.len() >= b.dims.len() {
        (a, b)
    } else {
        (b, a)
    };
    let mut dims = longer.dims.clone();
    let n_new = dims.len() - shorter.dims.len();
    for (axis, &size) in shorter.dims.iter().enumerate() {
        dims[n_new + axis] = dims[n_new + axis].max(size);
    }
    let (Some(from_a), Some(from_b)) = (broadcast(&a.dims, &dims), broadcast(&b.dims, &dims))
    else {
        return Err(Reason::dimensions(format!(
            "constants of the shapes {:?} and {:?} do not fit each other",
            a.dims, b.dims
        )));
    };
    let pairs = from_a.positions().into_iter().zip(from_b.positions());
    let data = match (&a.data, &b.data) {
        (Data::Float(a), Data::Float(b)) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "constants of the file are float"
            )]
            let value = |(i, j): (usize, usize)| operation.apply(a[i].into(), b[j].into()) as f32;
            Data::Float(pairs.map(value).collect())
        }
        _ => {
            let (width, a, b) = (a.width()?, a.integers()?, b.integers()?);
            let values: Option<Vec<i64>> = pairs
                .map(|(i, j)| operation.of_integers(a[i], b[j]))
                .collect();
            values
                .and_then(|values| Data::of_integers(&values, width))
                .ok_or_else(|| {
                    Reason::constant("a result does not fit the type of its constants")
                })?
        }
    };
    Ok(Value::Constant(Rc::new(Constant { dims, data })))
}
