#!/usr/bin/env python3
# test: timeout=300
# tests/regress.py: the same build passes, 1 % more instructions and longer times do not, and a baseline that
# is not this machine's, or not whole, is refused.
import contextlib
import io
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *
from lib import Run
import regress as tool

STORE = TMP + "/kept"
GETS = 20000  # of "store get"


def regress(*arguments, build=B):
    return run([SRC + "/tests/regress.py", *arguments, "--build", build, "--store", STORE], timeout=200,
               env=clean_env())


def called(*arguments, build=B):
    """The same without a process of its own: starting Python takes longer than what most of these ask."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["regress.py", *arguments, "--build", build, "--store", STORE]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = tool.main()
        except SystemExit as e:
            status = e.code
    return Run(sys.argv, status, out.getvalue(), err.getvalue())


def refused(status, message, *arguments, **more):
    done = called(*arguments, **more)
    ok(done.status == status and message in done.err and "Traceback" not in done.err,
       f"status {status}: {message[:60]}", done)


def variant(changes):
    """This build with a line more at the top of some functions, compiled from a changed copy of the sources."""
    tree, folder = TMP + "/tree", os.path.basename(B)
    os.makedirs(tree)
    for part in ("common", "profile", "shim", "store", "analyzer", "samples", "tests", "mk"):
        shutil.copytree(f"{SRC}/{part}", f"{tree}/{part}", symlinks=True)
    shutil.copy2(SRC + "/Makefile", tree)
    shutil.copytree(B, f"{tree}/{folder}", ignore=shutil.ignore_patterns("unit", "*.pshim", "samples", "victims"))
    for path, start, line in changes:
        with open(f"{tree}/{path}", encoding="utf-8") as f:
            source = f.read()
        changed = re.sub(rf"\n{start}[^;{{]*\n\{{", lambda found: f"{found[0]}\n    {line}", source)
        ok(changed != source, f"{path} has a line more in {start}")
        with open(f"{tree}/{path}", "w", encoding="utf-8") as f:
            f.write(changed)
    with open(B + "/flags", encoding="utf-8") as f:
        werror = ["WERROR=1"] if "-Werror" in f.read() else []
    mode = folder.partition("-")[2] or "release"
    made = run(["make", "-C", tree, f"MODE={mode}", *werror, f"{folder}/store_bench", f"{folder}/perfshim"], timeout=120)
    ok(made.status == 0, "a changed copy is built", made)
    return f"{tree}/{folder}"


def row(done, name):
    """(baseline, now, change in %, verdict) of a benchmark's line of counts."""
    found = re.search(rf"^{name} +(\d[\d ]*\d) {{2,}}(\d[\d ]*\d) {{2,}}([-+][\d.]+) %  (.+)$", done.out, re.M)
    if not ok(found, f"there is a row '{name}'", done):
        return 0, 0, 0, ""
    return (*(int(found[i].replace(" ", "")) for i in (1, 2)), float(found[3]), found[4])


refused(3, f"no baseline in {STORE}: first `make bench-baseline`", "compare", "--instructions")
refused(2, "save or compare?")
refused(2, "--pairs: 7 are too few", "compare", "--pairs=7")
refused(2, "--only: no benchmark's name holds 'no such'", "compare", "--only=no such")
refused(2, "only times have such a name", "compare", "--only=CPU time", "--instructions")
refused(3, "not a build folder", "save", build=TMP)

CHOSEN = "--only=store get,14 frames,report CPU"
done = regress("save", CHOSEN)
ok(done.status == 0 and re.search(r"^store get +\d[\d ]+ instructions$", done.out, re.M), "a baseline is saved", done)
kept = os.path.join(STORE, os.listdir(STORE)[0], "baseline.json")
with open(kept, encoding="utf-8") as f:
    base = json.load(f)

# No change.
done = regress("compare", CHOSEN, "--instructions")
ok(done.status == 0 and done.err == "", "no change: status 0 and nothing on stderr", done)
ok(max(map(len, done.out.splitlines())) <= 100, "at most 100 columns", done)
for name in ("store get", "store get without pool"):
    before, now, change, verdict = row(done, name)
    ok(before == now > 1000000 and (change, verdict) == (0, "same"), f"{name}: the count is the same, to the unit", done)

# The shim does some things by the clock: which calls are timed, and what the timeline asks of others.
SAME_BY_CLOCK = 1e-4
def same_by_clock(before, now, change, verdict):
    return before > 1000000 and abs(now - before) <= before * SAME_BY_CLOCK and verdict in ("same", "within the limit")
ok(same_by_clock(*row(done, "shim at 14 frames")), "shim at 14 frames: the count is the same, within 0.01 %", done)

# One per cent more, put into the code: as many empty instructions as make 1 % of a get. And a report that
# takes several times its CPU time, which is longer on any machine, however loaded.
count = base["benchmarks"]["store get"]["count"]
injected = round(count / GETS / 100)
slower = variant([("store/store.c", "int store_get\\(", f'__asm__ volatile(".rept {injected}; nop; .endr");'),
                  ("analyzer/main.c", "int main\\(",
                   'for (long i = 0; i < 250000000; i++)\n        __asm__ volatile("" ::"r"(i));')])
