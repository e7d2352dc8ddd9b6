"""Runs the node tests of the `onnx` package through Tilewright's reference and writes the table `results.md`.

    pip install -r tests/conformance/requirements.txt
    cargo build --release
    python tests/conformance/run.py [--tilewright PATH] [--check] [CASE...]

Quantised operators and those on bytes run as they are written, with every input but the first as a constant, against
the values of the node tests. Float operators run between QuantizeLinear and DequantizeLinear, whose scales are powers of two, against
onnxruntime. Exit status 1 if a value differs, or if a case that was equal in the table is not any more; `--check` leaves
the table as it is, and so do named cases, which print what they met instead.
"""

import argparse
import pathlib
import re
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import oracle

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "results.md"

AS_WRITTEN = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul")
# Operators whose first input alone is an activation; the others are constants, of these kinds.
ONE = {
    **dict.fromkeys(
        "Abs ArgMax AveragePool Cast DepthToSpace Elu Exp Flatten Gelu GlobalAveragePool GlobalMaxPool HardSigmoid "
        "HardSwish Identity LeakyRelu MaxPool Neg Relu Sigmoid Softmax Softplus SpaceToDepth Swish Tanh Transpose".split(),
        (),
    ),
    **dict.fromkeys("Pad ReduceMax ReduceMean Reshape Resize Slice Split Squeeze Unsqueeze Gather".split(), ("as is",) * 4),
    "Dropout": ("as is", "as is"), "Clip": ("as is", "as is"), "PRelu": ("as is",), "BatchNormalization": ("as is",) * 4,
    "Conv": ("weights", "bias"), "ConvTranspose": ("weights", "bias"), "Gemm": ("weights", "bias"), "MatMul": ("weights",),
}
# Operators of which all inputs are activations, and those that also run with a constant as the second one.
ALL = ("Add", "Concat", "Div", "Mul", "Sub")
WITH_CONSTANT = ("Add", "Div", "Mul", "Sub")


def cases():
    """The node tests of one node on floats or bytes, in the order of their names."""
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    known = {*AS_WRITTEN, *ONE, *ALL}
    found = [case for case in collect_testcases(None) if len(case.model.graph.node) == 1]
    found = [case for case in found if case.model.graph.node[0].op_type in known and case.model.graph.node[0].domain == ""]
    found = [case for case in found if first_type(case) in (TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8)]
    # What dropout does in training is random.
    found = [case for case in found if "training_dropout" not in case.name and case.name != "test_dropout_random_old"]
    return sorted(found, key=lambda case: case.name)


def first_type(case):
    """The type of the first input, by the values where the file has none."""
    first = arrays(case.data_sets[0][0])[:1]
    return helper.np_dtype_to_tensor_dtype(first[0].dtype) if first and isinstance(first[0], np.ndarray) and first[0].size else None


def arrays(values):
    return [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in values]


def feeds_of(case):
    inputs, _ = case.data_sets[0]
    return dict(zip([i.name for i in case.model.graph.input], arrays(inputs)))


