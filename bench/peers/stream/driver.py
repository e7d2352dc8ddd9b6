"""Runs Stream on one attention head and prints one JSON object per run.

Its model gives cycles only, and its hardware files describe other machines than ours do: of the request only the sizes
are used, on the two-core array with a vector core that Stream brings along (`fusemax.yaml`).
"""

import contextlib
import io
import json
import logging
import os
import pathlib
import resource
import sys
import tempfile
import time


def cpu_seconds():
    """CPU seconds of this process and of its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


started = cpu_seconds()
from importlib import metadata

import onnx
import stream
from onnx import TensorProto, helper
from stream.api import SolveOptions, evaluate_mapping

IMPORT_CPU_S = cpu_seconds() - started
HARDWARE = pathlib.Path(stream.__file__).parent / "inputs" / "examples" / "hardware" / "fusemax.yaml"


def main():
    request = json.loads(sys.argv[1])
    logging.disable(logging.CRITICAL)
    # It writes its outputs to the working directory.
    os.chdir(tempfile.mkdtemp())
    onnx.save(attention_head(**request["sizes"]), "head.onnx")
    for start in ("cold", "warm") if request["repeat_first"] else ("cold",):
        print(json.dumps(run() | {"start": start}), flush=True)


def attention_head(sequence, model, head):
    """One head with its projections, in bfloat16."""
    kind = TensorProto.BFLOAT16

    def tensor(name, *shape):
        return helper.make_tensor_value_info(name, kind, shape)

    def weight(name):
        return helper.make_tensor(name, kind, (model, head), bytes(2 * model * head), raw=True)

    nodes = [helper.make_node("MatMul", ["x", f"w{name}"], [name], name=f"project_{name}") for name in "qkv"]
    nodes += [
        helper.make_node("Transpose", ["k"], ["kt"], name="transpose", perm=[1, 0]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["weights"], name="softmax", axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["y"], name="values"),
    ]
    graph = helper.make_graph(
        nodes,
        "head",
        [tensor("x", sequence, model)],
        [tensor("y", sequence, head)],
        [weight(f"w{name}") for name in "qkv"],
        value_info=[tensor(name, sequence, head) for name in "qkv"]
        + [tensor("kt", head, sequence), tensor("scores", sequence, sequence), tensor("weights", sequence, sequence)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def run():
    """Maps the head and describes the result and what it took."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        estimate = evaluate_mapping(str(HARDWARE), "head.onnx", "outputs", options=SolveOptions(artifacts=False))
    return {
        "objective": "latency",
        "latency_cycles": estimate.cycles,
        "cpu_s": round(cpu_seconds() - cpu, 3),
        "wall_s": round(time.perf_counter() - wall, 3),
        "import_cpu_s": round(IMPORT_CPU_S, 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "version": metadata.version("stream-dse"),
    }


if __name__ == "__main__":
    main()
