#!/usr/bin/env python3
"""Profiles staged in /dev/shm: F is a link until the end, then the profile itself. Whatever is
killed, `report F` works and `record --recover F` makes it a plain file; what cannot be staged is
written where it belongs at once."""
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

WORK = [helper("resources"), "work"]
# Of no size but of its own: the system's is shared with whoever else records here.
OWN_SHM = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o "$1" none /dev/shm && shift && exec "$@"',
           "own-shm"]
can_mount = run([*OWN_SHM, "size=1m", "true"]).status == 0


def record(*argv, before=(), **options):
    return run([*before, PERFSHIM, "record", *argv], env=clean_env(), **options)


def recover(label, status, said, *files, before=()):
    done = record("--recover", *files, before=before)
    equal((done.status, done.out), (status, ""), f"{label}: --recover exits {status}")
    match(done.err, rf"^perfshim record: {said}", f"{label}: and says so")


def folder_of(profile):
    """The folder in /dev/shm that F is a link into; None: F is no link."""
    return os.path.dirname(os.readlink(profile)) if os.path.islink(profile) else None


def is_plain(profile):
    return os.path.isfile(profile) and not os.path.islink(profile)


class Recorded:
    """A program at work under record, in a process group of their own."""

    def __init__(self, out, *options):
        self.ledger = out + ".ledger"
        if os.path.exists(self.ledger):
            os.unlink(self.ledger)
        self.process = subprocess.Popen(
            [PERFSHIM, "record", "--stage=on", "-o", out, *options, "--", helper("kill_ledger"),
             self.ledger], env=clean_env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(out + ".err", "w", encoding="utf-8"), process_group=0)
        self.error = out + ".err"
        self.pid = 0
        while not self.pid and self.process.poll() is None:
            if os.path.exists(self.ledger):
                with open(self.ledger, "rb") as f:
                    self.pid = int.from_bytes(f.read(8), "little")
            time.sleep(0.002)
        time.sleep(0.02)

    def begun(self):
        with open(self.ledger, "rb") as f:
            data = f.read()
        return sum(int.from_bytes(data[64 * t:64 * t + 8], "little") for t in range(1, 5))

    def end(self):
        code = self.process.wait()
        with open(self.error, encoding="utf-8") as f:
            return (code if code >= 0 else 128 - code), f.read()


