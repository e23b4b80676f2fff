#!/usr/bin/env python3
# test: timeout=60 timing
"""An open loop in real time: a stall is in the response times as computed, and not in the service times; what
was not begun in time makes the run invalid. (Queues in virtual time: tests/unit/test_bench_queue.c.)"""
import json
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

SECONDS = float(os.environ.get("OPEN_LOOP_SECONDS", "2.5"))
RATE, SERVERS, SERVICE_MS, STALL_MS, STALL_AFTER = 1000, 8, 2, 1400, 300


def bench(seconds, *options, status=0):
    done = run([STORE_BENCH, "--json", f"--duration={seconds}", f"--threads={SERVERS}", *options], env=clean_env(),
               timeout=seconds + 60)
    equal(done.status, status, f"store_bench {' '.join(options)} exits with {status}")
    return json.loads(done.out), done.err


def expected():
    """Response times in ms, sorted: operations in order, each to the server that is free first."""
    free, out = [0.0] * SERVERS, []
    for i in range(int(SECONDS * RATE)):
        start = i * 1000 / RATE
        if i == STALL_AFTER:
            free = [max(f, start) + STALL_MS for f in free]
        first = free.index(min(free))
        free[first] = max(free[first], start) + SERVICE_MS
        out.append(free[first] - start)
    return sorted(out)


engine = f"--engine=sim:servers={SERVERS},mean={SERVICE_MS}ms,dist=fixed"
steady = [f"--rate={RATE}", "--arrivals=uniform"]
calm, _ = bench(SECONDS / 3, engine, *steady)
doc, _ = bench(SECONDS, f"{engine},stall={STALL_MS}ms,stall-after={STALL_AFTER}", *steady)
want = expected()
response = doc["latency_us"]
near(response["p99"] / 1e3, want[int(len(want) * 0.99 + 0.5) - 1], "P99 of the response is as computed", rel=0.05)
near(response["max"] / 1e3, want[-1], "its maximum", rel=0.05)
near(response["avg"] / 1e3, sum(want) / len(want), "its mean", rel=0.05)
ok(doc["service_us"]["p99"] < 2 * calm["service_us"]["p99"], "P99 of the service time is as without the stall",
   doc["service_us"], calm["service_us"])
ok(response["p99"] > 20 * calm["latency_us"]["p99"], "P99 of the response is not", calm["latency_us"])
near(doc["wait_us"]["avg"] + doc["service_us"]["avg"], response["avg"], "wait and service are the response", rel=1e-6)
near(doc["offered"], RATE, "offered is the rate", rel=0.001)
ok(doc["valid"] and doc["dropped"] == 0 and doc["late"] > 1300 and doc["max_lag_us"] > 1.3e6,
   "late operations are counted; begun they were all", doc["late"], doc["dropped"], doc["max_lag_us"])

doc, err = bench(0.5, "--engine=sim:mean=10ms", "--rate=1000", status=1)
ok(not doc["valid"] and doc["achieved"] < 150 < 900 < doc["offered"] and doc["dropped"] > 400,
   "a tenth of what was asked for: the document is not valid", doc["offered"], doc["achieved"], doc["dropped"])
match(err, r"^store_bench: invalid: [\d.]+ operations a second were to begin, [\d.]+ began\n$", "and it is said")
