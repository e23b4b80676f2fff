#!/usr/bin/env python3
"""Has this build become slower than the one that was kept? (make bench-baseline, make bench-regress)

usage: tests/regress.py save|compare [options]
  -b, --build DIR     the build to keep or to judge (default: build)
      --store DIR     where baselines are kept, one a machine and set of flags (default: .bench)
      --only WORDS    only benchmarks whose name holds one of these, comma-separated
      --instructions  no times: counts alone, which no load on the machine disturbs
      --pairs N       pairs of runs of each time, at least 8 (default: 20)
      --list          print the benchmarks and end

Two kinds of benchmarks, one table (BENCHMARKS):

instructions  counted by callgrind, in one function of one thread and whatever it calls, or in a
              whole program. The same build, input and environment give the same count, to the
              unit; so a count that moved by more than 0.5 % has a cause in the code. The functions
              that it comes from are named. What goes by the clock, the shim's timeline, is left out.
time          the baseline's programs were kept, not their times: `perfshim bench` runs old and new
              in turn. Slower is what takes over 1 % longer with p < 0.01 (signed-rank).

A baseline belongs to a machine (CPU, kernel, compiler, flags that make code, libc, valgrind).
Exit status: 0 nothing is slower, 1 something is, 2 wrong use, 3 no baseline, another machine's or a
damaged one, or a benchmark that does not run.
"""

import argparse
import collections
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

SRC = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCHEMA = "perfshim.regress/1"
INSTRUCTIONS_LIMIT = 0.005
TIME_LIMIT = 0.01
TIME_P = 0.01
LEAST_PAIRS = 8  # fewer can never reach p < 0.01
TIMEOUT_S = 300
PROGRAMS = ("store_bench", "perfshim", "libperfshim.so", "helpers/pair_cost")
BLAMED = 3  # functions named under a count that grew
# It tells at each 10 ms: the slower the machine just now, the more often in the same run.
BY_CLOCK = "/shim/timeline.c"

STORE = "./store_bench --threads=1 --keys=2000 --ops=20000 --seed=1"
LOAD = "./store_bench --threads=2 --keys=100000 --ops=500000 --seed=1 --json"
# Ticks come when they come; without them the shim's work is the same every time.
SHIM = ("LD_PRELOAD=./libperfshim.so", "PERFSHIM_OUT={scratch}/p.pshim", "PERFSHIM_CPU_HZ=0")

# what: the function that is counted with all it calls ("" = the whole program), or the metric that
# is compared, in units of `scale` ns. Commands run in the folder of the build, {base} is the
# baseline's folder: its profile is the same input for the old and the new report.
Benchmark = collections.namedtuple("Benchmark", "name kind what command env scale", defaults=((), 1))
BENCHMARKS = (
    Benchmark("store get", "instructions", "store_get", f"{STORE} --workload=get"),
    Benchmark("store get without pool", "instructions", "store_get", f"{STORE} --workload=get --pool=off"),
    Benchmark("store put", "instructions", "store_put", f"{STORE} --workload=put"),
    Benchmark("store put without pool", "instructions", "store_put", f"{STORE} --workload=put --pool=off"),
    Benchmark("store put with log", "instructions", "store_put",
              f"{STORE} --workload=put --wal-sync-every=0"),
    Benchmark("shim at 14 frames", "instructions", "pair", "./helpers/pair_cost 20000 10", SHIM),
    Benchmark("shim at 5 fresh frames", "instructions", "pair",
              "./helpers/pair_cost 20000 10 4096 5", SHIM),
    Benchmark("shim passing through", "instructions", "pair",
              "./helpers/pair_cost 20000 10", (*SHIM, "PERFSHIM_ALLOC=off")),
    Benchmark("report of a profile", "instructions", "", "./perfshim report {base}/input/report.pshim"),
    Benchmark("2 threads get", "time", "duration_s", f"{LOAD} --workload=get", scale=1e9),
    Benchmark("2 threads mixed without pool", "time", "duration_s", f"{LOAD} --pool=off", scale=1e9),
    Benchmark("shim in default mode", "time", "ns_per_pair", "./helpers/pair_cost 500000 10", SHIM[:2]),
    Benchmark("report CPU time", "time", "cpu_ns", "./perfshim report {base}/input/report.pshim"),
)
REPORT_INPUT = "./store_bench --threads=1 --keys=2000 --ops=20000 --seed=1 --pool=off"


