"""What exporters write, and what Tilewright makes of it: the table `exporters.md`.

    pip install -r tests/conformance/requirements.txt
    cargo build --release
    python tests/conformance/exporters.py [--tilewright PATH] [--check]

onnxruntime's `quantize_static` runs in all its options over five small networks with seeded weights. Files of the
other exporters are committed in `exported/`, so that the table can be checked without PyTorch and TensorFlow;
`exporters_torch.py` and `exporters_tf.py` wrote them. Values are onnxruntime's without graph optimisation. Exit status 1 if a value differs
without a bias that `check` lists as off, or if a row that imported in the table does not any more; `--check` leaves the
table as it is. A value that a bias moves over a tie differs from onnxruntime's in all that is computed from it.
"""

import argparse
import contextlib
import io
import logging
import pathlib
import re
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

import oracle

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "exporters.md"
EXPORTED = HERE / "exported"
IMAGES = 8


class Float:
    """A float graph under construction."""

    def __init__(self, name, shape):
        self.name, self.shape = name, shape
        self.rng = np.random.default_rng(len(name))
        self.nodes, self.constants = [], []

    def const(self, value, dtype=np.float32):
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def node(self, op, *inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], f"{op}_{len(self.nodes)}", **attributes))
        return name

    def random(self, *shape):
        return self.const(self.rng.normal(0, 1 / np.sqrt(np.prod(shape[1:]) or 1), shape))

    def conv(self, x, n_in, n_out, kernel=3, group=1, **attributes):
        parts = self.random(n_out, n_in // group, kernel, kernel), self.const(self.rng.normal(0, 0.3, n_out))
        return self.node("Conv", x, *parts, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, group=group, **attributes)

    def batch_norm(self, x, n):
        uniform = [self.const(self.rng.uniform(low, 1.5, n)) for low in (0.5, -1, -1, 0.5)]
        return self.node("BatchNormalization", x, *uniform)

    def model(self, output):
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, self.name, [x], [y], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def residual():
    net = Float("residual", [1, 3, 12, 12])
    y = net.node("Relu", net.conv("x", 3, 8, strides=[2, 2]))
    z = net.conv(net.node("Relu", net.conv(y, 8, 8)), 8, 8)
    y = net.node("Relu", net.node("Add", y, z))
    y = net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.node("Flatten", net.node("GlobalAveragePool", y))
    return net.model(net.node("Gemm", y, net.random(10, 8), net.const(net.rng.normal(0, 1, 10)), transB=1))


def mlp():
    net = Float("mlp", [1, 24])
    y = "x"
    for n_in, n_out in ((24, 32), (32, 16), (16, 10)):
        y = net.node("Add", net.node("MatMul", y, net.random(n_in, n_out)), net.const(net.rng.normal(0, 0.5, n_out)))
        y = net.node("Relu", y) if n_out != 10 else y
    return net.model(net.node("Softmax", y))


def mobile():
    net = Float("mobile", [1, 3, 12, 12])
    y = net.node("HardSwish", net.conv("x", 3, 8, strides=[2, 2]))
    z = net.node("HardSwish", net.conv(net.conv(y, 8, 16, 1), 16, 16, group=16))
    s = net.node("Relu", net.conv(net.node("GlobalAveragePool", z), 16, 4, 1))
    z = net.node("Mul", z, net.node("HardSigmoid", net.conv(s, 4, 16, 1), alpha=1 / 6, beta=0.5))
    y = net.node("Add", y, net.conv(z, 16, 8, 1))
    y = net.node("Clip", y, net.const(0.0), net.const(6.0))
    return net.model(net.node("Flatten", net.node("GlobalAveragePool", net.conv(y, 8, 10, 1))))


def unet():
    net = Float("unet", [1, 3, 12, 12])
    a = net.node("LeakyRelu", net.conv("x", 3, 16), alpha=0.1)
    b = net.node("AveragePool", a, kernel_shape=[2, 2], strides=[2, 2])
    b = net.node("Relu", net.conv(b, 16, 16))
    b = net.node("Resize", b, "", net.const([1, 1, 2, 2]), mode="nearest", nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric")
    return net.model(net.node("Sigmoid", net.conv(net.node("Concat", a, b, axis=1), 32, 2)))


def batch_norm():
    """BatchNormalization that nobody folded, so that quantisers come between it and the convolution."""
    net = Float("batch_norm", [1, 3, 12, 12])
    y = net.node("Relu", net.batch_norm(net.conv("x", 3, 8, strides=[2, 2]), 8))
    y = net.batch_norm(net.conv(y, 8, 8, group=8), 8)
    return net.model(net.node("Flatten", net.node("GlobalAveragePool", net.conv(y, 8, 10, 1))))


NETWORKS = {"residual": residual, "mlp": mlp, "mobile": mobile, "unet": unet, "batch_norm": batch_norm}

S8, U8 = QuantType.QInt8, QuantType.QUInt8


def types(activation, weight, form=QuantFormat.QDQ, **options):
    return {"activation_type": activation, "weight_type": weight, "quant_format": form, **options}


def extra(**options):
    return types(S8, S8, extra_options=options)


STATIC = {
    "QDQ s8s8": types(S8, S8), "QDQ u8s8": types(U8, S8), "QDQ u8u8": types(U8, U8), "QDQ s8u8": types(S8, U8),
    **{f"QOperator {name}": types(*pair, QuantFormat.QOperator)
       for name, pair in {"s8s8": (S8, S8), "u8s8": (U8, S8), "u8u8": (U8, U8)}.items()},
    "per_channel": types(S8, S8, per_channel=True), "per_channel u8u8": types(U8, U8, per_channel=True),
    "per_channel QOperator": types(S8, S8, QuantFormat.QOperator, per_channel=True),
    "per_channel reduce_range u8s8": types(U8, S8, per_channel=True, reduce_range=True),
    "reduce_range": types(S8, S8, reduce_range=True),
    "Entropy": types(S8, S8, calibrate_method=CalibrationMethod.Entropy),
    "Percentile": types(S8, S8, calibrate_method=CalibrationMethod.Percentile),
    "Distribution": types(S8, S8, calibrate_method=CalibrationMethod.Distribution),
    "ActivationSymmetric": extra(ActivationSymmetric=True), "WeightSymmetric=False": extra(WeightSymmetric=False),
    "QuantizeBias=False": extra(QuantizeBias=False), "DedicatedQDQPair": extra(DedicatedQDQPair=True),
    "AddQDQPairToWeight": extra(AddQDQPairToWeight=True), "UseQDQContribOps": extra(UseQDQContribOps=True),
    "QDQKeepRemovableActivations": extra(QDQKeepRemovableActivations=True),
    "QDQDisableWeightAdjustForInt32Bias": extra(QDQDisableWeightAdjustForInt32Bias=True),
    "ForceQuantizeNoInputCheck": extra(ForceQuantizeNoInputCheck=True),
    "MatMulConstBOnly": extra(MatMulConstBOnly=True), "CalibMovingAverage": extra(CalibMovingAverage=True),
    "CalibTensorRangeSymmetric": extra(CalibTensorRangeSymmetric=True),
    "op_types_to_quantize Conv, Gemm, MatMul": types(S8, S8, op_types_to_quantize=["Conv", "Gemm", "MatMul"]),
    "nodes_to_exclude the last": types(S8, S8, nodes_to_exclude="last"),
    "after quant_pre_process": types(S8, S8, pre_process=True),
    "QDQ int16 activations": types(QuantType.QInt16, S8), "QDQ int4 weights": types(S8, QuantType.QInt4),
}


class Images(CalibrationDataReader):
    """Eight seeded images of `shape`."""

    def __init__(self, shape):
        rng = np.random.default_rng(5)
        self.images = iter([{"x": rng.normal(0, 1, shape).astype(np.float32)} for _ in range(8)])

    def get_next(self):
        return next(self.images, None)


def quantised(network, options, folder):
    """The file that `quantize_static` makes of `network`."""
    model, options = NETWORKS[network](), dict(options)
    source, result = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model, source)
    if options.pop("pre_process", False):
        quant_pre_process(source, folder / "processed.onnx")
        source = folder / "processed.onnx"
    if options.get("nodes_to_exclude") == "last":
        options["nodes_to_exclude"] = [model.graph.node[-1].name]
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    quantize_static(source, result, Images(shape), **options)
    return onnx.load(result)


def dynamic(network, folder):
    onnx.save(NETWORKS[network](), folder / "float.onnx")
    quantize_dynamic(folder / "float.onnx", folder / "int8.onnx")
    return onnx.load(folder / "int8.onnx")


def images_of(model):
    """Seeded images for the inputs of a file."""
    rng = np.random.default_rng(6)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]

    def image(value):
        shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.elem_type == TensorProto.INT8:
            return rng.integers(-128, 128, shape).astype(np.int8)
        return rng.normal(0, 1, shape).astype(np.float32)

    return [{value.name: image(value) for value in inputs} for _ in range(IMAGES)]


