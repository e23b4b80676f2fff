#!/usr/bin/env python3
"""perfshim top: its readings add up, a program's end is told, the terminal is given back; what cannot be
watched gets a message and exit code 3. top_delay.py tests when a change is printed."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from watch import *


def top(*argv, **options):
    return run([PERFSHIM, "top", *argv], env=clean_env(), **options)


# JSON: the readings add up.
victim = profiled([VICTIM, 500], "json.pshim")
done = top("--json", "-c", "3", "-i0.4", "json.pshim")
documents = [json.loads(line) for line in done.out.splitlines()]
equal((done.status, done.err, len(documents)), (0, "", 3), "--json -c 3: three lines, three documents")
ok(all(d["schema"] == "perfshim.top/1" and d["process"]["end"] == "running" and
       {"time", "interval_s", "now", "per_second", "totals", "progress", "functions", "locks", "loss"}
       <= set(d) for d in documents), "each has the contract's keys")
for key, level in (("ops", "ops"), ("live_bytes", "live_bytes")):
    ok(all(b["now"][level] - a["now"][level] == b["totals"][key]
           for a, b in zip(documents, documents[1:])), f"differences of {key} add up to what is now")
functions = [(f, d["totals"]) for d in documents for f in d["functions"]]
ok(functions and all(f["cpu_ns"]["cum"] <= whole["cpu_ns"] for f, whole in functions),
   "no function has more than the whole")
note(top("--json=top.json", "-c1", "-i0.1", "json.pshim").err)
equal(json.load(open("top.json"))["schema"], "perfshim.top/1", "--json=F writes them to F")

# Killed: by whom it is not known, unless `perfshim record` saw it.
watcher = start([PERFSHIM, "top", "--plain", "-i", "10", victim.pid])
seen = Reader(watcher)
until(lambda: seen.lines)
time.sleep(0.3)
at = time.time()
victim.kill()
status, err = seen.finish()
equal((status, err), (0, ""), "kill -9 of the watched program: exit code 0")
ok(time.time() - at < 5, "and it is told at once, whatever the interval")
match(seen.lines[-1][1], r" END   pid \d+  killed after", "the last line says that it was killed")
victim.wait()
victim = start([PERFSHIM, "record", "-o", "killed.pshim", "--", VICTIM, 500])
until(lambda: ready("killed.pshim"))
seen = Reader(start([PERFSHIM, "top", "--plain", "killed.pshim"]))
until(lambda: seen.lines)
pid = int(re.search(r"pid (\d+)", seen.lines[0][1])[1]) if seen.lines else 0
ok(pid, "the program that record started is watched") and os.kill(pid, signal.SIGKILL)
equal(victim.wait(10), 137, "record exits as its program did")
seen.finish()
match(seen.lines[-1][1], r"killed by SIGKILL after", "a recorded program's signal is named")

# A profile of one that has ended, by its name and by its pid.
preload([VICTIM, 1], "ended.pshim")
for name in ("ended.pshim", pid):
    done = top("--plain", name, timeout=10)
    tags = [STAMP.match(line)[3] for line in done.out.splitlines()]
    ok(done.status == 0 and tags[0] == "WATCH" and tags[-1] == "END" and tags.count("RUN") == 1,
       f"a program that has ended ({name}): one reading, and how it ended", done)

# What cannot be watched.
os.mkdir("place")
bare = start(["sleep", "60"])
forked = profiled([VICTIM, 500, "fork"], "forked.pshim")
child = int(forked.stdout.readline().split()[1])
gone = profiled([VICTIM, 500], "place/gone.pshim")
os.unlink("place/gone.pshim")
gone_dead = subprocess.Popen(["true"])
gone_dead.wait()
CASES = [
    ("no such process", gone_dead.pid, rf"no process {gone_dead.pid}, and no profile of it here"),
    ("a process without the library", bare.pid, rf"pid {bare.pid} is not profiled: it has no profile"),
    ("a forked child", child, rf"pid {child} is not profiled: .* profile of pid {forked.pid}, .*forked"),
    ("a profile that was deleted", gone.pid, rf"pid {gone.pid}: its profile was deleted: .*gone\.pshim"),
    ("a process that cannot be", "99999999999", r"no process 99999999999 can be"),
    ("no such file", "nowhere.pshim", r"nowhere\.pshim: cannot open"),
    ("a file of something else", VICTIM, r".*/top_victim: is not a perfshim profile"),
]
for label, what, said in CASES:
    done = top("--plain", what, cwd="place")
    equal((done.status, done.out), (3, ""), f"{label}: exit code 3, nothing on stdout")
    match(done.err, f"^perfshim top: {said}", f"{label}: the message says what")
done = top("--plain", cwd="place")
ok(done.status == 3 and "no profile named" in done.err, "no profile anywhere", done)
preload(["true"], "unlocked.pshim", env={"PERFSHIM_LOCKS": "off"})
for argv, said in ((["-i", "50ms"], r"-i: '50ms'"), (["-i", "fast"], r"-i: 'fast'"), (["-i0"], r"-i: '0'"),
                   (["-c0"], r"-c: '0'"), (["--sort=size"], r"size"), (["a", "b"], r"'b'"),
                   (["--sort=lock", "unlocked.pshim"], r"--sort=lock: .*not measure")):
    done = top(*argv)
    equal((done.status, done.out), (2, ""), f"top {' '.join(argv)}: exit code 2")
    match(done.err, f"^perfshim top: .*{said}", "and what was wrong")
for process in (bare, gone):
    process.kill()
    process.wait()

# A profile that is damaged, or cut, while it is watched.
whole = bytearray(open("forked.pshim", "rb").read())  # of a running program

def broken(name, harm, said):
    with open(name, "wb") as f:
        f.write(whole)
    seen = Reader(start([PERFSHIM, "top", "--plain", "-i0.2", name]))
    until(lambda: len(seen.lines) > 3)
    with open(name, "r+b") as f:
        harm(f)
    status, err = seen.finish(10)
    equal(status, 3, f"{name} while it is watched: exit code 3")
    match(err, said, f"{name}: the message says what is wrong")


def account_harm(f):
    """The first account refers to a node far outside of the table."""
    number, account = 2, None
    for at in range(0, 8192 - 64, 8):
        offset, _, used, _, record, region = struct.unpack_from("<4Q2I", whole, at)
        if region == number and record == 64 and used and offset % 4096 == 0 and offset:
            account = offset
            break
    kind = struct.unpack_from("<H", whole, account + 70)[0]
    f.seek(account + 64)
    f.write(struct.pack("<IHH", 0xfffffff, 1, kind or 1))


broken("harmed.pshim", account_harm, r"^perfshim top: harmed\.pshim: is damaged: byte \d+: account 1 ")
broken("cut.pshim", lambda f: f.truncate(8192), r"^perfshim(?: top)?: .*truncated")

# A terminal.
def painted(out, size):
    """The screen after the bytes of an xterm, as lines: as much of a terminal as ncurses asks for."""
    cells, y, x = [[" "] * size[1] for _ in range(size[0])], 0, 0
    for code, params, final, text in re.findall(
            r"(\x1b)(?:[()][0AB]|[=>]|\[([?\d;]*)([@-~]))|([^\x1b])", out):
        n = [int(p) if p.isdigit() else 0 for p in params.split(";")] + [0]
        one = max(n[0], 1)
        row = cells[min(y, size[0] - 1)]
        if text == "\r":
            x = 0
        elif text == "\n":
            y += 1
        elif text == "\b":
            x -= 1
        elif text or final == "b":
            for _ in range(1 if text else one):
                row[x:x + 1] = [text or row[x - 1]]
                x += 1
        elif final == "H":
            y, x = one - 1, max(n[1], 1) - 1
        elif final in ("d", "A", "B"):
            y = {"d": one - 1, "A": y - one, "B": y + one}[final]
        elif final in ("G", "C", "D"):
            x = {"G": one - 1, "C": x + one, "D": x - one}[final]
        elif final == "J":
            first = 0 if n[0] == 2 else y
            cells[first:] = [[" "] * size[1] for _ in range(first, size[0])]
        elif final == "K":
            row[:] = row[:x] + [" "] * (size[1] - x) if n[0] == 0 else [" "] * (x + 1) + row[x + 1:]
        elif final == "X":
            row[x:x + one] = [" "] * one
        elif final == "P":
            row[:] = row[:x] + row[x + one:] + [" "] * one
        elif final == "@":
            row[:] = (row[:x] + [" "] * one + row[x:])[:size[1]]
    return "\n".join("".join(row).rstrip() for row in cells)


def terminal(argv, keys, seconds=20, size=(24, 80), **env):
    """Runs argv on a terminal of its own. keys: (what the screen must show first, what is then typed: bytes,
    a signal, or another size). The exit status, and what was written to the terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    process = subprocess.Popen([str(a) for a in argv], stdin=slave, stdout=slave, stderr=slave,
                               env=clean_env(**env), start_new_session=True)
    os.close(slave)
    out, end, keys = "", time.time() + seconds, list(keys)
    while time.time() < end:
        try:
            if select.select([master], [], [], 0.05)[0]:
                out += os.read(master, 65536).decode("latin-1")
        except OSError:  # its other end is closed
            break
        if keys and re.search(keys[0][0], painted(out, size), re.MULTILINE):
            key = keys.pop(0)[1]
            if isinstance(key, tuple):
                size = key
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
                process.send_signal(signal.SIGWINCH)  # as its session has no terminal
            elif isinstance(key, int):
                process.send_signal(key)
            else:
                os.write(master, key)
    os.close(master)
    if process.poll() is None and time.time() >= end:
        process.kill()
        note(f"never seen: {keys[0][0] if keys else 'its end'}\n{painted(out, size)}")
    return process.wait(5), out


