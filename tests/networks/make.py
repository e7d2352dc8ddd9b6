"""Writes small networks that nobody's importer was written around, with inputs and the values of onnxruntime.

    pip install -r tests/conformance/requirements.txt
    python tests/networks/make.py [NAME...]

For each network of the list below: `NAME.onnx`, `NAME.npz` with an array for each graph input and the class that
onnxruntime finds, where there is one, and `NAME.json` with the graph outputs: type, shape, onnxruntime's values, and the
exact ones where these differ. Weights and inputs are seeded, so that the same versions write the same files on one
machine; float results differ in their last digit between processors. `networks.toml` says what the project does with
each.
"""

import json
import pathlib
import sys
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "conformance"))
import oracle  # noqa: E402

MICROSOFT = "com.microsoft"
F, I8, U8 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8
LIMITS = {np.int8: (-128, 127), np.uint8: (0, 255)}


class Net:
    """A graph under construction; tensors are names."""

    def __init__(self, name, opset=21, act=np.int8, ir=None, contrib_q=False):
        self.name, self.opset, self.act, self.ir, self.contrib_q = name, opset, act, ir, contrib_q
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes, self.constants, self.inputs, self.outputs, self.feeds = [], [], [], [], {}
        self.quants = {}
        # Whether onnxruntime rounds a tie inside another way, after which values are further apart than a step.
        self.behind_ties = False

    # Names, constants and nodes.

    def const(self, value, dtype=None):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op, *inputs, n=None, domain=None, **attributes):
        start = sum(len(node.output) for node in self.nodes)
        outputs = [f"t{start + i}" for i in range(n or 1)]
        self.nodes.append(helper.make_node(op, inputs, outputs, domain=domain, name=f"{op}_{len(self.nodes)}", **attributes))
        return outputs if n else outputs[0]

    def ms(self, op, *inputs, n=None, **attributes):
        return self.node(op, *inputs, n=n, domain=MICROSOFT, **attributes)

    # Graph inputs and outputs.

    def input(self, shape, kind=F, values=None, scale=0.0517, name=None):
        """A graph input; floats lie on the grid of `scale` and between its points."""
        name = name or "x" + str(len(self.inputs) or "")
        if values is None and kind == F:
            values = self.rng.uniform(-140 * scale, 140 * scale, shape)
        elif values is None:
            low, high = LIMITS[np.int8 if kind == I8 else np.uint8]
            values = self.rng.integers(low, high + 1, shape)
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        self.feeds[name] = np.asarray(values).reshape(shape).astype(helper.tensor_dtype_to_np_dtype(kind))
        return name

    def output(self, tensor, kind=F):
        self.outputs.append((tensor, kind))

    # Quantisers.

    def scale_of(self, scale, zero_point=0, dtype=None):
        return self.const(scale, np.float32), self.const(zero_point, dtype or self.act)

    def q(self, x, scale, zero_point=0, dtype=None):
        quant = self.scale_of(scale, zero_point, dtype)
        name = self.node("QuantizeLinear", x, *quant, domain=MICROSOFT if self.contrib_q else None)
        self.quants[name] = quant
        return name

    def dq(self, x, scale=None, zero_point=0, dtype=None, **attributes):
        quant = self.quants[x] if scale is None else self.scale_of(scale, zero_point, dtype)
        return self.node("DequantizeLinear", x, *quant, domain=MICROSOFT if self.contrib_q else None, **attributes)

    def qdq(self, x, scale, zero_point=0, dtype=None):
        return self.dq(self.q(x, scale, zero_point, dtype))

    def x(self, shape, scale=0.0517, zero_point=3, kind=None):
        """A dequantised graph input of the activations' type, or of floats behind a quantiser."""
        if kind == F:
            return self.qdq(self.input(shape, F, scale=scale), scale, zero_point)
        kind = I8 if self.act == np.int8 else U8
        return self.dq(self.input(shape, kind), scale, zero_point)

    # Layers. `wide` gives the scale on which three deviations of a sum of `n` products of full codes fill a byte.

    @staticmethod
    def wide(n, x_scale, w_scale):
        return float(np.float32(3 * 74 * x_scale * 73 * w_scale * np.sqrt(n) / 127))

    def weights(self, shape, scale=0.00973, zero_point=None, dtype=np.int8, axis=0, limit=None):
        low, high = (-127, 127) if dtype == np.int8 else (0, 255)
        codes = self.rng.integers(low if limit is None else -limit, (high if limit is None else limit) + 1, shape)
        args = [self.const(codes, dtype), self.const(scale, np.float32)]
        if zero_point is not None:
            args.append(self.const(zero_point, dtype))
        attributes = {"axis": axis} if np.ndim(scale) or np.ndim(zero_point if zero_point is not None else 0) else {}
        return self.node("DequantizeLinear", *args, domain=MICROSOFT if self.contrib_q else None, **attributes)

    def bias(self, n, x_scale, w_scale=0.00973, size=2000):
        scale = np.float32(x_scale) * np.asarray(w_scale, np.float32)
        args = self.const(self.rng.integers(-size, size + 1, n), np.int32), self.const(scale, np.float32)
        if self.contrib_q:
            return self.const((numpy_helper.to_array(self.constants[-2]) * scale).astype(np.float32))
        attributes = {"axis": 0} if np.ndim(scale) else {}
        return self.node("DequantizeLinear", *args, **attributes)

    def conv(self, x, n_in, n_out, kernel=3, x_scale=0.0517, group=1, weights=None, w_scale=0.00973, bias=True, **attributes):
        kernel = [kernel, kernel] if np.isscalar(kernel) else list(kernel)
        weights = weights or self.weights([n_out, n_in // group, *kernel], w_scale, np.zeros_like(w_scale, np.int8))
        inputs = [x, weights] + ([self.bias(n_out, x_scale, w_scale)] if bias else [])
        attributes.setdefault("pads", [k // 2 for k in kernel] * 2)
        return self.node("Conv", *inputs, kernel_shape=kernel, group=group, **attributes)

    def dense(self, x, n_in, n_out, x_scale=0.0517, **attributes):
        weights = self.weights([n_out, n_in], 0.00973, 0)
        return self.node("Gemm", x, weights, self.bias(n_out, x_scale), transB=1, **attributes)

    def batch(self):
        """How many images the file takes at once: as many as all its inputs of three dimensions and more say."""
        sizes = {feed.shape[0] if feed.ndim > 2 else 1 for feed in self.feeds.values()}
        return sizes.pop() if len(sizes) == 1 else 1

    def ints(self, *values):
        return self.const(values, np.int64)

    # The file.

    def model(self, shapes):
        """The file, with the shapes of the graph outputs by name, where they are known."""
        outputs = [helper.make_tensor_value_info(tensor, kind, shapes.get(tensor)) for tensor, kind in self.outputs]
        inputs = self.inputs
        if self.ir and self.ir < 4:
            # Constants were inputs with a value then.
            inputs = inputs + [helper.make_tensor_value_info(c.name, c.data_type, c.dims) for c in self.constants]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.constants)
        domains = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        if not any(node.domain == MICROSOFT for node in self.nodes):
            domains.pop()
        return helper.make_model(graph, opset_imports=domains, ir_version=self.ir or 10, producer_name="tilewright")


NETWORKS = {}


def network(name, *args, **options):
    """Registers a function that builds a `Net`, once for each name."""

    def register(build):
        assert name not in NETWORKS, name
        NETWORKS[name] = lambda: build(Net(name, **options), *args)
        return build

    return register


def end(net, x, scale, zero_point=0, dtype=None):
    """Ends in a float output behind the last quantiser."""
    net.output(net.qdq(x, scale, zero_point, dtype))
    return net


def codes(net, x, scale, zero_point=0, dtype=None):
    """Ends in the codes of the last quantiser."""
    dtype = dtype or net.act
    net.output(net.q(x, scale, zero_point, dtype), I8 if dtype == np.int8 else U8)
    return net


# Wrong in silence once.


@network("add_ratio_1", 1.0)
@network("add_ratio_8", 8.0)
@network("add_ratio_16", 16.0)
@network("add_ratio_100", 100.0)
def qlinear_add(net, ratio):
    corners = np.array([-128, -127, -1, 0, 1, 126, 127])
    a = np.concatenate([np.repeat(corners, 7), net.rng.integers(-128, 128, 463)])
    b = np.concatenate([np.tile(corners, 7), np.clip(-a[49:] + net.rng.integers(-9, 10, 463), -128, 127)])
    names = [net.input([1, 2, 16, 16], I8, values) for values in (a, b)]
    operands = [part for name in names for part in (name, *net.scale_of(0.017 * ratio, 0))]
    net.output(net.ms("QLinearAdd", *operands, *net.scale_of(0.017, 0)), I8)
    return net


@network("add_uneven_scales", 1.6, 0.00973)
@network("add_tiny_operand", 0.0517, 0.0001)
def add_uneven(net, a_scale, b_scale):
    return codes(net, net.node("Add", net.x([1, 2, 16, 16], a_scale, -5), net.x([1, 2, 16, 16], b_scale, 7)), 0.0517, 3)


@network("dead_channel_2_to_minus_23", 2.0**-23)
@network("dead_channel_denormal", 1e-40)
@network("dead_channel_zero", 0.0)
def dead_channel(net, scale):
    x = net.x([1, 3, 8, 8], 0.0051)
    values = net.rng.integers(-127, 128, [4, 3, 3, 3])
    values[1] = 0
    weights = net.node("DequantizeLinear", net.const(values, np.int8), net.const([0.00973, scale, 0.0193, 0.005], np.float32),
                       net.const([0] * 4, np.int8), axis=0)
    y = net.node("Conv", x, weights, net.const([0.5, 3.0, -1.0, 0.0], np.float32), pads=[1] * 4)
    return end(net, y, 0.0531, 2)


@network("bias_behind_transpose", 16)
@network("bias_behind_transpose_of_12", 12)
def bias_behind_transpose(net, n):
    y = net.node("MatMul", net.x([1, 16, 16]), net.weights([16, n], 0.00973, 0))
    y = net.node("Transpose", y, perm=[0, 2, 1])
    y = net.node("Add", y, net.const(net.rng.uniform(-2, 2, 16), np.float32))
    return end(net, y, net.wide(16, 0.0517, 0.00973))


@network("weights_float_to_uint8", 0)
@network("weights_float_to_uint8_zero_point", 100)
def weights_float_to_uint8(net, zero_point):
    x = net.x([1, 4, 8, 8])
    values = net.const(net.rng.uniform(-1, 1.5, [4, 4, 3, 3]), np.float32)
    quant = net.const(0.00973, np.float32), net.const(zero_point, np.uint8)
    w = net.node("DequantizeLinear", net.node("QuantizeLinear", values, *quant), *quant)
    return end(net, net.node("Conv", x, w, pads=[1] * 4), 0.081, -4)


@network("softmax_last")
def softmax_last(net):
    y = net.dense(net.node("Flatten", net.x([1, 4, 4, 4])), 64, 10)
    net.output(net.node("Softmax", net.qdq(y, net.wide(64, 0.0517, 0.00973))))
    return net


@network("softmax_over_channels_last")
def softmax_over_channels(net):
    net.output(net.node("Softmax", net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 5), 0.0206, 2), axis=1))
    return net


@network("softmax_opset_11_last", opset=11)
def softmax_11(net):
    net.output(net.node("Softmax", net.qdq(net.conv(net.x([1, 3, 4, 4]), 3, 4), 0.0206, 2)))
    return net


@network("softmax_quantised_last")
def softmax_quantised(net):
    y = net.dense(net.node("Flatten", net.x([1, 4, 4, 4])), 64, 10)
    return codes(net, net.node("Softmax", net.qdq(y, 0.0517), axis=1), 1 / 256, -128)


@network("qlinear_softmax_last", np.int8, -128)
@network("qlinear_softmax_uint8_last", np.uint8, 0, act=np.uint8)
def qlinear_softmax(net, dtype, zero_point):
    y = net.q(net.dense(net.node("Flatten", net.x([1, 4, 4, 4])), 64, 10), 0.0517)
    y = net.ms("QLinearSoftmax", y, *net.quants[y], *net.scale_of(1 / 256, zero_point), axis=1, opset=13)
    net.output(y, I8 if dtype == np.int8 else U8)
    return net


@network("argmax_last", {})
@network("argmax_over_channels_last", {"axis": 1, "keepdims": 0})
def argmax(net, attributes):
    x = net.x([1, 3, 6, 6])
    y = net.qdq(net.conv(x, 3, 8), 0.0913)
    if not attributes:
        y, attributes = net.node("Flatten", net.node("GlobalMaxPool", y)), {"axis": 1}
    net.output(net.node("ArgMax", y, **attributes), TensorProto.INT64)
    return net


@network("transpose_last")
def transpose_last(net):
    y = net.q(net.conv(net.x([1, 3, 5, 7]), 3, 6), 0.0913)
    net.output(net.node("Transpose", y, perm=[0, 2, 3, 1]), I8)
    return net


@network("transpose_float_last")
def transpose_float_last(net):
    net.output(net.node("Transpose", net.qdq(net.conv(net.x([1, 3, 5, 7]), 3, 6), 0.0913), perm=[0, 2, 3, 1]))
    return net


# Without a quantiser behind.


@network("maxpool_without_q")
def maxpool_without_q(net):
    y = net.node("MaxPool", net.qdq(net.conv(net.x([1, 3, 8, 8]), 3, 8), 0.0913), kernel_shape=[2, 2], strides=[2, 2])
    return end(net, net.conv(y, 8, 4, x_scale=0.0913), net.wide(72, 0.0913, 0.00973))


@network("relu_without_q", "Relu")
@network("clip_without_q", "Clip")
def relu_without_q(net, op):
    y = net.qdq(net.conv(net.x([1, 3, 8, 8]), 3, 8), 0.0913, -10)
    y = net.node(op, y, *([net.const(v, np.float32) for v in (0, 6)] if op == "Clip" else []))
    return end(net, net.conv(y, 8, 4, x_scale=0.0913), net.wide(72, 0.0913, 0.00973))


@network("concat_without_q", 0.0913)
@network("concat_without_q_two_grids", 0.0719)
def concat_without_q(net, other):
    x = net.x([1, 3, 6, 6])
    parts = [net.qdq(net.conv(x, 3, 16), scale) for scale in (0.0913, other)]
    y = net.node("Concat", *parts, axis=1)
    return end(net, net.conv(y, 32, 4, x_scale=0.0913), net.wide(288, 0.0913, 0.00973))


@network("reshape_without_q")
def reshape_without_q(net):
    y = net.node("Reshape", net.qdq(net.conv(net.x([1, 3, 4, 4]), 3, 4), 0.0913), net.ints(1, -1))
    return end(net, net.dense(y, 64, 10, x_scale=0.0913), net.wide(64, 0.0913, 0.00973))


@network("only_convolutions_quantised")
def only_convolutions(net):
    y = net.node("Relu", net.conv(net.x([1, 3, 12, 12], kind=F), 3, 8))
    y = net.node("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2])
    y = net.qdq(y, 0.0517, -128)
    a, b = (net.node("Relu", net.conv(y, 8, 16, kernel)) for kernel in (1, 3))
    y = net.qdq(net.node("Concat", a, b, axis=1), 0.0817, -128)
    y = net.node("Flatten", net.node("GlobalAveragePool", net.node("Relu", net.conv(y, 32, 10, 1, x_scale=0.0817))))
    net.output(y)
    return net


@network("clip_of_codes")
def clip_of_codes(net):
    y = net.q(net.conv(net.x([1, 3, 6, 6]), 3, 8), 0.5, 0)
    clipped = net.node("Clip", y, net.const(-8, np.int8), net.const(7, np.int8))
    return end(net, net.conv(net.dq(clipped, 0.5), 8, 4, x_scale=0.5), net.wide(72, 0.0311, 0.00973))


@network("clip_of_codes_unsigned", act=np.uint8)
def clip_of_codes_unsigned(net):
    y = net.q(net.node("Relu", net.conv(net.x([1, 3, 6, 6], 0.0517, 120), 3, 8)), 0.4177, 0)
    clipped = net.node("Clip", y, net.const(0, np.uint8), net.const(15, np.uint8))
    return codes(net, net.conv(net.dq(clipped, 0.4177), 8, 4, x_scale=0.4177), 0.0517, 128)


@network("float_last_conv")
def float_last_conv(net):
    net.output(net.conv(net.x([1, 3, 6, 6]), 3, 4))
    return net


@network("float_last_gemm")
def float_last_gemm(net):
    net.output(net.dense(net.node("Flatten", net.x([1, 4, 4, 4])), 64, 10))
    return net


@network("float_last_add")
def float_last_add(net):
    net.output(net.node("Add", net.x([1, 4, 4, 4], 0.0517), net.x([1, 4, 4, 4], 0.0311, -7)))
    return net


@network("residual_of_float_result")
def residual_of_float(net):
    x = net.qdq(net.conv(net.x([1, 3, 8, 8]), 3, 16), 0.0913)
    y = net.node("Add", net.conv(x, 16, 16, x_scale=0.0913), x)
    return end(net, net.node("Relu", y), net.wide(144, 0.0913, 0.00973), -128)


@network("residual_of_two_float_results")
def residual_of_two_floats(net):
    x = net.x([1, 3, 8, 8])
    return end(net, net.node("Add", net.conv(x, 3, 8), net.conv(x, 3, 8, 1)), 0.12)


# Constants as operands.


@network("mlp_matmul_add")
def mlp(net):
    y, scale = net.x([1, 24], 0.0193), 0.0193
    for n_in, n_out in ((24, 32), (32, 10)):
        wide = net.wide(n_in, scale, 0.00973)
        y = net.qdq(net.node("MatMul", y, net.weights([n_in, n_out], 0.00973, 0)), wide)
        y = net.node("Add", y, net.weights([n_out], 0.0193, 0))
        y = net.node("Relu", y) if n_out == 32 else y
        scale = wide * 1.3
        y = net.qdq(y, scale, 0)
    net.output(y)
    return net


CONSTANTS = {"scalar": [], "channel": [1, 4, 1, 1], "row": [6, 1], "column": [6], "plane": [6, 6], "whole": [1, 4, 6, 6]}
for _op in ("Add", "Mul", "Sub"):
    for _kind, _shape in CONSTANTS.items():

        @network(f"{_op.lower()}_constant_{_kind}", _op, _shape)
        def constant_operand(net, op, shape):
            x = net.x([1, 4, 6, 6], 0.043)
            if shape == [1, 4, 1, 1]:
                c = net.const(net.rng.uniform(-2, 2, shape), np.float32)
            else:
                c = net.weights(shape, 0.017, 0)
            return codes(net, net.node(op, *((x, c) if op != "Sub" or shape else (c, x))), 0.0613, -3)


@network("mul_by_scalar_before_conv")
def mul_scalar(net):
    y = net.node("Mul", net.qdq(net.conv(net.x([1, 3, 8, 8]), 3, 4), 0.1), net.const(0.5, np.float32))
    return end(net, net.conv(net.qdq(y, 0.0507), 4, 4, x_scale=0.0507), 0.0713)


@network("sub_of_activations", "Sub")
@network("mul_of_activations", "Mul")
def two_operands(net, op):
    a, b = net.x([1, 2, 16, 16], 0.031, -3), net.x([1, 2, 16, 16], 0.047, 9)
    return codes(net, net.node(op, a, b), 0.0831, 5)


@network("sub_behind_convolutions", np.int8)
@network("sub_behind_convolutions_uint8", np.uint8, act=np.uint8)
def sub_behind_convolutions(net, dtype):
    x = net.x([1, 3, 6, 6])
    low = LIMITS[dtype][0]
    a, b = (net.qdq(net.node("Relu", net.conv(x, 3, 16)), scale, low) for scale in (0.0913, 0.0611))
    return end(net, net.conv(net.qdq(net.node("Sub", a, b), 0.0831, 7), 16, 4, x_scale=0.0831), net.wide(144, 0.0831, 0.00973))


@network("mul_of_itself")
def mul_of_itself(net):
    x = net.x([1, 1, 16, 16], 0.031, -3)
    return codes(net, net.node("Mul", x, x), 0.0831, -100)


@network("qlinear_mul")
def qlinear_mul(net):
    a, b = (net.input([1, 2, 16, 16], I8) for _ in range(2))
    y = net.ms("QLinearMul", a, *net.scale_of(0.031, -3), b, *net.scale_of(0.047, 9), *net.scale_of(0.0831, 5))
    net.output(y, I8)
    return net


@network("squeeze_and_excite")
def squeeze_and_excite(net):
    x = net.qdq(net.conv(net.x([1, 3, 8, 8]), 3, 16), 0.0913)
    s = net.qdq(net.node("GlobalAveragePool", x), 0.0311)
    s = net.qdq(net.node("Relu", net.conv(s, 16, 4, 1, x_scale=0.0311)), 0.0107, -128)
    s = net.conv(s, 4, 16, 1, x_scale=0.0107)
    s = net.qdq(net.node("Sigmoid", net.qdq(s, 0.0231)), 1 / 256, -128)
    return end(net, net.node("Mul", x, s), 0.0713)


# Weights.

PER_CHANNEL = [0.00973, 0.0193, 0.007, 0.013]
WEIGHTS = {
    "int8_zero_point": (np.int8, 0.00973, 5),
    "int8_zero_points": (np.int8, PER_CHANNEL, [5, -9, 0, 127]),
    "int8_no_zero_point": (np.int8, 0.00973, None),
    "uint8_zero_point": (np.uint8, 0.00973, 117),
    "uint8_zero_points": (np.uint8, PER_CHANNEL, [128, 0, 255, 90]),
    "uint8_no_zero_point": (np.uint8, 0.00973, None),
    "uint8_symmetric": (np.uint8, 0.00973, 128),
}
for _kind, (_dtype, _scale, _zero) in WEIGHTS.items():
    for _pad in (0, 1):

        @network(f"weights_{_kind}_{'padded' if _pad else 'unpadded'}", _dtype, _scale, _zero, _pad)
        def weight_zero_points(net, dtype, scale, zero_point, pad):
            w = net.weights([4, 3, 3, 3], scale, zero_point, dtype)
            y = net.conv(net.x([1, 3, 7, 7], 0.0517, -20), 3, 4, weights=w, w_scale=scale, pads=[pad] * 4)
            return end(net, y, 0.2317 if dtype == np.uint8 and zero_point is None else 0.1193)


@network("weights_uint8_zero_points_depthwise")
def depthwise_zero_points(net):
    w = net.weights([4, 1, 3, 3], PER_CHANNEL, [128, 0, 255, 90], np.uint8)
    return end(net, net.conv(net.x([1, 4, 7, 7], 0.0517, -20), 4, 4, weights=w, w_scale=PER_CHANNEL, group=4), 0.0793)


@network("weights_uint8_zero_point_gemm", True)
@network("weights_uint8_zero_point_matmul", False)
def dense_zero_point(net, gemm):
    x = net.node("Flatten", net.x([1, 4, 4, 4], 0.0517, -20))
    w = net.weights([10, 64] if gemm else [64, 10], 0.00973, 121, np.uint8)
    y = net.node("Gemm", x, w, net.bias(10, 0.0517), transB=1) if gemm else net.node("MatMul", x, w)
    return end(net, y, net.wide(64, 0.0517, 0.00973))


@network("qlinear_conv_zero_points", np.int8, [5, -9, 0, 100])
@network("qlinear_conv_uint8", np.uint8, [120], act=np.uint8)
def qlinear_conv(net, dtype, zero_points):
    low, high = LIMITS[dtype]
    w = net.const(net.rng.integers(low, high + 1, [4, 3, 3, 3]), dtype)
    one = len(zero_points) == 1
    scale = net.const(0.00973 if one else PER_CHANNEL, np.float32)
    zero = net.const(zero_points[0] if one else zero_points, dtype)
    x = net.input([1, 3, 7, 7], I8 if net.act == np.int8 else U8)
    bias = net.const(net.rng.integers(-3000, 3001, 4), np.int32)
    x_zero, y_zero = (-20, 7) if net.act == np.int8 else (108, 130)
    y = net.node("QLinearConv", x, *net.scale_of(0.0517, x_zero), w, scale, zero, *net.scale_of(0.1193, y_zero), bias, pads=[1] * 4)
    net.output(y, I8 if net.act == np.int8 else U8)
    return net


@network("qlinear_matmul_zero_point")
def qlinear_matmul(net):
    w = net.const(net.rng.integers(-128, 128, [16, 12]), np.int8), *net.scale_of(0.00973, 11)
    y = net.node("QLinearMatMul", net.input([1, 8, 16], I8), *net.scale_of(0.0517, -20), *w, *net.scale_of(0.0607, 7))
    net.output(y, I8)
    return net


@network("qgemm_float_result")
def qgemm_float(net):
    w = net.const(net.rng.integers(-127, 128, [10, 32]), np.int8), *net.scale_of(0.00973, 0)
    c = net.const(net.rng.integers(-2000, 2001, 10), np.int32)
    net.output(net.ms("QGemm", net.input([1, 32], I8), *net.scale_of(0.0517, -20), *w, c, transB=1))
    return net


@network("qgemm_alpha", 0.5)
@network("qgemm_alpha_negative", -1.7)
def qgemm_alpha(net, alpha):
    w = net.const(net.rng.integers(-127, 128, [10, 32]), np.int8), *net.scale_of(0.00973, 0)
    c = net.const(net.rng.integers(-20000, 20001, 10), np.int32)
    y = net.scale_of(0.0831, 3)
    net.output(net.ms("QGemm", net.input([1, 32], I8), *net.scale_of(0.0517, -20), *w, c, *y, transB=1, alpha=alpha), I8)
    return net


@network("matmul_weights_of_four_dimensions")
def matmul_rank(net):
    return end(net, net.node("MatMul", net.x([1, 6, 8]), net.weights([1, 1, 8, 5])), 0.0831)


@network("bias_with_other_scale", 0.0007, 0)
@network("bias_with_zero_point", 0.0005, 5)
def bias_scale(net, scale, zero_point):
    bias = net.node("DequantizeLinear", net.const(net.rng.integers(-2000, 2001, 4), np.int32), net.const(scale, np.float32),
                    net.const(zero_point, np.int32))
    y = net.node("Conv", net.x([1, 3, 6, 6]), net.weights([4, 3, 3, 3], 0.00973, 0), bias, pads=[1] * 4)
    return end(net, y, 0.0831)


@network("bias_float_between_steps")
def bias_between_steps(net):
    w = net.weights([4, 3, 1, 1], 0.31, 0, limit=1)
    bias = net.const(net.rng.uniform(-0.2, 0.2, 4), np.float32)
    return end(net, net.node("Conv", net.dq(net.input([1, 3, 6, 6], I8, net.rng.integers(-8, 8, [1, 3, 6, 6])), 0.47), w, bias), 0.0419)


@network("bias_between_steps_of_full_weights", 0.0419)
@network("bias_between_huge_steps", 4.19e-7)
def bias_between_full_steps(net, y_scale):
    """One weight uses its whole byte, so that finer steps need more than eight bits."""
    w = net.node("DequantizeLinear", net.const([[[[127]]], [[[-126]]]], np.int8), net.const(0.31, np.float32))
    bias = net.const([0.0713, -0.0531], np.float32)
    x = net.dq(net.input([1, 1, 2, 4], I8, [[0, 1, -1, 0, 2, -1, 1, 0]]), 0.47)
    return end(net, net.node("Conv", x, w, bias), y_scale)


@network("bias_with_finer_scale")
def bias_with_finer_scale(net):
    w = net.weights([4, 3, 1, 1], 0.31, 0, limit=1)
    bias = net.node("DequantizeLinear", net.const(net.rng.integers(-200, 201, 4), np.int32), net.const(0.001, np.float32))
    return end(net, net.node("Conv", net.dq(net.input([1, 3, 6, 6], I8, net.rng.integers(-8, 8, [1, 3, 6, 6])), 0.47), w, bias), 0.0419)


# Functions of one code, over all 256 codes.

FUNCTIONS = {
    "leaky_relu": lambda n, x: n.node("LeakyRelu", x, alpha=0.1),
    "leaky_relu_default": lambda n, x: n.node("LeakyRelu", x),
    "prelu": lambda n, x: n.node("PRelu", x, n.const([0.25], np.float32)),
    "sigmoid": lambda n, x: n.node("Sigmoid", x),
    "hard_sigmoid": lambda n, x: n.node("HardSigmoid", x),
    "hard_sigmoid_sixth": lambda n, x: n.node("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    "hard_swish": lambda n, x: n.node("HardSwish", x),
    "silu": lambda n, x: n.node("Mul", x, n.node("Sigmoid", x)),
    "tanh": lambda n, x: n.node("Tanh", x),
    "gelu": lambda n, x: n.node("Gelu", x),
    "gelu_tanh": lambda n, x: n.node("Gelu", x, approximate="tanh"),
    "gelu_by_erf": lambda n, x: n.node("Mul", n.node("Mul", x, n.node("Add", n.node("Erf", n.node(
        "Div", x, n.const(2**0.5, np.float32))), n.const(1, np.float32))), n.const(0.5, np.float32)),
    "elu": lambda n, x: n.node("Elu", x, alpha=1.5),
    "abs": lambda n, x: n.node("Abs", x),
    "neg": lambda n, x: n.node("Neg", x),
    "exp": lambda n, x: n.node("Exp", x),
    "softplus": lambda n, x: n.node("Softplus", x),
    "relu": lambda n, x: n.node("Relu", x),
    "clip": lambda n, x: n.node("Clip", x, n.const(-1.23, np.float32), n.const(2.5, np.float32)),
    "chain": lambda n, x: n.node("Neg", n.node("Tanh", n.node("Abs", n.node("LeakyRelu", x, alpha=0.3)))),
}
for _kind, _function in FUNCTIONS.items():

    @network(f"function_{_kind}", _function, opset=20)
    def function(net, build):
        values = np.arange(-128, 128).reshape(1, 1, 16, 16)
        return codes(net, build(net, net.dq(net.input([1, 1, 16, 16], I8, values), 0.0313, 3)), 0.0179, -11)


for _kind in ("sigmoid", "leaky_relu", "gelu", "tanh"):

    @network(f"function_{_kind}_uint8", FUNCTIONS[_kind], opset=20, act=np.uint8)
    def function_uint8(net, build):
        return codes(net, build(net, net.dq(net.input([1, 1, 16, 16], U8, np.arange(256)), 0.0313, 131)), 0.0179, 117)


LAST_FUNCTIONS = FUNCTIONS | {
    "celu": lambda n, x: n.node("Celu", x, alpha=0.7),
    "erf": lambda n, x: n.node("Erf", x),
    "log_of_exp": lambda n, x: n.node("Log", n.node("Exp", x)),
    "mish": lambda n, x: n.node("Mish", x),
    "selu": lambda n, x: n.node("Selu", x),
    "softsign": lambda n, x: n.node("Softsign", x),
    "thresholded_relu": lambda n, x: n.node("ThresholdedRelu", x, alpha=1.25),
}
for _kind in sorted(LAST_FUNCTIONS):

    @network(f"function_{_kind}_last", LAST_FUNCTIONS[_kind], opset=20)
    def function_last(net, build):
        values = np.arange(-128, 128).reshape(1, 1, 16, 16)
        net.output(build(net, net.dq(net.input([1, 1, 16, 16], I8, values), 0.0651, -3)))
        return net


@network("input_on_ties")
def input_on_ties(net):
    # Halves of a scale that is no float32 fraction: division in single precision rounds many of them to the tie itself.
    values = (np.arange(-64, 64).reshape(1, 2, 8, 8) + 0.5) * np.float64(np.float32(0.1))
    net.behind_ties = True
    x = net.qdq(net.input([1, 2, 8, 8], F, values), 0.1, 0)
    y = net.conv(x, 2, 4, x_scale=0.1)
    return codes(net, y, net.wide(18, 0.1, 0.00973) / 8)


@network("input_is_output")
def input_is_output(net):
    x = net.input([1, 2, 4, 4], I8)
    net.output(net.q(net.node("Relu", net.dq(x, 0.05, 3)), 0.1, 0), I8)
    net.output(x, I8)
    return net


@network("input_of_nothing")
def input_of_nothing(net):
    net.output(net.q(net.node("Relu", net.dq(net.input([1, 2, 4, 4], I8), 0.05, 3)), 0.1, 0), I8)
    net.input([1, 7], F)
    return net


@network("max_min_behind_conv")
def max_min_behind_conv(net):
    y = net.node("Max", net.conv(net.x([1, 3, 8, 8]), 3, 4), net.const(0.0, np.float32))
    return end(net, net.node("Min", net.const([6.0], np.float32), y), 6 / 255, -128)


def channels_last(net, x):
    return net.node("Transpose", x, perm=[0, 2, 3, 1])


@network("reduce_mean_channels_last", "ReduceMean", 1)
@network("reduce_mean_channels_last_row", "ReduceMean", 0)
@network("reduce_max_channels_last_row", "ReduceMax", 0)
def reduce_channels_last(net, op, keep):
    y = channels_last(net, net.qdq(net.conv(net.x([1, 3, 8, 6]), 3, 5), net.wide(27, 0.0517, 0.00973)))
    return end(net, net.node(op, y, net.ints(1, 2), keepdims=keep), 0.2)


@network("reduce_mean_of_input_channels_last")
def reduce_input_channels_last(net):
    return end(net, net.node("ReduceMean", net.x([1, 8, 6, 5]), net.ints(-3, 2), keepdims=0), 0.01)


@network("concat_channels_last", False)
@network("concat_channels_last_back", True)
def concat_channels_last(net, back):
    x = net.x([1, 3, 8, 6])
    a, b = (channels_last(net, net.qdq(net.conv(x, 3, n), net.wide(27, 0.0517, 0.00973) * f)) for n, f in ((16, 1), (5, 2)))
    y = net.node("Concat", a, b, axis=3)
    if back:
        y = net.conv(net.qdq(net.node("Transpose", y, perm=[0, 3, 1, 2]), 2.0), 21, 4, x_scale=2.0)
    return end(net, y, net.wide(189, 2.0, 0.00973) / 2 if back else 2.0)


@network("concat_of_rows_of_pixels")
def concat_of_rows_of_pixels(net):
    a, b = (net.qdq(net.conv(net.x([1, 3, n, 6]), 3, 4), 2.0) for n in (8, 2))
    return end(net, net.node("Concat", a, b, axis=2), 2.0)


@network("concat_of_rows_of_inputs")
def concat_of_rows_of_inputs(net):
    return end(net, net.node("Concat", net.x([1, 3, 8, 6]), net.x([1, 3, 2, 6]), axis=2), 0.0517, 3)


@network("sum_of_two")
def sum_of_two(net):
    return end(net, net.node("Sum", net.x([1, 3, 8, 8]), net.x([1, 3, 8, 8], 0.031)), 0.0613)


@network("batch_norm_of_a_row")
def batch_norm_of_a_row(net):
    y = net.qdq(net.dense(net.node("Flatten", net.x([1, 4, 4, 4])), 64, 10), net.wide(64, 0.0517, 0.00973), 5)
    terms = net.rng.uniform(0.5, 1.5, 10), net.rng.uniform(-1, 1, 10), net.rng.uniform(-1, 1, 10), net.rng.uniform(0.5, 1.5, 10)
    y = net.node("BatchNormalization", y, *(net.const(values, np.float32) for values in terms))
    return end(net, y, net.wide(64, 0.0517, 0.00973) * 1.5)


@network("add_in_two_orders")
def add_in_two_orders(net):
    x = net.x([1, 4, 4, 4])
    return end(net, net.node("Add", x, net.node("Transpose", net.x([1, 4, 4, 4], 0.031), perm=[0, 2, 1, 3])), 0.0613)


@network("softmax_into_matmul")
def softmax_into_matmul(net):
    y = net.dense(net.node("Flatten", net.x([1, 4, 4, 4])), 64, 8)
    y = net.qdq(net.node("Softmax", net.qdq(y, net.wide(64, 0.0517, 0.00973))), 1 / 256, -128)
    return end(net, net.node("MatMul", y, net.weights([8, 4], 0.00973, 0)), 0.01)


@network("softplus_of_exp")
def softplus_of_exp(net):
    x = net.dq(net.input([1, 1, 16, 16], I8, np.arange(-128, 128)), 0.1044, 3)
    return codes(net, net.node("Softplus", net.node("Exp", x)), 3517.0, -100)


@network("silu_quantised_between")
def silu_between(net):
    x = net.dq(net.input([1, 1, 16, 16], I8, np.arange(-128, 128)), 0.0513, 3)
    return codes(net, net.node("Mul", x, net.qdq(net.node("Sigmoid", x), 1 / 256, -128)), 0.0309, -90)


@network("prelu_per_channel")
def prelu_per_channel(net):
    slopes = net.const(np.array([0.1, 0.25, -0.5, 1.5]).reshape(4, 1, 1), np.float32)
    return end(net, net.node("PRelu", net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 4), 0.0913), slopes), 0.0913)


@network("qlinear_sigmoid")
def qlinear_sigmoid(net):
    x = net.input([1, 1, 16, 16], I8, np.arange(-128, 128))
    net.output(net.ms("QLinearSigmoid", x, *net.scale_of(0.0513, 3), *net.scale_of(1 / 256, -128)), I8)
    return net


@network("qlinear_leaky_relu")
def qlinear_leaky_relu(net):
    x = net.input([1, 1, 16, 16], I8, np.arange(-128, 128))
    net.output(net.ms("QLinearLeakyRelu", x, *net.scale_of(0.0513, 3), *net.scale_of(0.0391, -40), alpha=0.1), I8)
    return net


@network("conv_sigmoid")
def conv_sigmoid(net):
    return end(net, net.node("Sigmoid", net.qdq(net.conv(net.x([1, 3, 8, 8]), 3, 4), 0.0913)), 1 / 256, -128)


@network("conv_sigmoid_unquantised_between")
def conv_sigmoid_float(net):
    return end(net, net.node("Sigmoid", net.conv(net.x([1, 3, 8, 8]), 3, 4)), 1 / 256, -128)


@network("yolo_leaky_relu_pool")
def yolo(net):
    y, scale = net.x([1, 3, 16, 16]), 0.0517
    for n_in, n_out in ((3, 8), (8, 16)):
        wide = net.wide(9 * n_in, scale, 0.00973)
        y = net.qdq(net.node("LeakyRelu", net.qdq(net.conv(y, n_in, n_out, x_scale=scale), wide), alpha=0.1), wide, -60)
        y, scale = net.qdq(net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), wide, -60), wide
    return end(net, net.conv(y, 16, 6, 1, x_scale=scale), net.wide(16, scale, 0.00973))