def gone(pid):
    """Waits until the program, an orphan now, has left the profile."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit and os.path.exists(f"/proc/{pid}"):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                return
        time.sleep(0.005)


def calls(profile):
    document = report(profile)
    return document and (document["process"]["end"], document["totals"]["alloc_calls"])


# Each is killed while the profile is staged.
run_ = Recorded("live.pshim")
place = folder_of("live.pshim")
ok(place and place.startswith("/dev/shm/perfshim-"), "F is a link into /dev/shm", place)
equal([stat.S_IMODE(os.stat(p).st_mode) for p in (place, place + "/live.pshim")], [0o700, 0o600],
      "folder and profile are the user's alone")
recover("at work", 125, "live.pshim: its record is still at work", "live.pshim")
refused = record("-o", "live.pshim", "--", *WORK)
equal(refused.status, 125, "a name that another record has: 125")
match(refused.err, "--recover finishes it", "and what may be done")
before = run_.begun()
end, live = calls("live.pshim")
ok(end == "running" and 0 < before <= live <= run_.begun(), "it can be read meanwhile", before, live)

os.kill(run_.pid, signal.SIGKILL)
status, error = run_.end()
equal(status, 137, "the program is killed: record exits 137")
ok(is_plain("live.pshim") and not os.path.exists(place), "F is the profile, nothing stays in /dev/shm")
equal(calls("live.pshim")[0], "signal", "which says how it ended")
match(error, r"\Aperfshim record: live\.pshim, [\d.]+ [KM]iB, nothing lost", "told as ever")
equal(stat.S_IMODE(os.stat("live.pshim").st_mode), 0o600, "its mode is 0600")
size = os.stat("live.pshim")
ok(size.st_size == 64 << 20 and size.st_blocks * 512 < 2 << 20, "it is sparse", size)
recover("with what only a program can have", 125, "--recover takes profiles and no other option",
        "-o", "x.pshim", "--", "true")
recover("a plain profile", 0, "live.pshim: is complete, there is nothing to recover", "live.pshim")

run_ = Recorded("record.pshim")
place = folder_of("record.pshim")
run_.process.kill()
run_.end()
ok(calls("record.pshim")[0] == "running", "record is killed: the program goes on, F can be read")
recover("a program that goes on", 125, rf"record\.pshim: is still in use by process {run_.pid} "
        r"\(kill_ledger\)", "record.pshim")
os.kill(run_.pid, signal.SIGKILL)
gone(run_.pid)
last = calls("record.pshim")
ok(last[0] == "signal" and last[1] >= live // 2, "then it ends: F can be read", last)
with open(f".{os.path.basename(place)}.part", "w", encoding="utf-8") as f:
    f.write("half a copy")
recover("record was killed", 0, r"record\.pshim: recovered, [\d.]+ [KM]iB", "record.pshim")
ok(is_plain("record.pshim") and not os.path.exists(place), "F is the profile, the staged one is gone")
equal(calls("record.pshim"), last, "with the same counts")
equal([n for n in os.listdir(".") if ".part" in n], [], "half a copy of an earlier try is gone")
recover("again", 0, r"record\.pshim: is complete", "record.pshim")

run_ = Recorded("group.pshim")
place = folder_of("group.pshim")
os.killpg(run_.process.pid, signal.SIGKILL)
run_.end()
gone(run_.pid)
last = calls("group.pshim")
ok(last[0] == "signal" and last[1] > 0, "the whole group is killed: F can be read", last)
os.rename("group.pshim", "moved.pshim")
recover("moved", 0, r"moved\.pshim: recovered", "moved.pshim")
ok(is_plain("moved.pshim") and not os.path.exists(place), "a link that was moved is recovered there")
equal(calls("moved.pshim"), last, "with the same counts")

# Killed later: the copy has its name, or F was deleted.
run_ = Recorded("late.pshim")
place = folder_of("late.pshim")
os.killpg(run_.process.pid, signal.SIGKILL)
run_.end()
gone(run_.pid)
link = os.readlink("late.pshim")
os.unlink("late.pshim")
shutil.copy(link, "late.pshim")
recover("killed after the copy", 0, r"late\.pshim: is complete", "late.pshim")
ok(not os.path.exists(place) and is_plain("late.pshim"), "what was still staged is gone")
for forced in (False, True):
    run_ = Recorded("lost.pshim")
    place = folder_of("lost.pshim")
    os.killpg(run_.process.pid, signal.SIGKILL)
    run_.end()
    gone(run_.pid)
    if forced:
        equal(record("-f", "-o", "lost.pshim", "--", *WORK).status, 0, "--force takes the name")
        ok(is_plain("lost.pshim") and not os.path.exists(place), "and what was staged for it is gone")
    else:
        os.unlink("lost.pshim")
        recover("a link that was deleted", 0, r"lost\.pshim: recovered", "lost.pshim")
        ok(is_plain("lost.pshim") and not os.path.exists(place), "by its name alone")
        os.unlink("lost.pshim")

# Images that exec replaced, and a name that one of them finds taken.
with open("chain.pshim.1", "w", encoding="utf-8") as f:
    f.write("mine\n")
done = record("--stage=on", "-o", "chain.pshim", "--", helper("exec_chain"), 2)
equal(done.status, 0, "a chain of images")
counted = {name: flat(report(name), "image_alloc", "alloc_calls")
           for name in ("chain.pshim", "chain.pshim.2", "chain.pshim.3")}
equal(counted, {"chain.pshim": 1000, "chain.pshim.2": 3000, "chain.pshim.3": 2000},
      "the last has F, the others the next numbers that are free")
equal(open("chain.pshim.1", encoding="utf-8").read(), "mine\n", "a file of that name is untouched")

# A process that goes on with the profile mapped.
code = "import os,sys,time\nif os.fork() == 0:\n print(os.getpid(), flush=True)\n time.sleep(60)\n"
process = subprocess.Popen([PERFSHIM, "record", "--stage=on", "-o", "daemon.pshim", "--", sys.executable,
                            "-c", code], env=clean_env(), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
child = int(process.stdout.readline())
error = process.stderr.readline().decode()
equal(process.wait(), 0, "a child that goes on: record ends with its program")
match(error, rf"^perfshim record: daemon\.pshim is a link to /dev/shm/perfshim-\w{{6}}/daemon\.pshim: "
      rf"process {child} \(python\S*\) still has that mapped; .*--recover daemon\.pshim$",
      "F stays a link, and record says why")
ok(calls("daemon.pshim")[0] == "exit", "which can be read")
os.kill(child, signal.SIGTERM)
gone(child)
recover("when the child has ended", 0, r"daemon\.pshim: recovered", "daemon.pshim")
process.communicate()

# Nothing is started, or nothing is written: no link stays.
done = record("--stage=on", "-o", "none.pshim", "--", "prlimit", "--fsize=0", *WORK)
equal((done.status, os.path.lexists("none.pshim")), (0, False), "no profile was written: no link")
match(done.err, r"^perfshim record: .*none\.pshim: no profile was written", "and record says so")
done = record("--stage=on", "-o", "static.pshim", "--", helper("static_prog"))
equal((done.status, os.path.lexists("static.pshim")), (121, False), "a static program: no link")
os.mkdir("no-lib")
done = record("--stage=off", "-o", "off.pshim", "--", "sh", "-c", "test ! -L off.pshim")
equal((done.status, is_plain("off.pshim")), (0, True), "--stage=off: F is the profile at once")

# Files that are no such thing.
with open("words", "w", encoding="utf-8") as f:
    f.write("words\n")
os.symlink("words", "link")
os.symlink("/dev/shm/perfshim-nobody/gone.pshim", "gone.pshim")
os.symlink("/dev/shm/perfshim-nobody/../x", "trick.pshim")
recover("a missing file", 125, r"missing\.pshim: No such file", "missing.pshim")
recover("another file", 125, "words: is not a perfshim profile", "words")
recover("a folder", 125, "no-lib: is a directory", "no-lib")
recover("a link of somebody's", 125, "link: is a link to something that record did not", "link")
recover("a link out of there", 125, r"trick\.pshim: is a link to something", "trick.pshim")
recover("after a restart of the system", 125, r"gone\.pshim: what was staged for it is gone: /dev/shm",
        "gone.pshim")
recover("one bad, one good", 125, r"words: is not(.|\n)*live\.pshim: is complete", "words",
        "live.pshim")
equal(record("--stage=maybe", "--", *WORK).status, 125, "a choice that is none: 125")


def in_own_shm(options, *argv):
    return run([*OWN_SHM, options, *argv], env=clean_env())


def staged_there(label, expected, options, *flags):
    """Whether F is a link while the program runs, in a /dev/shm of its own kind."""
    done = in_own_shm(options, PERFSHIM, "record", "-f", "-o", "own.pshim", *flags, "--", "sh", "-c",
                      "readlink own.pshim || echo plain")
    wanted = r"\A/dev/shm/perfshim-\w{6}/own\.pshim\n\Z" if expected else r"\Aplain\n\Z"
    match(done.out, wanted, f"{label}: {'staged' if expected else 'not staged'}")
    ok(done.status == 0 and is_plain("own.pshim"), f"{label}: F is the profile in the end", done)


on_disk = run(["stat", "-f", "-c", "%T", "."]).out.strip() not in ("tmpfs", "ramfs")
if can_mount:
    if on_disk:
        staged_there("room for five", True, "size=320m")
        staged_there("64 MiB of which nothing may be executed", False, "size=64m,noexec")
        staged_there("the same, a smaller profile", True, "size=64m,noexec", "--max-mb=8")
        staged_there("a file system that is read-only", False, "size=320m,ro")
    done = in_own_shm("size=1m,ro", PERFSHIM, "record", "--stage=on", "-o", "ro.pshim", "--", *WORK)
    equal((done.status, os.path.lexists("ro.pshim")), (125, False), "--stage=on where it cannot be: 125")
    match(done.err, r"^perfshim record: /dev/shm: Read-only file system$", "and why")
    # All that a user has staged: one that can be recovered, one that cannot, an empty folder.
    script = """
