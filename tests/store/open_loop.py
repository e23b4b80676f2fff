#!/usr/bin/env python3
# test: timeout=60 timing
"""An open loop in real time: a stall is in the response times as computed, and not in the service times; what
was not begun in time makes the run invalid. (Queues in virtual time: tests/unit/test_bench_queue.c.)

A machine with other work wakes sleepers late, the sim engine's servers too: what is computed starts from the
service time that they had, and a clock of our own tells by how much the machine was late."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

SECONDS = float(os.environ.get("OPEN_LOOP_SECONDS", "2.5"))
RATE, SERVERS, SERVICE_MS, STALL_MS, STALL_AFTER = 1000, 8, 2, 1400, 300
ATTEMPTS, LATE_MS = 3, 35  # half of the 5 % of the stall that P99 and maximum may be off


class Lateness(threading.Thread):
    """By how much a sleeper wakes too late: P99 and maximum, in ms."""

    def __init__(self):
        super().__init__()
        self.over, self.late = threading.Event(), []

    def run(self):
        while not self.over.is_set():
            due = time.monotonic() + 0.002
            time.sleep(0.002)
            self.late.append((time.monotonic() - due) * 1e3)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.late.sort()
        self.p99, self.most = self.late[len(self.late) * 99 // 100], self.late[-1]


def bench(seconds, *options, status=0):
    done = run([STORE_BENCH, "--json", f"--duration={seconds}", f"--threads={SERVERS}", *options], env=clean_env(),
               timeout=seconds + 60)
    equal(done.status, status, f"store_bench {' '.join(options)} exits with {status}")
    return json.loads(done.out), done.err


def service_ms(doc):
    """The mean service time of those that the stall did not meet; of the others each came 1 ms after the last."""
    stalled = sum(STALL_MS - i * 1000 / RATE for i in range(SERVERS))
    return (doc["service_us"]["avg"] / 1e3 * doc["ops"] - stalled) / (doc["ops"] - SERVERS)


def expected(service):
    """Response times in ms, sorted: operations in order, each to the server that is free first."""
    free, out = [0.0] * SERVERS, []
    for i in range(int(SECONDS * RATE)):
        start = i * 1000 / RATE
        if i == STALL_AFTER:
            free = [max(f, start) + STALL_MS for f in free]
        first = free.index(min(free))
        free[first] = max(free[first], start) + service
        out.append(free[first] - start)
    return sorted(out)


engine = f"--engine=sim:servers={SERVERS},mean={SERVICE_MS}ms,dist=fixed"
steady = [f"--rate={RATE}", "--arrivals=uniform"]
calm, _ = bench(SECONDS / 3, engine, *steady)
for attempt in range(ATTEMPTS):
    with Lateness() as machine:
        doc, _ = bench(SECONDS, f"{engine},stall={STALL_MS}ms,stall-after={STALL_AFTER}", *steady)
    service = service_ms(doc)
    note(f"sleepers woke late by {machine.p99:.1f} ms (P99), {machine.most:.1f} at most; service took {service:.2f} ms")
    if machine.most < LATE_MS:
        break
want = expected(service)
response = doc["latency_us"]
near(response["p99"] / 1e3, want[int(len(want) * 0.99 + 0.5) - 1], "P99 of the response is as computed", rel=0.05)
near(response["max"] / 1e3, want[-1], "its maximum", rel=0.05)
near(response["avg"] / 1e3, sum(want) / len(want), "its mean", rel=0.05)
without = max(calm["service_us"]["p99"] / 1e3, SERVICE_MS + machine.p99)
ok(doc["service_us"]["p99"] / 1e3 < 2 * without, "P99 of the service time is as without the stall", doc["service_us"],
   calm["service_us"], machine.p99)
ok(response["p99"] > 20 * calm["latency_us"]["p99"], "P99 of the response is not", calm["latency_us"])
near(doc["wait_us"]["avg"] + doc["service_us"]["avg"], response["avg"], "wait and service are the response", rel=1e-6)
near(doc["offered"], RATE, "offered is the rate", rel=0.001)
ok(doc["valid"] and doc["dropped"] == 0 and doc["late"] > 1300 and doc["max_lag_us"] > 1.3e6,
   "late operations are counted; begun they were all", doc["late"], doc["dropped"], doc["max_lag_us"])

doc, err = bench(0.5, "--engine=sim:mean=10ms", "--rate=1000", status=1)
ok(not doc["valid"] and doc["achieved"] < 150 < 900 < doc["offered"] and doc["dropped"] > 400,
   "a tenth of what was asked for: the document is not valid", doc["offered"], doc["achieved"], doc["dropped"])
match(err, r"^store_bench: invalid: [\d.]+ operations a second were to begin, [\d.]+ began\n$", "and it is said")
