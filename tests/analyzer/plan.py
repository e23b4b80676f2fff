#!/usr/bin/env python3
# test: timeout=120
"""perfshim plan: the goldens, screens, exit codes, and a real sweep of store_bench."""
import json
import math
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

RAYTRACER = [(1, 64.9, 1000), (18, 995.9, 2000), (36, 1652.4, 8000), (72, 1853.2, 14000), (108, 1828.9, 20000),
             (144, 1775.0, 30000), (216, 1702.2, 44000)]


def plan(*options, **more):
    return run([PERFSHIM, "plan", *options], env=clean_env(), **more)


def document(*options, status=0):
    done = plan("--json", *options)
    if not ok(done.status == status, f"plan {' '.join(options)}: exit code {status}", done):
        return {}
    return json.loads(done.out)


def csv(name, rows):
    with open(name, "w") as f:
        f.write("level,throughput,p99_us\n" + "".join(f"{n},{x},{p}\n" for n, x, p in rows))
    return name


def plain(label, text):
    lines = text.splitlines()
    ok(lines and all(len(line) <= 100 and line.isascii() and line == line.rstrip() for line in lines)
       and lines[-1].endswith("."), f"{label}: 100 columns of ASCII, a plain last line", text)


# Without a sweep.
done = plan("--target", "10000", "--util", "0.70")
equal((done.status, done.err), (0, ""), "a target alone is fine")
equal(done.out, "TARGET  10000 ops/s at 70% utilisation: provision 14286 ops/s\n\n"
      "Provision 14286 ops/s. --from SWEEP tells whether it is there.\n", "10000 at 70 % are 14286")
doc = document("--target=10000", "--util=70%")
equal((doc["schema"], doc["target"], doc["util"], doc["provisioned"], doc["from"]),
      ("perfshim.plan/1", 10000, 0.7, 14286, None), "the same as JSON")
equal(document("--target=7000")["provisioned"], 10000, "70 % is the default, and binary fractions add nothing")

# With one: R's, in any order.
csv("r.csv", RAYTRACER)
csv("shuffled.csv", RAYTRACER[::-1][2:] + RAYTRACER[::-1][:2])
doc = document("--target=10000", "--from=r.csv")
usl = doc["usl"]
near(usl["alpha"], 0.0277285, "alpha as R's usl has it", abs=5e-8)
near(usl["beta"], 0.000104365, "beta", abs=5e-10)
near(usl["gamma"], 89.99523, "gamma", abs=5e-6)
near(usl["peak"]["level"], 96.5196, "the peak", abs=5e-5)
near(usl["predicted_max"], 1883.899, "the predicted maximum", abs=1e-3)
equal(doc["measured_max"], {"level": 72, "throughput": 1853.2}, "the measured maximum")
equal((doc["answer"], doc["instances"], doc["binds"]["what"]), ("short", 8, "contention"),
      "it is short; contention binds")
near(doc["headroom"]["throughput"], 1853.2 - 14286, "headroom is negative then", abs=1e-6)
shuffled = document("--target=10000", "--from=shuffled.csv")
equal([level["level"] for level in shuffled["levels"]], [row[0] for row in RAYTRACER], "unsorted input is sorted")
near(shuffled["usl"]["alpha"], usl["alpha"], "and gives the same fit", rel=1e-6)
done = plan("--target=10000", "--from=-", input=open("shuffled.csv").read())
ok(done.status == 0 and "Short: 1853 of 14286 ops/s, 87.0% less; 8 such instances would do." in done.out,
   "from stdin too", done)

# Repeats are combined by medians: one wild run of three changes nothing.
wild = [(n, x * k, p) for n, x, p in RAYTRACER for k in (1, 0.2, 1.001)]
doc = document("--from", csv("wild.csv", wild))
equal([(level["throughput"], level["repeats"]) for level in doc["levels"]], [(row[1], 3) for row in RAYTRACER],
      "repeats of a level are its median")
equal((doc["target"], doc.get("answer")), (None, None), "without a target no answer")

