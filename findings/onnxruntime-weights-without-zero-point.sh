#!/usr/bin/env bash
# The precise session of onnxruntime starts and then does not run, where weights have a scale for each channel and no zero
# point.
#
# One would guess: a zero point that is left out is zero, in every session.
# What happens: with `session.x64quantprecision` = 1 the optimiser turns int8 weights into uint8 and gives them one zero point
#   for all channels, which DequantizeLinear refuses at run time, for it wants one for each. The default session runs, and
#   so does the precise one where the zeros are written out.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Who meets it: whoever leaves out zero points, as the standard allows, and asks for exact integers.
# Source: own measurement.
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
random = np.random.default_rng(1)

def model(with_zero_points):
    constants, nodes = {}, []
    def conv(layer, x, y):
        constants[f"w{layer}"] = random.integers(-127, 128, (4, 4, 1, 1)).astype(np.int8)
        constants[f"ws{layer}"] = np.full(4, 1 / 64, np.float32)
        constants[f"wz{layer}"] = np.zeros(4, np.int8)
        for name in "abc":
            constants[f"s{name}{layer}"], constants[f"z{name}{layer}"] = np.float32(1 / 64), np.int8(0)
        weights = [f"w{layer}", f"ws{layer}"] + [f"wz{layer}"] * with_zero_points
        nodes.extend([
            helper.make_node("QuantizeLinear", [x, f"sa{layer}", f"za{layer}"], [f"q{layer}"]),
            helper.make_node("DequantizeLinear", [f"q{layer}", f"sb{layer}", f"zb{layer}"], [f"d{layer}"]),
            helper.make_node("DequantizeLinear", weights, [f"wf{layer}"], axis=0),
            helper.make_node("Conv", [f"d{layer}", f"wf{layer}"], [y], kernel_shape=[1, 1]),
        ])
    conv(0, "x", "h")
    conv(1, "h", "y")
    graph = helper.make_graph(
        nodes, "convs", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()])
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(result)
    return result.SerializeToString()

def runs(with_zero_points, precise):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = ort.InferenceSession(model(with_zero_points), options, ["CPUExecutionProvider"])
    except Exception as error:
        return f"does not start: {error}"
    try:
        session.run(None, {"x": np.zeros((1, 4, 8, 8), np.float32)})
        return "runs"
    except Exception as error:
        return f"starts, does not run: {error}"

left_out, precise, written = runs(False, False), runs(False, True), runs(True, True)
print("no zero points, default session:", left_out)
print("no zero points, precise session:", precise)
print("zero points written out, precise session:", written)
sys.exit(not (left_out == written == "runs" and precise.startswith("starts, does not run")))
PYTHON
