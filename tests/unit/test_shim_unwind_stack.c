/* Stacks that are found by looking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/mman.h>

#include "shim/unwind_stack.h"

enum { page = 4096 };

static uintptr_t map(size_t pages)
{
    void *at = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    return (uintptr_t)at;
}

static void forbid(uintptr_t at)
{
    assert_int_equal(mprotect((void *)at, page, PROT_NONE), 0);
}

static void stack_reaches_to_the_first_page_that_cannot_be_read(void **state)
{
    uintptr_t at = map(8);
    struct unwind_range range;

    (void)state;
    forbid(at);
    forbid(at + 5 * page);
    errno = 77;
    assert_int_equal(unwind_stack_find(at + 2 * page + 800, &range), 0);
    assert_true(range.lo <= at + 2 * page && range.lo > at + page);
    assert_int_equal(range.hi, at + 5 * page);
    /* its lowest page: nothing below may be read */
    assert_int_equal(unwind_stack_find(at + page + 8, &range), 0);
    assert_int_equal(range.lo, at + page);
    assert_int_equal(range.hi, at + 5 * page);
    /* and the page of sp itself must be there */
    assert_int_equal(unwind_stack_find(at + 8, &range), -1);
    assert_int_equal(unwind_stack_find(at + 5 * page, &range), -1);
    assert_int_equal(errno, 77);
    munmap((void *)at, 8 * page);
}

static void stack_is_looked_for_once_until_it_is_forgotten(void **state)
{
    uintptr_t at = map(4), sp = at + 16;
    struct unwind_range range;

    (void)state;
    forbid(at + 3 * page);
    assert_int_equal(unwind_stack_find(sp, &range), 0);
    assert_int_equal(range.hi, at + 3 * page);
    forbid(at + page);
    assert_int_equal(unwind_stack_find(sp, &range), 0);
    assert_int_equal(range.hi, at + 3 * page); /* remembered: no system call was made */
    unwind_stacks_forget();
    assert_int_equal(unwind_stack_find(sp, &range), 0);
    assert_int_equal(range.hi, at + page);
    munmap((void *)at, 4 * page);
    unwind_stacks_forget();
    assert_int_equal(unwind_stack_find(sp, &range), -1);
}

static void no_address_is_no_stack(void **state)
{
    static const uintptr_t none[] = {
        0, 8, 4095, 1, UINTPTR_MAX, UINTPTR_MAX - 7, UINT64_C(1) << 47, UINT64_C(1) << 63};
    struct unwind_range range;

    (void)state;
    for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(unwind_stack_find(none[i], &range), -1);
    assert_int_equal(unwind_stack_find((uintptr_t)&range + 1, &range), -1);
}

static void large_stack_is_read_128_kib_up(void **state)
{
    uintptr_t at = map(100);
    struct unwind_range range;

    (void)state;
    assert_int_equal(unwind_stack_find(at + 10 * page, &range), 0);
    assert_int_equal(range.hi, at + 42 * page);
    munmap((void *)at, 100 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_reaches_to_the_first_page_that_cannot_be_read),
        cmocka_unit_test(stack_is_looked_for_once_until_it_is_forgotten),
        cmocka_unit_test(no_address_is_no_stack),
        cmocka_unit_test(large_stack_is_read_128_kib_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
