#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "store/bench/worker.h"
#include "store/store.h"
#include "tests/unit/scarce.h"

/* A clock that moves by `tick` each time it is read. */
static uint64_t clock_now, clock_tick;
static uint64_t clock_read(struct bench_clock *clock)
{
    (void)clock;
    return clock_now += clock_tick;
}

static struct bench_clock test_clock = {.now_ns = clock_read};

struct fixture {
    struct store *store; /* what the engine has opened */

    struct workload workload;
    struct worker_shared shared;
    struct worker worker;
    int stop;
};

enum { KEYS = 50, VALUE = 64 };

static void engine_start(struct fixture *f, int pool)
{
    struct engine_trouble trouble;
    struct engine_setup setup = {.clock = &test_clock,
                                 .threads = 1,
                                 .value_size = VALUE,
                                 .sync_every = ENGINE_NO_LOG,
                                 .shards = 64,
                                 .pool = pool};
    f->shared.engine = engine_choose("store");
    assert_int_equal(f->shared.engine->open(&setup, &f->shared.self, &trouble), ENGINE_OK);
    f->store = f->shared.self;
}

static void start(struct fixture *f, double read_ratio, int verify)
{
    struct engine_trouble trouble;
    memset(f, 0, sizeof *f);
    f->shared.clock = &test_clock;
    engine_start(f, 1);
    struct workload_setup setup = {.share = {[OP_GET] = read_ratio, [OP_PUT] = 1 - read_ratio},
                                   .keys = KEYS,
                                   .value_size = VALUE,
                                   .seed = 1,
                                   .verify = verify,
                                   .scan_length = 10};
    assert_int_equal(workload_init(&f->workload, &setup), 0);
    f->shared.workload = &f->workload;
    f->shared.max_errors = UINT64_MAX;
    f->shared.stop = &f->stop;
    assert_int_equal(worker_init(&f->worker, &f->shared, 0, &trouble), 0);
    worker_load(&f->worker, 0, KEYS);
    assert_int_equal(f->worker.load_error, ENGINE_OK);
    assert_int_equal(f->worker.loaded, KEYS);
    clock_now = 0;
    clock_tick = 100;
}

static void end(struct fixture *f)
{
    struct store_statistics last;
    worker_release(&f->worker);
    workload_release(&f->workload);
    store_close(f->store, &last);
    assert_int_equal(last.pool_gets, last.pool_puts);
}

static uint64_t latencies(const struct fixture *f, enum op_kind kind)
{
    const struct histogram *h = f->worker.op[kind].latency;
    return h ? h->count : 0;
}

static void load_puts_each_key_of_its_share_once(void **state)
{
    struct fixture f;
    struct store_statistics s;
    (void)state;
    start(&f, 1, 1);
    worker_load(&f.worker, KEYS, KEYS + 5);
    store_statistics(f.store, &s);
    assert_int_equal(s.puts, KEYS + 5);
    assert_int_equal(s.keys, KEYS + 5);
    assert_int_equal(s.data_bytes, (KEYS + 5) * (KEY_SIZE + VALUE));
    end(&f);
}

static void each_operation_is_timed_around_the_call_alone(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 0.5, 1);
    worker_operate(&f.worker, 1000, UINT64_MAX, "op");
    assert_int_equal(latencies(&f, OP_GET) + latencies(&f, OP_PUT), 1000);
    for (int k = OP_GET; k <= OP_PUT; k++) {
        const struct histogram *h = f.worker.op[k].latency;
        assert_true(h->count > 400);
        assert_int_equal(h->sum, h->count * 100);
        assert_int_equal(h->max, 100);
    }
    assert_int_equal(clock_now, 100 + 1000 * 200); /* once at the start, twice an operation */
    assert_int_equal(f.worker.end_ns, clock_now);
    end(&f);
}

static void the_operation_that_passes_the_deadline_is_the_last(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1, 0);
    worker_operate(&f.worker, UINT64_MAX, 1000, "op"); /* ends at 300, 500, 700, 900, 1100 */
    assert_int_equal(latencies(&f, OP_GET), 5);
    assert_int_equal(f.worker.end_ns, 1100);
    worker_operate(&f.worker, UINT64_MAX, 1000, "op"); /* which has passed */
    assert_int_equal(latencies(&f, OP_GET), 5);
    end(&f);
}

static void numbers_add_up_until_they_are_reset(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 0, 0);
    worker_operate(&f.worker, 10, UINT64_MAX, "warmup");
    worker_operate(&f.worker, 7, UINT64_MAX, "op");
    assert_int_equal(latencies(&f, OP_PUT), 17);
    worker_reset(&f.worker);
    assert_int_equal(latencies(&f, OP_PUT), 0);
    end(&f);
}

