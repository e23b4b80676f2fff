#!/usr/bin/env python3
# test: timeout=900
"""What the shim takes of memory: of a live thread, of blocks that nobody touches, of the profile's size
after many more events. Byte counts of the kernel's, so one run each is enough."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"
PAIRS = int(os.environ.get("PERFSHIM_BENCH_PAIRS", 100000000))


def target(name, reached, seen):
    note(f"{name:64} {seen:>24}  {'reached' if reached else 'NOT REACHED'}")


def grown(name, arguments, allocator=None):
    """Growth in bytes of Rss and Pss, without the shim and with it; None after a failed check."""
    argv, profile = [helper("memory_use"), *arguments], TMP + "/memory.pshim"
    names = [allocator] if allocator else []
    found = []
    for shim in ([], [SHIM]):
        done = run(argv, timeout=300, env=clean_env(LD_PRELOAD=" ".join(shim + names), PERFSHIM_OUT=profile))
        if not ok(done.status == 0, f"{name}, {'with' if shim else 'without'} the shim: measured", done):
            return None
        found.append(json.loads(done.out))
    os.remove(profile)
    return found


threads = 10000
found = grown(f"{threads} threads", ["threads", threads])
if found:
    each = (found[1]["pss"] - found[0]["pss"]) / threads / 1024
    target(f"{threads} live threads, 14 frames, allocations and locks: <= 16 KiB each", each <= 16, f"{each:.1f} KiB")

for label, allocator in (("glibc", None), ("jemalloc", JEMALLOC)):
    if allocator and not os.path.exists(allocator):
        skip("untouched blocks on jemalloc", "libjemalloc2 is not installed: ./setup")
        continue
    for name, arguments in (("2 000 untouched blocks of 1 MiB", ["blocks", 2000, 1 << 20]),
                            ("2 000 of posix_memalign(4096, 4096)", ["aligned", 2000, 4096])):
        found = grown(f"{name}, {label}", arguments, allocator)
        if found:
            alone, shim = found[0]["rss"], found[1]["rss"]
            target(f"{name}, {label}: Rss +-2 %", abs(shim - alone) <= 0.02 * alone,
                   f"{alone / 1024:.0f} -> {shim / 1024:.0f} KiB")

sizes = {}
for pairs in (PAIRS // 100, PAIRS):
    out = f"{TMP}/pairs-{pairs}.pshim"
    done = preload([helper("pair_cost"), pairs, 10, 4096, 2], out, timeout=600)
    document = report(out) if ok(done.status == 0, f"{pairs} pairs: runs", done) else None
    if document:
        ok(document["totals"]["alloc_calls"] >= pairs, f"{pairs} pairs: all are counted")
        sizes[pairs] = os.stat(out).st_blocks * 512
        os.remove(out)
if len(sizes) == 2:
    few, many = sizes.values()
    target(f"profile on disk, {PAIRS} pairs as of {PAIRS // 100}: +-5 %", abs(many - few) <= .05 * few,
           f"{few / 1024:.0f} -> {many / 1024:.0f} KiB")
