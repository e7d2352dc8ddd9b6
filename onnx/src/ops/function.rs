//! Functions of one value: their 256 results are real numbers until a `QuantizeLinear` rounds them, once.
//!
//! So a chain of functions, or a function times its own operand, is one function too, and is as exact as one.

use crate::error::Reason;
use crate::node::Node;
use crate::ops::conv::emit;
use crate::order::Order;
use crate::value::{Pending, PendingOp, UNLIMITED, Value, View};
use crate::walk::{Walk, identity_reals, pending, unexpected};
use ir::network::TensorId;
use ir::op::table_index;
use std::rc::Rc;

/// A function of real numbers, which may read the attributes of its node.
type Function = fn(&Node, f64) -> f64;

/// Every function of one value, with its domain if it is not ONNX's own.
const FUNCTIONS: &[(&str, Function)] = &[
    ("Abs", |_, x| x.abs()),
    ("Celu", |node, x| {
        let alpha = f64::from(node.float("alpha", 1.0));
        if x < 0.0 {
            alpha * libm::expm1(x / alpha)
        } else {
            x
        }
    }),
    ("Elu", |node, x| elu(x, f64::from(node.float("alpha", 1.0)))),
    ("Erf", |_, x| libm::erf(x)),
    ("Exp", |_, x| libm::exp(x)),
    ("Gelu", |node, x| {
        if node.text("approximate", "none") == "tanh" {
            gelu_tanh(x)
        } else {
            gelu(x)
        }
    }),
    ("HardSigmoid", |node, x| {
        let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
        hard_sigmoid(x, f64::from(alpha), f64::from(beta))
    }),
    ("HardSwish", |_, x| x * hard_sigmoid(x, 1.0 / 6.0, 0.5)),
    ("LeakyRelu", |node, x| {
        leaky_relu(x, f64::from(node.float("alpha", 0.01)))
    }),
    ("Log", |_, x| libm::log(x)),
    ("Mish", |_, x| x * libm::tanh(softplus(x))),
    ("Neg", |_, x| -x),
    ("Reciprocal", |_, x| 1.0 / x),
    ("Selu", |node, x| {
        let alpha = f64::from(node.float("alpha", 1.673_263_2));
        f64::from(node.float("gamma", 1.050_701)) * elu(x, alpha)
    }),
    ("Sigmoid", |_, x| sigmoid(x)),
    ("Sign", |_, x| if x == 0.0 { 0.0 } else { x.signum() }),
    ("Softplus", |_, x| softplus(x)),
    ("Softsign", |_, x| x / (1.0 + x.abs())),
    ("Sqrt", |_, x| x.sqrt()),
    ("Swish", |node, x| {
        x * sigmoid(f64::from(node.float("alpha", 1.0)) * x)
    }),
    ("Tanh", |_, x| libm::tanh(x)),
    ("ThresholdedRelu", |node, x| {
        if x > f64::from(node.float("alpha", 1.0)) {
            x
        } else {
            0.0
        }
    }),
    ("com.microsoft.FastGelu", |_, x| gelu_tanh(x)),
    ("com.microsoft.Gelu", |_, x| gelu(x)),
    ("com.microsoft.QuickGelu", |node, x| {
        x * sigmoid(f64::from(node.float("alpha", 1.702)) * x)
    }),
];

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// `log(1 + exp(x))`, without an exponential of a large number.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn hard_sigmoid(x: f64, alpha: f64, beta: f64) -> f64 {
    (alpha * x + beta).clamp(0.0, 1.0)
}

fn leaky_relu(x: f64, alpha: f64) -> f64 {
    if x < 0.0 { alpha * x } else { x }
}

fn elu(x: f64, alpha: f64) -> f64 {
    if x < 0.0 { alpha * libm::expm1(x) } else { x }
}

/// By `erfc`, which keeps the digits of the negative tail.
fn gelu(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x / std::f64::consts::SQRT_2)
}

/// `(1 + tanh(t)) / 2` is `sigmoid(2t)`, which keeps the digits of the negative tail.
fn gelu_tanh(x: f64) -> f64 {
    let root = (2.0 / std::f64::consts::PI).sqrt();
    x * sigmoid(2.0 * root * (x + 0.044715 * x * x * x))
}

/// The function of an operator's name.
pub(crate) fn named(operator: &str) -> Option<Function> {
    let found = FUNCTIONS.iter().find(|(name, _)| *name == operator)?;
    Some(found.1)
}

/// The names of all functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// Any function of one value, between `DequantizeLinear` and `QuantizeLinear`.
pub(crate) fn function(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let function = named(&node.operator()).expect("the operator was found by its name");
    let codes = operand(walk, node, 0)?;
    Ok(pending(codes.map(&node.label, |x| function(node, x))))
}

