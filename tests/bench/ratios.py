#!/usr/bin/env python3
"""Prints the table of compare.sh: ratios.py FOLDER ROUNDS NAME...; FOLDER has coe-I-ROUND.json and torch-I-ROUND.json."""
import json
import pathlib
import statistics
import sys


def read(folder, program, workload, rounds):
    return [json.loads((folder / f"{program}-{workload}-{i}.json").read_text()) for i in range(rounds)]


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def column(runs, key):
    return [run[key] for run in runs]


def ratio(above, below):
    return spread([a / b for a, b in zip(column(above, "step_ms"), column(below, "step_ms"))])


def main():
    folder, rounds, names = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    coe = {name: read(folder, "coe", i, rounds) for i, name in enumerate(names)}
    torch = {name: read(folder, "torch", i, rounds) for i, name in enumerate(names)}
    print("| workload | coe ms | of the GEMM peak | PyTorch ms | of the GEMM peak | PyTorch / coe |")
    print("|---|---|---|---|---|---|")
    for name in names:
        cells = [spread(column(runs, key), digits) for runs in (coe[name], torch[name])
                 for key, digits in (("step_ms", 1), ("peak_fraction", 3))]
        print("| " + " | ".join([name, *cells, ratio(torch[name], coe[name])]) + " |")
    for size in ("W1", "W2"):
        chain, mixture = f"{size} CoE-2(4/64)", f"{size} MoE(8/64)"
        if chain in coe and mixture in coe:
            print(f"{size}: CoE-2(4/64) / MoE(8/64) is {ratio(coe[chain], coe[mixture])} here, "
                  f"{ratio(torch[chain], torch[mixture])} in PyTorch")


if __name__ == "__main__":
    main()
