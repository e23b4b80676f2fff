#!/usr/bin/env python3
# test: timeout=300 timing
"""open_loop.py for a minute: one stall of 1.4 s in 60 s."""
import os
import sys

os.environ["OPEN_LOOP_SECONDS"] = "60"
os.execv(sys.executable, [sys.executable, os.environ["SRC"] + "/tests/store/open_loop.py"])