class Trouble(Exception):
    """What ends everything with status 3."""


# --- running ---


def environment(extra, places):
    """The same for every run, whoever runs it: a longer variable moves the stack, and counts."""
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    env.update(variable.format(**places).split("=", 1) for variable in extra)
    return env


def run(argv, cwd, env, what):
    try:
        done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Trouble(f"{what}: still running after {TIMEOUT_S} s, killed: {' '.join(argv)}")
    except OSError as e:
        raise Trouble(f"{what}: {argv[0]}: {e.strerror}")
    if done.returncode != 0:
        tail = "".join(f"\n  | {line}" for line in done.stderr.splitlines()[-4:])
        raise Trouble(f"{what}: exit status {done.returncode}: {' '.join(argv)}{tail}")
    return done.stdout


def valgrind():
    path = shutil.which("valgrind")
    if not path:
        raise Trouble("counting instructions takes valgrind: ./setup installs it")
    return path


def read_callgrind(path):
    """The whole count without what goes by the clock, and each function's own, from callgrind's file
    (its format is documented in valgrind's manual): a file and its functions, lines of a function,
    and after `calls=` one line that is the callee's."""
    total, by_clock, functions, names, files = 0, 0, collections.Counter(), {}, {}
    function, file, of_callee = None, None, False
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith(("fn=", "cfn=")):
                number, _, name = line.split("=", 1)[1].strip().partition(" ")
                if name:
                    names[number] = name
                if line[0] == "f":
                    function = names.get(number, number)
            elif line.startswith(("fl=", "fi=", "fe=", "cfi=", "cfl=")):
                number, _, name = line.split("=", 1)[1].strip().partition(" ")
                if name:
                    files[number] = name
                if line.startswith("fl="):
                    file = files.get(number, number)
            elif line.startswith("calls="):
                of_callee = True
            elif line[:1] in "0123456789+-*":
                if not of_callee:
                    functions[function] += int(line.split()[1])
                    if file and ("/" + file).endswith(BY_CLOCK):
                        by_clock += int(line.split()[1])
                of_callee = False
            elif line.startswith("summary:"):
                total = int(line.split()[1])
    return total - by_clock, {name: count for name, count in functions.items() if count}


def count(bench, build, places):
    out = os.path.join(places["scratch"], "callgrind.out")
    argv = [valgrind(), "--tool=callgrind", f"--callgrind-out-file={out}", "-q"]
    if bench.what:
        argv.append(f"--toggle-collect={bench.what}")
    argv += bench.command.format(**places).split()
    for name in os.listdir(places["scratch"]):
        os.remove(os.path.join(places["scratch"], name))
    run(argv, build, environment(bench.env, places), bench.name)
    total, functions = read_callgrind(out)
    if total == 0:
        raise Trouble(f"{bench.name}: no instruction counted: is there still a function '{bench.what}'?")
    if bench.env:
        shim_worked(bench, build, places)
    return {"command": recipe(bench), "count": total, "functions": functions}


def shim_worked(bench, build, places):
    """A program that runs without the shim, or whose shim has turned itself off, is fast indeed."""
    profile = os.path.join(places["scratch"], "p.pshim")
    argv = [os.path.join(build, "perfshim"), "report", "--json", profile]
    doc = json.loads(run(argv, build, environment((), places), bench.name))
    program = os.path.basename(bench.command.split()[0])
    allocations = doc["totals"]["alloc_calls"]
    wanted = "PERFSHIM_ALLOC=off" not in bench.env
    if (os.path.basename(doc["process"]["exe"]) != program or doc["process"]["off_reason"]
            or (allocations is not None) != wanted):
        raise Trouble(f"{bench.name}: {program} did not run under the shim, or the shim was off: "
                      f"{doc['process']['exe']}, {doc['process']['off_reason']}, {allocations} allocations")


def shell(bench, folder, places):
    words = ["env", "-i", *(f"{k}={v}" for k, v in environment(bench.env, places).items())]
    words += bench.command.format(**places).split()
    # a profile is left by each run under the shim, and a taken name would be another path
    tidy = f"; s=$?; rm -f {shlex.quote(places['scratch'])}/p.*; exit $s" if bench.env else ""
    return f"cd {shlex.quote(folder)} && {shlex.join(words)}{tidy}"


