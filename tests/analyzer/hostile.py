#!/usr/bin/env python3
# test: timeout=180 no-coverage
"""Damaged and hostile profiles: report and diff end by themselves with exit code 0 or 3, and a
refusal says what and where. A real profile cut at many lengths, with bits flipped, with fields set
to the worst values, and records that refer to each other in circles."""
import os
import random
import resource
import struct
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

SCALE = int(os.environ.get("HOSTILE_SCALE", "1"))  # hostile.soak.py: more of everything
random.seed(SCALE)
# A small file of a real run: every byte of it counts.
preload([STORE_BENCH, "--ops=2000", "--threads=2", "--num=500", "--pool=off"], "real.pshim",
        env={"PERFSHIM_MAX_MB": 1})
whole = open("real.pshim", "rb").read()
ok(len(whole) == 1 << 20, "a real profile to damage")
HEADER = struct.unpack_from("<I", whole, 12)[0]
REGIONS = {}  # name: (offset, used, record bytes, place of its entry in the header)
for i, name in enumerate(("module", "node", "account", "thread", "progress", "string", "lock", "histogram",
                          "moment")):
    for place in range(0, HEADER - 64, 8):
        offset, capacity, used, backed, record, number = struct.unpack_from("<4Q2I", whole, place)
        if number == i and record in (1, 8, 16, 64, 128, 192, 576) and offset >= HEADER and \
                offset + capacity * record <= len(whole) and offset % 4096 == 0 and capacity:
            REGIONS[name] = (offset, min(used, capacity), record, place)
            break
ok(len(REGIONS) == 9, "its regions are found", REGIONS)

limit = 256 << 20  # of memory: 64 MiB + 4 times the file would be less, but a loader needs some too


def confine():
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


asan = "build-asan" in B or "build-tsan" in B
wrong = []
tried = 0
codes = {0: 0, 3: 0}


def try_file(data, label, *command):
    global tried
    tried += 1
    with open("damaged.pshim", "wb") as f:
        f.write(data)
    argv = [PERFSHIM, *(command or ("report", "--json=damaged.json")), "damaged.pshim"]
    try:
        done = subprocess.run(argv, env=clean_env(), capture_output=True, timeout=30, check=False,
                              preexec_fn=None if asan else confine)
    except subprocess.TimeoutExpired:
        wrong.append(f"{label}: did not end")
        return
    codes[done.returncode] = codes.get(done.returncode, 0) + 1
    if done.returncode not in (0, 3):
        wrong.append(f"{label}: exit {done.returncode} {done.stderr[-300:]}")
    elif done.returncode == 3 and b"damaged.pshim: " not in done.stderr:
        wrong.append(f"{label}: refused with {done.stderr!r}")


def told(claim):
    ok(not wrong and tried, f"{claim} ({tried} files)", *wrong[:10])
    wrong.clear()


def patched(*patches):
    data = bytearray(whole)
    for offset, value in patches:
        data[offset:offset + len(value)] = value
    return bytes(data)


# Cut: at every byte of the start, then at many lengths.
for size in (*range(0, 96, 24 // min(SCALE, 24)), *range(96, 12000, 3000 // SCALE), *range(12000, len(whole), 200000 // SCALE)):
    try_file(whole[:size], f"cut at {size}")
    if codes.get(0):
        wrong.append(f"cut at {size}: accepted")
        break
told("cut at any length it is refused")

# Flipped bits: mostly where there is something to flip.
places = [p for p in range(0, HEADER) if whole[p]]
for offset, used, record, _ in REGIONS.values():
    places += range(offset, offset + used * record)
for _ in range(15 * SCALE):
    flips = [(p, bytes([whole[p] ^ 1 << random.randrange(8)]))
             for p in random.sample(places, random.choice((1, 1, 3, 50)))]
    try_file(patched(*flips), f"bits flipped at {[p for p, _ in flips][:3]}")
told("bits flipped: it ends with 0 or 3")

# The worst values in each field of each region's entry and of records.
WORST = [struct.pack("<Q", v) for v in
         (0, 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, len(whole), len(whole) - 8)]
entries = [(place + field, value) for *_, place in REGIONS.values() for field in range(0, 40, 8)
           for value in WORST]
for place, value in random.sample(entries, min(15 * SCALE, len(entries))):
    try_file(patched((place, value)), f"entry at {place} = {value.hex()}")
told("the worst sizes and offsets: it ends with 0 or 3")
for name, (offset, used, record, _) in REGIONS.items():
    for _ in range(3 * SCALE if record > 1 else 2):
        at = offset + random.randrange(max(used, 1)) * record + random.randrange(0, record, 4) * 1
        value = random.choice(WORST)[:4 if record > 1 else 1]
        try_file(patched((at, value)), f"{name} record at {at} = {value.hex()}")
told("the worst values in records: it ends with 0 or 3")

# Circles, and a full table of the deepest stacks there may be.
offset, used, record, place = REGIONS["node"]
for length in (1, 2, used - 1):
    ring = b"".join(struct.pack("<IIQ", 1 + (i + 1) % length, 1, i) for i in range(length))
    try_file(patched((offset + record, ring)), f"a ring of {length} nodes")
    ok(codes.get(3), f"a ring of {length} nodes is refused")
told("nodes in a circle: it ends")
note(f"exit codes: {codes}")
capacity = struct.unpack_from("<Q", whole, place + 8)[0]
chains = (capacity - 1) // 500
deep = b"".join(struct.pack("<IIQ", i - 1 if i % 500 != 1 else 0, 2 + i % 2, i * 7)
                for i in range(1, capacity))
a_offset, _, a_record, a_place = REGIONS["account"]
a_capacity = struct.unpack_from("<Q", whole, a_place + 8)[0]
accounts = b"".join(struct.pack("<IHH7Q", 500 * (1 + i % chains), i % 64, 1 + i % 2,
                                *[2**62 + i] * 7) for i in range(a_capacity))
data = patched((offset + record, deep), (a_offset, accounts),
               (place + 16, struct.pack("<QQ", capacity, 16 * capacity)),
               (a_place + 16, struct.pack("<QQ", a_capacity, 64 * a_capacity)))
codes.clear()
for view in ("summary", "alloc", "leaks", "peak"):
    try_file(data, f"full tables, {view}", "report", f"--view={view}", "--all")
try_file(data, "full tables, JSON", "report", "--json=out.json")
try_file(data, "full tables, diff", "diff", "real.pshim")
equal(codes, {0: 6}, "full tables of deep stacks are read")
told("full tables of deep stacks: every view ends")
