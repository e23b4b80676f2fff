#!/usr/bin/env python3
# test: timeout=3000
"""What each mode takes of redis-server's throughput: SET, one at a time as redis-benchmark does it unless
told otherwise, and 32 in a pipeline, beside heaptrack on the same server, by the pair runner. Each run
starts a server of its own on a free port of the loopback, without persistence, and ends it by its pid.

usage: redis.bench.py                 the measurement
       redis.bench.py MODE PIPELINE   one run of it: a JSON object with the requests a second
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
SERVER, BENCHMARK = shutil.which("redis-server"), shutil.which("redis-benchmark")
REQUESTS = int(os.environ.get("PERFSHIM_BENCH_REQUESTS", 2000000))
MODES = {"plain": None, "exact": {}, "sampled": {"PERFSHIM_ALLOC": "512K"}, "off": {"PERFSHIM_ALLOC": "off"},
         "heaptrack": None}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def server_pids(port, root):
    """The server among the descendants of what was started: under heaptrack it is not the first."""
    parents, servers = {}, []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                parents[int(name)] = int(f.read().rpartition(")")[2].split()[1])
            if os.path.basename(os.readlink(f"/proc/{name}/exe")).startswith("redis-"):
                servers.append(int(name))
        except (OSError, ValueError):
            continue
    for pid in servers:
        above = pid
        while above != root and above in parents:
            above = parents[above]
        if above == root:
            yield pid


def await_server(port, process):
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(b"PING\r\n")
                if s.recv(100).startswith(b"+PONG"):
                    return
        except OSError:
            time.sleep(0.02)
    sys.exit("redis-server does not answer")


def measure(mode, pipeline):
    port, out = free_port(), f"{os.environ['TMP']}/redis-{os.getpid()}"
    env = dict(os.environ)
    argv = [SERVER, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no",
            "--daemonize", "no", "--loglevel", "warning"]
    if MODES[mode] is not None:
        env.update(MODES[mode], LD_PRELOAD=os.environ["B"] + "/libperfshim.so", PERFSHIM_OUT=out + ".pshim")
    if mode == "heaptrack":
        argv = ["heaptrack", "-o", out, *argv]
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            await_server(port, process)
            done = subprocess.run([BENCHMARK, "-h", "127.0.0.1", "-p", str(port), "-t", "set", "-P", str(pipeline), "-d",
                                   "64", "-r", "100000", "-n", str(REQUESTS if pipeline > 1 else REQUESTS // 10),
                                   "--csv"], text=True, check=True,
                                  stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=600)
        finally:
            for pid in server_pids(port, process.pid):
                os.kill(pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
    recorded = os.path.exists(out + ".pshim")
    for name in os.listdir(os.environ["TMP"]):
        if name.startswith(os.path.basename(out)):
            os.remove(os.path.join(os.environ["TMP"], name))
    if recorded != (MODES[mode] is not None):
        sys.exit(f"{mode}: {'no' if not recorded else 'a'} profile was written")
    row = done.stdout.splitlines()[-1].split(",")  # "SET","123456.78",...
    print(json.dumps({"requests_per_s": float(row[1].strip('"'))}))


if sys.argv[1:]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server is ended all the same
    measure(sys.argv[1], int(sys.argv[2]))
    sys.exit(0)

from lib import *

RUNS = os.environ.get("PERFSHIM_BENCH_RUNS", "10")
TARGETS = {"exact": 90, "sampled": 97}  # per cent of plain
if not SERVER or not BENCHMARK:
    skip("redis-server", "redis-server or redis-benchmark is not installed: ./setup")
    sys.exit(0)
note(f"{'redis-server, SET':34}{'plain':>12}{'with':>12}  kept (95 % interval)")
for name, pipeline in [(n, p) for p in (1, 32) for n in ("exact", "sampled", "off", "heaptrack")]:
    if name == "heaptrack" and not shutil.which("heaptrack"):
        skip("heaptrack on the same server", "heaptrack is not installed: ./setup --peers")
        continue
    script = f"{sys.executable} {os.path.abspath(__file__)}"
    result = run([PERFSHIM, "bench", "--json", "--metric", "requests_per_s", "--runs", RUNS, "--names",
                  f"plain,{name}", f"{script} plain {pipeline}", f"{script} {name} {pipeline}"], timeout=1400, env=clean_env())
    if not ok(result.status == 0, f"{name}: measured", result):
        continue
    m = json.loads(result.out)["metrics"]["requests_per_s"]
    kept, low, high = (f"{100 * m[key]:.1f}" if m[key] else "?" for key in ("ratio", "ci_low", "ci_high"))
    verdict = ""
    if name in TARGETS:
        verdict = f"  >= {TARGETS[name]} %: {'reached' if 100 * m['ratio'] >= TARGETS[name] else 'NOT REACHED'}"
    note(f"{f'{name}, {pipeline} at a time':34}{m['median_a']:12.0f}{m['median_b']:12.0f}  {kept} % ({low} to {high}), {m['n']} pairs{verdict}")