cd "$1"; shift
"$@" --recover; echo first $?
mkdir -m 700 /dev/shm/perfshim-empty1 /dev/shm/perfshim-theirs /dev/shm/perfshim-abcdef
"$@" --stage=on -o all.pshim -- sh -c 'kill -9 $PPID'
sleep 0.1
echo mine >taken.pshim
ln -s "$PWD/taken.pshim" /dev/shm/perfshim-abcdef/.of
echo other >/dev/shm/perfshim-abcdef/taken.pshim
ln -s "$PWD/theirs.pshim" /dev/shm/perfshim-theirs/.of
echo other >/dev/shm/perfshim-theirs/theirs.pshim
ln -s /dev/shm/perfshim-theirs/theirs.pshim theirs.pshim
chown -R 65534 /dev/shm/perfshim-theirs
"$@" --recover; echo second $?
ls /dev/shm
"$@" --recover theirs.pshim; echo third $?
"""
    os.mkdir("all")
    done = in_own_shm("size=32m", "sh", "-c", script, "all", os.path.abspath("all"), PERFSHIM,
                      "record")
    match(done.out, r"\Afirst 0\n", "nothing is staged: 0")
    match(done.err, r"^perfshim record: nothing is staged in /dev/shm, nothing to recover$", "told")
    match(done.out, r"^second 125\n(perfshim-abcdef\nperfshim-theirs)\nthird 125\n\Z",
          "all are recovered but what has no place, and nobody else's")
    match(done.err, rf"^perfshim record: {os.path.abspath('all')}/all\.pshim: recovered", "one is told")
    match(done.err, r"taken\.pshim: File exists; the profile stays in /dev/shm/perfshim-abcdef/taken",
          "one whose name is taken too")
    match(done.err, r"theirs\.pshim: is a link into a folder of somebody else's$", "somebody else's")
    equal(open("all/taken.pshim", encoding="utf-8").read(), "mine\n", "what is there is untouched")
    ok(calls("all/all.pshim"), "what was recovered is a profile")

    # A disk that is full at the end.
    os.mkdir("full")
    script = """
mount -t tmpfs -o size=2m none full
"$@" -o full/f.pshim -- sh -c 'dd if=/dev/zero of=full/filler bs=64k status=none; exit 7'
echo record $?
"$@" --recover full/f.pshim; echo recover $?
"${1}" report full/f.pshim | sed -n 1p
ls -A full; rm full/filler
"$@" --recover full/f.pshim; echo recover $?
test -L full/f.pshim || echo plain
ls -A full
"""
    done = in_own_shm("size=320m", "sh", "-c", script.replace('"$@" -o', '"$@" --stage=on -o'),
                      "full", PERFSHIM, "record")
    match(done.out, r"\Arecord 7\nrecover 125\n.*sh -c .*\nf\.pshim\nfiller\nrecover 0\nplain\nf\.pshim\n\Z",
          "a disk that is full at the end: record exits as its program, F can be read and recovered")
    match(done.err, r"^perfshim record: .*/full/f\.pshim: No space left on device; the profile stays in "
          r"/dev/shm/perfshim-\w{6}/f\.pshim; once that is cured: perfshim record --recover full/f\.pshim$",
          "and says where the profile is")
else:
    skip("a /dev/shm of another kind; a disk that is full at the end", "cannot mount here")
