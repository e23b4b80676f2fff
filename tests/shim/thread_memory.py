#!/usr/bin/env python3
# test: no-coverage
"""What the shim keeps in memory for each live thread that allocates and takes locks under 14 frames: less
than 16 KiB. memory.bench.py measures it with 10 000 threads."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

THREADS = 2000
argv = [helper("memory_use"), "threads", THREADS]
alone, done = run(argv, env=clean_env()), preload(argv, "threads.pshim")
document = report("threads.pshim") if ok((alone.status, done.status) == (0, 0), "it runs", alone, done) else None
if document:
    each = (json.loads(done.out)["pss"] - json.loads(alone.out)["pss"]) / THREADS
    ok(0 < each <= 16 << 10, f"{each / 1024:.1f} KiB a thread, at most 16", alone.out, done.out)
    equal(document["process"]["threads"], THREADS + 2, "every thread was seen")
    equal(flat(document, "work", "alloc_calls"), 10 * (THREADS + 1), "and each of its allocations")
