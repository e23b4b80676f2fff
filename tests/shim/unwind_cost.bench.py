#!/usr/bin/env python3
"""What a walk costs, and what libunwind takes for the same stack (medians of 201 rounds)."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

MOST_NS_A_FRAME = 10

done = run([helper("unwind_cost")], timeout=120)
if ok(done.status == 0, "unwind_cost runs to its end", done):
    for depth, ways in json.loads(done.out).items():
        for way, figures in ways.items():
            note(f"{depth} {way}: {figures['walk_ns']:.0f} ns a walk of {figures['frames']} frames,"
                 f" {figures['frame_ns']:.1f} ns a frame")
        ok(ways["cached"]["frame_ns"] <= MOST_NS_A_FRAME,
           f"{depth}: a cached frame takes at most {MOST_NS_A_FRAME} ns", ways["cached"])
        equal(str(ways["cached"]["frames"]), depth.rpartition("_")[2], f"{depth}: every frame is found")
