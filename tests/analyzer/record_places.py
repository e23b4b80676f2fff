#!/usr/bin/env python3
"""perfshim record finds its library wherever it is installed, writes where it is told, and says
what it left out."""
import os
import re
import shutil
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

WORK = [helper("resources"), "work"]


def record(program, *argv, **options):
    return run([program, "record", *argv], env=clean_env(**options.pop("env", {})), **options)


# Blanks and colons separate in LD_PRELOAD; a path may hold both, then a link stands for it.
os.mkdir("temporary")
temporary = os.path.abspath("temporary")
LINKS = ["sh", "-c", f"find /tmp {temporary} -maxdepth 2 -lname '{TMP}/*' 2>/dev/null; :"]  # others' files go
for place, link in (("plain", ""), ("with blank", temporary), ("with:colon", temporary)):
    os.makedirs(f"{place}/bin")
    os.makedirs(f"{place}/lib/perfshim")
    shutil.copy(PERFSHIM, f"{place}/bin/perfshim")
    env = {"TMPDIR": temporary}
    done = record(f"{place}/bin/perfshim", "-o", "none.pshim", "--", *WORK, env=env)
    equal(done.status, 125, f"{place}: without its library record fails")
    match(done.err, r"^perfshim record: libperfshim\.so is neither in .*bin nor", f"{place}: told")
    shutil.copy(SHIM, f"{place}/lib/perfshim/libperfshim.so")
    done = record(f"{place}/bin/perfshim", "-o", f"{place}.pshim", "--", *WORK, env=env)
    equal(done.status, 0, f"{place}: found in ../lib/perfshim")
    document = report(f"{place}.pshim")
    ok(document and flat(document, "work_alloc", "alloc_calls") == 30000, f"{place}: and at work")
    shutil.copy(SHIM, f"{place}/bin/libperfshim.so")
    done = record(f"{place}/bin/perfshim", "-f", "-o", f"{place}.pshim", "--", *LINKS, env=env)
    equal(done.status, 0, f"{place}: found beside the program")
    match(done.out, rf"\A{link}/perfshim-\w{{6}}/libperfshim\.so\n\Z" if link else r"\A\Z",
          f"{place}: " + ("the link is in TMPDIR while it runs" if link else "there is no link"))
    equal(os.listdir(temporary), [], f"{place}: nothing stays in TMPDIR")

# Where TMPDIR cannot serve.
for unfit in (os.path.abspath("with blank"), "temporary", ""):
    done = record("with blank/bin/perfshim", "-f", "-o", "unfit.pshim", "--", *LINKS,
                  env={"TMPDIR": unfit})
    match(done.out, r"\A/tmp/perfshim-\w{6}/libperfshim\.so\n\Z",
          f"TMPDIR={os.path.basename(unfit)}, unfit: the link is in /tmp")
    ok("/" in done.out and not os.path.exists(os.path.dirname(done.out.strip())),
       "and gone afterwards", done)
done = record("with blank/bin/perfshim", "-o", "none.pshim", "--", "touch", "started",
              env={"TMPDIR": temporary + "/missing"})
equal((done.status, os.path.exists("started")), (125, False), "a TMPDIR that does not exist: 125")
match(done.err, rf"^perfshim record: {re.escape(temporary)}/missing: No such file", "and which")

# Other preloads stay, behind ours.
done = record(PERFSHIM, "-o", "two.pshim", "--", *WORK,
              env={"LD_PRELOAD": os.path.join(B, "helpers", "no-such.so")})
match(done.err, r"no-such\.so", "an LD_PRELOAD of the caller's is passed on")
document = report("two.pshim")
ok(document and flat(document, "work_alloc", "alloc_calls") == 30000, "behind ours")

# Names.
os.mkdir("out")
done = record(PERFSHIM, "-o", "out/", "--", *WORK)
ok(len(profiles("out")) == 1 and profiles("out")[0].startswith("perfshim-resources-"),
   "-o DIR/ gives the default name in it", profiles("out"))
done = record(PERFSHIM, "-o", "out/run-%p.pshim", "--", *WORK)
match(" ".join(profiles("out")), r"run-\d+\.pshim", "%p is the pid")
done = record(PERFSHIM, "--", *WORK, env={"PERFSHIM_OUT": "from-env.pshim"})
ok(os.path.exists("from-env.pshim"), "PERFSHIM_OUT is record's -o", done)
match(done.err, r"^perfshim record: from-env\.pshim, [\d.]+ [KM]iB, nothing lost\. "
      r"Next: perfshim report from-env\.pshim$", "the last line: file, size on disk, losses, next")
equal(done.err.count("\n"), 1, "and there is no other line")

# What is not in the profile is said.
done = record(PERFSHIM, "-o", "bad.pshim", "--", *WORK, env={"PERFSHIM_CPU_HZ": "fast"})
match(done.err, r"^perfshim record: .*PERFSHIM_CPU_HZ=fast", "a bad environment value is told")
done = record(PERFSHIM, "-o", "children.pshim", "--", "sh", "-c",
              f"for i in 1 2 3; do {sample('split')} --ticks 60; done; true")
equal(done.status, 0, "a shell whose children do the work")
match(done.err, r"^perfshim record: .* CPU time is not in this profile.*--follow",
      "CPU time of children is told, with the option that will help")
done = record(PERFSHIM, "-o", "gone.pshim", "--", "sh", "-c", f"exec {helper('static_prog')}")
match(done.err, r"^perfshim record: the profile ends with an exec: .* could not be profiled",
      "a program that goes on as a static one is told")

# Full and unwritable places are refused before the program starts.
done = record(PERFSHIM, "-o", "/proc/x.pshim", "--", "touch", "started")
equal((done.status, os.path.exists("started")), (125, False), "an unwritable directory: 125")
match(done.err, r"^perfshim record: /proc/x\.pshim: ", "and which")
os.mkdir("full")
mounted = run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", "full"]).status == 0
if mounted:
    done = record(PERFSHIM, "-o", "full/x.pshim", "--", "touch", "started")
    run(["umount", "full"])
    equal((done.status, os.path.exists("started")), (125, False), "a full disk: 125")
    match(done.err, r"^perfshim record: full/x\.pshim: No space", "and why")
else:
    skip("a full disk: 125", "cannot mount here")
done = record(PERFSHIM, "--follow", "--stage=on", "--", "touch", "started")
equal((done.status, os.path.exists("started")), (125, False), "--follow with --stage=on: 125")
match(done.err, "^perfshim record: --stage=on does not go with --follow", "and why")
