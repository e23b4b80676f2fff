#!/usr/bin/env python3
"""Every form of operator new and delete, and jemalloc's frees on blocks of malloc, over each
allocator: exact, no block harmed, and what the program sees is what it sees alone. Sampled: near the
truth, and what is freed is not live."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

PROGRAM = sample("cxx_forms")
# mimalloc is built without exceptions and ends a program whose operator new fails
ARGUMENTS = {"mimalloc": ["small"]}


def found(document, name):
    return {"calls": cum(document, name, "alloc_calls"), "bytes": cum(document, name, "alloc_bytes"),
            "frees": cum(document, name, "free_calls")}


for name in ALLOCATORS:
    argv = [PROGRAM, *ARGUMENTS.get(name, [])]
    by_itself = run(argv, env=clean_env(**alone(name)))
    # without ticks: one in code without call-frame information would be a loss too
    done = preload(argv, f"{name}.pshim", env={**behind(name), "PERFSHIM_CPU_HZ": "0"})
    equal((by_itself.status, done.status, done.out, done.err), (0, 0, by_itself.out, by_itself.err),
          f"{name}: the program runs and sees jemalloc's functions as it does alone")
    document = report(f"{name}.pshim")
    if not document or done.status:
        continue
    want = json.loads(done.out)
    there = want.pop("found")
    if name == "glibc":
        equal(set(there.values()), {0}, "glibc: there is no jemalloc to be found")
    for numbers in want.values():
        malloc_bytes = numbers.pop("malloc_bytes")
        if name == "glibc":  # libstdc++'s operators
            numbers["bytes"] = malloc_bytes
    equal({function: found(document, function) for function in want}, want,
          f"{name}: {len(want)} functions are exact")
    loss = {reason: n for reason, n in document["loss"].items()
            if n and reason != "held_overflow"}  # jemalloc takes all its locks around fork
    equal(loss, {}, f"{name}: every free finds its allocation, nothing is lost")

    done = preload(argv, f"{name}-sampled.pshim",
                   env={**behind(name), "PERFSHIM_ALLOC": "1K", "PERFSHIM_ALLOC_SEED": "4"})
    document = report(f"{name}-sampled.pshim")
    if not ok(done.status == 0 and document, f"{name}, sampled: the program runs", done):
        continue
    live = {function: cum(document, function, "live_bytes") for function in want}
    equal(set(live.values()), {0}, f"{name}, sampled: each form's free finds what was sampled")
    far = {function: got for function, numbers in want.items() if numbers["calls"] == 1200
           for got in [found(document, function)]
           if abs(got["calls"] / 1200 - 1) > 0.25 or got["frees"] != got["calls"]
           or abs(got["bytes"] / numbers["bytes"] - 1) > 0.02}
    equal(far, {}, f"{name}, sampled: each form's calls within 25 %, bytes within 2 %")

# With allocations off, and in what they leave behind, sizes are not told either.
done = preload([PROGRAM], "off.pshim", env={**behind("jemalloc"), "PERFSHIM_ALLOC": "off"})
document = report("off.pshim")
equal((done.status, document and document["totals"]["alloc_calls"]), (0, None),
      "jemalloc: with allocations off the program runs, and they are null")

# A program without C++ gets the operator new that its plug-in brings.
code = f"import ctypes; print(ctypes.CDLL('{helper('own_new')}').own_new_works())"
by_itself = run([sys.executable, "-c", code], env=clean_env())
done = preload([sys.executable, "-c", code], "plug-in.pshim")
equal((by_itself.out, done.out, done.status), ("1\n", "1\n", 0),
      "a plug-in's own operator new is called, not ours")
