#!/usr/bin/env python3
# test: timeout=2400
"""The CPU split ten times with different seeds, names that say nothing among them: 10 of 10."""
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/truth")
import cpu_split
from cpu_split import check

cpu_split.TICKS = 9000  # 4 × 10 shares are asked: room for chance, none for bias
for seed in range(2, 11):
    check("split", seed, "rows_copy")
check("split_renamed", 11, "f4")
