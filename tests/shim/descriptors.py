#!/usr/bin/env python3
"""No descriptor of the program is touched: the same table with and without the shim, and a program
that closes everything and writes 64 MiB finds its file as it wrote it."""
import hashlib
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

BLOCKS, BLOCK_BYTES = 1024, 65536


def expected_digest():
    tail = bytes(k * 7 & 255 for k in range(8, BLOCK_BYTES))
    digest = hashlib.sha256()
    for i in range(BLOCKS):
        digest.update(i.to_bytes(8, "little") + tail)
    return digest.hexdigest()


def file_digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(f.read()).hexdigest()


listing = [helper("descriptors"), "list"]
alone = run(listing, env=clean_env())
done = preload(listing, "list.pshim")
equal((done.status, done.out, done.err), (0, alone.out, ""), "/proc/self/fd is the same")
done = run([PERFSHIM, "record", "-o", "record.pshim", "--", *listing], env=clean_env())
equal((done.status, done.out), (0, alone.out), "/proc/self/fd is the same under perfshim record")

want = expected_digest()
done = preload([helper("descriptors"), "rewrite", "data"], "rewrite.pshim",
               env={"PERFSHIM_CPU_HZ": 1000})
equal((done.status, done.out, done.err), (0, "", ""),
      "a program that closes every descriptor again and again runs")
equal(file_digest("data"), want, "its 64 MiB are as it wrote them")
document = report("rewrite.pshim")
if document:
    calls = flat(document, "busy_alloc", "alloc_calls")
    ok(calls > 1000 and flat(document, "busy_alloc", "free_calls") == calls,
       "its profile goes on being written", calls)
