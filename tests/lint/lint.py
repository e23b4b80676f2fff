#!/usr/bin/env python3
"""Checks the source tree against tests/lint/rules.

usage: tests/lint/lint.py [--tap] [CHECK...]

Prints `file:line: what is wrong` and exits 1 if there is anything to mend; what WARN_ONLY names is
printed but does not count. --tap prints one TAP line a check instead, with the findings as comments.
The checks are the functions named check_* below.
"""

import ast
import collections
import fnmatch
import os
import re
import subprocess
import sys

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RULES = "tests/lint/rules"
CODE = (".c", ".h", ".cc", ".S")
MAX_LINES = 600
WARN_ONLY = ("size",)


def list_files():
    files = []
    for folder, folders, names in os.walk(SRC):
        folders[:] = sorted(d for d in folders if d not in (".git", "__pycache__", "dist")
                            and d != "build" and not d.startswith("build-"))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), SRC)
            if name != ".git" and not re.search(r"\.(pshim|pyc|o|png)\b", name):
                files.append(path)
    return files


def read(path):
    with open(os.path.join(SRC, path), encoding="utf-8", errors="replace") as f:
        return f.read()


class Rules:
    def __init__(self):
        self.include, self.home, self.ban = {}, [], collections.defaultdict(set)
        self.allow = collections.defaultdict(set)
        for number, line in enumerate(read(RULES).splitlines(), 1):
            line = line.partition("#")[0].strip()
            if not line:
                continue
            head, colon, rest = line.partition(":")
            kind, *subjects = head.split()
            values = rest.split()
            if not colon or not subjects or kind not in ("include", "home", "ban", "allow"):
                sys.exit(f"{RULES}:{number}: not understood")
            for subject in subjects:
                if kind == "include":
                    self.include[subject] = values
                elif kind == "home":
                    self.home.append((subject, values))
                elif kind == "ban":
                    self.ban[subject].update(values)
                else:
                    self.allow[subject].update(values)


FILES = list_files()
SOURCES = [f for f in FILES if f.endswith(CODE)]
RULE = Rules()

