#!/usr/bin/env python3
# test: no-coverage
"""What programs do with jumps, stacks, signals, forks and libraries stays as it is without the shim."""
import os
import subprocess
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

HABITS = B + "/helpers/habits"


def same(habit, *arguments, env=None):
    """Runs it plain and under the shim; the report of the second run, or None."""
    plain = run([HABITS, habit, *arguments], env=clean_env())
    under = preload([HABITS, habit, *arguments], habit + ".pshim", env=env)
    equal(plain.status, 0, f"{habit}: the program runs")
    equal((under.status, under.out, under.err), (plain.status, plain.out, plain.err),
          f"{habit}: as without the shim")
    return report(habit + ".pshim")


document = same("jump", env={"PERFSHIM_CPU_HZ": "4000"})
if document:
    ok(document["totals"]["alloc_calls"] >= 10000, "jump: what is allocated afterwards is counted",
       document["totals"], document["loss"])
    ok(document["totals"]["cpu_ns"] > 1e8, "jump: and CPU time is", document["totals"])
same("altstack", env={"PERFSHIM_CPU_HZ": "4000"})
document = same("aligned")
if document:
    equal(document["loss"], {}, "aligned: no block is taken for another")
same("atfork")
same("own_signal")

for name in "one", "two":
    source = f"{name}.c"
    with open(source, "w", encoding="utf-8") as f:
        f.write("#include <stdlib.h>\n"
                f"void *work_{name}(size_t n);\n"
                f"void *work_{name}(size_t n) {{ void *p = malloc(n); __asm__ volatile(\"\" : \"+r\"(p)); return p; }}\n"
                f"void *work(size_t n) __attribute__((alias(\"work_{name}\")));\n"
                "static __attribute__((destructor)) void end(void) "
                "{ void *p = malloc(33); __asm__ volatile(\"\" : \"+r\"(p)); free(p); }\n")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", f"lib_{name}.so", source], check=True)
document = same("reload", *[os.path.abspath(f"lib_{n}.so") for n in ("one", "two", "one")])
if document:
    calls = {}
    for site in document["sites"]:
        module = os.path.basename(site["frames"][0]["module"] or "")
        if site["kind"] == "alloc" and module.startswith("lib_"):
            calls[module] = calls.get(module, 0) + site["alloc_calls"]
    equal(calls, {"lib_one.so": 2002, "lib_two.so": 1001}, "reload: each library is charged its own")

# An allocator of its own without malloc_usable_size: glibc's must not be asked about its blocks.
with open("toy.c", "w", encoding="utf-8") as f:
    f.write("""#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
static char *at; static size_t left;
void *malloc(size_t n) { n = (n + 31) & ~15ul; if (n > left) { left = n > 1<<24 ? n : 1<<24;
  at = mmap(0, left, 3, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0); }
  char *p = at; at += n; left -= n; *(size_t *)p = n - 16; return p + 16; }
void free(void *p) { (void)p; }
void *calloc(size_t a, size_t b) { return malloc(a * b); }
void *realloc(void *p, size_t n) { void *q = malloc(n); if (p) { size_t m = ((size_t *)p)[-2]; memcpy(q, p, m < n ? m : n); } return q; }
""")
subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-fno-builtin", "-o", "toy.so", "toy.c"], check=True)
result = preload(["/bin/ls", "-d", "/usr"], "toy.pshim", env={"LD_PRELOAD": f"{SHIM}:{TMP}/toy.so"})
equal((result.status, result.out, result.err), (0, "/usr\n", ""), "a toy allocator: the program runs")
document = report("toy.pshim")
if document:
    equal(document["totals"]["alloc_calls"], None, "a toy allocator: allocations are not known")

# A relative LD_PRELOAD, and an exec from another folder.
os.symlink(SHIM, "libperfshim.so")
result = run(["sh", "-c", "cd / && exec ls -d /tmp"],
             env=clean_env(LD_PRELOAD="./libperfshim.so", PERFSHIM_OUT=TMP + "/r.pshim"))
equal((result.status, result.out, result.err), (0, "/tmp\n", ""), "a relative LD_PRELOAD: exec elsewhere")
ok(os.path.exists("r.pshim") and os.path.exists("r.pshim.1"), "and both images are profiled")

# A folder whose name LD_PRELOAD cannot hold: the entry stays as it was given.
os.mkdir("with a:blank")
os.symlink(SHIM, "with a:blank/libperfshim.so")
for where, command, profiles in (("here", "exec ls -d /tmp", 2), ("elsewhere", "cd / && exec ls -d /tmp", 1)):
    result = run(["sh", "-c", command], cwd="with a:blank",
                 env=clean_env(LD_PRELOAD="./libperfshim.so", PERFSHIM_OUT=f"{TMP}/{where}.pshim"))
    equal((result.status, result.out, result.err), (0, "/tmp\n", ""), f"a folder with a blank: exec {where}")
    equal(sum(name.startswith(where) for name in os.listdir(TMP)), profiles,
          f"and {profiles} of 2 images are profiled")

result = run(["sh", "-c", "ulimit -d 20000; exec python3 -c 'print(6)'"],
             env=clean_env(LD_PRELOAD=SHIM, PERFSHIM_OUT=TMP + "/d.pshim"))
equal((result.status, result.out), (0, "6\n"), "a small RLIMIT_DATA: the program has its memory")

# More threads than the table of threads holds.
result = preload([B + "/helpers/busy", "1000", "1", "brief"], "t.pshim", env={"PERFSHIM_MAX_MB": "1"})
document = report("t.pshim")
if document:
    ok(document["loss"].get("thread_table_full", 0) > 0, "a full thread table says so", document["loss"])
    equal((result.status, document["process"]["threads"]), (0, 1001), "and every thread is counted")

# Started with every signal blocked, as some supervisors do: it is sampled all the same.
blocker = ("import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); "
           "os.execve(sys.argv[1], sys.argv[1:], dict(os.environ, LD_PRELOAD=sys.argv[-1]))")
result = run([sys.executable, "-c", blocker, B + "/helpers/busy", "1", "1", SHIM],
             env=clean_env(PERFSHIM_OUT=TMP + "/b.pshim"))
document = report("b.pshim")
if document:
    ok(document["mode"]["cpu_ticks"] > 50, "signals blocked by its parent: ticks come",
       result, document["mode"])
