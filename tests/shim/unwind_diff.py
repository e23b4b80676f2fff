#!/usr/bin/env python3
# test: no-coverage
"""The shim's unwinder against libunwind, in real programs: at allocations (helpers/unwind_diff wraps
malloc), at CPU ticks (SIGPROF), and after each of some instructions that follow these (the CPU's trap
flag). A stack counts as equal only if every frame is; of each program 100 000 and more are compared.
What is left, after a look at each kind of difference (its frames are printed below), is counted apart
where the helper can verify the cause:

 * guess: the frame has no tables (crtbegin.o and crti.o, makecontext's last frame, a JIT's code); one
   ends there, the other goes on by rbp: libunwind whatever it holds, ours if it may be right;
 * realigned: the last two instructions of gcc's realigned functions: gcc's rules still point to slots
   relative to rbp, which has been popped; libunwind follows them, the shim sees that they lie outside
   the frame. Verified by the rule (an expression for rbp) and the instruction (ret, or the lea before
   it);
 * astray: both read the same word where no code is; ours ends there, libunwind takes it for a frame.
   libgcc as it installs a landing pad's frame copies that frame's registers over its own saved ones, a
   word at a time, so that for a while its caller cannot be known (60 steps there, seen once: 58 astray, 2
   different, for a moment there is code at the word that both read); setcontext's tables are wrong
   between its loading of rsp and its jump; and libc's __mpn_addmul_1 and its kin push rbx and rbp
   without saying so.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

LEAST_EQUAL = 0.999
MOST_APART = 0.02  # of the ticks: what is counted apart
STACKS = 100000  # of a program or shape
STEPS = 60

SQL = """
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 110000)
  insert into t select i, printf('%d-%s', i * 7919 % 10007, hex(i)), i * 0.5 from n;
create index tb on t(b);
select count(*), sum(c) from t where b like '1%';
select a.b, count(*) from t a join t b on a.c = b.a * 0.25 group by 1 order by 2 desc, 1 limit 5;
select length(group_concat(b)), avg(length(b)) from t where c between 100 and 20000;
select 'done';
"""

PYTHON = """
import hashlib, json, random, re, threading, zlib
def deep(n):
    return [n] if n == 0 else deep(n - 1) + [n]
def work():
    for i in range(22):
        deep(100)
        json.loads(json.dumps({str(k): list(range(k % 50)) for k in range(200)}))
        re.findall(r'(a|b)+c', 'abababc' * 200)
        zlib.compress(bytes(range(256)) * 300)
        hashlib.sha256(b'x' * 100000).hexdigest()
        sorted(random.random() for _ in range(1500))
def unwinds(n):
    if n == 0:
        raise ValueError(n)
    try:
        unwinds(n - 1)
    finally:
        bytes(600)
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
for _ in range(30):
    try:
        unwinds(60)
    except ValueError:
        pass
