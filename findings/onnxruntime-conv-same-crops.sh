#!/usr/bin/env bash
# onnxruntime's Conv with SAME padding crops its input where the windows do not reach its end, and so moves every window.
#
# One would guess: SAME_UPPER adds padding or none; where a stride larger than the kernel leaves the last pixels out, the
#   windows begin at pixel 0, as in TensorFlow, where the attribute comes from, and in ONNX's own reference evaluator.
# What happens: the padding is computed as a negative number and half of it cuts pixels off in front. A kernel of 1 with stride 5
#   over 9 pixels reads pixels 1 and 6, with stride 4 over 8 pixels 1 and 5. SAME_LOWER does so from -4 on. No warning.
# Who meets it: whoever runs converted networks with strides above the kernel's size, and compares with another runtime.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6 (CPython 3.11, x86-64).
# Source: run; ONNX operator Conv, attribute auto_pad.
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
from onnx.reference import ReferenceEvaluator

print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__, "numpy", np.__version__)


def first_pixels(mode, kernel, stride, width):
    """Which pixel each window begins at: the pixels are their own positions, and the kernel takes the first of its own."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    w = helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 1, kernel], [1.0] + [0.0] * (kernel - 1))
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, kernel], auto_pad=mode, strides=[1, stride])
    model = helper.make_model(helper.make_graph([node], "conv", [x], [y], [w]),
                              opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    feeds = {"x": np.arange(width, dtype=np.float32).reshape(1, 1, 1, width)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ran, by_onnx = session.run(None, feeds)[0], ReferenceEvaluator(model).run(None, feeds)[0]
    return [values.ravel().astype(int).tolist() for values in (ran, by_onnx)]


cases = {
    ("SAME_UPPER", 1, 2, 8): ([0, 2, 4, 6], [0, 2, 4, 6]),
    ("SAME_UPPER", 1, 5, 9): ([1, 6], [0, 5]),
    ("SAME_UPPER", 1, 4, 8): ([1, 5], [0, 4]),
    ("SAME_LOWER", 1, 5, 9): ([0, 5], [0, 5]),
    ("SAME_LOWER", 2, 7, 20): ([1, 8, 15], [0, 7, 14]),
}
changed = False
for case, expected in cases.items():
    ran, by_onnx = first_pixels(*case)
    mode, kernel, stride, width = case
    print(f"{mode}, kernel {kernel}, stride {stride}, width {width}: onnxruntime {ran}, ONNX {by_onnx}")
    changed |= (ran, by_onnx) != expected
sys.exit("changed" if changed else 0)
PYTHON
