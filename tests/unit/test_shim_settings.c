#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "profile/format.h"
#include "shim/settings.h"

static struct settings of(const char *variable)
{
    char *envp[] = {"HOME=/", (char *)variable, NULL};
    struct settings s;
    settings_read(envp, &s);
    return s;
}

static void defaults_are_the_contracts(void **state)
{
    (void)state;
    struct settings s = of("PERFSHIM=1");
    assert_null(s.out);
    assert_int_equal(s.alloc_mode, PSHIM_ALLOC_EXACT);
    assert_int_equal(s.cpu_hz, 199);
    assert_int_equal(s.unwind_mode, PSHIM_UNWIND_CFI);
    assert_int_equal(s.start, 1);
    assert_int_equal(s.max_bytes, 64 << 20);
    assert_int_equal(s.bad_count, 0);
}

static void values_are_understood(void **state)
{
    (void)state;
    assert_string_equal(of("PERFSHIM_OUT=dir/").out, "dir/");
    assert_null(of("PERFSHIM_OUT=").out);
    assert_int_equal(of("PERFSHIM_ALLOC=off").alloc_mode, PSHIM_ALLOC_OFF);
    assert_int_equal(of("PERFSHIM_ALLOC=512K").alloc_mode, PSHIM_ALLOC_SAMPLED);
    assert_int_equal(of("PERFSHIM_ALLOC=512K").alloc_sample_bytes, 512 << 10);
    assert_int_equal(of("PERFSHIM_ALLOC=2M").alloc_sample_bytes, 2 << 20);
    assert_int_equal(of("PERFSHIM_ALLOC=1G").alloc_sample_bytes, 1 << 30);
    assert_int_equal(of("PERFSHIM_ALLOC=4096").alloc_sample_bytes, 4096);
    assert_int_equal(of("PERFSHIM_ALLOC_SEED=7").alloc_seed, 7);
    assert_int_equal(of("PERFSHIM_ALLOC=512K").bad_count, 0);
    assert_int_equal(of("PERFSHIM_CPU_HZ=0").cpu_hz, 0);
    assert_int_equal(of("PERFSHIM_CPU_HZ=4000").cpu_hz, 4000);
    assert_int_equal(of("PERFSHIM_UNWIND=fp").unwind_mode, PSHIM_UNWIND_FP);
    assert_int_equal(of("PERFSHIM_UNWIND=libunwind").unwind_mode, PSHIM_UNWIND_LIBUNWIND);
    assert_int_equal(of("PERFSHIM_UNWIND=cfi").unwind_mode, PSHIM_UNWIND_CFI);
    assert_int_equal(of("PERFSHIM_START=0").start, 0);
    assert_int_equal(of("PERFSHIM_START=1").start, 1);
    assert_int_equal(of("PERFSHIM_MAX_MB=7").max_bytes, 7 << 20);
    assert_int_equal(of("PERFSHIM_LOCKS=on").locks_mode, PSHIM_ON);
    assert_int_equal(of("PERFSHIM_LOCKS=wait").locks_mode, PSHIM_WAIT);
    assert_int_equal(of("PERFSHIM_LOCKS=off").locks_mode, PSHIM_OFF);
    assert_int_equal(of("").io_mode, PSHIM_ON);
    assert_int_equal(of("PERFSHIM_IO=on").io_mode, PSHIM_ON);
    assert_int_equal(of("PERFSHIM_IO=off").io_mode, PSHIM_OFF);
    assert_int_equal(of("PERFSHIM_FOLLOW=0").bad_count, 0);
    assert_int_equal(of("PERFSHIM_FOLLOW=0").follow, SETTINGS_ALONE);
    assert_int_equal(of("PERFSHIM_FOLLOW=1").follow, SETTINGS_FOLLOW);
    assert_int_equal(of("PERFSHIM_FOLLOW=2").follow, SETTINGS_FOLLOWED);
}

static void bad_values_are_told_and_change_nothing(void **state)
{
    static const char *const bad[] = {
        "PERFSHIM_ALLOC=",       "PERFSHIM_ALLOC=exactly",
        "PERFSHIM_ALLOC=0",      "PERFSHIM_ALLOC=5T",
        "PERFSHIM_ALLOC=2G",     "PERFSHIM_ALLOC_SEED=x",
        "PERFSHIM_ALLOC=5Kx",    "PERFSHIM_CPU_HZ=",
        "PERFSHIM_CPU_HZ=10001", "PERFSHIM_CPU_HZ=-1",
        "PERFSHIM_CPU_HZ=1e3",   "PERFSHIM_UNWIND=dwarf",
        "PERFSHIM_MAX_MB=0",     "PERFSHIM_MAX_MB=65537",
        "PERFSHIM_LOCKS=yes",    "PERFSHIM_IO=wait",
        "PERFSHIM_IO=",          "PERFSHIM_FOLLOW=3",
        "PERFSHIM_FOLLOW=yes",   "PERFSHIM_MAX_MB=99999999999999999999"};
    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct settings s = of(bad[i]);
        assert_int_equal(s.bad_count, 1);
        assert_string_equal(s.bad[0], bad[i]);
        assert_int_equal(s.alloc_mode, PSHIM_ALLOC_EXACT);
        assert_int_equal(s.cpu_hz, 199);
        assert_int_equal(s.locks_mode, PSHIM_ON);
        assert_int_equal(s.io_mode, PSHIM_ON);
        assert_int_equal(s.max_bytes, 64 << 20);
    }
    assert_int_equal(of("PERFSHIM_START=maybe").bad_count, 1);
}

static const char *path(const char *out, unsigned attempt)
{
    static char buf[64];
    return settings_path(out, "store_bench", 4127, attempt, buf, sizeof buf) == 0 ? buf : NULL;
}

static void names_follow_the_contract(void **state)
{
    (void)state;
    assert_string_equal(path(NULL, 0), "perfshim-store_bench-4127.pshim");
    assert_string_equal(path(NULL, 1), "perfshim-store_bench-4127-2.pshim");
    assert_string_equal(path(NULL, 9), "perfshim-store_bench-4127-10.pshim");
    assert_string_equal(path("d/", 0), "d/perfshim-store_bench-4127.pshim");
    assert_string_equal(path("d/", 2), "d/perfshim-store_bench-4127-3.pshim");
    assert_string_equal(path("a.pshim", 0), "a.pshim");
    assert_string_equal(path("a.pshim", 1), "a-2.pshim");
    assert_string_equal(path("a-%p.pshim", 0), "a-4127.pshim");
    assert_string_equal(path("a-%p.pshim", 1), "a-4127-2.pshim");
    assert_string_equal(path("plain", 0), "plain");
    assert_string_equal(path("plain", 1), "plain-2");
    assert_string_equal(path("100%", 0), "100%");
}

static void name_that_does_not_fit_is_refused(void **state)
{
    char buf[64], long_name[100];
    (void)state;
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(settings_path(long_name, "p", 1, 0, buf, sizeof buf), -1);
    long_name[63] = '\0';
    assert_int_equal(settings_path(long_name, "p", 1, 0, buf, sizeof buf), 0);
    assert_int_equal(strlen(buf), 63);
    assert_int_equal(settings_path(long_name, "p", 1, 1, buf, sizeof buf), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_contracts),
        cmocka_unit_test(values_are_understood),
        cmocka_unit_test(bad_values_are_told_and_change_nothing),
        cmocka_unit_test(names_follow_the_contract),
        cmocka_unit_test(name_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
