#!/usr/bin/env python3
# test: no-coverage
"""A C++ program's mutexes: acquisitions exact under every form of lock, and their place is the
program's function, not the C++ runtime that it calls. And locks on the heap have the block that
they lie in."""
import collections
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

# Locks on the heap are named by the block that they lie in.
done = preload([sample("heap_locks")], "heap_locks.pshim")
document = report("heap_locks.pshim") if ok(done.status == 0, "heap: runs", done) else None
if document:
    found = collections.Counter()
    for lock in document["locks"]:
        block = lock["allocation"]
        if block:
            place = lock["kind"], block["site"]["name"], block["offset"], block["bytes"]
            found[place] += lock["instances"]
    want = collections.Counter()
    for lock in json.loads(done.out):
        want[lock["kind"], lock["from"], lock["offset"], lock["bytes"]] += lock["count"]
    equal(dict(found - want), {}, "heap: no lock is said to lie where it does not")
    equal(dict(want - found), {}, "heap: each lock's block is found, and its offset there")
    names = {lock["name"] for lock in document["locks"]}
    match("\n".join(sorted(names)), r"^mutex \+40 in 120 B from connection_new heap_locks\.cc:\d+$",
          "heap: and the lock is named after it")
    rest = {(lock["name"].split(" heap_locks.cc")[0], lock["initialised"], lock["first_site"]["name"])
            for lock in document["locks"] if not lock["allocation"]}
    equal(rest, {("mutex first taken in stack_use", False, "stack_use"),
                 ("mutex first taken in task_use", False, "task_use")},
          "heap: a lock on a stack, and one where two classes had theirs, lie in none")
    screen = run([PERFSHIM, "report", "--view=locks", "heap_locks.pshim"]).out
    match(screen, r" 200 x mutex \+40 in 120 B from connection_new ", "heap: locks of one class are one row")
    match(screen, r" 100 x rwlock in 6\.2 KiB from shards_new ", "heap: and so are those of one array")

for mode in ("512K", "off"):
    done = preload([sample("heap_locks")], f"heap-{mode}.pshim", env={"PERFSHIM_ALLOC": mode})
    document = report(f"heap-{mode}.pshim")
    blocks = [lock for lock in document["locks"] if lock["allocation"]]
    ok(done.status == 0 and len(blocks) <= len(document["locks"]) * 0.1,
       f"--alloc={mode}: blocks are not known, and none is made up", *blocks[:3])
