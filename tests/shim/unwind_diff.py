#!/usr/bin/env python3
# test: no-coverage
"""The shim's unwinder against libunwind, in real programs: at allocations (helpers/unwind_diff wraps
malloc) and at CPU ticks (SIGPROF). A stack counts as equal only if every frame is. What is left,
after a look at each kind of difference (its frames are printed below):

 * programs that make code at run time (node, java) have frames without tables; there libunwind
   follows rbp on a guess, and the shim ends the stack: neither is compared here;
 * the last two instructions of gcc's realigned functions: gcc's rules still point to slots relative
   to rbp, which has been popped; libunwind follows them, the shim sees that they lie outside the
   frame;
 * crtbegin.o and crti.o (the first and last instructions of a library's life) have no tables;
 * libgcc as it installs a landing pad's frame: it copies that frame's registers over its own saved
   ones, a word at a time, so that for a while its caller cannot be known. Both unwinders then read
   the same word where no code is; ours ends there, libunwind takes it for a frame (astray);
 * libc's __mpn_addmul_1 and its kin push rbx and rbp without saying so: both unwinders go astray,
   and may do so differently.
"""
import json
import os
import shutil
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

LEAST_EQUAL = 0.99
MANY = 300  # stacks
LEAST_TICKS = 150  # of a program: a stack that may differ must not be more than a hundredth by chance
MOST_RUNS = 8

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
    for i in range(75):
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
for _ in range(100):
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


def stacks(figures):
    return figures["equal"] + figures["different"] + figures["astray"]


def counts_add(sum, more):
    """Adds what one run counted to what the runs before it did."""
    for place in ("sync", "tick", "kept"):
        for key, value in more[place].items():
            if key != "ends":
                sum[place][key] += value
        for end, value in more[place]["ends"].items():
            sum[place]["ends"][end] += value
    sum["differences"] += more["differences"]
    sum["shared_frames"] += more["shared_frames"]


def compared(name, argv, every, least, want, input=None, throws=False):
    """Runs argv under the comparison, which is at every Nth allocation and at each tick. `least`:
    stacks at allocations. `want` is printed by argv at its end. One run takes about a second of CPU
    time; on a machine that needs less there are more, until enough ticks were compared. `throws`: it
    spends its time in libgcc's landing pads, where stacks may be astray; elsewhere that is a difference."""
    out = os.path.abspath(name.replace(" ", "") + ".json")
    result = None
    while not result or (result["runs"] < MOST_RUNS and stacks(result["tick"]) < LEAST_TICKS):
        done = run(argv, input=input, env=clean_env(
            LD_PRELOAD=helper("unwind_diff"), UNWIND_DIFF_OUT=out, UNWIND_DIFF_EVERY=every,
            UNWIND_DIFF_TICK_US=1000), timeout=100)
        if not ok(done.status == 0 and os.path.exists(out), f"{name}: runs to its end", done):
            return
        ok(want in done.out, f"{name}: prints what it should", done.out)
        with open(out) as file:
            more = json.load(file)
        os.remove(out)
        if result:
            counts_add(result, more)
            result["runs"] += 1
        else:
            result = {**more, "runs": 1}
    for place, at_least in (("sync", least), ("kept", 0.9 * least), ("tick", LEAST_TICKS)):
        figures = result[place]
        total = stacks(figures)
        what = f"{name}: {PLACES[place]}"
        differ = figures["different"] + (0 if throws else figures["astray"])
        share = 1 - differ / total if total else 0
        note(f"{what}: {figures['equal']} of {total} stacks equal, {figures['astray']} astray, "
             f"{figures['frames'] / max(total, 1):.1f} frames each; ends "
             + ", ".join(f"{k} {v}" for k, v in figures["ends"].items() if v))
        ok(total >= at_least, f"{what}: at least {at_least} stacks were compared", f"got {total}")
        ok(share >= LEAST_EQUAL, f"{what}: at least {100 * LEAST_EQUAL:g} % of stacks do not differ")
        if place == "kept":
            note(f"{what}: {result['shared_frames']} frames were not walked again")
            if at_least > MANY: # else there is too little between one and the next
                ok(result["shared_frames"] > figures["frames"] / 2, f"{what}: most frames are the last's",
                   result["shared_frames"])
        ok(figures["ends"]["root"] >= 0.95 * total and figures["frames"] >= 4 * total,
           f"{what}: stacks are whole")
    for d in sorted(result["differences"], key=lambda d: -d["count"])[:10]:
        note(f"  {d['count']} {d['place']} {d['relation']} ({d['end']}) after {d['after']}, "
             f"{d['depth']} frames from {d['leaf']}: "
             f"ours {d['ours']}, libunwind {d['libunwind']}")


sqlite = shutil.which("sqlite3")
if sqlite:
    compared("sqlite3", [sqlite, ":memory:"], 150, 5000, "done", input=SQL)
else:
    skip("sqlite3: stacks are equal", "sqlite3 is not installed")
compared("python3", [python(), "-c", PYTHON], 20, 1000, "done")
compared("unwind_gaps", [helper("unwind_gaps"), 1000], 100, 400, "done")
compared("cxx_unwind", [sample("cxx_unwind"), 1300], 1000, 1000, "checksum", throws=True)
for pool, ops, every, least in (("off", 1500000, 500, 1000), ("on", 2000000, 1, 50)):
    compared(f"store_bench --pool={pool}",
             [STORE_BENCH, "--threads=3", f"--ops={ops}", "--keys=20000", f"--pool={pool}",
              "--no-live"], every, least, "ops/s")
