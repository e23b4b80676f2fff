#!/usr/bin/env python3
"""Allocation at the edges of life: before constructors, in dying threads, in exit handlers. The
program does what it does alone, and every place's counts are exact."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

CASES = {  # how the process ends, as `record` knows it
    "early": ("exit", 0), "destructors": ("exit", 0), "cancel": ("exit", 0), "c11": ("exit", 0),
    "churn": ("exit", 0), "names": ("exit", 0), "exit_handlers": ("exit", 9),
    "exit_in_thread": ("exit", 11), "main_leaves": ("exit", 0), "_exit": ("exit", 12),
    "quick_exit": ("exit", 13), "abort": ("signal", 6), "segv": ("signal", 11),
    "term": ("signal", 15),
}
LATE = ("destructor_alloc", "exit_alloc")  # may run after the last sight of their thread
RANDOM = ("cancel",)  # how often its threads allocate is a matter of time


def counts(document, names):
    return {name: [flat(document, name, key) for key in ("alloc_calls", "alloc_bytes",
                                                         "free_calls")] for name in names}


def check_counts(label, done, document):
    """Exact; or what is missing was counted as too late to record, event by event."""
    expected = json.loads(done.out)
    got = counts(document, expected)
    missing = sum(expected[place][i] - got[place][i] for place in expected for i in (0, 2))
    late = document["loss"].get("thread_late", 0)
    allowed = {place for place in expected if got[place] != expected[place]} <= set(LATE)
    ok(allowed and missing == late, f"{label}: every place is exact", f" got: {got}",
       f"want: {expected}", f"{missing} events missing, {late} counted as late")


for case, (end, status) in CASES.items():
    program = [helper("lifecycle"), case]
    alone = run(program, env=clean_env())
    done = preload(program, f"{case}.pshim")
    if case in RANDOM:
        same = (done.status, done.err) == (alone.status, alone.err)
    else:
        same = (done.status, done.out, done.err) == (alone.status, alone.out, alone.err)
    if not ok(same, f"{case}: output and status are what they are without the shim", alone, done):
        continue
    document = report(f"{case}.pshim")
    if not document:
        continue
    check_counts(case, done, document)
    equal(document["process"]["end"] in (end, "signal"), True, f"{case}: the end is known")
    if case == "churn":
        equal(document["process"]["threads"], 1601, "churn: 1 601 threads were seen")
    if case == "names":
        names = {t["name"] for t in document["threads"]}
        ok({"compactor", "flusher-7", "a name of 15 ch"} <= names, "names: threads have theirs",
           names)
        leaf = function(document, "named_work")
        ok(leaf is not None and leaf["alloc_calls"]["cum"] == 300,
           "names: stacks reach the threads' start routine", leaf)

for case in ("exit_handlers", "_exit", "quick_exit", "abort", "term", "main_leaves"):
    end, status = CASES[case]
    out = f"record-{case}.pshim"
    done = run([PERFSHIM, "record", "-o", out, "--", helper("lifecycle"), case], env=clean_env())
    equal(done.status, status if end == "exit" else 128 + status,
          f"record {case}: exits as the program does")
    document = report(out)
    if document:
        equal((document["process"]["end"], document["process"]["status"]), (end, status),
              f"record {case}: the profile says how it ended")
        check_counts(f"record {case}", done, document)

# A list of allowed system calls that has none of ours: recording ends before it is set, for good.
for how, wrapper in (("prctl", []), ("syscall", []), ("prctl", ["setarch", "--uname-2.6"])):
    out, label = f"sandbox-{how}-{len(wrapper)}.pshim", f"seccomp by {how}{', the older way' if wrapper else ''}"
    env = {"LD_PRELOAD": SHIM, "PERFSHIM_OUT": os.path.abspath(out), "PERFSHIM_CPU_HZ": "4000"}
    done = run([*wrapper, "env", *(f"{key}={value}" for key, value in env.items()), helper("sandbox"), how],
               env=clean_env())
    equal((done.status, done.out, done.err), (7, "done\n", ""), f"{label}: the program goes on unharmed")
    document = report(out)
    if document:
        equal(flat(document, "work", "alloc_calls"), 4000, f"{label}: what was before it is exact")
        calls = {e["call"]: e["calls"] for e in document["io"] + document["idle"] if e["site"]["name"] == "io"}
        equal(calls, {"read": 20, "write": 20, "poll": 20, "nanosleep": 20}, f"{label}: likewise I/O and waits")
        match(document["process"]["off_reason"] or "", "seccomp", "and the profile says why no more")

# Another library that wraps malloc, on either side: the program runs; what we cannot see is null.
wrapper = helper("wrap_alloc")
alone = run([helper("lifecycle"), "early"], env=clean_env(LD_PRELOAD=wrapper))
for label, order in (("behind", f"{SHIM}:{wrapper}"), ("before", f"{wrapper}:{SHIM}")):
    done = preload([helper("lifecycle"), "early"], f"{label}.pshim", env={"LD_PRELOAD": order})
    equal((done.status, done.out, done.err), (alone.status, alone.out, alone.err),
          f"another malloc wrapper {label} the shim: output and status unchanged")
    document = report(f"{label}.pshim")
    if document and label == "behind":
        check_counts("a malloc wrapper behind the shim", done, document)
    elif document:
        calls = document["totals"]["alloc_calls"]
        ok(calls is None or calls >= 600, "a malloc wrapper before the shim: never a false 0",
           calls)
