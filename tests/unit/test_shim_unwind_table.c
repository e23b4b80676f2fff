/* .eh_frame_hdr, CIEs and FDEs made by hand: search, encodings, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "shim/cfi.h"

#define PAGE 4096

/*
 * A whole table, up against a page that cannot be read: .eh_frame_hdr, one CIE, two FDEs. Code
 * addresses are made up, around `text`.
 */
struct image {
    uint8_t *lo, *hi; /* [lo, hi) is readable, the bytes on both sides are not */
    uint8_t *at;      /* where put() writes */
    uint8_t *fde[2];
    uintptr_t text;
};

static void put(struct image *m, uint64_t value, unsigned size)
{
    memcpy(m->at, &value, size);
    m->at += size;
}

/* A pc-relative or other pointer of `size` bytes to `target`. */
static void put_pointer(struct image *m, uint8_t encoding, uintptr_t target)
{
    static const uint8_t size_of[] = {8, 0, 2, 4, 8};
    uintptr_t base = 0;
    if ((encoding & 0x70) == 0x10)
        base = (uintptr_t)m->at;
    if ((encoding & 0x70) == 0x30)
        base = (uintptr_t)m->lo;
    put(m, target - base, size_of[encoding & 7]);
}

static uint8_t *record_begin(struct image *m)
{
    put(m, 0, 4);
    return m->at;
}

static void record_end(struct image *m, uint8_t *begin)
{
    uint32_t size;
    while ((m->at - begin) % 4)
        put(m, 0, 1);
    size = (uint32_t)(m->at - begin);
    memcpy(begin - 4, &size, 4);
}

static uint8_t *region;

static int region_map(void **state)
{
    (void)state;
    region = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED)
        return -1;
    return mprotect(region + PAGE, PAGE, PROT_READ | PROT_WRITE);
}

static int region_unmap(void **state)
{
    (void)state;
    return munmap(region, 3 * PAGE);
}

/* version, augmentation, its data, FDE pointer encoding */
struct shape {
    uint8_t version;
    const char *augmentation;
    struct {
        uint8_t bytes[16];
        size_t size;
    } data;
    uint8_t encoding;
};

static const struct shape usual = {1, "zR", {{0x1b}, 1}, 0x1b};

static void image_make(struct image *m, const struct shape *shape)
{
    uint8_t *table, *cie, *begin;

    memset(region + PAGE, 0, PAGE);
    m->lo = m->at = region + PAGE;
    m->text = (uintptr_t)m->lo + 0x100000;
    put(m, 1, 1);
    put(m, 0x1b, 1);
    put(m, 0x03, 1);
    put(m, 0x3b, 1);
    put(m, 0, 4); /* eh_frame_ptr: nobody follows it */
    put(m, 2, 4);
    table = m->at;
    m->at += 16;

    cie = record_begin(m);
    put(m, 0, 4);
    put(m, shape->version, 1);
    memcpy(m->at, shape->augmentation, strlen(shape->augmentation) + 1);
    m->at += strlen(shape->augmentation) + 1;
    if (shape->version == 4)
        put(m, 0x0008, 2);
    put(m, 1, 1);
    put(m, 0x78, 1);
    put(m, 16, 1);
    if (shape->augmentation[0] == 'z') {
        put(m, shape->data.size, 1);
        memcpy(m->at, shape->data.bytes, shape->data.size);
        m->at += shape->data.size;
    }
    memcpy(m->at, "\x0c\x07\x08\x90\x01", 5);
    m->at += 5;
    record_end(m, cie);
    for (unsigned i = 0; i < 2; i++) {
        uintptr_t code = m->text + 0x100 * i;
        int32_t entry[2];
        m->fde[i] = m->at;
        begin = record_begin(m);
        put(m, (uint64_t)(m->at - cie) + 4, 4);
        put_pointer(m, shape->encoding, code);
        put_pointer(m, shape->encoding & 0x0f, 0x40);
        if (shape->augmentation[0] == 'z')
            put(m, 0, 1);
        memcpy(m->at, "\x41\x0e\x10\x83\x02", 5);
        m->at[2] = (uint8_t)(16 + 8 * i);
        m->at += 5;
        record_end(m, begin);
        entry[0] = (int32_t)(code - (uintptr_t)m->lo);
        entry[1] = (int32_t)(m->fde[i] - m->lo);
        memcpy(table + 8 * i, entry, 8);
    }
    m->hi = m->at;
    /* against the guard page; nothing in it is absolute but what encodings make so */
    if (shape->encoding == 0x1b) {
        size_t size = (size_t)(m->hi - m->lo);
        uint8_t *to = region + 2 * PAGE - size;
        ptrdiff_t moved = to - m->lo;
        memmove(to, m->lo, size);
        m->lo += moved;
        m->hi += moved;
        m->fde[0] += moved;
        m->fde[1] += moved;
        m->text += (uintptr_t)moved;
    }
}

