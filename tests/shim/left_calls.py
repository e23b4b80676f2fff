#!/usr/bin/env python3
"""Calls of I/O and of waiting that never return: left by siglongjmp, deferred and asynchronous
cancellation, by an older kernel's way too, and calls in children of vfork. The program does what it does
without the shim, and what its thread does afterwards is counted exactly and sampled."""
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

READS, BURN_NS, HZ = 1000, 200_000_000, 1000

program = helper("left_calls")
alone = run([program], env=clean_env())
lines = alone.out.splitlines()
ok(alone.status == 0 and len(lines) == 12 * 3 + 2 and "vfork: I/O in 20 children: 140" in lines
   and sum("left by siglongjmp, mask kept" in line for line in lines) == 12
   and sum(line.endswith(": 1, cleaned up 1") for line in lines) == 24,
   "twelve calls are left in three ways, alone", alone)
for name, prefix, settings in (("here", [], {}), ("older", ["setarch", "--uname-2.6"], {}),
                               ("io off", [], {"PERFSHIM_IO": "off"})):
    out = os.path.abspath(f"{name}.pshim")
    env = {"LD_PRELOAD": SHIM, "PERFSHIM_OUT": out, "PERFSHIM_CPU_HZ": HZ, **settings}
    done = run([*prefix, "env", *(f"{key}={value}" for key, value in env.items()), program], env=clean_env())
    equal((done.status, done.out, done.err), (0, alone.out, ""), f"{name}: as it is without the shim")
    document = report(out)
    if not document:
        continue
    equal((document["process"]["end"], document["process"]["status"]), ("exit", 0),
          f"{name}: no child of vfork ends the profile of its parent")
    equal(flat(document, "work_after", "alloc_calls"), READS, f"{name}: allocations afterwards are counted")
    if "PERFSHIM_IO" not in settings:
        calls = {(e["site"]["name"], e["call"]): e["calls"] for e in document["io"]}
        equal(calls.get(("work_after", "read")), READS, f"{name}: and reads")
        near(cum(document, "burn_after", "cpu_ns"), BURN_NS, f"{name}: and CPU time, which no wait has",
             rel=0.1, abs=3 * 4e6)
