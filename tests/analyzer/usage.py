#!/usr/bin/env python3
"""Verbs, options and bad input: the contract's exit codes, and a message that says what and where."""
import json
import os
import struct
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

MAKE = os.path.join(B, "helpers", "make_profile")


def perfshim(*argv, **options):
    return run([PERFSHIM, *argv], env=clean_env(), **options)


def refuses(label, status, said, *argv, **options):
    done = perfshim(*argv, **options)
    equal((done.status, done.out), (status, ""), f"{label}: exit code {status}, nothing on stdout")
    match(done.err, said, f"{label}: the message says what and where")


# Verbs.
done = perfshim("--help")
equal((done.status, done.err), (0, ""), "perfshim --help exits 0")
verbs = [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")]
ok({"record", "report", "diff"} <= set(verbs), "perfshim --help lists the verbs", done)
for verb in verbs:
    done = perfshim(verb, "--help")
    ok(done.status == 0 and done.err == "" and done.out.startswith(f"usage: perfshim {verb}"),
       f"perfshim {verb} --help tells its use", done)
done = perfshim("--version")
match(done.out, r"^perfshim \d+\.\d+\.\d+$", "perfshim --version")
refuses("no verb", 2, "usage: perfshim VERB")
refuses("an unknown verb", 2, r"'frobnicate'[^$]*record[^$]*report[^$]*diff", "frobnicate")

for verb in ("serve", "push", "check", "merge", "symbolize", "doctor"):
    refuses(f"the reserved {verb}", 2, f"perfshim: '{verb}' is not available yet", verb)
refuses("a reserved format", 2, "perfshim export: --format: 'dhat': not available yet$", "export", "--format=dhat")

# Wrong use.
for case in ("off", "on", "nothing"):
    run([MAKE, case, f"{case}.pshim"])
refuses("an unknown option", 2, "perfshim report: .*bogus", "report", "--bogus", "off.pshim")
refuses("an unknown view", 2, "perfshim report: .*sideways", "report", "--view=sideways")
refuses("a bad expression", 2, r"perfshim report: --focus: '\('", "report", "--focus=(", "off.pshim")
refuses("two profiles", 2, "perfshim report: .*on.pshim", "report", "off.pshim", "on.pshim")
refuses("an order by what was not measured", 2, "perfshim report: --sort=lock.*not measure",
        "report", "--sort=lock", "off.pshim")
refuses("sites by file", 2, "perfshim report: --by=file: --view=sizes has one row a site", "report",
        "--view=sizes", "--by=file", "off.pshim")
refuses("sites by CPU time", 2, "perfshim report: --sort=cpu: --view=pool is sorted by allocs or bytes",
        "report", "--view=pool", "--sort=cpu", "off.pshim")
run([MAKE, "locks", "locks.pshim"])
for view, row, order in (("blame", "one row a holder and waiter", "lock"), ("io", "one row a call and place", "io"),
                         ("locks", "one row a lock", "lock")):
    for by in ("file", "module", "thread") + (("lock",) if view != "locks" else ()):
        refuses(f"{view} by {by}", 2, f"perfshim report: --by={by}: --view={view} has {row}", "report",
                f"--view={view}", f"--by={by}", "locks.pshim")
    for sort in ("cpu", "flat", "allocs"):
        refuses(f"{view} by {sort}", 2, f"perfshim report: --sort={sort}: --view={view} is sorted by {order}", "report",
                f"--view={view}", f"--sort={sort}", "locks.pshim")
for view in ("ledger", "threads"):
    for option in ("--by=file", "--sort=cpu", "--focus=get", "--ignore=get", "--hide=get"):
        refuses(f"{view} with {option}", 2, f"perfshim report: {option.split('=')[0]}: --view={view} is of the whole process",
                "report", f"--view={view}", option, "locks.pshim")


def shown(*options):
    done = run([PERFSHIM, "report", *options, "locks.pshim"], env=clean_env())
    ok(done.status == 0, f"report {' '.join(options)}", done)
    return done.out


equal(shown("--view=locks", "--by=lock", "--sort=lock"), shown("--view=locks"), "what locks are sorted by may be said")
equal(shown("--view=blame", "--sort=lock"), shown("--view=blame"), "so may the order of blame")
ok("wal_append" in shown("--view=blame") and "wal_append" not in shown("--view=blame", "--ignore=store_put") and
   "wal_append" not in shown("--view=blame", "--hide=wal_append"), "blame is of the selected stacks")
refuses("a focus of the timeline", 2, "perfshim report: --focus: --view=timeline is of the whole process",
        "report", "--view=timeline", "--focus=main", "off.pshim")
refuses("a sorted timeline", 2, "perfshim report: --sort: --view=timeline is of the whole process",
        "report", "--view=timeline", "--sort=allocs", "off.pshim")
refuses("a diff of one", 2, "perfshim diff: two profiles", "diff", "off.pshim")
refuses("a diff of three", 2, "perfshim diff: two profiles", "diff", "off.pshim", "on.pshim",
        "on.pshim")
refuses("a diff against nothing", 2, "perfshim diff: two profiles", "diff", "off.pshim", "--")
refuses("per operation without operations", 2, "perfshim diff: --per=op: .*progress", "diff",
        "--per=op", "off.pshim", "nothing.pshim")

# Bad input: exit code 3, the file's name, what is wrong and where.
whole = open("off.pshim", "rb").read()


def written(name, data):
    with open(name, "wb") as f:
        f.write(data)
    return name


CASES = [
    ("missing", "missing.pshim", r"missing\.pshim: cannot open: No such file"),
    ("a folder", ".", r"\.: is a directory"),
    ("empty", written("empty.pshim", b""), r"empty\.pshim: is empty"),
    ("foreign", written("foreign.pshim", b"\x7fELF" + bytes(9000)),
     r"foreign\.pshim: is not a perfshim profile: byte 0"),
    ("text", written("text.pshim", b"words"), r"text\.pshim: is not a perfshim profile"),
    ("truncated", written("short.pshim", whole[:100000]),
     rf"short\.pshim: is truncated: expected {len(whole)} bytes, found 100000"),
    ("cut in its header", written("head.pshim", whole[:100]), r"head\.pshim: is truncated"),
    ("newer", written("newer.pshim", whole[:8] + struct.pack("<I", 99) + whole[12:]),
     r"newer\.pshim: was written by a newer perfshim: format version 99, this one reads up to \d"),
    ("unfinished", written("zero.pshim", bytes(len(whole))), r"zero\.pshim: was not set up"),
]
for label, name, said in CASES:
    refuses(f"report of a profile that is {label}", 3, f"^perfshim report: {said}", "report", name)
    refuses(f"diff with a profile that is {label}", 3, f"^perfshim diff: {said}", "diff",
            "off.pshim", name)
refuses("JSON into a folder that is not there", 3, "perfshim report: nowhere/x.json: No such file",
        "report", "--json=nowhere/x.json", "off.pshim")

# No profile named: the newest here.
os.mkdir("place")
refuses("no profile anywhere", 3, "no profile named", "report", cwd="place")
for age, name in enumerate(("new.pshim", "old.pshim")):
    written(os.path.join("place", name), whole)
    os.utime(os.path.join("place", name), (1000 - age, 1000 - age))
written("place/newest.txt", whole)
done = perfshim("report", cwd="place")
equal(done.status, 0, "the newest profile is read")
match(done.err, r"^perfshim report: reading new\.pshim, the newest here$", "and named on stderr")

# JSON.
done = perfshim("report", "--json", "off.pshim")
document = json.loads(done.out)
equal((done.status, done.err, document["schema"]), (0, "", "perfshim.report/1"),
      "--json gives the document alone")
done = perfshim("report", "--json=report.json", "off.pshim")
equal(json.load(open("report.json", encoding="utf-8")), document, "--json=F writes it to F")
ok(done.out.startswith("store_bench"), "and the screen is printed as ever", done)
KEYS = {
    "": "schema perfshim_version process mode totals progress functions sites locks io threads "
        "timeline pool findings loss",
    "process": "exe argv pid start_time wall_ns threads end status cpus build_id max_rss_bytes",
    "mode": "alloc locks io cpu_hz cpu_ticks unwind",
    "totals": "alloc_calls alloc_bytes free_calls free_bytes live_blocks live_bytes peak_bytes "
              "temporary_calls cpu_ns lock_wait_ns lock_hold_ns io_wait_ns idle_ns runqueue_ns "
              "unexplained_ns thread_wall_ns cost_ns ops",
    "functions": "name file line module cpu_ns lock_wait_ns io_wait_ns idle_ns alloc_calls "
                 "alloc_bytes free_calls live_blocks live_bytes peak_bytes temporary_calls "
                 "blamed_wait_ns cost_ns",
    "sites": "kind frames alloc_calls live_blocks",
    "threads": "tid name wall_ns cpu_ns lock_wait_ns io_wait_ns idle_ns runqueue_ns "
               "unexplained_ns",
}
for part, keys in KEYS.items():
    value = document[part] if part else document
    for one in value if isinstance(value, list) else [value]:
        missing = set(keys.split()) - set(one)
        if missing:
            break
    ok(not missing, f"report: every key of {part or 'the document'}", missing)
totals = document["totals"]
equal((totals["lock_wait_ns"], document["mode"]["locks"], document["locks"]), (None, None, None),
      "what was not measured is null")
equal(totals["ops"], 3000000, "operations are counted")
for key in ("alloc_calls", "alloc_bytes", "cpu_ns", "live_blocks"):
    equal((sum(f[key]["flat"] for f in document["functions"]),
           sum(s[key] or 0 for s in document["sites"])), (totals[key],) * 2,
          f"{key}: functions' own and sites add up to the total")
costs = [f["cost_ns"]["cum"] for f in document["functions"]]
equal(costs, sorted(costs, reverse=True), "functions are sorted by cumulative cost")
done = perfshim("diff", "--json", "off.pshim", "on.pshim")
document = json.loads(done.out)
ok({"schema", "a", "b", "per", "totals", "functions", "sites", "advisor"} <= set(document),
   "diff: every key of the document", document.keys())
calls = document["totals"]["alloc_calls"]
equal(set(calls), {"a", "b", "delta", "ratio", "ci_low", "ci_high", "noise"},
      "diff: every key of a figure")
near(calls["delta"], calls["b"] - calls["a"], "delta is after minus before", rel=1e-6)
equal(document["totals"]["lock_wait_ns"], None, "diff: what was not measured is null")
