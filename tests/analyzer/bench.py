#!/usr/bin/env python3
"""perfshim bench: two commands, one command, a baseline; what it prints, saves and refuses."""
import json
import os
import pty
import re
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *


def bench(*options, **more):
    return run([PERFSHIM, "bench", *options], **more)


def document(*options, status=0):
    done = bench("--json", *options)
    if not equal(done.status, status, f"exit status {status}: bench {' '.join(options)[:60]}"):
        note(done)
        return None
    return json.loads(done.out)


def refused(status, message, *options):
    done = bench(*options)
    claim = f"'{' '.join(options)[:70]}' is refused with status {status} and says why"
    ok((done.status, done.out) == (status, "") and done.err.startswith("perfshim bench: ")
       and message in done.err, claim, done)


PRINTS = "printf '{\"ops\": %s, \"latency_us\": {\"p99\": %s}}\\n'"

# Two commands.
doc = document("-r", "7", "--seed", "5", "sleep 0.1", "sleep 0.3")
wall = doc["metrics"]["wall_ns"]
ratios = sorted(b / a for a, b in zip(wall["a"], wall["b"]))
ok(min(wall["a"]) >= .1e9 and min(wall["b"]) >= .3e9, "sleep 0.1 and 0.3 take at least that", wall)
ok(ratios[1] <= wall["ratio"] <= ratios[-2], "their ratio is in the middle of the pairs'", wall)
ok(wall["ci_low"] <= wall["ratio"] <= wall["ci_high"] and wall["ci_low"] > 1.2,
   "its interval holds the ratio and not 1", wall)
near(wall["p"], 2 / 2 ** 7, "p of 7 pairs that all agree is exactly 2/2^7", abs=1e-12)
ok(doc["metrics"]["cpu_ns"]["median_a"] < .1e9, "sleeping is not CPU time")
equal(sorted(doc), sorted(["schema", "perfshim_version", "machine", "paired", "commands", "warmup", "seed",
                           "elapsed_ns", "confidence", "order", "metrics"]), "the document's keys")
equal((doc["schema"], doc["paired"], doc["seed"], doc["warmup"], doc["confidence"]),
      ("perfshim.bench/1", True, 5, 1, .95), "schema and plan")
equal(doc["commands"], [{"name": "A", "command": "sleep 0.1", "runs": 7, "failures": 0},
                        {"name": "B", "command": "sleep 0.3", "runs": 7, "failures": 0}], "commands")
equal(list(doc["metrics"]), ["wall_ns", "cpu_ns", "user_ns", "sys_ns", "max_rss_bytes"], "metrics")
for name, metric in doc["metrics"].items():
    equal(sorted(metric), sorted(["unit", "a", "b", "median_a", "median_b", "ratio", "ci_low",
                                  "ci_high", "p", "n"]), f"keys of {name}")
    ok(len(metric["a"]) == len(metric["b"]) == metric["n"] == 7
       and all(isinstance(v, int) for v in metric["a"] + metric["b"]),
       f"{name} has 7 whole numbers a side")
ok(len(doc["order"]) == 7 and set(doc["order"]) == {"AB", "BA"}, "both orders occur", doc["order"])

log = os.path.abspath("log")
again = document("-r", "7", "--seed", "5", "-w", "2", f"echo A >> {log}", f"echo B >> {log}")
equal(again["order"], doc["order"], "the seed decides the order")
equal(open(log).read().replace("\n", ""), "ABAB" + "".join(doc["order"]),
      "two warm-ups of each, then the runs in the order that is printed")
ok(document("-r", "40", "--seed", "6", "true", "true")["order"][:7] != doc["order"],
   "another seed gives another order")

# The command's own figures.
options = ["-r", "8", "--metric", "ops", "--metric=latency_us.p99"]
doc = document(*options, PRINTS % (1000, 50), PRINTS % (1500, 25.5))
ops, p99 = doc["metrics"]["ops"], doc["metrics"]["latency_us.p99"]
equal((ops["a"], ops["b"], ops["unit"]), ([1000] * 8, [1500] * 8, ""), "a number of the command's JSON")
near(ops["ratio"], 1.5, "its ratio", rel=1e-12)
near(p99["ci_high"], .51, "a constant ratio has an interval of no width", rel=1e-12)
near(p99["p"], 2 / 2 ** 8, "and its p", abs=1e-12)
done = bench("-r", "2", "--metric=ops", "--metric-file=m.json", "echo '{\"ops\": 3}' > m.json; echo noise")
match(done.out, r"^ ops +3 ", "the JSON may be in a file")
refused(3, "A, run 1: m.json: the run did not write it", "-r2", "--metric=ops", "--metric-file=m.json", "true")
equal(json.load(open("m.json")), {"ops": 3}, "an old file is left alone")
refused(3, "none.json: No such file", "--metric=ops", "--metric-file=none.json", "true")
refused(3, "A, run 1: stdout: not JSON: line 1", "--metric=ops", "echo hello")
refused(3, "there is no 'op' in the JSON", "--metric=op", PRINTS % (1, 1))
refused(3, "'latency_us' is an object, not a number", "--metric=latency_us", PRINTS % (1, 1))