/// `PRelu`: with one slope a function, with one for each channel the sum of the two halves, of which one is always zero.
pub(crate) fn prelu(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let slopes = walk.reals(node, 1)?;
    if let &[slope] = slopes.values.as_slice() {
        let codes = operand(walk, node, 0)?;
        return Ok(pending(codes.map(&node.label, |x| leaky_relu(x, slope))));
    }
    let view = walk.real(node, 0)?;
    walk.decide_by_rank(&view)?;
    let (image, order) = (walk.tensor(view.tensor).shape(), walk.order(&view)?);
    let slopes = slopes
        .of_channels(&view.shape, &order, image)?
        .ok_or_else(|| {
            Reason::unsupported("the slopes differ within a channel")
                .help("one slope for all, or one for each channel, is supported")
        })?;
    Ok(pending(Pending {
        label: node.label.clone(),
        op: PendingOp::Slopes(view.tensor, Rc::new(slopes)),
        image,
        shape: view.shape,
        order,
        range: UNLIMITED,
    }))
}

/// onnxruntime's `QLinearSigmoid`.
pub(crate) fn qlinear_sigmoid(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    quantised(walk, node, sigmoid)
}

/// onnxruntime's `QLinearLeakyRelu`.
pub(crate) fn qlinear_leaky_relu(walk: &mut Walk, node: &Node) -> Result<Value, Reason> {
    let alpha = f64::from(node.float("alpha", 0.01));
    quantised(walk, node, |x| leaky_relu(x, alpha))
}

/// A function whose operand and result are integers: scale and zero point of both follow the operand.
fn quantised(walk: &mut Walk, node: &Node, function: impl Fn(f64) -> f64) -> Result<Value, Reason> {
    let view = walk.integer(node, 0)?;
    let result = Codes::of_view(walk, &view)?.map(&node.label, function);
    emit(walk, node, &pending(result), 3)
}

/// A value that depends on one value of a tensor each: what it is for each of 256 codes.
pub(crate) struct Codes {
    tensor: TensorId,
    image: [usize; 3],
    shape: Vec<usize>,
    order: Order,
    reals: Vec<f64>,
}

/// The operand at input `i` as what it is for each code of a tensor.
pub(crate) fn operand(walk: &mut Walk, node: &Node, i: usize) -> Result<Codes, Reason> {
    let value = walk.value(node, i)?;
    if let Some(codes) = Codes::of(walk, &value)? {
        return Ok(codes);
    }
    if let Value::FloatInput(_) = value {
        return Err(unexpected(i, "a dequantised tensor", &value)
            .help("put a QuantizeLinear and DequantizeLinear behind the graph input"));
    }
    let view = walk.real(node, i).map_err(|reason| {
        reason.help("put a QuantizeLinear and DequantizeLinear in front: a table reads int8")
    })?;
    Codes::of_view(walk, &view)
}

impl Codes {
    /// The value for each code, if it depends on one tensor, value by value.
    pub(crate) fn of(walk: &mut Walk, value: &Value) -> Result<Option<Codes>, Reason> {
        let pending = match value {
            Value::Real(view) => return Ok(Some(Codes::of_view(walk, view)?)),
            Value::Pending(pending) => pending,
            _ => return Ok(None),
        };
        let (tensor, reals) = match &pending.op {
            PendingOp::Copy(x) => (*x, identity_reals(walk.quant_of(*x)?)),
            PendingOp::Function(x, reals) => (*x, reals.to_vec()),
            _ => return Ok(None),
        };
        let (lo, hi) = (f64::from(pending.range.0), f64::from(pending.range.1));
        Ok(Some(Codes {
            tensor,
            image: pending.image,
            shape: pending.shape.clone(),
            order: pending.order.clone(),
            reals: reals.iter().map(|real| real.clamp(lo, hi)).collect(),
        }))
    }

    fn of_view(walk: &mut Walk, view: &View) -> Result<Codes, Reason> {
        walk.decide_by_rank(view)?;
        Ok(Codes {
            tensor: view.tensor,
            image: walk.tensor(view.tensor).shape(),
            shape: view.shape.clone(),
            order: walk.order(view)?,
            reals: identity_reals(walk.quant_of(view.tensor)?),
        })
    }

    /// The same values as those of the tensor that they are a table of, as far back as tables go.
    pub(crate) fn at_root(mut self, walk: &Walk) -> Codes {
        while let Some((root, table)) = walk.table_of(self.tensor) {
            self.reals = table
                .values
                .iter()
                .map(|&code| self.reals[table_index(code)])
                .collect();
            self.tensor = root;
        }
        self
    }

    /// A function of these.
    pub(crate) fn map(self, label: &str, function: impl Fn(f64) -> f64) -> Pending {
        let reals = self.reals.iter().map(|&real| function(real)).collect();
        self.pending(label, reals)
    }

    /// A function of these and of others of the same tensor, value by value; none if they are of another.
    pub(crate) fn with(
        self,
        label: &str,
        other: &Codes,
        function: impl Fn(f64, f64) -> f64,
    ) -> Option<Pending> {
        let is_same =
            self.tensor == other.tensor && self.shape == other.shape && self.order == other.order;
        is_same.then(|| {
            let pairs = self.reals.iter().zip(&other.reals);
            let reals = pairs.map(|(&a, &b)| function(a, b)).collect();
            self.pending(label, reals)
        })
    }

    fn pending(self, label: &str, reals: Vec<f64>) -> Pending {
        Pending {
            label: label.to_string(),
            op: PendingOp::Function(self.tensor, Rc::new(reals)),
            image: self.image,
            shape: self.shape,
            order: self.order,
            range: UNLIMITED,
        }
    }
}
