#!/usr/bin/env python3
# test: no-coverage
"""The profile of a program that runs is read while it grows, and after the program was killed."""
import os
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *

env = clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath("live.pshim"))
process = subprocess.Popen([STORE_BENCH, "--duration=60", "--threads=2", "--pool=off"], env=env,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    seen = []
    for _ in range(200):
        time.sleep(0.05)
        if os.path.exists("live.pshim"):
            document = report("live.pshim")
            if document and document["totals"]["ops"]:
                seen.append(document)
        if len(seen) == 6:
            break
    ok(len(seen) == 6, "a running program's profile is read, again and again")
    ok(all(d["process"]["end"] == "running" and d["process"]["status"] is None for d in seen),
       "it runs, and has no status yet")
    for key in ("alloc_calls", "alloc_bytes", "free_calls", "cpu_ns", "ops"):
        values = [d["totals"][key] for d in seen]
        ok(values == sorted(values) and values[0] < values[-1], f"{key} only grows", values)
    ok(all(s["live_blocks"] is None or s["live_blocks"] >= 0 for d in seen for s in d["sites"]),
       "no site ever has fewer than no live blocks")
    walls = [d["process"]["wall_ns"] for d in seen]
    ok(walls == sorted(walls) and walls[-1] < 60e9, "the wall time goes on", walls)
    done = run([PERFSHIM, "report", "live.pshim"], env=clean_env())
    match(done.out, r"^pid \d+  still running ", "the screen says that it runs")
    match(done.out, r"  live now \d", "and what is live is live now")
finally:
    process.send_signal(signal.SIGKILL)
last = seen[-1]["totals"] if seen else {"alloc_calls": 1 << 62}
os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is dead now, but still there
zombie = report("live.pshim")
process.wait()
document = report("live.pshim")
for label, killed in (("before it is waited for", zombie), ("afterwards", document)):
    ok(killed and (killed["process"]["end"], killed["process"]["status"]) == ("signal", None),
       f"killed, by what is not known: {label}", killed and killed["process"])
ok(document and document["totals"]["alloc_calls"] >= last["alloc_calls"], "and nothing is lost")
done = run([PERFSHIM, "report", "--view=leaks", "live.pshim"], env=clean_env())
match(done.out, r"^LEAKS   .* live at the end$", "what was live then is told")
