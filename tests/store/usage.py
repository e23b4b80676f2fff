#!/usr/bin/env python3
"""Wrong use: exit status 2, one line that says what, nothing on stdout. Errors end a run as told."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

os.mkdir("folder")
CASES = [
    ("--threads=0", "--threads: '0' is out of range: 1 to 10000"),
    ("--threads=many", "--threads: 'many' is not a whole number"),
    ("-t", "-t needs a value"),
    ("--duration=0", "--duration: '0' is out of range"),
    ("--duration=-1s", "--duration: '-1s' is not a duration"),
    ("--duration=9999h", "--duration: '9999h' is out of range"),
    ("--ops=0", "--ops: '0' is out of range"),
    ("--ops=99999999999999999999", "--ops: '99999999999999999999' is out of range"),
    ("--keys=0", "--keys: '0' is out of range"),
    ("--value-size=2G", "--value-size: '2G' is out of range"),
    ("--workload=scan", "--workload: 'scan' is not one of get|put|read-heavy|mixed|write-heavy|ycsb-a|"),
    ("--read-ratio=1.01", "--read-ratio: not between 0 and 1"),
    ("--read-ratio=x", "--read-ratio: 'x' is not a number"),
    ("--read-ratio=0.5 --workload=get", "--read-ratio: a --workload is given too: one of the two"),
    ("--distribution=gauss", "--distribution: 'gauss' is not one of uniform|zipfian|scrambled|latest|hotspot"),
    ("--theta=0.5", "--theta: only the distributions zipfian, scrambled and latest take it"),
    ("--distribution=zipfian --theta=-1", "--theta: not between 0 and 10"),
    ("--workload=ycsb-a --hot-ops=0.5", "--hot-ops: only the distribution hotspot takes it"),
    ("--distribution=hotspot --hot-keys=2", "--hot-keys: not between 0 and 1"),
    ("--compressibility=1.5", "--compressibility: not between 0 and 1"),
    ("--scan-length=0", "--scan-length: '0' is out of range: 1 to 1000000"),
    ("--steady=0", "--steady: not above 0 and at most 100 per cent"),
    ("--live-json=/no/such/folder/x", "cannot write /no/such/folder/x: No such file"),
    ("sweep --live-json", "--live-json: only run takes it"),
    ("sweep --steady=5", "--steady: only run takes it"),
    ("--pool=yes", "--pool: 'yes' is not one of on|off"),
    ("--shards=12", "--shards: not a power of two"),
    ("--shards=131072", "--shards: '131072' is out of range"),
    ("--verify --value-size=8", "--verify: needs a --value-size of at least 24"),
    ("--verify=1", "--verify takes no value"),
    ("--require=speed>1", "--require: unknown name 'speed', not one of throughput ops errors avg"),
    ("--require=p99", "--require: one of < <= > >= = is missing"),
    ("--require=p99<fast", "--require: not a number"),
    ("--require=p99<10parsec", "--require: unknown unit"),
    ("--require=throughput>5ms", "--require: throughput>5ms: throughput is a plain number"),
    ("--require=", "--require: a budget is missing"),
    ("--max-errors=some", "--max-errors: 'some' is not a whole number"),
    ("--profile-phase=load", "--profile-phase: 'load' is not one of all|measured"),
    ("--json=/no/such/folder/x", "cannot write /no/such/folder/x: No such file"),
    ("--json=folder", "cannot write folder: Is a directory"),
    ("--rate=0", "--rate: not above 0 and at most 1e7 operations a second"),
    ("-R fast", "-R: 'fast' is not a number"),
    ("--arrivals=uniform", "--arrivals: needs a --rate"),
    ("sweep --rate=10", "--rate: only run and compare take it"),
    ("--engine=lsm", "--engine: 'lsm' is not one of store|null|sim"),
    ("--engine=sim:servers=0", "--engine=sim: --servers: '0' is out of range: 1 to 1024"),
    ("--engine=sim:speed=1", "--engine=sim: --speed: unknown option"),
    ("--engine=store:a=1", "--engine: 'store' takes no parameters"),
    ("--engine=null --pool=off", "--pool: the engine null has none"),
    ("--engine=null --dir=d", "--dir: the engine null keeps nothing on a disk"),
    ("--memtable_size 4M", "--memtable_size: not available yet"),
    ("--ratio=1", "--ratio: unknown option; did you mean --rate?"),
    ("tune", "'tune': not available yet"),
    ("tuna", "'tuna': unknown verb, not one of run sweep compare benchmark"),
    ("--levels=1,2", "--levels: only sweep takes it"),
    ("sweep --threads=2", "--threads: sweep takes it with --rates, else --levels"),
    ("sweep --levels=1,,2", "--levels: '' is no number of threads, 1 to 10000"),
    ("sweep --rates=5,0", "--rates: '0' is no rate, above 0 and at most 1e+07"),
    ("sweep --levels=1 --rates=5", "--rates: --levels are given too: one of the two"),
    ("sweep --levels=2,2", "--levels: 2 twice: --repeats is for that"),
    ("sweep --repeats=0", "--repeats: '0' is out of range: 1 to 1000"),
    ("sweep --require=p99<1s", "--require: only run and compare take it; perfshim plan --slo judges a sweep"),
    ("sweep --json=/no/such/folder/x", "cannot write /no/such/folder/x: No such file"),
    ("--wal-sync-every=-1", "--wal-sync-every: '-1' is not a whole number"),
    ("--wal-sync-every=often", "--wal-sync-every: 'often' is not a whole number"),
    ("--wal-sync-every=99999999999999999999", "--wal-sync-every: '99999999999999999999' is out of"),
    ("--dir=", "--dir: a name is missing"),
    ("--no-load", "--no-load: needs a --dir that holds the keys"),
    ("--no-load --wal-sync-every=1", "--no-load: needs a --dir that holds the keys"),
    ("--ledger", "--ledger needs a value"),
    ("sweep --dir=d", "--dir: only run takes it"),
    ("sweep --ledger=l", "--ledger: only run takes it"),
    ("run again", "'again': unexpected argument"),
]
for line, why in CASES:
    done = run([STORE_BENCH, "--ops=10", *line.split()], env=clean_env())
    ok(done.status == 2 and not done.out and done.err.startswith(f"store_bench: {why}")
       and done.err.count("\n") == 1, f"store_bench {line}: {why}", done)

done = run([STORE_BENCH, "--ops=1000", "--keys=1000", "--json=/dev/full"], env=clean_env())
ok(done.status == 2 and "cannot write /dev/full: No space left on device" in done.err,
   "a document that cannot be written is an error", done)
for options in (["--json"], [], ["--help"], ["--version"]):
    with open("/dev/full", "w") as full:
        done = subprocess.run([STORE_BENCH, "--ops=10", "--keys=10", *options], env=clean_env(),
                              stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    equal((done.returncode, done.stderr),
          (2, "store_bench: cannot write standard output: No space left on device\n"),
          f"output that cannot be written is an error, {options}")
done = run([STORE_BENCH, "--help"], env=clean_env())
ok(done.status == 0 and done.out.startswith("usage: store_bench [run] [OPTIONS]\n")
   and max(map(len, done.out.splitlines())) <= 100, "--help: 100 columns, exit status 0", done)
limit = ["prlimit", "--as=300000000"]
done = run([*limit, STORE_BENCH, "--threads=5000", "--ops=10"], env=clean_env())
ok(done.status == 2 and "store_bench: cannot start thread" in done.err,
   "too many threads for the machine: exit status 2", done)
done = run(["prlimit", "--as=160000000", STORE_BENCH, "--keys=100000000", "--ops=10"], env=clean_env())
ok(done.status == 2 and re.fullmatch(r"store_bench: cannot load the keys: out of memory after \d+ of 100000000\n", done.err),
   "too many keys for the memory: exit status 2", done)

# Room for the value and what it is made from, but not for the copy that a get returns.
scarce = ["prlimit", "--as=270000000", STORE_BENCH, "--keys=1", "--value-size=100M",
          "--workload=get", "--threads=1"]
one_arena = clean_env(MALLOC_ARENA_MAX=1)  # or a thread's own would need 64 MiB of addresses more
done = run([*scarce, "--ops=50", "--json"], env=one_arena)
doc = json.loads(done.out) if done.out else {}
equal((done.status, doc.get("ops"), doc.get("errors"), doc.get("valid"), doc.get("throughput")),
      (0, 50, 50, False, 0), "failed operations are counted, and are no throughput")
equal(doc.get("errors_by_class"), {"not_found": 0, "no_memory": 50, "no_space": 0, "io": 0, "verify": 0,
       "other": 0},
      "each under its reason")
done = run([*scarce, "--max-errors=10", "--duration=100s"], env=one_arena)
ok(done.status == 1 and "store_bench: ended at more than 10 errors (--max-errors)" in done.err,
   "--max-errors ends the run: exit status 1", done)
match(done.out, r"ENDED by --max-errors: a partial result$", "and the table is marked")
match(done.out, r"^errors: 11 no_memory$", "errors stand in the table by their reason")
