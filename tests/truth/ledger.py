#!/usr/bin/env python3
# test: no-coverage
"""The ledger adds up: what each thread did, without what is not explained, is its wall time; what no
hook saw is told as that, and nothing is counted twice."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

PARTS = ("cpu_ns", "lock_wait_ns", "io_wait_ns", "idle_ns", "runqueue_ns")
SECONDS = os.environ.get("LEDGER_SECONDS", "1.2")


def books(thread):
    return sum(thread[part] or 0 for part in PARTS)


def closed(document, label, least_ns=1e9):
    """Every thread that lived for a second, within 3 %."""
    long = [t for t in document["threads"] if t["wall_ns"] >= least_ns]
    off = [(t["name"], round(books(t) / t["wall_ns"], 4), t) for t in long
           if not 0.97 <= books(t) / t["wall_ns"] <= 1.03]
    ok(long and not off, f"{label}: cpu + waits + runqueue are the wall time of {len(long)} threads",
       *off)
    equal([t["wall_ns"] - books(t) - t["unexplained_ns"] - t["paused_ns"]
           for t in document["threads"] if t["wall_ns"] and t["cpu_ns"] is not None],
          [0] * len(document["threads"]), f"{label}: with the unexplained, exactly")


has_delay = os.path.exists("/proc/self/schedstat")
done = preload([sample("ledger_truth"), SECONDS], "t.pshim")
document = report("t.pshim") if ok(done.status == 0, "the truth program runs", done) else None
if document:
    truth = json.loads(done.out)
    threads = {t["name"]: t for t in document["threads"]}
    unseen, want = threads["unseen"], truth["unseen"]
    if has_delay:
        near(unseen["unexplained_ns"] / unseen["wall_ns"], want["blocked_ns"] / want["wall_ns"],
             "30 % of the time in system calls of inline assembly: unexplained within a point",
             abs=0.01)
        closed({"threads": [t for t in document["threads"] if t["name"] != "unseen"]},
               "computing, spinning for a lock, waiting")
    else:
        skip("the kernel's delays", "no /proc/self/schedstat")
    for name in truth:
        near(threads[name]["cpu_ns"], truth[name]["cpu_ns"], f"{name}: CPU time by its clock",
             rel=0.01, abs=3e6)
    near(threads["waits"]["idle_ns"], threads["waits"]["wall_ns"],
         "a wait that never ends is idle until now", rel=0.03)
    ledger, totals = document["ledger"], document["totals"]
    equal({key: totals[key] for key in ("idle_ns", "runqueue_ns", "unexplained_ns", "paused_ns",
                                        "thread_wall_ns")},
          {key: ledger[key] for key in ("idle_ns", "runqueue_ns", "unexplained_ns", "paused_ns",
                                        "thread_wall_ns")}, "the totals are the ledger's")
    equal(totals["thread_wall_ns"],
          sum(ledger[key] or 0 for key in PARTS + ("unexplained_ns", "paused_ns")),
          "the ledger of all threads adds up")
    spun = totals["lock_cpu_ns"]
    near(totals["cost_ns"], totals["cpu_ns"] + totals["lock_wait_ns"] - spun + totals["io_wait_ns"],
         "spinning for a lock is in the cost once", abs=2)

# A thread that lived briefly is not worth the question; a killed program was not asked.
done = run([STORE_BENCH, "-t", "3", "-d", SECONDS, "--workload=mixed"],
           env=clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath("s.pshim")))
document = report("s.pshim") if ok(done.status == 0, "store_bench runs", done) else None
if document and has_delay:
    closed(document, "store_bench")