# The screen.
done = bench("-r", "6", "--names=off,on", "sleep 0.1", "sleep 0.3")
ok(done.status == 0 and done.err == "", "two commands: status 0 and nothing on stderr", done)
match(done.out, r"\Aoff  sleep 0.1\non   sleep 0.3\n6 pairs, each in random order \(seed 1\), 1 warm-up, ",
      "the head names both commands")
match(done.out, r"^ wall +\d+\.\d+ ms +[\d.]+% +\d+\.\d+ ms +[\d.]+% +[12]\.\d+ +[12]\.\d+ \.\. [123]\.\d+ +0\.0312$",
      "the row of wall time")
match(done.out, r"^on takes [12]\.\d+ times as long as off \(95%: [12]\.\d+ to [123]\.\d+\)$", "the verdict")
ok(done.out.isascii() and max(map(len, done.out.splitlines())) <= 100, "ASCII, at most 100 columns")
done = bench("-r", "6", "sleep 0.3", "sleep 0.1")
match(done.out, r"^B is [12]\.\d+ times as fast as A ", "a faster B is told as faster")
done = bench("-r", "5", "true", "true")
match(done.out, r"^no interval for B/A: it takes 6 pairs$", "5 pairs give no verdict")
done = bench("-r", "6", "--metric=ops", PRINTS % (5, 1), PRINTS % (5, 1))
match(done.out, r"^ops: no difference shown: B is 1\.000 to 1\.000 times A$",
      "equal figures show no difference")
long = "true " + "x" * 300 + " '\033[31m'"
done = bench("-r", "6", "--names", "a" * 60 + "," + "b" * 60, "--metric=" + "latency_us." * 4 + "p",
             "printf '{\"" + "latency_us." * 4 + "p\": 123456789}'; " + long, "printf '{\"" + "latency_us." * 4 + "p\": 1}'; " + long)
ok(done.status == 0 and done.out.isascii() and max(map(len, done.out.splitlines())) <= 100
   and "\033" not in done.out, "long names, labels and commands are cut, control characters hidden", done)

# One command, a baseline.
done = bench("-r", "4", "--save=base.json", "--json=copy.json", "sleep 0.1")
match(done.out, r"\AA  sleep 0.1\n4 runs, 1 warm-up, ", "one command: its head")
match(done.out, r"^ +median +\+- +25% \.\. 75% +min \.\. max$", "one command: its columns")
match(done.out, r"^ wall +\d+\.\d+ ms +[\d.]+% +\d+\.\d+ \.\. \d+\.\d+ ms +\d+\.\d+ \.\. \d+\.\d+ ms$", "one command: its row")
base = json.load(open("base.json"))
equal(json.load(open("copy.json")), base, "--json=F and --save write the same document")
wall = base["metrics"]["wall_ns"]
ok(base["paired"] is False and len(wall["a"]) == 4 and wall["b"] == [] and base["order"] == []
   and all(wall[k] is None for k in ("median_b", "ratio", "ci_low", "ci_high", "p")),
   "what one command does not have is null", wall)
done = bench("-r", "5", "--baseline=base.json", "--save=base.json", "--json=both.json", "sleep 0.3")
match(done.out, r"\AA  sleep 0.1  \(baseline\)\nB  sleep 0.3\n5 runs against 4, ", "against a baseline: its head")
match(done.out, r"^B takes [12]\.\d+ times as long as A ", "against a baseline: the verdict")
match(done.out, r"^The runs lie apart in time", "and what such a comparison is worth")
both = json.load(open("both.json"))["metrics"]["wall_ns"]
ok(both["a"] == wall["a"] and len(both["b"]) == 5 and both["n"] == 5 and both["ratio"] > 1.3,
   "the baseline's runs are a, the new ones b", both)
