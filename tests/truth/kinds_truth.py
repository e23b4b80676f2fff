#!/usr/bin/env python3
# test: timeout=60 timing
"""Every kind of lock of known use: acquisitions and contentions exact, waits and holds within 1 % +
2 us each of what the program measured around its calls. Its threads are new to the shim: 5 to 20 us
of their first wait are the stack walk after it. A thread may lose its CPU between the two clocks: of
three runs the times of one must fit."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

KIND = {"shared": "rwlock", "spun": "spin", "posted": "semaphore", "met": "barrier", "made": "once",
        "made_c11": "once", "plain_c11": "mutex", "turns": "mutex", "told": "cond",
        "told_c11": "cond", "woken": "futex"}
IDLE = ("told", "told_c11", "woken", "posted")
OWNED = ("rwlock", "spin", "mutex", "once")
COUNTS = ("acquisitions", "contentions")
TRIES = 3
OWNERS = {}  # name: times that another thread took it, −1: nobody does alone


def truth_of(mode, run):
    """The program's own truth and the report of the same run, locks by name."""
    out = f"kinds-{mode}-{run}.pshim"
    done = preload([sample("kinds_truth")], out, env={"PERFSHIM_LOCKS": mode})
    document = report(out) if ok(done.status == 0, f"{mode}: runs", done) else None
    if not document:
        raise SystemExit
    truth = {}
    for entry in json.loads(done.out)["locks"]:
        entry["acquisitions"] = None if entry["name"] == "woken" else entry["acquisitions"]
        if entry["name"] not in truth:
            OWNERS[entry["name"]] = entry["owner_changes"]
            truth[entry["name"]] = {key: entry[key] for key in (*COUNTS, "wait_ns", "hold_ns")}
            continue
        OWNERS[entry["name"]] = entry["owner_changes"]
        for key, value in truth[entry["name"]].items():
            truth[entry["name"]][key] = value + entry[key]
    return truth, {lock["name"]: lock for lock in document["locks"]}, document


def times_off(truth, measured, keys):
    """What was measured otherwise than by the program."""
    off = []
    for name in set(KIND) & set(measured):
        for key, events in keys.items():
            want, got = truth[name][key], measured[name][key]
            if got is not None and truth[name][events] is not None and abs(got - want) > want / 100 + 2_000 * truth[name][events]:
                off.append(f"{name} {key}: got {got}, want {want}")
    return off


def times(mode, first, keys, claim):
    """The times of the run that fits, or of the last one."""
    truth, measured, _ = first
    for run in range(1, TRIES):
        if not times_off(truth, measured, keys):
            break
        truth, measured, _ = truth_of(mode, run)
    ok(not times_off(truth, measured, keys), claim, *times_off(truth, measured, keys))


first = truth, measured, document = truth_of("on", 0)
for name, kind in KIND.items():
    got = measured.get(name)
    if not ok(got, f"{name}: is in the report", sorted(measured)):
        continue
    equal((got["kind"], *(got[key] for key in COUNTS)),
          (kind, *(truth[name][key] for key in COUNTS)),
          f"{name}: kind, acquisitions and contentions exact")
    ok(got["wait_max_ns"] * max(1, got["contentions"]) >= got["wait_ns"] >= got["wait_max_ns"],
       f"{name}: the longest wait is one of them", got)
    if kind in OWNED:
        ok(got["hold_ns"] >= got["hold_max_ns"] > 0, f"{name}: the longest hold is one of them", got)
    else:
        equal((got["hold_ns"], got["hold_max_ns"]), (None, None), f"{name}: nobody holds it")
equal(document["loss"], {}, "nothing was lost")
equal({name: measured[name]["owner_changes"] for name in KIND},
      {name: None if OWNERS[name] < 0 else OWNERS[name] for name in KIND}, "owner changes exact")
sides = measured["shared"]
equal({side: [sides[side][key] for key in COUNTS] for side in ("read", "write")},
      {"read": [15, 15], "write": [10, 5]}, "shared: read and write are apart")
for key in ("wait_ns", "hold_ns"):
    equal(sides["read"][key] + sides["write"][key], sides[key], f"shared: both sides' {key} are its own")
equal({name: measured[name]["read"] for name in KIND if name != "shared"},
      {name: None for name in KIND if name != "shared"}, "what is not one has no sides")
equal([measured["woken"]["wakes"]] + [(s["call"], s["name"]) for s in measured["woken"]["sites"]],
      [10, ("futex", "sleep_until_woken"), ("futex_wake", "use_futex")],
      "woken: who waited and who woke")
idle = [lock["kind"] for lock in document["locks"]][-len(IDLE):]
equal(sorted(idle), ["cond", "cond", "futex", "semaphore"],
      "conditions, semaphores and futexes come last")
blocking = sum(measured[name]["wait_ns"] for name in KIND if name not in IDLE)
equal(document["totals"]["lock_wait_ns"], blocking, "and are in no wait for locks")
screen = run([PERFSHIM, "report", "--view=locks", "kinds-on-0.pshim"], env=clean_env()).out
match(screen, r"^IDLE .* in 41 waits for conditions, semaphores, futexes: in no cost", "on the screen apart")
match(screen, r"shared \(read\) +read_shared", "and read apart from write")
times("on", first, {"wait_ns": "contentions", "hold_ns": "acquisitions"}, "waits and holds as they were")

first = truth, measured, document = truth_of("wait", 0)
waited = [name for name in KIND if truth[name]["contentions"]]
equal({name: measured.get(name, {}).get("contentions") for name in waited},
      {name: truth[name]["contentions"] for name in waited}, "waits only: contentions exact")
times("wait", first, {"wait_ns": "contentions"}, "waits only: waits as they were")
