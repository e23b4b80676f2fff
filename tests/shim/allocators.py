#!/usr/bin/env python3
"""Other allocators, before and behind the shim. Before it they hide every allocation, which is then
null in the report, never 0, and told. Behind it a program behaves as over the allocator alone: errno,
alignments, 0 bytes, overflow, sizes near PTRDIFF_MAX; and nothing that is freed is taken for what
it is not."""
import json
import os
import re
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

FIXED = helper("malloc_address")
PIE = sample("leak3")


def totals(program, libraries, profile):
    done = preload([program], profile, env={"LD_PRELOAD": libraries})
    equal((done.status, done.err), (0, ""), f"{os.path.basename(program)} runs with {profile[:-6]}")
    document = report(profile)
    return document["totals"] if document else None


found = totals(FIXED, SHIM, "the shim alone.pshim")
ok(found and found["alloc_calls"] == 150 and found["alloc_bytes"] == 2000,
   "a program at a fixed address that takes malloc's address is counted exactly", found)
for allocator, library in ALLOCATORS.items():
    if not library:
        continue
    for program in (FIXED, PIE):
        name = os.path.basename(program)
        profile = f"{allocator} before it, {name}.pshim"
        found = totals(program, f"{library}:{SHIM}", profile)
        ok(found and found["alloc_calls"] is None and found["live_bytes"] is None,
           f"{name}: allocations that an earlier {allocator} hides are null", found)
    second = run([PERFSHIM, "report", profile], env=clean_env()).out.split("\n")[1:2]
    ok(second and re.search(r"\bno allocations\b", second[0]),
       f"{allocator} before it: the report's second line says so", second)

found = totals(FIXED, f"{SHIM}:{ALLOCATORS['jemalloc']}", "jemalloc behind it.pshim")
ok(found and found["alloc_calls"] in (150, 151), "and with jemalloc behind it, whose C++ library may allocate one",
   found)

# What a program is told and given.
for allocator in ALLOCATORS:
    want = run([helper("alloc_edges")], env=clean_env(**alone(allocator)))
    ok(want.status == 0 and len(want.out.split("\n")) > 1000, f"{allocator}: the edges alone", want)
    for mode in ("exact", "64"):
        got = preload([helper("alloc_edges")], f"edges-{allocator}-{mode}.pshim",
                      env={**behind(allocator), "PERFSHIM_ALLOC": mode})
        differ = [f"{a!r} is now {b!r}" for a, b in zip(want.out.split("\n"), got.out.split("\n"))
                  if a != b][:5]
        ok((got.status, got.err, len(got.out)) == (0, want.err, len(want.out)) and not differ,
           f"{allocator}, {mode}: errno, alignment, 0 bytes, overflow, huge and usable sizes as alone",
           got.status, got.err, *differ)

# What is made or changed past the hooks: each free is of a block that we saw, or foreign.
CASES = [(name, case) for name in ALLOCATORS for case in ("stale", "entries")]
for allocator, case in CASES + [("jemalloc", "jemalloc")]:
    label = f"{allocator}, {case}"
    done = preload([helper("alloc_past"), case], f"{label}.pshim", env=behind(allocator))
    if not ok(done.status == 0, f"{label}: blocks made past the hooks are not harmed", done):
        continue
    document = report(f"{label}.pshim")
    if not document:
        continue
    truth = json.loads(done.out)
    where = "main" if case == "jemalloc" else "seen"  # elsewhere a dlsym that fails allocates too
    calls, frees = (cum(document, where, key) for key in ("alloc_calls", "free_calls"))
    foreign = document["loss"].get("free_foreign", 0)
    if case == "entries":
        equal((calls, frees, foreign, cum(document, "seen", "live_bytes")),
              (80, 40, truth["past"], 40 * 5001),
              f"{label}: a free is of the block that is there, not of the one that was")
        continue
    equal((calls, frees + foreign), (truth["seen"], truth["seen"] + truth["past"]),
          f"{label}: what was seen is exact, each free is one of it or foreign")
    if case == "stale":
        equal((frees, foreign), (truth["seen"], truth["past"]), f"{label}: no stale tag is counted")
