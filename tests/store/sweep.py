#!/usr/bin/env python3
"""store_bench sweep: every level as often, as a table and as a document; ended early, it keeps what is complete."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

SHORT = ["--keys=1000", "--duration=20ms"]


def sweep(*options):
    return run([STORE_BENCH, "sweep", *SHORT, *options], env=clean_env())


done = sweep("--levels=4,1,2", "--repeats=2", "--json")
doc = json.loads(done.out)
equal((done.status, done.err, doc["schema"], doc["interrupted"]), (0, "", "perfshim.sweep/1", False),
      "a document on stdout, and nothing else anywhere")
equal([(level["threads"], level["repeat"]) for level in doc["levels"]],
      [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2)], "levels by threads, then by repeat")
ok(all(level["throughput"] > 0 and level["errors"] == 0 and
       0 < level["latency_us"]["p50"] <= level["latency_us"]["p99"] <= level["latency_us"]["max"]
       for level in doc["levels"]), "each has throughput, latencies and errors", done.out)
equal(list(doc["levels"][0]["latency_us"]), ["avg", "p50", "p90", "p95", "p99", "p999", "max"],
      "the latencies of a run")
equal((doc["config"]["duration_s"], doc["config"]["keys"], doc["config"]["repeats"]),
      (0.02, 1000, 2), "and how it was measured")

done = sweep("--levels=1,2", "--repeats=2", "--live", "--json=file.json")
lines = done.out.splitlines()
ok(done.status == 0 and lines[3].split()[:3] == ["threads", "repeats", "ops/s"]
   and [line.split()[:2] for line in lines[4:6]] == [["1", "2"], ["2", "2"]], "a row a level", done)
ok(max(map(len, lines)) <= 100, "at most 100 columns", done.out)
match(lines[-1], r"^Next: .*perfshim plan --from", "the last line tells what to do with it")
equal(len(json.load(open("file.json"))["levels"]), 4, "the document in a file beside the table")
told = done.err.splitlines()
ok(len(told) == 4 and told[3].startswith("sweep    4 of 4  threads ")
   and all("ops/s" in line and "p99" in line for line in told), "a line a run on stderr", done.err)
equal(sweep("--levels=1", "--repeats=1").err, "", "which is silent into a file")
order = [[line.split()[5] for line in
          sweep("--levels=1,2,3,4,5,6", "--repeats=1", "--live", seed).err.splitlines()]
         for seed in ("--seed=1", "--seed=1", "--seed=2")]
ok(order[0] == order[1] != order[2] and sorted(order[2]) == list("123456"),
   "levels come in a random order, the seed's", order)

# a server of 1 ms each, one at a time: 100 a second it can do, 20 000 it cannot
done = sweep("--rates=20000,100", "--repeats=2", "--engine=sim:mean=1ms,dist=fixed", "--arrivals=uniform",
             "--duration=200ms", "--threads=4", "--json=rates.json", "--live")
doc = json.load(open("rates.json"))
equal([(level["rate"], level["repeat"], level["valid"]) for level in doc["levels"]],
      [(100, 1, True), (100, 2, True), (20000, 1, False), (20000, 2, False)], "levels by rate, too high ones not valid")
ok(all(list(level)[3:6] == ["latency_us", "errors", "valid"] and level["throughput"] < 1200 for level in doc["levels"]),
   "with the figures of any level", doc["levels"])
equal((doc["config"]["threads"], doc["config"]["arrivals"], "rate" in doc["config"]), (4, "uniform", False),
      "and how they were measured")
equal((done.status, done.err.splitlines()[-1]),
      (1, "store_bench: invalid: 2 of 4 runs began less than 99% of their rate"), "exit status 1, as of a run")
equal(done.err.count("  INVALID"), 2, "their live lines are marked")
match(done.out, r"(?m)^  20000 .*INVALID 2 of 2\n\nThe highest rate at which every run is valid: 100 ops/s$",
      "and so is the row")
refused = run([os.environ["B"] + "/perfshim", "plan", "--from", "rates.json"], env=clean_env())
ok(refused.status == 3 and "has a rate, not threads" in refused.err, "no law of threads is fitted to rates", refused)

for number in (signal.SIGINT, signal.SIGTERM):
    process = subprocess.Popen([STORE_BENCH, "sweep", "--keys=1000", "--duration=300ms", "--live", "--json",
                                "--levels=1,2,3"], text=True, env=clean_env(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stderr.readline()
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    doc = json.loads(out)
    ok(process.returncode == 0 and doc["interrupted"] and 1 <= len(doc["levels"]) < 9,
       f"{number.name}: what was complete is kept, and marked", out)
    process = subprocess.Popen([STORE_BENCH, "sweep", "--keys=1000", "--duration=100s", "--json"], text=True,
                               env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.communicate(timeout=0.5)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    equal((process.returncode, json.loads(out)["levels"]), (-number, []),
          f"{number.name} before anything was measured: killed by it")

with open("/dev/full", "w") as full:
    done = subprocess.run([STORE_BENCH, "sweep", *SHORT, "--levels=1", "--repeats=1"], env=clean_env(),
                          stdout=full, stderr=subprocess.PIPE, text=True, check=False)
equal((done.returncode, done.stderr),
      (2, "store_bench: cannot write standard output: No space left on device\n"),
      "a table that cannot be written is an error")
done = sweep("--levels=1", "--repeats=1", "--json=/dev/full")
ok(done.status == 2 and "cannot write /dev/full: No space left on device" in done.err,
   "a document that cannot be written is an error", done)
scarce = ["prlimit", "--as=270000000", STORE_BENCH, "sweep", "--keys=1", "--value-size=100M", "--levels=1",
          "--workload=get", "--repeats=3", "--max-errors=10"]
done = run(scarce, env=clean_env(MALLOC_ARENA_MAX=1))
ok(done.status == 1 and "ENDED by --max-errors: a partial result" in done.out
   and "ended at more than 10 errors" in done.err, "--max-errors ends the sweep: exit status 1", done)
