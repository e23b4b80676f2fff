#!/usr/bin/env python3
"""CPU ticks end none of the host's waits, no EINTR in the calls that SA_RESTART does not cover; and of
the host's own signals each ends the wait that it came into, 10^5 of them, 10^6 in eintr.soak.py; also
in the way in which ticks are kept out of waits on kernels before 5.9."""
import json
import os
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

plain = run([B + "/helpers/eintr", "100"])
under = preload([B + "/helpers/eintr", "100"], "e.pshim", env={"PERFSHIM_CPU_HZ": "4000"})
for name, result in ("plain", plain), ("under the shim", under):
    equal(result.status, 0, f"the program ends well, {name}")
    waits = json.loads(result.out)
    ok(waits["waits"] > 1000, f"it waited often enough, {name}", waits)
    equal({k: n for k, n in waits["eintr"].items() if n}, {}, f"no wait was interrupted, {name}")
profile = report("e.pshim")
ok(profile and profile["mode"]["cpu_ticks"] >= 20, "ticks came meanwhile", profile and profile["mode"])

WAYS = ("poll", "select", "epoll_wait", "nanosleep", "ppoll", "pselect", "epoll_pwait", "epoll_pwait2",
        "sigsuspend", "sigwait", "sigwaitinfo", "sigtimedwait")
SIGNALS = int(os.environ.get("EINTR_SIGNALS", 100_000))
each = -(-SIGNALS // (2 * len(WAYS)))
for name, prefix in ("this kernel's way", []), ("the older way", ["setarch", "--uname-2.6"]):
    out = f"s{len(prefix)}.pshim"
    program = [*prefix, "env", f"LD_PRELOAD={SHIM}", f"PERFSHIM_OUT={os.path.abspath(out)}",
               "PERFSHIM_CPU_HZ=4000", helper("signal_waits"), each]
    done = run(program, env=clean_env(), timeout=30 + SIGNALS // 2000)
    if ok(done.status == 0, f"{name}: the program ends well", done):
        equal(json.loads(done.out), dict.fromkeys(WAYS, each), f"{name}: no signal is lost")
    profile = report(out)
    ok(profile and profile["mode"]["cpu_ticks"] >= 20, f"{name}: ticks came meanwhile",
       profile and profile["mode"])
