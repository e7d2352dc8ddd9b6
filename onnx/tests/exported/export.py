"""Writes what PyTorch's two exporters make of one small quantised network, and what onnxruntime computes from it.

Written with torch 2.15.0, onnxscript, onnx and onnxruntime: python onnx/tests/exported/export.py

The quantised form has the spellings of each exporter: fake quantisation modules through TorchScript, and the operators of
PyTorch 2 Export quantisation, with weights in -127..127, through `torch.export`.
"""

import json
import pathlib

import numpy as np
import onnxruntime
import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
from torch import nn
from torch.nn import functional

HERE = pathlib.Path(__file__).parent
DECOMPOSED = torch.ops.quantized_decomposed


class Network(nn.Module):
    """Convolutions of all three kinds, a residual, pooling and a classifier; every scale is a power of two."""

    def __init__(self, by_export):
        super().__init__()
        self.by_export = by_export
        self.layers = nn.ModuleDict({
            "full": nn.Conv2d(1, 8, 3, padding=1),
            "depthwise": nn.Conv2d(8, 8, 3, padding=1, groups=8),
            "pointwise": nn.Conv2d(8, 16, 1),
            "residual": nn.Conv2d(16, 16, 3, padding=1),
            "classifier": nn.Linear(16, 10),
        })
        for name, layer in self.layers.items():
            rows = layer.weight.detach().flatten(1).abs().amax(1)
            self.register_buffer(f"{name}_scale", 2.0 ** torch.ceil(torch.log2(rows / 127)))
            layer.bias.data.zero_()

    def values(self, x, scale):
        if not self.by_export:
            return torch.fake_quantize_per_tensor_affine(x, scale, 0, -128, 127)
        steps = DECOMPOSED.quantize_per_tensor(x, scale, 0, -128, 127, torch.int8)
        return DECOMPOSED.dequantize_per_tensor(steps, scale, 0, -128, 127, torch.int8)

    def weights(self, name):
        weights, scale = self.layers[name].weight, getattr(self, f"{name}_scale")
        if not self.by_export:
            zero = torch.zeros(len(scale), dtype=torch.int32)
            return torch.fake_quantize_per_channel_affine(weights, scale, zero, 0, -128, 127)
        zero = torch.zeros(len(scale), dtype=torch.int64)
        steps = DECOMPOSED.quantize_per_channel(weights, scale, zero, 0, -127, 127, torch.int8)
        return DECOMPOSED.dequantize_per_channel(steps, scale, zero, 0, -127, 127, torch.int8)

    def conv(self, x, name):
        layer = self.layers[name]
        return functional.conv2d(x, self.weights(name), layer.bias, padding=layer.padding, groups=layer.groups)

    def forward(self, x):
        x = self.values(x, 2**-5)
        x = self.values(torch.relu(self.conv(x, "full")), 2**-6)
        x = self.values(torch.relu(self.conv(x, "depthwise")), 2**-7)
        x = self.values(torch.relu(self.conv(x, "pointwise")), 2**-8)
        x = self.values(torch.relu(x + self.values(self.conv(x, "residual"), 2**-8)), 2**-8)
        x = self.values(functional.max_pool2d(x, 2), 2**-8)
        x = self.values(functional.adaptive_avg_pool2d(x, 1), 2**-9)
        layer = self.layers["classifier"]
        x = functional.linear(torch.flatten(x, 1), self.weights("classifier"), layer.bias)
        return self.values(x, 2**-9)


def main():
    image = torch.zeros(1, 1, 8, 8)
    files = []
    for by_export, opsets in ((False, (13, 20)), (True, (18, 21))):
        torch.manual_seed(1)
        network = Network(by_export).eval()
        for opset in opsets:
            name = f"{'export' if by_export else 'script'}_{opset}.onnx"
            torch.onnx.export(
                network, (image,), HERE / name, opset_version=opset, dynamo=by_export,
                **({"external_data": False} if by_export else {}))
            files.append(name)
    steps = np.random.default_rng(2).integers(-128, 128, (4, 1, 1, 8, 8))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    cases = {}
    for name in files:
        session = onnxruntime.InferenceSession(HERE / name, options)
        feeds = [{session.get_inputs()[0].name: (one * 2.0**-5).astype(np.float32)} for one in steps]
        outputs = [session.run(None, feed)[0].ravel() * 2**9 for feed in feeds]
        cases[name] = [one.astype(int).tolist() for one in outputs]
    inputs = [one.ravel().tolist() for one in steps]
    (HERE / "expected.json").write_text(json.dumps({"inputs": inputs, "outputs": cases}) + "\n")


main()
