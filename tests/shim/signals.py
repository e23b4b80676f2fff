#!/usr/bin/env python3
# test: no-coverage
"""The program's signals stay its own: handlers, masks, alternate stacks, waits. Each case behaves as
it does without the shim, and its CPU time is known in spite of what it does."""
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

# Case: at least this share of the CPU time must come from ticks. Where the program takes the tick's
# signal away, what counts is that it lives.
CASES = {"sigprof": 0.8, "blocked": 0.8, "reset": 0, "ignore": 0, "queue": 0, "wait": 0.5, "wait_each": 0,
         "small_stack": 0.8, "small_thread": 0.8, "nested": 0.8, "masks": 0.8}
HZ = 500

for case, ticked in CASES.items():
    program = [helper("signals"), case]
    alone = run(program, env=clean_env())
    if not ok(alone.status == 0, f"{case}: the program is right about itself", alone):
        continue
    done = preload(program, f"{case}.pshim", env={"PERFSHIM_CPU_HZ": HZ})
    if not ok((done.status, done.out, done.err) == (0, alone.out, ""),
              f"{case}: as it is without the shim", alone, done):
        continue
    document = report(f"{case}.pshim")
    if not document:
        continue
    cpu_ns = document["totals"]["cpu_ns"]
    caught_ns = document["mode"]["cpu_ticks"] * 1e9 / HZ
    if ticked:
        ok(caught_ns >= ticked * cpu_ns, f"{case}: ticks catch {ticked:.0%} of its CPU time",
           f"{document['mode']['cpu_ticks']} ticks of {cpu_ns / 1e6:.0f} ms", document["loss"])
    if ticked == 0.8 and case not in ("nested", "small_stack"):  # ticks come after the handler
        share = cum(document, "burn", "cpu_ns") / cpu_ns
        ok(share > 0.8, f"{case}: and lay it to the function that works", share)
    if case == "small_thread":
        equal(flat(document, "signal_alloc", "alloc_calls"), 20000,
              "small_thread: every allocation on a 16 KiB stack is recorded")
    if case == "nested":
        equal(flat(document, "signal_alloc", "alloc_calls"), 40000,
              "nested: allocations of handlers are recorded too")

# A limit that timers and pending signals share: the program keeps at least half of it.
program = [helper("signals"), "many"]
alone = run(["prlimit", "--sigpending=400", *program], env=clean_env())
if alone.status != 0:
    skip("timers leave room for the program's pending signals", "others use up the user's limit")
else:
    done = limited(["--sigpending=400"], program, "many.pshim")
    equal((done.status, done.out, done.err), (0, alone.out, ""),
          "timers leave room for the program's pending signals")
