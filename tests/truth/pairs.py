#!/usr/bin/env python3
# test: no-coverage timing
"""The lesson's pairs, samples/get.c, key.c and buffer.c, each with its cure: both do the same work,
and the diff of their profiles shows what was cured, by the programs' own count."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

OPS = {"get": 300000, "key": 2000000, "buffer": 2000000}
OTHERS = 100  # allocations of a run that no operation made (threads, output): at most


def diff(*options):
    done = run([PERFSHIM, "diff", *options], env=clean_env())
    ok(done.status == 0, f"perfshim diff {' '.join(options)}", done)
    return done.out


def pair(name, site):
    """Records name and its cure. Returns the truth of both, their reports, and the diff."""
    truths, reports = [], []
    for program in (name, name + "_cured"):
        done = run([PERFSHIM, "record", "-o", program + ".pshim", "--", sample(program),
                    f"--ops={OPS[name]}"], env=clean_env())
        if not ok(done.status == 0, f"{program}: recorded", done):
            return None
        truths.append(json.loads(done.out))
        reports.append(report(program + ".pshim"))
        if not reports[-1]:
            return None
    document = json.loads(diff("--json", name + ".pshim", name + "_cured.pshim"))
    a, b = truths
    equal((a["ops"], a["threads"], a["checksum"]), (b["ops"], b["threads"], b["checksum"]),
          f"{name}: the cured program does the same work")
    equal((document["per"], document["progress"]), ("op", "op"), f"{name}: the diff is per op")
    equal([r["totals"]["ops"] for r in reports], [a["ops"], b["ops"]], f"{name}: all are counted")
    for side, truth, seen in zip("ab", truths, reports):
        equal((flat(seen, site, "alloc_calls"), flat(seen, site, "alloc_bytes")),
              (truth["allocs"], truth["alloc_bytes"]),
              f"{name}: {site} of {side.upper()} allocates what the program counted")
        others = document["totals"]["alloc_calls"][side] * truth["ops"] - truth["allocs"]
        ok(-0.5 < others < OTHERS, f"{name}: allocations/op of {side.upper()} are exact",
           f"{others} more than the program counted")
    return truths, reports, document


def libc_cpu(document):
    """CPU time per operation inside of libc."""
    own = [f["cpu_ns"]["flat"] for f in document["functions"]
           if f["cpu_ns"] and "libc.so" in (f["module"] or "")]
    return sum(own) / document["totals"]["ops"]


for name, site in (("key", "key_new"), ("buffer", "buffer_new")):
    found = pair(name, site)
    if not found:
        continue
    truths, reports, document = found
    a, b = truths
    equal(a["allocs"], a["ops"], f"{name}: an allocation per op before")
    ok(b["allocs"] <= b["threads"], f"{name}: at most one per thread afterwards")
    rows = [s["alloc_calls"] for s in document["sites"] if s["name"] == site]
    for side, truth in zip("ab", truths):
        near(sum(row[side] for row in rows), truth["allocs"] / truth["ops"],
             f"{name}: so does {site} in {side.upper()} of the diff", rel=1e-6)
    text = diff(name + ".pshim", name + "_cured.pshim")
    match(text, r"^ *allocations/op +1\.000 +0\.000 +-99\.\d+% +exact$", f"{name}: on the screen")
    match(text, rf"^ +1\.000 +(0\.000|-) +-1\.000 +{site} +{name}\.c:\d+",
          f"{name}: with the site that is cured")
    before, after = (libc_cpu(r) for r in reports)
    note(f"{name}: libc {before:.1f} -> {after:.1f} ns/op, cpu "
         f"{document['totals']['cpu_ns']['a']:.1f} -> {document['totals']['cpu_ns']['b']:.1f}")
    ok(after < before / 2, f"{name}: less than half the CPU time per op in libc",
       f"{before:.1f} ns before, {after:.1f} ns after")
    if name == "key":
        ok(document["totals"]["cpu_ns"]["ratio"] < 0.6, "key: and of all CPU time per op less than "
           "60 % is left", document["totals"]["cpu_ns"])

found = pair("get", "entry_print")
if found:
    truths, reports, document = found
    equal([t["allocs"] / t["ops"] for t in truths], [1, 1], "get: an allocation per op, on both sides")
    with open(SRC + "/samples/get.c") as file:
        calls = [number for number, line in enumerate(file, 1) if "pthread_mutex_lock(" in line]
    for program, seen, line in zip(("get", "get_cured"), reports, calls):
        equal(cum(seen, "cache_get", "alloc_calls"), truths[0]["ops"],
              f"{program}: all of them below cache_get")
        equal([lock["name"] for lock in seen["locks"]], ["cache_lock"], f"{program}: one lock, by name")
        lock = seen["locks"][0]
        equal((lock["kind"], lock["acquisitions"]), ("mutex", truths[0]["ops"]),
              f"{program}: taken once per op")
        equal((lock["site"]["name"], os.path.basename(lock["site"]["file"]), lock["site"]["line"]),
              ("cache_get", "get.c", line), f"{program}: in cache_get, and the line of it")
        equal(lock["hold_ns"], seen["totals"]["lock_hold_ns"], f"{program}: all holds are its")
    bad, cured = (seen["locks"][0] for seen in reports)
    inside = [sum(row["cpu_ns"] for row in lock["inside"] if row["callee"]["name"] == "entry_print")
              for lock in (bad, cured)]
    ok(inside[0] > 0.8 * bad["held_cpu_ns"], "get: what runs inside the lock is entry_print", bad)
    equal((inside[1], cured["held_alloc_calls"]), (0, 0), "get_cured: that has left, and its malloc")
    equal(bad["held_alloc_calls"], truths[0]["ops"], "get: it allocates inside, once per op")
    hold = document["totals"]["lock_hold_ns"]
    note(f"get: hold {hold['a']:.0f} -> {hold['b']:.0f} ns/op, wait "
         f"{bad['wait_ns'] / truths[0]['ops']:.0f} -> {cured['wait_ns'] / truths[0]['ops']:.0f}")
    ok(hold["ratio"] < 0.2 and not hold["noise"], "get: the diff has more than 80 % less hold time per op",
       hold)
    near(hold["a"], bad["hold_ns"] / truths[0]["ops"], "get: which is what the report has", rel=1e-6)
    match(diff("get.pshim", "get_cured.pshim"), r"^ *lock hold/op .* -\d\d\.\d%", "get: on the screen")
    held = [f for f in reports[0]["findings"] if f["kind"] == "held_too_long"]
    if ok(len(held) == 1 and held[0]["predicted_ns"] < 0, "get: what moving it out gains is predicted", held):
        moved = document["lock_advisor"]
        equal(moved["lock"], "cache_lock", "get: the diff knows the prediction")
        near(moved["predicted"]["cost_ns"], held[0]["predicted_ns"] / truths[0]["ops"],
             "get: which is the finding's, per op", rel=1e-6)
        near(moved["measured"]["cost_ns"], document["totals"]["cost_ns"]["delta"], "get: beside what was measured",
             rel=1e-6)
        note(f"get: predicted {moved['predicted']['cost_ns']:.0f}, measured {moved['measured']['cost_ns']:.0f} ns/op")
        # Whom a holder that lost its CPU keeps waiting is chance: medians of three.
        for program in ("get", "get_cured"):
            for i in (2, 3):
                run([PERFSHIM, "record", "-o", f"{program}{i}.pshim", "--", sample(program), f"--ops={OPS['get']}"],
                    env=clean_env())
        moved = json.loads(diff("--json", "get.pshim", "get2.pshim", "get3.pshim", "--", "get_cured.pshim",
                                "get_cured2.pshim", "get_cured3.pshim"))["lock_advisor"]
        note(f"get: medians {moved['predicted']['cost_ns']:.0f}, measured {moved['measured']['cost_ns']:.0f} ns/op")
        near(moved["predicted"]["cost_ns"], moved["measured"]["cost_ns"], "get: the diff confirms it within 25 %",
             rel=0.25)
        match(diff("get.pshim", "get_cured.pshim"), r"^Lock cache_lock, held for less: predicted cost -[\d.]+ [un]s/op; "
              r"measured -[\d.]+ [un]s/op", "get: on the screen")
    match(run([PERFSHIM, "report", "--view=locks", "get.pshim"], env=clean_env()).out,
          rf"^ .* cache_lock +cache_get get\.c:{calls[0]}$", "get: the view of locks names lock and site")