# Moving values.


@network("pad_zero", 0.0)
@network("pad_constant", 1.37)
@network("pad_default", None)
def pad(net, value):
    y = net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 4), 0.0913, 3)
    y = net.node("Pad", y, net.ints(0, 0, 1, 2, 0, 0, 3, 1), *([] if value is None else [net.const(value, np.float32)]))
    return end(net, net.conv(net.qdq(y, 0.0913, 3), 4, 4, x_scale=0.0913, pads=[0] * 4), net.wide(36, 0.0913, 0.00973))


@network("pad_constant_other_grid")
def pad_other_grid(net):
    y = net.node("Pad", net.x([1, 3, 6, 6], 0.4177), net.ints(0, 0, 1, 2, 0, 0, 3, 1), net.const(1.1493, np.float32))
    return codes(net, y, 0.0613, -9)


@network("pad_of_input")
def pad_of_input(net):
    y = net.node("Pad", net.input([1, 3, 6, 6], F), net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    return end(net, net.conv(net.qdq(y, 0.0517, 3), 3, 4, pads=[0] * 4), 0.0913)


@network("pad_reflect")
def pad_reflect(net):
    y = net.node("Pad", net.x([1, 3, 6, 6]), net.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    return end(net, net.conv(net.qdq(y, 0.0517, 3), 3, 4, pads=[0] * 4), 0.0913)


RESIZES = {
    "asymmetric_2": ("asymmetric", 2, "floor"), "asymmetric_3": ("asymmetric", 3, "floor"),
    "half_pixel_2": ("half_pixel", 2, "round_prefer_floor"), "half_pixel_3": ("half_pixel", 3, "round_prefer_floor"),
}
for _kind, (_mode, _factor, _nearest) in RESIZES.items():

    @network(f"resize_{_kind}", _mode, _factor, _nearest)
    def resize(net, mode, factor, nearest):
        y = net.qdq(net.conv(net.x([1, 3, 4, 5]), 3, 4), 0.0913, 3)
        y = net.node("Resize", y, "", net.const([1, 1, factor, factor], np.float32), mode="nearest",
                     coordinate_transformation_mode=mode, nearest_mode=nearest)
        return end(net, net.conv(net.qdq(y, 0.0913, 3), 4, 4, x_scale=0.0913), net.wide(36, 0.0913, 0.00973))


@network("resize_by_sizes")
def resize_by_sizes(net):
    y = net.node("Resize", net.x([1, 4, 4, 5]), "", "", net.ints(1, 4, 8, 10), mode="nearest",
                 coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    return codes(net, y, 0.0517, 3)


@network("resize_linear")
def resize_linear(net):
    y = net.node("Resize", net.x([1, 4, 4, 5]), "", net.const([1, 1, 2, 2], np.float32), mode="linear")
    return codes(net, y, 0.0513, 3)


@network("unet_resize")
def unet(net):
    x = net.x([1, 3, 12, 12], kind=F)
    a = net.qdq(net.node("Relu", net.conv(x, 3, 16)), 0.0517, -128)
    b = net.qdq(net.node("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2]), 0.0517, -128)
    b = net.qdq(net.node("Relu", net.conv(b, 16, 16)), 0.0719, -128)
    b = net.node("Resize", b, "", net.const([1, 1, 2, 2], np.float32), mode="nearest", nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric")
    y = net.qdq(net.node("Concat", a, net.qdq(b, 0.0719, -128), axis=1), 0.0719, -128)
    return end(net, net.conv(y, 32, 2, x_scale=0.0719), net.wide(288, 0.0517, 0.00973))


@network("split_and_concat")
def split(net):
    y = net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 32), 0.0913)
    a, b = net.node("Split", y, net.ints(16, 16), n=2, axis=1)
    a = net.qdq(net.node("Relu", net.conv(a, 16, 16, 1, x_scale=0.0913)), 0.1127, -128)
    return end(net, net.conv(net.qdq(net.node("Concat", a, b, axis=1), 0.1127), 32, 4, 1, x_scale=0.1127), 0.2)


@network("split_uneven")
def split_uneven(net):
    y = net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 8), 0.0913)
    a, b = net.node("Split", y, net.ints(3, 5), n=2, axis=1)
    for part, n in ((a, 3), (b, 5)):
        end(net, net.conv(part, n, 4, x_scale=0.0913), 0.1733)
    return net


@network("slice_of_pixels", [1, 0], [6, 5], [2, 3], [1, 1])
@network("slice_of_channels", [2], [6], [1], [1])
@network("slice_with_steps", [0, 0], [6, 6], [2, 3], [2, 2])
def slices(net, starts, ends, axes, steps):
    y = net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 8), 0.0913)
    y = net.node("Slice", y, *(net.ints(*v) for v in (starts, ends, axes, steps)))
    return end(net, net.conv(y, 4 if axes == [1] else 8, 4, x_scale=0.0913), 0.19)


