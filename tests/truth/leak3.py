#!/usr/bin/env python3
"""A program that leaks at three known places: function, line, blocks and bytes of each."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

done = preload([sample("leak3")], "leak3.pshim")
ok(done.status == 0, "leak3 runs", done)
truth = json.loads(done.out)
leaks = truth["leaks"]

document = report("leak3.pshim", "--view", "leaks")
if document:
    live = [s for s in document["sites"] if s["live_blocks"]]
    found = sorted((s["frames"][0]["name"], os.path.basename(s["frames"][0]["file"] or ""),
                    s["frames"][0]["line"], s["live_blocks"], s["live_bytes"]) for s in live)
    wanted = sorted((l["function"], truth["file"], l["line"], l["blocks"], l["bytes"])
                    for l in leaks)
    equal(found, wanted, "the leaking places are these three, to block, byte and line")
    equal((document["totals"]["live_blocks"], document["totals"]["live_bytes"]),
          (sum(l["blocks"] for l in leaks), sum(l["bytes"] for l in leaks)),
          "nothing else is alive at exit")
    for leak in leaks:
        equal((flat(document, leak["function"], "live_blocks"),
               flat(document, leak["function"], "live_bytes")),
              (leak["blocks"], leak["bytes"]), f"{leak['function']} in the table of functions")
    equal(flat(document, "scratch_get", "live_blocks"), 0, "what was freed is not called a leak")

# Over other allocators: nothing else of main's is alive, whatever their libraries keep.
for allocator in ("jemalloc", "tcmalloc", "mimalloc"):
    done = preload([sample("leak3")], f"{allocator}.pshim", env=behind(allocator))
    document = report(f"{allocator}.pshim")
    if ok(done.status == 0, f"{allocator}: leak3 runs", done) and document:
        got = {l["function"]: (flat(document, l["function"], "live_blocks"),
                               flat(document, l["function"], "live_bytes")) for l in leaks}
        got["main"] = cum(document, "main", "live_blocks"), cum(document, "main", "live_bytes")
        want = {l["function"]: (l["blocks"], l["bytes"]) for l in leaks}
        want["main"] = tuple(sum(column) for column in zip(*want.values()))
        equal(got, want, f"{allocator}: the three leaks, to the block and byte, and nothing else")

text = run([PERFSHIM, "report", "--view=leaks", "leak3.pshim"], env=clean_env())
equal(text.status, 0, "the text report exits 0")
for leak in leaks:
    match(text.out, rf"\b{leak['blocks']}\b.*\b{leak['function']}\b.*leak3\.c:{leak['line']}\b",
          f"the text names blocks, function, file and line of {leak['function']}")
order = [text.out.find(name) for name in ("buffer_enlarge", "session_open", "cache_remember")]
ok(order == sorted(order) and order[0] >= 0, "the largest leak stands first", text.out)
