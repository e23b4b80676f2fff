#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/resident.h"

static int parsed(const char *text, struct resident *to)
{
    return resident_parse(text, strlen(text), to);
}

static void a_line_of_statm_is_read_in_pages(void **state)
{
    struct resident got;
    (void)state;
    assert_int_equal(parsed("1000 300 100 5 0 80 0\n", &got), 0);
    assert_int_equal(got.rss_bytes, 300 * 4096);
    assert_int_equal(got.anon_bytes, 200 * 4096);
    assert_int_equal(parsed("1 2 3 ", &got), 0); /* the kernel's counters are taken one by one */
    assert_int_equal(got.anon_bytes, 0);
}

static void another_line_is_none(void **state)
{
    static const char *const bad[] = {"",
                                      "1000",
                                      "1000 300 100",
                                      "x 1 2 ",
                                      "1000  300 100 ",
                                      "-1 2 3 ",
                                      "99999999999999999999999 1 1 "};
    struct resident got;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parsed(bad[i], &got), -1);
}

static void memory_that_is_touched_is_resident(void **state)
{
    enum { bytes = 64 << 20, slack = 4 << 20 };
    struct resident before, after;
    (void)state;
    errno = 77;
    assert_int_equal(resident_read(&before), 0);
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    memset(p, 1, bytes);
    assert_int_equal(resident_read(&after), 0);
    assert_in_range(after.anon_bytes - before.anon_bytes, bytes - slack, bytes + slack);
    assert_in_range(after.rss_bytes - before.rss_bytes, bytes - slack, bytes + slack);
    munmap(p, bytes);
}

static void it_leaves_neither_child_nor_mask_nor_errno(void **state)
{
    sigset_t before, after;
    struct resident got;
    (void)state;
    sigprocmask(SIG_SETMASK, NULL, &before);
    errno = 77;
    assert_int_equal(resident_read(&got), 0);
    assert_int_equal(errno, 77);
    assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    assert_int_equal(errno, ECHILD);
    sigprocmask(SIG_SETMASK, NULL, &after);
    assert_memory_equal(&before, &after, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_statm_is_read_in_pages),
        cmocka_unit_test(another_line_is_none),
        cmocka_unit_test(memory_that_is_touched_is_resident),
        cmocka_unit_test(it_leaves_neither_child_nor_mask_nor_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
