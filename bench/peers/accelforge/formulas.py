#!/usr/bin/env python3
"""The formulas of docs/rationale/accelforge-assumptions.md.

Run by itself, it walks each recorded mapping of a single Einsum, computes the action counts, the bits it occupies,
energy and cycles from the formulas alone, prints each difference to what AccelForge reported, and fails if there is one.

    bench/peers/accelforge/formulas.py
"""

import json
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
INPUT, WEIGHT, OUTPUT = "I", "W", "O"
ROLES = {"input": INPUT, "weight": WEIGHT, "output": OUTPUT}


def main():
    runs = json.loads((HERE.parent / "results" / "accelforge.json").read_text())["runs"]
    checked, wrong = 0, 0
    for run in runs:
        if "failure" in run or len(run["actions"]) > 1:
            continue
        checked += 1
        for difference in differences(run):
            wrong += 1
            print(run["problem"], run["arch"], run["objective"], difference)
    print(f"{checked} mappings, {wrong} differences")
    sys.exit(wrong > 0)


class Arch:
    """What the formulas need of an architecture file, of which it reads the few forms ours use."""

    def __init__(self, name):
        self.bits, self.reused, self.energy, self.rate = {}, {}, {}, {}
        self.wide, self.separate_ports = set(), set()
        component = None
        for line in (HERE / "archs" / f"{name}.yaml").read_text().splitlines():
            if found := re.match(r" +name: (\w+)", line):
                component = found[1]
            elif (found := re.match(r" +size: (.+)", line)) and found[1] != "inf":
                self.bits[component] = math.prod(int(factor) for factor in found[1].split("*"))
            elif "total_latency: max(" in line:
                self.separate_ports.add(component)
            elif "bits_per_value: {output: 32}" in line:
                self.wide.add(component)
            elif found := re.search(r"- {name: (\w+), fanout: \d+(?:, may_reuse: (\w+))?[,}]", line):
                self.reused[found[1]] = {ROLES[found[2]]} if found[2] else set(ROLES.values())
            elif found := re.search(r"- {name: (\w+), energy: (\S+)e-12, throughput: (inf|\S+e9)}", line):
                self.energy[component, found[1]] = float(found[2])
                self.rate[component, found[1]] = float(found[3].removesuffix("e9"))
        self.compute = component

    def width(self, memory, tensor):
        """Bits of one value of the tensor in the memory."""
        return 32 if tensor == OUTPUT and memory in self.wide else 8

    def cost(self, counts, macs, elements):
        """Energy in pJ and cycles of action counts by memory and tensor, with so many elements computing."""
        energy, cycles = macs * self.energy[self.compute, "compute"], macs / elements
        for memory, tensors in counts.items():
            total = {action: sum(by_tensor[action] for by_tensor in tensors.values()) for action in ("read", "write")}
            energy += sum(bits * self.energy[memory, action] for action, bits in total.items())
            busy = [bits / self.rate[memory, action] for action, bits in total.items()]
            cycles = max(cycles, max(busy) if memory in self.separate_ports else sum(busy))
        return energy, cycles


def differences(run):
    """What the formulas say otherwise than AccelForge."""
    arch, nodes = Arch(run["arch"]), [parse(line) for line in run["mapping"]]
    (reported,) = run["actions"].values()
    counts = {}
    for tensor in ROLES.values():
        for memory, actions in tensor_counts(arch, run, nodes, tensor).items():
            counts.setdefault(memory, {})[tensor] = actions
            for action, count in actions.items():
                if count != reported[memory][tensor][action]:
                    yield f"{memory} {tensor} {action}: {reported[memory][tensor][action]}, the formula says {count}"
    for memory, bits in occupied(arch, run, nodes).items():
        if bits > arch.bits[memory]:
            yield f"{memory}: {bits} bits do not fit"
    elements = math.prod(fields[3] for kind, fields in nodes if kind == "loop" and fields[0])
    cost = arch.cost(counts, reported[arch.compute]["None"]["compute"], elements)
    for name, computed in zip(("energy_pj", "latency_cycles"), cost):
        if not math.isclose(computed, run[name], rel_tol=1e-12):
            yield f"{name}: {run[name]}, the formula says {computed}"


