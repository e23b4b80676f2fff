#!/usr/bin/env python3
"""A C++ program's allocations: new and delete in every form, containers, exceptions, thread_local
destructors: calls, bytes and frees under each function, exact."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

alone = run([sample("cxx_alloc")], env=clean_env())
done = preload([sample("cxx_alloc")], "cxx.pshim")
equal((done.status, done.out, done.err), (0, alone.out, ""), "the program runs as it does alone")
document = report("cxx.pshim")
if document:
    for name, want in json.loads(done.out).items():
        got = {"calls": cum(document, name, "alloc_calls"),
               "bytes": cum(document, name, "alloc_bytes"),
               "frees": cum(document, name, "free_calls")}
        equal(got, want, f"{name} is exact")

# Exceptions fly through frames with destructors while every allocation and tick walks the stack.
alone = run([sample("cxx_unwind")], env=clean_env())
for hz in (199, 2000):
    done = preload([sample("cxx_unwind")], f"unwind-{hz}.pshim", env={"PERFSHIM_CPU_HZ": hz})
    equal((done.status, done.out, done.err), (0, alone.out, ""),
          f"templates, sorts and exceptions come to the same checksum at {hz} Hz")
    document = report(f"unwind-{hz}.pshim")
    if document:
        total = document["totals"]["alloc_calls"]
        ok(cum(document, "main", "alloc_calls") + cum(document, "run", "alloc_calls") > 0.5 * total,
           f"at {hz} Hz most stacks reach main or the thread's function", document["loss"])
