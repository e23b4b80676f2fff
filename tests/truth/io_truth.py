#!/usr/bin/env python3
# test: timeout=60 timing
"""I/O, sleep and polling of known amount: calls, bytes and failures exact, times within 1 % + 2 us a
call of what the program measured itself, what is in memory already not counted twice; also where
ticks would end waits, which an older kernel's are made to not do."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

COUNTS = ("calls", "bytes", "errors")
FIRST_US = 400  # what finds a stack for the first time is done outside of the call, and the program sees it


def by_place(document):
    """Calls by (function, call); one function may make a call at several lines."""
    sums = {}
    for entry in document["io"] + document["idle"]:
        to = sums.setdefault((entry["site"]["name"], entry["call"]), dict.fromkeys(COUNTS + ("time_ns", "max_ns"), 0))
        for key in COUNTS + ("time_ns",):
            to[key] += entry[key]
        to["max_ns"] = max(to["max_ns"], entry["max_ns"])
    return sums


def check(name, wrapper, hz):
    out = f"io-{name}.pshim"
    done = preload([*wrapper, sample("io_truth"), os.environ["TMP"] + "/io.data", "300"], out,
                   env={"PERFSHIM_CPU_HZ": hz})
    document = report(out) if ok(done.status == 0, f"{name}: runs", done) else None
    if not document:
        return
    truth, got = json.loads(done.out), by_place(document)
    counts_wrong, times_wrong = [], []
    for want in truth["calls"]:
        have = got.get((want["site"], want["call"]))
        if not have or any(have[key] != want[key] for key in COUNTS):
            counts_wrong.append((want, have))
            continue
        # Around its longest the program may have lost its CPU, for as long as others liked.
        slack_ns = 0.01 * want["time_ns"] + 2000 * want["calls"] + 1000 * FIRST_US
        rest, have_rest = (d["time_ns"] - d["max_ns"] for d in (want, have))
        if have["time_ns"] > want["time_ns"] or have["max_ns"] > want["max_ns"] or rest - have_rest > slack_ns:
            times_wrong.append((want, have))
    ok(len(truth["calls"]) > 30, f"{name}: calls of many kinds", len(truth["calls"]))
    equal(counts_wrong, [], f"{name}: calls, bytes and failures are exact")
    ok(len(times_wrong) <= 2, f"{name}: times are what the program saw", times_wrong)
    synced = [e for e in document["io"] if e["site"]["name"] == "sync_locked" and e["call"] == "fdatasync"]
    ok(synced and synced[0]["held_calls"] == 10 and synced[0]["held_ns"] == synced[0]["time_ns"],
       f"{name}: what was synced with a lock held", synced)
    lock = [lock for lock in document["locks"] if lock["name"] == "log_lock"]
    equal(lock and [(e["call"], e["calls"]) for e in lock[0]["held_io"]], [("fdatasync", 10)],
          f"{name}: and by which lock")
    wall, cpu = truth["cache_wall_ns"], cum(document, "read_cached", "cpu_ns")
    waited = cum(document, "read_cached", "io_wait_ns")
    quantum_ns = 4e6  # in which ticks come
    ok(0.6 * wall < cpu + waited <= 1.03 * wall + 3 * quantum_ns,
       f"{name}: reads of what is in memory: CPU time and I/O wait are the time, once",
       (wall, cpu, waited))
    sums = [f["cost_ns"]["flat"] - f["cpu_ns"]["flat"] - f["io_wait_ns"]["flat"] - f["lock_wait_ns"]["flat"]
            + f["lock_cpu_ns"]["flat"] for f in document["functions"]]
    equal(set(sums), {0}, f"{name}: cost is CPU time and waits")
    equal(document["loss"], {}, f"{name}: nothing was lost")


check("here", [], 1000)
check("older", ["setarch", "--uname-2.6"], 1000)

done = preload([sample("io_truth"), os.environ["TMP"] + "/io.data", "50"], "off.pshim", env={"PERFSHIM_IO": "off"})
document = report("off.pshim") if ok(done.status == 0, "off: runs", done) else None
if document:
    equal((document["mode"]["io"], document["io"], document["idle"], document["totals"]["io_wait_ns"]),
          ("off", None, None, None), "off: nothing is measured, and it says so")