@network("channel_shuffle")
def shuffle(net):
    y = net.qdq(net.conv(net.x([1, 3, 4, 4]), 3, 8), 0.0913)
    y = net.node("Reshape", y, net.ints(1, 2, 4, 4, 4))
    y = net.node("Reshape", net.node("Transpose", y, perm=[0, 2, 1, 3, 4]), net.ints(1, 8, 4, 4))
    return end(net, net.conv(net.qdq(y, 0.0913), 8, 4, x_scale=0.0913), net.wide(72, 0.0913, 0.00973))


@network("depth_to_space_dcr", "DCR")
@network("depth_to_space_crd", "CRD")
def depth_to_space(net, mode):
    y = net.qdq(net.conv(net.x([1, 3, 4, 4]), 3, 16), 0.0913)
    return end(net, net.conv(net.qdq(net.node("DepthToSpace", y, blocksize=2, mode=mode), 0.0913), 4, 4, x_scale=0.0913), 0.1733)


@network("space_to_depth")
def space_to_depth(net):
    y = net.node("SpaceToDepth", net.x([1, 3, 6, 6]), blocksize=2)
    return end(net, net.conv(y, 12, 4), 0.1733)


@network("dropout")
def dropout(net):
    y = net.node("Dropout", net.node("Relu", net.conv(net.x([1, 3, 6, 6]), 3, 4)))
    return end(net, net.conv(net.node("Dropout", net.qdq(y, 0.0517, -128)), 4, 4), 0.0913)


