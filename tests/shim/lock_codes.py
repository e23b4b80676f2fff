#!/usr/bin/env python3
"""Every kind of lock under every call answers with the shim as without it, in each mode: robust
mutexes with dead owners, priority protocols, refusals, timeouts, cancelled waits, both versions of
the condition variables, semaphores under signals, initialisation that never ends. errno too."""
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *


def same_answers(name, least, codes):
    plain = run([helper(name)], timeout=30)
    ok(plain.status == 0, f"{name}: runs alone", plain)
    lines = plain.out.splitlines()
    ok(len(lines) > least, f"{name}: asks more than {least} questions", len(lines))
    for code in codes:
        ok(any(line.endswith(code) for line in lines), f"{name}: is told {code} among others")
    for mode in ("on", "wait", "off"):
        out = f"{name}-{mode}.pshim"
        done = preload([helper(name)], out, env={"PERFSHIM_LOCKS": mode}, timeout=30)
        differ = [f"{a!r} became {b!r}" for a, b in zip(lines, done.out.splitlines()) if a != b]
        ok(done.status == 0 and len(done.out.splitlines()) == len(lines) and not differ,
           f"{name}, {mode}: the same answers", f"status {done.status}", *differ[:10])
        document = report(out)
        if document:
            equal(document["mode"]["locks"], mode, f"{name}, {mode}: the report says so")


same_answers("lock_codes", 1500, ("EDEADLK", "EPERM", "EOWNERDEAD", "ENOTRECOVERABLE", "ETIMEDOUT",
                                  "EINVAL", "EBUSY"))
same_answers("kind_codes", 300, ("EINTR", "EAGAIN", "ETIMEDOUT", "EINVAL", "ENOSYS"))
