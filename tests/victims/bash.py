#!/usr/bin/env python3
# bash: pipes, subshells, exec, traps, arrays, job control by wait, here-documents.
import os
import sys

sys.path.insert(0, os.environ["SRC"] + "/tests/victims")
from run_victim import *

SCRIPT = r"""
set -u
trap 'echo "exit trap: $?"' EXIT
trap 'echo "usr1 trap"' USR1
declare -A count
words=()
for i in {1..2000}; do
    word="w$((i * 7919 % 101))"
    words+=("$word")
    count[$word]=$((${count[$word]:-0} + 1))
done
echo "${#words[@]} words, ${#count[@]} different"
for w in $(printf '%s\n' "${!count[@]}" | sort); do echo "$w ${count[$w]}"; done | md5sum
seq 1 20000 | awk '{ s += $1 } END { print s }' | tee sum.txt
x=$( (echo inner; (echo deeper; exit 3); echo "status $?") | tr a-z A-Z)
echo "$x"
kill -USR1 $$
for i in 1 2 3; do (exit $((i + 10))) & pids[$i]=$!; done
for i in 1 2 3; do wait "${pids[$i]}"; echo "child $i: $?"; done
cat <(echo one) <(echo two) <<<"not read"
while read -r -d : part; do echo "part=$part"; done <<<"a:b:c:"
f() { local n=$1; ((n == 0)) && return 0; f $((n - 1)); }
f 200 && echo recursion
printf '%s\n' "${BASH_LINENO[@]}" "${LD_PRELOAD-}" >/dev/null
sh -c 'kill -TERM $$'; echo "killed child: $?"
ls /nonexistent-folder; echo "ls: $?"
coproc { read -r line; echo "got $line"; }
echo hello >&"${COPROC[1]}"; read -r answer <&"${COPROC[0]}"; echo "$answer"; wait
exec 3>third.txt; echo third >&3; exec 3>&-
exit 42
"""
EXEC = "echo before; exec printf 'after %s\\n' exec"
# What a child sees, in its environment and in what execve() gave it.
ENVIRONMENT = "env | grep -c libperfshim; grep -c libperfshim /proc/self/environ; true"

compare("bash script", ["/bin/bash", "-c", SCRIPT], status=42, children=True)
compare("bash that ends in exec", ["/bin/bash", "-c", EXEC], profile=False)
compare("bash killed by its own signal", ["/bin/bash", "-c", "kill -KILL $$"], status=137)
equal(preload(["/bin/bash", "-c", ENVIRONMENT], TMP + "/env.pshim").out, "0\n0\n",
      "children of a profiled shell do not see our LD_PRELOAD entry")
