#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shim/tag.h"

static const uint64_t key = 0x123456789abcdef0u;
static char block[64];

static void fields_come_back_at_their_limits(void **state)
{
    static const struct tag tags[] = {
        {0, 0, 0},
        {1, 2, 3},
        {0xffffff, tag_slack_max, tag_serial_mask | tag_marked | tag_given},
        {0x800000, 0x200, tag_marked},
        {0x800000, 0x200, tag_given}};
    (void)state;
    for (unsigned i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        struct tag out;
        assert_true(tag_unpack(tag_pack(tags[i], block, key), block, key, &out));
        assert_int_equal(out.node, tags[i].node);
        assert_int_equal(out.owner, tags[i].owner);
        assert_int_equal(out.slack, tags[i].slack);
    }
}

static void another_block_or_process_does_not_validate(void **state)
{
    struct tag out;
    unsigned other_block = 0, other_key = 0, flipped = 0, tries = 20000;
    (void)state;
    for (unsigned i = 0; i < tries; i++) {
        uint64_t word = tag_pack((struct tag){i, i & 127, i & 63}, block + 16 * i, key);
        other_block += tag_unpack(word, block + 16 * i + 16, key, &out);
        other_key += tag_unpack(word, block + 16 * i, key + 1 + i, &out);
        flipped += tag_unpack(word ^ (uint64_t)1 << i % 48, block + 16 * i, key, &out);
    }
    /* 2^-16 each: 0.3 expected in 20 000 */
    assert_true(other_block <= 4);
    assert_true(other_key <= 4);
    assert_true(flipped <= 4);
}

static void cleared_memory_is_no_tag(void **state)
{
    struct tag out;
    unsigned valid = 0;
    (void)state;
    for (unsigned i = 0; i < 20000; i++)
        valid += tag_unpack(0, block + 16 * i, key, &out);
    assert_true(valid <= 4);
}

static void the_word_of_no_tag_is_never_one(void **state)
{
    struct tag out;
    (void)state;
    for (unsigned i = 0; i < 300000; i++)
        assert_false(tag_unpack(tag_of_none(block + 16 * i, key), block + 16 * i, key, &out));
}

static void tag_stands_in_the_last_8_bytes_whatever_their_alignment(void **state)
{
    char memory[64] = {0};
    (void)state;
    for (unsigned usable = 8; usable < 40; usable++) {
        tag_store(memory, usable, 0x1122334455667788u + usable);
        assert_int_equal(tag_load(memory, usable), 0x1122334455667788u + usable);
        assert_int_equal(memory[usable], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_back_at_their_limits),
        cmocka_unit_test(another_block_or_process_does_not_validate),
        cmocka_unit_test(cleared_memory_is_no_tag),
        cmocka_unit_test(the_word_of_no_tag_is_never_one),
        cmocka_unit_test(tag_stands_in_the_last_8_bytes_whatever_their_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
