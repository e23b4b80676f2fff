#!/usr/bin/env python3
# test: timeout=1500
"""What the default mode (exact allocations, locks, 199 Hz) takes of the throughput of real programs,
by the pair runner: plain and profiled, interleaved, medians and ratio."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

RUNS = os.environ.get("PERFSHIM_BENCH_RUNS", "10")
STORE = f"{STORE_BENCH} --threads=2 --duration=2 --no-live --json=-"
SQL = """create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 400000)
  insert into t select i, hex(i * 7919 % 100003) from n;
create index x on t(b);
select count(*), sum(a) from t where b like '1%';
"""


def shim(program):
    out = f"PERFSHIM_OUT={TMP}/p-%p.pshim"
    return f"env LD_PRELOAD={SHIM} {out} {program}; s=$?; rm -f {TMP}/p-*.pshim; exit $s"


def compare(name, program, metric, more_is_better, most_percent=None):
    result = run([PERFSHIM, "bench", "--json", *(["--metric", metric] if metric != "wall_ns" else []),
                  "--runs", RUNS, "--names", "plain,profiled", program, shim(program)],
                 timeout=1500, env=clean_env())
    if not ok(result.status == 0, f"{name}: measured", result):
        return
    m = json.loads(result.out)["metrics"][metric]
    percent = [f"{100 * (m[key] - 1):+.1f}" if m[key] else "?" for key in ("ratio", "ci_low", "ci_high")]
    note(f"{name:34}{m['median_a']:14.4g}{m['median_b']:14.4g}  {percent[0]} % "
         f"({percent[1]} to {percent[2]})  {'throughput' if more_is_better else 'time'}")
    if most_percent is not None:
        change = 100 * (m["ratio"] - 1)
        slower = -change if more_is_better else change
        note(f"target: {name}: <= {most_percent} % slower: {change:+.1f} %  "
             f"{'reached' if slower <= most_percent else 'NOT REACHED'}")


note(f"{'program':34}{'plain':>14}{'profiled':>14}  change (95 % interval)")
for workload, pool, most in (("get", "on", 3), ("mixed", "on", 3), ("get", "off", 10), ("mixed", "off", 10)):
    compare(f"store_bench {workload}, pool {pool}", f"{STORE} --workload={workload} --pool={pool}",
            "throughput", True, most)
if shutil.which("sqlite3"):
    with open("load.sql", "w") as file:
        file.write(SQL)
    compare("sqlite3, load and query in memory", f"sqlite3 -init {TMP}/load.sql :memory: ''", "wall_ns", False, 8)
else:
    skip("sqlite3", "sqlite3 is not installed")
