#!/usr/bin/env python3
"""Every kind of mutex under every call answers with the shim as without it, in each mode: robust
mutexes with dead owners, priority protocols, refusals, timeouts, cancelled waits, both versions of
the condition variables. errno is left alone."""
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

plain = run([helper("lock_codes")], timeout=30)
ok(plain.status == 0, "runs alone", plain)
lines = plain.out.splitlines()
ok(len(lines) > 1500, "asks more than 1 500 questions", len(lines))
for code in ("EDEADLK", "EPERM", "EOWNERDEAD", "ENOTRECOVERABLE", "ETIMEDOUT", "EINVAL", "EBUSY"):
    ok(any(line.endswith(code) for line in lines), f"and is told {code} among others")

for mode in ("on", "wait", "off"):
    out = f"codes-{mode}.pshim"
    done = preload([helper("lock_codes")], out, env={"PERFSHIM_LOCKS": mode}, timeout=30)
    differ = [f"{a!r} became {b!r}" for a, b in zip(lines, done.out.splitlines()) if a != b]
    ok(done.status == 0 and len(done.out.splitlines()) == len(lines) and not differ,
       f"{mode}: the same answers", f"status {done.status}", *differ[:10])
    document = report(out)
    if document:
        equal(document["mode"]["locks"], mode, f"{mode}: the report says so")
