#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "store/bench/engine.h"
#include "tests/unit/scarce.h"

enum { THREADS = 100, VALUE = 40 };

/* An engine with its threads, in virtual time. */
struct fixture {
    const struct engine *engine;
    struct virtual_clock clock;
    void *self, *threads[THREADS];
};

static int start(struct fixture *f, const char *name, unsigned threads)
{
    struct engine_trouble trouble = {.text = ""};
    struct engine_setup setup = {.clock = &f->clock.clock,
                                 .threads = threads,
                                 .value_size = VALUE,
                                 .sync_every = ENGINE_NO_LOG,
                                 .shards = 1,
                                 .pool = 1};
    memset(f, 0, sizeof *f);
    virtual_clock_init(&f->clock);
    f->engine = engine_choose(name);
    assert_non_null(f->engine);
    int error = f->engine->open(&setup, &f->self, &trouble);
    if (error != ENGINE_OK) {
        assert_true(trouble.text[0] && !trouble.disk);
        return error;
    }
    for (unsigned i = 0; i < threads && error == ENGINE_OK; i++)
        error = f->engine->thread_open(f->self, i, &f->threads[i], &trouble);
    return error;
}

static void end(struct fixture *f, struct engine_statistics *last)
{
    struct engine_statistics unused;
    struct engine_trouble trouble;
    for (unsigned i = 0; i < THREADS; i++)
        if (f->threads[i])
            f->engine->thread_close(f->threads[i]);
    assert_int_equal(f->engine->close(f->self, last ? last : &unused, &trouble), ENGINE_OK);
}

static int get(struct fixture *f, unsigned thread, struct engine_value *value)
{
    return f->engine->get(f->threads[thread], "key", 3, value);
}

static void the_store_keeps_what_is_put(void **state)
{
    struct fixture f;
    struct engine_value value;
    struct engine_statistics last;
    (void)state;
    assert_int_equal(start(&f, "store", 2), ENGINE_OK);
    assert_int_equal(get(&f, 0, &value), ENGINE_NOT_FOUND);
    assert_string_equal(f.engine->error_text(f.threads[0]), "not found");
    assert_int_equal(f.engine->put(f.threads[0], "key", 3, "value", 5), ENGINE_OK);
    assert_int_equal(get(&f, 1, &value), ENGINE_OK);
    assert_int_equal(value.size, 5);
    assert_memory_equal(value.data, "value", 5);
    f.engine->release(f.threads[1], &value);
    f.engine->statistics(f.self, &last);
    assert_true(engine_statistic(&last, "gets") == 2 && engine_statistic(&last, "hits") == 1);
    assert_true(engine_statistic(&last, "keys") == 1);
    end(&f, &last);
    assert_true(engine_statistic(&last, "pool_gets") == engine_statistic(&last, "pool_puts"));
    assert_true(isnan(engine_statistic(&last, "swims")));
}

static void counts_are_since_before_and_levels_are_what_there_is(void **state)
{
    static const struct engine_statistic names[] = {{"gets", 0}, {"keys", 1}};
    struct engine_statistics before = {names, 2, {10, 5}}, after = {names, 2, {17, 6}};
    (void)state;
    engine_statistics_subtract(&after, &before);
    assert_true(engine_statistic(&after, "gets") == 7 && engine_statistic(&after, "keys") == 6);
}

static int visit(void *context, const void *key, size_t key_size, const void *value,
                 size_t value_size)
{
    unsigned *left = context;
    (void)key, (void)value;
    assert_int_equal(key_size, 3);
    assert_int_equal(value_size, VALUE);
    return --*left == 0;
}

static void null_and_sim_return_zeros_and_count_each_thread(void **state)
{
    const char *names[] = {"null", "sim:mean=1us"};
    static const char zeros[VALUE];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct engine_value value;
        struct engine_statistics last;
        unsigned left = 100;
        assert_int_equal(start(&f, names[i], 3), ENGINE_OK);
        for (unsigned t = 0; t < 3; t++) {
            assert_int_equal(get(&f, t, &value), ENGINE_OK);
            assert_int_equal(value.size, VALUE);
            assert_memory_equal(value.data, zeros, VALUE);
            f.engine->release(f.threads[t], &value);
            assert_int_equal(f.engine->put(f.threads[t], "key", 3, "v", 1), ENGINE_OK);
        }
        assert_int_equal(f.engine->scan(f.threads[0], "key", 3, 10, visit, &left), 10);
        left = 4;
        assert_int_equal(f.engine->scan(f.threads[0], "key", 3, 10, visit, &left), 4);
        end(&f, &last);
        assert_true(engine_statistic(&last, "gets") == 3 && engine_statistic(&last, "puts") == 3);
        assert_true(engine_statistic(&last, "scans") == 2);
        assert_true(engine_statistic(&last, "errors") == 0);
    }
}

