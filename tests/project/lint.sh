#!/usr/bin/env bash
# The tree keeps its own rules: one check a line (make lint prints the same as plain text).
exec "$SRC/tests/lint/lint.py" --tap
