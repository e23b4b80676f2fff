#!/usr/bin/env python3
"""The pool advisor on the store: what the run without its pool predicts, the run with it measures.
Allocations an operation within 2 %, and which pool, by who frees the blocks."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *

OPS, KEYS = 200000, 10000


def record(name, *options):
    done = run([PERFSHIM, "record", "-o", name + ".pshim", "--", STORE_BENCH, f"--ops={OPS}",
                f"--keys={KEYS}", *options], env=clean_env())
    return ok(done.status == 0, f"{name}: recorded", done) and report(name + ".pshim")


def by_site(advice):
    """Verdicts by the function that the site is in."""
    found = {}
    for entry in advice:
        found.setdefault(entry["site"]["name"], set()).add(entry["pool"])
    return found


off, on, alone = (record("off", "--pool=off"), record("on", "--pool=on"),
                  record("alone", "--pool=off", "--threads=1"))
if off and on and alone:
    ops = off["totals"]["ops"]
    equal(ops, on["totals"]["ops"], "both do the same operations")
    predicted = sum(p["predicted_allocs_per_op"] for p in off["pool"])
    measured = (on["totals"]["alloc_calls"] - off["totals"]["alloc_calls"]) / ops
    near(predicted, measured, "allocations an operation are predicted within 2 %", rel=0.02)
    near(sum(p["predicted_allocs"] for p in off["pool"]) / ops, predicted, "and in all", rel=1e-6)
    ok(measured < -1.5, "which are nearly all of them", measured)
    for p in off["pool"]:
        ok(p["predicted_ns_per_op"] is not None, f"{p['site']['name']}:{p['site']['line']}: its time too")

    # Two threads put entries in the place of each other's; a copy is freed by who asked for it.
    equal(by_site(off["pool"]), {"entry_new": {"shared"}, "value_copy": {"buffer"}},
          "blocks that other threads free need a shared pool")
    for p in off["pool"]:
        crossed = p["cross_thread_frees"] / p["alloc_calls"]
        ok(crossed == 0 if p["pool"] == "buffer" else 0.2 < crossed < 0.8,
           f"{p['site']['name']}:{p['site']['line']}: frees by other threads", crossed)
    equal(by_site(alone["pool"])["value_copy"], {"buffer"}, "a copy that is freed next needs one buffer")
    ok({"rare"} >= {p["reason"] for p in on["pool_not_worth"]} and not on["pool"],
       "with the pool, there is nothing left to advise", on["pool"])

    done = run([PERFSHIM, "diff", "--json", "off.pshim", "on.pshim"], env=clean_env())
    advisor = json.loads(done.out)["advisor"]
    near(advisor["predicted"]["alloc_calls"], predicted, "diff has the same prediction", rel=1e-6)
    near(advisor["measured"]["alloc_calls"], measured, "diff has what was measured", rel=1e-6)
    done = run([PERFSHIM, "diff", "off.pshim", "on.pshim"], env=clean_env())
    match(done.out, rf"^Pool advisor, {len(off['pool'])} sites: predicted {predicted:.2f} allocs/op.*; "
          rf"measured\s+{measured:.2f} allocs/op", "and says so")
    back = run([PERFSHIM, "diff", "--json", "on.pshim", "off.pshim"], env=clean_env())
    equal(json.loads(back.out)["advisor"], None, "nothing was predicted for a pool that is taken away")
