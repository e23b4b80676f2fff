#!/usr/bin/env python3
# test: timeout=150 timing
"""--require: 100 threads on the machine's CPUs keep their promise, bare and under the profiler; what is
not kept is named with what was measured, exit status 1."""
import json
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

PROMISE = "throughput>10000,avg<1ms,p99<10ms,errors=0"
LOAD = [STORE_BENCH, "--workload=get", "--threads=100", "--duration=5s", "--require", PROMISE]

for label, done in (("bare", run(LOAD, env=clean_env())),
                    ("under the profiler", preload(LOAD, "load.pshim"))):
    ok(done.status == 0 and not done.err, f"100 threads get for 5 s, {label}: {PROMISE}", done)
    note(done.out.splitlines()[-3])

short = [STORE_BENCH, "--ops=2000", "--keys=500"]
done = run(short + ["--require", "throughput>1e12"], env=clean_env())
equal(done.status, 1, "an impossible target: exit status 1")
match(done.err, r"^store_bench: require: throughput>1e12 not met: measured [\d.e+]+$",
      "the target and the measured value are named")
match(done.out, r"^all +2000 ", "the table is there all the same")

done = run(short + ["--require=p99<1ns,errors=0", "--require=ops=2000,max<1ns"], env=clean_env())
equal((done.status, len(done.err.splitlines())), (1, 2), "only what was not met is named")
match(done.err, r"require: p99<1ns not met: measured [\d.]+ [nu]s", "a latency with its unit")

done = run(short + ["--require", "throughput>1e12,ops=2000", "--json"], env=clean_env())
equal(done.status, 1, "with --json the status is the same")
equal([(r["text"], r["met"]) for r in json.loads(done.out)["require"]],
      [("throughput>1e12", False), ("ops=2000", True)], "the document has each target's verdict")

done = run(short + ["--require", "ops>=2000,ops<=2000,throughput>1,p50<1s,p90<1s,p95<1s,p999<60s,"
                    "max<60s,cpu_percent<100000%,max_rss<1G,allocs_per_op<1,errors<1%,avg<1"],
           env=clean_env())
equal((done.status, done.err), (0, ""), "every name can be required")
