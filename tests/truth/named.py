#!/usr/bin/env python3
"""Regions and pools that a program names: calls and allocations are exact, times add up; what should
not be done is counted; old programs and old libraries work with new ones."""
import json
import os
import re
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

done = preload([sample("named")], "named.pshim")
ok(done.status == 0, "the program runs", done)
truth = json.loads(done.out)
document = report("named.pshim")
if document:
    regions = {r["name"]: r for r in document["regions"]}
    exact = [{key: r[key] for key in ("name", "calls", "alloc_calls", "alloc_bytes")}
             for r in document["regions"]]
    equal(sorted(exact, key=str), sorted(truth["regions"], key=str),
          "calls, allocations and bytes of every region are exact")
    equal(document["pools"], truth["pools"], "gets, puts and what is in use of the pool too")
    equal(document["progress"], [{"name": "op", "count": 6000}],
          "and none of them is a progress point")
    wall = {name: r["wall_ns"] for name, r in regions.items()}
    near(wall["request"], truth["request_ns"], "the time in a region is what the program measures",
         rel=0.05)
    ok(wall["request"] >= wall["answer"] + wall["parse"] and min(wall.values()) > 0,
       "regions count what is within them, and within itself a region counts once", wall)
    ok(all(0 < r["wall_max_ns"] <= r["wall_ns"] for r in regions.values()), "the longest is one of them")
    equal(document["loss"], {}, "nothing is lost")
    equal([r["name"] for r in document["regions"]][0], "request", "the longest stands first")

text = run([PERFSHIM, "report", "named.pshim"], env=clean_env()).out
match(text, r"^ +time +calls +mean +max +cpu +lock +allocs +bytes +region$", "the report has them")
match(text, r"6\.00 k .*30\.0 k +1\.4 MiB +parse$", "a region's line")
match(text, r"^ +gets +puts +in use +gets/op +pool\n +6\.00 k +5\.98 k +21 +1\.00 +objects\n +90 +30 +60 +0\.01 +at once$",
      "the pools'")

# What was not measured is null, and not there.
done = preload([sample("named")], "bare.pshim",
               env={"PERFSHIM_ALLOC": "off", "PERFSHIM_CPU_HZ": "0", "PERFSHIM_LOCKS": "off"})
document = report("bare.pshim")
if document:
    region = next(r for r in document["regions"] if r["name"] == "parse")
    equal([region[key] for key in ("cpu_ns", "alloc_calls", "alloc_bytes", "lock_wait_ns")], [None] * 4,
          "without ticks, allocations and locks: null")
    equal(region["calls"], 6000, "its calls are counted")
    text = run([PERFSHIM, "report", "bare.pshim"], env=clean_env()).out
    match(text, r"^ +time +calls +mean +max +region$", "and the table has no such column")

# What should not be done.
done = preload([sample("named"), "odd"], "odd.pshim")
equal((done.status, done.out, done.err), (0, "", ""), "a program that mixes them up runs")
document = report("odd.pshim")
if document:
    equal({r["name"]: r["calls"] for r in document["regions"]},
          {"outer": 1, "deep": 16, "open at the end": 1},
          "inner ones left open, paused ones and a child's are not booked; one open at the end is")
    equal(document["pools"], [], "neither are a pause's and a child's gets")
    equal(document["loss"], {"region_unbegun": 2, "region_unended": 1, "region_depth": 4},
          "and each is counted under its reason")

# Old and new.
alone = run([sample("named")], env=clean_env())
equal(alone.status, 0, "without the library the calls do nothing")
done = run([sample("named")], env=clean_env(LD_PRELOAD=helper("old_library")))
equal((done.status, json.loads(done.out)["pools"], done.err), (0, truth["pools"], "progress 6000\n"),
      "an old library gets what it knows, and no more")
done = preload([helper("old_program")], "old.pshim")
document = report("old.pshim")
equal((done.status, document and document["progress"], document and document["regions"]),
      (0, [{"name": "old op", "count": 1000}], []), "an old program works with a new library")
text = run([PERFSHIM, "report", "old.pshim"], env=clean_env()).out
ok(not re.search(r" (region|pool)$", text, re.MULTILINE), "without regions and pools there is no such table", text)
