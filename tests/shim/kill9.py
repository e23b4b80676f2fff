#!/usr/bin/env python3
# test: no-coverage
"""kill -9 at 50 random moments: the file opens, and its counts lie between what the program's own
ledger says was done and what it says was begun."""
import os
import random
import signal
import struct
import subprocess
import sys
import time

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

KILLS = 50
THREADS = 4
FIELDS = ("alloc_begun", "alloc_ended", "free_begun", "free_ended")


def ledger_read(path):
    with open(path, "rb") as f:
        data = f.read()
    pid = struct.unpack_from("<Q", data)[0]
    cells = [dict(zip(FIELDS, struct.unpack_from("<4Q", data, 64 + 64 * t)))
             for t in range(THREADS)]
    return pid, cells


def started_pid(path, process):
    limit = time.monotonic() + 20
    while time.monotonic() < limit and process.poll() is None:
        if os.path.exists(path) and os.path.getsize(path):
            pid = ledger_read(path)[0]
            if pid:
                return pid
        time.sleep(0.001)
    raise SystemExit("the program did not start")


def kill_once(i, rng):
    """One run; what is wrong with it, as a list of lines, and the profile's report."""
    ledger, out = f"ledger-{i}", f"kill-{i}.pshim"
    by_record = i % 5 == 4
    if by_record:
        argv = [PERFSHIM, "record", "-o", out, "--", helper("kill_ledger"), ledger]
        env = clean_env()
    else:
        argv = [helper("kill_ledger"), ledger]
        env = clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath(out))
    process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    pid = started_pid(ledger, process)
    time.sleep(rng.random() ** 3 * 0.15)  # often early, when tables still grow
    os.kill(pid, signal.SIGKILL)
    process.communicate()
    document = report(out)
    os.unlink(out)
    if not document:
        return [f"kill {i}: no report"], None
    wrong = []
    if by_record and process.returncode != 137:
        wrong.append(f"kill {i}: record exits {process.returncode}, not 137")
    if document["process"]["end"] != "signal":
        wrong.append(f"kill {i}: end is {document['process']['end']}")
    if by_record and document["process"]["status"] != 9:
        wrong.append(f"kill {i}: status is {document['process']['status']}")
    for t, cell in enumerate(ledger_read(ledger)[1]):
        calls = flat(document, f"alloc_on_{t}", "alloc_calls")
        frees = flat(document, f"alloc_on_{t}", "free_calls")
        if not cell["alloc_ended"] <= calls <= cell["alloc_begun"]:
            wrong.append(f"kill {i}: thread {t}: {calls} allocations counted, {cell}")
        if not cell["free_ended"] <= frees <= cell["free_begun"]:
            wrong.append(f"kill {i}: thread {t}: {frees} frees counted, {cell}")
    return wrong, document


rng = random.Random(20240607)
wrong, opened, events = [], 0, 0
for i in range(KILLS):
    lines, document = kill_once(i, rng)
    wrong += lines
    if document:
        opened += 1
        events += document["totals"]["alloc_calls"]
equal(opened, KILLS, "every file opens after kill -9")
ok(not wrong, f"counts fit the ledger at each of {KILLS} kills", *wrong)
ok(events > KILLS * 1000, "the programs were killed at work", events)
