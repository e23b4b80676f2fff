#!/usr/bin/env python3
"""perfshim record: it exits as its program does; what cannot be run or profiled gets the contract's
exit code, and a message that says what and where."""
import os
import shutil
import signal
import struct
import subprocess
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

WORK = [helper("resources"), "work"]


def record(*argv, **options):
    return run([PERFSHIM, "record", *argv], env=clean_env(), **options)


def refuses(label, status, said, *argv):
    """Nothing is started, nothing is written; stderr says what is wrong with what."""
    before = set(os.listdir("."))
    done = record(*argv)
    equal(done.status, status, f"{label}: exit code {status}")
    match(done.err, r"^perfshim record: ", f"{label}: the message says who speaks")
    match(done.err, said, f"{label}: and what is wrong")
    equal((done.out, set(os.listdir(".")) - before), ("", set()), f"{label}: nothing was started")


# As its program does.
for status in (0, 1, 2, 42, 121, 125, 126, 127, 255):
    done = record("-o", f"exit-{status}.pshim", "--", helper("exits"), status)
    equal((done.status, done.out), (status, ""), f"a program that exits {status}")
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
    done = record("-o", f"signal-{int(number)}.pshim", "--", helper("exits"), "signal", int(number))
    equal(done.status, 128 + number, f"a program that dies of {number.name}")
done = record("-o", "kill.pshim", "--", "sh", "-c", "kill -9 $$")
equal(done.status, 137, "sh -c 'kill -9 $$' gives 137")
document = report("kill.pshim")
if document:
    equal((document["process"]["end"], document["process"]["status"]), ("signal", 9),
          "and its profile says so")

# stdin, stdout and stderr are the program's.
done = record("-o", "cat.pshim", "--", "sh", "-c", "cat; echo to-stderr >&2", input="hello\n")
equal((done.status, done.out), (0, "hello\n"), "stdin and stdout pass through")
match(done.err, r"^to-stderr$", "stderr passes through")
done = record("-o", "nodash.pshim", helper("exits"), 5)
equal(done.status, 5, "`--` is optional")
place = "default"
os.mkdir(place)
done = record(*WORK, cwd=place)
names = profiles(place)
ok(done.status == 0 and len(names) == 1 and names[0].startswith("perfshim-resources-"),
   "without -o the profile has the default name, in the working directory", done, names)

# What is not known is told by record and by the report; a program may be given it past record.
done = run([PERFSHIM, "record", "-f", "-o", "asked.pshim", *WORK], env=clean_env(PERFSHIM_IO="wait"))
told = "PERFSHIM_IO=wait: not known, or not to be had here; the default is used"
ok(done.status == 0 and f"perfshim record: {told}\n" in done.err, "a bad setting: record tells", done)
document = report("asked.pshim")
equal(document and document["process"]["notes"], [told], "so does the report")
equal(document and document["mode"]["io"], "on", "the default is used")

# Work that is done in children is not in the profile: that is said.
done = record("-o", "children.pshim", "--", "sh", "-c", f"{helper('busy')} 1 0.4; exit 6")
equal(done.status, 6, "a shell with a busy child")
match(done.err, r"child processes.*--follow", "record says that most CPU time was in children")

# Interrupted: the terminal's signal goes to both; record waits for its program.
for case, number, to_group, status in (
        ("wait", signal.SIGINT, True, 130), ("catch", signal.SIGINT, True, 7),
        ("wait", signal.SIGTERM, False, 143), ("catch", signal.SIGTERM, False, 7)):
    label = f"{number.name} to {'the group' if to_group else 'record alone'}, program {case}s"
    out = f"int-{case}-{number.name}.pshim"
    process = subprocess.Popen([PERFSHIM, "record", "-o", out, "--", helper("exits"), case],
                               env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               process_group=0)
    line = process.stdout.readline()
    if to_group:
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid, number)
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    got = process.returncode if process.returncode >= 0 else 128 - process.returncode
    equal((line, got), (b"ready\n", status), f"{label}: record exits {status}")
    ok(os.path.exists(out), f"{label}: the profile is there")

