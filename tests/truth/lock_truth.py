#!/usr/bin/env python3
# test: timeout=60 timing
"""Mutexes of known use: acquisitions, contentions and allocations within exact, waits and holds
within 2 % of what the program measured itself, and a wait on a condition is no hold."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

SECONDS = 1  # in a wait on a condition, beside everything else; ledger.py has one of 10 s
COUNTS = ("acquisitions", "contentions", "held_alloc_calls")


def truth_of(mode):
    """The program's own truth and the report of the same run, locks by name."""
    out = f"locks-{mode}.pshim"
    done = preload([sample("lock_truth"), SECONDS], out, env={"PERFSHIM_LOCKS": mode})
    document = report(out) if ok(done.status == 0, f"{mode}: runs", done) else None
    if not document:
        return None, None, None
    truth = {lock["name"]: lock for lock in json.loads(done.out)["locks"]}
    measured = {lock["name"]: lock for lock in document["locks"] or []}
    return truth, measured, document


truth, measured, document = truth_of("on")
if truth:
    for name, want in truth.items():
        got = measured.get(name)
        if not ok(got, f"{name}: is in the report", sorted(measured)):
            continue
        equal({key: got[key] for key in COUNTS}, {key: want[key] for key in COUNTS},
              f"{name}: acquisitions, contentions, allocations exact")
        if want["wait_ns"]:
            near(got["wait_ns"], want["wait_ns"], f"{name}: wait", rel=0.02)
            ok(got["wait_max_ns"] * got["contentions"] >= got["wait_ns"] >= got["wait_max_ns"],
               f"{name}: the longest wait is one of them", got)
        if name != "waiting":
            near(got["hold_ns"], want["hold_ns"], f"{name}: hold", rel=0.02)
            ok(got["hold_max_ns"] * got["acquisitions"] >= got["hold_ns"] >= got["hold_max_ns"],
               f"{name}: the longest hold is one of them", got)
    waiting = measured.get("waiting", {"hold_ns": None, "wait_ns": None})
    ok(0 <= waiting["hold_ns"] < 10_000_000, "a wait in pthread_cond_wait holds for under 10 ms", waiting)
    equal(waiting["wait_ns"], 0, "and is no wait for the lock")
    equal(sum(document["loss"].values()) if document["loss"] else 0, 0, "nothing was lost")
    match(json.dumps(measured["busy"]["site"]), "wait_for_busy|pthread_mutex_lock",
          "the site of the waits is where they were")

truth, measured, document = truth_of("wait")
if truth:
    for name, want in truth.items():
        if want["contentions"]:
            got = measured.get(name, {})
            equal(got.get("contentions"), want["contentions"], f"waits only, {name}: contentions exact")
            near(got.get("wait_ns"), want["wait_ns"], f"waits only, {name}: wait", rel=0.02)
    locks = sorted(name for name in measured if measured[name]["kind"] != "cond")
    equal(locks, sorted(n for n in truth if truth[n]["contentions"]),
          "waits only: locks that nobody waited for are not there")
    equal(document["totals"]["lock_hold_ns"], None, "waits only: holds are not measured")

truth, measured, document = truth_of("off")
if truth:
    equal((document["mode"]["locks"], document["locks"]), ("off", None), "off: nothing is measured")
