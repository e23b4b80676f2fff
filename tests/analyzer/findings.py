#!/usr/bin/env python3
# test: timeout=120 no-coverage
"""What the report says to do: the program that is 40 % compaction, 25 % lock_acquire, 20 %
serialization and 15 % memcpy is told so with the right advice for each, also when its functions
are called f1 … f4; the lesson's pairs get theirs, and the cured ones do not."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

KEYS = ["rank", "kind", "title", "cost_ns", "share", "max_gain", "lock", "where", "work",
        "evidence", "advice", "over_bytes", "peak_share", "predicted_ns", "runqueue_ns", "enough_threads"]


def recorded(program, *options):
    done = run([PERFSHIM, "record", "-o", program + ".pshim", "--", sample(program), *options],
               env=clean_env(), timeout=100)
    if not ok(done.status == 0, f"{program}: recorded", done):
        sys.exit(1)
    return report(program + ".pshim")


def of(document, kind):
    return [f for f in document["findings"] if f["kind"] == kind]


def split(program, names):
    """By the part that each name plays: what is said about it."""
    document = recorded(program, "--ticks", "1000", "--threads", "2")
    locks = document["mode"]["locks"] == "on"
    said = {}
    for f in document["findings"]:
        who = f["where"]["name"]
        part = "memcpy" if who == names["rows_copy"] else \
            next((p for p, name in names.items() if name == who), who)
        said[part] = f
    equal(sorted(f["rank"] for f in document["findings"]),
          list(range(1, len(document["findings"]) + 1)), f"{program}: ranks are 1, 2, 3 …")
    ok(sum(f["share"] for f in document["findings"]) < 1.0001, f"{program}: shares add up to 1")
    for part, kind in {"compaction": "focus_first", "serialization": "optimise",
                       "lock_acquire": "check_contention" if locks else "optimise"}.items():
        equal(said.get(part, {}).get("kind"), kind, f"{program}: {part}: {kind}")
    memcpy = said.get("memcpy", {"share": 0, "kind": None, "evidence": [""]})
    ticks = document["mode"]["cpu_ticks"]
    chance = 2 * (memcpy["share"] * (1 - memcpy["share"]) / ticks) ** 0.5
    equal(memcpy["kind"], "optimise" if memcpy["share"] - chance > 0.151 else "not_worth_it",
          f"{program}: memcpy: {memcpy['share']:.1%} +- {chance:.1%} is not past 15 %")
    match(memcpy["evidence"][0], "memcpy", f"{program}: memcpy is named")
    for f in said.values():
        near(f["max_gain"], 1 / (1 - f["share"]), f"{program}: {f['title']}: 1/(1 - share)", rel=1e-5)
    if locks:
        contended = said["lock_acquire"]
        equal(contended["lock"], "held", f"{program}: the lock is named")
        match(" ".join(contended["evidence"]), r"in vain [\d.]+ ?[kM]? times", f"{program}: counts")
    else:
        skip(f"{program}: the lock and its counts are named", "locks are not recorded yet")
    return said


parts = ("compaction", "lock_acquire", "serialization", "rows_copy")
plain = split("split", {p: p for p in parts})
renamed = split("split_renamed", dict(zip(parts, ("f1", "f2", "f3", "f4"))))
for part in ("compaction", "lock_acquire", "serialization"):
    equal([renamed[part][k] for k in ("kind", "title", "advice")],
          [plain[part][k] for k in ("kind", "title", "advice")], f"{part}: the same by another name")

bad = recorded("buffer", "--ops=3000000")
reduce = of(bad, "reduce_allocations") + [f for f in of(bad, "focus_first") if "alloc" in f["title"]]
if ok(len(reduce) == 1, "buffer: allocations are a finding", bad["findings"]):
    equal(reduce[0]["where"]["name"], "buffer_new", "buffer: at the site that makes them")
    match(" ".join(reduce[0]["evidence"]), r"100% of these are temporary", "buffer: temporary ones")
    match(reduce[0]["advice"], "use it again", "buffer: with the cure")
good = recorded("buffer_cured", "--ops=3000000")
equal([f["title"] for f in good["findings"] or [] if "alloc" in f["title"]], [],
      "buffer_cured: allocations are none")

bad = recorded("get", "--ops=400000", "--threads=4")
held = of(bad, "held_too_long")
if bad["mode"]["locks"] != "on":
    skip("get: lock, site and movable work are named", "locks are not recorded yet")
elif ok(len(held) == 1, "get: a lock is held too long", bad["findings"]):
    equal((held[0]["lock"], held[0]["where"]["name"], held[0]["work"]["name"]),
          ("cache_lock", "cache_get", "entry_print"), "get: lock, site and movable work are named")
    good = recorded("get_cured", "--ops=400000", "--threads=4")
    equal(of(good, "held_too_long"), [], "get_cured: no more")

# A lock that is held for I/O: what one waits for is the call, not the code under the lock.
for mode, count, call, kind in (("pipe", 60, "read", "io_under_lock"), ("sync", 150, "fdatasync", "sync_under_lock")):
    done = preload([helper("sync_under_lock"), "file", mode, count], f"{mode}.pshim")
    ok(done.status == 0 and done.out == "done\n", f"{mode} under a lock: runs as without the shim", done)
    document = report(f"{mode}.pshim")
    lock = document["locks"][0]
    held = [call_ for call_ in lock["held_io"] if call_["call"] == call]
    equal((lock["name"], [h["calls"] for h in held]), ("guard", [3 * count]), f"{call} under a lock is counted")
    found = of(document, kind)
    if lock["wait_ns"] >= 0.05 * document["totals"]["cost_ns"]:  # not on a disk that is memory
        if ok(len(found) == 1, f"{call} under a lock is a finding", document["findings"]):
            equal((found[0]["lock"], found[0]["where"]["name"]), ("guard", "append" if mode == "sync" else "take_one"),
                  "with the lock and the place")
            match(" ".join(found[0]["evidence"]), rf"inside I/O, most of it in {call} \(\d+ calls", "and how long the call takes")
    else:
        equal(mode, "sync", f"{call} under a lock: threads wait for it")

# What each shape of a lock's use is told as; how many waits there are is up to the machine.
def shape(mode, threads, count):
    done = preload([helper("lock_shapes"), mode, threads, count], f"{mode}.pshim", env={"PERFSHIM_CPU_HZ": "997"})
    ok(done.status == 0 and done.out == "done\n", f"{mode}: runs as without the shim", done)
    return report(f"{mode}.pshim")


document = shape("often", 2, 25000000)
found = of(document, "taken_too_often")
if ok(len(found) == 1, "often: a lock that is taken too often is a finding", document["findings"]):
    equal((found[0]["lock"], found[0]["where"]["name"]), ("guard", "count_one"), "often: with lock and place")
    match(" ".join(found[0]["evidence"]), r"taken 50\.0 M times, 0 .*CPU time in the calls", "often: and how often")

for mode, threads, count, kind in (("alloc", 4, 60000, "alloc_under_lock"), ("convoy", 4, 200000, "convoy")):
    document = shape(mode, threads, count)
    found, lock = of(document, kind), document["locks"][0]
    equal((lock["name"], lock["acquisitions"], lock["held_alloc_calls"]),
          ("guard", threads * count, 24 * threads * count if mode == "alloc" else 0), f"{mode}: counts of the lock")
    enough = lock["contentions"] >= 20 and lock["wait_ns"] >= 0.05 * document["totals"]["cost_ns"]
    if mode == "convoy":  # whom the machine lets run how long decides how often threads meet
        enough = enough and lock["handoff_ns"] >= 0.6 * lock["wait_ns"] and lock["owner_changes"] >= 0.012 * threads * count and \
            lock["wait_ns"] * lock["acquisitions"] >= 12 * lock["hold_ns"] * lock["contentions"]
    if not enough:
        note(f"{mode}: hardly anybody waited: {lock['wait_ns']} ns, {lock['contentions']} times, {lock['owner_changes']} owners")
    elif ok(len(found) == 1, f"{mode}: {kind} is a finding", document["findings"]):
        equal((found[0]["lock"], found[0]["where"]["name"]), ("guard", lock["site"]["name"]), f"{mode}: with lock and place")
        if mode == "alloc":
            equal(found[0]["work"]["name"], "list_renew", "alloc: and who allocates")
            match(" ".join(found[0]["evidence"]), r"24\.00 allocations each time it is held", "alloc: how often")
            ok(-document["totals"]["cost_ns"] < found[0]["predicted_ns"] < 0, "alloc: a gain is predicted", found[0])

# A leader that signals each of those who waited: for as long, nobody else gets in.
for mode in ("signal", "unlock"):
    document = shape(mode, 4, 150000)
    lock = next(l for l in document["locks"] if l["name"] == "guard")
    advice = [f["advice"] for f in document["findings"] if f["lock"] == "guard" and "signal after" in f["advice"]]
    found = of(document, "held_too_long")
    if mode == "unlock":
        equal(advice, [], "unlock: who signals after it is not told to")
    elif not found:  # whom the machine lets run how long decides what they wait for
        note(f"signal: hardly anybody waited for a holder: {lock['wait_ns']} ns, {lock['handoff_ns']} of hand-off")
    else:
        equal((found[0]["lock"], found[0]["work"]["name"], len(advice)), ("guard", "group_lead", 1),
              "signal: who signals under the lock is told to do so after it")
        match(" ".join(found[0]["evidence"]), r"\d+% of the CPU time under it wakes other threads; most at group_lead", "signal: with how much it is")

# Six that compute on one CPU, as far as others leave it to them.
cpu = str(max(os.sched_getaffinity(0)))
done = preload(["taskset", "-c", cpu, helper("lock_shapes"), "many", 6, 100000], "many.pshim")
ok(done.status == 0 and done.out == "done\n", "many: runs as without the shim", done)
document = report("many.pshim")
ledger, found = document["ledger"], of(document, "oversubscription")
equal(document["process"]["cpus"], 1, "many: on one CPU")
busy = ledger["cpu_ns"] / document["process"]["wall_ns"]
if ledger["runqueue_ns"] is None or busy < 0.78:
    equal(found, [], "many: who does not have the CPU is not told to run fewer threads")
elif busy < 0.82:
    note(f"many: busy for {busy:.1%}: either may be said")
elif ok(len(found) == 1, "many: more threads than CPUs are a finding", document["findings"]):
    equal((found[0]["enough_threads"], found[0]["runqueue_ns"], found[0]["cost_ns"]), (1, ledger["runqueue_ns"], None),
          "many: with how many would do, and no cost")

# One thread that syncs what it wrote, each time: there is room for group commit.
done = preload([helper("sync_under_lock"), "file2", "each", 200], "each.pshim")
ok(done.status == 0 and done.out == "done\n", "each write synced: runs as without the shim", done)
document = report("each.pshim")
syncs = [row for row in document["io"] if row["call"] == "fdatasync"]
equal([row["calls"] for row in syncs], [200], "each write synced: all are counted")
if sum(row["time_ns"] for row in syncs) >= 0.15 * document["totals"]["cost_ns"]:  # not on a disk that is memory
    found = of(document, "sync_often")
    if ok(len(found) == 1, "each write synced: fsync too often is a finding", document["findings"]):
        match(" ".join(found[0]["evidence"]), r"^200 calls of fdatasync .*; 1\.0 write and 7 B for each, most of it by append".replace("; ", " "),
              "with how many, and what is written for each")
        match(found[0]["advice"], r"group commit: .* with \d+( or more)? times as many writes for each", "and how many writes would do")

for case, want in (("off", list), ("locks", list), ("allocations", type(None)),
                   ("nothing", type(None)), ("hostile", type(None))):
    run([helper("make_profile"), case, f"{case}.pshim"])
    document = report(f"{case}.pshim")
    ok(isinstance(document["findings"], want), f"{case}: findings are {want.__name__}: "
       "null where they cannot be known", document["findings"])
    for f in document["findings"] or []:
        if list(f) != KEYS:
            equal(list(f), KEYS, f"{case}: keys of a finding")
equal(list(report("locks.pshim")["findings"][0]), KEYS, "the keys of a finding are the contract's")
