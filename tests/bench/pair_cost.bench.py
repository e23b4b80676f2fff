#!/usr/bin/env python3
"""What each mode adds to a malloc/free pair, beside heaptrack on the same program, by the pair runner.

Each line is one `perfshim bench` run: plain and one other, interleaved, medians and ratio.
"""
import json
import os
import shutil
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

RUNS = os.environ.get("PERFSHIM_BENCH_RUNS", "10")
PAIRS = "1000000"


def compare(name, command, program):
    """ns a pair of plain and of `command`, and the ratio with its interval; None after a failed check."""
    result = run([PERFSHIM, "bench", "--json", "--metric", "ns_per_pair", "--runs", RUNS,
                  "--names", "plain,other", program, command], timeout=900, env=clean_env())
    if not ok(result.status == 0, f"{name}: measured", result):
        return None
    metric = json.loads(result.out)["metrics"]["ns_per_pair"]
    return metric["median_a"], metric["median_b"], metric["ratio"], metric["ci_low"], metric["ci_high"]


def shim(program, mode):
    out = f"PERFSHIM_OUT={TMP}/p-%p.pshim"
    return f"env LD_PRELOAD={SHIM} {out} {mode} {program}; s=$?; rm -f {TMP}/p-*.pshim; exit $s"


def table(title, program, with_heaptrack):
    rows = [("exact + 199 Hz (default)", shim(program, "PERFSHIM_ALLOC=exact")),
            ("exact, no ticks", shim(program, "PERFSHIM_CPU_HZ=0")),
            ("sampled, 1 in 512 KiB, 199 Hz", shim(program, "PERFSHIM_ALLOC=512K")),
            ("allocations off, 199 Hz", shim(program, "PERFSHIM_ALLOC=off")),
            ("exact, frame pointers", shim(program, "PERFSHIM_UNWIND=fp"))]
    if with_heaptrack and shutil.which("heaptrack"):
        rows.append(("heaptrack", f"heaptrack -o {TMP}/ht {program} | grep ns_per_pair; rm -f {TMP}/ht*"))
    elif with_heaptrack:
        skip("heaptrack on the same program", "heaptrack is not installed: ./setup --peers")
    note(f"{title}: {program}")
    note(f"{'mode':28}{'plain':>10}{'with':>10}{'added':>10}   ratio (95 % interval)")
    added = {}
    for name, command in rows:
        r = compare(f"{title}, {name}", command, program)
        if r:
            added[name] = r[1] - r[0]
            note(f"{name:28}{r[0]:8.1f}ns{r[1]:8.1f}ns{added[name]:8.1f}ns   {r[2]:.2f} ({r[3]:.2f} to {r[4]:.2f})")
    if "heaptrack" in added and "exact + 199 Hz (default)" in added:
        note(f"heaptrack adds {added['heaptrack'] / added['exact + 199 Hz (default)']:.1f} times what we add")
    return added


program = B + "/helpers/pair_cost"
added = table("14 frames, 4096 live", f"{program} {PAIRS} 10", True)
if "heaptrack" in added:
    ok(added["heaptrack"] > added["exact + 199 Hz (default)"], "heaptrack adds more than we do", added)
table("14 frames, 2 fresh, 4096 live", f"{program} {PAIRS} 10 4096 2", False)
table("14 frames, 4096 live, two threads", f"{program} {PAIRS} 10 4096 0 2", False)
