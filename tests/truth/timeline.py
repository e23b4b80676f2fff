#!/usr/bin/env python3
"""The timeline of a program in phases, of one that runs, that is killed, and that is short."""
import json
import os
import signal
import subprocess
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

MIB = 1 << 20
UNTOLD = 1024  # allocations that a thread may still have to tell while it lives


def sums_are_the_totals(document, claim):
    series, totals = document["timeline"]["series"], document["totals"]
    for key, total in (("allocs", "alloc_calls"), ("alloc_bytes", "alloc_bytes")):
        equal(sum(n or 0 for n in series[key]), totals[total], f"{claim}: {key} add up to {total}")


def lengths_agree(document, claim):
    timeline, wall = document["timeline"], document["process"]["wall_ns"]
    counts = {len(s) for s in timeline["series"].values()}
    want = -(-wall // timeline["interval_ns"])
    ok(counts == {want} and want <= 120, f"{claim}: series of one length, which covers the run",
       counts, want)


done = preload([helper("phases")], "phases.pshim")
ok(done.status == 0, "phases runs", done)
phases = json.loads(done.out)
document = report("phases.pshim")
if document:
    timeline, start = document["timeline"], document["process"]["start_time"]
    interval, series = timeline["interval_ns"], timeline["series"]
    sums_are_the_totals(document, "phases")
    lengths_agree(document, "phases")

    def inside(phase):
        """Intervals that lie in a phase whole, without those at its edges."""
        first, last = ((t - start) * 1e9 / interval for t in phases[phase])
        return range(int(first) + 2, int(last) - 1)

    held, freed, dark = inside("hold"), inside("give_back"), inside("unrecorded")
    ok(len(held) >= 2 and len(freed) >= 2 and len(dark) >= 2, "phases are longer than intervals",
       phases, interval)
    ok(all(8 * MIB <= series["live_bytes"][i] <= 9 * MIB for i in held),
       "what is held is live until it is given back", [series["live_bytes"][i] for i in held])
    ok(all(series["live_bytes"][i] < MIB for i in freed), "and not after that",
       [series["live_bytes"][i] for i in freed])
    ok(all(series["allocs"][i] == 0 for i in (*held, *freed)), "a pause is a pause",
       series["allocs"])
    first, last = (int((t - start) * 1e9 / interval) for t in phases["churn"])
    first, last = max(first - 1, 0), last + 1  # a moment may lie in two intervals
    busy = sum(n or 0 for n in series["allocs"][first:last + 1])
    ok(busy > 200000 - UNTOLD, "allocations are told when they are made", busy)
    equal(max(range(len(series["allocs"])), key=lambda i: series["allocs"][i] or 0)
          in range(first, last + 1), True, "most of them in the phase that makes most")
    ok(all(series[k][i] is None for k in ("allocs", "alloc_bytes", "cpu_ns") for i in dark),
       "what is not recorded is null", [series["allocs"][i] for i in dark])
    ok(all(series["live_bytes"][i] is not None for i in dark), "but what is live then is known")
    last = int((phases["in_a_thread"][1] - start) * 1e9 / interval)
    ok(sum(n or 0 for n in series["allocs"][last - 1:]) >= 777, "a thread tells when it ends",
       series["allocs"][last - 1:])
    equal(max(series["live_max_bytes"]), document["totals"]["peak_bytes"],
          "the highest live bytes are the peak")
    totals = document["totals"]
    near(sum(n or 0 for n in series["cpu_ns"]), totals["cpu_ns"] + totals["profiler_ns"],
         "CPU time adds up, but for what threads use as they end", abs=10e6)

text = run([PERFSHIM, "report", "--view=timeline", "phases.pshim"], env=clean_env())
match(text.out, r"^TIMELINE  \d+ intervals of ", "the screen says how long an interval is")
rows = [l for l in text.out.splitlines() if l.lstrip()[:4].replace(".", "").isdigit()]
ok(8 <= len(rows) <= 20 and any(l.split()[-2:] == ["-", "-"] for l in rows),
   "it has at most 20 rows, dashes where nothing was recorded", text)

process = subprocess.Popen([helper("phases"), "hold"], stdout=subprocess.PIPE,
                           env=clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath("hold.pshim")))
try:
    phases = json.loads(process.stdout.readline())
    running = report("hold.pshim")
finally:
    process.send_signal(signal.SIGKILL)
    process.wait()
for name, document in (("running", running), ("killed", report("hold.pshim"))):
    if not document:
        continue
    series, totals = document["timeline"]["series"], document["totals"]
    lengths_agree(document, name)
    ok(0 <= totals["alloc_calls"] - sum(series["allocs"]) < UNTOLD,
       f"{name}: what is not told yet is less than {UNTOLD} allocations a thread",
       totals["alloc_calls"], series["allocs"])
    ok(8 * MIB <= series["live_bytes"][-1] <= 9 * MIB, f"{name}: what is held is live to the end",
       series["live_bytes"])

for env in ({}, {"PERFSHIM_START": "0"}, {"PERFSHIM_CPU_HZ": "0"}, {"PERFSHIM_ALLOC": "off"},
            {"PERFSHIM_ALLOC": "4096"}, {"PERFSHIM_MAX_MB": "1"}):
    name = "short" + "".join(f"-{k.split('_')[1]}{v}".lower() for k, v in env.items())
    done = preload([helper("phases"), "short"], name + ".pshim", env=env)
    document = report(name + ".pshim")
    if not document:
        continue
    series = document["timeline"]["series"]
    if env.get("PERFSHIM_ALLOC") == "off":
        ok(series["allocs"] is None and series["live_bytes"] is None and series["cpu_ns"],
           f"{name}: what was not measured in all the run is null as a whole", series)
    elif env.get("PERFSHIM_START") == "0":
        ok(all(n is None for n in series["allocs"] + series["cpu_ns"] + series["live_bytes"]),
           f"{name}: nothing was recorded", series)
    else:
        sums_are_the_totals(document, name)
        equal(series["cpu_ns"] is None, env.get("PERFSHIM_CPU_HZ") == "0", f"{name}: CPU time")
