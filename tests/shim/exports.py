#!/usr/bin/env python3
# test: no-coverage
"""libperfshim.so exports what the sources' lists say and nothing else, under no other version: a name more
would take a host's function away, a name less would let its calls pass unseen."""
import os
import re
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

# Beside the lists: what is passed on to one of theirs, and perfshim.h's table.
ALONE = {"execl", "execle", "execlp", "execv", "execvp", "free_sized", "free_aligned_sized", "mmap64", "perfshim_api_v1"}
LISTS = {"NAMED": ("FOREACH_WRAPPED", "FOREACH_LOCK", "FOREACH_EVENT", "FOREACH_IO", "FOREACH_IDLE", "FOREACH_SLEEP"),
         "FIRST": ("FOREACH_OPEN", "FOREACH_NEW", "FOREACH_DELETE", "FOREACH_SIZED"),
         "VERSIONED": ("FOREACH_VERSIONED",)}


def lists_of(path):
    """The #defines of the lists in a source file."""
    with open(os.path.join(SRC, path), encoding="utf-8") as f:
        return re.findall(r"^#define FOREACH_(?:.*\\\n)*.*\n", f.read(), re.M)


# What the preprocessor makes of them.
source = "".join(lists_of("shim/io_calls.h") + lists_of("shim/real.h") + lists_of("shim/hook_new.c"))
source += """#define NAMED(type, name, ...) @name@
#define FIRST(name, ...) @name@
#define VERSIONED(type, name, symbol, version, ...) @symbol:version@
"""
for macro, names in LISTS.items():
    source += "".join(f"{name}({macro})\n" for name in names)
expanded = run(["gcc", "-E", "-P", "-x", "c", "-"], input=source)
ok(expanded.status == 0, "the lists are read", expanded)
wanted = re.findall(r"@\s*(.*?)\s*@", expanded.out)
listed = {re.sub(r'"(\w+)"\s*:\s*"([\w.]+)"', r"\1@\2", name) for name in wanted}
ok(len(listed) > 150 and "read" in listed and "pthread_cond_wait@GLIBC_2.2.5" in listed, "and hold many names", listed)
equal(sorted(set(name for name in wanted if wanted.count(name) > 1)), [], "each once")

table = run(["readelf", "--dyn-syms", "--wide", SHIM])
rows = [line.split() for line in table.out.splitlines() if re.match(r"\s*\d+: ", line)]
exported = [row[7].replace("@@", "@") for row in rows if row[6] not in ("UND", "ABS")]
equal(sorted(set(exported) - listed - ALONE), [], "nothing is exported that no list names")
equal(sorted((listed | ALONE) - set(exported)), [], "and all that they name is")
equal({row[7]: row[3:5] for row in rows if row[6] not in ("UND", "ABS") and row[3:5] != ["FUNC", "GLOBAL"]},
      {"perfshim_api_v1": ["OBJECT", "GLOBAL"]}, "functions, and one table")
equal([name for name in exported if "@" in name and re.sub("@.*", "", name) in exported], [],
      "what has versions has no form without one")
# The default is what a program that is linked today gets: glibc's is the newer, too.
equal({row[7] for row in rows if row[6] not in ("UND", "ABS") and "@@" in row[7]},
      {name.replace("@", "@@") for name in listed if name.endswith("@GLIBC_2.3.2")}, "which version is the default")
