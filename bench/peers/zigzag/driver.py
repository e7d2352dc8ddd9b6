"""Runs ZigZag on one problem and prints one JSON object per run; the request is that of accelforge/driver.py.

Every option is ZigZag's default: three spatial mappings from its own generator, six loop factors to permute.
"""

import collections
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

started = time.process_time()
from importlib import metadata

from zigzag.api import get_hardware_performance_zigzag
from zigzag.stages.evaluation import cost_model_evaluation

IMPORT_CPU_S = time.process_time() - started
HERE = pathlib.Path(__file__).resolve().parent
OBJECTIVES = {"energy": "energy", "latency": "latency", "edp": "EDP"}
# The problem's rank variables by ZigZag's names, and its equation.
WORKLOADS = {
    "gemm": ({"B": "m", "K": "n", "C": "k"}, "O[b][k]+=W[k][c]*I[b][c]"),
    "conv": (
        {"K": "k", "C": "c", "OY": "p", "OX": "q", "FY": "r", "FX": "s"},
        "O[k][oy][ox]+=W[k][c][fy][fx]*I[c][iy][ix]",
    ),
    "depthwise": (
        {"G": "g", "OY": "p", "OX": "q", "FY": "r", "FX": "s"},
        "O[g][oy][ox]+=W[g][fy][fx]*I[g][iy][ix]",
    ),
}
MAPPING = """
- name: default
  memory_operand_links: {O: O, W: I2, I: I1}
"""
evaluations = 0


def main():
    request = json.loads(sys.argv[1])
    logging.disable(logging.CRITICAL)
    # It writes its outputs to the working directory.
    os.chdir(tempfile.mkdtemp())
    pathlib.Path("mapping.yaml").write_text(MAPPING)
    count_evaluations()
    objectives = list(request["objectives"])
    if request["repeat_first"]:
        objectives.append(objectives[0])
    for index, objective in enumerate(objectives):
        record = run(request, objective)
        record["start"] = "cold" if index == 0 else "warm"
        print(json.dumps(record), flush=True)


def count_evaluations():
    """Counts each mapping that the cost model sees."""
    model = cost_model_evaluation.CostModelEvaluation

    def counted(*args, **kwargs):
        global evaluations
        evaluations += 1
        return model(*args, **kwargs)

    cost_model_evaluation.CostModelEvaluation = counted


def run(request, objective):
    """Maps the problem and describes the result and what it took."""
    global evaluations
    evaluations = 0
    cpu, wall = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        energy, latency, results = get_hardware_performance_zigzag(
            workload=[layer(request)],
            accelerator=str(HERE / "archs" / f"{request['arch']}.yaml"),
            mapping="mapping.yaml",
            opt=OBJECTIVES[objective],
            dump_folder="outputs",
            loma_show_progress_bar=False,
        )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    (found,) = results[0][1]
    evaluation = found[0]
    return {
        "objective": objective,
        "energy_pj": energy,
        "latency_cycles": latency,
        "edp_js": energy * 1e-12 * latency * 1e-9,
        "ideal_cycles": float(evaluation.ideal_temporal_cycle),
        "mac_energy_pj": evaluation.mac_energy,
        "memory_energy_pj": memory_energy(evaluation),
        "mapping": mapping(evaluation),
        "evaluated": evaluations,
        "cpu_s": round(cpu, 3),
        "wall_s": round(wall, 3),
        "import_cpu_s": round(IMPORT_CPU_S, 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "version": metadata.version("zigzag-dse"),
    }


def layer(request):
    """The problem as a layer of ZigZag."""
    names, equation = WORKLOADS[request["workload"]]
    described = {
        "id": 0,
        "operator_type": "Gemm" if request["workload"] == "gemm" else "Conv",
        "equation": equation,
        "loop_dims": list(names),
        "loop_sizes": [request["sizes"][name] for name in names.values()],
        "operand_precision": {"W": 8, "I": 8, "O": 32, "O_final": 8},
        "operand_source": {"I": 0, "W": 0},
    }
    if request["workload"] != "gemm":
        stride = request["sizes"]["stride"]
        described["dimension_relations"] = [f"ix={stride}*ox+1*fx", f"iy={stride}*oy+1*fy"]
        described["pr_loop_dims"] = ["IX", "IY"]
        described["padding"] = [[0, 0], [0, 0]]
    return described


def memories(evaluation, operand):
    """Names of the memories of an operand, from the array outwards."""
    memory_operand = evaluation.memory_operand_links.layer_to_mem_op(operand)
    return [level.memory_instance.name for level in evaluation.mem_hierarchy_dict[memory_operand]]


def memory_energy(evaluation):
    """Energy in pJ by operand and memory."""
    return {
        str(operand): dict(zip(memories(evaluation, operand), map(float, energies)))
        for operand, energies in evaluation.mem_energy_breakdown.items()
    }


def mapping(evaluation):
    """The mapping so that it can be replayed.

    `spatial` lists what each axis of the array unrolls.
    `loops` are the temporal loops from the inside out; all operands share them.
    `levels` gives for each operand and memory, from the inside out, how many of the innermost loops run on the tile
    it keeps.
    """
    temporal = evaluation.temporal_mapping.mapping_dic_origin
    levels, orders = {}, []
    for operand, by_level in temporal.items():
        inside, levels[str(operand)] = 0, collections.OrderedDict()
        orders.append([[str(name), size] for loops in by_level for name, size in loops])
        for memory, loops in zip(memories(evaluation, operand), by_level):
            inside += len(loops)
            levels[str(operand)][memory] = inside
    assert all(order == orders[0] for order in orders), orders
    spatial = evaluation.layer.spatial_mapping
    covered = collections.Counter({str(name): 1 for name in evaluation.layer.layer_dim_sizes.layer_dims})
    for name, size in orders[0] + [pair for unrolled in spatial.values() for pair in unrolled.items()]:
        covered[str(name)] *= size
    for name, size in evaluation.layer.layer_dim_sizes.items():
        assert covered[str(name)] >= size, f"the loops cover {covered[str(name)]} of {name}, which is {size}"
    return {
        "spatial": {
            str(axis): {str(name): float(size) for name, size in unrolled.items()} for axis, unrolled in spatial.items()
        },
        "loops": orders[0],
        "levels": levels,
    }


if __name__ == "__main__":
    main()
