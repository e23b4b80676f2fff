#!/usr/bin/env python3
"""What becomes of a site's blocks: frees by other threads, growth, sizes, lifetimes, time in the
allocator, and writes past the end, each against a program that knows."""
import json
import os
import struct
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

EXACT = {"PERFSHIM_CPU_HZ": "0"}
BUCKETS, SIZES, REGION = 64, 4, 7  # format.h: PSHIM_REGION_HISTOGRAM


def histograms(path):
    """The file's own records: (sizes, size_count, size_max, asked, lived), and the clock's unit in ns."""
    data = open(path, "rb").read()
    offset, _, used = struct.unpack_from("<3Q", data, 240 + 64 * REGION)
    clock = struct.unpack_from("<4Q", data, 1776)
    records, wrong = [], 0
    for i in range(used):
        record = struct.unpack_from(f"<2I{SIZES}Q3Q{2 * BUCKETS}I", data, offset + 576 * i)
        node, count = record[:2]
        asked, lived = record[9:9 + BUCKETS], record[9 + BUCKETS:]
        if node:
            records.append((record[2:2 + min(count, SIZES)], count, record[6], asked, lived))
        wrong += (sum(asked), sum(lived)) != record[7:9]
    ok(not wrong, f"{path}: the counts of each histogram are the sums of its buckets")
    return records, (clock[3] - clock[1]) / (clock[2] - clock[0])


def bucket(value):
    if value < 2:
        return value
    octave = value.bit_length() - 1
    return min(2 * octave + (value >> (octave - 1) & 1), BUCKETS - 1)


def of_size(records, size):
    found = [r for r in records if r[0] == (size,)]
    if len(found) != 1:
        ok(False, f"one histogram of size {size} alone", [r[:3] for r in records if size in r[0]])
        return None
    return found[0]


out = "site.pshim"
done = preload([sample("site_truth")], out, env=EXACT)
document = report(out)
if ok(done.status == 0 and not done.err, "the program runs", done) and document:
    truth = json.loads(done.out)
    got = {name: flat(document, name, "cross_thread_frees") for name in truth["cross"]}
    equal(got, truth["cross"], "frees by another thread, also by one that has the recorder of the one that is over")
    equal(document["totals"]["cross_thread_frees"], sum(truth["cross"].values()), "and no others")
    equal((flat(document, "grow_realloc", "grown_calls"), flat(document, "grow_realloc", "moved_bytes")),
          (truth["grown"], truth["moved"]), "growth, and what it moved")
    equal(flat(document, "shrink_realloc", "grown_calls"), 0, "as many bytes, or fewer, are no growth")
    records, unit = histograms(out)

    slept = of_size(records, truth["slept"]["size"])
    if slept:
        low, high = (bucket(int(truth["slept"][k] / unit) >> 8) for k in ("least_ns", "most_ns"))
        equal((sum(slept[4][low:high + 1]), sum(slept[4])), (truth["slept"]["count"],) * 2,
              f"blocks that live {truth['slept']['least_ns'] // 10**6} ms are put there")
    brief = of_size(records, truth["brief"]["size"])
    if brief:
        limit = bucket(int(5e6 / unit) >> 8)
        ok(sum(brief[4]) == truth["brief"]["count"] and sum(brief[4][:limit]) >= 0.9 * sum(brief[4]),
           "blocks that are freed at once live less than 5 ms", brief)
    kept = of_size(records, truth["kept"]["size"])
    if kept:
        equal((sum(kept[3]), sum(kept[4])), (truth["kept"]["count"], 0), "blocks that stay have a size and no lifetime")
    million = of_size(records, truth["million"]["size"])
    if million:
        near(sum(million[3]), truth["million"]["count"], "a million calls: within 0.1 %", rel=0.001)
        near(sum(million[4]), truth["million"]["count"], "and as many lives", rel=0.001)

    few = [r for r in records if set(r[0]) == set(truth["few_sizes"])]
    ok(len(few) == 1 and few[0][1] == 3 and few[0][3][bucket(3001)] == 60, "three sizes are told, in one bucket", few)
    many = [r for r in records if r[2] == truth["many_sizes_most"]]
    want = [0] * BUCKETS
    for i in range(60):
        want[bucket((i + 1) ** 2 * 11)] += 1
    ok(len(many) == 1 and many[0][1] == SIZES + 1 and list(many[0][3]) == want,
       "of many sizes each is in its bucket, and that they are many", many, want)

    spent = cum(document, "main", "allocator_ns")
    ok(0 < spent < document["process"]["wall_ns"], "time in the allocator is some of the run", spent)
    ok(flat(document, "million_malloc", "allocator_ns") > 1e6, "a million calls took more than 1 ms")
    equal(document["loss"], {}, "nothing lost")

# Without locks, there is a clock all the same; sampled, all this is not known.
done = preload([sample("site_truth")], "nolocks.pshim", env={**EXACT, "PERFSHIM_LOCKS": "off"})
ok(0.01 < histograms("nolocks.pshim")[1] < 1.5, "the clock's unit is known without locks")

alone = run([sample("site_truth"), "overrun"], env=clean_env())
done = preload([sample("site_truth"), "overrun"], "overrun.pshim", env=EXACT)
equal((done.status, done.out, done.err), (0, alone.out, ""), "a program that writes past its blocks runs as before")
document = report("overrun.pshim")
if ok(alone.status == 0, "which does so by itself", alone) and document:
    truth, loss = json.loads(done.out), document["loss"]
    told = {name: flat(document, name, "overruns") for name in
            ("over_malloc", "string_malloc", "grown_malloc", "clean_malloc", "usable_malloc")}
    near(told["string_malloc"], truth["string"], "a byte too far after 16 n: told, block by block", rel=0.01)
    near(told["grown_malloc"], truth["grown"], "in the slack: told by realloc", rel=0.05)
    unknown = loss.get("free_foreign", 0)
    near(told["over_malloc"] + unknown, truth["over"], "1 to 8 bytes past each size: all are told", rel=0.02)
    ok(told["over_malloc"] >= 0.75 * truth["over"], "most of them with their site", told, loss)
    equal((told["clean_malloc"], told["usable_malloc"]), (0, 0), "who writes no further than he may is not accused")
    equal(document["totals"]["live_blocks"], unknown, "what is known is freed: only the unknown stay live")
    ok(loss.get("tag_overwritten", 0) >= truth["string"] * 0.99, "the loss counts overwritten tags", loss)
    equal(document["totals"]["overruns"], sum(told.values()), "no other site is accused")
    first = document["findings"][0]
    equal((first["kind"], first["where"]["name"]), ("overrun", "string_malloc"), "the first finding is where most are")
    text = run([PERFSHIM, "report", "overrun.pshim"], env=clean_env())
    match(text.out, r"fix first: write past a block's end +string_malloc site_truth\.c:\d+$", "and on the screen")
