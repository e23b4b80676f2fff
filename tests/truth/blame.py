#!/usr/bin/env python3
# test: timeout=60 timing
"""Who made whom wait, where it is easy to blame the wrong one: a holder that takes the mutex again
elsewhere before its waiter wakes, a mutex given back by another thread or in a wait on a condition,
hand over hand, more locks than are tracked, crowds, waits in vain, left or cancelled ones, a fork,
refused unlocks, readers and writers that wait for each other, one who spins. Each share of the waits
within 2 points of what the program noted itself."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

POINTS = 0.02
AWAY_NS = 3_000_000  # the program may lose its CPU between a call and its own note of it

done = preload([sample("blame_truth")], "blame.pshim")
document = report("blame.pshim") if ok(done.status == 0, "runs", done) else None
if document:
    measured = {lock["name"]: lock for lock in document["locks"]}
    for want in json.loads(done.out)["locks"]:
        name, wait = want["name"], want["wait_ns"]
        got = measured[name]
        near(got["wait_ns"], wait, f"{name}: wait", rel=0.02, abs=AWAY_NS)
        blamed = {}
        for blocker in got["blockers"]:
            site = blocker["site"]["name"]
            blamed[site] = blamed.get(site, 0) + blocker["wait_ns"]
        off = {site: round((blamed.get(site, 0) - want["blame"].get(site, 0)) / wait, 4)
               for site in {*blamed, *want["blame"]}}
        ok(all(abs(points) <= POINTS + AWAY_NS / wait for points in off.values()),
           f"{name}: each holder's share of the waits within {POINTS * 100:g} points", off,
           want, got["blockers"])
        equal(sum(blamed.values()) + got["handoff_ns"], max(got["wait_ns"], sum(blamed.values())),
              f"{name}: what is not blamed is hand-off")
