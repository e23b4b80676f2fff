#!/usr/bin/env python3
# test: timeout=1500
"""What the default mode takes of memcached's throughput: gets, 32 in a pipeline on 16 connections, by the
pair runner. Each run starts a server of its own on a free port of the loopback and ends it by its pid.

usage: memcached.bench.py          the measurement
       memcached.bench.py MODE     one run of it: a JSON object with the gets a second
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests")
SERVER = shutil.which("memcached", path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin")
SECONDS = os.environ.get("PERFSHIM_BENCH_SECONDS", "2")
MODES = {"plain": None, "default": {}, "no locks": {"PERFSHIM_LOCKS": "off"}}
MOST_PERCENT = 5


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_server(port, process):
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(b"version\r\n")
                if s.recv(100).startswith(b"VERSION"):
                    return
        except OSError:
            time.sleep(0.02)
    sys.exit("memcached does not answer")


def measure(mode):
    port, out = free_port(), f"{os.environ['TMP']}/memcached-{os.getpid()}.pshim"
    env = dict(os.environ)
    if MODES[mode] is not None:
        env.update(MODES[mode], LD_PRELOAD=os.environ["B"] + "/libperfshim.so", PERFSHIM_OUT=out)
    argv = [SERVER, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "2"]
    if os.geteuid() == 0:
        argv += ["-u", "root"]
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            await_server(port, process)
            done = subprocess.run([os.environ["B"] + "/helpers/memcached_load", str(port), SECONDS], text=True,
                                  check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
    recorded = os.path.exists(out)
    if recorded:
        os.remove(out)
    if recorded != (MODES[mode] is not None):
        sys.exit(f"{mode}: {'no' if not recorded else 'a'} profile was written")
    print(done.stdout, end="")


if sys.argv[1:]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server is ended all the same
    measure(sys.argv[1])
    sys.exit(0)

from lib import *

RUNS = os.environ.get("PERFSHIM_BENCH_RUNS", "10")
if not SERVER:
    skip("memcached", "memcached is not installed")
    sys.exit(0)
note(f"{'memcached, get, 32 pipelined':34}{'plain':>12}{'with':>12}  kept (95 % interval)")
for name in ("default", "no locks"):
    script = f"{sys.executable} {os.path.abspath(__file__)}"
    result = run([PERFSHIM, "bench", "--json", "--metric", "gets_per_s", "--runs", RUNS, "--names", f"plain,{name}",
                  f"{script} plain", f"{script} '{name}'"], timeout=1400, env=clean_env())
    if not ok(result.status == 0, f"{name}: measured", result):
        continue
    m = json.loads(result.out)["metrics"]["gets_per_s"]
    kept, low, high = (f"{100 * m[key]:.1f}" if m[key] else "?" for key in ("ratio", "ci_low", "ci_high"))
    verdict = ""
    if name == "default":
        reached = 100 * m["ratio"] >= 100 - MOST_PERCENT
        verdict = f"  >= {100 - MOST_PERCENT} %: {'reached' if reached else 'NOT REACHED'}"
    note(f"{name:34}{m['median_a']:12.0f}{m['median_b']:12.0f}  {kept} % ({low} to {high}), {m['n']} pairs{verdict}")
