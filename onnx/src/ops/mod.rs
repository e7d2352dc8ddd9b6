//! The operators that import knows: one list, one function each.

mod activation;
mod add;
mod address;
mod concat;
mod constant;
mod conv;
mod gemm;
mod pool;
mod quantise;
mod softmax;
mod window;

use crate::error::Reason;
use crate::node::Node;
use crate::value::Value;
use crate::walk::Walk;

/// Gives the value of a node's first output.
pub(crate) type Handler = fn(&mut Walk, &Node) -> Result<Value, Reason>;

const MICROSOFT: &str = "com.microsoft.";

/// Every operator, with its domain if it is not ONNX's own.
const OPERATORS: &[(&str, Handler)] = &[
    ("Add", add::add),
    ("AveragePool", pool::average_pool),
    ("Clip", activation::clip),
    ("Concat", concat::concat),
    ("Constant", constant::constant),
    ("Conv", conv::conv),
    ("DequantizeLinear", quantise::dequantize_linear),
    ("Flatten", address::flatten),
    ("Gather", constant::gather),
    ("Gemm", gemm::gemm),
    ("GlobalAveragePool", pool::global_average_pool),
    ("Identity", address::identity),
    ("MatMul", gemm::matmul),
    ("MaxPool", pool::max_pool),
    ("QLinearConv", conv::qlinear_conv),
    ("QLinearMatMul", gemm::qlinear_matmul),
    ("QuantizeLinear", quantise::quantize_linear),
    ("ReduceMean", pool::reduce_mean),
    ("Relu", activation::relu),
    ("Reshape", address::reshape),
    ("Shape", constant::shape),
    ("Softmax", softmax::softmax),
    ("Squeeze", address::squeeze),
    ("Transpose", address::transpose),
    ("Unsqueeze", address::unsqueeze),
    (
        "com.microsoft.DequantizeLinear",
        quantise::dequantize_linear,
    ),
    ("com.microsoft.QGemm", gemm::qgemm),
    ("com.microsoft.QLinearAdd", add::qlinear_add),
    (
        "com.microsoft.QLinearAveragePool",
        pool::qlinear_average_pool,
    ),
    ("com.microsoft.QLinearConcat", concat::qlinear_concat),
    (
        "com.microsoft.QLinearGlobalAveragePool",
        pool::qlinear_global_average_pool,
    ),
    ("com.microsoft.QuantizeLinear", quantise::quantize_linear),
];

/// The function for the operator of `node`.
pub(crate) fn handler(node: &Node) -> Result<Handler, Reason> {
    let operator = node.operator();
    match OPERATORS.iter().find(|(name, _)| *name == operator) {
        Some((_, handler)) => Ok(*handler),
        None => Err(Reason::unsupported("the operator is not supported")
            .help(format!("supported are {}", names()))),
    }
}

fn names() -> String {
    let short = |&(name, _): &(&'static str, Handler)| name.strip_prefix(MICROSOFT).unwrap_or(name);
    let mut names: Vec<&str> = OPERATORS.iter().map(short).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// Turns an axis that may count from the end into an index.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Reason> {
    let from_start = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(from_start)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Reason::dimensions(format!("axis {axis} is not one of {rank} dimensions")))
}
