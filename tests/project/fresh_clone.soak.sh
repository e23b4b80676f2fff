#!/usr/bin/env bash
# fresh_clone.sh with README's first block to the letter.
# test: timeout=300
FRESH_CLONE_SHORTER='' exec "$SRC/tests/project/fresh_clone.sh"