# The SLO.
doc = document("--from=r.csv", "--target=1100", "--slo=p99=10ms")
equal((doc["slo_last_met"]["level"], doc["slo_first_broken"]["level"], doc["capacity"]["level"],
       doc["binds"]["what"], doc["answer"], doc["slo_met"]), (36, 72, 36, "slo", "enough", True),
      "the SLO is last met at 36, and binds")
doc = document("--from=r.csv", "--target=1200", "--slo=p99=10ms", status=1)
equal((doc["answer"], doc["slo_met"]), ("short", False), "where the target needs 72 threads it says no")
done = plan("--from=r.csv", "--target=1200", "--slo=p99=10ms")
equal(done.err, "perfshim plan: --slo: met up to N=36, too few for 1715 ops/s\n", "and why")
done = plan("--from=r.csv", "--slo=p99<1ms")
ok(done.status == 1 and done.err == "perfshim plan: --slo: met at no measured level\n"
   and done.out.endswith("\nThe SLO is met at no measured level.\n"), "an SLO that is met nowhere", done)

# The screen, whole.
done = plan("--from=r.csv", "--target=1100", "--slo=p99=10ms", "--servers=4", "--service=1ms")
equal(done.out, """\
TARGET  1100 ops/s at 70% utilisation: provision 1572 ops/s
SWEEP   r.csv: 7 levels, N=1 to 216, measured once each
 level  ops/s   fit     off      p99  slo
     1   64.9  90.0  +38.7%  1.00 ms  met
    18  995.9  1078   +8.2%  2.00 ms  met
    36   1652  1541   -6.7%  8.00 ms  met
    72   1853  1850   -0.2%  14.0 ms  broken  measured maximum
   108   1829  1879   +2.7%  20.0 ms  broken
   144   1775  1822   +2.6%  30.0 ms  broken
   216   1702  1646   -3.3%  44.0 ms  broken
FIT     X(N) = gamma N / (1 + alpha (N-1) + beta N (N-1))  R2 0.9896
        gamma 90.0 ops/s  alpha 0.02773 (contention)  beta 0.0001044 (coherency)
        knee N=27.0, 1353 ops/s   predicted maximum 1884 ops/s at N=96.5
BINDS   the SLO: more throughput was measured where it is broken
        at N=96.5 contention adds 2.65 and coherency 0.962 to the 1 of an op alone
SLO     p99=10ms: last met at N=36, 1652 ops/s, first broken at N=72
QUEUE   M/M/4: 1.00 ms mean service at 70%: 2800 ops/s, p99 5.49 services
        response avg 1.36 ms, p50 1.03 ms, p90 2.98 ms, p95 3.75 ms, p99 5.49 ms, p999 7.90 ms
        p99=10ms is met: 5.49 ms expected

Enough: 1652 ops/s measured within the SLO, 1.05x what to provision; N=36 is enough.
""", "the whole screen")
equal((done.status, done.err), (0, ""), "and it is fine")
for label, options in [
        ("a target", ["--target=1e15", "--util=0.1234567"]),
        ("wide figures", ["--target=1e14", "--from", csv("an absurdly long name, longer than the room " + "x" * 150,
                                                        [(n * 1e8, 1e15, 1e15) for n in range(1, 9)])]),
        ("a queue", ["--servers=1000000", "--service=100h", "--target=1e-9"]),
        ("a short queue", ["--servers=1", "--service=100h", "--target=1000"]),
        ("queue and target", ["--service=2ms", "--target=10000"]),
        ("a prediction", ["--from=r.csv", "--at=300"]),
        ("an SLO", ["--from=r.csv", "--slo=" + "p99<1.0000000000000000000000000000s," * 7 + "p99<1s"])]:
    done = plan(*options)
    equal((done.status, done.err), (0, ""), f"{label}: exit code 0")
    plain(label, done.out)

# Past one and a half times what was measured.
csv("linear.csv", [(n, 100 * n, n) for n in range(1, 9)])
near(document("--from=linear.csv", "--at=12")["at"]["throughput"], 1200, "1.5 times the range is predicted", rel=1e-6)
done = plan("--from=linear.csv", "--at=13")
ok(done.status == 3 and done.err == "perfshim plan: linear.csv: measured up to N=8; N=13 lies past 1.5 times what "
   "was measured: measure there, or --extrapolate\n" and "at N=13" not in done.out, "and no more", done)
