#!/usr/bin/env python3
# test: timeout=120 no-coverage
"""The pool spares allocations, by the store's own count; and the profiler's count is the store's, to the
call and the byte: heap_alloc and heap_free in store/pool.c are the only places where it calls malloc and
free."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

OPS = 200000


def profile(label, *options, env=None):
    out = label.replace(" ", "-") + ".pshim"
    done = preload([STORE_BENCH, "--keys=20000", "--threads=4", f"--ops={OPS}", "--json", *options],
                   out, env=env)
    ok(done.status == 0 and not done.err, f"{label}: runs under the profiler", done)
    return json.loads(done.out), report(out)


def check_counts(label, bench, document):
    store = bench["store"]
    equal([flat(document, "heap_alloc", "alloc_calls"), flat(document, "heap_alloc", "alloc_bytes"),
           flat(document, "heap_alloc", "free_calls"), flat(document, "heap_alloc", "live_blocks")],
          [store["allocs"], store["alloc_bytes"], store["frees"], 0],
          f"{label}: the profiler counts what the store counts: {store['allocs']} calls")
    equal([store["frees"], store["free_bytes"]], [store["allocs"], store["alloc_bytes"]],
          f"{label}: the store frees all")
    equal([document["totals"]["live_blocks"], document["totals"]["live_bytes"]], [0, 0],
          f"{label}: store_bench leaks 0 blocks")
    progress = {p["name"]: p["count"] for p in document["progress"]}
    equal([progress.get("op"), progress.get("load")], [OPS, 20000],
          f"{label}: progress is exact to the operation")


per_op = {}
for workload in ("mixed", "get", "put"):
    for pool in ("off", "on"):
        label = f"{workload} pool {pool}"
        bench, document = profile(label, f"--workload={workload}", f"--pool={pool}")
        if document:
            check_counts(label, bench, document)
        per_op[workload, pool] = bench["store"]["measured"]["allocs"] / bench["ops"]
        if workload == "mixed" and document:
            per_op["whole", pool] = document["totals"]["alloc_calls"] / bench["ops"]

equal(per_op["get", "off"], 1, "pool off: 1 allocation a get")
ok(0 < per_op["put", "off"] <= 4, "pool off: at most 4 allocations a put", per_op)
for workload in ("mixed", "get", "put"):
    off, on = per_op[workload, "off"], per_op[workload, "on"]
    ok(on <= off * 0.01, f"{workload}: the pool spares 99 % of the operations' allocations",
       f"off {off}", f"on {on}")
ok(per_op["whole", "on"] <= per_op["whole", "off"] / 2,
   "by the profiler, loading and all: at least half", per_op)

# Only the measured phase: the load's allocations are not counted.
bench, document = profile("measured phase", "--pool=off", "--profile-phase=measured",
                          env={"PERFSHIM_START": "0"})
if document:
    measured = bench["store"]["measured"]
    equal([flat(document, "heap_alloc", "alloc_calls"), flat(document, "heap_alloc", "alloc_bytes")],
          [measured["allocs"], measured["alloc_bytes"]],
          "--profile-phase=measured with PERFSHIM_START=0 counts the measured phase alone")
    progress = {p["name"]: p["count"] for p in document["progress"]}
    equal(progress, {"op": OPS}, "and its progress alone")
