#!/usr/bin/env python3
# test: no-coverage
"""A C++ program's mutexes: acquisitions exact under every form of lock, and their place is the
program's function, not the C++ runtime that it calls."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

done = preload([sample("cxx_locks")], "cxx_locks.pshim")
document = report("cxx_locks.pshim") if ok(done.status == 0, "runs", done) else None
if document:
    locks = {lock["name"]: lock for lock in document["locks"]}
    for name, want in json.loads(done.out).items():
        got = locks.get(name)
        if not ok(got, f"{name}: is in the report", sorted(locks)):
            continue
        equal(got["acquisitions"], want, f"{name}: taken as often as the program says")
        places = {site["name"] for site in got["sites"]}
        equal(places, {f"take_{name}"}, f"{name}: taken in take_{name}")
        equal(sum(site["acquisitions"] for site in got["sites"]), want, f"{name}: its places add up")
    lost = {"recursion", "lock_table_full", "held_overflow", "unlock_unknown"} & set(document["loss"])
    equal(lost, set(), "no lock was lost")  # a CPU tick may fall where a stack cannot be walked
