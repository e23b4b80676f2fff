#!/usr/bin/env python3
# test: timeout=600 timing
"""The pool advisor's prediction of time, against the store with and without its pool: medians of 5
runs each, interleaved. Beside it the same without the shim, by the CPU time of the program."""
import json
import os
import statistics
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

RUNS = int(os.environ.get("PERFSHIM_BENCH_RUNS", "5"))
WORKLOADS = {  # name: options
    "default": [],
    "few keys": ["--keys=10000"],
    "gets alone": ["--keys=10000", "--workload=get"],
}


def plain(options):
    """CPU ns an operation, without the shim."""
    done = run([STORE_BENCH, "--json", *options], timeout=120, env=clean_env())
    result = json.loads(done.out)
    return result["cpu_percent"] / 100 * result["duration_s"] * 1e9 / result["ops"]


for name, extra in WORKLOADS.items():
    seen = {"off": [], "on": []}
    for i in range(RUNS):
        for pool in seen:
            options = ["--ops=3000000", f"--pool={pool}", *extra]
            done = run([PERFSHIM, "record", "-f", "-o", f"{pool}{i}.pshim", "--", STORE_BENCH, *options],
                       timeout=120, env=clean_env())
            if not ok(done.status == 0, f"{name}: run {i + 1}, pool {pool}", done):
                sys.exit(1)
            seen[pool].append(plain(options))
    files = {pool: [f"{pool}{i}.pshim" for i in range(RUNS)] for pool in seen}
    done = run([PERFSHIM, "diff", "--json", *files["off"], "--", *files["on"]], env=clean_env())
    advisor = json.loads(done.out)["advisor"]
    predicted, measured = advisor["predicted"]["cpu_ns"], advisor["measured"]["cpu_ns"]
    change = statistics.median(seen["on"]) - statistics.median(seen["off"])
    note(f"{name}: predicted {predicted:.0f} ns/op, measured {measured:.0f} ns/op under the shim, "
         f"{change:.0f} ns/op without it")
    near(advisor["predicted"]["alloc_calls"], advisor["measured"]["alloc_calls"],
         f"{name}: allocations an operation within 2 %", rel=0.02)
    near(predicted, measured, f"{name}: ns an operation within 20 %", rel=0.2)
