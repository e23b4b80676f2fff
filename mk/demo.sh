#!/usr/bin/env bash
# make demo: the same work with the store's object pool off and on, profiled; what the first run
# spent, and what the pool changed. Usage: mk/demo.sh BUILD_FOLDER [OPERATIONS]
set -euo pipefail
cd "$1"
work=(--threads=2 --ops="${2:-2000000}" --workload=mixed --seed=1)

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

for pool in off on; do
    rm -f "pool-$pool.pshim"
    printf '\n$ LD_PRELOAD=./libperfshim.so ./store_bench --pool=%s %s\n' "$pool" "${work[*]}"
    # exported for this one program, not for the shell
    LD_PRELOAD=./libperfshim.so PERFSHIM_OUT="pool-$pool.pshim" ./store_bench --pool="$pool" "${work[@]}"
done
show ./perfshim report pool-off.pshim
show ./perfshim diff pool-off.pshim pool-on.pshim
printf '\nThe profiles are %s/pool-off.pshim and pool-on.pshim. Next: ./perfshim report --view=pool pool-off.pshim\n' "$1"