static void stop_ends_it_before_the_next_operation(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1, 0);
    f.stop = 1;
    worker_operate(&f.worker, 10, UINT64_MAX, "op");
    assert_int_equal(latencies(&f, OP_GET), 0);
    worker_load(&f.worker, KEYS, KEYS + 5);
    assert_int_equal(f.worker.loaded, KEYS);
    end(&f);
}

static void delete_all(struct fixture *f)
{
    for (uint64_t i = 0; i < KEYS; i++) {
        char key[KEY_SIZE];
        key_write(key, i);
        assert_int_equal(store_delete(f->store, key, KEY_SIZE), STORE_OK);
    }
}

static void missing_keys_are_errors_without_latency(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1, 0);
    delete_all(&f);
    worker_operate(&f.worker, 30, UINT64_MAX, "op");
    assert_int_equal(latencies(&f, OP_GET), 0);
    assert_int_equal(f.worker.op[OP_GET].errors[ERROR_NOT_FOUND], 30);
    assert_int_equal(f.shared.errors, 30);
    worker_reset(&f.worker);
    assert_int_equal(f.worker.op[OP_GET].errors[ERROR_NOT_FOUND], 0);
    end(&f);
}

static void failed_operations_have_latencies_of_their_own(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 0.5, 0);
    delete_all(&f);
    worker_operate(&f.worker, 100, UINT64_MAX, "op");
    uint64_t failed = f.worker.op[OP_GET].errors[ERROR_NOT_FOUND];
    assert_true(failed > 10);
    assert_int_equal(f.worker.timing.failed->count, failed);
    assert_int_equal(f.worker.timing.failed->sum, failed * 100);
    worker_reset(&f.worker);
    assert_int_equal(f.worker.timing.failed->count, 0);
    end(&f);
}

/* The clock moves by 100 at each look: two looks in the call, one before it. */
static void an_open_loop_counts_from_the_intended_start(void **state)
{
    struct fixture f;
    struct arrivals arrivals;
    (void)state;
    start(&f, 1, 0);
    arrivals_init(&arrivals, ARRIVALS_UNIFORM, 1e9 / 150, 1);
    arrivals_begin(&arrivals, 0, UINT64_MAX, 20);
    f.shared.arrivals = &arrivals;
    timing_release(&f.worker.timing);
    assert_int_equal(timing_init(&f.worker.timing, 1), 0);
    worker_operate(&f.worker, UINT64_MAX, UINT64_MAX, "op"); /* begun at 300, 600, … 6000 */
    const struct timing *t = &f.worker.timing;
    assert_int_equal(latencies(&f, OP_GET), 20);
    assert_int_equal(t->service->count, 20);
    assert_int_equal(t->service->sum, 20 * 100);
    assert_int_equal(t->max_lag_ns, 6000 - 19 * 150);
    assert_int_equal(t->wait->sum, 300 * 210 - 150 * 190);
    assert_int_equal(f.worker.op[OP_GET].latency->sum, t->wait->sum + t->service->sum);
    assert_int_equal(t->last_start_ns, 6000);
    assert_int_equal(t->late, 0);
    f.stop = 1;
    arrivals_begin(&arrivals, 1000000, UINT64_MAX, 20);
    assert_int_equal(worker_step(&f.worker), 0); /* does not wait to the end */
    arrivals_release(&arrivals);
    end(&f);
}

static void a_kind_alone(struct fixture *f, enum op_kind kind)
{
    for (int k = 0; k < OP_KINDS; k++)
        f->workload.below[k] = k < (int)kind ? 0 : (uint64_t)1 << 53;
    if (!f->worker.op[kind].latency)
        f->worker.op[kind].latency = histogram_new();
}

static void inserts_are_there_for_everybody_when_they_are_done(void **state)
{
    struct fixture f;
    struct store_statistics s;
    (void)state;
    start(&f, 1, 1);
    keyspace_release(&f.workload.keyspace);
    assert_int_equal(keyspace_init(&f.workload.keyspace, KEYS, 1), 0);
    a_kind_alone(&f, OP_INSERT);
    worker_operate(&f.worker, 20, UINT64_MAX, "op");
    store_statistics(f.store, &s);
    assert_int_equal(s.keys, KEYS + 20);
    assert_int_equal(latencies(&f, OP_INSERT), 20);
    assert_int_equal(keyspace_count(&f.workload.keyspace), KEYS + 20);
    a_kind_alone(&f, OP_GET);
    f.workload.setup.distribution = DISTRIBUTION_LATEST;
    distribution_init(&f.workload.distribution, DISTRIBUTION_LATEST, 0.99, 0, 0);
    worker_operate(&f.worker, 500, UINT64_MAX, "op");
    assert_int_equal(f.shared.errors, 0);
    end(&f);
}

