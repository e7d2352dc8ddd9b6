#!/usr/bin/env python3
"""Write digits_fused.npz: onnxruntime's int8 logits with all optimisations, that is with fused integer operators.

make_digits.py runs onnxruntime without optimisations, where the operators between DequantizeLinear and QuantizeLinear
work in float. `session.x64quantprecision` keeps CPUs without VNNI from saturating 16-bit sums on the way.
Needs only: numpy onnxruntime.
"""
from pathlib import Path

import numpy as np
import onnxruntime as ort

HERE = Path(__file__).resolve().parent
options = ort.SessionOptions()
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
options.add_session_config_entry("session.x64quantprecision", "1")
session = ort.InferenceSession(str(HERE.parent / "digits_int8.onnx"), options,
                               ["CPUExecutionProvider"])
test = np.load(HERE / "digits_test.npz")
images = (test["images"] / 16.0).astype(np.float32)
logits = session.run(None, {"image": images})[0]
np.savez_compressed(HERE / "digits_fused.npz", logits_int8=logits)
print(f"differ from the unfused logits: {int((logits != test['logits_int8']).sum())} of {logits.size}")