static int image_row(const struct image *m, uintptr_t pc, struct cfi_fde *fde, struct cfi_row *row)
{
    struct cfi_bytes tables = {m->lo, m->hi};
    const uint8_t *at;
    int error = cfi_fde_search(tables, m->lo, pc, &at);
    if (!error)
        error = cfi_fde_parse(tables, at, (uintptr_t)m->lo, fde);
    if (!error)
        error = cfi_row_find(tables, fde, pc, row);
    return error;
}

static void entry_of_a_pc_is_found_in_the_search_table(void **state)
{
    struct cfi_bytes tables;
    struct image m;
    struct cfi_fde fde;
    struct cfi_row row;
    const uint8_t *at;

    (void)state;
    image_make(&m, &usual);
    tables = (struct cfi_bytes){m.lo, m.hi};
    assert_int_equal(cfi_fde_search(tables, m.lo, m.text - 1, &at), CFI_NO_FDE);
    assert_int_equal(cfi_fde_search(tables, m.lo, m.text, &at), 0);
    assert_ptr_equal(at, m.fde[0]);
    assert_int_equal(cfi_fde_search(tables, m.lo, m.text + 0xff, &at), 0);
    assert_ptr_equal(at, m.fde[0]);
    assert_int_equal(cfi_fde_search(tables, m.lo, m.text + 0x100, &at), 0);
    assert_ptr_equal(at, m.fde[1]);

    assert_int_equal(image_row(&m, m.text + 0x13f, &fde, &row), 0);
    assert_int_equal(fde.pc_begin, m.text + 0x100);
    assert_int_equal(fde.pc_end, m.text + 0x140);
    assert_int_equal(fde.signal, 0);
    assert_int_equal(row.cfa_value, 24);
    /* between the two entries, and behind the last */
    assert_int_equal(image_row(&m, m.text + 0x40, &fde, &row), CFI_NO_FDE);
    assert_int_equal(image_row(&m, m.text + 0x140, &fde, &row), CFI_NO_FDE);
}

static void every_encoding_of_compilers_is_read(void **state)
{
    static const struct shape shapes[] = {
        {1, "", {{0}, 0}, 0x00},
        {3, "zR", {{0x00}, 1}, 0x00},                           /* absptr */
        {4, "zR", {{0x04}, 1}, 0x04},                           /* udata8 */
        {1, "zR", {{0x0c}, 1}, 0x0c},                           /* sdata8 */
        {1, "zR", {{0x1c}, 1}, 0x1c},                           /* pcrel sdata8 */
        {1, "zR", {{0x13}, 1}, 0x13},                           /* pcrel udata4 */
        {1, "zR", {{0x33}, 1}, 0x33},                           /* datarel udata4 */
        {1, "zR", {{0x3b}, 1}, 0x3b},                           /* datarel sdata4 */
        {1, "zLR", {{0x1b, 0x1b}, 2}, 0x1b},                    /* with an LSDA */
        {1, "zPLR", {{0x9b, 1, 2, 3, 4, 0x1b, 0x1b}, 7}, 0x1b}, /* C++: indirect personality */
        {1, "zPLR", {{0x03, 1, 2, 3, 4, 0x03, 0x1b}, 7}, 0x1b}, /* C++ without -fPIC */
        {1, "zPR", {{0x00, 1, 2, 3, 4, 5, 6, 7, 8, 0x1b}, 10}, 0x1b},
        {1, "zRS", {{0x1b}, 1}, 0x1b},
    };
    struct image m;
    struct cfi_fde fde;
    struct cfi_row row;

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        image_make(&m, &shapes[i]);
        assert_int_equal(image_row(&m, m.text + 0x101, &fde, &row), 0);
        assert_int_equal(fde.pc_begin, m.text + 0x100);
        assert_int_equal(fde.pc_end, m.text + 0x140);
        assert_int_equal(fde.signal, strchr(shapes[i].augmentation, 'S') != NULL);
        assert_int_equal(row.cfa_value, 24);
        assert_int_equal(row.how[UNWIND_RBX], CFI_OFFSET);
        assert_int_equal(row.value[UNWIND_RBX], -16);
    }
}

static void encodings_of_nobody_are_refused(void **state)
{
    static const struct shape shapes[] = {
        {1, "zR", {{0x2b}, 1}, 0x1b},  /* textrel */
        {1, "zR", {{0x4b}, 1}, 0x1b},  /* funcrel */
        {1, "zR", {{0x9b}, 1}, 0x1b},  /* code addresses are not indirect */
        {1, "zR", {{0x1d}, 1}, 0x1b},  /* no such format */
        {1, "zRX", {{0x1b}, 1}, 0x1b}, /* an augmentation that could mean anything */
        {1, "eh", {{0}, 0}, 0x1b},     /* gcc 2 */
        {2, "zR", {{0x1b}, 1}, 0x1b},
    };
    struct image m;
    struct cfi_fde fde;
    struct cfi_row row;

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        int error;
        image_make(&m, &shapes[i]);
        error = image_row(&m, m.text + 0x101, &fde, &row);
        assert_true(error == CFI_UNSUPPORTED || error == CFI_TRUNCATED);
    }
}

