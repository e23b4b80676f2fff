#!/usr/bin/env python3
# test: no-coverage
"""The ledger adds up: what each thread did, without what is not explained, is its wall time, also in
servers under load; what no hook saw is told as that, and nothing is counted twice. A waiter on a
condition holds nothing and is idle."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

PARTS = ("cpu_ns", "lock_wait_ns", "io_wait_ns", "idle_ns", "runqueue_ns")
SECONDS = os.environ.get("LEDGER_SECONDS", "1.2")


def books(thread):
    return sum(thread[part] or 0 for part in PARTS)


def closed(document, label, least_ns=1e9):
    """Every thread that lived for a second, within 3 %."""
    long = [t for t in document["threads"] if t["wall_ns"] >= least_ns]
    off = [(t["name"], round(books(t) / t["wall_ns"], 4), t) for t in long
           if not 0.97 <= books(t) / t["wall_ns"] <= 1.03]
    ok(long and not off, f"{label}: cpu + waits + runqueue are the wall time of {len(long)} threads",
       *off)
    equal([t["wall_ns"] - books(t) - t["unexplained_ns"] - t["paused_ns"]
           for t in document["threads"] if t["wall_ns"] and t["cpu_ns"] is not None],
          [0] * len(document["threads"]), f"{label}: with the unexplained, exactly")


has_delay = os.path.exists("/proc/self/schedstat")
# Ten seconds of waiting, beside everything else here.
waiter = subprocess.Popen([sample("lock_truth"), "10"], stdout=subprocess.DEVNULL,
                          env=clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath("waiter.pshim")))
done = preload([sample("ledger_truth"), SECONDS], "t.pshim")
document = report("t.pshim") if ok(done.status == 0, "the truth program runs", done) else None
if document:
    truth = json.loads(done.out)
    threads = {t["name"]: t for t in document["threads"]}
    unseen, want = threads["unseen"], truth["unseen"]
    if has_delay:
        near(unseen["unexplained_ns"] / unseen["wall_ns"], want["blocked_ns"] / want["wall_ns"],
             "30 % of the time in system calls of inline assembly: unexplained within a point",
             abs=0.01)
        closed({"threads": [t for t in document["threads"] if t["name"] != "unseen"]},
               "computing, spinning for a lock, waiting")
    else:
        skip("the kernel's delays", "no /proc/self/schedstat")
    for name in truth:
        near(threads[name]["cpu_ns"], truth[name]["cpu_ns"], f"{name}: CPU time by its clock",
             rel=0.01, abs=3e6)
    near(threads["left"]["io_wait_ns"], truth["left"]["blocked_ns"],
         "reads that are left by siglongjmp are I/O until then", rel=0.01, abs=1e6)
    near(threads["cancelled"]["io_wait_ns"], truth["cancelled"]["blocked_ns"],
         "a read that is cancelled is I/O until then", rel=0.01, abs=1e6)
    near(threads["waits"]["idle_ns"], threads["waits"]["wall_ns"],
         "a wait that never ends is idle until now", rel=0.03)
    ledger, totals = document["ledger"], document["totals"]
    bypass = ledger["bypass"]
    near(bypass["share"], ledger["unexplained_ns"] / ledger["thread_wall_ns"], "what bypassed the hooks, as a share",
         abs=1e-6)
    equal([(os.path.basename(row["module"]), row["system_calls"]) for row in bypass["modules"]], [("ledger_truth", 3)],
          "and whose code calls the system itself: by name, with how many calls are in it")
    sampled = [f for f in document["functions"] if f["name"] == "truth_thread"][0]["cpu_ns"]["cum"]
    ok(bypass["modules"] and sampled <= bypass["modules"][0]["cpu_ns"] <= totals["cpu_ns"],
       "with the CPU time in and below it", bypass, sampled)
    match(run([PERFSHIM, "report", "--view=ledger", "t.pshim"], env=clean_env()).out,
          r"(?s)BYPASS  [\d.]+% of all time no hook saw, most of it in unseen \([\d.]+% of its time\)\n.* 3  ledger_truth\n",
          "on the screen, with the thread")
    equal({key: totals[key] for key in ("idle_ns", "runqueue_ns", "unexplained_ns", "paused_ns",
                                        "thread_wall_ns")},
          {key: ledger[key] for key in ("idle_ns", "runqueue_ns", "unexplained_ns", "paused_ns",
                                        "thread_wall_ns")}, "the totals are the ledger's")
    equal(totals["thread_wall_ns"],
          sum(ledger[key] or 0 for key in PARTS + ("unexplained_ns", "paused_ns")),
          "the ledger of all threads adds up")
    spun = totals["lock_cpu_ns"]
    near(totals["cost_ns"], totals["cpu_ns"] + totals["lock_wait_ns"] - spun + totals["io_wait_ns"],
         "spinning for a lock is in the cost once", abs=2)

# What was profiled is not always what was meant: a preload in front of a launcher.
done = preload(["timeout", "10", "sleep", "0.3"], "launcher.pshim")
document = report("launcher.pshim") if ok(done.status == 0, "timeout runs", done) else None
if document:
    match(" ".join(document["process"]["notes"]), r"it waited [\d.]+ ?m?s for a child .* --follow", "it is told that it only waited")
    match(run([PERFSHIM, "report", "launcher.pshim"], env=clean_env()).out, r"(?s)NOTE +it waited .*--follow", "on the screen")
done = preload(["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 0.1; :"], "worker.pshim")
document = report("worker.pshim") if ok(done.status == 0, "a shell that works runs", done) else None
if document:
    equal(document["process"]["notes"], [], "a program that did work itself is told nothing")

# A thread that lived briefly is not worth the question; a killed program was not asked.
done = run([STORE_BENCH, "-t", "3", "-d", SECONDS, "--workload=mixed"],
           env=clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath("s.pshim")))
document = report("s.pshim") if ok(done.status == 0, "store_bench runs", done) else None
if document and has_delay:
    closed(document, "store_bench")
    bypass = document["ledger"]["bypass"]
    ok(all(row["system_calls"] for row in bypass["modules"] or []) and "store_bench" not in str(bypass),
       "store_bench: none of its own code bypasses the hooks", bypass)

# Real programs under load.
LOAD_S = 1.1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def served(argv, port, out):
    """A server under the shim that answers on its port; asked to end, by SIGTERM."""
    env = clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath(out))
    server = subprocess.Popen([str(a) for a in argv], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        yield server
        server.terminate()
        server.wait(20)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def ask_memcached(port, until, answered):
    """One connection: 32 writes and 32 reads at a time, until the time is over."""
    value = b"v" * 200
    keys = [b"key%d" % i for i in range(32)]
    request = b"".join(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value) for key in keys)
    request += b"".join(b"get %s\r\n" % key for key in keys)
    want = len(b"STORED\r\n") * len(keys) + sum(
        len(b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value)) for key in keys)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        while time.monotonic() < until:
            s.sendall(request)
            left = want
            while left > 0 and (part := s.recv(1 << 16)):
                left -= len(part)
            if left:
                return
            answered.append(2 * len(keys))


def memcached_ledger(memcached):
    port, out, answered = free_port(), "memcached.pshim", []
    with served([memcached, "-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", 0, "-t", 2], port, out):
        until = time.monotonic() + LOAD_S
        clients = [threading.Thread(target=ask_memcached, args=(port, until, answered))
                   for _ in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    ok(sum(answered) > 10000, "memcached answers its clients", sum(answered))
    return report(out)


def redis_ledger(server, benchmark):
    port, out = free_port(), "redis.pshim"
    with served([server, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "yes",
                 "--appendfsync", "everysec"], port, out):
        until, rounds = time.monotonic() + LOAD_S, 0
        while time.monotonic() < until:
            done = run([benchmark, "-h", "127.0.0.1", "-p", port, "-q", "-n", 10000, "-c", 20, "-P", 4,
                        "-t", "set,get,lpush,hset,zadd"])
            rounds += done.status == 0
    ok(rounds, "redis-server answers redis-benchmark")
    return report(out)


# Waits are what calls took less their CPU time, which is sampled: a few ticks of it, beside seconds.
SQL = """
PRAGMA synchronous=FULL;
PRAGMA cache_size=-100000;
PRAGMA temp_store=MEMORY;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, kind INTEGER);
CREATE INDEX item_name ON item(name);
%s
WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
  INSERT INTO item SELECT i, printf('item-%%08d', i * 7919), i %% 97 FROM n;
