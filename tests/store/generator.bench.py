#!/usr/bin/env python3
# test: timeout=900
"""What the load generator itself costs, and whether what it measures is so: the null engine, a record in a
histogram, M/M/2 in real time, and the store with every write durable in an open loop."""
import json
import math
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

SECONDS = float(os.environ.get("GENERATOR_SECONDS", "60"))


def bench(*options):
    done = run([STORE_BENCH, "--json", *options], env=clean_env(), timeout=SECONDS + 120)
    return json.loads(done.out), done


def told(text):
    print(f"# {text}", flush=True)


for threads in (1, 2):
    doc, done = bench("--engine=null", "--workload=get", f"--threads={threads}", "--duration=3s")
    each = doc["throughput"] / threads
    told(f"null engine, {threads} threads: {each / 1e6:.2f} M ops/s a thread, {1e9 * doc['duration_s'] * threads / doc['ops']:.0f} ns"
         f" an operation, of which two looks at the clock and the call between them {doc['latency_us']['p50'] * 1e3:.0f} ns")
    ok(each >= 1e6, f"null engine, {threads} threads: 1 M ops/s a thread and more", done)

doc = json.loads(run([os.path.join(B, "helpers/histogram_cost")], env=clean_env()).out)
told(f"a record in a histogram: {doc['ns_per_record']} ns")
ok(doc["ns_per_record"] <= 15, "a record takes 15 ns at most", doc)

# M/M/2 at half load: P(R > t) in units of the mean service, theta = 1, C = 1/3
def tail(t):
    return 2 / 3 * math.exp(-t) + 1 / 3 * (1 + t) * math.exp(-t)


doc, done = bench("--engine=sim:servers=2,mean=5ms", "--rate=200", "--threads=32", f"--duration={SECONDS}s", "--seed=4")
for name, share in (("p50", 0.5), ("p90", 0.1), ("p99", 0.01)):
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > share else (low, middle)
    want, seen = low * 5, doc["latency_us"][name] / 1e3
    told(f"M/M/2, {SECONDS:g} s: {name} {seen:.2f} ms, computed {want:.2f}, {100 * (seen / want - 1):+.1f} %")
    ok(abs(seen / want - 1) < 0.15, f"M/M/2 in real time: {name} within 15 %", seen, want)
ok(doc["valid"], "and all was begun in time", doc["offered"], doc["achieved"])

disk = os.path.join(B, "generator-bench")
for mix in "abc":
    run(["rm", "-rf", disk])
    doc, done = bench(f"--workload=ycsb-{mix}", "--rate=10000", "--threads=64", "--duration=10s", "--wal-sync-every=1",
                      f"--dir={disk}")
    told(f"ycsb-{mix} at 10 000 ops/s, every write durable: response p50 {doc['latency_us']['p50']:.0f} us, p99 "
         f"{doc['latency_us']['p99'] / 1e3:.2f} ms, service p99 {doc['service_us']['p99'] / 1e3:.2f} ms, achieved "
         f"{doc['achieved']:.0f} of {doc['offered']:.0f}, max lag {doc['max_lag_us'] / 1e3:.1f} ms")
    ok(doc["valid"] and doc["latency_us"]["p99"] < 10000, f"ycsb-{mix}: P99 of the response is below 10 ms", doc["latency_us"])
run(["rm", "-rf", disk])
