#!/usr/bin/env python3
"""Stacks that are hard to come by, under the shim: coroutines', alternate signal stacks', and code made
at run time, with frame pointers (whole) and without (cut, and counted)."""
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

COUNT = 5000
CUT = ("stack_no_cfi", "stack_bad_cfi", "stack_unknown", "stack_bad_pc")


def cut(document, *reasons):
    return sum(document["loss"].get(reason, 0) for reason in reasons or CUT)


def recorded(name, argv, want):
    profile = name.replace(" ", "_") + ".pshim"
    done = preload(argv, profile)
    if not ok(done.status == 0 and want in done.out, f"{name}: runs as without the shim", done):
        return None
    return report(profile)


for shape, site in (("coroutine", "coroutine_main"), ("signal", "main")):
    document = recorded(shape, [helper("unwind_shapes-O2-nofp"), shape, COUNT], f"done {COUNT}")
    if document:
        # a tick may come upon crtbegin.o's code, or setcontext between two stacks
        ok(cut(document) <= 5, f"{shape}: stacks are whole", document["loss"])
        calls = cum(document, site, "alloc_calls")
        near(calls, COUNT, f"{shape}: what it allocates has its callers", rel=0.02)

for name, arguments in (("stack gone", []), ("stack gone directly", ["directly"])):
    document = recorded(name, [helper("stack_gone"), *arguments], "done")
    if document:
        equal(cum(document, "leaf", "alloc_calls"), 801,
              "a short stack in the place of a longer one: what it allocates has its callers")

document = recorded("made code fp", [helper("made_code"), "fp", COUNT], "done")
if document:
    ok(cut(document) <= 2, "code made at run time with frame pointers: stacks are whole",
       document["loss"])
    equal(cum(document, "call_made", "alloc_calls"), COUNT, "and lead to its caller")
document = recorded("made code nofp", [helper("made_code"), "nofp", COUNT], "done")
if document:
    ok(cut(document, "stack_bad_pc") >= COUNT,
       "code made at run time without frame pointers: stacks that end there are counted",
       document["loss"])
    equal(cum(document, "call_made", "alloc_calls"), 0, "and no caller is made up")

# libunwind finds the same stacks, and does its host no harm: its own look-ups, signals and descriptors.
documents = {}
for unwind in ("cfi", "libunwind"):
    argv = [STORE_BENCH, "--threads=1", "--ops=1000", "--keys=500", "--pool=off", "--seed=7", "--no-live"]
    done = preload(argv, unwind + ".pshim", env={"PERFSHIM_UNWIND": unwind, "PERFSHIM_CPU_HZ": "997"})
    ok(done.status == 0, f"store_bench with PERFSHIM_UNWIND={unwind}", done)
    documents[unwind] = report(unwind + ".pshim")
if all(documents.values()):
    equal(documents["libunwind"]["mode"]["unwind"], "libunwind", "the report says who walked")
    equal(cut(documents["libunwind"]), 0, "libunwind: stacks are whole")
    sites = [sorted((s["alloc_calls"], [(f["module"], f["offset"]) for f in s["frames"]])
                    for s in document["sites"] if s["kind"] == "alloc" and s["alloc_calls"] >= 100)
             for document in documents.values()]
    ok(len(sites[0]) >= 3 and sites[0] == sites[1],
       "libunwind: allocations are counted at the same stacks", sites)
SHELL = "import os, sys; os.system('exit 3'); print(sorted(os.listdir('/proc/self/fd')), len(os.environ) > 1)"
wanted = run([sys.executable, "-c", SHELL], env=clean_env())
for argv, want in (([sys.executable, "-c", SHELL], wanted.out), (["sh", "-c", "echo $HOME"], os.environ["HOME"] + "\n")):
    done = preload(argv, "host.pshim", env={"PERFSHIM_UNWIND": "libunwind"})
    ok((done.status, done.out) == (0, want), f"{argv[0].split('/')[-1]} with PERFSHIM_UNWIND=libunwind runs as without the shim", done)
