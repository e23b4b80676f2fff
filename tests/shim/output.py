#!/usr/bin/env python3
"""Where the profile goes: names, names that are taken, folders, links, modes, places that cannot be
written. Whatever happens there, the program runs as it does alone."""
import os
import stat
import sys

sys.path[:0] = [os.environ["SRC"] + "/tests", os.environ["SRC"] + "/tests/helpers"]
from lib import *
from figures import *

PROGRAM = [helper("many_stacks"), "6"]


def runs(label, env, cwd=None, program=PROGRAM):
    done = run(program, env=clean_env(LD_PRELOAD=SHIM, **env), cwd=cwd)
    equal((done.status, done.out, done.err), (0, '{"calls":64}\n', ""), f"{label}: the program runs")
    return done


def folder(name):
    os.mkdir(name)
    return name


# The name that nobody chose, and what happens when it is taken: the pid makes it new, so a file
# of that name has to be there first. `exec` keeps the pid, so a shell can make it.
place = folder("default")
runs("no PERFSHIM_OUT", {}, cwd=place)
names = profiles(place)
ok(len(names) == 1 and names[0].startswith("perfshim-many_stacks-") and
   names[0][len("perfshim-many_stacks-"):-len(".pshim")].isdigit(),
   "the file is called perfshim-PROGRAM-PID.pshim", names)
equal(stat.S_IMODE(os.stat(f"{place}/{names[0]}").st_mode), 0o600, "its mode is 0600")

place = folder("taken")
script = ('n=$$; echo mine >perfshim-many_stacks-$n.pshim; echo mine >perfshim-many_stacks-$n-2.pshim; '
          f'exec env LD_PRELOAD={SHIM} {" ".join(PROGRAM)}')
done = run(["sh", "-c", script], env=clean_env(), cwd=place)
equal(done.status, 0, "default name taken twice: the program runs")
names = sorted(os.listdir(place), key=lambda name: (len(name), name))
ok(len(names) == 3 and names[1].endswith("-2.pshim") and names[2].endswith("-3.pshim"),
   "a name that is taken twice becomes -3", names)
ok([os.path.getsize(f"{place}/{n}") for n in names][:2] == [5, 5], "what was there is untouched",
   names)

place = folder("named")
with open(f"{place}/p.pshim", "w", encoding="utf-8") as f:
    f.write("mine\n")
runs("PERFSHIM_OUT taken", {"PERFSHIM_OUT": os.path.abspath(f"{place}/p.pshim")})
equal(profiles(place), ["p-2.pshim", "p.pshim"], "a chosen name that is taken becomes -2")
equal(open(f"{place}/p.pshim", encoding="utf-8").read(), "mine\n", "the file of that name is kept")
runs("PERFSHIM_OUT taken twice", {"PERFSHIM_OUT": os.path.abspath(f"{place}/p.pshim")})
equal(profiles(place), ["p-2.pshim", "p-3.pshim", "p.pshim"], "then -3")

place = folder("folder")
runs("PERFSHIM_OUT=folder/", {"PERFSHIM_OUT": os.path.abspath(place) + "/"})
names = profiles(place)
ok(len(names) == 1 and names[0].startswith("perfshim-many_stacks-"),
   "a folder with / gets the default name", names)

place = folder("pid")
runs("PERFSHIM_OUT with %p", {"PERFSHIM_OUT": os.path.abspath(place) + "/a-%p-b.pshim"})
names = profiles(place)
document = report(f"{place}/{names[0]}") if len(names) == 1 else None
ok(document and names[0] == f"a-{document['process']['pid']}-b.pshim", "%p is the process id",
   names)
place = folder("relative")
runs("PERFSHIM_OUT relative", {"PERFSHIM_OUT": "here.pshim"}, cwd=place)
equal(profiles(place), ["here.pshim"], "a relative name is below the working directory")

# Links are never followed: neither to a file that is there nor to one that is not.
place = folder("links")
with open(f"{place}/target", "w", encoding="utf-8") as f:
    f.write("precious\n")
os.symlink("target", f"{place}/full.pshim")
os.symlink("nothing", f"{place}/dangling.pshim")
for name in ("full", "dangling"):
    runs(f"PERFSHIM_OUT a {name} link", {"PERFSHIM_OUT": os.path.abspath(f"{place}/{name}.pshim")})
equal(open(f"{place}/target", encoding="utf-8").read(), "precious\n",
      "the file behind a link is untouched")
ok(not os.path.lexists(f"{place}/nothing"), "no file is made behind a link")

# Places that cannot be written.
for label, out in (("a missing folder", "/nonexistent-folder/x/p.pshim"),
                   ("a folder that is a file", os.path.abspath("links/target") + "/p.pshim"),
                   ("/proc", "/proc/p.pshim"), ("nothing", ""),
                   ("a name too long", "x" * 5000)):
    place = folder("bad-" + label.replace(" ", "-").replace("/", ""))
    runs(f"PERFSHIM_OUT is {label}", {"PERFSHIM_OUT": out}, cwd=place)
place = folder("pipe")
os.mkfifo(f"{place}/p.pshim")
runs("PERFSHIM_OUT is a pipe that nobody reads", {"PERFSHIM_OUT": "p.pshim"}, cwd=place)
if os.geteuid() == 0:
    place = folder("owned")
    os.chmod(place, 0o755)
    done = run(["setpriv", "--reuid=65534", "--clear-groups", "env", f"LD_PRELOAD={SHIM}",
                *PROGRAM], env=clean_env(), cwd=place)
    if "Permission denied" in done.err:
        skip("a folder without write permission: the program runs", "the build is not readable")
    else:
        equal((done.status, done.out, done.err), (0, '{"calls":64}\n', ""),
              "a folder without write permission: the program runs")
        equal(os.listdir(place), [], "and nothing is written there")

# Settings that make no sense are told in the profile; the program runs.
for name, value in (("PERFSHIM_ALLOC", "sometimes"), ("PERFSHIM_CPU_HZ", "fast"),
                    ("PERFSHIM_MAX_MB", "-3"), ("PERFSHIM_UNWIND", "magic"),
                    ("PERFSHIM_CPU_HZ", "99999999999"), ("PERFSHIM_START", "maybe")):
    out = os.path.abspath(f"value-{name}-{len(value)}.pshim")
    runs(f"{name}={value}", {name: value, "PERFSHIM_OUT": out})
    text = run([PERFSHIM, "report", out], env=clean_env())
    match(text.out + text.err, name, f"{name}={value} is told")