def parse(line):
    """A node of the mapping as (kind, fields)."""
    if found := re.fullmatch(r"(store|reserve) (.*) in (\w+)", line):
        return found[1], (found[2].split(), found[3])
    if found := re.fullmatch(r"for (\w+) tile (\d+) times (\d+)", line):
        return "loop", (None, found[1], int(found[2]), int(found[3]))
    if found := re.fullmatch(r"spatial (\w+) (\w+) tile (\d+) times (\d+)", line):
        return "loop", (found[1], found[2], int(found[3]), int(found[4]))
    return "compute", ()


def tensor_counts(arch, run, nodes, tensor):
    """Bits read and written in each memory for one tensor."""
    ranks = projection(run, tensor)
    alone = {terms[0][1] for terms in ranks if len(terms) == 1}
    relevant = {variable for terms in ranks for _, variable in terms}
    shape = {name: size for name, size in run["sizes"].items() if name != "stride"}
    holders, loops = [], []
    for kind, fields in nodes:
        if kind == "loop":
            loops.append((len(holders), *fields))
            shape[fields[1]] = fields[2]
        elif kind == "store" and tensor in fields[0]:
            holders.append((fields[1], footprint(ranks, shape), len(loops)))
        elif kind == "compute":
            holders.append((None, 1, len(loops)))
    counts = {memory: {"read": 0, "write": 0} for memory, _, _ in holders[:-1]}
    for index in range(1, len(holders)):
        memory, tile, above = holders[index]
        # What passes the parent's port, and what passes the ports of all instances below the array.
        sent, received = Passage(tile), Passage(tile)
        for below, axis, variable, _, times in loops[:above]:
            shared = axis and below == index and variable not in relevant and tensor in arch.reused[axis]
            repeats_first = axis or variable in alone
            received.repeat(times, repeats_first)
            if not shared:
                sent.repeat(times, repeats_first)
        parent = holders[index - 1][0]
        for place, passage in ((parent, (sent, "read", "write")), (memory, (received, "write", "read"))):
            moved, down, up = passage
            if place and tensor == OUTPUT:
                counts[place][down] += (moved.total - moved.first) * arch.width(place, tensor)
                counts[place][up] += moved.total * arch.width(place, tensor)
            elif place:
                counts[place][down] += moved.total * arch.width(place, tensor)
    return counts


class Passage:
    """Elements that pass a port, and how many of those are the first of their partial sums."""

    def __init__(self, tile):
        self.total = self.first = tile

    def repeat(self, times, repeats_first):
        self.total *= times
        self.first *= times if repeats_first else 1


def occupied(arch, run, nodes):
    """Bits in use in one instance of each memory."""
    shape = {name: size for name, size in run["sizes"].items() if name != "stride"}
    used = {}
    for kind, fields in nodes:
        if kind == "loop":
            shape[fields[1]] = fields[2]
        elif kind == "reserve" and fields[1] != "Dram":
            for tensor in fields[0]:
                tile = footprint(projection(run, tensor), shape) * arch.width(fields[1], tensor)
                used[fields[1]] = used.get(fields[1], 0) + tile
    return used


def projection(run, tensor):
    """The ranks of a tensor, each a sum of (coefficient, rank variable)."""
    stride = run["sizes"].get("stride")
    window = [[(stride, "p"), (1, "r")], [(stride, "q"), (1, "s")]]
    names = {
        "gemm": {INPUT: "mk", WEIGHT: "kn", OUTPUT: "mn"},
        "conv": {INPUT: "c", WEIGHT: "kcrs", OUTPUT: "kpq"},
        "depthwise": {INPUT: "g", WEIGHT: "grs", OUTPUT: "gpq"},
    }[run["workload"]][tensor]
    single = [[(1, name)] for name in names]
    return single + window if stride and tensor == INPUT else single


def footprint(ranks, shape):
    """Elements of the tensor that a tile of the iteration space touches, gaps of a stride included."""
    return math.prod(1 + sum(coefficient * (shape[variable] - 1) for coefficient, variable in terms) for terms in ranks)


if __name__ == "__main__":
    main()