def compare_times(bench, build, places, pairs):
    argv = [os.path.join(build, "perfshim"), "bench", "--json", "--runs", str(pairs), "--names=baseline,now"]
    if not bench.what.endswith("_ns"):
        argv += ["--metric", bench.what]
    argv += [shell(bench, os.path.join(places["base"], "bin"), places), shell(bench, build, places)]
    return json.loads(run(argv, build, environment((), places), bench.name))["metrics"][bench.what]


# --- the machine ---


def code_flags(build):
    """The flags of the build, without warnings: they make no code."""
    try:
        with open(os.path.join(build, "flags"), encoding="utf-8") as f:
            words = f.read().split()
    except OSError as e:
        raise Trouble(f"{build}: not a build folder ({e.filename}: {e.strerror}): make")
    kept = [w for w in words if not w.startswith("-W") or w.startswith(("-Wl,", "-Wa,", "-Wp,"))]
    return " ".join(kept)


def compiler(build):
    """As it has signed its work."""
    out = run(["readelf", "-p", ".comment", os.path.join(build, "store_bench")], None, None, "the compiler")
    return ", ".join(sorted(set(re.findall(r"^ +\[ *\w+\] +(.+)$", out, re.M)))) or "unknown"


def machine_key(build):
    flags = code_flags(build)  # first: is it a build at all?
    places = {"scratch": "", "base": ""}
    here = json.loads(run([os.path.join(build, "perfshim"), "bench", "--json", "--runs=1", "--warmup=0", "true"],
                          build, environment((), places), "the machine"))["machine"]
    return {"CPU": here["cpu"], "CPUs": here["cpus"], "kernel": here["kernel"],
            "compiler": compiler(build), "flags": flags,
            "libc": os.confstr("CS_GNU_LIBC_VERSION"), "valgrind": run([valgrind(), "--version"], None, None, "valgrind").strip()}


def key_folder(store, key):
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    return os.path.join(store, digest)


def differences(theirs, ours):
    """[(field, there, here)]; of two lists of flags only what differs."""
    found = []
    for field in ours:
        there, here = theirs.get(field), ours[field]
        if there == here:
            continue
        if field == "flags" and isinstance(there, str):
            a, b = there.split(), here.split()
            there = " ".join(w for w in a if w not in b) or "(fewer or in another order)"
            here = " ".join(w for w in b if w not in a) or "(fewer or in another order)"
        found.append((field, there, here))
    return found


def refuse_other(path, found):
    lines = [f"{path}: of another machine or build"]
    for field, there, here in found:
        lines += [f"  {field:9} there: {there}", f"  {'':9} here:  {here}"]
    raise Trouble("\n".join(lines + ["`make bench-baseline` keeps one of this machine, from the commit to compare with"]))


# --- the baseline ---


def recipe(bench):
    """What must be the same for two figures to be of the same thing."""
    return f"{' '.join(bench.env)} {bench.command} # {bench.what or 'all'}".strip()


def baseline_read(path):
    """The document; whatever is wrong with it is told with its place."""
    try:
        with open(path, encoding="utf-8") as f:
            doc = json.load(f)
    except OSError as e:
        raise Trouble(f"{path}: {e.strerror}")
    except json.JSONDecodeError as e:
        raise Trouble(f"{path}: damaged: line {e.lineno}, column {e.colno}: {e.msg}")
    except UnicodeDecodeError as e:
        raise Trouble(f"{path}: damaged: byte {e.start}: not UTF-8")
    if not isinstance(doc, dict) or doc.get("schema") != SCHEMA:
        raise Trouble(f"{path}: not a baseline (schema {SCHEMA})")

    def want(good, place, what):
        if not good:
            raise Trouble(f"{path}: damaged: {place} is not {what}")

    want(isinstance(doc.get("key"), dict), "key", "an object")
    for text in ("commit", "saved"):
        want(isinstance(doc.get(text), str), text, "a text")
    want(isinstance(doc.get("benchmarks"), dict), "benchmarks", "an object")
    for name, entry in doc["benchmarks"].items():
        place = f"benchmarks.{name}"
        want(isinstance(entry, dict), place, "an object")
        want(isinstance(entry.get("command"), str), f"{place}.command", "a text")
        if "count" in entry:
            want(type(entry["count"]) is int and entry["count"] > 0, f"{place}.count", "a count")
            want(isinstance(entry.get("functions"), dict)
                 and all(type(n) is int for n in entry["functions"].values()), f"{place}.functions", "counts")
    return doc


