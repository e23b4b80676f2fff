#!/usr/bin/env python3
# test: timeout=240
"""export: `go tool pprof` shows what `perfshim report` shows, of a real run; collapsed stacks add up
to its totals; what cannot be written is told, with the contract's exit codes."""
import collections
import gzip
import os
import pty
import re
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

ENV = clean_env(HOME=TMP, PPROF_TMPDIR=TMP, GOTOOLCHAIN="local", GOFLAGS="-mod=mod", GOCACHE=TMP + "/go",
                GOPATH=TMP + "/gopath", GOPROXY="off")


def export(*argv, **options):
    return run([PERFSHIM, "export", *argv], env=clean_env(), **options)


def pprof(file, *options):
    return run(["go", "tool", "pprof", "-symbolize=none", *options, file], env=ENV)


# A run whose symbols all have one name each, and where locks, inlining and libc take part.
preload([STORE_BENCH, "--ops=700000", "--threads=2", "--num=20000", "--pool=off", "--seed=3"],
        "real.pshim", env={"PERFSHIM_CPU_HZ": 997}, timeout=120)
document = report("real.pshim")
cpu_total = document["totals"]["cpu_ns"]
ok(document["mode"]["cpu_ticks"] > 100, "a real profile", document["mode"])

# pprof's table and the report's.
ROW = re.compile(r"^ *(-?\d+)(?:ns|B)? +[-+\d.e]+% +[-+\d.e]+% +(-?\d+)(?:ns|B)? +[-+\d.e]+%  (.*?)"
                 r"(?: \((?:partial-)?inline\))?$")


def same_as_report(file, label, sample, unit, metric, document=document):
    done = pprof(file, "-top", "-cum", "-nodecount=0", "-nodefraction=0", f"-unit={unit}",
                 f"-sample_index={sample}")
    ok(done.status == 0, f"{label}: go tool pprof reads it", done)
    rows = [(int(m[1]), int(m[2]), m[3]) for m in map(ROW.match, done.out.splitlines()) if m]
    total = document["totals"][metric]
    want = collections.defaultdict(list)
    for f in document["functions"]:
        if f[metric]["cum"]:
            want[f["name"]].append(f[metric])
    equal(sorted(name for _, _, name in rows), sorted(want), f"{label}: the same functions")
    wrong = []
    for flat, cum, name in rows:
        both = want.get(name, [])  # pprof knows no files here: functions of one name are one row
        flats, most, least = (sum(w["flat"] for w in both), sum(w["cum"] for w in both),
                              max((w["cum"] for w in both), default=0))
        if abs(flat - flats) > total / 1000 or not least - total / 1000 <= cum <= most + total / 1000:
            wrong.append(f"{name}: pprof {flat} {cum}, report {both} of {total}")
    ok(len(rows) > 3 and not wrong, f"{label}: the same shares, within 0.1 point ({len(rows)} functions)",
       *wrong)
    # Of equal values any order is right.
    order = [max(w["cum"] for w in want[name]) for _, _, name in rows if len(want.get(name, [])) == 1]
    ok(order == sorted(order, reverse=True), f"{label}: the same order", order)
    said = re.search(r"of (\d+)(?:ns|B)? total", done.out)
    equal(said and int(said[1]), total, f"{label}: the same total, to the last digit")


done = export("real.pshim")
equal((done.status, done.out, done.err), (0, "", "perfshim export: wrote real.cpu.pb.gz\n"),
      "without -o the file is named after profile and kind, on stderr")
same_as_report("real.cpu.pb.gz", "cpu", "cpu", "ns", "cpu_ns")
done = export("--kind=heap", "-o", "heap.pb.gz", "real.pshim")
equal((done.status, done.out, done.err), (0, "", ""), "with -o it says nothing")
same_as_report("heap.pb.gz", "allocated bytes", "alloc_space", "B", "alloc_bytes")
same_as_report("heap.pb.gz", "allocations", "alloc_objects", "count", "alloc_calls")
equal(export("--kind", "cost", "--output=cost.pb.gz", "real.pshim").status, 0, "--kind=cost")
same_as_report("cost.pb.gz", "cost", "cost", "ns", "cost_ns")

# Waits for locks: a program that works inside its lock, by four threads.
began = time.time()
preload([os.path.join(B, "samples", "get"), "--ops=100000", "--threads=4"], "locks.pshim", timeout=120)
locked = report("locks.pshim")
totals = locked["totals"]
ok(began - 1 < locked["process"]["start_time"] < time.time() + 1, "start_time is to the second", began,
   locked["process"])
ok(totals["lock_contentions"] > 0 and totals["lock_wait_ns"] > 0, "a profile with waits", totals)
for kind, wait, count in (("mutex", "blamed_wait_ns", "blamed_waits"), ("block", "lock_wait_ns", "lock_contentions")):
    equal(export(f"--kind={kind}", "-o", f"{kind}.pb.gz", "locks.pshim").status, 0, f"--kind={kind}")
    same_as_report(f"{kind}.pb.gz", f"{kind}, delay", "delay", "ns", wait, locked)
    same_as_report(f"{kind}.pb.gz", f"{kind}, contentions", "contentions", "count", count, locked)
