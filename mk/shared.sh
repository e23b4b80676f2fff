#!/bin/sh
# usage: mk/shared.sh BUILD/PATH
#
# Copies build/PATH, a program that every mode makes alike, to BUILD/PATH, with the list of what it was
# made from. Fails if it is not there, or older than any of that: then it has to be made.
[ -n "$1" ] || exit 2
made=build/${1#*/}
[ -e "$made" ] && [ -e "$made.d" ] && [ ! build/flags -nt "$made" ] || exit 1
for source in $(sed -e 's/^[^:]*://' -e 's/\\$//' "$made.d"); do
    [ "$source" -nt "$made" ] && exit 1
done
cp "$made" "$1" && sed "s,^build/,${1%%/*}/," "$made.d" >"$1.d"
