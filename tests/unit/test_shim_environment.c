#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "shim/environment.h"

/* environment_take() keeps what it saw: one process-wide state, as in a profiled process. */
static char preload[64], out_name[] = "PERFSHIM_OUT=a.pshim", home[] = "HOME=/root";

static char **environment_after_take(const char *list)
{
    static char *envp[4];
    strcpy(preload, list);
    envp[0] = home;
    envp[1] = preload;
    envp[2] = out_name;
    envp[3] = NULL;
    environment_take(envp, "/own/libperfshim.so", false);
    return envp;
}

static void our_entry_alone_takes_the_variable_with_it(void **state)
{
    (void)state;
    char **envp = environment_after_take("LD_PRELOAD=./libperfshim.so");
    assert_string_equal(envp[0], "HOME=/root");
    assert_string_equal(envp[1], "PERFSHIM_OUT=a.pshim");
    assert_null(envp[2]);
}

static void other_entries_stay(void **state)
{
    static const char *const lists[][2] = {
        {"LD_PRELOAD=/a/libperfshim.so:/b/libx.so", "LD_PRELOAD=/b/libx.so"},
        {"LD_PRELOAD=/b/libx.so:/a/libperfshim.so", "LD_PRELOAD=/b/libx.so"},
        {"LD_PRELOAD=/b/x.so /a/libperfshim.so y.so", "LD_PRELOAD=/b/x.so y.so"},
        {"LD_PRELOAD=/b/notlibperfshim.so", "LD_PRELOAD=/b/notlibperfshim.so"},
        {"LD_PRELOAD=", "LD_PRELOAD="},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++)
        assert_string_equal(environment_after_take(lists[i][0])[1], lists[i][1]);
}

static void exec_gets_our_entry_first_and_what_we_kept(void **state)
{
    char *bare[] = {"LD_PRELOAD=/b/libx.so", "A=1", NULL};
    (void)state;
    environment_after_take("LD_PRELOAD=/a/libperfshim.so:/b/libx.so");
    assert_string_equal(environment_library(), "/own/libperfshim.so");
    assert_true(environment_slots(bare) >= 5);
    char **out = calloc(environment_slots(bare), sizeof *out);
    char *text = malloc(environment_preload_bytes(bare));
    environment_build(bare, out, text);
    assert_string_equal(out[0], "A=1");
    assert_string_equal(out[1], "LD_PRELOAD=/own/libperfshim.so:/b/libx.so");
    assert_string_equal(out[2], "PERFSHIM_OUT=a.pshim");
    assert_true(strlen(text) < environment_preload_bytes(bare));
    free(text);
    free(out);
}

static void exec_with_no_environment_gets_ours(void **state)
{
    (void)state;
    environment_after_take("LD_PRELOAD=/a/libperfshim.so");
    char **out = calloc(environment_slots(NULL), sizeof *out);
    char *text = malloc(environment_preload_bytes(NULL));
    environment_build(NULL, out, text);
    assert_string_equal(out[0], "LD_PRELOAD=/own/libperfshim.so");
    assert_string_equal(out[1], "PERFSHIM_OUT=a.pshim");
    free(text);
    free(out);
}

static void hosts_own_setting_wins_over_the_kept_one(void **state)
{
    char *own[] = {"PERFSHIM_OUT=b.pshim", NULL};
    (void)state;
    environment_after_take("LD_PRELOAD=/a/libperfshim.so");
    char **out = calloc(environment_slots(own), sizeof *out);
    char *text = malloc(environment_preload_bytes(own));
    environment_build(own, out, text);
    assert_string_equal(out[0], "PERFSHIM_OUT=b.pshim");
    assert_string_equal(out[1], "LD_PRELOAD=/own/libperfshim.so");
    assert_null(out[2]);
    free(text);
    free(out);
}

static void followed_children_start_with_us(void **state)
{
    static char list[] = "LD_PRELOAD=/b/x.so:/a/libperfshim.so", follow[] = "PERFSHIM_FOLLOW=1";
    char *envp[] = {list, follow, NULL}, *given[] = {list, "A=1", NULL}, *bare[] = {NULL};
    char *out[24], text[128];
    (void)state;
    environment_take(envp, "/own/libperfshim.so", true);
    assert_true(environment_follows());
    assert_string_equal(envp[0], "LD_PRELOAD=/b/x.so:/a/libperfshim.so");
    assert_string_equal(envp[1], "PERFSHIM_FOLLOW=2");
    environment_build(given, out, text);
    assert_ptr_equal(out[0], list); /* we are in it already */
    assert_string_equal(out[1], "A=1");
    environment_build(bare, out, text);
    assert_string_equal(out[0], "LD_PRELOAD=/own/libperfshim.so");
    environment_after_take("LD_PRELOAD=/a/libperfshim.so");
    assert_false(environment_follows());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_entry_alone_takes_the_variable_with_it),
        cmocka_unit_test(other_entries_stay),
        cmocka_unit_test(exec_gets_our_entry_first_and_what_we_kept),
        cmocka_unit_test(exec_with_no_environment_gets_ours),
        cmocka_unit_test(hosts_own_setting_wins_over_the_kept_one),
        cmocka_unit_test(followed_children_start_with_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
