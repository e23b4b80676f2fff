#!/usr/bin/env python3
# test: timeout=300
"""kill -9 of record, or of the whole group, at 60 random moments from the set-up to the copy at the
end: F is nothing, a link or the profile; if it is a link to a profile it can be read, --recover makes
it a plain file with the same counts, and nothing stays in /dev/shm."""
import os
import random
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

KILLS = 60
PROGRAM = [helper("many_stacks"), "10", "20"]


def whole_run_s():
    start = time.monotonic()
    run([PERFSHIM, "record", "-f", "--stage=on", "-o", "first.pshim", "--", *PROGRAM], env=clean_env())
    return time.monotonic() - start


def wait_unmapped(link):
    """The program of a killed record ends by itself."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        done = run([PERFSHIM, "record", "--recover", link], env=clean_env())
        if "still in use" not in done.err:
            return done
        time.sleep(0.02)
    return done


def folders(of):
    found = []
    for name in os.listdir("/dev/shm"):
        try:
            if os.readlink(f"/dev/shm/{name}/.of") == of:
                found.append(name)
        except OSError:
            pass
    return found


def kill_once(i, rng, span):
    out = f"kill-{i}.pshim"
    process = subprocess.Popen([PERFSHIM, "record", "--stage=on", "-o", out, "--", *PROGRAM],
                               env=clean_env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, process_group=0)
    time.sleep(rng.random() * span)
    if i % 2:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    time.sleep(0.05)  # a child between fork and exec dies or goes on
    state = "link" if os.path.islink(out) else "plain" if os.path.exists(out) else "nothing"
    done = wait_unmapped(out) if state != "nothing" else None
    wrong = []
    left = folders(os.path.abspath(out))
    if left:
        wrong.append(f"kill {i}: {state}: {left} stays in /dev/shm: {done}")
    if [n for n in os.listdir(".") if n.endswith(".part")]:
        wrong.append(f"kill {i}: {state}: half a copy stays")
    if done and "not set up" in done.err:
        if os.path.islink(out):
            wrong.append(f"kill {i}: {state}: a link stays: {done}")
    elif state == "plain" or (done and done.status == 0):
        if os.path.islink(out) or not report(out):
            wrong.append(f"kill {i}: {state}: not a profile afterwards: {done}")
        again = run([PERFSHIM, "record", "--recover", out], env=clean_env())
        if again.status != 0 or "nothing to recover" not in again.err:
            wrong.append(f"kill {i}: {state}: a second --recover: {again}")
    elif done and "had written no profile" not in done.err:
        wrong.append(f"kill {i}: {state}: {done}")
    return state, wrong


rng = random.Random(20240611)
span = 1.2 * max(whole_run_s(), whole_run_s())
states, wrong = [], []
for i in range(KILLS):
    state, lines = kill_once(i, rng, span)
    states.append(state)
    wrong += lines
note(f"within {span:.2f} s: " + ", ".join(f"{states.count(s)} {s}" for s in sorted(set(states))))
ok(not wrong, f"{KILLS} kills: what there is can be read and recovered, nothing stays", *wrong)
ok(states.count("link") > KILLS // 6, "kills while it was staged are among them", states)
