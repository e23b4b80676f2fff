#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "analyzer/elf_syscalls.h"
#include "analyzer/x86_length.h"

/* ---- lengths ---- */

struct known {
    unsigned length;
    const char *hex;
};

/* As an assembler made them: one of each shape of prefixes, operands and immediates. */
static const struct known instructions[] = {
    {1, "c3"},                             /* ret */
    {1, "90"},                             /* nop */
    {2, "0f 05"},                          /* syscall */
    {2, "41 57"},                          /* push %r15 */
    {3, "48 89 e5"},                       /* mov %rsp,%rbp */
    {4, "48 8b 45 f8"},                    /* mov -8(%rbp),%rax */
    {5, "48 8b 44 24 18"},                 /* mov 24(%rsp),%rax */
    {8, "48 8b 84 24 90 00 00 00"},        /* mov 144(%rsp),%rax */
    {7, "8b 04 25 00 10 00 00"},           /* mov 0x1000,%eax */
    {7, "48 8b 05 11 22 33 44"},           /* mov 0x44332211(%rip),%rax */
    {5, "b8 23 00 00 00"},                 /* mov $0x23,%eax */
    {4, "66 b8 23 00"},                    /* mov $0x23,%ax */
    {10, "48 b8 11 22 33 44 55 66 77 88"}, /* movabs */
    {9, "a1 11 22 33 44 55 66 77 88"},     /* movabs from an address */
    {6, "67 a1 11 22 33 44"},              /* … a short one */
    {7, "48 c7 c0 e7 00 00 00"},           /* mov $0xe7,%rax */
    {10, "66 c7 84 24 80 00 00 00 01 00"}, /* movw $1,128(%rsp) */
    {3, "f6 c1 01"},                       /* test $1,%cl */
    {2, "f6 d9"},                          /* neg %cl */
    {6, "f7 c1 00 01 00 00"},              /* test $256,%ecx */
    {5, "66 f7 c1 00 01"},                 /* test $256,%cx */
    {2, "f7 d8"},                          /* neg %eax */
    {5, "e8 11 22 33 44"},                 /* call */
    {6, "0f 84 11 22 33 44"},              /* je */
    {2, "74 10"},                          /* je, short */
    {4, "c8 10 00 00"},                    /* enter */
    {3, "c2 08 00"},                       /* ret $8 */
    {7, "48 69 c0 00 ca 9a 3b"},           /* imul */
    {3, "6b c0 0a"},                       /* imul, short */
    {5, "0f ba 65 f8 03"},                 /* btl $3,-8(%rbp) */
    {5, "66 0f 38 00 c1"},                 /* pshufb */
    {6, "66 0f 3a 0f c1 08"},              /* palignr */
    {9, "64 48 8b 04 25 28 00 00 00"},     /* mov %fs:40,%rax */
    {5, "f3 48 0f b8 c1"},                 /* popcnt */
    {4, "f0 0f b1 0a"},                    /* lock cmpxchg */
    {3, "c5 f8 77"},                       /* vzeroupper */
    {4, "c5 f9 6f 07"},                    /* vmovdqa */
    {5, "c5 fd 70 c0 4e"},                 /* vpshufd */
    {6, "c4 e3 7d 39 c1 01"},              /* vextracti128 */
    {5, "c4 e2 7d 58 07"},                 /* vpbroadcastd */
    {7, "62 f1 7c 48 10 47 01"},           /* vmovups, 512 */
    {7, "62 f3 75 48 25 c2 ff"},           /* vpternlogd */
    {10, "66 2e 0f 1f 84 00 00 00 00 00"}, /* a long nop */
};

static size_t bytes_of(const char *hex, uint8_t *to)
{
    size_t n = 0;
    unsigned byte;
    for (int used; sscanf(hex, " %2x%n", &byte, &used) == 1; hex += used)
        to[n++] = (uint8_t)byte;
    return n;
}

static void lengths_are_those_of_the_manual(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        uint8_t bytes[32] = {0};
        bytes_of(instructions[i].hex, bytes);
        if (x86_length(bytes, sizeof bytes) != instructions[i].length)
            fail_msg("%s: %u, not %u", instructions[i].hex, x86_length(bytes, sizeof bytes),
                     instructions[i].length);
    }
}

