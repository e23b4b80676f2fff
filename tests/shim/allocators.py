#!/usr/bin/env python3
"""Whose malloc the program calls: ours, or one that stands before ours and hides every allocation.
Hidden allocations are null in the report, never 0."""
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"  # what redis-server runs with
FIXED = B + "/helpers/malloc_address"
PIE = B + "/samples/leak3"


def totals(program, preload, profile):
    done = run([program], env=clean_env(LD_PRELOAD=preload, PERFSHIM_OUT=TMP + "/" + profile))
    equal(done.status, 0, f"{os.path.basename(program)} runs with {profile[:-6]}")
    document = report(TMP + "/" + profile)
    return document["totals"] if document else None


found = totals(FIXED, SHIM, "the shim alone.pshim")
ok(found and found["alloc_calls"] == 150 and found["alloc_bytes"] == 2000,
   "a program at a fixed address that takes malloc's address is counted exactly", found)
if os.path.exists(JEMALLOC):
    for program in (FIXED, PIE):
        name = os.path.basename(program)
        found = totals(program, f"{JEMALLOC}:{SHIM}", f"jemalloc before it, {name}.pshim")
        ok(found and found["alloc_calls"] is None and found["live_bytes"] is None,
           f"{name}: allocations that an earlier preload hides are null", found)
        found = totals(program, f"{SHIM}:{JEMALLOC}", f"jemalloc behind it, {name}.pshim")
        ok(found and found["alloc_calls"], f"{name}: with jemalloc behind it they are counted", found)
else:
    skip("an allocator before and behind the shim", "no libjemalloc.so.2 here")