def joined(runs):
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def result(tilewright, model):
    """The last cells of a row."""
    images = images_of(model)
    wanted = joined([oracle.by_onnxruntime(model, image) for image in images])
    try:
        exact = joined([oracle.exact(model, image) for image in images])
    except Exception:  # noqa: BLE001 - an operator of onnxruntime's own, as in dynamic quantisation
        exact = wanted
    try:
        equal, ties, differs = oracle.judge(tilewright, model, joined(images), wanted, exact)
    except oracle.Refused as refusal:
        return "no", "", "", "", f"`{refusal.code}`: {refusal.message}".replace("|", "\\|")
    bias_error = tilewright.bias_error(model)
    why = f"a bias is off by up to {bias_error:.3f} steps" if bias_error > 0 else ""
    return "yes", str(equal), str(ties), str(differs), why


def rows(tilewright):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for network in NETWORKS:
            for name, options in STATIC.items():
                try:
                    with contextlib.redirect_stdout(io.StringIO()):
                        model = quantised(network, options, folder)
                except Exception as error:  # noqa: BLE001 - what onnxruntime itself does not do
                    message = str(error).splitlines()[0] if str(error) else type(error).__name__
                    yield "quantize_static", network, name, "no file", "", "", "", message[:80].replace("|", "\\|")
                    continue
                yield "quantize_static", network, name, *result(tilewright, model)
            yield "quantize_dynamic", network, "default", *result(tilewright, dynamic(network, folder))
    for file in sorted(EXPORTED.glob("*.onnx")):
        exporter, network, option = file.stem.split("-", 2)
        yield exporter, network, option, *result(tilewright, onnx.load(file))


