#!/usr/bin/env bash
# onnxruntime's fused quantised Add rounds ties another way than the graph that it replaces, where the zero point is odd.
#
# One would guess: fusing DequantizeLinear, Add and QuantizeLinear keeps what QuantizeLinear says: round half to even, then
#   add the zero point.
# What happens: the fused kernel adds the zero point first and rounds then. With an even zero point both are the same; with
#   an odd one every sum on a tie comes out one step apart. Where one scale is half of the other's output, that is every
#   second sum.
# Who meets it: whoever compares a quantised residual network between sessions, or with another runtime, byte for byte.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6 (CPython 3.11, x86-64).
# Source: run; ONNX operator QuantizeLinear, version 21.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__, "numpy", np.__version__)


def run(zero_point, level):
    """Sums of all pairs of -8 to 7 at scale 0.25, in steps of 0.5: half of them lie on ties."""
    constant = {"s": np.float32(0.25), "z": np.int8(0), "ys": np.float32(0.5), "yz": np.int8(zero_point)}
    nodes = [helper.make_node("DequantizeLinear", [x, "s", "z"], [x + "r"]) for x in "ab"]
    nodes += [helper.make_node("Add", ["ar", "br"], ["r"]), helper.make_node("QuantizeLinear", ["r", "ys", "yz"], ["y"])]
    inputs = [helper.make_tensor_value_info(x, TensorProto.INT8, [1, 256]) for x in "ab"]
    output = helper.make_tensor_value_info("y", TensorProto.INT8, [1, 256])
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in constant.items()]
    model = helper.make_model(helper.make_graph(nodes, "add", inputs, [output], constants),
                              opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    a, b = (codes.reshape(1, 256).astype(np.int8) for codes in np.meshgrid(range(-8, 8), range(-8, 8)))
    return a.astype(int) + b, session.run(None, {"a": a, "b": b})[0].astype(int)


levels = onnxruntime.GraphOptimizationLevel
seen = []
for zero_point in (4, 5):
    sums, fused = run(zero_point, levels.ORT_ENABLE_ALL)
    _, plain = run(zero_point, levels.ORT_DISABLE_ALL)
    by_onnx = np.rint(sums / 2).astype(int) + zero_point
    first_zero = np.rint(sums / 2 + zero_point).astype(int)
    seen.append([int((fused != by_onnx).sum()), int((plain != by_onnx).sum()), int((fused != first_zero).sum())])
    print(f"zero point {zero_point}, 256 sums, {int((sums % 2).sum())} on ties: fused differs from ONNX in {seen[-1][0]}, "
          f"unfused in {seen[-1][1]}; fused from the zero point added first in {seen[-1][2]}")
expected = [[0, 0, 0], [128, 0, 0]]
sys.exit(0 if seen == expected else f"changed: {expected} before")
PYTHON
