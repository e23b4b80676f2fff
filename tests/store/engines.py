#!/usr/bin/env python3
"""Other people's databases behind --engine: what goes wrong with them is told, and nothing of them
is left. Benchmarks in Go's format. A library that is not installed is skipped."""
# test: timeout=60
import glob
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

BENCH = os.environ["B"] + "/store_bench"
PEERS = ("rocksdb", "leveldb", "lmdb", "redis")
ENV = clean_env(TMPDIR=TMP)


def bench(line, **options):
    return run([BENCH, "--keys=500", "--no-live", *line.split()], env=ENV, **options)


def there(engine):
    return run([BENCH, "--engine=" + engine, "--keys=1", "--ops=1", "--no-live"], env=ENV).status == 0


def servers():
    """Pids of servers whose directory is ours."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(path, "rb").read()
        except OSError:
            continue
        if b"redis-server" in words and TMP.encode() in os.path.realpath(path[:-7] + "cwd").encode():
            found.append(int(path.split("/")[2]))
    return found


# ---- each of them ----

for engine in PEERS:
    if not there(engine) and engine != "redis":
        skip(engine, "not installed: ./setup")
        continue
    got = bench(f"--engine={engine} --ops=2000 --verify --wal-sync-every=0 --json")
    result = json.loads(got.out)
    ok(got.status == 0 and result["errors"] == 0 and result["ops"] == 2000, f"{engine} keeps what is put", got.err)
    # a disk that takes 64 KiB in a file and no more
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    full = subprocess.run([BENCH, f"--engine={engine}", "--keys=2000", "--value-size=1K", "--ops=2000", "--no-live",
                          "--wal-sync-every=0"], env=ENV, capture_output=True, text=True, preexec_fn=limit, timeout=60)
    ok(full.returncode == 3 and re.search(r"File too large|No space|cannot|ended", full.stderr),
       f"{engine}: a full disk ends it with status 3", full.returncode, full.stderr)

for engine, package in (("rocksdb", "librocksdb7.8"), ("leveldb", "libleveldb1d"), ("lmdb", "liblmdb0"), ("redis", "libhiredis0.14")):
    got = bench(f"--engine={engine}:library=/no/such.so --ops=1")
    ok(got.status == 2 and "/no/such.so" in got.err and package in got.err and not got.out,
       f"{engine}: a library that is missing is told with its package", got.err)

# ---- redis: servers of our own, and others ----

got = bench("--engine=redis:program=no-such-server --ops=1")
ok(got.status == 2 and "no no-such-server in PATH" in got.err, "a redis-server that is missing is told", got.err)

running = subprocess.Popen([BENCH, "--engine=redis", "--keys=500", "--no-live", "-d20", "--json"], env=ENV,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
deadline = time.time() + 20
while not servers() and time.time() < deadline:
    time.sleep(0.02)
time.sleep(0.5)
for pid in servers():
    os.kill(pid, signal.SIGKILL)
time.sleep(0.2)
running.send_signal(signal.SIGINT)
out, err = running.communicate(timeout=30)
result = json.loads(out)
ok(running.returncode == 3 and result["errors_by_class"]["io"] > 0, "a server that dies is counted errors and status 3", running.returncode, err)
match(err, "ended with signal 9", "and it is told what ended it")

server_dir = TMP + "/server"
os.mkdir(server_dir)
log = open(server_dir + "/log", "w")
server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", server_dir + "/s", "--save", "", "--dir", server_dir],
                          stdout=log, stderr=log)
while not os.path.exists(server_dir + "/s"):
    time.sleep(0.02)


def say(*words):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(server_dir + "/s")
        for key, value in words:
            s.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value))
            s.recv(100)


external = f"--engine=redis:socket={server_dir}/s"
got = bench(f"{external} --ops=3000 --json")
ok(got.status == 0 and json.loads(got.out)["errors"] == 0, "a server that is there is used", got.err)
equal(json.loads(got.out)["engine"]["keys"], 500, "and keeps the keys")
got = bench(f"{external} --ops=1 --wal-sync-every=1")
ok(got.status == 2 and "appendonly 'no'" in got.err, "it must be as durable as was asked for", got.err)
running = subprocess.Popen([BENCH, external, "--keys=20", "--workload=get", "--verify", "--no-live", "-d20", "--max-errors=50", "--json"],
                           env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
while running.poll() is None:
    say(*((b"key%013d" % i, b"nobody put this") for i in range(20)))
out, err = running.communicate()
result = json.loads(out)
ok(running.returncode == 1 and result["errors_by_class"]["verify"] > 50, "values that nobody put are errors of verify", out[:500], err)
server.terminate()
server.wait()
got = bench(f"{external} --ops=1")
ok(got.status == 2 and server_dir + "/s: " in got.err, "a server that cannot be reached is told with its address", got.err)

# ---- verbs ----

got = bench("benchmark --benchtime=100ms Get|Scan")
lines = got.out.splitlines()
equal(got.status, 0, "benchmark ends well")
line = r"Benchmark(\w+)-2 *\t *[1-9]\d*\t *[\d.]+ ns/op\t *(\d+) B/op\t *(\d+) allocs/op"
found = [re.fullmatch(line, text) for text in lines if text.startswith("Benchmark")]
ok(all(found) and [m[1] for m in found] == ["Get", "GetMissing", "Scan"], "its lines are of Go's format", *lines)
ok(found[0] and found[0][3] == "0", "a get allocates nothing with the pool", *lines)
heads = dict(text.split(": ", 1) for text in lines if re.match("[a-z-]+: ", text))
ok({"goos", "goarch", "pkg"} <= set(heads) and lines[-1] == "PASS", "and so are head and end", *lines)

got = bench("compare --engines=store,redis --ops=1000 --repeats=2 --json=compare.json --require=errors=0")
ok(got.status == 0 and re.search(r"^redis +[\d.]+", got.out, re.M) and "Not equal:" in got.out, "compare has a row an engine", got.out)
document = json.load(open("compare.json"))
equal([len(e["runs"]) for e in document["engines"]], [2, 2], "and a run for each repeat in JSON")
equal([run["require"][0]["met"] for engine in document["engines"] for run in engine["runs"]], [True] * 4,
      "each run has the verdict of each requirement")
got = bench("compare --engines=null,null:errors=3 --ops=500 --require=errors=0")
ok(got.status == 1 and got.err == "store_bench: null:errors=3, repeat 1: require: errors=0 not met: measured 3\n"
   and re.search(r"^null:errors=3 .*  NOT MET 1 of 1$", got.out, re.M), "an engine that does not meet one is named", got)
got = bench("compare --engines=store,lmdb:library=/no/such.so --ops=1")
ok(got.status == 2 and not got.out and "liblmdb0" in got.err, "compare runs nothing if an engine is missing", got.err)
got = bench("compare --engines=store,lmdb:library=/no/such.so --skip-missing --ops=1")
ok(got.status == 0 and re.search("not there$", got.out, re.M), "unless it may be skipped", got.out)

running = subprocess.Popen([BENCH, "compare", "--engines=redis,redis:maxmemory=1G", "-d1", "--keys=500", "--no-live"], env=ENV,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
deadline = time.time() + 20
while not servers() and time.time() < deadline:
    time.sleep(0.02)
for pid in open(f"/proc/{running.pid}/task/{running.pid}/children").read().split():
    os.kill(int(pid), signal.SIGKILL)
out, err = running.communicate(timeout=30)
ok(running.returncode == 2 and len(re.findall("failed$", out, re.M)) == 1 and "ended by signal 9" in err,
   "a run that crashes ends alone", running.returncode, out, err)

running = subprocess.Popen([BENCH, "compare", "--engines=redis,redis", "-d20", "--keys=500", "--no-live"], env=ENV,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
deadline = time.time() + 20
while not servers() and time.time() < deadline:
    time.sleep(0.02)
running.send_signal(signal.SIGTERM)
out, err = running.communicate(timeout=30)
match(out, "INTERRUPTED", "an interrupted compare says so")
time.sleep(0.05)
equal(servers(), [], "no server is left")
equal(glob.glob(TMP + "/store_bench-*"), [], "nor any directory")
