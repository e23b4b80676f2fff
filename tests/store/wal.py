#!/usr/bin/env python3
# test: timeout=240 no-coverage
"""The write-ahead log of store_bench: 30 times killed and no acknowledged write lost, read by a decoder
written from docs/store_format.md alone; reopening; a damaged log; a full disk."""
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

BLOCK = 32768
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
    TABLE.append(byte)


def masked_crc(data):
    crc = 0xffffffff
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xffffffff
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def decode(log, at):
    """Records (kind, key, value) from an offset where one begins, and the offset behind the last."""
    records, whole, parts = [], at, b""
    while True:
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        if at + 7 > len(log):
            break
        crc, size, kind = struct.unpack_from("<IHB", log, at)
        payload = log[at + 7:at + 7 + size]
        if len(payload) < size or size > left - 7 or crc != masked_crc(bytes([kind]) + payload):
            break
        at += 7 + size
        parts = payload if kind in (1, 2) else parts + payload
        if kind in (1, 4):
            (key_size,) = struct.unpack_from("<H", parts, 1)
            records.append((parts[0], parts[3:3 + key_size], parts[3 + key_size:]))
            whole = at
    return records, whole


def read(path):
    with open(path, "rb") as f:
        return f.read()


def bench(*options, **more):
    return run([STORE_BENCH, "--no-live", *options], env=clean_env(), **more)


# ---- the document's example ----
with open(SRC + "/docs/store_format.md") as f:
    drawn = re.findall(r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} ?)+)", f.read(), re.M)
example = bytes.fromhex("".join(drawn))
start = struct.pack("<BI", 0, 1) + b"PSHIMWAL"
ok(example[7:20] == start and struct.unpack("<I", example[:4])[0] == masked_crc(b"\1" + start),
   "docs/store_format.md: the first record", example)
equal(decode(example, 20), ([(1, b"key", b"value"), (2, b"key", b"")], len(example)),
      "docs/store_format.md: its example decodes to what it says")