equal(sum(lock["wait_ns"] for lock in locked["locks"]), totals["lock_wait_ns"], "the locks' waits are the total")
equal(sum(b["wait_ns"] for lock in locked["locks"] for b in lock["blockers"]), totals["blamed_wait_ns"],
      "what blockers answer for is the total of blame")
equal(sum(site["wait_ns"] for lock in locked["locks"] for site in lock["sites"]), totals["lock_wait_ns"],
      "and so are those of their sites")
equal(sum(lock["acquisitions"] for lock in locked["locks"]), totals["lock_acquisitions"], "likewise acquisitions")
shown = run([PERFSHIM, "report", "--view=locks", "locks.pshim"], env=clean_env()).out
said = re.search(r"(?m)^LOCKS   wait (\S+?) ?(ns|us|ms|s) in (\S+)(?: (k|M))? waits ", shown)
unit = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, None: 1, "k": 1e3, "M": 1e6}
ok(said and abs(float(said[1]) * unit[said[2]] / totals["lock_wait_ns"] - 1) < 0.03 and
   abs(float(said[3]) * unit[said[4]] / totals["lock_contentions"] - 1) < 0.03, "--view=locks says the same", shown)
lines = export("--format=collapsed", "--kind=mutex", "locks.pshim").out.splitlines()
equal(sum(int(line.rpartition(" ")[2]) for line in lines), totals["blamed_wait_ns"], "collapsed mutex: adds up")

raw = pprof("real.cpu.pb.gz", "-raw").out
match(raw, r"^samples/count cpu/nanoseconds\[dflt\]$", "cpu is what pprof shows first")
match(raw, r"^Period: \d{6,7}$", "the period is told")
mappings = raw[raw.index("\nMappings\n"):].splitlines()[2:]
ok(mappings[0].split()[2] == STORE_BENCH and mappings[0].split()[3] == document["process"]["build_id"],
   "the first mapping is the program, with its build-id", *mappings)
ok(any("libc.so.6" in m for m in mappings[1:]), "libc follows", *mappings)
match(pprof("real.cpu.pb.gz", "-comments").out, r"store_bench --ops=700000[^$]*^perfshim \d",
      "the command and the version are comments")
match(pprof("real.cpu.pb.gz", "-top", "-lines").out, r"store/\w+\.c:\d+", "lines are there")
match(pprof("real.cpu.pb.gz", "-list=^memtable_seek$", f"-source_path={SRC}").out,
      r"(?m)^ +\d+(?:\.\d+)?m?s .*\d+:", "pprof -list shows them in the source")
equal(export("-o", "again.pb.gz", "real.pshim").status, 0, "a second export")
with open("real.cpu.pb.gz", "rb") as a, open("again.pb.gz", "rb") as b:
    equal(a.read(), b.read(), "equals the first byte for byte")

# Selection.
export("--focus=^store_put$", "--hide=^entry_new$", "-o", "some.pb.gz", "real.pshim")
some = report("real.pshim", "--focus=^store_put$", "--hide=^entry_new$")
want = next(f["cpu_ns"]["cum"] for f in some["functions"] if f["name"] == "store_put")
top = pprof("some.pb.gz", "-top", "-cum", "-nodecount=0", "-nodefraction=0", "-unit=ns").out
match(top, rf" of {want}ns total", "--focus keeps what report keeps")
ok("entry_new" not in top and "store_put" in top and "store_get" not in top, "--hide hides", top)

# Collapsed stacks.
for kind, metric in (("cpu", "cpu_ns"), ("heap", "alloc_bytes"), ("cost", "cost_ns")):
    done = export("--format=collapsed", f"--kind={kind}", "real.pshim")
    lines = [line.rpartition(" ") for line in done.out.splitlines()]
    ok(done.status == 0 and done.err == "" and all(re.fullmatch(r"\d+", n) for _, _, n in lines),
       f"collapsed {kind}: stack and number a line, to stdout", done.err, *lines[:3])
    equal(sum(int(n) for _, _, n in lines), document["totals"][metric], f"collapsed {kind}: adds up")
    cum = collections.Counter()
    for stack, _, n in lines:
        for name in set(stack.split(";")):
            cum[name] += int(n)
    unique = collections.Counter(f["name"] for f in document["functions"])
    equal({n: c for n, c in cum.items() if unique[n] == 1},
          {f["name"]: f[metric]["cum"] for f in document["functions"]
           if unique[f["name"]] == 1 and f[metric]["cum"]}, f"collapsed {kind}: every cum is the report's")
    numbers = [int(n) for _, _, n in lines]
    ok(numbers == sorted(numbers, reverse=True) and len({s for s, _, _ in lines}) > 3,
       f"collapsed {kind}: the largest first")
equal(export("--format=collapsed", "-o", "out.folded", "real.pshim").out, "", "-o: not to stdout")
equal(open("out.folded", encoding="utf-8").read(), export("--format=collapsed", "real.pshim").out,
      "but to the file")

