#!/usr/bin/env python3
# test: no-coverage
"""CPU time adds up: what the report shows is what the kernel billed, within 2 %, for one thread, for
four, and for 1000 threads too brief for any tick."""
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

# The kernel also bills what no library sees, exec, loader and exit: 10 to 17 ms, so the whole is above 1 s.
# From its last tick to its end a thread is unsampled: some 6 ms, 20 and more where the machine is busy.
for label, argv in (("one thread of 3 s", [1, 3]), ("four threads of 8 s", [4, 8]),
                    ("1000 threads of 2 ms", [1000, 2, "brief"])):
    out = os.path.abspath(f"busy-{argv[0]}.pshim")
    used_ns, status, done = rusage([helper("busy"), *argv],
                                   env=clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=out))
    equal((status, done.stderr), (0, b""), f"{label}: runs")
    document = report(out)
    if not document:
        continue
    total = document["totals"]["cpu_ns"] + document["totals"]["profiler_ns"]
    near(total, used_ns, f"{label}: CPU time within 2 % of the kernel's", rel=0.02)
    share = cum(document, "work", "cpu_ns") / total
    ok(share > 0.9, f"{label}: it stands to the threads' function ({share:.1%})")
    if argv[0] < 10:
        ok(cum(document, "burn", "cpu_ns") > 0.95 * total, f"{label}: and to the loop in it",
           (document["loss"], cum(document, "[unsampled]", "cpu_ns")))
    equal(document["process"]["threads"], argv[0] + 1, f"{label}: every thread was seen")
    threads_ns = sum(t["cpu_ns"] for t in document["threads"])
    # what the kernel bills for ending a thread stands to no thread: some 50 us each
    near(threads_ns, total, f"{label}: the threads add up to the total",
         rel=0.02 if argv[0] < 10 else 0.05)

# Nothing is booked while recording is paused, whatever ends meanwhile.
done = preload([helper("busy"), 100, 2, "brief"], "paused.pshim", env={"PERFSHIM_START": "0"})
document = report("paused.pshim")
if document:
    equal((done.status, document["totals"]["cpu_ns"]), (0, 0), "paused: no CPU time is booked")

# Not asked for is not measured: null, never 0.
done = preload([helper("busy"), 1, 0.05], "off.pshim", env={"PERFSHIM_CPU_HZ": "0"})
document = report("off.pshim")
if document:
    equal((done.status, document["totals"]["cpu_ns"], document["mode"]["cpu_hz"]), (0, None, 0),
          "PERFSHIM_CPU_HZ=0: CPU time is null")