print('done')
"""


def python():
    """The interpreter itself: version managers put a shell script of that name into the path."""
    return os.path.realpath(sys.executable)


PLACES = {"sync": "allocations", "kept": "allocations, joined to the last stack", "tick": "ticks"}
APART = ("astray", "guess", "realigned")


def stacks(figures):
    return figures["equal"] + figures["different"] + sum(figures[kind] for kind in APART)


def counts_add(sum, more):
    """Adds what one run counted to what the runs before it did."""
    if not sum:
        return more
    for place in PLACES:
        for key, value in more[place].items():
            if key != "ends":
                sum[place][key] += value
        for end, value in more[place]["ends"].items():
            sum[place]["ends"][end] += value
    sum["differences"] += more["differences"]
    for key in ("shared_frames", "memo_known", "memo_wrong"):
        sum[key] += more[key]
    return sum


def comparing(every, out, burst=128):
    """The environment of a program under the comparison, at every Nth allocation."""
    return clean_env(LD_PRELOAD=helper("unwind_diff"), UNWIND_DIFF_OUT=out, UNWIND_DIFF_EVERY=every,
                     UNWIND_DIFF_TICK_US=1000, UNWIND_DIFF_STEPS=STEPS, UNWIND_DIFF_BURST=burst, PYTHONMALLOC="malloc")


def counts_of(name, argv, every, want, input=None, burst=128):
    """What a run of argv counted, or None after a failed check. `want` is printed at its end."""
    out = os.path.abspath("counts.json")
    done = run(argv, input=input, env=comparing(every, out, burst), timeout=100)
    if done.status != 0 or not os.path.exists(out) or want not in done.out:
        ok(False, f"{name}: runs to its end and prints {want}", done)
        return None
    return counts_read(out)


def counts_read(out):
    with open(out) as file:
        counts = json.load(file)
    os.remove(out)
    return counts


def judge(name, counts, least=STACKS, joined=True):
    """`joined`: most stacks share most of their frames with the one before."""
    if not counts:
        return
    total = stacks(counts["sync"]) + stacks(counts["tick"])
    ok(total >= least and stacks(counts["tick"]) >= least / 10,
       f"{name}: at least {least} stacks were compared, a tenth of them at ticks",
       f"got {total}, {stacks(counts['tick'])} of them at ticks")
    for place, claim in PLACES.items():
        figures = counts[place]
        total = stacks(figures) or 1
        apart = sum(figures[kind] for kind in APART)
        note(f"{name}: {claim}: {figures['equal']} of {total} equal"
             + "".join(f", {figures[kind]} {kind}" for kind in APART if figures[kind])
             + f", {figures['frames'] / total:.1f} frames each; ends "
             + ", ".join(f"{k} {v}" for k, v in figures["ends"].items() if v))
        ok(figures["equal"] >= LEAST_EQUAL * (total - apart) and apart <= MOST_APART * total,
           f"{name}: {claim}: at least {100 * LEAST_EQUAL:g} % of stacks are equal",
           f"{figures['different']} are not, {apart} are counted apart")
        ok(figures["ends"]["root"] >= 0.97 * total and figures["frames"] >= 4 * total,
           f"{name}: {claim}: stacks are whole")
    if joined:
        ok(counts["shared_frames"] > counts["kept"]["frames"] / 2, f"{name}: most frames are the last's",
           counts["shared_frames"])
        ok(counts["memo_known"] and not counts["memo_wrong"],
           f"{name}: stacks that are known from before are what a walk says", counts["memo_known"],
           counts["memo_wrong"])
    for d in sorted(counts["differences"], key=lambda d: -d["count"])[:10]:
        note(f"  {d['count']} {d['place']} {d['relation']} ({d['end']}) after {d['after']}, "
             f"{d['depth']} frames from {d['leaf']}: "
             f"ours {d['ours']}, libunwind {d['libunwind']}")


RUNS_MOST = 6


def compared(name, argv, every, want, input=None, least=STACKS, **options):
    """As often as it takes: how many ticks a run has depends on how fast the machine is just now."""
    counts = None
    for _ in range(RUNS_MOST):
        more = counts_of(name, argv, every, want, input)
        if not more:
            return
        counts = counts_add(counts, more)
        total = stacks(counts["sync"]) + stacks(counts["tick"])
        if total >= least and stacks(counts["tick"]) >= least / 10:
            break
    judge(name, counts, least=least, **options)


def redis_compared(server, benchmark, client):
    out = os.path.abspath("counts.json")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    process = subprocess.Popen([server, "--port", port, "--bind", "127.0.0.1", "--save", "",
                                "--daemonize", "no"], env=comparing(1, out),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if "PONG" in run([client, "-p", port, "ping"], env=clean_env()).out:
                break
            time.sleep(0.05)
        done = run([benchmark, "-p", port, "-q", "-P", "16", "-n", "1500", "-r", "1000", "-t",
                    "set,get,lpush,lpop,sadd,hset,zadd"], env=clean_env(), timeout=60)
        ok(done.status == 0, "redis-server: answers redis-benchmark", done.status)
        process.terminate()
        equal(process.wait(20), 0, "redis-server: ends by itself")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if ok(os.path.exists(out), "redis-server: has counted"):
        judge("redis-server", counts_read(out))


tools = [shutil.which(name) for name in ("redis-server", "redis-benchmark", "redis-cli")]
if all(tools):
    redis_compared(*tools)
else:
    skip("redis-server: stacks are equal", "it is not installed")
sqlite = shutil.which("sqlite3")
if sqlite:
    compared("sqlite3", [sqlite, ":memory:"], 12, "done", input=SQL)
else:
    skip("sqlite3: stacks are equal", "it is not installed")
compared("python3", [python(), "-c", PYTHON], 22, "done")
compared("cxx_unwind", [sample("cxx_unwind"), 160], 20, "checksum")
compared("unwind_gaps", [helper("unwind_gaps"), 60], 1, "done", least=2000)
for pool, every, ops in (("off", 500, 300000), ("on", 1, 1300000)):
    compared(f"store_bench --pool={pool}",
             [STORE_BENCH, "--threads=3", f"--ops={ops}", "--keys=20000", f"--pool={pool}",
              "--no-live"], every, "ops/s", least=1500, joined=pool == "off")
for shape in ("plain", "alloca", "aligned", "signal", "coroutine"):
    counts = None
    for variant in ("O0-fp", "O0-nofp", "O2-fp", "O2-nofp", "O3-fp", "O3-nofp"):
        more = counts_of(f"{shape} {variant}", [helper(f"unwind_shapes-{variant}"), shape, 9000], 1,
                         "done 9000", burst=64)
        counts = counts_add(counts, more) if more else counts
    judge(f"shape {shape}", counts, joined=shape in ("plain", "alloca"))
