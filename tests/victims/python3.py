#!/usr/bin/env python3
# python3: threads, subprocesses, json, sqlite3, zlib, deep recursion; parts of its own test suite.
import os
import re
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/victims")
from run_victim import *

PYTHON = os.path.realpath(sys.executable)
# Debian's stands at a fixed address and takes the address of malloc: its own PLT entry.
DEBIANS = os.path.realpath("/usr/bin/python3")
ENV = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
SCRIPT = r"""
import hashlib, json, os, queue, re, signal, sqlite3, subprocess, sys, threading, time, zlib

work, results = queue.Queue(), {}
def worker():
    while True:
        n = work.get()
        if n is None:
            return
        text = json.dumps({str(i): [i * n, "x" * (i % 50)] for i in range(300)}, sort_keys=True)
        packed = zlib.compress(text.encode(), 6)
        assert json.loads(zlib.decompress(packed)) == json.loads(text)
        results[n] = hashlib.sha256(packed).hexdigest()
threads = [threading.Thread(target=worker) for _ in range(8)]
for t in threads: t.start()
for n in range(160): work.put(n)
for t in threads: work.put(None)
for t in threads: t.join()
print(hashlib.sha256(repr(sorted(results.items())).encode()).hexdigest())

db = sqlite3.connect(":memory:")
db.execute("create table t(a, b)")
db.executemany("insert into t values(?, ?)", ((i, str(i * i)) for i in range(20000)))
print(db.execute("select count(*), sum(a), max(length(b)) from t").fetchone())

def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)
sys.setrecursionlimit(20000)
threading.stack_size(64 << 20)
out = []
t = threading.Thread(target=lambda: out.append(deep(9000))); t.start(); t.join()
print(out)
try:
    deep(10 ** 6)
except RecursionError as e:
    print(type(e).__name__)
threading.stack_size(0)

for code in ("print('child', 6 * 7)", "import sys; sys.exit(9)", "import os; os.kill(os.getpid(), 15)"):
    p = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    print(p.returncode, p.stdout.strip())
pid = os.fork()
if pid == 0:
    os._exit(17)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

got = []
signal.signal(signal.SIGALRM, lambda *a: got.append(a[0]))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(got) < 5:
    sum(i * i for i in range(1000))
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGPROF, lambda *a: None)
print("signals", sorted(set(got)))
print(sorted(os.listdir("/proc/self/fd")))
print(len(re.findall(r"(\w+)\s\1", "a a b c c " * 20000)))
print("to stderr", file=sys.stderr)
sys.exit(5)
"""
SUITE = os.environ.get("VICTIM_SUITE", "test_json test_zlib test_struct test_mmap test_generators "
                       "test_deque test_ctypes").split()

for program in sorted({PYTHON, DEBIANS}):
    compare(f"script in {program}", [program, "-c", SCRIPT], env=ENV, status=5, children=True)

available = subprocess.run(
    [PYTHON, "-c", "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] "
                   "if u.find_spec('test.' + m)])", *SUITE],
    stdout=subprocess.PIPE, text=True, check=True).stdout.split()
if available:
    compare(f"{len(available)} parts of python3's test suite",
            [PYTHON, "-m", "unittest", "-q", *["test." + m for m in available]], env=ENV,
            normalize=lambda text: re.sub(rb" in [0-9.]+s", b"", text), timeout=100, children=True)
else:
    skip("parts of python3's test suite", "this python3 came without its tests")
