#!/usr/bin/env bash
# The default session of onnxruntime computes other integers than the file says, on x86 CPUs without VNNI.
#
# One would guess: an int8 convolution between QuantizeLinear and DequantizeLinear is exact integer arithmetic, so that a
#   session gives the same bytes on every CPU.
# What happens: the optimiser turns int8 activations into uint8, and on a CPU with AVX2 and without VNNI the kernel adds two
#   products of uint8 and int8 in 16 bits and saturates. Large weights then give wrong sums, without a word. The entry
#   `session.x64quantprecision` = 1 gives the exact integers. On a CPU with VNNI both sessions are exact.
# Versions: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6; CPU with AVX2 and without AVX512-VNNI and AVX-VNNI.
# Who meets it: whoever compares an accelerator, or makes golden values, with a default session.
# Source: own measurement; the exact values are int64 sums of numpy.
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
flags = set(next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split())
vnni = bool(flags & {"avx512_vnni", "avx_vnni"})
print("CPU with VNNI" if vnni else "CPU without VNNI")

random = np.random.default_rng(1)
x = random.integers(-128, 128, (1, 8, 16, 16)).astype(np.int8)
w = random.integers(-127, 128, (8, 8, 3, 3)).astype(np.int8)
scale, zero = np.float32(1 / 256), np.int8(0)
out_scale = np.float32(0.125)  # Powers of two: the requantisation has no rounding of its own.
constants = {"w": w, "s": scale, "z": zero, "t": out_scale}
nodes = [
    helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
    helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xf"]),
    helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wf"]),
    helper.make_node("Conv", ["xf", "wf"], ["yf"], kernel_shape=[3, 3]),
    helper.make_node("QuantizeLinear", ["yf", "t", "z"], ["yq"]),
    helper.make_node("DequantizeLinear", ["yq", "t", "z"], ["y"]),
]
graph = helper.make_graph(
    nodes, "conv",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 14, 14])],
    [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)

def run(precise):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(np.float32) * scale})[0] / out_scale

windows = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.int64), (3, 3), (1, 2))
sums = np.einsum("cyxij,mcij->myx", windows, w.astype(np.int64))
exact = np.clip(np.rint(sums * (float(scale) ** 2 / float(out_scale))), -128, 127)[None]
default, precise = (int((run(mode) != exact).sum()) for mode in (False, True))
print(f"of {exact.size} values differ from the exact integers: default session {default}, precise session {precise}")
if vnni:
    print("this CPU has VNNI: the saturating kernel is not used, so only the precise session is judged")
    sys.exit(precise != 0)
sys.exit(not (default > 0 and precise == 0))
PYTHON
