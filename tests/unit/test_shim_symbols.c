#include "shim/symbols.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What a library that this program does not define exports: the same as the loader says. */
static void finds_what_dlsym_finds(void **state)
{
    static const char *const names[] = {
        "qsort",                     /* one version */
        "pthread_cond_wait",         /* two: the default one */
        "memcpy",                    /* chosen when it is bound, and two versions */
        "__tls_get_addr",            /* of the loader itself */
        "cmocka_set_message_output", /* of a library without versions */
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *found = symbol_next(names[i]);
        assert_non_null(found);
        assert_ptr_equal(found, dlsym(RTLD_NEXT, names[i]));
    }
}

/* dlerror() would tell of a look-up that failed. */
static void what_is_not_there_leaves_no_error(void **state)
{
    (void)state;
    dlerror();
    assert_null(symbol_next("perfshim_no_such_function"));
    assert_null(symbol_next(""));
    assert_null(dlerror());
}

static void a_module_s_own_functions_are_not_next(void **state)
{
    (void)state;
    assert_null(symbol_next("main"));
    assert_null(symbol_next("symbol_next"));
}

static void what_cannot_be_hidden_is_left_alone(void **state)
{
    (void)state;
    symbol_hide("perfshim_no_such_function");
    symbol_hide("qsort"); /* not ours */
    assert_non_null(dlsym(RTLD_DEFAULT, "qsort"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_dlsym_finds),
        cmocka_unit_test(what_is_not_there_leaves_no_error),
        cmocka_unit_test(a_module_s_own_functions_are_not_next),
        cmocka_unit_test(what_cannot_be_hidden_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
