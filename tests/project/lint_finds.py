#!/usr/bin/env python3
# Every check of tests/lint finds a seeded fault: a lint that cannot fail would let all through.
import os
import re
import shutil
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

OPEN_END = "TO" + "DO"
FAULTS = {  # check: (file, content, what the finding says)
    "format": ("common/a.c", "int  a;\n", r"common/a\.c:1:.*clang-format"),
    "includes": ("store/a.c", '#include "analyzer/b.h"\n', r"store/a\.c:1: store may not include"),
    "includes home": ("store/a.c", "#include <jansson.h>\n", r"store/a\.c:1: <jansson\.h> belongs"),
    "includes path": ("shim/a.c", '#include "nowhere.h"\n', r"shim/a\.c:1: .*not a path"),
    "headers": ("store/a.h", "size_t a(void);\n", r"store/a\.h:1: .*size_t"),
    "bans": ("shim/a.c", "void *malloc(int n)\n{\n    return real.malloc(n) ? 0 : malloc(n);\n}\n",
             r"shim/a\.c:3: malloc\(\) is banned"),
    "bans macro": ("profile/a.c", "#define A(x) printf(x)\n", r"profile/a\.c:1: printf\(\) is banned"),
    "samples": ("analyzer/a.c", 'const char *a = "burn_cpu";\n', r"analyzer/a\.c:1: 'burn_cpu'"),
    "text": ("common/a.c", "int a; \n", r"common/a\.c:1: trailing"),
    "text open end": ("common/a.c", f"/* {OPEN_END}: b */\n", r"common/a\.c:1: open end"),
    "size": ("common/a.c", "\n" * 601, r"warning: common/a\.c:601: over 600"),
    "scripts": ("tests/part/a.sh", "#!/bin/bash\nif\n", r"tests/part/a\.sh: line \d+: syntax"),
    "scripts mode": ("tests/part/a.sh", "#!/bin/bash\n", r"tests/part/a\.sh: not executable"),
    "names": ("tests/unit/test_b.c", "static void a(void **state)\n{\n}\n" * 2, r"test a is also in"),
    "links": ("a.md", "see [b](docs/b.md)\n", r"a\.md:1: no file docs/b\.md"),
}


def lint(check, path, content):
    root = os.path.join(TMP, "tree")
    shutil.rmtree(root, ignore_errors=True)
    files = {"analyzer/b.h": "int b(void);\n", "store/b.h": "int c(void);\n", path: content,
             "samples/a.c": "static void burn_cpu(int n)\n{\n}\n"}
    for name, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), "w") as f:
            f.write(text)
    shutil.copytree(SRC + "/tests/lint", root + "/tests/lint")
    shutil.copy(SRC + "/.clang-format", root)
    return run([root + "/tests/lint/lint.py", check])


for title, (path, content, finding) in FAULTS.items():
    check = title.split()[0]
    done = lint(check, path, content)
    ok(re.search(finding, done.out, re.M) and done.status == (0 if check == "size" else 1),
       f"lint finds a fault of kind: {title}", f"want: /{finding}/", done)
done = lint("text", "common/c.c", "int c;\n")
equal((done.status, done.out.count("nothing to mend")), (0, 1), "lint lets a clean tree pass")
