#!/usr/bin/env python3
"""The screens of report and diff, whole: profiles with known contents in, golden text out.

GOLDEN_UPDATE=1 writes what is printed into tests/analyzer/golden/ instead of comparing."""
import difflib
import os
import re
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

GOLDEN = os.path.join(SRC, "tests", "analyzer", "golden")
UPDATE = os.environ.get("GOLDEN_UPDATE") == "1"

for case in ("off", "on", "hostile", "allocations", "nothing", "locks", "waits",
             "lives", "sampled", "old"):
    run([os.path.join(B, "helpers", "make_profile"), case, f"{case}.pshim"])

SCREENS = {  # name of the golden file: command
    "report": "report off.pshim",
    "report-all": "report --all off.pshim",
    "report-sorted": "report --sort=flat -n 4 off.pshim",
    "report-by-file": "report --by=file off.pshim",
    "report-by-module": "report --by=module off.pshim",
    "report-by-thread": "report --by=thread off.pshim",
    "report-focus": "report --focus=memtable --hide=xalloc off.pshim",
    "report-cpu": "report --view=cpu off.pshim",
    "report-alloc": "report --view=alloc off.pshim",
    "report-peak": "report --view=peak off.pshim",
    "report-leaks": "report --view=leaks off.pshim",
    "report-timeline": "report --view=timeline off.pshim",
    "report-timeline-rows": "report --view=timeline -n 5 on.pshim",
    "report-nothing-timeline": "report --view=timeline nothing.pshim",
    "diff-sampled": "diff off.pshim sampled.pshim",
    "report-color": "report --color=always -n 2 off.pshim",
    "report-hostile": "report hostile.pshim",
    "report-allocations": "report allocations.pshim",
    "report-allocations-leaks": "report --view=leaks allocations.pshim",
    "report-allocations-cpu": "report --view=cpu allocations.pshim",
    "report-hostile-alloc": "report --view=alloc hostile.pshim",
    "report-locks": "report locks.pshim",
    "report-view-threads": "report --view=threads locks.pshim",
    "report-view-ledger": "report --view=ledger locks.pshim",
    "report-view-ledger-off": "report --view=ledger off.pshim",
    "report-view-locks": "report --view=locks locks.pshim",
    "report-view-blame": "report --view=blame locks.pshim",
    "report-waits-blame": "report --view=blame waits.pshim",
    "report-off-blame": "report --view=blame off.pshim",
    "report-by-lock-focus": "report --by=lock --focus=store_get locks.pshim",
    "report-waits-locks": "report --view=locks waits.pshim",
    "report-off-locks": "report --view=locks off.pshim",
    "report-sort-lock": "report --sort=lock -n 5 locks.pshim",
    "diff-locks": "diff locks.pshim off.pshim",
    "diff-locks-same": "diff locks.pshim locks.pshim",
    "report-temporary": "report --view=temporary lives.pshim",
    "report-lifetime": "report --view=lifetime lives.pshim",
    "report-lifetime-focus": "report --view=lifetime --sort=bytes -n 2 --focus=store_put lives.pshim",
    "report-sizes": "report --view=sizes lives.pshim",
    "report-pool": "report --view=pool lives.pshim",
    "report-pool-bytes": "report --view=pool --sort=bytes -n 2 lives.pshim",
    "report-pool-ignore": "report --view=pool --ignore=store_get|memtable|wal lives.pshim",
    "report-lives": "report -n 3 lives.pshim",
    "report-allocations-lifetime": "report --view=lifetime allocations.pshim",
    "report-allocations-pool": "report --view=pool allocations.pshim",
    "report-sampled-temporary": "report --view=temporary sampled.pshim",
    "report-sampled-lifetime": "report --view=lifetime sampled.pshim",
    "report-sampled-pool": "report --view=pool sampled.pshim",
    "report-old-sizes": "report --view=sizes old.pshim",
    "report-hostile-pool": "report --view=pool hostile.pshim",
    "report-nothing-temporary": "report --view=temporary nothing.pshim",
    "report-nothing-lifetime": "report --view=lifetime nothing.pshim",
    "report-nothing-sizes": "report --view=sizes nothing.pshim",
    "report-nothing-pool": "report --view=pool nothing.pshim",
    "report-nothing": "report nothing.pshim",
    "report-nothing-leaks": "report --view=leaks nothing.pshim",
    "diff": "diff off.pshim on.pshim",
    "diff-same": "diff off.pshim off.pshim",
    "diff-second": "diff --per=second off.pshim on.pshim",
    "diff-total-all": "diff --per=total --all on.pshim off.pshim",
    "diff-runs": "diff off.pshim off.pshim off.pshim off.pshim -- on.pshim on.pshim on.pshim on.pshim",
    "diff-unlike": "diff allocations.pshim off.pshim",
    "diff-unmeasured": "diff hostile.pshim nothing.pshim",
}

for name, command in SCREENS.items():
    done = run([PERFSHIM, *command.split()], env=clean_env())
    # How many system calls the helper's own code makes is up to the compiler.
    done.out = re.sub(r"^( +\S+ +)\d+(?=  make_profile$)", r"\1N", done.out, flags=re.M)
    path = os.path.join(GOLDEN, name + ".txt")
    if UPDATE:
        with open(path, "w", encoding="utf-8") as f:
            f.write(done.out)
    want = open(path, encoding="utf-8").read() if os.path.exists(path) else "(no golden file)"
    delta = difflib.unified_diff(want.splitlines(), done.out.splitlines(), "golden", "printed",
                                 lineterm="")
    ok((done.status, done.err, done.out) == (0, "", want), f"perfshim {command}", done.err, *delta)
    if "color" not in name:
        lines = done.out.splitlines()
        ok(max(map(len, lines), default=0) <= 100 and done.out.isascii() and
           not any(c < " " and c != "\n" for c in done.out),
           f"{name}: at most 100 columns of plain ASCII", *[l for l in lines if len(l) > 100])
