#!/usr/bin/env bash
# The optimiser of onnxruntime drops the first of two quantisations in a row.
#
# One would guess: optimisation keeps the values, so that a session with and one without it agree on a file of four nodes.
# What happens: QuantizeLinear, DequantizeLinear with one scale and again with another becomes one pair; the rounding of the
#   first is gone, and most int8 values come out different. The standard has both roundings.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Who meets it: whoever joins two quantised files, or quantises a branch to a scale of its own.
# Source: own measurement; the values of the standard are recomputed with numpy.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import sys
import numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", ort.__version__, "onnx", onnx.__version__, "numpy", np.__version__)
constants = {"s": np.float32(0.05), "t": np.float32(0.07), "z": np.int8(0)}
nodes = [
    helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
    helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
    helper.make_node("QuantizeLinear", ["b", "t", "z"], ["c"]),
    helper.make_node("DequantizeLinear", ["c", "t", "z"], ["y"]),
]
graph = helper.make_graph(
    nodes, "twice", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [256])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [256])],
    [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)

x = np.linspace(-7, 7, 256, dtype=np.float32)
def run(level):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]

def pair(value, scale):
    return np.clip(np.rint(value / scale), -128, 127).astype(np.float32) * scale
standard = pair(pair(x, constants["s"]), constants["t"])
default = int((run(ort.GraphOptimizationLevel.ORT_ENABLE_ALL) != standard).sum())
plain = int((run(ort.GraphOptimizationLevel.ORT_DISABLE_ALL) != standard).sum())
print(f"of {x.size} values differ from the standard: default session {default}, without optimisation {plain}")
sys.exit(not (default > 0 and plain == 0))
PYTHON