def shown(out, size):
    """The last screen before the terminal was given back, and whether it was."""
    before, leave, _ = out.partition("\x1b[?1049l")
    return painted(before, size), bool(leave)


TOP = [PERFSHIM, "top", "-i0.2", "forked.pshim"]
status, out = terminal(TOP, [(r"burn(?s:.*)^LAST INTERVAL", b"q")], TERM="xterm", NO_COLOR="")
screen, left = shown(out, (24, 80))
ok(status == 0 and left, "q gives the terminal back, exit code 0", status, out)
for text in (rf"^WATCH pid {forked.pid}  top_victim 500 fork$", r"^RUN   ops \d+ .* threads 2$",
             r"^LIVE .* peak ", r"^  flat%    cum%  allocs/s  function$", r"  burn +top_victim\.c:\d+$",
             r"^LAST INTERVAL  q quit  space pause  s sort  \+/- interval 0\.20s$"):
    match(screen, text, f"80x24: the screen has /{text}/")
ok("SINCE THE START" in out, "the first screen is of the time since the start")
ok("\x1b[0;1m" in out and "\x1b[0;7m" in out, "tags and headings are emphasised")
keys = [("^LAST", b"s"), ("^TOP   by cost of its own", b"+"), ("0\\.40s$", b"+"), ("0\\.80s$", b"-x"),
        ("0\\.40s$", b" "), ("^PAUSED", b" "), ("^LAST", b" "), ("^PAUSED", b"q")]
