#!/usr/bin/env python3
# test: timeout=5400
"""The store beside RocksDB, LevelDB, LMDB and redis: YCSB A to F, 1 and 4 threads, 10^6 keys of 100 B, the log
synced at the end only. Throughput and P99 of each; one run, on a machine with nothing else to do.

usage: engines.bench.py [--duration S] [--keys N] [--threads LIST] [--workloads LIST] [--engines LIST] [--sync-every N]
Under make bench BENCH_ENGINES holds the options. An engine that is not installed is left out.
"""
import argparse
import json
import os
import shlex
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

parser = argparse.ArgumentParser()
parser.add_argument("--duration", default="5s", help="of each run, beside its load")
parser.add_argument("--keys", default="1000000")
parser.add_argument("--threads", default="1,4")
parser.add_argument("--workloads", default="ycsb-a,ycsb-b,ycsb-c,ycsb-d,ycsb-e,ycsb-f")
parser.add_argument("--engines", default="store,rocksdb,leveldb,lmdb,redis")
parser.add_argument("--sync-every", default="0")
options = parser.parse_args(sys.argv[1:] + shlex.split(os.environ.get("BENCH_ENGINES", "")))
engines = options.engines.split(",")


def compare(workload, threads):
    done = run([os.environ["B"] + "/store_bench", "compare", "--engines=" + options.engines, "--skip-missing", "--no-live",
                "--workload=" + workload, "--threads=" + threads, "--keys=" + options.keys, "--value-size=100",
                "--wal-sync-every=" + options.sync_every, "--duration=" + options.duration, "--json"],
               timeout=1200, env=clean_env(TMPDIR=TMP))
    if not ok(done.status == 0, f"{workload}, {threads} threads: measured", done):
        return {}
    document = json.loads(done.out)
    for engine in document["engines"]:
        for made in engine["runs"]:
            ok(made["errors"] == 0, f"{workload}, {threads} threads, {engine['engine']}: no errors", made)
    return {e["engine"]: e for e in document["engines"]}


def figure(engine):
    if not engine["there"]:
        return f"{'not there':>20}"
    if not engine["runs"]:
        return f"{'failed':>20}"
    made = engine["runs"][0]
    return f"{made['throughput'] / 1e3:9.1f} k {made['latency_us']['p99']:6.0f} us"


note(f"operations a second and P99; {options.keys} keys, 100 B, {options.duration} a run, synced every {options.sync_every}")
note(f"{'':17}" + " ".join(f"{e:>20}" for e in engines))
differs = {}
for workload in options.workloads.split(","):
    for threads in options.threads.split(","):
        found = compare(workload, threads)
        if found:
            note(f"{workload:10} {threads:>3} thr " + " ".join(figure(found[e]) for e in engines))
            differs.update((name, e["differs"]) for name, e in found.items())
for name, text in differs.items():
    note(f"{name}: {text}")
