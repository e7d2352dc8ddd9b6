#!/usr/bin/env python3
"""Holds the formulas of docs/rationale/accelforge-assumptions.md against every count AccelForge reported.

Walks each recorded mapping of a single Einsum and computes its action counts and the bits it occupies from the
formulas alone; prints each difference, and fails if there is one.

    bench/peers/accelforge/formulas.py
"""

import json
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
INPUT, WEIGHT, OUTPUT = "I", "W", "O"
# The tensors that an axis of the array delivers or reduces once for all its elements.
ALL = {INPUT, WEIGHT, OUTPUT}
GEMMINI = {"cols": {INPUT}, "rows": {OUTPUT}}
REUSED = {"gemmini16": GEMMINI, "tiny4": GEMMINI, "eyeriss168": {"rows": ALL, "cols": ALL}}
# Partial sums are 32 bits wide in these memories; everything else is 8.
WIDE = {"Accumulator", "SharedSram", "OutputSram", "OutputRegister"}
SIZES = {
    "gemmini16": {"Scratchpad": 2**21, "Accumulator": 2**19, "WeightRegister": 8},
    "tiny4": {"Scratchpad": 2**10, "Accumulator": 2**9, "WeightRegister": 8},
    "eyeriss168": {
        "SharedSram": 2**23, "WeightSram": 2**19, "OutputSram": 2**16,
        "InputRegister": 2**9, "WeightRegister": 2**9, "OutputRegister": 2**7,
    },
}


def main():
    runs = json.loads((HERE.parent / "results" / "accelforge.json").read_text())["runs"]
    checked, wrong = 0, 0
    for run in runs:
        if "failure" in run or run["arch"] not in REUSED:
            continue
        checked += 1
        for difference in differences(run):
            wrong += 1
            print(run["problem"], run["arch"], run["objective"], difference)
    print(f"{checked} mappings, {wrong} differences")
    sys.exit(wrong > 0)


def differences(run):
    nodes = [node for node in map(parse, run["mapping"])]
    (reported,) = run["actions"].values()
    for tensor in (INPUT, WEIGHT, OUTPUT):
        for memory, counts in tensor_counts(run, nodes, tensor).items():
            for action, count in counts.items():
                if count != reported[memory][tensor][action]:
                    yield f"{memory} {tensor} {action}: {reported[memory][tensor][action]}, the formula says {count}"
    for memory, bits in occupied(run, nodes).items():
        if bits > SIZES[run["arch"]][memory]:
            yield f"{memory}: {bits} bits do not fit"


def parse(line):
    """A node of the mapping as (kind, fields)."""
    if found := re.fullmatch(r"(store|reserve) (.*) in (\w+)", line):
        return found[1], (found[2].split(), found[3])
    if found := re.fullmatch(r"for (\w+) tile (\d+) times (\d+)", line):
        return "loop", (None, found[1], int(found[2]), int(found[3]))
    if found := re.fullmatch(r"spatial (\w+) (\w+) tile (\d+) times (\d+)", line):
        return "loop", (found[1], found[2], int(found[3]), int(found[4]))
    return "compute", ()


def tensor_counts(run, nodes, tensor):
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
            shared = axis and below == index and variable not in relevant and tensor in REUSED[run["arch"]][axis]
            repeats_first = axis or variable in alone
            received.repeat(times, repeats_first)
            if not shared:
                sent.repeat(times, repeats_first)
        parent = holders[index - 1][0]
        for place, passage in ((parent, (sent, "read", "write")), (memory, (received, "write", "read"))):
            moved, down, up = passage
            if place and tensor == OUTPUT:
                counts[place][down] += (moved.total - moved.first) * bits(place, tensor)
                counts[place][up] += moved.total * bits(place, tensor)
            elif place:
                counts[place][down] += moved.total * bits(place, tensor)
    return counts


class Passage:
    """Elements that pass a port, and how many of those are the first of their partial sums."""

    def __init__(self, tile):
        self.total = self.first = tile

    def repeat(self, times, repeats_first):
        self.total *= times
        self.first *= times if repeats_first else 1


def occupied(run, nodes):
    """Bits in use in one instance of each memory."""
    shape = {name: size for name, size in run["sizes"].items() if name != "stride"}
    used = {}
    for kind, fields in nodes:
        if kind == "loop":
            shape[fields[1]] = fields[2]
        elif kind == "reserve" and fields[1] != "Dram":
            for tensor in fields[0]:
                tile = footprint(projection(run, tensor), shape) * bits(fields[1], tensor)
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


def bits(memory, tensor):
    return 32 if tensor == OUTPUT and memory in WIDE else 8


if __name__ == "__main__":
    main()
