#!/usr/bin/env bash
# The precise session of onnxruntime does not start where two nodes share a constant.
#
# One would guess: `session.x64quantprecision` = 1 changes how products are computed, and any file that runs without it runs
#   with it.
# What happens: where one int8 zero point serves two nodes, as quantize_static writes it, the step that turns uint8 weights
#   and activations round registers a constant of the same name twice, and the session does not start ("Attempt to replace
#   the existing tensor"). With a copy of the constant for each use it starts.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Who meets it: whoever asks for exact integers on files of quantize_static, PyTorch's exporters or Brevitas.
# Source: own measurement.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -m pip install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import copy, sys
import numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", ort.__version__, "onnx", onnx.__version__, "numpy", np.__version__)
random = np.random.default_rng(1)
constants = {
    "w": random.integers(-127, 128, (4, 4, 1, 1)).astype(np.int8),
    "v": random.integers(-127, 128, (4, 4, 1, 1)).astype(np.int8),
    "s": np.float32(1 / 64), "z": np.int8(0),
}
def conv(x, w, y):
    return [
        helper.make_node("DequantizeLinear", [x, "s", "z"], [x + "f"]),
        helper.make_node("DequantizeLinear", [w, "s", "z"], [w + "f"]),
        helper.make_node("Conv", [x + "f", w + "f"], [y + "f0"], kernel_shape=[1, 1]),
        helper.make_node("QuantizeLinear", [y + "f0", "s", "z"], [y]),
    ]
nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"])]
nodes += conv("a", "w", "b") + conv("b", "v", "c")
nodes += [helper.make_node("DequantizeLinear", ["c", "s", "z"], ["y"])]
graph = helper.make_graph(
    nodes, "two", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
    [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()])
shared = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(shared)

private = copy.deepcopy(shared)
tensors = {tensor.name: tensor for tensor in shared.graph.initializer}
for index, node in enumerate(private.graph.node):
    for operand, name in enumerate(node.input):
        if name in tensors:
            own = copy.deepcopy(tensors[name])
            own.name = node.input[operand] = f"{name}_{index}_{operand}"
            private.graph.initializer.append(own)
onnx.checker.check_model(private)

def starts(model, precise):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return "starts"
    except Exception as error:
        return f"does not start: {error}"

default, precise, copies = starts(shared, False), starts(shared, True), starts(private, True)
print("shared constants, default session:", default)
print("shared constants, precise session:", precise)
print("a copy for each use, precise session:", copies)
sys.exit(not (default == copies == "starts" and "Attempt to replace the existing tensor" in precise))
PYTHON