near(both["p"], 2 / 126, "Mann-Whitney's p of 4 and 5 runs that are apart is 2/C(9,4)", rel=1e-12)
new = json.load(open("base.json"))
equal((len(new["commands"]), new["commands"][0]["command"], new["metrics"]["wall_ns"]["a"]),
      (1, "sleep 0.3", both["b"]), "--save beside --baseline keeps the new runs alone")
done = bench("-r2", "--json", "--metric=x", "echo '{\"x\": 0.1}'", b"true \xff; echo '{\"x\": 0.3333333333333333}'".decode("utf-8", "surrogateescape"))
ok('"a": [0.1, 0.1]' in done.out and '"b": [0.3333333333333333, 0.3333333333333333]' in done.out
   and "\\ufffd" in done.out.replace("\ufffd", "\\ufffd"),
   "numbers keep all their digits; a command that is not UTF-8 is no obstacle", done)
done = bench("--json", "-r1", "--baseline=/dev/stdin", "true", input=json.dumps(base))
equal(done.status, 0, "one run against a baseline works")
open("foreign.json", "w").write('{"schema": "perfshim.report/1"}')
open("broken.json", "w").write(json.dumps(base)[:500])
short = json.loads(json.dumps(base))
short["metrics"]["max_rss_bytes"]["a"].pop()
json.dump(short, open("short.json", "w"))
short["metrics"]["max_rss_bytes"]["a"] = ["x"]
json.dump(short, open("text.json", "w"))
bench("-r1", "--save=two.json", "true", "true")
for name, why in (("none.json", "No such file"), ("foreign.json", "not a file of perfshim bench"),
                  ("broken.json", "not JSON: line 1, column"), (".", "directory"),
                  ("short.json", "'metrics.max_rss_bytes.a' has 3 values, the first metric has 4"),
                  ("text.json", "is a string, not a number"),
                  ("two.json", "it holds a comparison")):
    refused(3, f"{name}: ", "--baseline", name, "true")
    refused(3, why, "--baseline", name, "true")

# A baseline belongs to its machine.
here = base["machine"]
equal((here["kernel"], here["cpus"], sorted(here)),
      (os.uname().release, len(os.sched_getaffinity(0)), ["cpu", "cpus", "kernel"]), "the machine")
for key, value, why in (("cpu", "Z80", f"its CPU is 'Z80', here '{here['cpu']}'"),
                        ("cpus", 9999, f"9999 CPUs, here {here['cpus']}"),
                        ("kernel", "2.4.0", f"its kernel is '2.4.0', here '{here['kernel']}'")):
    json.dump({**base, "machine": {**here, key: value}}, open("other.json", "w"))
    refused(3, f"other.json: measured on another machine: {why}", "--baseline=other.json", "true")
    equal(bench("-r1", "--baseline=other.json", "--any-machine", "true").status, 0,
          "--any-machine takes it all the same")
json.dump({k: v for k, v in base.items() if k != "machine"}, open("other.json", "w"))
refused(3, "it does not say on which machine it was measured", "--baseline=other.json", "true")
refused(2, "--any-machine needs --baseline", "--any-machine", "true")
refused(3, "base.json: there is no array 'metrics.ops.a'", "--baseline=base.json", "--metric=ops", PRINTS % (1, 1))

# Gates.
gate = [*options, PRINTS % (1000, 50), PRINTS % (900, 55)]
done = bench(*gate, "--fail-if=ops<0.95,latency_us.p99>1.2")
equal((done.status, done.err), (1, "perfshim bench: --fail-if ops<0.95: B/A is 0.9 (p = 0.0078)\n"),
      "a gate that says no: status 1, and which")
match(done.out, r"^ ops +1000", "the table is printed all the same")
equal(bench(*gate, "--fail-if=ops<0.9,wall>100,max_rss>2").status, 0, "gates that are kept: status 0")
refused(2, "can never say no: p < 0.01 takes more than 7 runs", "-r7", "--fail-if=wall>1.03", "true", "true")
refused(2, "--fail-if: 'speed' is not measured", "--fail-if=speed<1", "true", "true")
refused(2, "--fail-if: a number is missing at character 6", "--fail-if=wall>", "true", "true")
refused(2, "--fail-if needs two commands", "--fail-if=wall>1", "true")

# Commands that fail.
refused(3, "B, warm-up 1: exit status 3: echo oops >&2; exit 3 (--ignore-failure goes on)\n  | oops\n",
        "true", "echo oops >&2; exit 3")
