"""What a network computes: by onnxruntime, exactly, and by Tilewright; and how the three compare.

`exact` is the twin of a network in double precision: every code is the exact real value of its node, rounded once to
the nearest step, halves to even. onnxruntime computes in single precision, so that it may round a value that lies on
such a half the other way; it never is more than one step off.
"""

import json
import math
import pathlib
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARCHS = ("edge", "both")
ULPS = 4


def by_onnxruntime(model, feeds):
    """The graph outputs by onnxruntime without graph optimisation: each node as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds)))


# The exact values.


def _along(vector, rank, axis):
    vector = np.asarray(vector)
    if vector.size == 1:
        return vector.reshape(())
    return vector.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


def _real(codes, scale, zero_point=None, axis=1):
    codes = np.asarray(codes)
    if zero_point is None:
        zero_point = np.zeros((), codes.dtype)
    shift = codes.astype(np.float64) - _along(zero_point, codes.ndim, axis).astype(np.float64)
    return shift * _along(scale, codes.ndim, axis)


def _code(real, scale, zero_point=None, axis=1):
    if zero_point is None:
        zero_point = np.zeros((), np.uint8)
    limits = np.iinfo(zero_point.dtype)
    steps = np.rint(real / _along(scale, real.ndim, axis)) + _along(zero_point, real.ndim, axis).astype(np.float64)
    return np.clip(steps, limits.min, limits.max).astype(zero_point.dtype)


def _gelu(x, approximate="none"):
    """Written without sums that cancel where the function nearly vanishes."""
    if approximate in ("tanh", b"tanh"):
        return x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * _erfc(-x / math.sqrt(2))


_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


class _Twin:
    """Runs the nodes of a model one after the other, in double precision."""

    def __init__(self, model):
        self.opsets = [entry for entry in model.opset_import if entry.domain == ""]
        self.graph = model.graph

    def run(self, feeds):
        tensors = {"": None}
        constants = [(tensor.name, numpy_helper.to_array(tensor)) for tensor in self.graph.initializer]
        for name, value in [*constants, *feeds.items()]:
            tensors[name] = value.astype(np.float64) if value.dtype == np.float32 else value
        for node in self.graph.node:
            args = [tensors[name] for name in node.input]
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            own = getattr(self, f"op_{node.op_type}", None)
            results = self.one(node, args) if own is None else own(*args, **attributes)
            for name, value in zip(node.output, results if isinstance(results, (list, tuple)) else [results]):
                value = np.asarray(value)
                tensors[name] = value.astype(np.float64) if value.dtype == np.float32 else value
        results = {output.name: tensors[output.name] for output in self.graph.output}
        return {name: v.astype(np.float32) if v.dtype == np.float64 else v for name, v in results.items()}

    def one(self, node, args):
        """The outputs of one node by the reference evaluator of the `onnx` package."""
        given = {name: arg for name, arg in zip(node.input, args) if name}
        infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
        model = helper.make_model(helper.make_graph([node], "one", infos, outputs), opset_imports=self.opsets)
        return ReferenceEvaluator(model).run(None, given)

    def call(self, op_type, *args, **attributes):
        names = [f"x{i}" if arg is not None else "" for i, arg in enumerate(args)]
        return self.one(helper.make_node(op_type, names, ["y"], **attributes), args)[0]

    # The operators that the evaluator has not, or not in double precision.

    def op_DequantizeLinear(self, x, scale, zero_point=None, axis=1, **_):
        return _real(x, scale, zero_point, axis)

    def op_QuantizeLinear(self, x, scale, zero_point=None, axis=1, output_dtype=0, **_):
        if zero_point is None and output_dtype == onnx.TensorProto.INT8:
            zero_point = np.zeros((), np.int8)
        return _code(x, scale, zero_point, axis)

    def op_Cast(self, x, to, **_):
        dtype = helper.tensor_dtype_to_np_dtype(to)
        return x.astype(np.float64 if dtype == np.float32 else dtype)

    def op_Erf(self, x):
        return _erf(x)

    def op_Gelu(self, x, approximate="none"):
        return _gelu(x, approximate)

    def op_HardSwish(self, x):
        return x * np.clip(x / 6 + 0.5, 0, 1)

    def op_Selu(self, x, alpha=float(np.float32(1.6732632)), gamma=float(np.float32(1.050701))):
        return gamma * np.where(x < 0, alpha * np.expm1(x), x)

    def op_Softmax(self, x, axis=None):
        if self.opsets[0].version < 13:
            rows = x.reshape(int(np.prod(x.shape[: 1 if axis is None else axis])), -1)
            return self.softmax(rows, 1).reshape(x.shape)
        return self.softmax(x, -1 if axis is None else axis)

    @staticmethod
    def softmax(x, axis):
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    def op_QLinearConv(self, x, xs, xz, w, ws, wz, ys, yz, bias=None, **attributes):
        y = self.call("Conv", _real(x, xs, xz), _real(w, ws, wz, 0), **attributes)
        if bias is not None:
            y = y + _along(bias * (xs * np.broadcast_to(ws.reshape(-1), bias.shape)), y.ndim, 1)
        return _code(y, ys, yz)

    def op_QLinearMatMul(self, a, a_s, az, b, bs, bz, ys, yz):
        return _code(_real(a, a_s, az, -2) @ _real(b, bs, bz, -1), ys, yz)

    def op_QGemm(self, a, a_s, az, b, bs, bz, c=None, ys=None, yz=None, alpha=1.0, transA=0, transB=0):
        a, b = _real(a, a_s, az), _real(b, bs, bz, 0 if transB else 1)
        y = alpha * ((a.T if transA else a) @ (b.T if transB else b))
        if c is not None:
            y = y + c * (alpha * a_s * bs)
        return y if ys is None else _code(y, ys, yz)

    def op_QLinearAdd(self, a, a_s, az, b, bs, bz, ys, yz=None):
        return _code(_real(a, a_s, az) + _real(b, bs, bz), ys, self.zero(a, yz))

    def op_QLinearMul(self, a, a_s, az, b, bs, bz, ys, yz=None):
        return _code(_real(a, a_s, az) * _real(b, bs, bz), ys, self.zero(a, yz))

    def op_QLinearSigmoid(self, x, xs, xz, ys, yz=None):
        return _code(1 / (1 + np.exp(-_real(x, xs, xz))), ys, self.zero(x, yz))

    def op_QLinearLeakyRelu(self, x, xs, xz, ys, yz=None, alpha=0.01):
        x_real = _real(x, xs, xz)
        return _code(np.where(x_real < 0, alpha * x_real, x_real), ys, self.zero(x, yz))

    def op_QLinearSoftmax(self, x, xs, xz, ys, yz=None, axis=-1, opset=13):
        return _code(self.softmax(_real(x, xs, xz), axis), ys, self.zero(x, yz))

    def op_QLinearAveragePool(self, x, xs, xz, ys, yz=None, **attributes):
        attributes.pop("channels_last", None)
        return _code(self.call("AveragePool", _real(x, xs, xz), **attributes), ys, self.zero(x, yz))

    def op_QLinearGlobalAveragePool(self, x, xs, xz, ys, yz=None, **_):
        return _code(_real(x, xs, xz).mean(axis=tuple(range(2, x.ndim)), keepdims=True), ys, self.zero(x, yz))

    def op_QLinearConcat(self, ys, yz, *operands, axis):
        parts = [_real(*operands[i : i + 3]) for i in range(0, len(operands), 3)]
        return _code(np.concatenate(parts, axis), ys, yz)

    @staticmethod
    def zero(like, zero_point):
        return np.zeros((), like.dtype) if zero_point is None else zero_point


def exact(model, feeds):
    """The graph outputs in double precision, rounded once for each QuantizeLinear; float outputs to float32."""
    return _Twin(model).run(feeds)


# How values compare.


def step_of(model, name):
    """The scale of the DequantizeLinear in front of the float output `name`, 1 for an integer output, else 0."""
    producers = {output: node for node in model.graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants |= {n.output[0]: n.attribute[0].t for n in model.graph.node if n.op_type == "Constant"}
    node = producers.get(name)
    while node is not None and node.op_type in ("Reshape", "Flatten", "Transpose", "Identity", "Squeeze", "Unsqueeze"):
        node = producers.get(node.input[0])
    if node is not None and node.op_type == "DequantizeLinear" and node.input[1] in constants:
        return float(numpy_helper.to_array(constants[node.input[1]]).max())
    kinds = {output.name: output.type.tensor_type.elem_type for output in model.graph.output}
    return 0.0 if kinds[name] == onnx.TensorProto.FLOAT else 1.0


def ulps(values, step):
    """How far floats may be from `values`; integers, whose step is 1, may not be off."""
    return 0.0 if step == 1.0 else ULPS * np.spacing(np.abs(values).astype(np.float32)).astype(np.float64)


def compare(got, want, exact_values, step):
    """How many of `got` are equal, one step off, and different.

    A value is equal where it is that of onnxruntime or the exact one, floats within 4 units of the last place.
    """
    got, want, exact_values = (np.asarray(v, np.float64).ravel() for v in (got, want, exact_values))
    if got.size != want.size:
        return 0, 0, max(got.size, want.size)
    equal = (np.abs(got - want) <= ulps(want, step)) | (np.abs(got - exact_values) <= ulps(exact_values, step))
    tie = ~equal & (np.abs(got - want) <= step * 1.0001 + ulps(want, step))
    return int(equal.sum()), int(tie.sum()), int((~equal & ~tie).sum())


# What Tilewright computes.


class Refused(Exception):
    """Tilewright does not run the file; `code` is the first that it gave."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def _first_code(error):
    related = error.get("related") or []
    return _first_code(related[0]) if related else (error["code"], error["message"])