static void an_instruction_that_is_cut_off_is_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        uint8_t bytes[32] = {0};
        bytes_of(instructions[i].hex, bytes);
        for (unsigned room = 0; room < instructions[i].length; room++)
            assert_int_equal(x86_length(bytes, room), 0);
    }
}

static void prefixes_without_end_are_no_instruction(void **state)
{
    (void)state;
    uint8_t bytes[64];
    memset(bytes, 0x66, sizeof bytes);
    assert_int_equal(x86_length(bytes, sizeof bytes), 0);
    static const uint8_t dropped[] = {0x06, 0x27, 0x60, 0x82, 0x9a, 0xd4, 0xea};
    for (size_t i = 0; i < sizeof dropped; i++) {
        memset(bytes, dropped[i], sizeof bytes);
        assert_int_equal(x86_length(bytes, sizeof bytes), 0);
    }
}

/* ---- modules ---- */

enum { CODE_AT = 256, FILE_BYTES = 4096 };
static union {
    uint8_t bytes[FILE_BYTES];
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
    };
} file;

/* A module of one segment of code. */
static void module_make(const char *hex)
{
    memset(&file, 0, sizeof file);
    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = ELFCLASS64;
    file.header.e_ident[EI_DATA] = ELFDATA2LSB;
    file.header.e_machine = EM_X86_64;
    file.header.e_phnum = 1;
    file.header.e_phentsize = sizeof file.segment;
    file.header.e_phoff = offsetof(__typeof__(file), segment);
    file.segment = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = CODE_AT};
    file.segment.p_filesz = file.segment.p_memsz = bytes_of(hex, file.bytes + CODE_AT);
}

static size_t counted(size_t size)
{
    struct elf_image image;
    assert_int_equal(elf_image_init(&image, &file, size), ELF_IMAGE_OK);
    return elf_syscalls(&image);
}

static void calls_of_the_system_are_counted(void **state)
{
    (void)state;
    module_make("b8 23 00 00 00 0f 05 48 3d 00 f0 ff ff 77 01 c3 b8 4f 00 00 00 0f 05 c3");
    assert_int_equal(counted(FILE_BYTES), 2);
    file.segment.p_flags = PF_R; /* data */
    assert_int_equal(counted(FILE_BYTES), 0);
}

static void the_same_bytes_within_another_instruction_are_none(void **state)
{
    (void)state;
    module_make("b8 0f 05 00 00 48 8b 84 24 00 0f 05 00 48 b8 0f 05 0f 05 0f 05 0f 05 c3");
    assert_int_equal(counted(FILE_BYTES), 0);
}

static void reading_goes_on_behind_what_is_no_instruction(void **state)
{
    (void)state;
    module_make("06 06 ea 0f 05 c3");
    assert_int_equal(counted(FILE_BYTES), 1);
    module_make("0f 05 b8 01"); /* cut off at the end */
    assert_int_equal(counted(FILE_BYTES), 1);
    module_make("0f"); /* shorter than what is looked for */
    assert_int_equal(counted(FILE_BYTES), 0);
}

static void segment_outside_of_the_file_is_not_read(void **state)
{
    (void)state;
    module_make("0f 05");
    file.segment.p_filesz = UINT64_MAX;
    assert_int_equal(counted(FILE_BYTES), 0);
    file.segment.p_filesz = 16;
    file.segment.p_offset = UINT64_MAX - 8;
    assert_int_equal(counted(FILE_BYTES), 0);
    file.segment.p_offset = FILE_BYTES - 15;
    assert_int_equal(counted(FILE_BYTES), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_those_of_the_manual),
        cmocka_unit_test(an_instruction_that_is_cut_off_is_none),
        cmocka_unit_test(prefixes_without_end_are_no_instruction),
        cmocka_unit_test(calls_of_the_system_are_counted),
        cmocka_unit_test(the_same_bytes_within_another_instruction_are_none),
        cmocka_unit_test(reading_goes_on_behind_what_is_no_instruction),
        cmocka_unit_test(segment_outside_of_the_file_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
