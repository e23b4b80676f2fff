#!/usr/bin/env python3
"""node, whose code is made at run time and keeps frame pointers: its stacks are whole."""
import os
import shutil
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *

node = shutil.which("node")
if node:
    script = "let a = []; for (let i = 0; i < 3e5; i++) a.push(JSON.stringify({i})); console.log('done')"
    done = preload([node, "-e", script], "node.pshim", timeout=200)
    ok(done.status == 0 and "done" in done.out, "node: runs as without the shim", done)
    document = report("node.pshim")
    if document:
        calls = document["totals"]["alloc_calls"]
        cut = sum(document["loss"].get(reason, 0) for reason in
                  ("stack_no_cfi", "stack_bad_cfi", "stack_unknown", "stack_bad_pc"))
        ok(cut <= calls / 100, "node: 99 % of stacks are whole",
           f"of {calls} allocations: {document['loss']}")
else:
    skip("node: stacks are whole", "it is not installed")
