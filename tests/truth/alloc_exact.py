#!/usr/bin/env python3
"""Known allocations of 0 bytes to 64 MiB on 1, 4 and 100 threads, over each allocator: calls, bytes,
frees, live blocks and live bytes of each function, exact to the unit."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *


def counted(document, name):
    keys = ("alloc_calls", "alloc_bytes", "free_calls", "live_blocks", "live_bytes")
    return {key: flat(document, name, key) for key in keys}


def expected(site):
    return {"alloc_calls": site["calls"], "alloc_bytes": site["bytes"],
            "free_calls": site["frees"], "live_blocks": site["calls"] - site["frees"],
            "live_bytes": site["bytes"] - site["free_bytes"]}


def check_functions(label, truth, document):
    """Each allocating function alone: what it allocated, and what of that was freed, by whomever."""
    wrong = []
    for site in truth["sites"]:
        got, want = counted(document, site["function"]), expected(site)
        if got != want:
            wrong.append(f"{site['function']}: got {got}, want {want}")
    total = truth["total"]
    ok(not wrong, f"{label}: {len(truth['sites'])} functions exact "
       f"({total['calls']} allocations, {total['frees']} frees)", *wrong)


def check_totals(label, truth, document):
    totals, want = document["totals"], truth["total"]
    equal({key: totals[key] for key in ("alloc_calls", "alloc_bytes", "free_calls", "free_bytes",
                                        "live_blocks", "live_bytes")},
          {"alloc_calls": want["calls"], "alloc_bytes": want["bytes"],
           "free_calls": want["frees"], "free_bytes": want["free_bytes"],
           "live_blocks": want["calls"] - want["frees"],
           "live_bytes": want["bytes"] - want["free_bytes"]},
          f"{label}: totals exact, nothing outside start and stop is counted")


def check_sites(label, truth, document):
    """Sites add up to the totals, and each leaf stands at the line of the call."""
    lines = {site["function"]: site["line"] for site in truth["sites"] if site["calls"]}
    sites = [s for s in document["sites"] if s["kind"] == "alloc"]
    equal(sum(s["alloc_calls"] for s in sites), document["totals"]["alloc_calls"],
          f"{label}: the sites add up to the total")
    leaves = {(s["frames"][0]["name"], os.path.basename(s["frames"][0]["file"] or ""),
               s["frames"][0]["line"]) for s in sites}
    wanted = {(name, "alloc_truth.c", line) for name, line in lines.items()}
    equal(sorted(leaves & wanted), sorted(wanted), f"{label}: each call's line is known")


def profile(program, threads, steps, label, env):
    out = f"{label}.pshim"
    done = preload([program, threads, steps], out, env=env)
    if not ok(done.status == 0 and not done.err, f"{label}: runs as it does alone", done):
        return None, None
    return json.loads(done.out), report(out)


CASES = [("alloc_truth", 1, 20000, "glibc"), ("alloc_truth", 4, 15000, "glibc"),
         ("alloc_truth", 100, 2000, "glibc"), ("alloc_truth_nopie", 4, 5000, "glibc"),
         ("alloc_truth_bare", 1, 10000, "glibc"), ("alloc_truth_bare", 4, 5000, "glibc"),
         *[(program, threads, 4000, name) for name in ("jemalloc", "tcmalloc", "mimalloc")
           for program, threads in (("alloc_truth", 1), ("alloc_truth_bare", 4))]]

for name, threads, steps, allocator in CASES:
    bare = name == "alloc_truth_bare"
    label = f"{name}, {threads} threads, {allocator}"
    truth, document = profile(sample(name), threads, steps, label,
                              {**behind(allocator), **({} if bare else {"PERFSHIM_START": "0"}),
                               **({} if allocator == "glibc" else {"PERFSHIM_CPU_HZ": "0"})})
    if not document:
        continue
    check_functions(label, truth, document)
    if bare:
        continue
    equal(truth["present"], 1, f"{label}: the program knows that the library is there")
    check_totals(label, truth, document)
    check_sites(label, truth, document)
    temporary = next(s for s in truth["sites"] if s["function"] == "temporary_malloc")
    equal(flat(document, "temporary_malloc", "temporary_calls"), temporary["calls"],
          f"{label}: blocks freed next by their thread are temporary")
    if threads == 1:
        near(document["totals"]["peak_bytes"], truth["peak_bytes"], f"{label}: peak within 1 %",
             rel=0.01)
    lost = {k: v for k, v in document["loss"].items() if v}
    equal(lost, {}, f"{label}: nothing lost")

# However stacks are walked, what happened is counted.
truth, document = profile(sample("alloc_truth"), 2, 3000, "frame pointers",
                          {"PERFSHIM_START": "0", "PERFSHIM_UNWIND": "fp"})
if document:
    equal(document["mode"]["unwind"], "fp", "frame pointers: the report says so")
    check_totals("frame pointers", truth, document)

# Not at all: the program cannot tell, and no figure is made up.
done = preload([sample("alloc_truth"), 2, 3000], "off.pshim", env={"PERFSHIM_ALLOC": "off"})
ok(done.status == 0, "PERFSHIM_ALLOC=off: the program runs", done)
document = report("off.pshim")
if document:
    equal(document["totals"]["alloc_calls"], None, "allocations that were not measured are null")
    equal(document["mode"]["alloc"], "off", "the report says that allocations were off")