# ---- 30 kills ----
KEYS, THREADS, KILLS = 200, 4, 30
rng = random.Random(3)
lost, torn, acknowledged, kills, bad_opens, final = [], 0, 0, 0, [], {}
offset = 20
for number in range(KILLS):
    if number % 6 == 0:  # not one ever longer log
        shutil.rmtree("db", ignore_errors=True)
        offset, final, records_before = 20, {}, 0
    process = subprocess.Popen(
        [STORE_BENCH, "--no-live", "--dir=db", "--wal-sync-every=1", f"--keys={KEYS}", "--verify",
         f"--threads={THREADS}", "--workload=write-heavy", "--duration=100s", "--ledger=ledger",
         f"--seed={number}", f"--value-size={rng.choice((24, 100, 3000))}"],
        env=clean_env(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(rng.uniform(0.04, 0.25))
    process.kill()
    err = process.communicate()[1]
    if process.returncode != -signal.SIGKILL:
        bad_opens.append(err)
        break
    kills += 1
    counts = [n for (n,) in struct.iter_unpack("<Q56x", read("ledger"))] \
        if os.path.exists("ledger") else []
    if os.path.exists("ledger"):
        os.unlink("ledger")
    log = read("db/000001.log")
    records, end = decode(log, offset) if len(log) >= 20 else ([], 20)
    torn += len(log) != end
    found = [set() for _ in range(THREADS)]
    for kind, key, value in records:
        writer = struct.unpack_from("<8xQ", value)[0]
        found[writer >> 48].add(writer & (1 << 48) - 1)
        final[key] = value
    for thread, count in enumerate(counts):
        missing = set(range(1, count + 1)) - found[thread]
        lost += [(number, thread, n) for n in sorted(missing)]
        acknowledged += count
    offset = end
    records_before += len(records)
    if number % 6 == 5:
        done = bench("--dir=db", "--no-load", f"--keys={KEYS}", "--workload=get", "--ops=1000",
                     "--json")
        document = json.loads(done.out) if done.status == 0 else {"store": {}}
        equal((done.status, document["store"].get("wal_replayed"), document["store"].get("keys"),
               document["store"].get("data_bytes")),
              (0, records_before, len(final), sum(len(k) + len(v) for k, v in final.items())),
              f"after kill {number + 1} the store finds what the log holds: {records_before} writes")
equal((kills, bad_opens), (KILLS, []), f"{KILLS} kills, each run opened what the last one left")
equal(lost[:10], [], f"{acknowledged} writes were acknowledged, none is lost ({torn} torn ends)")
ok(acknowledged > 50 * KILLS, "and they were many", acknowledged)

# ---- reopening ----
shutil.rmtree("db")
done = bench("--dir=db", "--keys=500", "--ops=2000", "--verify", "--wal-sync-every=50", "--json")
first = json.loads(done.out)
store, now = first["store"], first["store"]["measured"]
equal((done.status, store["wal_writes"], now["wal_writes"]),
      (0, 500 + now["puts"], now["puts"]), "the log counts every put")
equal((store["wal_syncs"], now["wal_syncs"]), (1 + now["puts"] // 50, now["puts"] // 50),
      "and is synced once behind the load, then every 50")
records, end = decode(read("db/000001.log"), 20)
equal((len(records), end, os.path.getsize("db/000001.log")),
      (store["wal_writes"], 20 + store["wal_bytes"], end), "the file is what was counted")
equal((os.stat("db").st_mode & 0o777, os.stat("db/000001.log").st_mode & 0o777), (0o700, 0o600),
      "directory and log are the user's alone")
done = bench("--dir=db", "--no-load", "--keys=500", "--ops=1000", "--verify", "--workload=get",
             "--json=second.json")
match(done.out, rf"^log: began with {len(records)} writes$", "of an end that is whole nothing is said")
done.out = read("second.json")
second = json.loads(done.out)
equal((second["errors"], second["store"]["puts"], second["store"]["wal_replayed"],
       second["store"]["keys"], second["store"]["wal_writes"]), (0, 0, len(records), 500, 0),
      "--no-load: every key is there, nothing is put")
equal((first["config"]["dir"], first["config"]["wal_sync_every"], second["config"]["load"],
       second["config"]["wal_sync_every"]), ("db", 50, False, 0), "the configuration tells it")
with open("db/000001.log", "ab") as f:
    f.write(read("db/000001.log")[20:60])
done = bench("--dir=db", "--no-load", "--keys=500", "--ops=100", "--workload=get")
match(done.out, rf"^log: began with {len(records)} writes, a torn end of 40 B cut off$",
      "a torn end is told")
equal(os.path.getsize("db/000001.log"), end, "and cut")

# ---- no log, temporary logs ----
os.mkdir("temporary")
for options, kept in ((["--wal-sync-every=1"], True), (["--wal-sync-every=0"], True), ([], False)):
    seen = bench("--keys=50", "--ops=300", *options)
    traced = run([STORE_BENCH, "--no-live", "--keys=50", "--ops=300", *options],
                 env=clean_env(TMPDIR=TMP + "/temporary"))
    equal((seen.status, traced.status, os.listdir("temporary")), (0, 0, []),
          f"{options or 'no option'}: a temporary directory is removed")
    ok(bool(re.search(r"^log: ", seen.out, re.M)) == kept, f"{options or 'no option'}: log or none",
       seen.out)
done = run([STORE_BENCH, "--no-live", "--wal-sync-every=1"], env=clean_env(TMPDIR="/no/such"))
equal((done.status, done.err),
      (3, "store_bench: cannot make a temporary directory in /no/such: No such file or directory\n"),
      "a temporary directory that cannot be made: exit status 3")

# ---- damage ----
data = bytearray(read("db/000001.log"))
data[5000] ^= 1
with open("db/000001.log", "wb") as f:
    f.write(data)
starts, at = [], 0
while at <= 5000:
    starts.append(at)
    at += 7 + struct.unpack_from("<H", data, at + 4)[0]
done = bench("--dir=db", "--keys=500", "--ops=100")
equal((done.status, done.out, done.err),
      (3, "", f"store_bench: cannot open the store: db/000001.log: offset {starts[-1]}: bad checksum\n"),
      "a flipped bit: exit status 3, file and offset")
equal(read("db/000001.log"), bytes(data), "and the file is left alone")
with open("db/000001.log", "wb") as f:
    f.write(b"somebody's only copy of a letter")
done = bench("--dir=db", "--ops=100")
match(done.err, r"db/000001.log: offset 0: not a log of this store$", "a foreign file is refused")
with open("plain", "w") as f:
    f.write("x")
for directory, what in (("plain", "plain/000001.log: Not a directory"),
                        ("/no/such/dir", "/no/such/dir: No such file or directory"),
                        ("/proc", "/proc/000001.log: No such file or directory")):
    done = bench(f"--dir={directory}", "--ops=10")
    equal((done.status, done.err), (3, f"store_bench: cannot open the store: {what}\n"),
          f"--dir={directory}: exit status 3")
done = bench("--ledger=/no/such/ledger", "--ops=10")
equal((done.status, done.err),
      (3, "store_bench: cannot keep the ledger /no/such/ledger: No such file or directory\n"),
      "a ledger that cannot be made: exit status 3")
shutil.rmtree("db")
holder = subprocess.Popen([STORE_BENCH, "--live", "--dir=db", "--keys=10", "--duration=100s"],
                          env=clean_env(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True)
holder.stderr.readline()
done = bench("--dir=db", "--ops=10")
equal((done.status, done.err),
      (3, "store_bench: cannot open the store: db/000001.log: in use by another store\n"),
      "a directory in use: exit status 3")
holder.kill()
holder.communicate()

# ---- no space ----
done = run(["prlimit", "--fsize=100000", STORE_BENCH, "--no-live", "--dir=full", "--keys=1000", "--value-size=1000"],
           env=clean_env())
ok(done.status == 3 and re.fullmatch(r"store_bench: cannot load the keys: no space left for the log after \d\d of 1000\n",
                                     done.err), "a load that does not fit: exit status 3, and how many did", done)
shutil.rmtree("db")
FULL = ["--dir=db", "--keys=100", "--value-size=1000", "--workload=put", "--ops=5000", "--threads=3",
        "--ledger=ledger", "--json"]
done = run(["prlimit", "--fsize=1000000", STORE_BENCH, "--no-live", *FULL], env=clean_env())
document = json.loads(done.out)
limited = document["errors_by_class"]["no_space"]
ok(done.status == 0 and limited > 3000 and document["errors"] == limited,
   "a limit on the file's size: the puts fail, class no_space", done)
equal(document["ops"] - limited, document["store"]["measured"]["wal_writes"],
      "what was not written was not acknowledged")

os.mkdir("disk")
mounted = run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", "disk"])
if mounted.status != 0:
    skip("a full disk", "no right to mount: " + mounted.err.strip())
else:
    try:
        FULL[0] = "--dir=disk/db"
        done = bench(*FULL, "--wal-sync-every=1")
        document = json.loads(done.out)
        failed = document["errors_by_class"]["no_space"]
        ok(done.status == 0 and failed > 3000 and document["errors"] == failed,
           "a full disk: the puts fail, class no_space", done)
        counts = [n for (n,) in struct.iter_unpack("<Q56x", read("ledger"))]
        records, end = decode(read("disk/db/000001.log"), 20)
        equal((sum(counts), document["store"]["wal_writes"], end),
              (len(records),) * 2 + (os.path.getsize("disk/db/000001.log"),),
              "the log holds what was acknowledged, and nothing else")
        done = bench("--dir=disk/db", "--no-load", "--keys=100", "--workload=get", "--ops=1000")
        ok(done.status == 0 and re.search(r"^all +1000 +\S+ \S* +0 ", done.out, re.M),
           "and it reopens on the full disk, every key is there", done)
        done = bench("--dir=disk/other", "--keys=1000", "--value-size=1000", "--ops=10")
        ok(done.status == 3 and re.search("no space left for the log after \\d+ of 1000$|No space left on device",
                                          done.err), "a load that does not fit: exit status 3", done)
    finally:
        run(["umount", "disk"])