refused(3, "A, run 1: signal 9 (Killed)", "-w0", "kill -9 $$")
refused(3, "not found", "no-such-program-here")
done = bench("exit 1 " + long, "true")
ok(done.status == 3 and "\033" not in done.err and max(map(len, done.err.splitlines())) < 140,
   "a long command that failed is cut, its control characters hidden", done)
refused(3, "still running after 0.20s, killed: sleep 9", "--timeout=200ms", "sleep 9")
refused(3, "--prepare, before warm-up 1: exit status 4: exit 4", "--prepare=exit 4", "true")
done = bench("-r2", "printf '\\033[31mred' >&2; exit 1")
ok(done.status == 3 and "  | \\x1b[31mred" in done.err and "\033" not in done.err,
   "what a failed command said cannot steer the terminal", done)
done = bench("-r3", "-i", "exit 3", "true")
ok(done.status == 0 and re.search(r"^A failed in 3 of 3 runs \(last: exit status 3\)$", done.out, re.M),
   "--ignore-failure goes on and tells", done)
equal([c["failures"] for c in document("-r3", "-i", "true", "exit 3")["commands"]], [0, 3],
      "failures are counted in JSON")
document("-r2", "-w1", "-p", f"echo p >> {log}.p", "true", "true")
equal(open(log + ".p").read().count("p"), 6, "--prepare runs before every run and warm-up")

# Wrong use and files that cannot be written.
refused(2, "no command given")
refused(2, "3 commands: at most two; quote each", "a", "b", "c")
refused(2, "--rusn: unknown option; did you mean --runs?", "--rusn=3", "true")
refused(2, "--runs: '0' is out of range: 1 to 1000", "--runs=0", "true")
refused(2, "--baseline is for one command", "--baseline=base.json", "true", "true")
refused(2, "--metric-file needs a --metric", "--metric-file=x", "true")
refused(2, "--metric: 'wall_ns' is measured already", "--metric=wall_ns", "true")
refused(2, "--metric: '' is empty or too long", "--metric=", "true")
refused(2, "is one too many", *[f"--metric=m{i}" for i in range(40)], "true")
for bad in ("x", ",y", "x,", "x,y,z", ""):
    refused(2, f"--names: '{bad}' is not two names A,B", f"--names={bad}", "true", "true")
refused(2, "--names: 'x,y' is not one name", "--names=x,y", "true")
refused(3, "nowhere/x: No such file", "--save=nowhere/x", "true")
refused(3, "nowhere/x: No such file", "--json=nowhere/x", "true")
done = bench("-r1", "--save=/dev/full", "true")
ok(done.status == 3 and "/dev/full: No space left" in done.err, "a full disk is told", done)
done = run(["sh", "-c", f"'{PERFSHIM}' bench -r1 --json true >/dev/full"])
ok(done.status == 3 and "stdout: No space left" in done.err, "a full disk on stdout too", done)
kept = open("base.json").read()
bench("--save=base.json", "exit 1")
equal(open("base.json").read(), kept, "a failed run leaves the saved file as it was")

# Without --runs.
doc = document("--warmup=0", "true")
ok(10 <= doc["commands"][0]["runs"] <= 50, "without --runs there are 10 to 50", doc["commands"])
equal(document("--warmup=0", "sleep 0.35")["commands"][0]["runs"], 10, "10 when they are slow")

# Colour is only where it was asked for.
done = bench("-r1", "--color=always", "true")
ok("\033[1m" in done.out, "--color=always", done)
ok("\033" not in bench("-r1", "--color=never", "true").out, "--color=never")
refused(2, "--color: 'red' is not one of auto|always|never", "--color=red", "true")

# Progress is for a person who waits: only when stderr is a terminal.
terminal, stderr = pty.openpty()
done = subprocess.run([PERFSHIM, "bench", "-r2", "--names=x,y", "true", "true"], stdin=subprocess.DEVNULL,
                      stdout=subprocess.PIPE, stderr=stderr, timeout=60)
os.close(stderr)
shown = b""
try:
    while more := os.read(terminal, 10000):  # a read gives what is there, which may be a part
        shown += more
except OSError:
    pass  # how a terminal ends whose other side has been closed
shown = shown.decode()
ok(done.returncode == 0 and re.search(r"pair 1 of 2   x [\d.]+ ?ms   y [\d.]+ ?ms   .* left", shown)
   and shown.endswith("\r\033[K"), "progress is shown on a terminal and wiped off at the end", repr(shown))

done = bench("--help")
ok(done.status == 0 and done.err == "" and max(map(len, done.out.splitlines())) <= 100,
   "--help: status 0, at most 100 columns", done)
