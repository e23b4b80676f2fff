#!/usr/bin/env python3
# test: timeout=3600
"""What each mode adds to a malloc/free pair, beside heaptrack on the same program, by the pair runner.

Each line is one `perfshim bench` run: plain and one other, interleaved, medians and ratio. Targets are
told as reached or not; only a measurement that fails, or heaptrack cheaper than us, is a failure.
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


EXACT, SAMPLED, OFF = "exact + 199 Hz (default)", "sampled, 1 in 512 KiB, 199 Hz", "allocations off, 199 Hz"
MODES = {EXACT: "PERFSHIM_ALLOC=exact", "exact, no ticks": "PERFSHIM_CPU_HZ=0", SAMPLED: "PERFSHIM_ALLOC=512K",
         OFF: "PERFSHIM_ALLOC=off", "exact, frame pointers": "PERFSHIM_UNWIND=fp"}
COUNT = {"depth": 10, "live": 4096, "fresh": 0, "threads": 1}  # 10 deep: 14 frames


def table(title, modes, pairs=PAIRS, heaptrack=False, **changed):
    """ns added to a pair, by mode."""
    count = {**COUNT, **changed}
    program = f"{B}/helpers/pair_cost {pairs} {count['depth']} {count['live']} {count['fresh']} {count['threads']}"
    rows = [(name, shim(program, MODES[name])) for name in modes]
    if heaptrack and shutil.which("heaptrack"):
        rows.append(("heaptrack", f"heaptrack -o {TMP}/ht {program} | grep ns_per_pair; rm -f {TMP}/ht*"))
    elif heaptrack:
        skip("heaptrack on the same program", "heaptrack is not installed: ./setup --peers")
    note(f"{title}: {program}")
    note(f"{'mode':32}{'plain':>10}{'with':>10}{'added':>10}   ratio (95 % interval)")
    added = {}
    for name, command in rows:
        r = compare(f"{title}, {name}", command, program)
        if r:
            added[name] = r[1] - r[0]
            interval = f"{r[2]:.2f} ({r[3]:.2f} to {r[4]:.2f})" if r[3] else f"{r[2]:.2f}"
            note(f"{name:32}{r[0]:8.1f}ns{r[1]:8.1f}ns{added[name]:8.1f}ns   {interval}")
    return added


def target(name, seen, most, unit="ns"):
    """seen: None = could not be measured, which is told where it was tried."""
    if seen is not None:
        note(f"target: {name}: <= {most:g} {unit}: {seen:.1f}  {'reached' if seen <= most else 'NOT REACHED'}")


def target_of_heaptrack(added, name):
    if "heaptrack" in added and EXACT in added:
        ok(added["heaptrack"] > added[EXACT], f"{name}: heaptrack adds more than we do", added)
        target(f"{name}: of what heaptrack adds in the same run", 100 * added[EXACT] / added["heaptrack"], 5, "%")


one = table("14 frames, the same stack", MODES, heaptrack=True)
target_of_heaptrack(one, "14 frames, the same stack")
target("sampled adds", one.get(SAMPLED), 5)
target("off adds", one.get(OFF), 3)
# The two innermost frames of the program are entered anew for each pair, by one of two ways each.
fresh = table("14 frames, 2 fresh", [EXACT], heaptrack=True, fresh=2)
target_of_heaptrack(fresh, "14 frames, 2 fresh")
target("14 frames, 2 fresh, exact adds", fresh.get(EXACT), 60)
target("30 frames, 2 fresh, exact adds", table("30 frames, 2 fresh", [EXACT], depth=26, fresh=2).get(EXACT), 90)
two = table("14 frames, the same stack, two threads at once", [EXACT], threads=2).get(EXACT)
if two is not None and one.get(EXACT):
    target("two threads at once, times the cost of one", two / one[EXACT], 1.2, "times")

curve = [(n, table(f"curve, {n} fresh", [EXACT], fresh=n).get(EXACT)) for n in (5, 8, 10)]
note("added by fresh frames a pair: " + ", ".join(f"{n}: {ns:.1f} ns" for n, ns in
                                                [(0, one.get(EXACT)), (2, fresh.get(EXACT)), *curve] if ns is not None))
GB_BLOCKS = 3800000  # of 264 bytes on average
for live in (4096, GB_BLOCKS):
    ns = table(f"{live} blocks live ({live * 264 >> 20} MiB)", [EXACT], live=live).get(EXACT)
    if ns is not None:
        note(f"added with {live * 264 >> 20} MiB live: {ns:.1f} ns")
