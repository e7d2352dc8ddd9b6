#!/usr/bin/env bash
# onnxruntime's MaxPool leaves the dilations out of SAME padding, and its output is smaller than the shape that ONNX infers.
#
# One would guess: auto_pad SAME_UPPER and SAME_LOWER give ceil(size / stride), whatever the dilations.
# What happens: the padding is that of the kernel without its dilations. 10 rows become 8 at stride 1 and 4 at stride 2, while
#   the onnx package's shape inference says 10 and 5. There is a warning and no error. Conv with both refuses to run.
# Who meets it: whoever imports segmentation networks with dilated pools, or builds buffers by the inferred shapes.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6 (CPython 3.11, x86-64).
# Source: run; ONNX operator MaxPool, attribute auto_pad.
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
onnxruntime.set_default_logger_severity(3)


def sizes(stride, dilation):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 10, 10])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], auto_pad="SAME_UPPER",
                            strides=[stride] * 2, dilations=[dilation] * 2)
    model = helper.make_model(helper.make_graph([node], "pool", [x], [y]),
                              opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim[2].dim_value
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return inferred, session.run(None, {"x": np.zeros((1, 1, 10, 10), np.float32)})[0].shape[2]


seen = []
for stride in (1, 2):
    for dilation in (1, 2):
        inferred, ran = sizes(stride, dilation)
        seen.append((inferred, ran))
        print(f"stride {stride}, dilation {dilation}: inferred {inferred}, run {ran}")
expected = [(10, 10), (10, 8), (5, 5), (5, 4)]
sys.exit(0 if seen == expected else f"changed: {expected} before")
PYTHON
