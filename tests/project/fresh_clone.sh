#!/usr/bin/env bash
# A newcomer's way: clone, type README's first block, install somewhere, run from there, uninstall.
# test: timeout=240
source "$SRC/tests/lib.sh"

clone=$TMP/clone
FRESH_CLONE_SHORTER=${FRESH_CLONE_SHORTER---duration=1s}
ok "the tree can be cloned" git clone --quiet --no-hardlinks "$SRC" "$clone"
cd "$clone" || exit 1
export CFLAGS=-O0 # the optimised build is what all other tests run; this one takes half the time

block=$(sed -n '/^```/,/^```/p;' README.md | sed '1d;/^```/,$d')
like "README begins with set-up, record and report" "$block" 'setup && make'
like "README's first block records" "$block" 'perfshim record'
# The run of store_bench in it takes 10 s by itself; fresh_clone.soak.sh does it to the letter.
while IFS= read -r line; do
    [ -n "$line" ] && ok "README: $line" bash -c "${line/%--pool=off/--pool=off $FRESH_CLONE_SHORTER}"
done <<<"$block"
like "the last of them prints a report of store_bench" "$(cat "$TMP/out")" '^store_bench --pool=off'
like "with functions of the store in it" "$(cat "$TMP/out")" 'store_(get|put)'
is "nothing but ignored files was made" "$(git status --porcelain)" ""
is "and one profile" "$(ls ./*.pshim | wc -l)" 1

root=$TMP/root
ok "make install" make install DESTDIR="$root" PREFIX=/usr
before=$(cd "$root" && find . ! -type d | sort)
for file in bin/perfshim bin/store_bench lib/perfshim/libperfshim.so include/perfshim.h \
    share/man/man1/perfshim.1 share/man/man1/perfshim-record.1 share/doc/perfshim/README.md; do
    like "installs $file" "$before" "^\./usr/$file\$"
done
exits "the installed perfshim finds the installed library" 0 \
    "$root/usr/bin/perfshim" record -o "$TMP/a.pshim" -- "$root/usr/bin/store_bench" --ops=1000
ok "and reads what it wrote" "$root/usr/bin/perfshim" report "$TMP/a.pshim"
printf '#include <perfshim.h>\nint main(void) { perfshim_progress("a"); return perfshim_present(); }\n' >"$TMP/a.c"
ok "a program builds with the installed header" gcc -I"$root/usr/include" "$TMP/a.c" -o "$TMP/a"
exits "it runs without the library" 0 "$TMP/a"
exits "and with it" 1 env LD_PRELOAD="$root/usr/lib/perfshim/libperfshim.so" \
    PERFSHIM_OUT="$TMP/b.pshim" "$TMP/a"
ok "make uninstall" make uninstall DESTDIR="$root" PREFIX=/usr
is "leaves no file behind" "$(find "$root" ! -type d)" ""

ok "make dist" make dist
files=$(tar -tzf build/perfshim-*.tar.gz)
like "the archive holds the sources" "$files" '^perfshim-[0-9.]+/shim/perfshim\.h$'
unlike "and nothing that was built" "$files" '\.o$|/build/'