def parsed(text):
    found = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (yes|no) \|", text, re.M)
    return {tuple(row[:3]): row[3] for row in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tilewright", help="the binary, target/release/tilewright if it is not given")
    parser.add_argument("--check", action="store_true", help="leave the table as it is")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    found = list(rows(oracle.Tilewright(args.tilewright)))
    before = parsed(TABLE.read_text()) if TABLE.exists() else {}
    faults = [f"{row[:3]}: {row[6]} values differ" for row in found if row[6] not in ("", "0") and not row[7]]
    faults += [f"{row[:3]}: imported before, now {row[7]}" for row in found if before.get(row[:3]) == "yes" and row[3] != "yes"]
    n_yes, n_no = (sum(row[3] == kind for row in found) for kind in ("yes", "no"))
    summary = f"{len(found)} rows: {n_yes} import, {n_no} are refused, {len(found) - n_yes - n_no} have no file"
    if not args.check:
        lines = [
            "# Exporters", "", "Written by `tests/conformance/exporters.py`, which says what the networks and options are.",
            f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, numpy {np.__version__}.",
            f"{summary}.", "A tie is a value one step from onnxruntime's and from the exact one.", "",
            "| exporter | network | option | imports | equal | ties | differs | why |", "|---|---|---|---|---|---|---|---|",
        ]
        TABLE.write_text("\n".join(lines + ["| " + " | ".join(row) + " |" for row in found]) + "\n")
    print(summary)
    for fault in faults:
        print(f"not as before, or wrong: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
