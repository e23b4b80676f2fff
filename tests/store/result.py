#!/usr/bin/env python3
"""What a run reports: the document, the table, exact counts, nothing left behind."""
import json
import os
import re
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

ENV = clean_env()


def result(*options, status=0):
    done = run([STORE_BENCH, "--keys=2000", "--json", *options], env=ENV)
    if done.status != status:
        ok(False, f"store_bench {' '.join(options)} exits with {status}", done)
        sys.exit(1)
    return json.loads(done.out)


LATENCY = ["avg", "p50", "p90", "p95", "p99", "p999", "max"]
doc = result("--ops=20001", "--threads=3", "--seed=7")
equal(doc["schema"], "perfshim.store_bench/1", "the document names its schema")
with open(os.path.join(SRC, "mk/modes.mk")) as f:
    version = re.search(r"^VERSION := (\S+)", f.read(), re.M).group(1)
equal(doc["perfshim_version"], version, "and the version")
wanted = {"name": str, "valid": bool, "interrupted": bool, "ops": int, "errors": int,
          "errors_by_class": dict, "throughput": float, "duration_s": float, "threads": int,
          "latency_us": dict, "by_op": dict, "cpu_percent": float, "max_rss_bytes": int,
          "service_us": dict, "require": list, "store": dict, "engine": dict, "config": dict}
wanted |= dict.fromkeys(("offered", "achieved", "late", "dropped", "max_lag_us", "wait_us", "failed_us", "steady"), type(None))
equal({k: type(v) for k, v in doc.items() if k not in ("schema", "perfshim_version")}, wanted,
      "it has the contract's keys, and no others")
equal((doc["name"], doc["valid"], doc["interrupted"]), ("mixed", True, False),
      "a complete run is valid")
equal(list(doc["latency_us"]), LATENCY, "latencies: average, percentiles, maximum")
steps = [doc["latency_us"][k] for k in LATENCY[1:]]
equal(doc["service_us"], doc["latency_us"], "in a closed loop the latency is the service time")
ok(steps == sorted(steps) and steps[0] > 0, "percentiles rise", steps)
equal(doc["config"],
      {"threads": 3, "duration_s": None, "ops": 20001, "warmup_s": 0.0, "workload": "mixed",
       "read_ratio": 0.5, "keys": 2000, "key_size": 16, "value_size": 100, "distribution": "uniform",
       "seed": 7, "pool": "on", "shards": 64, "verify": False, "profile_phase": "all",
       "wal_sync_every": None, "dir": None, "load": True, "ledger": None,
       "engine": "store", "rate": None, "arrivals": None, "compressibility": 0.0, "theta": None,
       "hot_keys": None, "hot_ops": None, "scan_length": 100, "steady_percent": None},
      "the configuration is the whole one, defaults included")

for threads, ops in ((1, 1000), (3, 1001), (16, 50000), (7, 3)):
    for pool in ("on", "off"):
        doc = result(f"--threads={threads}", f"--ops={ops}", f"--pool={pool}", "--verify",
                     "--warmup=20ms")
        store, now = doc["store"], doc["store"]["measured"]
        kinds = doc["by_op"]
        done = sum(kinds[k]["ops"] for k in kinds)
        equal((doc["ops"], done, now["gets"] + now["puts"], doc["errors"]), (ops, ops, ops, 0),
              f"{ops} operations on {threads} threads, pool {pool}: exactly, and so says the store")
        equal((store["allocs"] - store["frees"], store["alloc_bytes"] - store["free_bytes"],
               store["pool_gets"] - store["pool_puts"], store["keys"]), (0, 0, 0, 2000),
              "the store has freed all it allocated")
        near(doc["throughput"], ops / doc["duration_s"], "throughput is operations by time", rel=1e-6)

doc = result("--engine=null:errors=1000", "--threads=100", "--ops=1000000")
now = doc["engine"]["measured"]
equal((doc["ops"], doc["errors"], doc["errors_by_class"]["io"], sum(k["errors"] for k in doc["by_op"].values())),
      (1000000, 1000, 1000, 1000), "1000 errors over 100 threads: exactly so many, by class and by kind")
equal((now["gets"] + now["puts"], now["errors"], doc["store"], doc["config"]["engine"]),
      (1000000, 1000, None, "null:errors=1000"), "and so counts the engine, which is not the store")
doc = result("--engine=null", "--ops=2000", "--verify")
equal((doc["errors_by_class"]["verify"], doc["by_op"]["put"]["errors"], doc["valid"]),
      (doc["by_op"]["get"]["ops"], 0, True), "--verify finds every value of an engine that returns garbage")

doc = result("--duration=400ms", "--workload=put", "--value-size=0")
ok(0.4 <= doc["duration_s"] < 10, "a duration is kept", doc["duration_s"])
equal((list(doc["by_op"]), doc["store"]["measured"]["gets"]), (["put"], 0), "put only puts")
near(doc["config"]["duration_s"], 0.4, "and is reported", abs=0)
equal(result("--ops=500", "--workload=get")["store"]["measured"]["puts"], 0, "get only gets")
one, two = (result("--ops=3000", "--read-ratio=0.9", "--seed=3")["by_op"]["get"]["ops"]
            for _ in range(2))
