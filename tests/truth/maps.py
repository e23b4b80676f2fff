#!/usr/bin/env python3
"""What a program maps itself is counted at the stack that maps it: parts given back, mappings over
others, moved ones, in threads and children; over glibc's malloc and others, whose own are not."""
import glob
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

plain = run([helper("maps")], env=clean_env())
equal(plain.status, 0, "without the shim")
truth = json.loads(plain.out)

ALLOCATORS = {"glibc": None}
for name in ("libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2*"):
    found = sorted(glob.glob(f"/usr/lib/x86_64-linux-gnu/{name}"))
    ALLOCATORS[name.split(".")[0]] = found[0] if found else False

for name, library in ALLOCATORS.items():
    if library is False:
        skip(f"{name}", "it is not installed")
        continue
    env = {"LD_PRELOAD": f"{SHIM} {library}"} if library else {}
    done = preload([helper("maps")], f"{name}.pshim", env=env)
    equal((done.status, done.out, done.err), (plain.status, plain.out, plain.err),
          f"{name}: the program does the same")
    document = report(f"{name}.pshim")
    if not document:
        continue
    keys = ("mapped_calls", "mapped_bytes", "mapped_live_bytes")
    got = {f["name"]: [f[k]["cum"] for k in keys] for f in document["functions"]
           if f["name"] in truth or f["name"] == "not_counted"}
    got = {k: v for k, v in got.items() if v != [0, 0, 0]}
    equal(got, truth, f"{name}: mappings, bytes and live bytes of each function")
    total = [sum(v[i] for v in truth.values()) for i in range(3)]
    equal([document["totals"][k] for k in keys], total, f"{name}: and nothing else is counted")
    sites = [s for s in document["sites"] if s["kind"] == "map"]
    equal(sum(s["mapped_bytes"] for s in sites), total[1], f"{name}: sites of kind map have them")
    ok(all(s["alloc_calls"] is None for s in sites), f"{name}: and nothing of other kinds")

screen = run([PERFSHIM, "report", "--view=alloc", "glibc.pshim"], env=clean_env())
match(screen.out, r"^MAPPED  52 mappings of 64 KiB or more, .* live at exit$", "the view tells them")
match(screen.out, r"^ *50 +11\.4 MiB .* map +maps\.c:\d+ +by_two_threads maps\.c:",
      "by site and caller")
match(run([PERFSHIM, "report", "glibc.pshim"], env=clean_env()).out,
      r"^MAPPED  52 mappings, .*  live at exit \d", "so does the summary")
preload([helper("maps")], "off.pshim", env={"PERFSHIM_ALLOC": "off"})
document = report("off.pshim")
equal(document and document["totals"]["mapped_bytes"], None, "off: not measured")
