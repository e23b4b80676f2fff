#!/usr/bin/env python3
# test: no-coverage
"""SIGINT and SIGTERM end a run with what it has measured so far; before that, they end the program."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *


def interrupted(options, number, after, times=1):
    """Sends the signal when `after` stands on stderr; (status, stdout)."""
    process = subprocess.Popen([STORE_BENCH, "--live", "--duration=100s", *options], text=True,
                               env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stderr:
        if line.startswith(after):
            break
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.05)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


for number in (signal.SIGINT, signal.SIGTERM):
    status, out = interrupted(["--keys=1000", "--json", "--require=errors=0"], number, "run")
    doc = json.loads(out)
    ok(status == 0 and doc["valid"] and doc["interrupted"] and doc["ops"] > 0
       and 0.5 < doc["duration_s"] < 50, f"{number.name}: a valid partial document, marked so", out)
    equal((doc["store"]["allocs"], doc["store"]["pool_gets"]),
          (doc["store"]["frees"], doc["store"]["pool_puts"]), "and everything is freed")

status, out = interrupted(["--keys=1000"], signal.SIGINT, "run")
match(out, r"^store_bench .*INTERRUPTED: a partial result$", "the table is marked too")
status, out = interrupted(["--keys=1000", "--require=throughput>1e12"], signal.SIGINT, "run")
equal(status, 1, "requirements are judged on a partial result")
status, out = interrupted(["--keys=30000000", "--value-size=0"], signal.SIGINT, "load")
equal(status, -signal.SIGINT, "while loading: killed by the signal")
match(out, "nothing was measured", "and it says that nothing was measured")
status, out = interrupted(["--keys=30000000", "--value-size=0", "--json"], signal.SIGTERM, "load")
doc = json.loads(out)
equal((status, doc["valid"], doc["ops"], doc["latency_us"]["p99"], doc["interrupted"]),
      (-signal.SIGTERM, False, 0, None, True), "a document without measurements is not valid")
