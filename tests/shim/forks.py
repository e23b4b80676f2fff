#!/usr/bin/env python3
# test: no-coverage
"""Processes never mix: whatever children a program makes, its profile counts its own work exactly,
and a child that nobody follows writes no file and inherits no preload."""
import json
import os
import re
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

PARENT_ONLY = ["fork", "fork_threads", "threads", "clone", "daemon", "many"]
EXECUTING = {"fork_exec": 6, "vfork_exec": 10, "spawn": 10, "system": 2}


def check_parent(case, out, truth):
    document = report(out)
    if not document:
        return
    got = (flat(document, "parent_alloc", "alloc_calls"),
           flat(document, "parent_alloc", "alloc_bytes"),
           flat(document, "parent_alloc", "free_calls"))
    equal(got, (truth["calls"], truth["bytes"], truth["frees"]), f"{case}: the parent is exact")
    equal(cum(document, "child_alloc", "alloc_calls"), 0, f"{case}: nothing of its children")
    equal((document["process"]["end"], document["process"]["status"]), ("exit", 0),
          f"{case}: the parent's end is known")


def check_case(case, children):
    """Runs a case in a folder of its own; its stdout must be what it is without the shim."""
    os.mkdir(case)
    out = f"{case}/p.pshim"
    done = preload([helper("forks"), case], out)
    if not ok(done.status == 0 and not done.err, f"{case}: every process ends well", done):
        return
    *lines, last = done.out.splitlines()
    equal(lines, ["child: LD_PRELOAD="] * children, f"{case}: executed children have no preload")
    equal(profiles(case), ["p.pshim"], f"{case}: no child writes a file")
    check_parent(case, out, json.loads(last))


for case in PARENT_ONLY:
    check_case(case, 0)
for case, children in EXECUTING.items():
    check_case(case, children)

# Only our own entry is taken out of LD_PRELOAD.
other = os.path.join(B, "helpers", "quiet_lib")
for value, rest in ((f"{SHIM}:{other}", other), (f"{SHIM} {other}", other),
                    (f"{other}:{SHIM}", other)):
    done = preload([helper("forks"), "spawn"], "other.pshim", env={"LD_PRELOAD": value})
    equal(set(done.out.splitlines()[:-1]), {f"child: LD_PRELOAD={rest}"},
          f"of LD_PRELOAD={'SHIM' if value.startswith(SHIM) else 'OTHER'}"
          f"{value[len(SHIM)] if value.startswith(SHIM) else ':'}… children keep what is not ours")

# Followed: programs that children execute write F.PID, one each; children that are only forked, and
# what a child did before it executed something, are nobody's.
FOLLOW = {"PERFSHIM_FOLLOW": "1"}


def check_followed(case, children):
    """The parent is exact, and each executed child has a file of its own work alone."""
    folder = f"follow-{case}"
    os.mkdir(folder)
    done = preload([helper("forks"), case], f"{folder}/p.pshim", env=FOLLOW)
    label = f"{case}, followed"
    if not ok(done.status == 0 and not done.err, f"{label}: every process ends well", done):
        return
    check_parent(label, f"{folder}/p.pshim", json.loads(done.out.splitlines()[-1]))
    names = [name for name in profiles(folder) if re.fullmatch(r"p\.pshim\.\d\d+", name)]
    if case != "system":  # whose shells may have files too
        equal(len(names), children, f"{label}: a file for each of {children} children")
        names, children = names[:2], min(children, 2)
    documents = {name: report(f"{folder}/{name}") for name in names}
    equal([name for name, d in documents.items() if f"p.pshim.{d['process']['pid']}" != name], [],
          f"{label}: a file is named after its process")
    workers = [d for d in documents.values() if os.path.basename(d["process"]["exe"]) == "forks"]
    equal(sorted((flat(d, "child_alloc", "alloc_calls"), flat(d, "child_alloc", "free_calls"),
                  cum(d, "parent_alloc", "alloc_calls"), d["process"]["end"]) for d in workers),
          [(20000, 10000, 0, "exit")] * children, f"{label}: a child's work is exact")


for case, children in (("fork_exec", 6), ("system", 2)):
    check_followed(case, children)

# A child's own images, and one that is given no environment; a daemon outlives its parent.
os.mkdir("followed")
chain, child = helper("exec_chain"), f"{helper('forks')} child"
done = run([PERFSHIM, "record", "--follow", "-o", "followed/f.pshim", "--", "sh", "-c",
            f"{chain} 2; env -i {child}; (setsid {child} >/dev/null &); sleep 0.3"],
           env=clean_env())
ok(done.status == 0, "record --follow: a shell with children", done)
names = profiles("followed")
chains = {}
for name in names:
    document = report(f"followed/{name}")
    exe = os.path.basename(document["process"]["exe"]) if document else ""
    key = (exe, ".".join(name.split(".")[:3]))
    chains.setdefault(key, []).append(flat(document, "image_alloc", "alloc_calls") if exe ==
                                      "exec_chain" else flat(document, "child_alloc", "alloc_calls"))
equal(sorted(calls for (exe, _), of in chains.items() if exe == "exec_chain" for calls in of),
      [1000, 2000, 3000], "exec in a child: its images are F.PID, F.PID.1 and F.PID.2")
equal([of for (exe, _), of in chains.items() if exe == "forks"], [[20000]] * 2,
      "without an environment, and detached: a file each")
match(done.err, r"^perfshim record: followed/f\.pshim, .*; of children: \d+, followed/f\.pshim\.PID\. "
      r"Next", "record says how many files there are")
equal(os.path.islink("followed/f.pshim"), False, "nothing is staged then")

# One process, several images: the last owns F, the others are F.1, F.2, …
os.mkdir("chain")
done = preload([helper("exec_chain"), 4], "chain/p.pshim")
ok(done.status == 0 and len(set(l.split()[3] for l in done.out.splitlines())) == 1,
   "exec: five images in one process", done)
equal([l.split(" preload ")[1] for l in done.out.splitlines()], ["none"] * 5,
      "exec: an image sees the environment that it would see without us")
files = profiles("chain")
equal(files, ["p.pshim"] + [f"p.pshim.{i}" for i in range(1, 5)],
      "exec: the last image owns F, the earlier ones F.1 to F.4")
counts, ends = {}, {}
for name in files:
    document = report(f"chain/{name}")
    if document:
        counts[name] = flat(document, "image_alloc", "alloc_calls")
        ends[name] = document["process"]["end"]
equal(sorted(counts.values()), [1000, 2000, 3000, 4000, 5000], "exec: each image's work is exact")
equal(counts.get("p.pshim"), 1000, "exec: F is the last image")
equal([ends[name] for name in sorted(ends)], ["exit"] + ["exec"] * 4, "exec: how each image ended")

# The usual wrappers: a shell, env, nice. Their own images are earlier ones.
os.mkdir("wrapped")
done = preload(["sh", "-c", f"exec env A=b nice -n 1 {helper('exec_chain')} 0"],
               "wrapped/p.pshim")
ok(done.status == 0, "sh -c 'exec env nice program' runs", done)
document = report("wrapped/p.pshim")
if document:
    equal(flat(document, "image_alloc", "alloc_calls"), 1000, "behind wrappers F is the program")
    equal(os.path.basename(document["process"]["exe"]), "exec_chain",
          "behind wrappers the program has its own name")