@network("identity_and_cast")
def identity(net):
    y = net.node("Cast", net.node("Identity", net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 4), 0.0517)), to=F)
    return end(net, net.conv(y, 4, 4), 0.0913)


@network("cast_of_uint8_image")
def cast_of_input(net):
    y = net.node("Mul", net.node("Cast", net.input([1, 3, 6, 6], U8), to=F), net.const(1 / 255, np.float32))
    return end(net, net.conv(net.qdq(y, 1 / 255, -128), 3, 4, x_scale=1 / 255), 0.0081)


@network("normalised_input")
def normalised_input(net):
    mean, deviation = (net.const(np.array(v).reshape(1, 3, 1, 1), np.float32) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    y = net.node("Div", net.node("Sub", net.input([1, 3, 6, 6], F, scale=0.004), mean), deviation)
    return end(net, net.conv(net.qdq(y, 0.0187, -14), 3, 4, x_scale=0.0187), 0.04)


# Behind or instead of a convolution.


@network("batch_normalization_behind_conv")
def batch_norm(net):
    parts = [net.const(net.rng.uniform(low, high, 4), np.float32) for low, high in ((0.5, 1.5), (-1, 1), (-1, 1), (0.5, 2))]
    y = net.node("BatchNormalization", net.conv(net.x([1, 3, 6, 6]), 3, 4), *parts)
    return end(net, net.node("Relu", y), 0.0613, -128)


@network("batch_normalization_behind_q")
def batch_norm_behind_q(net):
    parts = [net.const(net.rng.uniform(low, high, 4), np.float32) for low, high in ((0.5, 1.5), (-1, 1), (-1, 1), (0.5, 2))]
    return end(net, net.node("BatchNormalization", net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 4), 0.0913), *parts), 0.1113)


