"""The victim runner: a real program must not notice the shim.

    from run_victim import *
    compare(claim, argv, ...)    one program, run to its end, plain and under the shim
    compare_server(claim, ...)   a server, driven by a client function, likewise

By hand, for any program: B=build SRC=. TMP=$(mktemp -d) python3 tests/victims/run_victim.py CMD...

Both runs happen in a folder of the same name that was empty before, so that paths in the output
are equal; exit status, stdout, stderr and every file left in that folder must be equal. Then the
profile must tell plausible things about the run (see check_profile).
"""

import collections
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.environ["SRC"] + "/tests")
import lib
from lib import *

__all__ = lib.__all__ + ["compare", "compare_server", "free_port", "wait_for"]

Outcome = collections.namedtuple("Outcome", "status out err files cpu_s profile")
START_TIMEOUT_S = 15
NO_STACKS = ["--focus=^no stack$"]  # which may be 100 MB and more: totals are of the whole run
_serial = 0


def folder_of(way):
    """An empty folder, the same path for every way of running."""
    path = os.path.join(TMP, "victim")
    os.mkdir(path)
    return path


def take_files(path):
    """{relative name: (mode, content)} of everything left there; the folder is removed."""
    files = {}
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            if os.path.isfile(full) and not os.path.islink(full):
                with open(full, "rb") as f:
                    files[os.path.relpath(full, path)] = (oct(os.stat(full).st_mode), f.read())
    shutil.rmtree(path)
    return files


def environment(way, profile, env):
    settings = clean_env(**(env or {}))
    if way == "shim":
        settings.update(LD_PRELOAD=SHIM, PERFSHIM_OUT=profile)
    return settings


def next_profile():
    global _serial
    _serial += 1
    return os.path.join(TMP, f"victim-{_serial}.pshim")


def children_cpu():
    times = os.times()
    return times.children_user + times.children_system


def show(data, limit=2000):
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"


def first_difference(a, b):
    """The first line that differs, for a long output."""
    for number, (x, y) in enumerate(zip(a.splitlines(), b.splitlines()), 1):
        if x != y:
            return f"line {number}:\n  plain: {show(x, 300)}\n   shim: {show(y, 300)}"
    return f"{len(a)} and {len(b)} bytes; the shorter one ends early"


def differences(plain, shim, ignore=()):
    found = []
    if plain.status != shim.status:
        found.append(f"exit status {plain.status} plain, {shim.status} under the shim")
    for name in ("out", "err"):
        a, b = getattr(plain, name), getattr(shim, name)
        if a != b:
            found.append(f"std{name} differs: {first_difference(a, b)}")
    for name in sorted(plain.files.keys() | shim.files.keys()):
        if name not in shim.files or name not in plain.files:
            found.append(f"file {name} is there only {'plain' if name in plain.files else 'under the shim'}")
        elif plain.files[name] != shim.files[name] and name not in ignore:
            found.append(f"file {name} differs")
    return found


def check_profile(claim, outcome, program, children=False):
    """The profile is there, names the program, and its figures can be true."""
    if not ok(os.path.isfile(outcome.profile), f"{claim}: writes a profile"):
        return None
    data = report(outcome.profile, *NO_STACKS)
    if data is None:
        return None
    process, totals, loss = data["process"], data["totals"], data["loss"]
    wrong = []
    if os.path.basename(process["exe"]) != os.path.basename(os.path.realpath(program)):
        wrong.append(f"exe is {process['exe']}")
    if process["end"] == "exit" and process["status"] != outcome.status:
        wrong.append(f"status is {process['status']}, not {outcome.status}")
    if not totals["alloc_calls"] or totals["alloc_bytes"] < totals["live_bytes"]:
        wrong.append("allocations: not known, none, or fewer bytes than live ones")
    elif totals["live_blocks"] != totals["alloc_calls"] - totals["free_calls"]:
        wrong.append("live blocks are not allocations less frees")
    cpu_s = ((totals["cpu_ns"] or 0) + (totals["profiler_ns"] or 0)) / 1e9
    if cpu_s > outcome.cpu_s * 1.1 + 0.1:
        wrong.append(f"{cpu_s:.2f} s of CPU, but the program used {outcome.cpu_s:.2f} s")
    if not children and outcome.cpu_s > 0.5 and cpu_s < outcome.cpu_s * 0.75:
        wrong.append(f"only {cpu_s:.2f} s of CPU of {outcome.cpu_s:.2f} s")
    for reason in ("tag_overwritten", "node_table_full", "account_table_full", "disk_full"):
        if loss.get(reason):
            wrong.append(f"loss: {reason} {loss[reason]}")
    ok(not wrong, f"{claim}: its profile is plausible", *wrong, {"totals": totals, "loss": loss})
    return data


