"""What the tests of `perfshim top` do to programs that run, beside tests/lib.py:

    sys.path.insert(0, os.environ["SRC"] + "/tests/helpers")
    from watch import *

start(argv, **env)              a program with its stdout and stderr in pipes
profiled(argv, profile, **env)  one under the shim, once its profile is ready()
Reader(process)                 collects its lines as they come; finish() waits for its end
until(condition)                waits for that, and says whether it came
STAMP, stamp_ms(line)           a line of --plain: day and time, ms, tag, text; its moment in ms
"""

import calendar
import os
import re
import struct
import subprocess
import threading
import time

from lib import B, SHIM, clean_env

__all__ = ["VICTIM", "STAMP", "stamp_ms", "Reader", "start", "profiled", "until", "ready"]

VICTIM = os.path.join(B, "helpers", "top_victim")
STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})Z ([A-Z]+) +(.*)$")


def stamp_ms(line):
    day, ms = STAMP.match(line).group(1, 2)
    return calendar.timegm(time.strptime(day, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(ms)


class Reader(threading.Thread):
    """The lines of a program, each with the ms at which it came."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.lines = process, []
        self.start()

    def run(self):
        for line in self.process.stdout:
            self.lines.append((time.time() * 1000, line.rstrip("\n")))

    def finish(self, timeout=20):
        """(exit status, stderr)"""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.join(5)
        return status, self.process.stderr.read()


def start(argv, **env):
    return subprocess.Popen([str(a) for a in argv], env=clean_env(**env), text=True, bufsize=1,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def profiled(argv, profile, **env):
    process = start(argv, LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath(profile), **env)
    until(lambda: ready(profile))
    return process


def until(condition, seconds=10):
    end = time.time() + seconds
    while not condition() and time.time() < end:
        time.sleep(0.01)
    return condition()


def ready(profile):
    try:
        with open(profile, "rb") as f:
            return struct.unpack("<I", f.read(32)[28:])[0] == 1
    except (OSError, struct.error):
        return False