CREATE TEMP TABLE pair AS SELECT a.id AS id, b.name || a.name AS name FROM item a JOIN item b ON b.id = a.id * 2;
CREATE INDEX pair_name ON pair(name);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500000)
  SELECT sum(length(printf('%%x', i * 7919))) FROM n;
SELECT length(group_concat(name)) FROM pair;
"""


def sqlite_ledger(sqlite):
    writes = "".join(f"INSERT INTO item VALUES({i}, 'item-{i * 7919}', {i % 97});\n" for i in range(60))
    done = preload([sqlite, "-batch", "items.db"], "sqlite.pshim", input=SQL % writes)
    ok(done.status == 0 and not done.err, "sqlite3 writes and asks", done)
    return report("sqlite.pshim")


for name, measure, programs in (("redis-server", redis_ledger, ("redis-server", "redis-benchmark")),
                                ("memcached", memcached_ledger, ("memcached",)),
                                ("sqlite3", sqlite_ledger, ("sqlite3",))):
    paths = [shutil.which(program) for program in programs]
    if not all(paths) or not has_delay:
        skip(f"{name}: the ledger", "it is not installed" if has_delay else "no /proc/self/schedstat")
        continue
    document = measure(*paths)
    if document:
        closed(document, name)

document = report("waiter.pshim") if equal(waiter.wait(60), 0, "a program that waits for 10 s") else None
if document:
    waiting = next(lock for lock in document["locks"] if lock["name"] == "waiting")
    ok(0 <= waiting["hold_ns"] < 10_000_000, "10 s in pthread_cond_wait hold its mutex for under 10 ms", waiting)
    equal(waiting["wait_ns"], 0, "and are no wait for it")
    waits = max(document["threads"], key=lambda thread: thread["idle_ns"])
    ok(0.97 * waits["wall_ns"] <= waits["idle_ns"] <= waits["wall_ns"] and waits["idle_ns"] > 9e9,
       "but idle", waits)
