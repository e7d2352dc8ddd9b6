"""Runs AccelForge on one problem and prints one JSON object per run.

Reads one JSON object from the command line:
{"arch": NAME, "workload": NAME, "sizes": {...}, "objectives": [...], "repeat_first": bool}.
Runs in a process of its own, so that the first run is cold (it compiles and fills caches) and the others are warm.
"""

import json
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

from accelforge.frontend.mapping import Compute, Reservation, Spatial, Storage, Temporal
from accelforge.frontend.spec import Spec
from accelforge.mapper import Metrics
from accelforge.mapper.FFM import main as ffm
from accelforge.util.parallel import set_n_parallel_jobs

IMPORT_CPU_S = cpu_seconds() - started

OBJECTIVES = {
    "energy": Metrics.ENERGY,
    "latency": Metrics.LATENCY,
    "edp": Metrics.ENERGY_DELAY_PRODUCT,
}
HERE = pathlib.Path(__file__).resolve().parent


def main():
    request = json.loads(sys.argv[1])
    set_n_parallel_jobs(1)
    # The mapper writes a drawing to the working directory.
    os.chdir(tempfile.mkdtemp())
    objectives = list(request["objectives"])
    if request["repeat_first"]:
        objectives.append(objectives[0])
    for index, objective in enumerate(objectives):
        record = run(request, objective)
        record["start"] = "cold" if index == 0 else "warm"
        print(json.dumps(record), flush=True)


def run(request, objective):
    """Maps the problem and describes the result and what it took."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    spec = Spec.from_yaml(
        HERE / "archs" / f"{request['arch']}.yaml",
        HERE / "workloads" / f"{request['workload']}.yaml",
        jinja_parse_data=request["sizes"],
    )
    spec.mapper.metrics = OBJECTIVES[objective]
    pmappings, searched = [], {}
    make, join = ffm.make_pmappings, ffm.join_pmappings

    def keep_pmappings(*args, **kwargs):
        pmappings.append(make(*args, **kwargs))
        return pmappings[0]

    def keep_searched(*args, **kwargs):
        joined = join(*args, **kwargs)
        for name, unit in (("energy", 1e12), ("latency", 1e9), ("energy_delay_product", 1)):
            if f"Total<SEP>{name}" in joined.data:
                searched[name] = float(joined.data[f"Total<SEP>{name}"].iloc[0]) * unit
        return joined

    ffm.make_pmappings, ffm.join_pmappings = keep_pmappings, keep_searched
    try:
        mappings = ffm.map_workload_to_arch(spec, print_progress=False)
    finally:
        ffm.make_pmappings, ffm.join_pmappings = make, join
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    assert len(mappings.data) == 1, f"{len(mappings.data)} mappings for one objective"
    row = {key: value.iloc[0] for key, value in mappings.data.items()}
    actions = action_counts(row)
    cycles = component_cycles(actions, reported_cycles(row), spec)
    energy = energy_pj(actions, spec)
    # The Einsums run one after the other, each as fast as its slowest component.
    latency = sum(max(components.values()) for components in cycles.values())
    return {
        "objective": objective,
        "energy_pj": energy,
        "latency_cycles": latency,
        "edp_js": energy * 1e-12 * latency * 1e-9,
        # What the search believed, in float32; where it differs from the figures above, which its model gave for the
        # same mapping afterwards, the search and the model of this version contradict each other.
        "searched_float32": searched,
        "actions": actions,
        "component_cycles": cycles,
        "mapping": mapping_nodes(row["Total<SEP>mapping"]()),
        "mapspace": float(sum(pmappings[0].n_total_pmappings(per_einsum=True).values())),
        "valid": float(sum(pmappings[0].n_valid_pmappings(per_einsum=True).values())),
        "evaluated": float(sum(pmappings[0].n_evaluated_pmappings(per_einsum=True).values())),
        "kept": float(sum(pmappings[0].n_pareto_optimal_pmappings(per_einsum=True).values())),
        "cpu_s": round(cpu, 3),
        "wall_s": round(wall, 3),
        "import_cpu_s": round(IMPORT_CPU_S, 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "version": metadata.version("accelforge"),
    }


def action_counts(row):
    """The actions as {einsum: {component: {tensor: {action: count}}}}; of memories in bits, of compute in operations."""
    counts = {}
    for key, value in row.items():
        parts = key.split("<SEP>")
        if len(parts) == 5 and parts[1] == "action":
            einsum, _, component, tensor, action = parts
            tensors = counts.setdefault(einsum, {}).setdefault(component, {})
            tensors.setdefault(tensor, {})[action] = exact(value)
    return counts


def exact(value):
    """An integer where the value is one."""
    value = float(value)
    return int(value) if value.is_integer() else value


def energy_pj(actions, spec):
    """The energy of the counts, summed here because the mapper's own sum is a float32."""
    total = 0.0
    for components in actions.values():
        for component, tensors in components.items():
            costs = {action.name: float(action.energy) * 1e12 for action in spec.arch.find(component).actions}
            for counts in tensors.values():
                total += sum(count * costs[action] for action, count in counts.items() if count)
    return total


