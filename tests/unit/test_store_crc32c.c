#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "store/crc32c.h"

typedef uint32_t extend(uint32_t crc, const void *bytes, size_t size);
static extend *const both[] = {crc32c_extend, crc32c_extend_portable};

/* RFC 3720, appendix B.4, and the check value of the CRC catalogues. */
static void published_values_are_met(void **state)
{
    unsigned char zeros[32] = {0}, ones[32], up[32];
    (void)state;
    memset(ones, 0xff, sizeof ones);
    for (unsigned i = 0; i < 32; i++)
        up[i] = (unsigned char)i;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(both[i](0, zeros, 32), 0x8a9136aa);
        assert_int_equal(both[i](0, ones, 32), 0x62a8ab43);
        assert_int_equal(both[i](0, up, 32), 0x46dd794e);
        assert_int_equal(both[i](0, "123456789", 9), 0xe3069283);
        assert_int_equal(both[i](0, "", 0), 0);
    }
}

static void pieces_give_what_the_whole_gives(void **state)
{
    unsigned char bytes[300];
    (void)state;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + i / 7);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        uint32_t whole = crc32c_extend_portable(0, bytes, size);
        assert_int_equal(crc32c_extend(0, bytes, size), whole);
        for (size_t cut = 0; cut <= size; cut += 13)
            assert_int_equal(crc32c_extend(crc32c_extend(0, bytes, cut), bytes + cut, size - cut),
                             whole);
    }
}

static void the_mask_turns_and_adds(void **state)
{
    (void)state;
    assert_int_equal(crc32c_mask(0), 0xa282ead8);
    assert_int_equal(crc32c_mask(0x00008000), 0xa282ead9);
    assert_int_equal(crc32c_mask(1), 0xa284ead8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values_are_met),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
        cmocka_unit_test(the_mask_turns_and_adds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
