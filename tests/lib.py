"""For end-to-end tests in Python (standard library only):

    import os, sys
    sys.path.insert(0, os.environ["SRC"] + "/tests")
    from lib import *

ok(condition, claim, *details)      one check; details are shown if it fails
equal(got, want, claim)             both are shown if they differ
near(got, want, claim, rel=, abs=)  |got - want| <= max(rel * |want|, abs)
match(text, regex, claim)           the text holds a match (multi-line)
skip(claim, why) · note(text)
run(argv, ...)                      runs a program to its end: .status (128 + signal), .out, .err
preload(argv, profile, ...)         the same under the shim, writing `profile`
report(profile, *options)           the JSON of `perfshim report --json`, or None after a failed check

The plan and the exit status are written when the script ends. docs: CONTRIBUTING.md, "Tests".
"""

import atexit
import json
import os
import re
import signal
import subprocess
import sys

__all__ = ["B", "SRC", "TMP", "PERFSHIM", "SHIM", "STORE_BENCH", "ok", "equal", "near", "match",
           "skip", "note", "run", "preload", "report", "clean_env"]

B, SRC, TMP = (os.environ[name] for name in ("B", "SRC", "TMP"))
PERFSHIM = os.path.join(B, "perfshim")
SHIM = os.path.join(B, "libperfshim.so")
STORE_BENCH = os.path.join(B, "store_bench")

_count = 0
_failed = 0


def note(text):
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def _line(good, claim, suffix=""):
    global _count, _failed
    _count += 1
    _failed += not good
    print(f"{'' if good else 'not '}ok {_count} - {claim}{suffix}", flush=True)


def ok(condition, claim, *details):
    _line(bool(condition), claim)
    if not condition:
        for detail in details:
            note(detail)
    return bool(condition)


def equal(got, want, claim):
    return ok(got == want, claim, f" got: {got!r}", f"want: {want!r}")


def near(got, want, claim, rel=0.0, abs=0.0):
    room = max(rel * (want if want >= 0 else -want), abs)
    return ok(got is not None and want - room <= got <= want + room, claim,
              f" got: {got}", f"want: {want} +- {room:g}")


def match(text, regex, claim):
    return ok(re.search(regex, text, re.MULTILINE), claim, f" got: {text}", f"want: /{regex}/")


def skip(claim, why):
    _line(True, claim, f" # SKIP {why}")


class Run:
    """A finished program. status as a shell tells it: 128 + signal if it was killed."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def __str__(self):
        return f"{' '.join(self.argv)}\nexit status {self.status}\n{self.out}\n{self.err}"


def clean_env(**extra):
    """The environment without anything that would switch the shim on, plus `extra`."""
    env = {k: v for k, v in os.environ.items()
           if k != "LD_PRELOAD" and not k.startswith("PERFSHIM_")}
    env.update({k: str(v) for k, v in extra.items()})
    return env


def run(argv, input=None, timeout=60, env=None, cwd=None, binary=False):
    """Runs argv in its own process group; a run out of time is killed whole and has status 137."""
    argv = [str(a) for a in argv]
    data = input.encode() if isinstance(input, str) else input
    process = subprocess.Popen(argv, env=env, cwd=cwd, process_group=0,
                               stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(data, timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        err += f"\n(killed after {timeout} s)".encode()
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    if not binary:
        out, err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    return Run(argv, status, out, err)


def preload(argv, profile, env=None, **options):
    settings = clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=os.path.abspath(profile))
    settings.update({k: str(v) for k, v in (env or {}).items()})
    return run(argv, env=settings, **options)


def report(profile, *options):
    done = run([PERFSHIM, "report", "--json", *options, profile], env=clean_env())
    if done.status != 0:
        ok(False, f"perfshim report --json reads {os.path.basename(profile)}", done)
        return None
    return json.loads(done.out)


@atexit.register
def _end():
    print(f"1..{_count}", flush=True)
    if _failed:
        sys.stderr.flush()
        os._exit(1)
