#!/usr/bin/env python3
# test: timeout=300
"""python3.py with the part of its test suite that waits most of its time."""
import os
import sys

os.environ["VICTIM_SUITE"] = "test_threadsignals"
script = os.path.join(os.environ["SRC"], "tests", "victims", "python3.py")
os.execv(sys.executable, [sys.executable, script])