def as_written(case):
    """The case with every input but the first as a constant, its input and its own values."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    feeds = feeds_of(case)
    first, *rest = [i.name for i in model.graph.input]
    for name in rest:
        model.graph.initializer.append(numpy_helper.from_array(feeds.pop(name), name))
    del model.graph.input[1:]
    outputs = arrays(case.data_sets[0][1])
    return model, feeds, dict(zip([o.name for o in model.graph.output], outputs))


def power_of_two(values):
    """The smallest power of two on which `values` fit int8."""
    largest = float(np.abs(values).max()) if values.size else 0.0
    return np.float32(2.0 ** np.ceil(np.log2(largest / 127))) if largest > 0 else np.float32(1)


class Wrapped:
    """A node between quantisers, under construction."""

    def __init__(self, case):
        self.source = case.model
        self.values = feeds_of(case)
        self.nodes, self.constants, self.inputs, self.feeds = [], [], [], {}

    def constant(self, value, name):
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def quantisers(self, name, scale):
        """DequantizeLinear of QuantizeLinear of `name`."""
        quant = self.constant(np.float32(scale), f"{name}.scale"), self.constant(np.int8(0), f"{name}.zero")
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *quant], [f"{name}.codes"]))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{name}.codes", *quant], [f"{name}.real"]))
        return f"{name}.real"

    def activation(self, name):
        value = self.values[name]
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
        self.feeds[name] = value
        return self.quantisers(name, power_of_two(value))

    def weights(self, name, scale, dtype):
        codes = np.rint(self.values[name] / scale).astype(dtype)
        parts = [self.constant(codes, f"{name}.codes"), self.constant(np.float32(scale), f"{name}.scale")]
        self.nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}.real"]))
        return f"{name}.real"

    def model(self, constant_operand):
        node = onnx.NodeProto.FromString(self.source.graph.node[0].SerializeToString())
        names = list(node.input)
        kinds = ("activation",) * len(names) if node.op_type in ALL else ("activation", *ONE[node.op_type])
        if constant_operand:
            kinds = ("activation", "weights")
        scales = [power_of_two(self.values[name]) if name else None for name in names]
        for i, (name, kind) in enumerate(zip(names, kinds)):
            if not name:
                continue
            if kind == "activation":
                names[i] = self.activation(name) if f"{name}.real" not in names else f"{name}.real"
            elif kind == "weights":
                names[i] = self.weights(name, scales[i], np.int8)
            elif kind == "bias":
                names[i] = self.weights(name, scales[0] * scales[1], np.int32)
            else:
                self.constant(self.values[name], name)
        node.ClearField("input")
        node.input.extend(names)
        self.nodes.append(node)
        plain = self.build([(o.name, o.type.tensor_type.elem_type) for o in self.source.graph.output])
        real = oracle.exact(plain, self.feeds)
        outputs = []
        for output in self.source.graph.output:
            kind = output.type.tensor_type.elem_type
            if kind == TensorProto.FLOAT:
                outputs.append((self.quantisers(output.name, power_of_two(real[output.name])), kind))
            else:
                outputs.append((output.name, kind))
        return self.build(outputs), self.feeds

    def build(self, outputs):
        infos = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs]
        graph = helper.make_graph(self.nodes, "wrapped", self.inputs, infos, self.constants)
        opset = max(13, self.source.opset_import[0].version)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def result(tilewright, model, feeds, wanted=None):
    """The last cell of a row."""
    try:
        exact = oracle.exact(model, feeds)
    except Exception:  # noqa: BLE001 - the evaluator lacks the type or the operator
        exact = None
    if wanted is None:
        try:
            wanted = oracle.by_onnxruntime(model, feeds)
        except Exception:  # noqa: BLE001 - onnxruntime lacks the operator set or the kernel
            wanted = exact
    try:
        if wanted is None:
            tilewright.run(model, feeds)
            return "no values to compare with"
        equal, ties, differs = oracle.judge(tilewright, model, feeds, wanted, exact or wanted)
    except oracle.Refused as refusal:
        return f"refused: `{refusal.code}`"
    if differs:
        return f"differs: {differs} of {equal + ties + differs}"
    return f"equal: {equal}" + (f", ties: {ties}" if ties else "")


def rows(tilewright, chosen):
    for case in cases():
        name = case.name.removeprefix("test_")
        if chosen and name not in chosen:
            continue
        op = case.model.graph.node[0].op_type
        if op in AS_WRITTEN or first_type(case) != TensorProto.FLOAT:
            yield name, "as written", result(tilewright, *as_written(case))
            continue
        for form in ("wrapped", "wrapped, constant operand") if op in WITH_CONSTANT else ("wrapped",):
            try:
                model, feeds = Wrapped(case).model(constant_operand=form != "wrapped")
            except Exception as error:  # noqa: BLE001
                yield name, form, f"not tried: {str(error).splitlines()[0][:60]}"
                continue
            yield name, form, result(tilewright, model, feeds)


def parsed(text):
    found = re.findall(r"^\| `(\S+)` \| ([^|]+) \| (.+) \|$", text, re.M)
    return {(case, form): outcome for case, form, outcome in found}


def kind(outcome):
    return "ties" if ", ties" in outcome else outcome.split(":")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tilewright", help="the binary, target/release/tilewright if it is not given")
    parser.add_argument("--check", action="store_true", help="leave the table as it is")
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    found = list(rows(oracle.Tilewright(args.tilewright), args.cases))
    counts = {}
    for _, _, outcome in found:
        counts[kind(outcome)] = counts.get(kind(outcome), 0) + 1
    summary = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
    before = parsed(TABLE.read_text()) if TABLE.exists() else {}
    lost = [
        f"{case} ({form}): {outcome}, was {before[case, form]}"
        for case, form, outcome in found
        if kind(before.get((case, form), "")) in ("equal", "ties") and kind(outcome) not in ("equal", "ties")
    ]
    differs = [f"{case} ({form}): {outcome}" for case, form, outcome in found if kind(outcome) == "differs"]
    if args.cases:
        print("\n".join(map(" | ".join, found)))
    elif not args.check:
        lines = [
            "# Conformance with the node tests of ONNX", "",
            "Written by `tests/conformance/run.py`, which says what the forms are.",
            f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, numpy {np.__version__}.",
            f"{len(found)} cases: {summary}.",
            "A tie is a value one step from onnxruntime's and from the exact one.", "",
            "| case | form | result |", "|---|---|---|",
        ]
        lines += [f"| `{case}` | {form} | {outcome} |" for case, form, outcome in found]
        TABLE.write_text("\n".join(lines) + "\n")
    print(f"{len(found)} cases: {summary}")
    for line in [*lost, *differs]:
        print(f"not as before, or wrong: {line}")
    sys.exit(1 if lost or differs else 0)


if __name__ == "__main__":
    main()
