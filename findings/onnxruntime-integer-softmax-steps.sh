#!/usr/bin/env bash
# onnxruntime's softmax of integers counts the steps of its output as one over a whole number.
#
# One would guess: `QLinearSoftmax` with the output scale 1/255, which static quantisation writes for probabilities, gives
#   255 for a probability of 1, as float softmax and QuantizeLinear do.
# What happens: the scale is replaced by 1 / floor(1 / scale). As a float32, 1/255 is a little more than 1/255, so that
#   floor gives 254: a certain class comes out as 254, and other values up to one step low.
# Who meets it: whoever compares an int8 or uint8 classifier with onnxruntime's optimised graph, step by step, or computes
#   the softmax elsewhere.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6 (CPython 3.11, x86-64).
# Source: run; the rule is in onnxruntime's contrib_ops/cpu/quantization/qlinear_softmax.cc.
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
from onnx import TensorProto, helper

print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__, "numpy", np.__version__)


def certain(scale):
    """The code of a class that is certain, with the output scale `scale` and zero point 0."""
    constants = [
        helper.make_tensor("xs", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("xz", TensorProto.UINT8, [], [0]),
        helper.make_tensor("ys", TensorProto.FLOAT, [], [scale]),
        helper.make_tensor("yz", TensorProto.UINT8, [], [0]),
    ]
    node = helper.make_node(
        "QLinearSoftmax", ["x", "xs", "xz", "ys", "yz"], ["y"], domain="com.microsoft", axis=-1, opset=13
    )
    info = [helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 4]) for name in "xy"]
    graph = helper.make_graph([node], "softmax", info[:1], info[1:], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return int(session.run(None, {"x": np.array([[0, 0, 200, 0]], np.uint8)})[0].max())


seen = {name: certain(scale) for name, scale in [("1/255", 1 / 255), ("1/256", 1 / 256), ("0.0040", 0.004)]}
print("code of a certain class by output scale:", seen)
expected = {"1/255": 254, "1/256": 255, "0.0040": 249}
sys.exit(0 if seen == expected else f"changed: {expected} was seen before")
PYTHON