/* A get and a put, 100 each; the time between them is not the engine's. */
static void read_modify_write_is_one_operation_of_two_calls(void **state)
{
    struct fixture f;
    struct store_statistics before, s;
    (void)state;
    start(&f, 1, 1);
    store_statistics(f.store, &before);
    a_kind_alone(&f, OP_RMW);
    worker_operate(&f.worker, 30, UINT64_MAX, "op");
    store_statistics(f.store, &s);
    assert_int_equal(s.gets - before.gets, 30);
    assert_int_equal(s.puts - before.puts, 30);
    assert_int_equal(latencies(&f, OP_RMW), 30);
    assert_int_equal(f.worker.op[OP_RMW].latency->sum, 30 * 200);
    delete_all(&f);
    worker_reset(&f.worker);
    worker_operate(&f.worker, 30, UINT64_MAX, "op");
    assert_int_equal(f.worker.op[OP_RMW].errors[ERROR_NOT_FOUND], 30);
    store_statistics(f.store, &s);
    assert_int_equal(s.puts - before.puts, 30); /* nothing read, nothing written */
    end(&f);
}

/* Two good values, then one that is not its key's. */
static int scan_three(void *thread, const void *key, size_t key_size, unsigned count,
                      engine_visit *visit, void *context)
{
    struct worker *w = thread;
    char next[KEY_SIZE];
    assert_in_range(count, 1, 10);
    for (uint64_t i = 0; i < 3; i++) {
        key_write(next, key_number(key, key_size) + i);
        visit(context, next, KEY_SIZE, value_next(&w->generator, key_number(key, key_size) + i % 2),
              VALUE);
    }
    return 3;
}

/* What an engine gets wrong: keys that are left out, come twice, come too early, are too few. */
static enum { SCAN_RIGHT, SCAN_GAP, SCAN_TWICE, SCAN_BEFORE, SCAN_SHORT, SCAN_WAYS } scan_way;

static int scan_some_way(void *thread, const void *key, size_t key_size, unsigned count,
                         engine_visit *visit, void *context)
{
    struct worker *w = thread;
    char next[KEY_SIZE];
    uint64_t number = key_number(key, key_size) - (scan_way == SCAN_BEFORE);
    unsigned n = scan_way == SCAN_SHORT ? count - 1 : count, seen = 0;
    for (unsigned i = 0; i < n && number < KEYS; i++, seen++) {
        key_write(next, number);
        visit(context, next, KEY_SIZE, value_next(&w->generator, number), VALUE);
        number += scan_way == SCAN_GAP ? 2 : scan_way != SCAN_TWICE;
    }
    return (int)seen;
}

static int scan_fails(void *thread, const void *key, size_t key_size, unsigned count,
                      engine_visit *visit, void *context)
{
    (void)thread, (void)key, (void)key_size, (void)count, (void)visit, (void)context;
    return ENGINE_IO;
}

static void scans_are_verified_entry_by_entry(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1, 1);
    struct engine engine = *f.shared.engine;
    const struct engine *real = f.shared.engine;
    void *thread = f.worker.thread;
    a_kind_alone(&f, OP_SCAN);
    f.shared.engine = &engine;
    f.worker.thread = &f.worker;
    engine.scan = scan_three;
    worker_operate(&f.worker, 5, UINT64_MAX, "op");
    assert_int_equal(f.worker.op[OP_SCAN].errors[ERROR_VERIFY], 5);
    f.workload.setup.verify = 0;
    worker_operate(&f.worker, 5, UINT64_MAX, "op");
    assert_int_equal(latencies(&f, OP_SCAN), 5);
    engine.scan = scan_fails;
    worker_operate(&f.worker, 5, UINT64_MAX, "op");
    assert_int_equal(f.worker.op[OP_SCAN].errors[ERROR_IO], 5);
    f.shared.engine = real;
    f.worker.thread = thread;
    end(&f);
}

