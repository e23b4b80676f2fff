#!/usr/bin/env python3
"""A program that keeps one small block in each page: resident memory that nothing live accounts for
is told, with how much it is; its cure is told nothing, nor are programs that use what they hold."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *


def finding(document):
    found = [f for f in document["findings"] or [] if f["kind"] == "rss_over_live"]
    return found[0] if found else None


done = preload([sample("fragmented")], "fragmented.pshim")
truth = json.loads(done.out)
document = report("fragmented.pshim")
if document:
    process, found = document["process"], finding(document)
    near(document["totals"]["live_bytes"], truth["kept_bytes"], "what is kept is live, all else is not",
         abs=8192)  # stdout's buffer
    ok(found, "the finding is there", document["findings"])
    # A dropped block of 200 bytes took 208 to 224 of the page; all of it is over.
    ok(found and truth["dropped_bytes"] * 0.95 <= found["over_bytes"] <= truth["dropped_bytes"] * 1.15,
       "over is what was dropped: 0.95 to 1.15 times", found, truth)
    ok(found and found["over_bytes"] + truth["kept_bytes"] <= process["anon_bytes"] <=
       process["rss_bytes"] <= process["max_rss_bytes"] + (1 << 20), "and no more than there is",
       process)
    ok(found and 0.5 < found["peak_share"] < 1 and found["share"] is None and
       found["cost_ns"] is None, "its share is of the peak, not of the cost", found)
    ok(found and "malloc_trim" in found["advice"] and len(found["evidence"]) == 2,
       "with evidence and advice", found)
screen = run([PERFSHIM, "report", "fragmented.pshim"], env=clean_env()).out
match(screen, r"^ \d+ +memory held, not used +2\d\.\d MiB +\d\d\.\d% +of peak RSS$", "the screen has it")

done = preload([sample("fragmented_cured")], "cured.pshim")
document = report("cured.pshim")
if document:
    near(document["totals"]["live_bytes"], truth["kept_bytes"], "cured: as much is kept", abs=8192)
    equal(finding(document), None, "cured: no finding")
    ok(document["process"]["anon_bytes"] < 16 << 20, "cured: the pages were given back",
       document["process"])

HEALTHY = {
    "store_bench": [STORE_BENCH, "--duration=0.5", "--pool=off"],
    "sqlite3": ["sqlite3", ":memory:", "create table t(a,b); with recursive c(x) as (select 1 union "
                "all select x+1 from c where x<60000) insert into t select x, hex(randomblob(20)) "
                "from c; select count(*) from t; drop table t; select 1;"],
    "python3": ["python3", "-c", "x = [bytes(50) for i in range(100000)]; y = {i: str(i) for i in "
                "range(60000)}; del x; print(sum(len(s) for s in y.values()))"],
}
for name, argv in HEALTHY.items():
    done = preload(argv, f"{name}.pshim")
    document = report(f"{name}.pshim")
    ok(done.status == 0 and document and document["process"]["anon_bytes"] and
       finding(document) is None, f"{name}: no finding", done, document and document["findings"])