near(document("--from=linear.csv", "--at=13", "--extrapolate")["at"]["throughput"], 1300, "unless told", rel=1e-6)
equal(document("--from=linear.csv", "--target=840")["needed_level"], 12, "1200 ops/s take 12 threads")
done = plan("--from=linear.csv", "--target=1000", "--slo=p99<1ms")
ok(done.status == 3 and "the answer lies past 1.5 times" in done.err, "an answer past it is refused", done)
plain("a refused answer", done.out)
equal(document("--from=linear.csv", "--target=1000", "--extrapolate")["needed_level"], 15, "and given when told")

# The queue.
for servers, util, p99 in ((1, .7, 15.35), (1, .8, 23.03), (1, .9, 46.05), (2, .7, 8.27), (2, .8, 11.94),
                           (2, .9, 23.34), (4, .7, 5.49), (4, .8, 6.89), (4, .9, 12.19)):
    doc = document(f"--servers={servers}", "--service=1ms", f"--util={util}")
    near(doc["queue"]["latency_us"]["p99"] / 1000, p99, f"P99 of {servers} servers at {util}", abs=.005)
doc = document("--target=10000", "--service=2ms")
equal((doc["queue"]["servers"], doc["queue"]["servers_needed"]), (29, 29), "the target takes 29 servers of 2 ms")
done = plan("--target=10000", "--service=2ms", "--servers=4", "--slo=p99=3ms")
ok(done.status == 1 and done.err == "perfshim plan: --slo p99=3ms: a queue of 4 has 11.0 ms\n"
   and done.out.endswith("\nShort: 4 servers, and the target takes 29.\n"), "too few, and too slow", done)

# Wrong use: exit code 2; bad input: 3. What and where, nothing on stdout.
for options, why in [
        ([], "nothing asked: --target, --from or --service"),
        (["--target=nan"], "--target: 'nan' is not a number"),
        (["--target=0"], "--target: '0' is out of range"),
        (["--target=-1"], "--target: '-1' is out of range"),
        (["--target=10k"], "--target: '10k' is not a number"),
        (["--target=1", "--util=0"], "--util: '0' is out of range: above 0, up to 1"),
        (["--target=1", "--util=1.01"], "--util: '1.01' is out of range"),
        (["--target=1", "--util=70"], "--util: '70' is out of range"),
        (["--target=1", "--util=x"], "--util: 'x' is not a share"),
        (["--target=1", "r.csv"], "'r.csv': unexpected argument; a sweep is given with --from"),
        (["--target=1", "--slo=p99=1ms"], "--slo needs --from or --service"),
        (["--from=r.csv", "--slo=p99>1ms"], "--slo: p99>1ms: a latency must stay below something"),
        (["--from=r.csv", "--slo=ops=1"], "--slo: unknown name 'ops'"),
        (["--from=r.csv"] + ["--slo=p99=1s"] * 9, "--slo: more than 8"),
        (["--from=r.csv", "--at=0"], "--at: '0' is out of range"),
        (["--target=1", "--at=4"], "--at needs --from"),
        (["--target=1", "--extrapolate"], "--extrapolate needs --from"),
        (["--target=1", "--servers=4"], "--servers needs --service"),
        (["--service=1ms"], "--service needs --servers or --target"),
        (["--service=1ms", "--servers=0"], "--servers: '0' is out of range"),
        (["--service=1ms", "--servers=1", "--util=1"], "--util: servers that are always busy"),
        (["--service=1h", "--target=1e12"], "--target and --service: 5.14e+15 servers"),
        (["--from=r.csv", "--json=/no/x"], None)]:
    done = plan(*options)
    want = 3 if why is None else 2
    why = why or "/no/x: No such file or directory"
    ok(done.status == want and not done.out and done.err.startswith(f"perfshim plan: {why}")
       and done.err.count("\n") == 1, f"plan {' '.join(options[:2])}: {why}", done)