def baseline_find(store, key):
    """(folder, document) of this machine's baseline."""
    folder = key_folder(store, key)
    path = os.path.join(folder, "baseline.json")
    if os.path.exists(path):
        doc = baseline_read(path)
        if differences(doc["key"], key):
            refuse_other(path, differences(doc["key"], key))
        return folder, doc
    others = []
    for name in sorted(os.listdir(store)) if os.path.isdir(store) else []:
        path = os.path.join(store, name, "baseline.json")
        if os.path.exists(path):
            others.append((differences(baseline_read(path)["key"], key), path))
    if others:
        found, path = min(others, key=lambda other: len(other[0]))
        if found:
            refuse_other(path, found)
    raise Trouble(f"no baseline in {store}: first `make bench-baseline` on the commit to compare with")


def commit():
    git = subprocess.run(["git", "-C", SRC, "describe", "--always", "--dirty"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return git.stdout.strip() if git.returncode == 0 and git.stdout.strip() else "no commit"


def save(args, chosen, scratch):
    key = machine_key(args.build)
    folder = key_folder(args.store, key)
    shutil.rmtree(folder, ignore_errors=True)
    for program in PROGRAMS:
        kept = os.path.join(folder, "bin", program)
        try:
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            shutil.copy2(os.path.join(args.build, program), kept)
        except OSError as e:
            raise Trouble(f"{e.filename}: {e.strerror}")
    places = {"scratch": scratch, "base": folder}
    os.mkdir(os.path.join(folder, "input"))
    # a fixed profile, of the kept programs: the next build's are other files with other symbols
    env = environment((*SHIM[::2], f"PERFSHIM_OUT={folder}/input/report.pshim"), places)
    run(REPORT_INPUT.split(), os.path.join(folder, "bin"), env, "the profile to report")
    doc = {"schema": SCHEMA, "key": key, "commit": commit(), "saved": time.strftime("%Y-%m-%d %H:%M"),
           "benchmarks": {}}
    for bench in chosen:
        if bench.kind == "instructions":
            entry = count(bench, args.build, places)
            print(f"{bench.name:29}{spaced(entry['count']):>15} instructions", flush=True)
        else:
            entry = {"command": recipe(bench)}
        doc["benchmarks"][bench.name] = entry
    path = os.path.join(folder, "baseline.json")
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")
    os.rename(path + ".new", path)  # last: without it the folder is no baseline
    print(f"kept {doc['commit']} as the baseline of this machine: {os.path.relpath(folder)}")


# --- judging ---


def spaced(number):
    return f"{number:,}".replace(",", " ")


def percent(ratio, digits=2):
    return f"{(ratio - 1) * 100:+.{digits}f} %"


def duration(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


class Table:
    def __init__(self):
        self.slower, self.faster, self.new = [], [], []
        print(f"{'benchmark':29}{'baseline':>12}{'now':>12}{'change':>10}  verdict")

    def row(self, name, baseline, now, change, verdict):
        print(f"{name:29}{baseline:>12}{now:>12}{change:>10}  {verdict}", flush=True)

    def instructions(self, bench, old, now):
        a, b = old["count"], now["count"]
        change = b / a - 1
        verdict = "same" if a == b else "within the limit"
        if change > INSTRUCTIONS_LIMIT:
            verdict = "SLOWER"
            grown = {f: now["functions"].get(f, 0) - old["functions"].get(f, 0)
                     for f in {*now["functions"], *old["functions"]}}
            most = sorted(grown, key=lambda f: (-grown[f], f))[:BLAMED]
            where = ", ".join(f"{f} +{spaced(grown[f])}" for f in most if grown[f] > 0)
            self.slower.append(f"{bench.name}: {spaced(a)} -> {spaced(b)} instructions, {percent(b / a)} "
                               f"(limit {INSTRUCTIONS_LIMIT * 100:g} %)\n  where: {where}")
        elif change < -INSTRUCTIONS_LIMIT:
            verdict = "faster"
            self.faster.append(bench.name)
        self.row(bench.name, spaced(a), spaced(b), percent(b / a), verdict)

    def time(self, bench, metric):
        a, b = (duration(metric[k] * bench.scale) for k in ("median_a", "median_b"))
        ratio, p = metric["ratio"], metric["p"]
        low, high = metric["ci_low"], metric["ci_high"]
        verdict = f"{percent(low, 1)[:-2]} to {percent(high, 1)}, p {p:.1g}"
        if p < TIME_P and ratio > 1 + TIME_LIMIT:
            verdict = f"SLOWER  {verdict}"
            self.slower.append(f"{bench.name}: {a} -> {b}, {percent(ratio)} "
                               f"(limit {TIME_LIMIT * 100:g} % with p < {TIME_P})\n"
                               f"  95 % interval: {percent(low)} to {percent(high)}, p {p:.2g}")
        elif p < TIME_P and ratio < 1 - TIME_LIMIT:
            verdict = f"faster  {verdict}"
            self.faster.append(bench.name)
        self.row(bench.name, a, b, percent(ratio), verdict)


def compare(args, chosen, scratch):
    folder, doc = baseline_find(args.store, machine_key(args.build))
    places = {"scratch": scratch, "base": folder}
    for program in PROGRAMS:
        if not os.path.exists(os.path.join(folder, "bin", program)):
            raise Trouble(f"{folder}/bin/{program}: gone; `make bench-baseline` makes the baseline anew")
    print(f"baseline {doc['commit']} of {doc['saved']}, now {commit()}; "
          f"{doc['key']['CPU']}, {doc['key']['kernel']}")
    table = Table()
    for bench in chosen:
        old = doc["benchmarks"].get(bench.name)
        if old is None or old["command"] != recipe(bench) or (bench.kind == "instructions" and "count" not in old):
            table.new.append(bench.name)
            table.row(bench.name, "-", "-", "-", "not in the baseline")
        elif bench.kind == "instructions":
            table.instructions(bench, old, count(bench, args.build, places))
        else:
            table.time(bench, compare_times(bench, args.build, places, args.pairs))
    if len(table.new) == len(chosen):
        raise Trouble("none of these is in the baseline: `make bench-baseline` on the commit to compare with")
    if table.faster:
        print(f"faster: {', '.join(table.faster)}; `make bench-baseline` makes it the new mark")
    sys.stdout.flush()
    for line in table.slower:
        print(f"bench-regress: {line}", file=sys.stderr)
    return 1 if table.slower else 0


def main():
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, description=__doc__, add_help=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("verb", nargs="?", choices=("save", "compare"))
    parser.add_argument("-b", "--build", default=os.path.join(SRC, "build"))
    parser.add_argument("--store", default=os.path.join(SRC, ".bench"))
    parser.add_argument("--only", default="")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.help:
        print(__doc__.strip())
        return 0
    words = args.only.split(",")
    for word in words:
        if not any(word in b.name for b in BENCHMARKS):
            parser.error(f"--only: no benchmark's name holds '{word}'; --list shows them")
    chosen = [b for b in BENCHMARKS if any(word in b.name for word in words)
              and not (args.instructions and b.kind == "time")]
    if not chosen:
        parser.error(f"--only={args.only} --instructions: only times have such a name")
    if args.pairs < LEAST_PAIRS:
        parser.error(f"--pairs: {args.pairs} are too few: p < {TIME_P} takes {LEAST_PAIRS}")
    if args.list:
        for bench in chosen:
            print(f"{bench.kind:13} {bench.name:29} {bench.command}")
        return 0
    if not args.verb:
        parser.error("save or compare?")
    args.build, args.store = os.path.abspath(args.build), os.path.abspath(args.store)
    with tempfile.TemporaryDirectory(prefix="regress-") as scratch:
        try:
            return (save if args.verb == "save" else compare)(args, chosen, scratch)
        except Trouble as e:
            sys.stdout.flush()
            print(f"bench-regress: {e}", file=sys.stderr)
            return 3


if __name__ == "__main__":
    sys.exit(main())
