#!/usr/bin/env python3
# test: no-coverage
"""Signal handlers on an alternate stack that lies above the hooks' frames, in the middle of our work: the
program runs on, and its own calls stand where they were made, exactly."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

for hz in ("199", "4000"):
    done = preload([helper("handlers_above"), 1], f"above-{hz}.pshim", env={"PERFSHIM_CPU_HZ": hz})
    document = report(f"above-{hz}.pshim") if ok(done.status == 0, f"{hz} Hz: runs", done) else None
    if not document:
        continue
    truth = json.loads(done.out)
    ok(truth["handled"] > 1000, f"{hz} Hz: with many signals", truth)
    equal(cum(document, "leaf", "alloc_calls"), truth["done"], f"{hz} Hz: allocations are its own, exactly")
    equal(cum(document, "handle", "alloc_calls"), 0, f"{hz} Hz: and none the handler's")
    equal([lock["acquisitions"] for lock in document["locks"] if lock["name"] == "lock"], [truth["done"]],
          f"{hz} Hz: so are locks")
    equal({key for key in document["loss"] if key != "recursion"}, set(), f"{hz} Hz: only calls within ours are lost")
