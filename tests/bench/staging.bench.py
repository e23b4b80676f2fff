#!/usr/bin/env python3
# test: timeout=300
"""What staging spares a program: the page faults that it takes while somebody else has the disks
written back, with its profile on the disk and in /dev/shm. Faults are counted, not timed."""
import os
import statistics
import subprocess
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

RUNS = int(os.environ.get("PERFSHIM_BENCH_RUNS", "5"))
PROGRAM = [helper("many_stacks"), "10", os.environ.get("PERFSHIM_BENCH_ROUNDS", "8000")]


def faults(stage, sync):
    """Faults of record and its program, and how often the disks were written back meanwhile."""
    loop = None
    if sync:
        loop = subprocess.Popen(["sh", "-c", "n=0; trap 'echo $n; exit' TERM; "
                                 "while sync -f .; do n=$((n + 1)); sleep 0.02; done"],
                                stdout=subprocess.PIPE)
    process = subprocess.Popen([PERFSHIM, "record", "-f", "-o", "p.pshim", f"--stage={stage}", "--",
                                *PROGRAM], env=clean_env(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    syncs = 0
    if loop:
        loop.terminate()
        syncs = int(loop.communicate()[0])
    return status, usage.ru_minflt + usage.ru_majflt, syncs


kind = run(["stat", "-f", "-c", "%T", "."]).out.strip()
if kind in ("tmpfs", "ramfs"):
    skip("faults on a disk", f"{TMP} is a {kind}")
else:
    found = {}
    for _ in range(RUNS):
        for case in (("off", False), ("on", False), ("off", True), ("on", True)):
            found.setdefault(case, []).append(faults(*case))
    for (stage, sync), results in found.items():
        counts = [result[1] for result in results]
        syncs = [result[2] for result in results]
        note(f"{kind}, --stage={stage:3}  {'sync in a loop' if sync else 'quiet':14}  faults "
             f"{statistics.median(counts):.0f} ({min(counts)} to {max(counts)}), "
             f"written back {statistics.median(syncs):.0f} times")
    ok(all(result[0] == 0 for results in found.values() for result in results), "all runs ended well")
    median = {case: statistics.median(result[1] for result in results)
              for case, results in found.items()}
    ok(median["on", True] - median["on", False] < (median["off", True] - median["off", False]) / 10,
       "staged, writing back costs a tenth of the faults at most", median)
