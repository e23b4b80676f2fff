#!/usr/bin/env python3
# The runner counts what went wrong, whatever the way it went wrong.
import os
import re
import shutil
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

BASH = "#!/usr/bin/env bash\n"
SCRIPTS = {  # name: (text, passed, failed, skipped, what the output tells)
    "fine.sh": ('source "$SRC/tests/lib.sh"\nok a true\nskip b why\n', 1, 0, 1, "1 passed, 1 skipped"),
    "fails.sh": ('source "$SRC/tests/lib.sh"\nok a false\nok b true\n', 1, 1, 0, "not ok 1 - a"),
    "dies.sh": ('source "$SRC/tests/lib.sh"\nok a true\nkill -SEGV $$\n', 1, 1, 0, "SIGSEGV"),
    "unset.sh": ('source "$SRC/tests/lib.sh"\nok a true\necho $nothing\n', 1, 1, 0, "exit status"),
    "silent.sh": ("true\n", 0, 1, 0, "printed no check"),
    "plan.sh": ('echo "1..2"\necho "ok 1 - a"\n', 1, 1, 0, "planned 2 checks, printed 1"),
    "lies.sh": ('echo "not ok 1 - a"\n', 0, 2, 0, "in spite of a failed check"),
    "hangs.sh": ("# test: timeout=1\necho 'ok 1 - a'\nsleep 60 &\nsleep 60\n", 1, 1, 0, "out of time"),
    "leaves.sh": ("echo 'ok 1 - a'\nsleep 60 &\n", 1, 1, 0, "left processes"),
}


def runner(*args):
    return run([TMP + "/tree/tests/run", "--build", TMP + "/tree/build", *args])


root = TMP + "/tree/tests"
os.makedirs(root + "/part")
for name in ("run", "lib.sh", "lib.py"):
    shutil.copy(f"{SRC}/tests/{name}", root)
for name, (text, *_) in SCRIPTS.items():
    with open(f"{root}/part/{name}", "w") as f:
        f.write(BASH + text)
    os.chmod(f"{root}/part/{name}", 0o755)

for name, (text, passed, failed, skipped, told) in SCRIPTS.items():
    done = runner("part/" + name)
    last = done.out.splitlines()[-1]
    ok(last == f"{passed} passed, {failed} failed, {skipped} skipped" and told in done.out
       and done.status == (1 if failed else 0), f"a file that {name[:-3]} is counted right", done)
done = runner("--tier", "soak")
equal((done.status, done.out.splitlines()[-1]), (1, "0 passed, 0 failed, 0 skipped"),
      "a run of no test fails")
os.mkdir(f"{root}/marked")
for name, marks in (("plain", ""), ("slow", "timing"), ("only", "timing coverage"), ("again", "no-coverage")):
    with open(f"{root}/marked/{name}.sh", "w") as f:
        f.write(f"#!/bin/bash\n# test: timeout=9 {marks}\necho 'ok 1'; echo 1..1\n")
    os.chmod(f"{root}/marked/{name}.sh", 0o755)
listed = [re.search(r"(\w+)\.sh", line)[1] for line in runner("--coverage", "--list", "marked").out.splitlines()
          if ".sh" in line]
equal(sorted(listed), ["only", "plain"], "a coverage run leaves out what is marked so")
equal(runner("nosuch").status, 2, "an unknown test is wrong use")