@network("add_per_channel_behind_conv", "Add")
@network("mul_per_channel_behind_conv", "Mul")
def per_channel_behind_conv(net, op):
    c = net.const(net.rng.uniform(0.5, 1.5, [1, 4, 1, 1]), np.float32)
    return end(net, net.node(op, net.conv(net.x([1, 3, 6, 6]), 3, 4), c), 0.0913)


@network("pad_and_batch_normalization")
def pad_and_batch_norm(net):
    y = net.node("Pad", net.x([1, 3, 8, 8]), net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    y = net.conv(y, 3, 4, pads=[0] * 4, bias=False)
    parts = [net.const(net.rng.uniform(low, high, 4), np.float32) for low, high in ((0.5, 1.5), (-1, 1), (-1, 1), (0.5, 2))]
    return end(net, net.node("Relu", net.node("BatchNormalization", y, *parts)), 0.0613, -128)


GEMMS = {
    "trans_a": ({"transA": 1, "transB": 1}, 10), "alpha": ({"alpha": 0.5, "transB": 1}, 0),
    "alpha_and_c": ({"alpha": 0.5, "transB": 1}, 10), "beta": ({"beta": 0.25, "transB": 1}, 10),
    "beta_zero": ({"beta": 0.0, "transB": 1}, 10), "one_value_c": ({"transB": 1}, 1), "not_transposed": ({}, 10),
}
for _kind, (_attributes, _n) in GEMMS.items():

    @network(f"gemm_{_kind}", _attributes, _n)
    def gemm(net, attributes, n):
        x = net.x([32, 1] if attributes.get("transA") else [1, 32])
        w = net.weights([10, 32] if attributes.get("transB") else [32, 10], 0.00973, 0)
        return end(net, net.node("Gemm", x, w, *([net.bias(n, 0.0517)] if n else []), **attributes), net.wide(32, 0.0517, 0.00973))


@network("conv_transpose_2", [2, 2], [2, 2], [0] * 4)
@network("conv_transpose_3", [3, 3], [2, 2], [1] * 4)
def conv_transpose(net, kernel, strides, pads):
    y = net.node("ConvTranspose", net.x([1, 4, 5, 5]), net.weights([4, 3, *kernel], 0.00973, 0), net.bias(3, 0.0517),
                 kernel_shape=kernel, strides=strides, pads=pads)
    return end(net, y, 0.0813)


@network("conv_transpose_same", "SAME_UPPER")
@network("conv_transpose_same_lower", "SAME_LOWER")
def conv_transpose_same(net, auto_pad):
    y = net.node("ConvTranspose", net.x([1, 4, 5, 5]), net.weights([4, 3, 3, 3], 0.00973, 0), net.bias(3, 0.0517),
                 kernel_shape=[3, 3], strides=[2, 2], auto_pad=auto_pad)
    return end(net, y, 0.0813)


@network("padding_between_quantisers_on_ties")
def padding_between_quantisers(net):
    """Each tenth value of the second quantiser lies on a tie, and a bias between steps puts some sums beside theirs."""
    x = net.node("Pad", net.x([1, 16, 24, 48], 0.05, 100, F), net.ints(0, 0, 0, 2, 0, 0, 0, 1))
    scales = [0.005027679726481438, 0.0072175245732069016, 0.00984171498566866]
    weights = net.weights([3, 16, 3, 1], scales, [0, 0, 0])
    bias = net.node("DequantizeLinear", net.const([-1526, -1211, 463], np.int32), net.const(0.0005, np.float32))
    y = net.node("Conv", net.qdq(x, 0.5), weights, bias, kernel_shape=[3, 1], pads=[0, 3, 2, 2], strides=[2, 1])
    net.behind_ties = True
    return end(net, y, 0.3)


@network("conv_1d")
def conv_1d(net):
    return end(net, net.conv(net.x([1, 3, 32]), 3, 8, [5], strides=[2]), 0.0913)


@network("audio_4000_samples")
def audio(net):
    y = net.qdq(net.node("Relu", net.conv(net.x([1, 1, 4000]), 1, 8, [9], strides=[4])), 0.0513, -128)
    y = net.qdq(net.node("MaxPool", y, kernel_shape=[8], strides=[8]), 0.0513, -128)
    return end(net, net.conv(y, 8, 4, [3], x_scale=0.0513), 0.0913)


@network("unequal_pair_at_the_input", (0.0831, 3))
@network("unequal_zero_points_at_the_input", (0.0517, -20))
def unequal_pair_at_the_input(net, read):
    """Codes are made with the scale of the QuantizeLinear, and mean what the scale of the DequantizeLinear says."""
    x = net.dq(net.q(net.input([1, 3, 8, 6]), 0.0517, 3), *read)
    return end(net, net.conv(x, 3, 4, x_scale=read[0]), net.wide(27, read[0], 0.00973))


@network("unequal_pair_of_channels_last")
def unequal_pair_of_channels_last(net):
    q = net.q(net.input([1, 8, 6, 3]), 0.0517, 3)
    x = net.dq(net.node("Transpose", q, perm=[0, 3, 1, 2]), 0.0831, -7)
    return end(net, net.conv(x, 3, 4, x_scale=0.0831), net.wide(27, 0.0831, 0.00973))


@network("two_readers_of_one_quantiser", "Concat", {"axis": 1})
@network("sum_of_two_readers_of_one_quantiser", "Add", {})
def two_readers_of_one_quantiser(net, op, attributes):
    q = net.q(net.input([1, 8, 6, 6]), 0.0517, 3)
    return end(net, net.node(op, net.dq(q, 0.0517, 3), net.dq(q, 0.2113, -4), **attributes), 0.1519, 3)


@network("unequal_pair_to_the_output")
def unequal_pair_to_the_output(net):
    q = net.q(net.input([1, 16]), 0.0517, -7)
    net.output(net.dq(q, 0.0517, -7))
    net.output(net.dq(q, 0.2, 0))
    return net


@network("qlinear_conv_behind_another_scale")
def qlinear_conv_behind_another_scale(net):
    q = net.q(net.input([1, 3, 6, 6]), 0.0517, 3)
    w = net.const(net.rng.integers(-127, 128, [4, 3, 1, 1]), np.int8), *net.scale_of(0.00973, 0)
    net.output(net.node("QLinearConv", q, *net.scale_of(0.1033, -20), *w, *net.scale_of(0.2113, 7)), I8)
    return net


@network("qlinear_concat_of_one_tensor_twice", False)
@network("qlinear_concat_of_one_result_twice", True)
def qlinear_concat_of_one_tensor_twice(net, behind):
    x = net.input([1, 16, 4, 4], I8)
    if behind:
        w = net.const(net.rng.integers(-127, 128, [16, 16, 1, 1]), np.int8), *net.scale_of(0.00973, 0)
        x = net.node("QLinearConv", x, *net.scale_of(0.0517, -20), *w, *net.scale_of(0.2113, 7))
    parts = x, *net.scale_of(0.0517, -7), x, *net.scale_of(0.2113, 0)
    net.output(net.ms("QLinearConcat", *net.scale_of(0.1033, 3), *parts, axis=1), I8)
    return net


@network("matmul_of_a_list")
def matmul_of_a_list(net):
    y = net.node("MatMul", net.x([9]), net.weights([9, 5], axis=1))
    return end(net, y, net.wide(9, 0.0517, 0.00973))


@network("qlinear_softmax_of_the_input")
def qlinear_softmax_of_the_input(net):
    y = net.ms("QLinearSoftmax", net.input([1, 10], I8), *net.scale_of(0.0517, 3), *net.scale_of(1 / 256, -128), axis=1, opset=13)
    net.output(y, I8)
    return net


@network("concat_8_channels")
def concat_8(net):
    x = net.x([1, 3, 8, 8])
    parts = [net.qdq(net.node("Relu", net.conv(x, 3, 8, kernel)), 0.0817, -128) for kernel in (1, 3, 5)]
    y = net.qdq(net.node("Concat", *parts, axis=1), 0.0817, -128)
    return end(net, net.conv(y, 24, 4, 1, x_scale=0.0817), 0.1319)


# Pooling.


@network("global_max_pool")
def global_max_pool(net):
    return end(net, net.node("GlobalMaxPool", net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 8), 0.0913)), 0.0913)


