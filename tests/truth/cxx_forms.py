#!/usr/bin/env python3
"""Every form of operator new and delete, and jemalloc's frees on blocks of malloc, over each
allocator: exact, no block harmed, and what the program sees is what it sees alone."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

FOLDER = "/usr/lib/x86_64-linux-gnu/"
PROGRAM = sample("cxx_forms")
# file, and how to run the program: mimalloc is built without exceptions and ends a program whose
# operator new fails
ALLOCATORS = {"glibc": ("", []), "jemalloc": ("libjemalloc.so.2", []),
              "tcmalloc": ("libtcmalloc_minimal.so.4", []),
              "mimalloc": ("libmimalloc.so.2", ["small"])}

for name, (file, arguments) in ALLOCATORS.items():
    if file and not os.path.exists(FOLDER + file):
        skip(f"{name}: every form is exact", f"no {file} here")
        continue
    library = FOLDER + file if file else ""
    alone = run([PROGRAM, *arguments], env=clean_env(LD_PRELOAD=library))
    done = preload([PROGRAM, *arguments], f"{name}.pshim",
                   env={"LD_PRELOAD": f"{SHIM}:{library}" if file else SHIM})
    equal((alone.status, done.status, done.out, done.err), (0, 0, alone.out, alone.err),
          f"{name}: the program runs and sees jemalloc's functions as it does alone")
    document = report(f"{name}.pshim")
    if not document or done.status:
        continue
    want = json.loads(done.out)
    found = want.pop("found")
    if name == "glibc":
        equal(set(found.values()), {0}, "glibc: there is no jemalloc to be found")
    for numbers in want.values():
        malloc_bytes = numbers.pop("malloc_bytes")
        if name == "glibc":  # libstdc++'s operators
            numbers["bytes"] = malloc_bytes
    got = {function: {"calls": cum(document, function, "alloc_calls"),
                      "bytes": cum(document, function, "alloc_bytes"),
                      "frees": cum(document, function, "free_calls")} for function in want}
    equal(got, want, f"{name}: {len(want)} functions are exact")
    loss = {reason: n for reason, n in document["loss"].items() if n}
    ok("free_foreign" not in loss, f"{name}: every free finds its allocation", loss)

# With allocations off, and in what they leave behind, sizes are not told either.
for name in ("glibc", "jemalloc"):
    file = ALLOCATORS[name][0]
    if file and not os.path.exists(FOLDER + file):
        skip(f"{name}: allocations off", f"no {file} here")
        continue
    done = preload([PROGRAM], f"off-{name}.pshim",
                   env={"LD_PRELOAD": f"{SHIM}:{FOLDER}{file}" if file else SHIM,
                        "PERFSHIM_ALLOC": "off"})
    document = report(f"off-{name}.pshim")
    equal((done.status, document and document["totals"]["alloc_calls"]), (0, None),
          f"{name}: with allocations off the program runs, and they are null")

# A program without C++ gets the operator new that its plug-in brings.
code = f"import ctypes; print(ctypes.CDLL('{helper('own_new')}').own_new_works())"
alone = run([sys.executable, "-c", code], env=clean_env())
done = preload([sys.executable, "-c", code], "plug-in.pshim")
equal((alone.out, done.out, done.status), ("1\n", "1\n", 0),
      "a plug-in's own operator new is called, not ours")
