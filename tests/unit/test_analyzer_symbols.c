#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/codemap.h"
#include "analyzer/elf_image.h"
#include "analyzer/ifunc.h"
#include "analyzer/names.h"
#include "analyzer/symbols.h"

/* ---- names ---- */

static void better_name_is_the_one_that_people_write(void **state)
{
    static const struct {
        const char *better, *worse;
    } pairs[] = {
        {"malloc", "__libc_malloc"},
        {"memcpy", "memmove"},
        {"memcmp", "bcmp"},
        {"strchr", "index"},
        {"put", "put.constprop.0"},
        {"read", "__read"},
        {"memcpy", "__memmove_avx_unaligned_erms"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_true(name_better(pairs[i].better, pairs[i].worse));
        assert_false(name_better(pairs[i].worse, pairs[i].better));
    }
    assert_false(name_better("a", "a"));
}

static void mangled_names_are_demangled_and_others_are_not(void **state)
{
    (void)state;
    char *name = name_demangle("_ZN2ns1C1mEi");
    assert_string_equal(name, "ns::C::m(int)");
    free(name);
    assert_null(name_demangle("malloc"));
    assert_null(name_demangle("_Z"));
    char longest[5000] = "_Z";
    memset(longest + 2, '1', sizeof longest - 3);
    longest[sizeof longest - 1] = '\0';
    assert_null(name_demangle(longest));
}

/* ---- code maps ---- */

static void entries_of_one_start_become_one_with_name_and_bounds(void **state)
{
    struct codemap map = {0};
    (void)state;
    codemap_add(&map, 0x200, 0x280, NULL);
    codemap_add(&map, 0x100, 0x180, NULL);
    codemap_add(&map, 0x100, 0, "__memmove_variant");
    codemap_add(&map, 0x100, 0x110, "memcpy");
    codemap_add(&map, 0x100, 0, "memmove");
    codemap_sort(&map);
    assert_int_equal(map.count, 2);
    assert_string_equal(codemap_find(&map, 0x17f)->name, "memcpy");
    assert_int_equal(codemap_find(&map, 0x17f)->end, 0x180);
    assert_null(codemap_find(&map, 0x180));
    assert_null(codemap_find(&map, 0xff));
    assert_null(codemap_find(&map, 0x210)->name);
    assert_ptr_equal(codemap_start(&map, 0x200), codemap_find(&map, 0x200));
    assert_null(codemap_start(&map, 0x201));
    codemap_release(&map);
}

static void innermost_function_wins_and_open_ends_reach_the_next(void **state)
{
    struct codemap map = {0};
    (void)state;
    codemap_sort(&map);
    assert_null(codemap_find(&map, 1));
    codemap_add(&map, 0x100, 0x200, "outer");
    codemap_add(&map, 0x140, 0x150, "label");
    codemap_add(&map, 0x300, 0, "open");
    codemap_add(&map, 0x380, 0, "last");
    codemap_sort(&map);
    assert_string_equal(codemap_find(&map, 0x145)->name, "label");
    assert_string_equal(codemap_find(&map, 0x160)->name, "outer");
    assert_string_equal(codemap_find(&map, 0x37f)->name, "open");
    assert_string_equal(codemap_find(&map, 0x380)->name, "last");
    assert_null(codemap_find(&map, 0x381));
    codemap_release(&map);
}

/* ---- ELF files ---- */

static uint8_t *libc_bytes;
static size_t libc_size;
static char libc_path[4096];

static int libc_find(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    if (strstr(info->dlpi_name, "libc.so"))
        strcpy(libc_path, info->dlpi_name);
    return 0;
}

static int libc_map(void **state)
{
    struct stat st;
    (void)state;
    dl_iterate_phdr(libc_find, NULL);
    int fd = open(libc_path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    libc_size = (size_t)st.st_size;
    libc_bytes = mmap(NULL, libc_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    return libc_bytes == MAP_FAILED ? -1 : 0;
}

static int libc_unmap(void **state)
{
    (void)state;
    return munmap(libc_bytes, libc_size);
}

static void tables_of_an_elf_file_are_found(void **state)
{
    struct elf_image image;
    const uint8_t *id;
    size_t count;
    uint32_t names;
    (void)state;
    assert_int_equal(elf_image_init(&image, libc_bytes, libc_size), ELF_IMAGE_OK);
    assert_int_equal(elf_image_build_id(&image, &id), 20);
    const Elf64_Sym *symbols = elf_image_symbols(&image, SHT_DYNSYM, &count, &names);
    assert_true(count > 1000);
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += strcmp(elf_image_string(&image, names, symbols[i].st_name), "malloc") == 0;
    assert_int_equal(found, 1);
    assert_null(elf_image_symbols(&image, SHT_NULL, &count, &names));
    assert_string_equal(elf_image_string(&image, names, libc_size), "");
    assert_string_equal(elf_image_string(&image, 9999, 0), "");
    assert_null(elf_image_at(&image, UINT64_MAX, 1));
}

static void other_files_and_machines_are_told(void **state)
{
    struct elf_image image;
    uint64_t copy[16];
    uint8_t *bytes = (uint8_t *)copy;
    (void)state;
    assert_int_equal(elf_image_init(&image, "#!/bin/sh\n#######", 17), ELF_IMAGE_NOT_ELF);
    memcpy(copy, libc_bytes, sizeof copy);
    assert_int_equal(elf_image_init(&image, copy, 20), ELF_IMAGE_DAMAGED);
    assert_int_equal(elf_image_init(&image, copy, sizeof copy), ELF_IMAGE_DAMAGED);
    bytes[EI_CLASS] = ELFCLASS32;
    assert_int_equal(elf_image_init(&image, copy, sizeof copy), ELF_IMAGE_FOREIGN);
    bytes[EI_CLASS] = ELFCLASS64;
    bytes[18] = EM_AARCH64;
    assert_int_equal(elf_image_init(&image, copy, sizeof copy), ELF_IMAGE_FOREIGN);
}

static void count_functions(void *context, uint64_t start, uint64_t end)
{
    assert_true(start < end);
    ++*(size_t *)context;
}

/* Reads all that elf_image offers; the sanitizers watch. */
static void image_exercise(const uint8_t *bytes, size_t size)
{
    struct elf_image image;
    const uint8_t *id;
    size_t count, functions = 0;
    uint32_t names;
    if (elf_image_init(&image, bytes, size) != ELF_IMAGE_OK)
        return;
    elf_image_build_id(&image, &id);
    const Elf64_Sym *symbols = elf_image_symbols(&image, SHT_DYNSYM, &count, &names);
    for (size_t i = 0; i < count; i += 97)
        elf_image_string(&image, names, symbols[i].st_name);
    elf_image_functions(&image, count_functions, &functions);
}

static void damaged_elf_files_are_read_without_harm(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(libc_size);
    assert_non_null(bytes);
    srand(1);
    for (int round = 0; round < 200; round++) {
        memcpy(bytes, libc_bytes, 4096);
        for (int k = 0; k < 8; k++) /* headers and tables of contents are at the start … */
            bytes[(size_t)rand() % 1024] = (uint8_t)rand();
        memcpy(bytes, libc_bytes, 16);
        size_t size = round % 2 ? libc_size : 1024 + (size_t)rand() % 8192;
        if (size > 4096)
            memcpy(bytes + 4096, libc_bytes + 4096, size - 4096);
        for (int k = 0; k < 8 && size > 4096; k++) /* … and section headers at the end */
            bytes[size - 1 - (size_t)rand() % 4096] = (uint8_t)rand();
        image_exercise(bytes, size);
    }
    free(bytes);
}

static void call_frame_information_bounds_functions(void **state)
{
    struct elf_image image;
    size_t functions = 0;
    (void)state;
    assert_int_equal(elf_image_init(&image, libc_bytes, libc_size), ELF_IMAGE_OK);
    elf_image_functions(&image, count_functions, &functions);
    assert_true(functions > 2000);
}

static uint64_t libc_offset(const char *name)
{
    Dl_info info;
    void *libc = dlopen(libc_path, RTLD_LAZY | RTLD_NOLOAD);
    void *at = dlsym(libc, name); /* not the hooks that unit tests are linked with */
    assert_true(dladdr(at, &info));
    dlclose(libc);
    return (uintptr_t)at - (uintptr_t)info.dli_fbase;
}

static bool memcpy_found;

static void ifunc_note(void *context, uint64_t address, const char *name)
{
    const char *wanted = context;
    if (strcmp(name, wanted) == 0)
        memcpy_found = address == libc_offset(wanted);
}

static void indirect_functions_lead_to_the_chosen_body(void **state)
{
    struct elf_image image;
    (void)state;
    assert_int_equal(elf_image_init(&image, libc_bytes, libc_size), ELF_IMAGE_OK);
    ifunc_resolve(&image, ifunc_note, "memcpy");
    assert_true(memcpy_found);
}

/* ---- symbols ---- */

static struct intern names;
static struct symbols *symbols;

static int symbols_make(void **state)
{
    (void)state;
    symbols = symbols_new(&names);
    return 0;
}

static int symbols_remove(void **state)
{
    (void)state;
    symbols_free(symbols);
    intern_release(&names);
    return 0;
}

static void libc_functions_have_their_public_names(void **state)
{
    static const char *const functions[] = {"malloc", "memcpy", "memset", "strlen", "qsort"};
    struct symbol found[SYMBOLS_INLINE_MAX];
    (void)state;
    struct symbols_module *m = symbols_open(symbols, libc_path, NULL, 0);
    assert_string_equal(symbols_problem(m), "");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        unsigned n = symbols_find(m, libc_offset(functions[i]), found);
        assert_string_equal(found[n - 1].name, functions[i]);
        assert_false(found[n - 1].inlined);
    }
}

/* One function inlined into another: both must be named, the inner first. */
static volatile int sink;
static void outer(void); /* at the end of this file, since #line holds for the rest of it */
extern char inner_code[] __attribute__((visibility("hidden")));

static int self_bias(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    *(uintptr_t *)context = info->dlpi_addr;
    return 1;
}

static void inlined_frames_come_innermost_first_with_their_lines(void **state)
{
    struct symbol found[SYMBOLS_INLINE_MAX];
    uintptr_t bias = 0;
    (void)state;
    outer();
    dl_iterate_phdr(self_bias, &bias);
    struct symbols_module *m = symbols_open(symbols, "/proc/self/exe", NULL, 0);
    unsigned n = symbols_find(m, (uintptr_t)inner_code - bias, found);
    assert_int_equal(n, 2);
    assert_string_equal(found[0].name, "inner");
    assert_true(found[0].inlined);
    assert_int_equal(found[0].code_line, 500);
    assert_string_equal(found[1].name, "outer");
    assert_int_equal(found[1].code_line, 503);
    assert_non_null(strstr(found[1].code_file, "inlined.c"));
    assert_int_equal(found[1].line, 501);
}

static void files_that_say_nothing_say_why(void **state)
{
    struct symbol found[SYMBOLS_INLINE_MAX];
    static const uint8_t other[20] = {1};
    static const struct {
        const char *path, *why;
    } cases[] = {
        {"/nowhere/lib.so", "No such file"},
        {"/dev/null", "not a file"},
        {"/etc/passwd", "not an x86-64 ELF"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct symbols_module *m = symbols_open(symbols, cases[i].path, NULL, 0);
        assert_non_null(strstr(symbols_problem(m), cases[i].why));
        assert_int_equal(symbols_find(m, 0x1000, found), 1);
        assert_null(found[0].name);
    }
    struct symbols_module *m = symbols_open(symbols, libc_path, other, sizeof other);
    assert_non_null(strstr(symbols_problem(m), "build-id"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(better_name_is_the_one_that_people_write),
        cmocka_unit_test(mangled_names_are_demangled_and_others_are_not),
        cmocka_unit_test(entries_of_one_start_become_one_with_name_and_bounds),
        cmocka_unit_test(innermost_function_wins_and_open_ends_reach_the_next),
        cmocka_unit_test(tables_of_an_elf_file_are_found),
        cmocka_unit_test(other_files_and_machines_are_told),
        cmocka_unit_test(damaged_elf_files_are_read_without_harm),
        cmocka_unit_test(call_frame_information_bounds_functions),
        cmocka_unit_test(indirect_functions_lead_to_the_chosen_body),
        cmocka_unit_test_setup_teardown(libc_functions_have_their_public_names, symbols_make,
                                        symbols_remove),
        cmocka_unit_test_setup_teardown(inlined_frames_come_innermost_first_with_their_lines,
                                        symbols_make, symbols_remove),
        cmocka_unit_test_setup_teardown(files_that_say_nothing_say_why, symbols_make,
                                        symbols_remove),
    };
    return cmocka_run_group_tests(tests, libc_map, libc_unmap);
}

/* clang-format off */
#line 500 "inlined.c"
static inline __attribute__((always_inline)) void inner(void) { __asm__ volatile(".globl inner_code\ninner_code: nop" ::: "memory"); sink++; }
__attribute__((noinline)) static void outer(void)
{
    inner();
    sink++;
}
/* clang-format on */
