#!/usr/bin/env python3
"""What each mode adds to taking and giving back a free mutex, on one thread and on two that have a
mutex each, by the pair runner: plain and one mode, interleaved, medians and ratio."""
import json
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

RUNS = os.environ.get("PERFSHIM_BENCH_RUNS", "10")
LOCKS = "2000000"
DEPTH = "10"


def compare(name, command, program):
    result = run([PERFSHIM, "bench", "--json", "--metric", "ns_per_lock", "--runs", RUNS,
                  "--names", "plain,other", program, command], timeout=900, env=clean_env())
    if not ok(result.status == 0, f"{name}: measured", result):
        return None
    return json.loads(result.out)["metrics"]["ns_per_lock"]


def shim(program, mode):
    out = f"PERFSHIM_OUT={TMP}/p-%p.pshim"
    return f"env LD_PRELOAD={SHIM} {out} {mode} {program}; s=$?; rm -f {TMP}/p-*.pshim; exit $s"


for threads in ("1", "2"):
    program = f"{B}/helpers/lock_cost {LOCKS} {DEPTH} {threads}"
    note(f"{threads} thread(s): {program}")
    note(f"{'mode':28}{'plain':>10}{'with':>10}{'added':>10}   ratio (95 % interval)")
    added = {}
    for mode in ("on", "wait", "off"):
        m = compare(f"{threads} thread(s), {mode}", shim(program, f"PERFSHIM_LOCKS={mode}"), program)
        if not m:
            continue
        added[mode] = m["median_b"] - m["median_a"]
        note(f"{mode:28}{m['median_a']:8.1f}ns{m['median_b']:8.1f}ns{added[mode]:8.1f}ns   "
             f"{m['ratio']:.2f} ({m['ci_low']:.2f} to {m['ci_high']:.2f})")
    if len(added) == 3:
        ok(added["wait"] < added["on"], f"{threads} thread(s): waits only cost less than holds", added)
