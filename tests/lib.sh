# For end-to-end tests in bash: `source "$SRC/tests/lib.sh"`. docs: CONTRIBUTING.md, "Tests".
#
#   ok CLAIM CMD...          the command succeeds (its output is shown if it does not)
#   not_ok CLAIM CMD...      the command fails with a status below 126: it ran and said no
#   exits CLAIM STATUS CMD...  exact exit status; stdout is kept in $TMP/out, stderr in $TMP/err
#   is CLAIM GOT WANT        equal strings
#   like CLAIM TEXT REGEX    the text matches the extended regular expression
#   unlike CLAIM TEXT REGEX
#   pass CLAIM · fail CLAIM [DETAIL] · skip CLAIM WHY · note TEXT
#
# The plan and the exit status are written when the script ends; a script that dies on the way
# (set -u is on) ends with its own status and counts as failed.
set -u
: "${B:?run this through tests/run}" "${SRC:?}" "${TMP:?}"
PERFSHIM=$B/perfshim
SHIM=$B/libperfshim.so
STORE_BENCH=$B/store_bench
lib_count=0
lib_failed=0

lib_end() {
    local status=$?
    echo "1..$lib_count"
    [ "$lib_failed" = 0 ] || status=1
    exit "$status"
}
trap lib_end EXIT

note() { printf '%s\n' "$*" | sed 's/^/# /'; }
pass() {
    lib_count=$((lib_count + 1))
    echo "ok $lib_count - $1"
}
fail() {
    lib_count=$((lib_count + 1))
    lib_failed=$((lib_failed + 1))
    echo "not ok $lib_count - $1"
    [ $# -lt 2 ] || note "$2"
}
skip() {
    lib_count=$((lib_count + 1))
    echo "ok $lib_count - $1 # SKIP $2"
}

# The command's output goes to a file, so that it cannot be mistaken for TAP.
lib_run() {
    "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
}
lib_show() { # status
    note "exit status $1"
    sed 's/^/# out: /' "$TMP/out"
    sed 's/^/# err: /' "$TMP/err"
}
ok() {
    local claim=$1 status
    shift
    lib_run "$@"
    status=$?
    if [ "$status" = 0 ]; then pass "$claim"; else
        fail "$claim" "$*"
        lib_show "$status"
    fi
}
not_ok() {
    local claim=$1 status
    shift
    lib_run "$@"
    status=$?
    if [ "$status" != 0 ] && [ "$status" -lt 126 ]; then pass "$claim"; else
        fail "$claim" "$*"
        lib_show "$status"
    fi
}
exits() {
    local claim=$1 want=$2 status
    shift 2
    lib_run "$@"
    status=$?
    if [ "$status" = "$want" ]; then pass "$claim"; else
        fail "$claim" "want exit status $want: $*"
        lib_show "$status"
    fi
}
is() {
    if [ "$2" = "$3" ]; then pass "$1"; else
        fail "$1"
        note " got: $2"
        note "want: $3"
    fi
}
like() {
    if printf '%s\n' "$2" | grep -qE -- "$3"; then pass "$1"; else
        fail "$1"
        note " got: $2"
        note "want: /$3/"
    fi
}
unlike() {
    if printf '%s\n' "$2" | grep -qE -- "$3"; then
        fail "$1"
        note " got: $2"
        note "unwanted: /$3/"
    else pass "$1"; fi
}