@network("global_average_56")
def global_average_56(net):
    return end(net, net.node("GlobalAveragePool", net.x([1, 4, 56, 56])), 0.000713)


POOLS = {
    "plain": {}, "include_pad": {"count_include_pad": 1, "pads": [1] * 4}, "exclude_pad": {"pads": [1] * 4},
    "ceil": {"ceil_mode": 1, "strides": [2, 2]}, "ceil_exclude_pad": {"ceil_mode": 1, "strides": [2, 2], "pads": [1] * 4},
    "ceil_include_pad": {"ceil_mode": 1, "count_include_pad": 1, "strides": [2, 2], "pads": [1] * 4},
    "ceil_include_pad_unneeded": {"ceil_mode": 1, "count_include_pad": 1, "pads": [1] * 4},
}
for _kind, _attributes in POOLS.items():

    @network(f"average_pool_{_kind}", _attributes)
    def average_pool(net, attributes):
        size = 8 if "strides" in attributes else 7
        return codes(net, net.node("AveragePool", net.x([1, 4, size, size]), kernel_shape=[3, 3], **attributes), 0.0317, 5)


@network("average_pool_ties")
def average_pool_ties(net):
    return codes(net, net.node("AveragePool", net.x([1, 4, 8, 8]), kernel_shape=[2, 2], strides=[2, 2]), 0.0517, 3)


