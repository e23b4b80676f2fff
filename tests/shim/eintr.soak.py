#!/usr/bin/env python3
# test: timeout=900
"""eintr.py with a million signals."""
import os
import sys

os.environ["EINTR_SIGNALS"] = "1000000"
script = os.path.join(os.environ["SRC"], "tests", "shim", "eintr.py")
os.execv(sys.executable, [sys.executable, script])
