#!/usr/bin/env python3
# test: timeout=60 timing
"""Mutexes of known use: acquisitions, contentions and allocations within exact, waits and holds
within 2 % of what the program measured itself, each of them in its bucket of the histogram, and a
wait on a condition is no hold."""
import json
import math
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

SECONDS = 1  # in a wait on a condition, beside everything else; ledger.py has one of 10 s
COUNTS = ("acquisitions", "contentions", "held_alloc_calls")


KEPT = 64  # holds of a site and thread that are all kept; then one in so many, for all of them


def misplaced(got, want):
    """Each of the program's own times below the start of a bucket, give or take 2 % and 2 us, was
    put below it. What was not."""
    wrong = []
    for at in sorted(bucket["from"] for bucket in got)[1:]:
        below = sum(bucket["count"] for bucket in got if bucket["from"] < at)
        least = sum(ns < at * 0.98 - 2000 for ns in want)
        most = sum(ns < at * 1.02 + 2000 for ns in want)
        if not least <= below <= most:
            wrong.append(f"below {at}: {below}, not {least} to {most}")
    return wrong


def all_are_kept(name, kind, times):
    return name != "waiting" and (kind == "wait" or len(times) <= KEPT)


def times_are_kept(got, want, name, kind):
    times, kept = want[kind + "s"], got[f"{kind}_histogram"]
    count = sum(bucket["count"] for bucket in kept)
    if all_are_kept(name.rpartition(", ")[2], kind, times):
        equal(count, len(times), f"{name}: every {kind} is in its histogram")
        wrong = misplaced(kept, times)
        ok(not wrong, f"{name}: and in its bucket", *wrong)
    else:
        near(count, len(times), f"{name}: {kind}s in its histogram stand for all", abs=KEPT)
    points = 5 if kind == "hold" and len(times) > KEPT else 0  # what a sample may be off
    for percent in (50, 99):
        low, high = (sorted(times)[max(math.ceil(len(times) * p / 100), 1) - 1]
                     for p in (percent - points, min(percent + points, 100)))
        ok(low / 1.5 <= got[f"{kind}_p{percent}_ns"] <= high * 1.5,
           f"{name}: p{percent} of a {kind} is in the bucket of the true one",
           got[f"{kind}_p{percent}_ns"], low, high)


def run_of(mode, out):
    done = preload([sample("lock_truth"), SECONDS], out, env={"PERFSHIM_LOCKS": mode})
    document = report(out) if ok(done.status == 0, f"{mode}: runs", done) else None
    if not document:
        return None, None, None
    truth = {lock["name"]: lock for lock in json.loads(done.out)["locks"]}
    measured = {lock["name"]: lock for lock in document["locks"] or []}
    return truth, measured, document


def was_preempted(truth, measured):
    """Between the lock's clock and its own, so that one of the times says little?"""
    return any(misplaced(measured[name][f"{kind}_histogram"], lock[f"{kind}s"])
               for name, lock in truth.items() if name in measured for kind in ("wait", "hold")
               if measured[name][f"{kind}_histogram"] and all_are_kept(name, kind, lock[f"{kind}s"]))


def truth_of(mode):
    """The program's own truth and the report of the same run, locks by name; a run in which it was
    preempted at the wrong moment is done again, twice at most."""
    for i in range(3):
        truth, measured, document = run_of(mode, f"locks-{mode}-{i}.pshim")
        if not truth or not was_preempted(truth, measured):
            break
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
            times_are_kept(got, want, name, "wait")
        else:
            equal((got["wait_histogram"], got["wait_p50_ns"]), ([], None), f"{name}: nobody waited")
        if name != "waiting":
            times_are_kept(got, want, name, "hold")
            if name != "often": # thousands: between the lock and the program's own clock it is preempted
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
            times_are_kept(got, want, f"waits only, {name}", "wait")
            equal((got["hold_histogram"], got["hold_p99_ns"]), (None, None),
                  f"waits only, {name}: no holds")
    locks = sorted(name for name in measured if measured[name]["kind"] != "cond")
    equal(locks, sorted(n for n in truth if truth[n]["contentions"]),
          "waits only: locks that nobody waited for are not there")
    equal(document["totals"]["lock_hold_ns"], None, "waits only: holds are not measured")

truth, measured, document = truth_of("off")
if truth:
    equal((document["mode"]["locks"], document["locks"]), ("off", None), "off: nothing is measured")