@network("max_pool_ceil")
def max_pool_ceil(net):
    y = net.node("MaxPool", net.x([1, 4, 8, 8]), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1)
    return end(net, y, 0.0517, 3)


@network("qlinear_average_pool")
def qlinear_average_pool(net):
    y = net.ms("QLinearAveragePool", net.input([1, 4, 7, 7], I8), *net.scale_of(0.0517, 3), *net.scale_of(0.0317, 5),
               kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    net.output(y, I8)
    return net


@network("qlinear_global_average_pool")
def qlinear_global_average_pool(net):
    y = net.input([1, 8, 6, 6], I8)
    net.output(net.ms("QLinearGlobalAveragePool", y, *net.scale_of(0.0517, 3), *net.scale_of(0.0091, 5)), I8)
    return net


@network("reduce_mean_and_max")
def reduce(net):
    x = net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 16), 0.0913)
    end(net, net.node("ReduceMean", x, net.ints(2, 3), keepdims=0), 0.0213)
    return end(net, net.node("ReduceMax", x, net.ints(2, 3), keepdims=0), 0.0913)


# Graphs.


@network("constant_shape_chain")
def shape_chain(net):
    y = net.qdq(net.conv(net.x([1, 3, 4, 4]), 3, 4), 0.0913)
    shape = net.node("Shape", y)
    first = net.node("Gather", shape, net.const(0, np.int64), axis=0)
    first = net.node("Unsqueeze", first, net.ints(0))
    rest = net.node("ReduceProd", net.node("Slice", shape, net.ints(1), net.ints(4), net.ints(0)), net.ints(0))
    y = net.node("Reshape", y, net.node("Concat", first, rest, axis=0))
    return end(net, net.dense(y, 64, 10, x_scale=0.0913), net.wide(64, 0.0913, 0.00973))


@network("constant_shape_chain_plain")
def shape_chain_plain(net):
    y = net.qdq(net.conv(net.x([1, 3, 4, 4]), 3, 4), 0.0913)
    first = net.node("Slice", net.node("Shape", y), net.ints(0), net.ints(1))
    y = net.node("Reshape", y, net.node("Concat", first, net.ints(-1), axis=0))
    return end(net, net.dense(y, 64, 10, x_scale=0.0913), net.wide(64, 0.0913, 0.00973))


@network("tensor_output_twice", act=np.uint8)
def output_twice(net):
    y = net.q(net.conv(net.x([1, 3, 6, 6], 0.0517, 120), 3, 4), 0.0913, 128)
    net.output(y, U8)
    net.output(net.dq(y))
    return net


@network("tensor_inside_is_output")
def output_inside(net):
    y = net.qdq(net.conv(net.x([1, 3, 6, 6]), 3, 4), 0.0913)
    net.output(y)
    return end(net, net.conv(y, 4, 4, x_scale=0.0913), 0.1319)


@network("two_quantisers_of_one_input")
def two_quantisers(net):
    x = net.input([1, 3, 6, 6], F)
    a, b = net.qdq(x, 0.0517, 3), net.qdq(x, 0.0311, -7)
    return end(net, net.node("Add", net.qdq(net.conv(a, 3, 4), 0.0913), net.qdq(net.conv(b, 3, 4, x_scale=0.0311), 0.0617)), 0.1127)


@network("two_quantisers_of_a_result")
def two_quantisers_of_result(net):
    y = net.conv(net.x([1, 3, 6, 6]), 3, 4)
    a, b = net.qdq(y, 0.0913, 3), net.qdq(y, 0.04, -7)
    return end(net, net.node("Add", a, b), 0.1319)


@network("requantised_twice")
def requantised_twice(net):
    return codes(net, net.qdq(net.x([1, 1, 16, 16], 0.0517, 0), 0.0719, 0), 0.1127)


@network("requantised_to_uint8", np.int8, np.uint8, 1.0, True)
@network("requantised_to_int8", np.uint8, np.int8, 1.0, True)
@network("requantised_to_uint8_read_without_zero_point", np.int8, np.uint8, 1.0, False)
@network("requantised_to_uint8_with_a_near_scale", np.int8, np.uint8, 1.0002, True)
def requantised_type(net, first, second, factor, explicit):
    """The same codes in the other type: the zero points differ by 128, as the types do."""
    zero = {np.int8: -128, np.uint8: 0}
    y = net.node("Relu", net.x([1, 3, 6, 6]))
    y = net.qdq(y, 0.0517, zero[first], first)
    y = net.node("QuantizeLinear", y, net.const(0.0517 * factor, np.float32), net.const(zero[second], second))
    quant = [net.const(0.0517 * factor, np.float32)] + [net.const(zero[second], second)] * explicit
    net.output(net.node("DequantizeLinear", y, *quant))
    return net


@network("read_with_another_scale")
def read_with_another_scale(net):
    y = net.q(net.conv(net.x([1, 3, 6, 6]), 3, 4), 0.0913, 3)
    return end(net, net.conv(net.dq(y, 0.0517, 1), 4, 4), 0.1319)


@network("batch_4")
def batch_4(net):
    y = net.qdq(net.node("Relu", net.conv(net.x([4, 3, 6, 6]), 3, 8)), 0.0517, -128)
    y = net.node("Flatten", net.node("GlobalAveragePool", y))
    return end(net, net.dense(net.qdq(y, 0.0171, -128), 8, 5, x_scale=0.0171), 0.0071)


@network("batch_4_add")
def batch_4_add(net):
    return codes(net, net.node("Add", net.x([4, 2, 4, 4], 0.0517), net.x([4, 2, 4, 4], 0.0311)), 0.0719)


