#!/usr/bin/env python3
"""Runs the tests in a coverage build and sums the lines they reached, a part a line.

usage: tests/coverage.py [--build DIR] [--no-run] [--missed PART] [--tap]

Runs all unit tests, and the end-to-end tests but those whose result depends on the machine's speed
or that repeat what others reach (CONTRIBUTING.md tells the marks); each process under the shim adds its counts when it ends, so the shim's lines count from both. Exits
1 if a part is under 90 % of its lines. Whether tests pass is judged in the release build: some cannot
here, where a process allocates and opens files as it ends; they are marked (no).

A line that no test can reach is taken out by a comment that says why:
    code;                            /* coverage: line, REASON */
    /* coverage: off, REASON */ ... /* coverage: on */
More than 1 % of a part's lines taken out, or no reason, fails too.

  --no-run       sum what earlier runs left
  --missed PART  also print the lines of that part (or file) that no test reached
  --tap          one TAP line a part instead of the table
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys

SRC = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PARTS = ["profile", "shim", "store", "store/bench", "analyzer", "common"]
TESTS = ["unit", "shim", "analyzer", "store", "truth"]  # victims: slow here, and no line more
MIN_COVERED = 0.90
MAX_EXCLUDED = 0.01
COMMENT = re.compile(r"/\* coverage: (off|on|line)(?:, *(.*?\S))? *\*/")


def part_of(path):
    folder = os.path.dirname(path)
    return folder if folder in PARTS else None


def clear_counts(build):
    for folder, _, names in os.walk(build):
        for name in names:
            if name.endswith(".gcda"):
                os.remove(os.path.join(folder, name))


def run_tests(build, quiet):
    parts = [p for p in TESTS if p == "unit" or os.path.isdir(os.path.join(SRC, "tests", p))]
    command = [os.path.join(SRC, "tests/run"), "--build", build, "--coverage", "--scale", "3", *parts]
    # Where a process may not write its counts it must at least not say so on its stderr.
    env = dict(os.environ, GCOV_ERROR_FILE="/dev/null")
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=env) as runner:
        for line in runner.stdout:
            if re.match(r"  (ok|FAIL) ", line):  # what failed here is judged elsewhere
                print(("# " if quiet else "") + line.replace("FAIL", "(no)"), end="", flush=True)


def read_counts(build):
    """{path: {line: count}}, of every source line that made code, the best of all objects."""
    lines = collections.defaultdict(dict)
    notes = []
    for folder, _, names in os.walk(os.path.join(build, "obj")):
        notes += [os.path.join(folder, n) for n in sorted(names) if n.endswith(".gcno")]
    for at in range(0, len(notes), 20):
        done = subprocess.run(["gcov", "--json-format", "--stdout", *notes[at:at + 20]], cwd=SRC,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        for document in done.stdout.decode().splitlines():
            for source in json.loads(document)["files"]:
                path = os.path.relpath(os.path.join(SRC, source["file"]), SRC)
                if part_of(path) and os.path.isfile(os.path.join(SRC, path)):
                    for line in source["lines"]:
                        number, count = line["line_number"], line["count"]
                        lines[path][number] = max(count, lines[path].get(number, 0))
    return lines


def read_exclusions(path):
    """Line numbers taken out, and complaints about the comments that do it."""
    excluded, wrong, since = set(), [], None
    with open(os.path.join(SRC, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            for word, reason in COMMENT.findall(line):
                if word != "on" and not reason:
                    wrong.append(f"{path}:{number}: no reason given")
                if (word == "on") != (since is not None) and word != "line":
                    wrong.append(f"{path}:{number}: '{word}' does not pair")
                since = number if word == "off" else None if word == "on" else since
                if word in ("line", "on"):
                    excluded.add(number)
            if since is not None:
                excluded.add(number)
    if since is not None:
        wrong.append(f"{path}:{since}: never switched on again")
    return excluded, wrong


class Part:
    def __init__(self):
        self.lines = self.covered = self.excluded = 0
        self.missed = []  # (path, [line])


def sum_parts(counts):
    parts, wrong = collections.defaultdict(Part), []
    for path, lines in sorted(counts.items()):
        part = parts[part_of(path)]
        excluded, complaints = read_exclusions(path)
        wrong += complaints
        counted = {n: c for n, c in lines.items() if n not in excluded}
        part.lines += len(counted)
        part.covered += sum(1 for c in counted.values() if c)
        part.excluded += len(lines) - len(counted)
        part.missed.append((path, [n for n, c in sorted(counted.items()) if not c]))
    return parts, wrong


def ranges(numbers):
    """1 2 3 7 -> 1-3 7"""
    runs = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return " ".join(f"{a}-{b}" if a != b else str(a) for a, b in runs)


def main():
    parser = argparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
    parser.add_argument("--build", default=os.path.join(SRC, "build-coverage"))
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--missed")
    parser.add_argument("--tap", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    args = parser.parse_args()
    if args.help:
        print(__doc__.strip())
        return 0
    build = os.path.abspath(args.build)
    if not args.no_run:
        clear_counts(build)
        run_tests(build, args.tap)
    parts, wrong = sum_parts(read_counts(build))
    failures, tap = [], []
    if not args.tap:
        print(f"{'part':<12} {'lines':>7} {'covered':>8} {'%':>6} {'excluded':>9}")
    for name in PARTS:
        part = parts[name]
        share = part.covered / part.lines if part.lines else 0.0
        out = part.excluded / (part.lines + part.excluded) if part.lines else 0.0
        good = share >= MIN_COVERED and out <= MAX_EXCLUDED
        tap.append((good, f"tests reach {MIN_COVERED:.0%} of the lines of {name}",
                    f"{part.covered} of {part.lines}: {share:.1%}; {part.excluded} taken out: {out:.1%}"))
        if not good:
            failures.append(name)
        if not args.tap:
            print(f"{name:<12} {part.lines:>7} {part.covered:>8} {share:>6.1%} {part.excluded:>9}"
                  f"{'' if good else '  <- not enough'}")
    tap.append((not wrong, "every line taken out has its reason", "\n".join(wrong)))
    for number, (good, claim, detail) in enumerate(tap, 1):
        if args.tap:
            print(f"{'' if good else 'not '}ok {number} - {claim}")
            print("".join(f"# {line}\n" for line in detail.splitlines()), end="")
    if args.tap:
        print(f"1..{len(tap)}")
    else:
        for complaint in wrong:
            print(complaint)
    for part in PARTS:
        for path, missed in parts[part].missed:
            if missed and (args.missed in (part, path) or (args.tap and part in failures)):
                print(f"# {path}: {ranges(missed)}")
    return 0 if not failures and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