static void a_scan_has_every_loaded_key_in_order(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1, 1);
    struct engine engine = *f.shared.engine;
    const struct engine *real = f.shared.engine;
    void *thread = f.worker.thread;
    a_kind_alone(&f, OP_SCAN);
    f.shared.engine = &engine;
    f.worker.thread = &f.worker;
    engine.scan = scan_some_way;
    for (scan_way = SCAN_RIGHT; scan_way < SCAN_WAYS; scan_way++) {
        worker_reset(&f.worker);
        worker_operate(&f.worker, 200, UINT64_MAX, "op");
        uint64_t wrong = f.worker.op[OP_SCAN].errors[ERROR_VERIFY];
        assert_int_equal(wrong + latencies(&f, OP_SCAN), 200);
        /* but for scans of one key, or from the last one or the first, where some are right */
        assert_true(scan_way == SCAN_RIGHT ? wrong == 0 : wrong > 150);
    }
    f.shared.engine = real;
    f.worker.thread = thread;
    worker_reset(&f.worker);
    worker_operate(&f.worker, 200, UINT64_MAX, "op");
    end(&f);
}

static void one_error_too_many_stops_everybody(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1, 0);
    delete_all(&f);
    f.shared.max_errors = 4;
    worker_operate(&f.worker, 100, UINT64_MAX, "op");
    assert_int_equal(f.worker.op[OP_GET].errors[ERROR_NOT_FOUND], 5);
    assert_int_equal(f.stop, 1);
    end(&f);
}

static void verify_finds_a_foreign_value(void **state)
{
    struct fixture f;
    char key[KEY_SIZE], garbage[VALUE] = "not what a worker put";
    (void)state;
    start(&f, 1, 1);
    worker_operate(&f.worker, 500, UINT64_MAX, "op");
    assert_int_equal(f.shared.errors, 0);
    for (uint64_t i = 0; i < KEYS; i++) {
        key_write(key, i);
        assert_int_equal(store_put(f.store, key, KEY_SIZE, garbage, VALUE), STORE_OK);
    }
    worker_reset(&f.worker);
    worker_operate(&f.worker, 20, UINT64_MAX, "op");
    assert_int_equal(f.worker.op[OP_GET].errors[ERROR_VERIFY], 20);
    assert_int_equal(latencies(&f, OP_GET), 0);
    end(&f);
}

/* Pool off: every put is three calls of malloc that can fail. */
static void no_memory_is_an_error_of_its_class(void **state)
{
    struct fixture f;
    struct engine_trouble trouble;
    struct worker second;
    (void)state;
    if (!SCARCE)
        skip();
    start(&f, 0.5, 1);
    f.shared.engine->thread_close(f.worker.thread);
    store_close(f.store, NULL);
    engine_start(&f, 0);
    assert_int_equal(f.shared.engine->thread_open(f.shared.self, 0, &f.worker.thread, &trouble), 0);
    worker_load(&f.worker, 0, KEYS);
    scarce_left = 0;
    worker_operate(&f.worker, 100, UINT64_MAX, "op");
    worker_load(&f.worker, 0, KEYS);
    assert_int_equal(worker_init(&second, &f.shared, 1, &trouble), -1);
    scarce_left = -1;
    assert_int_equal(f.worker.op[OP_GET].errors[ERROR_NO_MEMORY] +
                         f.worker.op[OP_PUT].errors[ERROR_NO_MEMORY],
                     100);
    assert_true(f.worker.op[OP_GET].errors[ERROR_NO_MEMORY] > 20);
    assert_int_equal(f.worker.load_error, ENGINE_NO_MEMORY);
    worker_release(&second);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_puts_each_key_of_its_share_once),
        cmocka_unit_test(each_operation_is_timed_around_the_call_alone),
        cmocka_unit_test(the_operation_that_passes_the_deadline_is_the_last),
        cmocka_unit_test(numbers_add_up_until_they_are_reset),
        cmocka_unit_test(stop_ends_it_before_the_next_operation),
        cmocka_unit_test(missing_keys_are_errors_without_latency),
        cmocka_unit_test(failed_operations_have_latencies_of_their_own),
        cmocka_unit_test(an_open_loop_counts_from_the_intended_start),
        cmocka_unit_test(inserts_are_there_for_everybody_when_they_are_done),
        cmocka_unit_test(read_modify_write_is_one_operation_of_two_calls),
        cmocka_unit_test(scans_are_verified_entry_by_entry),
        cmocka_unit_test(a_scan_has_every_loaded_key_in_order),
        cmocka_unit_test(one_error_too_many_stops_everybody),
        cmocka_unit_test(verify_finds_a_foreign_value),
        cmocka_unit_test(no_memory_is_an_error_of_its_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