def run_once(way, argv, input, env, timeout, prepare, normalize):
    folder, profile = folder_of(way), next_profile()
    if prepare:
        prepare(folder)
    before = children_cpu()
    done = run(argv, input=input, env=environment(way, profile, env), cwd=folder, timeout=timeout,
               binary=True)
    cpu_s = children_cpu() - before
    out, err = (normalize(x) if normalize else x for x in (done.out, done.err))
    return Outcome(done.status, out, err, take_files(folder), cpu_s, profile)


def compare(claim, argv, input=None, env=None, status=0, timeout=60, prepare=None, normalize=None,
            children=False, profile=True):
    """
    Runs argv plain, then under the shim. `status`: what both must end with, so that a victim which
    fails for its own reasons is seen. prepare(folder) puts files there first; normalize(bytes) takes
    out what differs between any two runs (durations, process ids). children: most CPU time is not
    the program's own. profile=False: no profile is asked for. Returns the report or None.
    """
    plain, shim = (run_once(way, argv, input, env, timeout, prepare, normalize)
                   for way in ("plain", "shim"))
    found = differences(plain, shim)
    if plain.status != status:
        found.append(f"plain exit status {plain.status}, not {status}: {show(plain.err)}")
    ok(not found, f"{claim}: same stdout, stderr, exit status and files", *found)
    return check_profile(claim, shim, argv[0], children) if profile else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, what, process):
    """Polls until the server answers; it must not have ended."""
    limit = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < limit:
        if condition():
            return
        if process.poll() is not None:
            raise RuntimeError(f"{what}: ended with {process.returncode} before it answered")
        time.sleep(0.02)
    raise RuntimeError(f"{what}: no answer after {START_TIMEOUT_S} s")


def serve_once(way, command, drive, env, timeout, normalize):
    folder, profile, port = folder_of(way), next_profile(), free_port()
    before = children_cpu()
    with open(os.path.join(TMP, "server.out"), "w+b") as out, \
            open(os.path.join(TMP, "server.err"), "w+b") as err:
        server = subprocess.Popen(command(port, folder), env=environment(way, profile, env),
                                  cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            told = drive(port, server)
            status = server.wait(timeout)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            told, status = f"{way}: {error}".encode(), None
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
        logs = []
        for log in (out, err):
            log.seek(0)
            logs.append(normalize(log.read()) if normalize else log.read())
    # the client's CPU time is in here too, so only the upper bound is worth anything
    return told, Outcome(status, *logs, take_files(folder), children_cpu() - before, profile)


def compare_server(claim, command, drive, env=None, status=0, timeout=20, normalize=None, ignore=()):
    """
    command(port, folder) is the server's argv; drive(port, server) talks to it, makes it end, and
    returns what it answered (bytes, compared). Checks answers, log, exit status and profile.
    ignore: files whose content differs between any two runs; they must be there in both.
    """
    results = [serve_once(way, command, drive, env, timeout, normalize) for way in ("plain", "shim")]
    (told_plain, plain), (told_shim, shim) = results
    ok(told_plain == told_shim and plain.status is not None, f"{claim}: same answers",
       first_difference(told_plain, told_shim), show(plain.out), show(shim.out), show(shim.err))
    found = differences(plain, shim, ignore)
    if plain.status != status:
        found.append(f"plain exit status {plain.status}, not {status}")
    ok(not found, f"{claim}: same log, files and exit status", *found)
    return check_profile(claim, shim, command(0, "")[0], children=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    compare(os.path.basename(sys.argv[1]), [shutil.which(sys.argv[1]) or sys.argv[1], *sys.argv[2:]])