equal(one, two, "the same seed asks the same")
near(one, 2700, "--read-ratio is kept", abs=100)
doc = result("--ops=10", "--workload=get")
ok("put" not in doc["by_op"] and doc["latency_us"]["max"] > 0, "only what was done is shown")

table = run([STORE_BENCH, "--keys=2000", "--ops=100", "--json=result.json"], env=ENV)
match(table.out, r"^all +100 ", "--json=F: the table on stdout")
with open("result.json") as f:
    equal(json.load(f)["ops"], 100, "and the document in F")
equal(table.err, "", "nothing on stderr when it is no terminal")
live = run([STORE_BENCH, "--engine=null:errors=77", "--threads=20", "--rate=3000", "--duration=2500ms", "--live",
            "--live-json=live.json", "--json"], env=ENV)
doc, lines = json.loads(live.out), live.err.splitlines()
ok(len(lines) == 4 and lines[0].split() == "phase s ops/s average p50 p99 p999 max errors cpu rss write/s lag".split()
   and all(re.fullmatch(r"run +\d +[\d.]+( [kM])? .*%.* [KM]?i?B +[\d.]+ ?[num]?s", l) for l in lines[1:]),
   "--live: a line a second on stderr, under a head", *lines)
with open("live.json") as f:
    told = [json.loads(line) for line in f]
equal([{line["schema"], line["phase"]} for line in told], [{"perfshim.live/1", "run"}] * 3, "--live-json: as many documents")
for key in ("ops", "errors"):
    equal(sum(line[key] for line in told), doc[key], f"{key} of all lines are the run's")
for key in ("gets", "puts", "errors"):
    equal(sum(line["engine"][key] for line in told), doc["engine"]["measured"][key], f"and so are the engine's {key}")
equal((doc["errors"], doc["failed_us"]["max"] > 0), (77, True), "77 errors asked for, 77 counted, with latencies")
near(sum(line["interval_s"] for line in told), told[-1]["time_s"], "intervals add up", rel=1e-6)
ok(all(line["profiled_allocs_per_op"] is None for line in told), "without the profiler nothing is told of it")
done = preload([STORE_BENCH, "--duration=1500ms", "--pool=off", "--live", "--live-json=live.json"], "live.pshim")
with open("live.json") as f:
    told = [line for line in map(json.loads, f) if "ops" in line]
# A line reads its counts one after the other, while the threads go on: all lines together are exact.
near(sum(line["profiled_allocs_per_op"] * line["ops"] for line in told), sum(line["engine"]["allocs"] for line in told),
     "under it, allocations of the process are those of the store", rel=0.01)
match(done.err, r"write/s allocs/op\n.* [12]\.\d\d$", "and stand on the screen")
done = run([STORE_BENCH, "--ops=1000", "--keys=1000", "--live-json", "--live"], env=ENV)
equal([json.loads(line)["phase"] for line in done.err.splitlines()], ["load", "run"], "without a file: on stderr, alone")
done = run([STORE_BENCH, "--ops=1000", "--keys=1000", "--live-json=/dev/full"], env=ENV)
equal((done.status, done.err), (2, "store_bench: not all lines could be written to /dev/full\n"),
      "lines that cannot be written are an error")
ok("all           1000 " in done.out, "which the result survives", done.out)
doc = result("--rate=10", "--arrivals=uniform", "--duration=500ms", "--threads=1")
ok(doc["ops"] == 5 and all(9 < doc[key] < 10.5 for key in ("offered", "achieved", "throughput"))
   and 0.5 <= doc["duration_s"] < 0.55, "5 starts in half a second are 10 a second, though the last came at 0.4 s", doc)
done = run([STORE_BENCH, "--rate=0.001", "--duration=10ms", "--keys=1"], env=ENV)
ok(done.status == 0 and "nan" not in done.out and "\noffered 0 ops/s, achieved 0; late" in done.out
   and "1 key of 16 B" in done.out and "response" not in done.out, "an open loop in which nothing was due", done.out)
for mix, kinds in (("a", ["get", "put"]), ("d", ["get", "insert"]), ("f", ["get", "rmw"])):
    doc = result(f"--workload=ycsb-{mix}", "--ops=20000", "--verify", "--threads=4")
    equal((list(doc["by_op"]), doc["errors"]), (kinds, 0), f"ycsb-{mix}: {' and '.join(kinds)}, every value verified")
equal(doc["store"]["measured"]["puts"], doc["by_op"]["rmw"]["ops"], "a put for each rmw")
equal(list(result("--workload=ycsb-e", "--ops=2000", "--engine=null")["by_op"]), ["insert", "scan"], "ycsb-e: inserts and scans")
widest = max(len(line) for line in table.out.splitlines() + lines)
ok(widest <= 100, "nothing is wider than 100 columns", widest)
equal(run([STORE_BENCH, "run", "--keys=9", "--ops=9"], env=ENV).status, 0, "the verb run may be said")
equal(run([STORE_BENCH, "--version"], env=ENV).out, f"store_bench {version}\n", "--version")