HEAD = "level,throughput,p99_us\n"
LEVEL = '{"threads": %s, "throughput": %s}'
for label, text, why in [
        ("nothing", "", "is empty"),
        ("words", "once upon a time\n", "line 1: the heading has no column 'level'"),
        ("binary", "\x7fELF\0\1", "is neither JSON nor CSV: a zero byte at 4"),
        ("NaN", HEAD + "1,2,3\n2,NaN,3\n", "line 3: throughput 'NaN' is not a number"),
        ("a negative", HEAD + "1,-2,3\n", "line 2: throughput -2 is negative"),
        ("a hole", HEAD + "1,,3\n", "line 2: throughput is missing"),
        ("a short row", HEAD + "1,2\n", "line 2: 2 values, the heading has 3 columns"),
        ("an escape", HEAD + "1,\x1b[31m2,3\n", r"line 2: throughput '\x1b[31m2' is not a number"),
        ("five levels", HEAD + "".join(f"{n},{n},1\n" for n in (1, 2, 3, 4, 5, 5)),
         "5 levels, too few: a fit needs 6 different ones"),
        ("cut JSON", '{"levels": [', "not JSON: line 1, column 12: "),
        ("NaN in JSON", '{"levels": [\n' + LEVEL % (1, "NaN") + "]}", "not JSON: line 2, column 32"),
        ("null", '{"levels": [' + LEVEL % (1, "null") + "]}", "levels[0]: 'levels.0.throughput' is null"),
        ("another document", '{"schema": "perfshim.bench/1"}', "is a perfshim.bench/1, not a perfshim.sweep"),
        ("deep JSON", "[" * 100000, "not JSON: line 1, column 2049: maximum parsing depth"),
        ("no p99", "level,throughput\n" + "".join(f"{n},{n}\n" for n in range(1, 9)),
         "--slo p99=1ms: p99 was not measured at level 1")]:
    with open("bad", "w") as f:
        f.write(text)
    done = plan("--from=bad", "--target=10", "--slo=p99=1ms")
    ok(done.status == 3 and not done.out and done.err.startswith(f"perfshim plan: bad: {why}")
       and done.err.count("\n") == 1, f"{label}: exit code 3, {why}", done)
done = plan("--from=missing")
equal((done.status, done.err), (3, "perfshim plan: missing: cannot open: No such file or directory\n"), "no such file")
done = plan("--from=.")
equal((done.status, done.err), (3, "perfshim plan: .: cannot read: Is a directory\n"), "a folder")

# A real sweep: the machine decides what it shows, but it must hang together.
done = run([STORE_BENCH, "sweep", "--levels=1,2,3,4,6,8", "--duration=100ms", "--keys=10000", "--repeats=2",
            "--json=real.json"], env=clean_env())
equal(done.status, 0, "store_bench sweep runs")
done = plan("--from=real.json", "--target=1000", "--slo=p99=10s", "--json=plan.json")
ok(done.status == 0 and done.out.splitlines()[-1].startswith("Enough: "), "and its sweep has 1000 ops/s", done)
plain("a real sweep", done.out)
doc = json.load(open("plan.json"))
raw = json.load(open("real.json"))["levels"]
best = 0
for level in doc["levels"]:
    same = sorted(one["throughput"] for one in raw if one["threads"] == level["level"])
    near(level["throughput"], sum(same) / 2, f"N={level['level']}: the median of its repeats", rel=1e-6)
    best = max(best, level["throughput"])
    law = doc["usl"]
    n = level["level"]
    near(level["fitted"], law["gamma"] * n / (1 + law["alpha"] * (n - 1) + law["beta"] * n * (n - 1)),
         f"N={n}: the law is that of its coefficients", rel=1e-9)
equal([level["level"] for level in doc["levels"]], [1, 2, 3, 4, 6, 8], "all levels are there")
equal((doc["measured_max"]["throughput"], doc["provisioned"], doc["slo_last_met"]["level"]), (best, 1429, 8),
      "its maximum is the highest median; the SLO holds everywhere")
ok(law["alpha"] >= 0 and law["beta"] >= 0 and law["gamma"] > 0 and math.isfinite(law["r_squared"]),
   "coefficients are in range", law)
