"""Writes operators.onnx: every operator that the twin of `onnx::oracle` rewrites, each with an output of its own.

Seeded; onnx 1.23.2, numpy 2.4.6. The test runs the file and its twin on onnxruntime and compares them.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(7)
nodes, constants, outputs = [], {}, []


def constant(name, value):
    constants[name] = np.array(value)
    return name


def node(operator, inputs, domain="", **attributes):
    """Appends a node with one output, and gives its name."""
    output = f"{operator}_{len(nodes)}"
    nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
    return output


def keep(*names):
    """The names become outputs of the graph."""
    outputs.extend(names)


def weights(name, *shape):
    """int8 weights with a scale for each of the first axis, dequantised."""
    constant(name, random.integers(-127, 128, shape).astype(np.int8))
    constant(f"{name}_s", random.uniform(0.001, 0.004, shape[0]).astype(np.float32))
    constant(f"{name}_z", np.zeros(shape[0], np.int8))
    return node("DequantizeLinear", [name, f"{name}_s", f"{name}_z"], axis=0)


constant("s", np.float32(0.031))
constant("z", np.int8(-3))
constant("t", np.float32(0.057))
constant("u", np.uint8(131))
q = node("QuantizeLinear", ["x", "s", "z"])
x = node("DequantizeLinear", [q, "s", "z"])
qu = node("QuantizeLinear", [x, "t", "u"])
xu = node("DequantizeLinear", [qu, "t", "u"])
keep(q, x, qu, xu)

# Windows.
bias = constant("bias", random.uniform(-1, 1, 6).astype(np.float32))
keep(
    node("Conv", [x, weights("w0", 6, 4, 3, 3), bias], pads=[1, 0, 1, 2], strides=[2, 1]),
    node("Conv", [x, weights("w1", 6, 2, 2, 3)], group=2, dilations=[2, 2]),
    node("Conv", [x, weights("w2", 4, 1, 3, 3)], group=4, auto_pad="SAME_UPPER", strides=[2, 2]),
    node("Conv", [x, weights("w3", 5, 4, 2, 2)], auto_pad="SAME_LOWER"),
    node("ConvTranspose", [x, weights("w4", 4, 6, 3, 3), bias], strides=[2, 2], pads=[1, 1, 0, 1], output_padding=[1, 0]),
    node("ConvTranspose", [x, weights("w5", 4, 3, 2, 2)], group=2, dilations=[2, 1]),
    node("AveragePool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    node("AveragePool", [x], kernel_shape=[3, 2], pads=[1, 0, 1, 0], count_include_pad=1),
    node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    node("GlobalAveragePool", [x]),
    node("GlobalMaxPool", [x]),
    node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    node("MaxPool", [q], kernel_shape=[2, 2], strides=[2, 2]),
)

# Functions of one value, and what only moves values.
low, high = constant("low", np.float32(-0.5)), constant("high", np.float32(0.7))
constant("low_q", np.int8(-20))
sizes = constant("sizes", np.array([1, 1, 2, 2], np.float32))
keep(
    node("HardSigmoid", [x], alpha=0.3, beta=0.4),
    node("HardSwish", [x]),
    node("Elu", [x], alpha=0.7),
    node("LeakyRelu", [x], alpha=0.1),
    node("PRelu", [x, constant("slopes", np.float32([0.1, -0.3, 1.7, 0.0]).reshape(4, 1, 1))]),
    node("Softplus", [x]),
    node("Sigmoid", [x]),
    node("Tanh", [x]),
    node("Erf", [x]),
    node("Gelu", [x]),
    node("Clip", [x, low, high]),
    node("Clip", [x, "", high]),
    node("Clip", [q, "low_q"]),
    node("Resize", [x, "", sizes], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    node("Softmax", [x], axis=1),
    node("Cast", [q], to=TensorProto.FLOAT),
    node("Transpose", [x], perm=[0, 2, 3, 1]),
    node("Concat", [x, xu], axis=1),
    node("Add", [x, xu]),
    node("ArgMax", [x], axis=1),
)

# Integer operators.
MS = "com.microsoft"
s, z, t = "s", "z", "t"
constant("zo", np.int8(5))
grid = [t, "zo"]
constant("c0", random.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8))
constant("c0_s", random.uniform(0.001, 0.004, 6).astype(np.float32))
constant("c0_z", np.zeros(6, np.int8))
constant("c0_b", random.integers(-900, 900, 6).astype(np.int32))
constant("m0", random.integers(-127, 128, (6, 5)).astype(np.int8))
constant("m0_s", random.uniform(0.001, 0.004, 5).astype(np.float32))
constant("m0_z", np.zeros(5, np.int8))
constant("g0", random.integers(-127, 128, (7, 144)).astype(np.int8))
constant("g0_s", random.uniform(0.001, 0.004, 7).astype(np.float32))
constant("g0_z", np.zeros(7, np.int8))
constant("g0_b", random.integers(-900, 900, 7).astype(np.int32))
flat = node("Flatten", [q])
keep(
    node("QLinearConv", [q, s, z, "c0", "c0_s", "c0_z", *grid, "c0_b"], pads=[1, 1, 1, 1]),
    node("QLinearMatMul", [q, s, z, "m0", "m0_s", "m0_z", *grid]),
    node("QGemm", [flat, s, z, "g0", "g0_s", "g0_z", "g0_b", *grid], MS, transB=1),
    node("QGemm", [flat, s, z, "g0", "g0_s", "g0_z", "g0_b"], MS, transB=1, alpha=0.5),
    node("QLinearAdd", [q, s, z, q, t, "zo", *grid], MS),
    node("QLinearMul", [q, s, z, q, t, "zo", *grid], MS),
    node("QLinearConcat", [*grid, q, s, z, q, t, "zo"], MS, axis=1),
    node("QLinearAveragePool", [q, s, z, *grid], MS, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    node("QLinearGlobalAveragePool", [q, s, z, *grid], MS),
    node("QLinearSigmoid", [q, s, z, *grid], MS),
    node("QLinearLeakyRelu", [q, s, z, *grid], MS, alpha=0.2),
)

graph = helper.make_graph(
    nodes, "operators", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 6, 6])],
    [onnx.ValueInfoProto(name=name) for name in outputs],
    [numpy_helper.from_array(value, name) for name, value in constants.items()])
opsets = [helper.make_opsetid("", 20), helper.make_opsetid(MS, 1)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="make_operators.py")
onnx.save(model, "operators.onnx")
