#!/usr/bin/env python3
# test: timeout=240 no-coverage
"""Four kinds of work in shares that the program measures itself: each share in the report lies
within 2 points of that truth, in the right order. cpu_split.soak.py does it ten times. All of it is CPU
time, so other processes may run beside it."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

TICKS = 6100  # a little over 6 000: each thread's first tick is not a whole period


def split(program, seed, copy_caller):
    """One run: the truth's shares and the report's, by name; memcpy stands for its caller."""
    out = f"{program}-{seed}.pshim"
    done = preload([sample(program), "--ticks", TICKS, "--threads", 2, "--seed", seed], out,
                   timeout=230)
    if not ok(done.status == 0, f"{program} {seed}: runs", done):
        return None
    document = report(out)
    if not document:
        return None
    ok(document["mode"]["cpu_ticks"] >= 6000, f"{program} {seed}: 6 000 ticks or more",
       document["mode"])
    total = document["totals"]["cpu_ns"]
    truth, measured = {}, {}
    for entry in json.loads(done.out)["functions"]:
        name = "memcpy" if entry["name"] == copy_caller else entry["name"]
        truth[name] = entry["share"]
        measured[name] = cum(document, name, "cpu_ns") / total
    memcpy = function(document, "memcpy")
    match(memcpy["module"] if memcpy else "", r"libc\.so", f"{program} {seed}: memcpy is libc's")
    return truth, measured


def check(program, seed, copy_caller):
    shares = split(program, seed, copy_caller)
    if not shares:
        return
    truth, measured = shares
    for name, share in truth.items():
        near(measured[name], share, f"{program} {seed}: {name} within 2 points of {share:.1%}",
             abs=0.02)
        note(f"{name}: truth {share:.2%}, report {measured[name]:.2%}")
    equal(sorted(measured, key=measured.get, reverse=True),
          sorted(truth, key=truth.get, reverse=True), f"{program} {seed}: in the right order")


if __name__ == "__main__":
    check("split", 1, "rows_copy")
