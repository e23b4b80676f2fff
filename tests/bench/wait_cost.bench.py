#!/usr/bin/env python3
# test: timeout=1500
"""What waits cost: a mutex that threads hold in turn for so long, and a read of one byte that is there; by
the pair runner: plain and default mode, interleaved, medians and ratio."""
import json
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

RUNS = os.environ.get("PERFSHIM_BENCH_RUNS", "10")
SECONDS = os.environ.get("PERFSHIM_BENCH_SECONDS", "1")
LEAST_PERCENT, FROM_NS = 90, 1000


def compare(name, program, metric):
    out = f"PERFSHIM_OUT={TMP}/p-%p.pshim"
    shim = f"env LD_PRELOAD={SHIM} {out} {program}; s=$?; rm -f {TMP}/p-*.pshim; exit $s"
    result = run([PERFSHIM, "bench", "--json", "--metric", metric, "--runs", RUNS,
                  "--names", "plain,profiled", program, shim], timeout=1400, env=clean_env())
    return json.loads(result.out)["metrics"][metric] if ok(result.status == 0, f"{name}: measured", result) else None


note(f"{'sections of':16}{'threads':>8}{'plain':>12}{'profiled':>12}  kept (95 % interval)")
for section_ns in (200, 1000, 5000):
    for threads in (2, 4):
        m = compare(f"sections of {section_ns} ns, {threads} threads",
                    f"{B}/helpers/lock_contended {threads} {section_ns} {SECONDS}", "sections_per_s")
        if not m:
            continue
        kept, low, high = (f"{100 * m[key]:.1f}" if m[key] else "?" for key in ("ratio", "ci_low", "ci_high"))
        verdict = "no target"
        if section_ns >= FROM_NS:
            reached = 100 * m["ratio"] >= LEAST_PERCENT
            verdict = f">= {LEAST_PERCENT} %: {'reached' if reached else 'NOT REACHED'}"
        note(f"{section_ns:13} ns{threads:8}{m['median_a']:10.0f}/s{m['median_b']:10.0f}/s  "
             f"{kept} % ({low} to {high})  {verdict}")

m = compare("a read", f"{B}/helpers/io_cost 500000 10", "ns_per_read")
if m:
    note(f"a read of one byte that is there: {m['median_a']:.0f} ns plain, {m['median_b']:.0f} ns profiled, "
         f"{m['median_b'] - m['median_a']:+.0f} ns  no target")