done = regress("compare", CHOSEN, "--instructions", build=slower)
equal(done.status, 1, "1 % more instructions: status 1")
before, now, change, verdict = row(done, "store get")
near(change, 1, f"the row says +1 % ({injected} instructions of {count // GETS})", abs=.35)
equal((now - before, verdict), (injected * GETS, "SLOWER"), "to the instruction, and that it is slower")
thousands = f"{count:,}".replace(",", " ")
ok(done.err.startswith(f"bench-regress: store get: {thousands} -> ") and "instructions, +" in done.err
   and "(limit 0.5 %)" in done.err, "stderr names the benchmark, both counts, change and limit", done)
match(done.err, rf"^  where: store_get \+{injected * GETS:,}$".replace(",", " "), "and the function")
ok(same_by_clock(*row(done, "shim at 14 frames")), "what was not changed is the same", done)

# Within the limit; faster; another benchmark under the old name.
def edited(change, path=kept):
    doc = json.loads(json.dumps(base))
    change(doc)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(doc, f)


def set_count(value):
    return lambda doc: doc["benchmarks"]["store get"].update(count=value)


ONE = ("compare", "--only=store get", "--instructions")
for old, verdict, status in ((count * 1000 // 1004, "within the limit", 0), (count * 1000 // 1006, "SLOWER", 1),
                             (count * 1000 // 994, "faster", 0)):
    edited(set_count(old))
    done = called(*ONE)
    equal((done.status, row(done, "store get")[3]), (status, verdict), f"{(count / old - 1):+.1%} is {verdict}")
match(done.out, r"^faster: store get; `make bench-baseline` makes it the new mark$", "what is faster is told")
edited(lambda doc: doc["benchmarks"]["store get"].update(command="./store_bench --threads=1"))
done = called(*ONE)
match(done.out, r"^store get  .* -  not in the baseline$", "another command is not compared")
equal(done.status, 0, "and is no failure while others are")

edited(lambda doc: None)
done = called("compare", "--only=report CPU", "--pairs=8", build=slower)
equal(done.status, 1, "a report that takes longer: status 1")
match(done.err, r"\Abench-regress: report CPU time: \S+ m?s -> \S+ m?s, \+\S+ % \(limit 1 % with p < 0\.01\)\n"
      r"  95 % interval: \+\S+ % to \+\S+ %, p 0\.0078$", "and the figures")
match(done.out, r"^report CPU time .* \+\d+\.\d\d %  SLOWER  \+.* to \+.* %, p 0\.008$", "and its row")
ok(max(map(len, done.out.splitlines())) <= 100, "at most 100 columns", done)

# What is no baseline of this build and machine.
for field, other in (("CPU", "Z80"), ("kernel", "2.4.0"), ("compiler", "GCC: 2.95"), ("flags", "gcc -O0"), ("CPUs", 9999)):
    edited(lambda doc: doc["key"].update({field: other}))
    done = called(*ONE)
    ok(done.status == 3 and "of another machine or build" in done.err and re.search(rf"^  {field} ", done.err, re.M)
       and f"here:  {base['key'][field]}"[:20] in done.err or field == "flags", f"another {field} is refused and named", done)
    ok(done.err.count("there:") == 1 and "store get" not in done.out, "it alone, and nothing is measured", done)
edited(lambda doc: doc["key"].update(kernel="2.4.0"))
os.rename(os.path.dirname(kept), STORE + "/elsewhere")
refused(3, "  kernel    there: 2.4.0\n            here:  " + os.uname().release, *ONE)
os.rename(STORE + "/elsewhere", os.path.dirname(kept))

for change, why in ((lambda doc: doc.update(schema="x"), "not a baseline (schema perfshim.regress/1)"),
                    (lambda doc: doc.pop("key"), "damaged: key is not an object"),
                    (set_count("x"), "damaged: benchmarks.store get.count is not a count"),
                    (set_count(0), "damaged: benchmarks.store get.count is not a count"),
                    (lambda doc: doc["benchmarks"].update({"store get": 1}), "damaged: benchmarks.store get is not an object")):
    edited(change)
    refused(3, f"{kept}: {why}", *ONE)
with open(kept, "w", encoding="utf-8") as f:
    f.write(json.dumps(base, indent=1)[:400])
refused(3, f"{kept}: damaged: line ", *ONE)
edited(lambda doc: doc.update(benchmarks={}))
refused(3, "none of these is in the baseline", *ONE)
edited(lambda doc: None)

# Programs that do not run, or have lost the function that is counted.
SHIM_ONE = ("compare", "--only=14 frames")
shutil.copy2("/bin/true", slower + "/helpers/pair_cost")
refused(3, "shim at 14 frames: no instruction counted: is there still a function 'pair'?", *SHIM_ONE, build=slower)
shutil.copy2("/bin/false", slower + "/helpers/pair_cost")
refused(3, "shim at 14 frames: exit status 1: ", *SHIM_ONE, build=slower)
os.remove(slower + "/helpers/pair_cost")
refused(3, "shim at 14 frames: exit status ", *SHIM_ONE, build=slower)
shutil.copy2(B + "/helpers/pair_cost", slower + "/helpers/pair_cost")
with open(slower + "/libperfshim.so", "w", encoding="utf-8") as f:
    f.write("no library")
refused(3, "shim at 14 frames: ", *SHIM_ONE, build=slower)  # a program without the shim is no faster shim
os.rename(os.path.dirname(kept) + "/bin/perfshim", STORE + "/perfshim")
refused(3, "bin/perfshim: gone", *ONE)