screen, left = shown(terminal(TOP, keys, TERM="xterm")[1], (24, 80))
match(screen, r"^TOP   by cost of its own: ", "s: another order")
match(screen, r"^PAUSED  q quit  space go on  s sort  \+/- interval 0\.40s$",
      "+, - and space: other intervals, a pause")
status, out = terminal(TOP, [("^LAST", b"q")], size=(10, 40), TERM="xterm", NO_COLOR=1)
screen, left = shown(out, (10, 40))
ok(status == 0 and left and "WATCH" in screen.splitlines()[0], "40x10: it fits", status, screen)
ok(not re.search(r"\x1b\[(0;)?[17]m", out), "NO_COLOR: no emphasis", repr(out[:300]))
status, out = terminal(TOP, [("^LAST", (12, 100)), (r"interval 0\.20s$", b"q")], size=(10, 40), TERM="xterm")
screen, left = shown(out, (12, 100))
match(screen, r"^LAST INTERVAL  q quit  space pause  s sort  \+/- interval 0\.20s$",
      "a larger window is filled")
for number in (signal.SIGINT, signal.SIGTERM):
    status, screen = terminal(TOP, [("^SINCE", int(number))], TERM="xterm")
    ok(status == 0 and shown(screen, (24, 80))[1], f"{number.name}: the terminal is given back, exit code 0", status)
status, screen = terminal(TOP + ["-c2"], [], TERM="dumb")
equal(status, 0, "a dumb terminal: exit code 0")
match(screen, r"perfshim top: this terminal cannot place text: lines instead", "a dumb terminal is told")
match(screen, r"Z RUN   ops", "and gets lines")
forked.kill()
forked.wait()
try:
    os.kill(child, signal.SIGKILL)
except ProcessLookupError:
    pass