static void errors_asked_for_come_exactly_and_of_their_class(void **state)
{
    const struct {
        const char *name;
        int error, count;
    } cases[] = {{"null:errors=1234", ENGINE_IO, 1234},
                 {"null:errors=7,error=no_space", ENGINE_NO_SPACE, 7},
                 {"sim:mean=1us,errors=1234,error=not_found", ENGINE_NOT_FOUND, 1234},
                 {"null:error=other", ENGINE_OTHER, 0}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fixture f;
        struct engine_value value;
        struct engine_statistics last;
        int errors = 0, first = 0;
        assert_int_equal(start(&f, cases[i].name, THREADS), ENGINE_OK);
        for (int k = 0; k < 200 * THREADS; k++) {
            int error = k & 1 ? get(&f, k % THREADS, &value)
                              : f.engine->put(f.threads[k % THREADS], "key", 3, "v", 1);
            assert_true(error == ENGINE_OK || error == cases[i].error);
            errors += error != ENGINE_OK;
            first = errors == 0 ? k : first;
        }
        assert_int_equal(errors, cases[i].count);
        assert_true(!errors || first > THREADS); /* spread, not all at once */
        end(&f, &last);
        assert_true(engine_statistic(&last, "errors") == errors);
    }
}

/* Two servers of 10 ms each: calls at 0, 0, 1, 2, 100 ms. */
static void sim_serves_in_the_order_of_calls_by_the_first_free_server(void **state)
{
    uint64_t calls_ms[] = {0, 0, 1, 2, 100}, ends_ms[] = {10, 10, 20, 20, 110};
    struct fixture f;
    struct engine_value value;
    (void)state;
    assert_int_equal(start(&f, "sim:servers=2,mean=10ms,dist=fixed", 1), ENGINE_OK);
    for (int i = 0; i < 5; i++) {
        f.clock.time_ns = calls_ms[i] * 1000000;
        assert_int_equal(get(&f, 0, &value), ENGINE_OK);
        assert_int_equal(f.clock.time_ns, ends_ms[i] * 1000000);
    }
    end(&f, NULL);
}

static void sim_stalls_once_all_servers(void **state)
{
    uint64_t ends_ms[] = {10, 20, 1430, 1440, 1450};
    struct fixture f;
    struct engine_value value;
    (void)state;
    assert_int_equal(start(&f, "sim:mean=10ms,dist=fixed,stall=1400ms,stall-after=2", 1), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(get(&f, 0, &value), ENGINE_OK);
        assert_int_equal(f.clock.time_ns, ends_ms[i] * 1000000);
    }
    end(&f, NULL);
}

static void sim_takes_exponential_times_of_the_mean_given(void **state)
{
    enum { n = 200000 };
    struct fixture f;
    struct engine_value value;
    int long_ones = 0;
    (void)state;
    assert_int_equal(start(&f, "sim:mean=5ms", 1), ENGINE_OK);
    for (int i = 0; i < n; i++) {
        uint64_t before = f.clock.time_ns;
        get(&f, 0, &value);
        long_ones += f.clock.time_ns - before > 15000000;
    }
    /* 5 standard deviations of the mean, and of the share past three means */
    assert_true(fabs((double)f.clock.time_ns / n / 5e6 - 1) < 5 / sqrt(n));
    assert_true(fabs(long_ones - n * exp(-3)) < 5 * sqrt(n * exp(-3)));
    end(&f, NULL);
}

static void no_memory_is_an_error_with_a_text(void **state)
{
    const char *names[] = {"store", "null", "sim"};
    (void)state;
    if (!SCARCE)
        skip();
    for (int i = 0; i < 3; i++) {
        struct fixture f;
        long live = scarce_live, left = 0;
        int error;
        do {
            scarce_left = left++;
            error = start(&f, names[i], 1);
            scarce_left = -1;
            if (f.self && error != ENGINE_OK)
                end(&f, NULL); /* a thread that could not be opened */
            assert_true(error == ENGINE_OK || error == ENGINE_NO_MEMORY);
            assert_true(error == ENGINE_OK || scarce_live == live);
        } while (error != ENGINE_OK && left < 100);
        assert_int_equal(error, ENGINE_OK);
        assert_true(left > 1);
        end(&f, NULL);
    }
}

static void every_error_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (int error = -5; error <= ENGINE_OK; error++)
        assert_true(engine_error_name(error)[0] && engine_error_text(error)[0]);
    assert_string_equal(engine_error_name(ENGINE_NO_SPACE), "no_space");
    assert_string_equal(engine_error_text(ENGINE_NO_MEMORY), "out of memory");
    assert_string_equal(engine_error_name(ENGINE_OK), "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_keeps_what_is_put),
        cmocka_unit_test(counts_are_since_before_and_levels_are_what_there_is),
        cmocka_unit_test(null_and_sim_return_zeros_and_count_each_thread),
        cmocka_unit_test(errors_asked_for_come_exactly_and_of_their_class),
        cmocka_unit_test(sim_serves_in_the_order_of_calls_by_the_first_free_server),
        cmocka_unit_test(sim_stalls_once_all_servers),
        cmocka_unit_test(sim_takes_exponential_times_of_the_mean_given),
        cmocka_unit_test(no_memory_is_an_error_with_a_text),
        cmocka_unit_test(every_error_has_a_name_and_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