ACROSS_BATCH = {
    "slice": lambda n, x: n.node("Slice", x, n.ints(0), n.ints(3), n.ints(0)),
    "softmax": lambda n, x: n.node("Softmax", x, axis=0),
    "concat": lambda n, x: n.node("Concat", x, x, axis=0),
    "transpose": lambda n, x: n.node("Transpose", x, perm=[1, 0, 2, 3]),
    "reshape": lambda n, x: n.node("Reshape", x, n.ints(1, 12, 5, 5)),
    "flatten": lambda n, x: n.node("Flatten", x, axis=0),
    "mean": lambda n, x: n.node("ReduceMean", x, n.ints(0)),
    "max": lambda n, x: n.node("ReduceMax", x, n.ints(0)),
    "gather": lambda n, x: n.node("Gather", x, n.ints(2, 0), axis=0),
    "pad": lambda n, x: n.node("Pad", x, n.ints(1, 0, 0, 0, 0, 0, 0, 0)),
    "add_constant": lambda n, x: n.node("Add", x, n.weights([4, 1, 1, 1], 0.017, 0)),
    "mul_constant": lambda n, x: n.node("Mul", x, n.const(n.rng.uniform(0.5, 1.5, [4, 1, 1, 1]), np.float32)),
    "squeeze": lambda n, x: n.node("Reshape", x, n.ints(4, -1)),
}
for _kind, _function in ACROSS_BATCH.items():

    @network(f"batch_4_{_kind}", _function)
    def across_batch(net, build):
        y = net.qdq(net.conv(net.x([4, 3, 5, 5]), 3, 3), 0.0613)
        return codes(net, build(net, y), 0.0417, 2)


@network("batch_4_argmax")
def batch_argmax(net):
    net.output(net.node("ArgMax", net.qdq(net.conv(net.x([4, 3, 5, 5]), 3, 3), 0.0613), axis=0), TensorProto.INT64)
    return net


@network("batch_4_split")
def batch_split(net):
    y = net.qdq(net.conv(net.x([4, 3, 5, 5]), 3, 3), 0.0613)
    for part in net.node("Split", y, net.ints(1, 3), n=2, axis=0):
        codes(net, part, 0.0613)
    return net


@network("batch_4_matmul")
def batch_matmul(net):
    y = net.node("MatMul", net.x([4, 6, 16]), net.weights([16, 12], 0.00973, 0))
    return end(net, net.node("Add", y, net.const(net.rng.uniform(-2, 2, 12), np.float32)), 0.0519)


@network("batch_4_rows")
def batch_rows(net):
    return end(net, net.dense(net.x([4, 32]), 32, 10), 0.0519)


@network("space_to_depth_crd", opset=28)
def space_to_depth_crd(net):
    return codes(net, net.node("SpaceToDepth", net.x([1, 2, 4, 6]), blocksize=2, mode="CRD"), 0.0613)


@network("float_network")
def float_network(net):
    y = net.input([1, 3, 8, 8], F)
    for n_in, n_out in ((3, 4), (4, 4), (4, 4)):
        w = net.const(net.rng.uniform(-0.3, 0.3, [n_out, n_in, 3, 3]), np.float32)
        y = net.node("Relu", net.node("Conv", y, w, pads=[1] * 4))
    net.output(y)
    return net


@network("activations_int8", act=np.int8)
@network("activations_uint8", act=np.uint8)
def whole_network(net):
    middle = 0 if net.act == np.int8 else 128
    low = LIMITS[net.act][0]
    y = net.qdq(net.node("Relu", net.conv(net.x([1, 3, 12, 12], 0.0517, middle + 3, kind=F), 3, 8, strides=[2, 2])), 0.0507, low)
    a = net.qdq(net.node("Relu", net.conv(y, 8, 8, x_scale=0.0507, group=8)), 0.0611, low)
    a = net.qdq(net.conv(a, 8, 8, 1, x_scale=0.0611), 0.0531, middle)
    y = net.qdq(net.node("Relu", net.node("Add", a, y)), 0.0507, low)
    y = net.qdq(net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), 0.0507, low)
    y = net.qdq(net.node("GlobalAveragePool", y), 0.0207, low)
    return end(net, net.dense(net.node("Flatten", y), 8, 10, x_scale=0.0207), 0.0113, middle)


for _opset in range(7, 29):

    @network(f"opset_{_opset:02}", opset=_opset, contrib_q=_opset < 13, ir=3 if _opset < 9 else 10)
    def opsets(net):
        y = net.qdq(net.node("Relu", net.conv(net.x([1, 3, 8, 8], kind=F), 3, 4, pads=[1] * 4)), 0.0517, -128)
        y = net.qdq(net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), 0.0517, -128)
        y = net.node("Reshape", y, net.ints(1, 64))
        return end(net, net.dense(y, 64, 10), net.wide(64, 0.0517, 0.00973))


@network("opset_10_onnx_quantisers", opset=10)
@network("opset_11_clip", opset=11)
@network("opset_12_onnx_quantisers", opset=12)
def old_opsets(net):
    y = net.conv(net.x([1, 3, 8, 8], kind=F), 3, 4)
    y = net.node("Clip", y, min=0.0, max=6.0) if net.opset < 11 else net.node(
        "Clip", y, net.const(0, np.float32), net.const(6, np.float32))
    y = net.qdq(y, 0.0517, -128)
    y = net.node("Flatten", net.qdq(net.node("GlobalAveragePool", y), 0.0207, -128))
    return end(net, net.dense(y, 4, 10, x_scale=0.0207), 0.0113)


def onnxruntime_values(net, model):
    """onnxruntime's values; it does not read the newest operator sets.

    The exact ones stand for them where an attribute is new, otherwise the operators mean what they did in 21.
    """
    if net.name == "space_to_depth_crd":
        return oracle.exact(model, net.feeds)
    if net.opset > 26:
        model = onnx.ModelProto.FromString(model.SerializeToString())
        model.opset_import[0].version = 21
    return oracle.by_onnxruntime(model, net.feeds)


def numbers(values):
    """Values for JSON: integers as they are, floats with the digits that float32 needs."""
    values = values.ravel()
    if values.dtype == np.float32:
        return [float(np.format_float_positional(v, unique=True, trim="0")) for v in values]
    return values.tolist()


def labels(output, batch):
    """The class that onnxruntime's first output gives each image, where it is a line of values or a place in one."""
    if output.shape[:1] != (batch,) and batch > 1:
        return {}
    images = output.reshape(batch, -1)
    if sum(size > 1 for size in output.shape[0 if batch == 1 else 1 :]) > 1 or images.shape[1] == 1 != (output.dtype == np.int64):
        return {}
    return {"labels": images[:, 0] if output.dtype == np.int64 else images.argmax(axis=1)}


def write(net):
    """Writes one network; gives how many values onnxruntime rounds another way than the exact twin."""
    wanted = onnxruntime_values(net, net.model({}))
    model = net.model({name: values.shape for name, values in wanted.items()})
    onnx.checker.check_model(model)
    (HERE / f"{net.name}.onnx").write_bytes(model.SerializeToString())
    np.savez_compressed(HERE / f"{net.name}.npz", **net.feeds, **labels(next(iter(wanted.values())), net.batch()))
    exact = oracle.exact(model, net.feeds)
    outputs, off = [], 0
    for name, values in wanted.items():
        equal, ties, differs = oracle.compare(exact[name], values, values, oracle.step_of(model, name))
        assert values.dtype == exact[name].dtype and values.shape == exact[name].shape, (net.name, name)
        entry = {"name": name, "type": values.dtype.name, "shape": list(values.shape)}
        step = oracle.step_of(model, name)
        if step not in (0.0, 1.0):
            entry["step"] = step
        entry["values"] = numbers(values)
        # Float arithmetic is off by a few units of the last place; where it is more, the exact value is the right one.
        far = values.dtype == np.float32 and np.any(np.abs(values - exact[name]) > 2 * np.spacing(np.abs(exact[name])))
        if ties or differs or far:
            entry["exact"] = numbers(exact[name])
        off += ties + differs
        # Without a last quantiser the sums of onnxruntime are off by the rounding of single precision alone.
        close = np.allclose(values, exact[name], rtol=1e-5, atol=1e-5) if step == 0.0 else differs == 0 or net.behind_ties
        assert close, f"{net.name}: {differs} values of `{name}` are not those of the twin"
        outputs.append(entry)
    text = ",\n".join(json.dumps(entry) for entry in outputs)
    (HERE / f"{net.name}.json").write_text(f"[{text}]\n")
    return off


def main():
    failed = []
    for name in sys.argv[1:] or sorted(NETWORKS):
        try:
            off = write(NETWORKS[name]())
            if off:
                print(f"{name}: {off} values lie on a tie that onnxruntime rounds another way")
        except Exception as error:  # noqa: BLE001
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    print(f"{len(NETWORKS)} networks, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