static void header_without_a_search_table_is_refused(void **state)
{
    struct image m;
    struct cfi_fde fde;
    struct cfi_row row;

    (void)state;
    for (unsigned field = 0; field < 4; field++) {
        image_make(&m, &usual);
        m.lo[field] = field == 1 ? 0x2b : 0xff; /* version, pointer, count, table encoding */
        assert_int_not_equal(image_row(&m, m.text, &fde, &row), 0);
    }
    image_make(&m, &usual);
    m.lo[8] = 0; /* no entries */
    assert_int_equal(image_row(&m, m.text, &fde, &row), CFI_NO_FDE);
    image_make(&m, &usual);
    m.lo[9] = 1; /* 258 entries do not fit */
    assert_int_equal(image_row(&m, m.text, &fde, &row), CFI_TRUNCATED);
}

static void sixty_four_bit_lengths_are_read(void **state)
{
    struct cfi_fde fde;
    struct cfi_bytes tables = {region + PAGE, region + 2 * PAGE};
    struct image m = {.lo = region + PAGE, .at = region + PAGE};
    uint8_t *at;

    (void)state;
    memset(region + PAGE, 0, PAGE);
    put(&m, 0xffffffff, 4);
    put(&m, 15, 8);
    memcpy(m.at, "\0\0\0\0\1\0\1\x78\x10\x0c\7\10\x90\1\0", 15);
    m.at += 15;
    at = m.at;
    put(&m, 0xffffffff, 4);
    put(&m, 24, 8);
    put(&m, (uint64_t)(m.at - m.lo), 4);
    put(&m, 0x5000, 8);
    put(&m, 0x20, 8);
    put(&m, 0x00100e41, 4);
    /* an FDE's CIE pointer counts from itself */
    assert_int_equal(cfi_fde_parse(tables, at, 0, &fde), 0);
    assert_int_equal(fde.pc_begin, 0x5000);
    assert_int_equal(fde.pc_end, 0x5020);
    assert_int_equal(fde.program.hi - fde.program.lo, 4);
}

/* The guard pages turn any read outside into a crash. */
static void truncated_tables_are_never_read_past_their_end(void **state)
{
    struct image m, cut;
    struct cfi_fde fde;
    struct cfi_row row;
    size_t size;

    (void)state;
    image_make(&m, &usual);
    size = (size_t)(m.hi - m.lo);
    for (size_t left = 0; left < size; left++) {
        cut = m;
        cut.lo = m.lo + (size - left);
        memmove(cut.lo, m.lo, left);
        cut.text = m.text + (size - left);
        assert_int_not_equal(image_row(&cut, cut.text + 0x101, &fde, &row), 0);
        image_make(&m, &usual);
    }
}

static void flipped_bits_never_lead_outside_the_table(void **state)
{
    struct image m;
    struct cfi_fde fde;
    struct cfi_row row;
    size_t size;
    unsigned good = 0, runs = 0;

    (void)state;
    image_make(&m, &usual);
    size = (size_t)(m.hi - m.lo);
    for (size_t i = 0; i < size; i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t kept = m.lo[i];
            m.lo[i] = (uint8_t)value;
            for (unsigned pc = 0; pc < 0x200; pc += 0x81) {
                int error = image_row(&m, m.text + pc, &fde, &row);
                good += error == 0;
                runs++;
                assert_in_range(-error, 0, -CFI_NO_MEMORY);
            }
            m.lo[i] = kept;
        }
    }
    assert_in_range(good, 1, runs - 1);
}

static void lengths_that_overflow_are_truncated_records(void **state)
{
    struct image m;
    struct cfi_fde fde;
    struct cfi_row row;
    static const uint32_t lengths[] = {0xfffffffe, 0xffffffff, 0x7fffffff, 0x80000000};

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        image_make(&m, &usual);
        memcpy(m.fde[0], &lengths[i], 4);
        assert_int_equal(image_row(&m, m.text, &fde, &row), CFI_TRUNCATED);
    }
    image_make(&m, &usual);
    memset(m.fde[0], 0, 4); /* the terminator */
    assert_int_equal(image_row(&m, m.text, &fde, &row), CFI_NO_FDE);
    image_make(&m, &usual);
    memset(m.fde[0] + 4, 0, 4); /* a CIE where an FDE should be */
    assert_int_equal(image_row(&m, m.text, &fde, &row), CFI_MALFORMED);
    image_make(&m, &usual);
    m.fde[0][4] = 8; /* the CIE it points to is itself */
    assert_int_not_equal(image_row(&m, m.text, &fde, &row), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_of_a_pc_is_found_in_the_search_table),
        cmocka_unit_test(every_encoding_of_compilers_is_read),
        cmocka_unit_test(encodings_of_nobody_are_refused),
        cmocka_unit_test(header_without_a_search_table_is_refused),
        cmocka_unit_test(sixty_four_bit_lengths_are_read),
        cmocka_unit_test(truncated_tables_are_never_read_past_their_end),
        cmocka_unit_test(flipped_bits_never_lead_outside_the_table),
        cmocka_unit_test(lengths_that_overflow_are_truncated_records),
    };
    return cmocka_run_group_tests(tests, region_map, region_unmap);
}
