#!/usr/bin/env python3
# test: timeout=60 timing
"""perfshim top beside a running program: what changes is printed within a second, the program does not
notice, and neither does a load that has promised its latency."""
import os
import re
import sys
import time

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from watch import *


def outside(pid):
    """What a process has, seen from outside: its threads, and what each descriptor is."""
    fds = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    return sorted(os.listdir(f"/proc/{pid}/task")), fds


def cpu_s(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


# What changes is printed within a second.
victim = profiled([VICTIM, 6], "marks.pshim")
marks = Reader(victim)
until(lambda: len(os.listdir(f"/proc/{victim.pid}/task")) == 2)
before = outside(victim.pid)
watcher = start([PERFSHIM, "top", "--plain", victim.pid])
seen = Reader(watcher)
until(lambda: len(marks.lines) >= 4)
during = outside(victim.pid)
equal(during, before, "the watched program's threads and descriptors are what they were")
status, err = seen.finish()
equal((marks.finish()[0], status, err), (7, 0, ""), "top ends with the program, exit code 0")
lines = [line for _, line in seen.lines]
ok(lines and all(STAMP.match(line) for line in lines), "each line begins with a moment and a tag", lines)
ok(max(map(len, lines), default=0) <= 100 and all(l.isascii() for l in lines),
   "at most 100 columns of plain ASCII", *[l for l in lines if len(l) > 100])
match(lines[0], r" WATCH pid \d+  top_victim 6$", "the first line says what is watched")
match(lines[-1], rf" END   pid {victim.pid}  exit 7 after \d", "the last one how it ended")
moments = [stamp_ms(line) for line in lines if " RUN " in line]
gaps = [b - a for a, b in zip(moments, moments[1:])]
stamped = received = 0
for _, mark in marks.lines:
    at, count = map(int, mark.split())
    first = next(((came, line) for came, line in seen.lines
                  if (ops := re.search(r" RUN +ops (\d+) ", line)) and int(ops[1]) >= count), None)
    if not ok(first, f"mark {count} is printed"):
        break
    if at >= stamp_ms(lines[0]):  # not one from before top was there
        stamped, received = max(stamped, stamp_ms(first[1]) - at), max(received, first[0] - at)
note(f"intervals: {gaps} ms")
note(f"latency: at most {stamped} ms by the printed moment, {received:.0f} ms when it had arrived")
ok(0 < stamped <= 1000 and received <= 1000, "each count is printed within a second of its change",
   stamped, received)
ok(len(gaps) >= 4 and 450 <= sorted(gaps)[len(gaps) // 2] <= 750, "a reading each half second", gaps)
ok(any(re.search(r" FUNC .* burn +top_victim\.c:\d+$", line) for line in lines),
   "the function at work is named, with its line", *lines[:12])
ok(any(re.search(r" LIVE .* \(\+(1000|2000) B\)", line) for line in lines),
   "what is newly live is told", *lines[:12])

# The gate of step 1, watched.
PROMISE = "throughput>10000,avg<1ms,p99<10ms,errors=0"
load = profiled([STORE_BENCH, "--workload=get", "--threads=100", "--duration=4s", "--require", PROMISE],
                "load.pshim")
until(lambda: len(os.listdir(f"/proc/{load.pid}/task")) > 100)
before = outside(load.pid)
watcher = start([PERFSHIM, "top", "--plain", "-i1s", load.pid])
seen = Reader(watcher)
until(lambda: len(seen.lines) > 1)
equal(outside(load.pid), before, "100 threads watched: the same threads, the same descriptors")
used, at = cpu_s(watcher.pid), time.time()
time.sleep(1)
used, at = cpu_s(watcher.pid) - used, time.time() - at
out, err = load.communicate(timeout=60)
equal(load.returncode, 0, f"100 threads, watched: {PROMISE}") or note(out + err)
status, err = seen.finish()
equal((status, err), (0, ""), "top ends with it")
note(f"top used {used / at:.2%} of one CPU at a reading a second")
ok(used < 0.05 * at, "top uses less than 5 % of one CPU", used, at)
ok(any(re.search(r" RUN   ops \d+ +[\d.]+ [kM]/s  .*threads 101$", line) for _, line in seen.lines),
   "rates and threads are there", *[line for _, line in seen.lines[:4]])