# Where it goes.
done = export("-o", "-", "real.pshim", binary=True)
ok(done.status == 0 and done.err == b"" and gzip.decompress(done.out) ==
   gzip.decompress(open("real.cpu.pb.gz", "rb").read()), "-o - writes to stdout")
pid, terminal = pty.fork()
if pid == 0:
    os.execve(PERFSHIM, ["perfshim", "export", "-o", "-", "real.pshim"], clean_env())
shown = b""
try:
    while chunk := os.read(terminal, 4096):
        shown += chunk
except OSError:  # how a terminal ends
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
ok(status == 2 and b"not for a terminal" in shown, "never to a terminal", status, shown)
os.mkdir("here")
os.link("real.pshim", "here/a.pshim")
done = export(cwd="here")
ok(done.status == 0 and "reading a.pshim" in done.err and os.path.exists("here/a.cpu.pb.gz"),
   "without a profile the newest here is meant", done)
os.link("real.pshim", "here/plain")
ok(export("here/plain", "--kind=heap").status == 0 and os.path.exists("here/plain.heap.pb.gz"),
   "a profile with another ending keeps its name")

# A program that still runs can be exported, and one that named itself to confuse.
MAKE = os.path.join(B, "helpers", "make_profile")
for case in ("off", "hostile", "allocations", "nothing", "waits"):
    run([MAKE, case, f"{case}.pshim"])
done = export("--format=collapsed", "hostile.pshim")
equal(done.out, "lib\\x1b[31mred.so+0x1234 50000000\n", "control characters are escaped")
equal(export("-o", "hostile.pb.gz", "hostile.pshim").status, 0, "a hostile profile is exported")
equal(pprof("hostile.pb.gz", "-raw").status, 0, "and read")
equal(export("-o", "nothing.pb.gz", "nothing.pshim").status, 0, "an empty profile is exported")
equal((export("--format=collapsed", "nothing.pshim").status,
       export("--format=collapsed", "nothing.pshim").out), (0, ""), "as no lines")


# Wrong use and bad input.
def refuses(label, status, said, *argv):
    done = export(*argv)
    equal((done.status, done.out), (status, ""), f"{label}: exit code {status}, nothing on stdout")
    match(done.err, said, f"{label}: the message says what")


before = sorted(os.listdir("."))
refuses("an unknown format", 2, "perfshim export: .*flame", "--format=flame", "off.pshim")
refuses("an unknown kind", 2, "perfshim export: .*disk", "--kind=disk", "off.pshim")
for kind in ("mutex", "block"):
    refuses(kind, 2, f"--kind={kind}: this profile has no lock measurements", f"--kind={kind}", "off.pshim")
refuses("mutex of waits alone", 2, "--kind=mutex: who held the locks was not recorded", "--kind=mutex", "waits.pshim")
refuses("heap without allocations", 2, "--kind=heap: this profile has no allocation measurements",
        "--kind=heap", "hostile.pshim")
refuses("cpu without ticks", 2, "--kind=cpu: this profile has no CPU measurements", "allocations.pshim")
refuses("cost without ticks", 2, "--kind=cost: this profile has no CPU", "--kind=cost", "allocations.pshim")
refuses("two profiles", 2, "'nothing.pshim' is one too many", "off.pshim", "nothing.pshim")
refuses("a bad expression", 2, r"--ignore: '\*\('", "--ignore=*(", "off.pshim")
refuses("an unknown option", 2, "bogus", "--bogus", "off.pshim")
refuses("onto the profile itself", 2, "that is the profile itself", "-o", "off.pshim", "off.pshim")
refuses("a missing profile", 3, "perfshim export: missing.pshim: cannot open", "missing.pshim")
refuses("a profile that is none", 3, "heap.pb.gz: is not a perfshim profile|is truncated", "heap.pb.gz")
refuses("into a folder that is not there", 3, "perfshim export: no/x: No such file", "-o", "no/x", "off.pshim")
refuses("onto a folder", 3, "perfshim export: here: Is a directory", "-o", "here", "off.pshim")
for form in ("pprof", "collapsed"):
    refuses(f"{form} onto a full disk", 3, "perfshim export: /dev/full: No space left", f"--format={form}",
            "-o", "/dev/full", "off.pshim")
equal(sorted(os.listdir(".")), before, "and nothing was written")
ok(stat.S_ISCHR(os.stat("/dev/full").st_mode), "nor removed")
with open("/dev/full", "wb") as full:
    code = subprocess.run([PERFSHIM, "export", "--format=collapsed", "off.pshim"], env=clean_env(),
                          stdout=full, stderr=subprocess.PIPE, check=False)
equal((code.returncode, code.stderr), (3, b"perfshim export: stdout: No space left on device\n"),
      "a full stdout is an error")
code = subprocess.run(["bash", "-c", "ulimit -f 0; trap '' XFSZ; \"$0\" export -o cut.pb.gz real.pshim",
                       PERFSHIM], env=clean_env(), capture_output=True, check=False)
ok(code.returncode == 3 and b"cut.pb.gz: File too large" in code.stderr and
   not os.path.exists("cut.pb.gz"), "an export that fails half-way leaves no file", code)
