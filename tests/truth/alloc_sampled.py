#!/usr/bin/env python3
"""Sampled allocations: known totals lie inside the intervals told, leaks are found, what is freed is
not live, usable sizes are the allocator's own; without a sample nothing is called none."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

SEEDS = 8


def interval(document, key):
    ci = document["totals"]["ci"][key]
    return ci["low"], ci["high"]


def inside(document, key, want):
    low, high = interval(document, key)
    return low <= want <= high


def sampled(distance, seed, **more):
    return {"PERFSHIM_ALLOC": distance, "PERFSHIM_ALLOC_SEED": str(seed), "PERFSHIM_CPU_HZ": "0", **more}


# Every call of the family, on two threads that hand blocks to each other; contents are checked.
hits = {"alloc_calls": 0, "alloc_bytes": 0, "free_calls": 0, "free_bytes": 0}
for seed in range(1, SEEDS + 1):
    out = f"truth-{seed}.pshim"
    done = preload([sample("alloc_truth"), 2, 3000], out, env=sampled("2K", seed, PERFSHIM_START="0"))
    document = report(out)
    if done.status or done.err or not document:
        ok(False, f"seed {seed}: runs as it does alone", done)
        continue
    total = json.loads(done.out)["total"]
    for key, want in (("alloc_calls", total["calls"]), ("alloc_bytes", total["bytes"]),
                      ("free_calls", total["frees"]), ("free_bytes", total["free_bytes"])):
        hits[key] += inside(document, key, want)
    near(document["totals"]["alloc_bytes"], total["bytes"], f"seed {seed}: bytes within 1 %", rel=0.01)
for key, count in hits.items():
    ok(count >= SEEDS - 3, f"{key}: the truth is inside the 95 % interval in {count} of {SEEDS} runs")
if document:
    equal((document["mode"]["alloc"], document["loss"]), ("2048", {}), "the mode is told, nothing is lost")
    sites = [s for s in document["sites"] if s["kind"] == "alloc"]
    equal(sum(s["alloc_bytes"] for s in sites), document["totals"]["alloc_bytes"], "the sites add up to the total")
    ok(all(s["ci"]["alloc_bytes"]["low"] <= s["alloc_bytes"] <= s["ci"]["alloc_bytes"]["high"] for s in sites),
       "each site has an interval around its figure")
    widest = max(document["functions"], key=lambda f: f["alloc_calls"]["cum"])
    of_all = [{k: v for k, v in ci.items() if k != "peak_bytes"} for ci in (widest["ci_cum"], document["totals"]["ci"])]
    equal(of_all[0], of_all[1], "a function that all go through has the total's intervals")
    samples = sum(f["ci_flat"]["samples"] for f in document["functions"])
    equal(samples, document["totals"]["ci"]["samples"], "each sample is in one function's flat figures")

# What is freed is not live, not even by rounding; what leaks is found.
done = preload([helper("pair_cost"), 40000, 5], "pairs.pshim", env=sampled("1K", 3))
document = report("pairs.pshim")
if ok(done.status == 0, "malloc and free in pairs", done) and document:
    live = cum(document, "run", "live_blocks"), cum(document, "run", "live_bytes")
    equal(live, (0, 0), "all freed: 0 blocks and 0 bytes are live")
    ok(document["totals"]["ci"]["samples"] > 1000, "though many were sampled")
    blocks = cum(document, "pair", "alloc_calls")
    near(blocks, 40000 + 4 * 4096, "pairs within 10 %", rel=0.1)

done = preload([sample("leak3")], "leak3.pshim", env=sampled("64", 1))
document = report("leak3.pshim")
if ok(done.status == 0, "leak3 runs", done) and document:
    for leak in json.loads(done.out)["leaks"]:
        blocks, size = (flat(document, leak["function"], key) for key in ("live_blocks", "live_bytes"))
        near(blocks, leak["blocks"], f"{leak['function']}: leaked blocks", rel=0.35)
        near(size, leak["bytes"], f"{leak['function']}: leaked bytes", rel=0.35)
    equal(flat(document, "scratch_get", "live_blocks"), 0, "what was freed is not called a leak")
text = run([PERFSHIM, "report", "--view=leaks", "leak3.pshim"], env=clean_env())
match(text.out, r"^LEAKS .*\+-.*live at exit", "the text says how far the leak may be off")
match(text.out, r"buffer_enlarge\s+leak3\.c:41", "and where it is")

# A distance that nothing comes to.
done = preload([sample("leak3")], "none.pshim", env=sampled("1G", 1))
document = report("none.pshim")
if document:
    equal((done.status, document["totals"]["ci"]["samples"]), (0, 0), "a distance of 1 GiB sees nothing of it")
    ok(interval(document, "live_bytes")[1] > 2**30, "and does not say that nothing leaked")
text = run([PERFSHIM, "report", "--view=leaks", "none.pshim"], env=clean_env())
match(text.out, r"no leaks seen.*less than", "nor does the text")

# Exact figures have no interval; a size out of range is told.
done = preload([sample("leak3")], "exact.pshim")
document = report("exact.pshim")
if document:
    equal((document["totals"]["ci"], document["functions"][0]["ci_cum"]), (None, None), "what is counted has no interval")
done = run([PERFSHIM, "record", "--alloc=2G", "--", "true"], env=clean_env())
equal(done.status, 125, "record refuses a distance above 1 GiB")
match(done.err, r"--alloc: '2G' is neither .* nor a size up to 1G", "and says why")
