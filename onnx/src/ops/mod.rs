//! The operators that import knows: one list, one function each.

mod activation;
pub(crate) mod address;
mod arithmetic;
mod concat;
mod constant;
pub(crate) mod conv;
pub(crate) mod function;
mod gemm;
mod host;
mod normalisation;
mod pool;
mod quantise;
mod resize;
mod select;
mod window;

use crate::constant::Data;
use crate::error::Reason;
use crate::node::Node;
use crate::value::Value;
use crate::walk::Walk;
use ir::fit::Fit;

/// What imports an operator.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// Gives the value of the node's first output, the only one that may be used.
    One(fn(&mut Walk, &Node) -> Result<Value, Reason>),
    /// Gives the values of all outputs.
    Many(fn(&mut Walk, &Node) -> Result<Vec<Value>, Reason>),
}

use Handler::{Many, One};

const MICROSOFT: &str = "com.microsoft.";

/// Every operator that is not a function of one value, with its domain if it is not ONNX's own.
const OPERATORS: &[(&str, Handler)] = &[
    ("Add", One(arithmetic::add)),
    ("ArgMax", One(host::arg_max)),
    ("ArgMin", One(host::arg_min)),
    ("AveragePool", One(pool::average_pool)),
    (
        "BatchNormalization",
        One(normalisation::batch_normalization),
    ),
    ("Cast", One(constant::cast)),
    ("Clip", One(activation::clip)),
    ("Concat", One(concat::concat)),
    ("Constant", One(constant::constant)),
    ("ConstantOfShape", One(constant::constant_of_shape)),
    ("Conv", One(conv::conv)),
    ("ConvTranspose", One(conv::conv_transpose)),
    ("DepthToSpace", One(resize::depth_to_space)),
    ("DequantizeLinear", One(quantise::dequantize_linear)),
    ("Div", One(arithmetic::div)),
    ("Dropout", One(address::dropout)),
    ("Flatten", One(address::flatten)),
    ("Gather", One(constant::gather)),
    ("Gemm", One(gemm::gemm)),
    ("GlobalAveragePool", One(pool::global_average_pool)),
    ("GlobalMaxPool", One(pool::global_max_pool)),
    ("Identity", One(address::identity)),
    ("LogSoftmax", One(host::log_softmax)),
    ("MatMul", One(gemm::matmul)),
    ("Max", One(arithmetic::max)),
    ("MaxPool", One(pool::max_pool)),
    ("Min", One(arithmetic::min)),
    ("Mul", One(arithmetic::mul)),
    ("PRelu", One(function::prelu)),
    ("Pad", One(select::pad)),
    ("Pow", One(arithmetic::pow)),
    ("QLinearConv", One(conv::qlinear_conv)),
    ("QLinearMatMul", One(gemm::qlinear_matmul)),
    ("QuantizeLinear", One(quantise::quantize_linear)),
    ("ReduceMax", One(pool::reduce_max)),
    ("ReduceMean", One(pool::reduce_mean)),
    ("ReduceProd", One(constant::reduce_prod)),
    ("Relu", One(activation::relu)),
    ("Reshape", One(address::reshape)),
    ("Resize", One(resize::resize)),
    ("Shape", One(constant::shape)),
    ("Slice", One(select::slice)),
    ("Softmax", One(host::softmax)),
    ("SpaceToDepth", One(resize::space_to_depth)),
    ("Split", Many(select::split)),
    ("Squeeze", One(address::squeeze)),
    ("Sub", One(arithmetic::sub)),
    ("Sum", One(arithmetic::add)),
    ("Transpose", One(address::transpose)),
    ("Unsqueeze", One(address::unsqueeze)),
    ("Upsample", One(resize::upsample)),
    (
        "com.microsoft.DequantizeLinear",
        One(quantise::dequantize_linear),
    ),
    ("com.microsoft.QGemm", One(gemm::qgemm)),
    ("com.microsoft.QLinearAdd", One(arithmetic::qlinear_add)),
    (
        "com.microsoft.QLinearAveragePool",
        One(pool::qlinear_average_pool),
    ),
    ("com.microsoft.QLinearConcat", One(concat::qlinear_concat)),
    (
        "com.microsoft.QLinearGlobalAveragePool",
        One(pool::qlinear_global_average_pool),
    ),
    (
        "com.microsoft.QLinearLeakyRelu",
        One(function::qlinear_leaky_relu),
    ),
    ("com.microsoft.QLinearMul", One(arithmetic::qlinear_mul)),
    (
        "com.microsoft.QLinearSigmoid",
        One(function::qlinear_sigmoid),
    ),
    ("com.microsoft.QLinearSoftmax", One(host::qlinear_softmax)),
    (
        "com.microsoft.QuantizeLinear",
        One(quantise::quantize_linear),
    ),
];

/// What imports the operator of `node`.
pub(crate) fn handler(node: &Node) -> Result<Handler, Reason> {
    let operator = node.operator();
    if let Some((_, handler)) = OPERATORS.iter().find(|(name, _)| *name == operator) {
        return Ok(*handler);
    }
    if function::named(&operator).is_some() {
        return Ok(One(function::function));
    }
    Err(Reason::unsupported("the operator is not supported")
        .help(format!("supported are {}", names())))
}

/// Says what is wrong with the weights of a node whose other operand was refused.
pub(crate) fn check_constants(walk: &mut Walk, node: &Node) -> Result<(), Reason> {
    let has_weights = ["Conv", "ConvTranspose", "Gemm", "MatMul"].contains(&node.proto.op_type());
    if !has_weights || node.input(1).is_none() {
        return Ok(());
    }
    match walk.value(node, 1)? {
        Value::Constant(constant) if matches!(constant.data, Data::Float(_)) => {
            Err(Reason::unsupported("its weights are float constants")
                .help("weights must be int8 or uint8 constants"))
        }
        _ => Ok(()),
    }
}

fn names() -> String {
    let short = |name: &'static str| name.strip_prefix(MICROSOFT).unwrap_or(name);
    let all = OPERATORS.iter().map(|(name, _)| short(name));
    let mut names: Vec<&str> = all.chain(function::names().map(short)).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// Turns an axis that may count from the end into an index.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Reason> {
    let from_start = if axis < 0 {
        axis.saturating_add(rank.fit::<i64>())
    } else {
        axis
    };
    usize::try_from(from_start)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Reason::dimensions(format!("axis {axis} is not one of {rank} dimensions")))
}
