#!/usr/bin/env python3
# test: no-coverage
"""Resource trouble never kills: full disks, limits on files, memory, descriptors, signals and
stacks, locked memory, a changed root. The program's status and output are what they are alone."""
import json
import os
import resource
import shutil
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

WORK = [helper("resources"), "work"]
MB = 1 << 20


def same(label, limits, program=WORK, env=None):
    """With and without the shim under the same limits; the profile's report if there is one."""
    out = f"{label.replace(' ', '-')}.pshim"
    alone = run(["prlimit", *limits, *program], env=clean_env())
    done = limited(limits, program, out, env=env)
    equal((done.status, done.out, done.err), (alone.status, alone.out, alone.err),
          f"{label}: status and output are what they are alone")
    return report(out) if os.path.exists(out) else None


for size in (0, 4096, 1 * MB, 10 * MB):
    same(f"file size limit {size}", [f"--fsize={size}"])
for size in (24, 80, 160):
    same(f"address space of {size} MB", [f"--as={size * MB}"])
for size in (64, 128):
    same(f"stacks of {size} KB", [f"--stack={size * 1024}"])
document = same("4 descriptors", ["--nofile=4"])
if document:
    ok(flat(document, "work_alloc", "alloc_calls") == 30000,
       "with one free descriptor at the start all is recorded")
document = same("no descriptor any more", [], [helper("resources"), "nofile"])
if document:
    equal(flat(document, "work_alloc", "alloc_calls"), 30000,
          "without any descriptor later on all is recorded")
document = same("no pending signals", ["--sigpending=0"])
if document:
    ok(document["loss"].get("timer_failed", 0) > 0, "threads without a timer are counted",
       document["loss"])
    used_ns, status, done = rusage(WORK, env=clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=TMP + "/u.pshim"),
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0)))
    document = report("u.pshim")
    # the program computes for 80 ms by its own clock; the kernel bills its start and end as well
    ok(status == 0 and 80e6 <= document["totals"]["cpu_ns"] <= used_ns,
       "their CPU time is known all the same", document["totals"], used_ns)

locking = [helper("resources"), "mlock"]
alone = run(locking, env=clean_env())
done = preload(locking, "mlock.pshim")
if alone.status != 0:
    skip("mlockall", alone.err.strip())
else:
    equal(done.status, 0, "mlockall: the program runs")
    more = int(done.out or 0) - int(alone.out)  # tables and the library itself; the profile would be 64 MiB
    ok(more < 24 * 1024, f"mlockall does not make the profile resident ({more} KiB more)")

rooting = [helper("resources"), "chroot"]
alone = run(rooting, env=clean_env())
if alone.status != 0:
    skip("chroot and setuid", alone.err.strip())
else:
    done = preload(rooting, "chroot.pshim")
    equal((done.status, done.out, done.err), (0, alone.out, ""), "chroot and setuid: runs")
    document = report("chroot.pshim")
    if document:
        equal(flat(document, "work_alloc", "alloc_calls"), 30000, "and all is recorded")


def full_disk(size_kib, program):
    """Runs it with its profile on a file system of that size; the profile is copied out of it."""
    os.makedirs("small", exist_ok=True)
    script = (f"mount -t tmpfs -o size={size_kib}k tmpfs small || exit 99\n"
              f"env LD_PRELOAD={SHIM} PERFSHIM_OUT=$PWD/small/p.pshim {' '.join(program)}\n"
              "status=$?\n"
              "[ ! -e small/p.pshim ] || cp --sparse=always small/p.pshim full.pshim\n"
              "exit $status\n")
    if os.path.exists("full.pshim"):
        os.unlink("full.pshim")
    return run(["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script],
               env=clean_env())


stacks = [helper("many_stacks"), "16", "2"]
alone = run(stacks, env=clean_env())
calls = json.loads(alone.out)["calls"]
for size_kib in (4, 512, 1024):
    done = full_disk(size_kib, stacks)
    if "small" in done.err and done.status in (1, 99) and not done.out:
        skip(f"full disk of {size_kib} KiB", done.err.strip().splitlines()[0])
        continue
    equal((done.status, done.out, done.err), (0, alone.out, ""),
          f"full disk of {size_kib} KiB: status and output unchanged")
    if not os.path.exists("full.pshim") or os.path.getsize("full.pshim") == 0:
        ok(size_kib < 1024, f"full disk of {size_kib} KiB: too small for any profile")
        continue
    document = report("full.pshim")
    if document:
        ok(document["loss"].get("disk_full", 0) > 0,
           f"full disk of {size_kib} KiB: the profile says so", document["loss"])
shutil.rmtree("small", ignore_errors=True)

# A profile too small for the program's stacks: coarser, but nothing is lost silently.
done = preload(stacks, "tiny.pshim", env={"PERFSHIM_MAX_MB": "1"})
equal((done.status, done.out), (0, alone.out), "a full profile: status and output unchanged")
document = report("tiny.pshim")
if document:
    loss = document["loss"]
    ok(loss.get("node_table_full", 0) + loss.get("account_table_full", 0) > 0,
       "a full profile says so", loss)
    events = document["totals"]["alloc_calls"] + document["totals"]["free_calls"]
    ok(0 <= events - 2 * calls <= 200, "every event is counted all the same, at a caller's stack",
       document["totals"], loss)
    ok(os.path.getsize("tiny.pshim") <= MB, "the file is not larger than PERFSHIM_MAX_MB")