def reported_cycles(row):
    """Cycles at 1 GHz of each component by Einsum, as float32 seconds gave them."""
    cycles = {}
    for key, value in row.items():
        parts = key.split("<SEP>")
        if len(parts) == 3 and parts[1] == "latency":
            cycles.setdefault(parts[0], {})[parts[2]] = float(value) * 1e9
    return cycles


def component_cycles(actions, reported, spec):
    """The cycles of each component to full precision; each is held against the reported float32."""
    result = {}
    for einsum, components in reported.items():
        for component, float32 in components.items():
            tensors = actions[einsum].get(component, {})
            totals = {}
            for counts in tensors.values():
                for action, count in counts.items():
                    totals[action] = totals.get(action, 0) + count
            node = spec.arch.find(component)
            # Instances work side by side; how many do follows from the float32.
            rates = {action.name: throughput(action) for action in node.actions}
            busy = [total / rates[action] for action, total in totals.items()]
            cycles = max(busy, default=0) if "max" in str(node.total_latency) else sum(busy)
            if component == "Mac" and float32:
                cycles /= round(cycles / float32)
            assert abs(cycles - float32) <= 1e-5 * max(cycles, 1), (component, cycles, float32)
            result.setdefault(einsum, {})[component] = exact(cycles)
    return result


def throughput(action):
    """Actions a cycle at 1 GHz; infinite where the file says so."""
    return float(action.throughput) / 1e9


def mapping_nodes(mapping, depth=0):
    """The mapping from the outside in, one node per line; branches are indented."""
    lines = []
    for node in mapping.nodes:
        pad = "  " * depth
        if isinstance(node, Storage):
            lines.append(f"{pad}store {' '.join(sorted(node.tensors))} in {node.component}")
        elif isinstance(node, Temporal):
            lines.append(f"{pad}for {rank(node)} tile {node.tile_shape} times {node.calculated_n_iterations}")
        elif isinstance(node, Spatial):
            lines.append(f"{pad}spatial {node.name} {rank(node)} tile {node.tile_shape} times {node.calculated_n_iterations}")
        elif isinstance(node, Compute):
            lines.append(f"{pad}compute {node.einsum} on {node.component}")
        elif isinstance(node, Reservation):
            lines.append(f"{pad}reserve {' '.join(sorted(node.purposes))} in {node.resource}")
        elif hasattr(node, "nodes"):
            lines.append(f"{pad}{type(node).__name__.lower()}")
            lines.extend(mapping_nodes(node, depth + 1))
        else:
            lines.append(f"{pad}{node.compact_str()}")
    return lines


def rank(node):
    """The rank variables of a loop."""
    names = node.rank_variable
    return names if isinstance(names, str) else ",".join(sorted(names))


if __name__ == "__main__":
    main()
