#!/usr/bin/env python3
# test: timeout=1800
"""hostile.py with sixty times as many damaged files."""
import os
import sys

os.environ["HOSTILE_SCALE"] = "60"
script = os.path.join(os.environ["SRC"], "tests", "analyzer", "hostile.py")
os.execv(sys.executable, [sys.executable, script])