# What cannot be executed.
refuses("a program that does not exist", 127, "no-such-program", "--", "no-such-program")
refuses("a path that does not exist", 127, "missing/program", "--", "./missing/program")
refuses("a folder", 126, "default", "--", "./default")
with open("plain.txt", "w", encoding="utf-8") as f:
    f.write("words\n")
refuses("a file without x", 126, r"plain\.txt", "--", "./plain.txt")

# What cannot be profiled.
for name in ("static_prog", "static_pie_prog"):
    refuses(name, 121, f"{name}.*static", "--", helper(name))
refuses("asan_prog", 121, "asan_prog.*[sS]anitize", "--", helper("asan_prog"))
shutil.copy(helper("exits"), "other-machine")
with open("other-machine", "r+b") as f:
    f.seek(18)
    f.write(struct.pack("<H", 183))  # e_machine: AArch64
refuses("a program for another machine", 121, "other-machine", "--", "./other-machine")
shutil.copy(helper("exits"), "setuid-program")
if os.geteuid() == 0:
    os.chown("setuid-program", 65534, 65534)
os.chmod("setuid-program", 0o4755)
refuses("a setuid program", 121, "setuid-program.*set-?u", "--", "./setuid-program", "0")

# A program with its own malloc is run; its allocations are unknown, not 0.
alone = run([helper("own_malloc")], env=clean_env())
done = record("-o", "own.pshim", "--", helper("own_malloc"))
equal((done.status, done.out), (alone.status, alone.out), "a program with its own malloc is run")
match(done.err, r"^perfshim record: .*malloc", "and record warns")
document = report("own.pshim")
if document:
    equal([document["totals"][key] for key in ("alloc_calls", "alloc_bytes", "live_blocks")],
          [None] * 3, "its allocations are null")

# A script is its interpreter.
with open("script.sh", "w", encoding="utf-8") as f:
    f.write("#!/bin/sh\nexit 33\n")
os.chmod("script.sh", 0o755)
done = record("-o", "script.pshim", "--", "./script.sh")
equal(done.status, 33, "a script is run by its interpreter")
ok(os.path.exists("script.pshim"), "and profiled")

# Wrong use.
refuses("no program", 125, "program|command|usage")
refuses("an unknown option", 125, "bogus", "--bogus", "--", *WORK)
refuses("a rate that is no number", 125, "fast", "-F", "fast", "--", *WORK)
refuses("an unknown unwinder", 125, "magic", "--unwind=magic", "--", *WORK)
refuses("an allocation mode that makes no sense", 125, "sometimes", "--alloc=sometimes", "--",
        *WORK)
refuses("a folder that does not exist", 125, "nowhere/p.pshim", "-o", "nowhere/p.pshim", "--", *WORK)
refuses("attaching", 125, "attach", "-p", "1")

# Taken names.
with open("mine.pshim", "w", encoding="utf-8") as f:
    f.write("mine\n")
refuses("a name that is taken", 125, r"mine\.pshim", "-o", "mine.pshim", "--", *WORK)
equal(open("mine.pshim", encoding="utf-8").read(), "mine\n", "the file of that name is untouched")
done = record("-f", "-o", "mine.pshim", "--", *WORK)
equal(done.status, 0, "--force takes the name")
document = report("mine.pshim")
ok(document and flat(document, "work_alloc", "alloc_calls") == 30000, "and the profile is there")

# Options reach the shim.
done = record("-o", "options.pshim", "-F", 97, "--alloc=off", "--io=off", "--max-mb=8", "--", *WORK)
document = report("options.pshim")
if document:
    equal([document["mode"][key] for key in ("cpu_hz", "alloc", "io")], [97, "off", "off"],
          "options set the mode")
    ok(os.path.getsize("options.pshim") <= 8 << 20, "and the size")
done = record("-o", "paused.pshim", "--no-start", "--", *WORK)
document = report("paused.pshim")
if document:
    equal(document["totals"]["alloc_calls"], 0, "--no-start records nothing until perfshim_start")
