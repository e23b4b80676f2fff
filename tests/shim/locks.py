#!/usr/bin/env python3
# test: timeout=60
"""Mutexes in situations that are easy to count wrongly: 100 threads, wrappers, more locks at once
than are tracked, a mutex given back by another thread, pauses, one made twice at one address, a fork
while one is held, a cancelled wait, CPU time inside, signal handlers that take locks."""
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

MS = 1_000_000


def profile(label, *args):
    done = preload([helper("lock_cases"), *args], f"{label}.pshim", timeout=50)
    ok(done.status == 0, f"{label}: runs", done)
    return done, report(f"{label}.pshim")


done, document = profile("cases")
if document:
    by_name = {}
    for entry in document["locks"]:
        by_name.setdefault(entry["name"], []).append(entry)
    lock = {name: entries[0] for name, entries in by_name.items()}

    def taken(name):
        return lock[name]["acquisitions"]

    equal(taken("crowded"), 100 * 1000, "100 threads that share recorders: each acquisition counts")
    sites = {f["name"]: s["lock_acquisitions"] for s in document["sites"] if s["kind"] == "lock"
             for f in s["frames"] if f["name"] in ("via_a", "via_b")}
    equal(sites, {"via_a": 700, "via_b": 300}, "behind a wrapper each caller has its own")
    equal([(s["name"], s["call"], s["acquisitions"]) for s in lock["wrapped"]["sites"]],
          [("take_and_leave", "pthread_mutex_lock", 1000)], "and the wrapper is the place of both")
    nested = [e for name, entries in by_name.items() if name.startswith("nested") for e in entries]
    equal([e["acquisitions"] for e in nested], [1] * 20, "20 locks at once: each is counted")
    equal(sum(e["hold_ns"] > 0 for e in nested), 16, "20 locks at once: 16 holds are timed")
    equal(document["loss"], {"held_overflow": 4, "unlock_unknown": 1},
          "what was not timed, and the mutex that another thread gave back, are told")
    equal(taken("foreign"), 2, "a mutex that another thread gave back is taken anew")
    equal(taken("paused"), 3, "while paused nothing is counted")
    ok(lock["paused"]["hold_ns"] < 20 * MS, "a hold with a pause in it is dropped", lock["paused"])
    equal(sorted(e["acquisitions"] for e in by_name["remade"]), [3, 5],
          "a mutex made again at the same address is another one")
    equal(taken("forked"), 1, "a forked child is not counted")
    equal(taken("cancelled"), 2, "a cancelled wait takes the mutex again")
    ok(lock["cancelled"]["hold_max_ns"] >= 30 * MS,
       "and holds it until the clean-up handler gives it back", lock["cancelled"])
    for name in ("busy_with", "inner"):
        near(lock[name]["held_cpu_ns"], 300 * MS, f"CPU time while {name} was taken last", rel=0.25)
    equal(lock["outside"]["held_cpu_ns"], 0, "CPU time after a lock was given back is not its")

done, document = profile("handler", "in-handlers")
if document:
    took = int(done.out)
    lock = {entry["name"]: entry["acquisitions"] for entry in document["locks"]}
    equal(lock["wrapped"], 2_000_000, "signal handlers take locks meanwhile: each of the program's counts")
    equal(lock.get("in_handler", 0) + document["loss"].get("recursion", 0), took,
          f"each of the handlers' {took} is counted, or told as lost inside a hook")

done, document = profile("short-lived", "short-lived")
if document:
    locks = [entry for entry in document["locks"] if entry["acquisitions"]]
    equal([(entry["acquisitions"], entry["instances"]) for entry in locks], [(50_000, 50_000)],
          "50 000 mutexes that one place makes, one after the other, are one entry")
    ok("lock_table_full" not in document["loss"], "none of them is lost", document["loss"])
    screen = run([PERFSHIM, "report", "--view=locks", "short-lived.pshim"], env=clean_env()).out
    match(screen, r"50000 x mutex \+0 in 40 B from short_lived", "the screen says how many they were")

done, document = profile("many", "many")
if document:
    locks = document["locks"]
    without = sum(entry["acquisitions"] for entry in locks if entry["name"] == "other locks")
    equal((sum(entry["acquisitions"] for entry in locks), document["totals"]["lock_acquisitions"]),
          (50_000, 50_000), "50 000 mutexes at a time: each is counted, with a record or without")
    ok(0 < without <= document["loss"].get("lock_table_full", 0), "those without a record are told",
       without, document["loss"])
    screen = run([PERFSHIM, "report", "--view=locks", "many.pshim"], env=clean_env()).out
    match(screen, r"^LOST .* times a lock found no record of its own", "on the screen too")
    ok("of 0 ns" not in screen, "no CPU time of a hold of nothing", screen)
