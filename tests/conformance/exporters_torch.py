"""Writes `exported/`: what PyTorch's exporters and quantisers make of small networks with seeded weights.

    pip install torch==2.15.0 torchao==0.18.0 brevitas==0.13.4 onnxoptimizer==0.4.2 onnxscript==0.7.2 qonnx==1.0.0 \
        -r tests/conformance/requirements.txt
    python tests/conformance/exporters_torch.py [EXPORTER...]

A file is `EXPORTER-NETWORK-OPTION.onnx`; `exporters.py` makes a row of each.
"""

import contextlib
import io
import logging
import pathlib
import sys
import tempfile
import warnings

import onnx
import torch
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from torch import nn

from exporters import EXPORTED, Images

SHAPES = {"residual": [1, 3, 12, 12], "mobile": [1, 3, 12, 12], "mlp": [1, 24], "tokens": [1, 6, 16], "conv": [1, 3, 12, 12]}


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.depthwise = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.norm, self.pointwise, self.last = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1), nn.Linear(8, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(x + self.pointwise(torch.relu(self.depthwise(x))))
        x = nn.functional.adaptive_avg_pool2d(nn.functional.max_pool2d(x, 2), 1)
        return self.last(torch.flatten(x, 1))


class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.expand, self.last = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 1), nn.Conv2d(16, 8, 1)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)

    def forward(self, x):
        x = nn.functional.hardswish(self.first(x))
        y = nn.functional.silu(self.expand(x))
        s = nn.functional.relu(self.squeeze(nn.functional.adaptive_avg_pool2d(y, 1)))
        x = x + self.last(y * torch.sigmoid(self.excite(s)))
        return torch.flatten(nn.functional.adaptive_avg_pool2d(nn.functional.relu6(x), 1), 1)


def mlp():
    return nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 10))


def tokens():
    return nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))


NETWORKS = {"residual": Residual, "mobile": Mobile, "mlp": mlp, "tokens": tokens}


def seeded(network):
    torch.manual_seed(7)
    return NETWORKS[network]().eval(), torch.randn(SHAPES[network])


def export(model, example, file, **options):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        torch.onnx.export(model, (example,), file, input_names=["x"], **options)


def float_export(dynamo):
    """The float network by one of PyTorch's exporters, then onnxruntime's `quantize_static`."""

    def write(network, file, **options):
        model, example = seeded(network)
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "float.onnx"
            export(model, example, source, dynamo=dynamo, **({"external_data": False} if dynamo else {}))
            with contextlib.redirect_stdout(io.StringIO()):
                quantize_static(source, file, Images(SHAPES[network]), activation_type=QuantType.QInt8,
                                weight_type=QuantType.QInt8, quant_format=QuantFormat.QDQ, **options)

    return write


def pt2e(network, file, quantiser):
    """Quantisation after `torch.export`."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    model, example = seeded(network)
    prepared = prepare_pt2e(torch.export.export(model, (example,)).module(), quantiser())
    for _ in range(8):
        prepared(torch.randn(SHAPES[network]))
    export(convert_pt2e(prepared), example, file, dynamo=True, external_data=False)


def xnnpack(per_channel):
    def make():
        from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

        return XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=per_channel))

    return make


def x86_inductor():
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    return x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())


def trained(network, weight_bits, activation_bits):
    """Quantisation-aware layers of Brevitas, and an example of their input."""
    from brevitas import nn as qnn
    from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat, Uint8ActPerTensorFloat

    torch.manual_seed(7)
    weights = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": weight_bits}
    signed = {"act_quant": Int8ActPerTensorFloat, "bit_width": activation_bits}
    unsigned = {"act_quant": Uint8ActPerTensorFloat, "bit_width": activation_bits}
    if network == "mlp":
        model = nn.Sequential(
            qnn.QuantIdentity(**signed), qnn.QuantLinear(24, 32, True, **weights), qnn.QuantReLU(**unsigned),
            qnn.QuantLinear(32, 10, True, **weights), qnn.QuantIdentity(**signed))
    else:
        model = nn.Sequential(
            qnn.QuantIdentity(**signed), qnn.QuantConv2d(3, 8, 3, padding=1, **weights), qnn.QuantReLU(**unsigned),
            nn.MaxPool2d(2), qnn.QuantConv2d(8, 8, 3, padding=1, groups=8, **weights), qnn.QuantReLU(**unsigned),
            nn.Flatten(), qnn.QuantLinear(288, 10, True, **weights))
    example = torch.randn(SHAPES[network])
    for _ in range(8):
        model(torch.randn(SHAPES[network]))
    return model.eval(), example


def brevitas(network, file, **bits):
    """QuantizeLinear, Clip, DequantizeLinear, as Brevitas writes them."""
    from brevitas.export import export_onnx_qcdq

    model, example = trained(network, **bits)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        export_onnx_qcdq(model, args=example, export_path=str(file), dynamo=False, input_names=["x"])


def qonnx(network, file, **bits):
    """The nodes of QONNX, turned into those of ONNX by its own conversion."""
    from brevitas.export import export_qonnx
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.transformation.qonnx_to_qcdq import QuantToQCDQ
    from qonnx.util.cleanup import cleanup_model

    model, example = trained(network, **bits)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        export_qonnx(model, args=example, export_path=str(file), dynamo=False, input_names=["x"])
        wrapped = cleanup_model(ModelWrapper(str(file)))
        for step in (InferShapes(), InferDataTypes(), QuantToQCDQ()):
            wrapped = wrapped.transform(step)
        wrapped.save(str(file))


def jobs():
    for network in NETWORKS:
        for exporter, dynamo in (("torchscript", False), ("torch_export", True)):
            yield exporter, network, "quantize_static", float_export(dynamo), {}
            yield exporter, network, "quantize_static_per_channel", float_export(dynamo), {"per_channel": True}
        for option, quantiser in (
            ("xnnpack_per_tensor", xnnpack(False)), ("xnnpack_per_channel", xnnpack(True)), ("x86_inductor", x86_inductor),
        ):
            yield "pt2e", network, option, pt2e, {"quantiser": quantiser}
    for network in ("mlp", "conv"):
        for weights, activations in ((8, 8), (4, 8), (4, 4), (2, 4), (3, 6)):
            for exporter, write in (("brevitas", brevitas), ("qonnx", qonnx)):
                yield exporter, network, f"w{weights}a{activations}", write, {
                    "weight_bits": weights, "activation_bits": activations}


def main():
    chosen = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    EXPORTED.mkdir(exist_ok=True)
    for exporter, network, option, write, options in jobs():
        if chosen and exporter not in chosen:
            continue
        file = EXPORTED / f"{exporter}-{network}-{option}.onnx"
        try:
            write(network, file, **options)
        except Exception as error:  # noqa: BLE001 - said and left out
            file.unlink(missing_ok=True)
            print(f"{file.stem}: {type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error) else ''}", file=sys.stderr)
            continue
        # Where in PyTorch a node comes from, with paths of the machine, is no part of the network.
        model = onnx.load(file)
        for part in [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info,
                     *model.graph.initializer, *model.functions]:
            part.ClearField("metadata_props")
            part.ClearField("doc_string")
        onnx.save(model, file)


if __name__ == "__main__":
    main()
