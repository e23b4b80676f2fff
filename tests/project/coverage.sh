#!/usr/bin/env bash
# The tests reach 90 % of the lines of every part (make coverage prints the same as a table).
# test: timeout=900
build=$SRC/build-coverage
if ! make -s -C "$SRC" MODE=coverage testable >"$TMP/log" 2>&1; then
    sed 's/^/# /' "$TMP/log"
    echo "not ok 1 - the tree builds with MODE=coverage"
    exit 1
fi
exec "$SRC/tests/coverage.py" --build "$build" --tap
