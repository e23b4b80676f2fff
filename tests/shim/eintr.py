#!/usr/bin/env python3
"""CPU ticks end none of the host's waits: no EINTR in the calls that SA_RESTART does not cover."""
import json
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

plain = run([B + "/helpers/eintr", "150"])
under = preload([B + "/helpers/eintr", "150"], "e.pshim", env={"PERFSHIM_CPU_HZ": "4000"})
for name, result in ("plain", plain), ("under the shim", under):
    equal(result.status, 0, f"the program ends well, {name}")
    waits = json.loads(result.out)
    ok(waits["waits"] > 1000, f"it waited often enough, {name}", waits)
    equal({k: n for k, n in waits["eintr"].items() if n}, {}, f"no wait was interrupted, {name}")
profile = report("e.pshim")
ok(profile and profile["mode"]["cpu_ticks"] >= 20, "ticks came meanwhile", profile and profile["mode"])
