#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/bench/ledger.h"

static void each_thread_counts_in_its_own_line_of_the_file(void **state)
{
    char name[] = "/tmp/ledger-XXXXXX";
    uint64_t words[3 * LEDGER_LINE / 8 + 1];
    struct ledger ledger;
    (void)state;
    close(mkstemp(name));
    for (int round = 0; round < 2; round++) { /* what an earlier run left is gone */
        assert_int_equal(ledger_open(&ledger, name, 3), 0);
        for (int i = 0; i < 5; i++)
            ledger_add(ledger_count(&ledger, 0));
        ledger_add(ledger_count(&ledger, 2));
        int fd = open(name, O_RDONLY); /* while it is mapped */
        assert_int_equal(read(fd, words, sizeof words), 3 * LEDGER_LINE);
        close(fd);
        assert_int_equal(words[0], 5);
        assert_int_equal(words[LEDGER_LINE / 8], 0);
        assert_int_equal(words[2 * LEDGER_LINE / 8], 1);
        ledger_close(&ledger);
        ledger_close(&ledger);
    }
    unlink(name);
}

static void without_a_ledger_nothing_is_counted(void **state)
{
    struct ledger none = {0};
    (void)state;
    assert_null(ledger_count(&none, 7));
    ledger_add(ledger_count(&none, 7));
    ledger_close(&none);
}

static void a_file_that_cannot_be_made_is_an_error(void **state)
{
    struct ledger ledger;
    (void)state;
    assert_int_equal(ledger_open(&ledger, "/no/such/file", 1), -1);
    assert_int_equal(errno, ENOENT);
    assert_null(ledger.lines);
    assert_int_equal(ledger_open(&ledger, "/dev/full", 1), -1);
    assert_null(ledger_count(&ledger, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_thread_counts_in_its_own_line_of_the_file),
        cmocka_unit_test(without_a_ledger_nothing_is_counted),
        cmocka_unit_test(a_file_that_cannot_be_made_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