LITERAL = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blank(match):
    """The same number of characters and lines without the text."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(text):
    """The text with comments, strings and characters blanked out; offsets are kept."""
    return LITERAL.sub(blank, text)


def strings_of(text):
    """(offset, content) of every string literal."""
    for match in LITERAL.finditer(text):
        if match.group(0).startswith('"'):
            yield match.start(), match.group(0)[1:-1]


def line_at(text, offset):
    return text.count("\n", 0, offset) + 1


def folder_rule(path):
    """The longest folder of the table that holds this file."""
    best = None
    for folder in RULE.include:
        if path.startswith(folder + "/") and (best is None or len(folder) > len(best)):
            best = folder
    return best


def tool(argv):
    return subprocess.run(argv, cwd=SRC, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def check_format():
    """every C file is as clang-format leaves it"""
    files = [f for f in SOURCES if not f.endswith(".S")]
    done = tool(["clang-format", "--dry-run", "-Werror", *files]) if files else None
    if done and done.returncode != 0:
        for line in done.stdout.splitlines():
            if ": error:" in line or ": warning:" in line:
                yield line
        if "error:" not in done.stdout:
            yield done.stdout.strip() or "clang-format failed"


def check_includes():
    """files include only what the table allows, by paths from the root"""
    for path in SOURCES:
        text = read(path)
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text, re.M):
            kind, name = match.groups()
            where = f"{path}:{line_at(text, match.start())}"
            if kind == "<":
                for header, homes in RULE.home:
                    same = name.startswith(header) if header.endswith("/") else name == header
                    if same and not any(fnmatch.fnmatch(path, home) for home in homes):
                        yield f"{where}: <{name}> belongs in {' '.join(homes)} only"
                continue
            folder = folder_rule(path)
            if not os.path.isfile(os.path.join(SRC, name)):
                yield f'{where}: "{name}" is not a path from the root'
            elif folder is None:
                yield f"{where}: this folder is not in the table"
            else:
                of = folder_rule(name) or os.path.dirname(name)
                allowed = RULE.include[folder]
                if of != folder and not {"*", of, name} & set(allowed):
                    yield f'{where}: {folder} may not include "{name}"'


def check_headers():
    """every header compiles alone"""
    for path in SOURCES:
        if not path.endswith(".h"):
            continue
        ways = [["gcc", "-std=gnu11", "-D_GNU_SOURCE"]]
        if path == "shim/perfshim.h":  # the one that strangers include, in whatever dialect
            ways = [["gcc", "-std=c99"], ["gcc", "-std=c11", "-Wpedantic"],
                    ["g++", "-std=c++11", "-Wpedantic", "-x", "c++"]]
        for way in ways:
            done = tool(way + ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I.", "-include",
                               path, "-x", "c++" if "c++" in way else "c", "/dev/null"])
            if done.returncode != 0:
                error = re.search(r"error: .*", done.stdout)
                yield f"{path}:1: {way[0]} {way[1]}: {error.group(0) if error else done.stdout}"


def check_bans():
    """no function that the table bans is called in its folder"""
    for path in SOURCES:
        banned = set()
        for folder, names in RULE.ban.items():
            if path.startswith(folder + "/"):
                banned |= names
        banned -= RULE.allow[path]
        if not banned or path.endswith(".S"):
            continue
        code = code_of(read(path))
        # At depth 0 stands a declaration or definition (the shim defines malloc), except in macros.
        depth, macro, continued = 0, False, False
        for number, line in enumerate(code.splitlines(), 1):
            macro = continued or re.match(r"\s*#\s*define\b", line) is not None
            continued = macro and line.rstrip().endswith("\\")
            for match in re.finditer(r"[{}]|(?<![\w.#])(?<!->)([A-Za-z_]\w*)\s*\(", line):
                if match.group(0) == "{":
                    depth += not macro
                elif match.group(0) == "}":
                    depth -= not macro
                elif match.group(1) in banned and (depth > 0 or macro):
                    yield f"{path}:{number}: {match.group(1)}() is banned here ({RULES})"


def check_samples():
    """the analyzer knows no function name of the samples"""
    names = {}
    for path in SOURCES:
        if path.startswith("samples/"):
            for match in re.finditer(r"^[A-Za-z_][\w \t*]*?\b(\w{4,})\s*\([^;{}]*\)\s*\{",
                                     code_of(read(path)), re.M):
                names[match.group(1)] = path
    names.pop("main", None)
    for path in SOURCES:
        if path.startswith("analyzer/"):
            text = read(path)
            for offset, content in strings_of(text):
                for word in set(re.findall(r"\w+", content)) & set(names):
                    yield (f"{path}:{line_at(text, offset)}: '{word}' is a function of "
                           f"{names[word]}: an analyzer must not know it")


def check_text():
    """no trailing whitespace, tabs in C, open ends, missing last newline"""
    open_end = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    for path in FILES:
        try:
            with open(os.path.join(SRC, path), encoding="utf-8") as f:
                text = f.read()
        except UnicodeDecodeError:
            continue  # not a text
        if text and not text.endswith("\n"):
            yield f"{path}: no newline at the end"
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield f"{path}:{number}: trailing whitespace"
            if path.endswith((".c", ".h", ".cc", ".py")) and "\t" in line:
                yield f"{path}:{number}: tab"
            if open_end.search(line) and path.endswith(CODE + (".py", ".sh", ".mk", "Makefile")):
                yield f"{path}:{number}: open end"


def check_size():
    """no file of code is over 600 lines"""
    for path in FILES:
        if path.endswith(CODE + (".py", ".sh")) or path == "tests/run":
            lines = read(path).count("\n")
            if lines > MAX_LINES:
                yield f"{path}:{lines}: over {MAX_LINES} lines: one purpose each?"


def check_scripts():
    """scripts parse, and tests can be executed"""
    for path in FILES:
        first = read(path).split("\n", 1)[0] if not path.endswith(CODE) else ""
        if path.endswith(".sh") or re.match(r"#!.*\b(ba)?sh\b", first):
            done = tool(["bash", "-n", path])
            if done.returncode != 0:
                yield done.stdout.strip().splitlines()[0]
        elif path.endswith(".py") or re.match(r"#!.*\bpython3\b", first):
            try:
                ast.parse(read(path), path)
            except SyntaxError as error:
                yield f"{path}:{error.lineno}: {error.msg}"
        part = path.split("/")
        if (len(part) == 3 and part[0] == "tests" and part[1] not in ("helpers", "lint", "unit")
                and path.endswith((".sh", ".py")) and first.startswith("#!")
                and not os.access(os.path.join(SRC, path), os.X_OK)):
            yield f"{path}: not executable, so tests/run does not see it"


def check_names():
    """every test's name is its own"""
    seen = {}
    for path in SOURCES:
        if path.startswith("tests/unit/"):
            # a forgotten one is an unused static function, which the compiler tells
            for name in re.findall(r"^static void (\w+)\(void \*\*\w+\)", code_of(read(path)), re.M):
                if name in seen:
                    yield f"{path}: test {name} is also in {seen[name]}"
                seen[name] = path
    stems = {}
    for path in FILES:
        if re.match(r"tests/(?!lint/|unit/|helpers/)[^/]+/[^/]+\.(sh|py)$", path):
            stem = os.path.splitext(path)[0]
            if stem in stems:
                yield f"{path}: {stems[stem]} has the same name"
            stems[stem] = path


def check_links():
    """links between documents lead somewhere"""
    for path in FILES:
        if path.endswith(".md"):
            text = read(path)
            for match in re.finditer(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
                if not os.path.exists(os.path.join(SRC, os.path.dirname(path), match.group(1))):
                    yield f"{path}:{line_at(text, match.start())}: no file {match.group(1)}"


CHECKS = {name[6:]: f for name, f in list(globals().items()) if name.startswith("check_")}


def main():
    args = sys.argv[1:]
    tap = "--tap" in args
    chosen = [a for a in args if a != "--tap"] or list(CHECKS)
    unknown = [c for c in chosen if c not in CHECKS]
    if unknown:
        print(f"lint: no check '{unknown[0]}': {' '.join(CHECKS)}", file=sys.stderr)
        return 2
    bad = 0
    for number, name in enumerate(chosen, 1):
        found = list(CHECKS[name]())
        wrong = bool(found) and name not in WARN_ONLY
        bad += wrong
        if tap:
            print(f"{'not ' if wrong else ''}ok {number} - {CHECKS[name].__doc__}")
        for line in found:
            print(("# " if tap else "") + ("" if wrong else "warning: ") + line)
    if tap:
        print(f"1..{len(chosen)}")
    elif not bad:
        print(f"lint: {len(FILES)} files, nothing to mend")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
