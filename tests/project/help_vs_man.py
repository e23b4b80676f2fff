#!/usr/bin/env python3
# Options and verbs: --help and the man pages name the same ones; every page renders cleanly.
import glob
import os
import re
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests")
from lib import *

PAGES = os.path.join(SRC, "docs/man")
# An option at the start of an indented line: "  -n, --limit N   rows of a table".
OPTION_LINE = re.compile(r"^\s+(-[\w-][^\s,=\[]*(?:\[?=\S+)?(?:,? +-[\w-][^\s,=\[]*)*)")


def render(page):
    return run(["man", "--warnings", "-l", page], env=clean_env(MANWIDTH="400", MANPAGER="cat",
                                                              MAN_KEEP_FORMATTING="", LC_ALL="C.UTF-8"))


def options_of(text):
    found = set()
    for line in text.splitlines():
        match = OPTION_LINE.match(line)
        if match:
            found |= set(re.findall(r"(?<![\w-])(--?[A-Za-z][\w-]*)", match.group(1)))
    return found


def section(text, title, stop=r"^\S"):
    match = re.search(rf"^{title}\n(.*?)(?={stop}|\Z)", text, re.M | re.S)
    return match.group(1) if match else ""


def compare(what, command, page):
    help_text = run(command).out
    page_text = render(page).out
    in_help, in_page = options_of(help_text), options_of(page_text)
    ok(in_help and in_help == in_page, f"{what} --help and its man page name the same options",
       f"only in --help: {sorted(in_help - in_page)}", f"only in the page: {sorted(in_page - in_help)}")


overview = run([PERFSHIM, "--help"]).out
verbs = set(re.findall(r"^  ([a-z]+)  ", overview, re.M))
ok(len(verbs) >= 2, "perfshim --help lists verbs", overview)
page_verbs = set(re.findall(r"^ {7}([a-z]+)\b(?: |$)", section(render(PAGES + "/perfshim.1").out, "VERBS"), re.M))
equal(sorted(page_verbs), sorted(verbs), "perfshim(1) lists the same verbs")
with open(SRC + "/docs/contract.md") as f:
    rows = re.findall(r"^\| ([a-z, ]+) \|.*\| ([●○]) \|$", section(f.read(), "## Verbs of `perfshim`", "^## "), re.M)
marked = {verb for names, mark in rows if mark == "●" for verb in names.split(", ")}
equal(sorted(marked), sorted(verbs), "docs/contract.md marks the same verbs as there")

for verb in sorted(verbs):
    compare(f"perfshim {verb}", [PERFSHIM, verb, "--help"], f"{PAGES}/perfshim-{verb}.1")
compare("store_bench", [STORE_BENCH, "--help"], PAGES + "/store_bench.1")

for page in sorted(glob.glob(PAGES + "/*.1")):
    done = render(page)
    ok(done.status == 0 and not done.err and len(done.out) > 500,
       f"{os.path.basename(page)} renders without a warning", done.err)