class Tilewright:
    """A binary of Tilewright."""

    def __init__(self, binary=None):
        self.binary = str(pathlib.Path(binary or ROOT / "target/release/tilewright").resolve())

    def _command(self, *args):
        run = subprocess.run([self.binary, *map(str, args), "--json"], capture_output=True, text=True, timeout=120)
        try:
            answer = json.loads(run.stdout)
        except json.JSONDecodeError:
            answer = {"error": {"code": f"exit {run.returncode}", "message": run.stderr.strip().split("\n")[-1]}}
        return run.returncode, answer

    def bias_error(self, model):
        """How far a bias that lies between steps of its accumulator is off, at most, in steps of its layer's output."""
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(model.SerializeToString())
            file.flush()
            _, answer = self._command("check", file.name)
        return max((bias["steps"] for bias in answer["rounding"]["biases"]), default=0.0)

    def run(self, model, feeds):
        """The graph outputs of the reference, in the order of the graph, as flat lists.

        Raises Refused where the file is not imported, or fits no preset while `run` wants an artifact.
        """
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            file, data, outputs = folder / "network.onnx", folder / "inputs.npz", folder / "outputs.json"
            file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
            np.savez(data, **feeds)
            status, answer = self._command("check", file)
            if "error" in answer or answer["problems"]:
                error = answer["error"] if "error" in answer else answer["problems"][0]
                raise Refused(*_first_code(error))
            options = ["--device", "reference", "--data", data, "--images", "all", "--outputs", outputs]
            status, answer = self._command("run", file, *options)
            artifact = folder / "artifact.tw"
            for arch in ARCHS:
                if status == 0:
                    break
                status, compiled = self._command("compile", file, "--arch", arch, "-o", artifact)
                answer = compiled if status != 0 else answer
                if status == 0:
                    status, answer = self._command("run", artifact, *options)
            if status != 0:
                raise Refused(*_first_code(answer.get("error", {"code": f"exit {status}", "message": ""})))
            images = json.loads(outputs.read_text())
        return [_flat([image[i] for image in images]) for i in range(len(images[0]))]


def _flat(value):
    if isinstance(value, dict):
        value = value["values"] if "values" in value else list(value.values())
    if isinstance(value, list):
        return [number for part in value for number in _flat(part)]
    return [math.nan if value is None else float(value)]


def judge(tilewright, model, feeds, wanted=None, exact_values=None):
    """(equal, ties, differs) over all outputs of `model`; Refused as `Tilewright.run`."""
    wanted = by_onnxruntime(model, feeds) if wanted is None else wanted
    if exact_values is None or any(exact_values[name].shape != values.shape for name, values in wanted.items()):
        # The reference evaluator pools past the end in some cases that onnxruntime does not.
        exact_values = wanted
    got = tilewright.run(model, feeds)
    totals = [0, 0, 0]
    for i, (name, want) in enumerate(wanted.items()):
        values = got[i] if i < len(got) else []
        for j, n in enumerate(compare(values, want, exact_values[name], step_of(model, name))):
            totals[j] += n
    return tuple(totals)
