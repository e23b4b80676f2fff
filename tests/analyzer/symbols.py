#!/usr/bin/env python3
"""Names: stripped programs, files that changed, C++ and inlined frames, and libc's memcpy without
debug packages."""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

SOURCE = r"""
#include <stdlib.h>
#include <string.h>
#include <time.h>
static char from[1 << 16], to[1 << 16];
void *kept[8];
volatile size_t size = sizeof to; /* so that it is a call */
static inline __attribute__((always_inline)) void *inlined_alloc(size_t n)
{
    return malloc(n); /* line 10 */
}
__attribute__((noinline)) void copying(void)
{
    for (int i = 0; i < 20000; i++) {
        memcpy(to, from, size);
        __asm__ volatile("" ::: "memory");
    }
}
__attribute__((noinline)) void keeping(void)
{
    for (int i = 0; i < 8; i++)
        kept[i] = inlined_alloc(100); /* line 22 */
}
int main(void)
{
    struct timespec now;
    keeping();
    do {
        copying();
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    } while (now.tv_sec == 0 && now.tv_nsec < 400000000);
    return 0;
}
"""
with open("prog.c", "w", encoding="utf-8") as f:
    f.write(SOURCE)
built = run(["gcc", "-g", "-O2", "-o", "prog", "prog.c"])
ok(built.status == 0, "a program to profile", built)
shutil.copy("prog", "prog-debug")
done = preload(["./prog"], "prog.pshim")
equal(done.status, 0, "it runs under the shim")


def functions(document):
    return {f["name"]: f for f in document["functions"]}


# With debug information: inlined frames have their own name and line.
document = report("prog.pshim")
by_name = functions(document)
site = next(s for s in document["sites"] if s["alloc_calls"])
equal([(f["name"], f["line"], f["inlined"]) for f in site["frames"][:3]],
      [("inlined_alloc", 10, True), ("keeping", 22, False), ("main", 27, False)],
      "an allocation in inlined code: innermost first, each with its line")
equal(by_name["keeping"]["file"], "prog.c", "files are relative to where they were compiled")
memcpy = by_name.get("memcpy")
total = document["totals"]["cpu_ns"]
ok(memcpy and memcpy["module"].startswith("libc.so") and memcpy["cpu_ns"]["flat"] > 0.6 * total,
   "libc's memcpy has its name", memcpy, list(by_name)[:8])

# The same without any debug package on the machine, and without the program's own.
hidden = ["unshare", "--mount", "sh", "-c",
          'mount -t tmpfs none /usr/lib/debug && exec "$@"', "sh"]
if os.path.isdir("/usr/lib/debug") and run([*hidden, "true"]).status == 0:
    done = run([*hidden, PERFSHIM, "report", "--json", "prog.pshim"], env=clean_env())
    memcpy = functions(json.loads(done.out)).get("memcpy")
    ok(memcpy and memcpy["file"] is None and memcpy["cpu_ns"]["flat"] > 0.6 * total,
       "memcpy has its name without debug packages", done.err)
elif os.path.isdir("/usr/lib/debug/.build-id"):
    skip("memcpy has its name without debug packages", "cannot hide /usr/lib/debug here")
else:
    ok(memcpy, "memcpy has its name without debug packages")

# Stripped: the build-id is the same, so bounds of functions are still true.
run(["strip", "prog"])
document = report("prog.pshim")
names = [f["name"] for f in document["functions"] if f["module"] == "prog"]
ok(names and all(n.startswith("prog+0x") for n in names), "a stripped program: module+offset", names)
listed = subprocess.run(["nm", "prog-debug"], capture_output=True, text=True, check=True).stdout
starts = {int(l.split()[0], 16): l.split()[2] for l in listed.splitlines() if len(l.split()) == 3}
equal({starts.get(int(n.split("+0x")[1], 16)) for n in names} >= {"copying", "keeping", "main"},
      True, "and the offset is the function's start, as call-frame information tells it")
match("memcpy" if "memcpy" in functions(document) else "", "memcpy", "libc's names are not touched")

# Debug information in a separate file, found by build-id or link beside the program.
run(["objcopy", "--only-keep-debug", "prog-debug", "prog.debug"])
run(["objcopy", "--add-gnu-debuglink=prog.debug", "prog"])
by_name = functions(report("prog.pshim"))
ok("inlined_alloc" in by_name and by_name["copying"]["file"] == "prog.c",
   "debug information in a file beside it is found", list(by_name)[:8])

# Another program in its place: it names nothing, and that is said.
with open("prog.c", "w", encoding="utf-8") as f:
    f.write("int unrelated; " + SOURCE.replace("copying", "lying"))
os.unlink("prog")
run(["gcc", "-g", "-O2", "-o", "prog", "prog.c"])
document = report("prog.pshim")
ok(not {"lying", "copying", "main"} & set(functions(document)), "a changed program names nothing")
equal([os.path.basename(m["module"]) for m in document["modules_without_symbols"]], ["prog"],
      "JSON says which module has no symbols")
done = run([PERFSHIM, "report", "prog.pshim"], env=clean_env())
match(done.out, r"^SYMBOLS .*/prog: changed since it was recorded", "the screen says why")
os.unlink("prog")
done = run([PERFSHIM, "report", "prog.pshim"], env=clean_env())
match(done.out, r"^SYMBOLS .*/prog: No such file", "a program that is gone is told")
