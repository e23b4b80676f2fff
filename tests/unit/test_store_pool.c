#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "store/pool.h"
#include "tests/unit/death.h"
#include "tests/unit/scarce.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

static struct pool_counters counters_of(struct pool *pool)
{
    struct pool_counters c;
    pool_count(pool, &c);
    return c;
}

static void thread_run(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, function, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void classes_fit_and_waste_at_most_a_quarter(void **state)
{
    (void)state;
    for (size_t size = 1; size <= POOL_OBJECT_MAX; size++) {
        size_t bytes = pool_class_bytes(size);
        assert_true(bytes >= size && bytes % 16 == 0);
        assert_true(size <= 32 || bytes - size < (size <= 128 ? 16 : size / 4 + 1));
        assert_int_equal(pool_class_bytes(bytes), bytes);
    }
    assert_int_equal(pool_class_bytes(POOL_OBJECT_MAX + 1), POOL_OBJECT_MAX + 1);
}

static void objects_are_aligned_and_do_not_overlap(void **state)
{
    enum { n = 3000 };
    static unsigned char *objects[n];
    static size_t sizes[n];
    (void)state;
    for (int pooled = 0; pooled < 2; pooled++) {
        struct pool *pool = pool_open(pooled);
        struct pool_thread *here = pool_here(pool);
        for (int i = 0; i < n; i++) {
            sizes[i] = (size_t)(i * 37 % (i % 50 ? 500 : 70000)) + 1;
            objects[i] = pool_get(here, sizes[i]);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % 16, 0);
            memset(objects[i], i % 251, sizes[i]);
        }
        for (int i = 0; i < n; i++)
            for (size_t b = 0; b < sizes[i]; b++)
                assert_int_equal(objects[i][b], i % 251);
        for (int i = 0; i < n; i++)
            pool_put(here, objects[i], sizes[i]);
        pool_close(pool, NULL);
    }
}

static void steady_state_calls_no_malloc_when_on(void **state)
{
    (void)state;
    struct pool *pool = pool_open(1);
    struct pool_thread *here = pool_here(pool);
    pool_put(here, pool_get(here, 100), 100);
    struct pool_counters before = counters_of(pool);
    for (int i = 0; i < 100000; i++)
        pool_put(here, pool_get(here, 100), 100);
    struct pool_counters after = counters_of(pool);
    assert_int_equal(after.allocs, before.allocs);
    assert_int_equal(after.frees, before.frees);
    assert_int_equal(after.gets, before.gets + 100000);
    assert_int_equal(after.puts, before.puts + 100000);
    pool_close(pool, NULL);
}

static void off_is_malloc_and_free_byte_for_byte(void **state)
{
    (void)state;
    struct pool *pool = pool_open(0);
    struct pool_thread *here = pool_here(pool);
    struct pool_counters before = counters_of(pool);
    for (size_t size = 1; size <= 1000; size++)
        pool_put(here, pool_get(here, size), size);
    struct pool_counters after = counters_of(pool);
    assert_int_equal(after.allocs - before.allocs, 1000);
    assert_int_equal(after.alloc_bytes - before.alloc_bytes, 500500);
    assert_int_equal(after.frees - before.frees, 1000);
    assert_int_equal(after.free_bytes - before.free_bytes, 500500);
    pool_close(pool, NULL);
}

static void objects_too_large_to_pool_go_straight_back(void **state)
{
    (void)state;
    struct pool *pool = pool_open(1);
    struct pool_thread *here = pool_here(pool);
    struct pool_counters before = counters_of(pool);
    size_t size = POOL_OBJECT_MAX + 1;
    pool_put(here, pool_get(here, size), size);
    struct pool_counters after = counters_of(pool);
    assert_int_equal(after.allocs - before.allocs, 1);
    assert_int_equal(after.frees - before.frees, 1);
    assert_int_equal(after.free_bytes - before.free_bytes, size);
    pool_close(pool, NULL);
}

static void close_frees_all_even_what_is_in_use(void **state)
{
    (void)state;
    struct pool_counters last;
    struct pool *pool = pool_open(1);
    struct pool_thread *here = pool_here(pool);
    for (int i = 0; i < 5000; i++)
        assert_non_null(pool_get(here, 48 + (size_t)i % 64));
    void *reserved = pool_reserve(here, 64, 640);
    assert_int_equal((uintptr_t)reserved % 64, 0);
    pool_unreserve(here, reserved, 640);
    pool_close(pool, &last);
    assert_int_equal(last.gets, 5000);
    assert_int_equal(last.puts, 0);
    assert_true(last.allocs > 2);
    assert_int_equal(last.allocs, last.frees);
    assert_int_equal(last.alloc_bytes, last.free_bytes);
}

/* ---- several threads ---- */

enum { HANDOVER = 64, HANDED = 100000 };
struct handover {
    struct pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t *objects[HANDOVER];
    unsigned in, out;
};

static size_t handed_size(unsigned i)
{
    return 16 + i % 5 * 40;
}

static void *getter(void *argument)
{
    struct handover *h = argument;
    for (unsigned i = 0; i < HANDED; i++) {
        uint64_t *object = pool_get(pool_here(h->pool), handed_size(i));
        object[0] = object[1] = i;
        pthread_mutex_lock(&h->lock);
        while (h->in - h->out == HANDOVER)
            pthread_cond_wait(&h->moved, &h->lock);
        h->objects[h->in++ % HANDOVER] = object;
        pthread_cond_signal(&h->moved);
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

static void put_from_another_thread_is_right(void **state)
{
    (void)state;
    struct handover h = {
        .pool = pool_open(1), .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    uint64_t wrong = 0;
    assert_int_equal(pthread_create(&thread, NULL, getter, &h), 0);
    for (unsigned i = 0; i < HANDED; i++) {
        pthread_mutex_lock(&h.lock);
        while (h.in == h.out)
            pthread_cond_wait(&h.moved, &h.lock);
        uint64_t *object = h.objects[h.out++ % HANDOVER];
        pthread_cond_signal(&h.moved);
        pthread_mutex_unlock(&h.lock);
        wrong += object[0] != i || object[1] != i;
        pool_put(pool_here(h.pool), object, handed_size(i));
    }
    pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
    struct pool_counters c = counters_of(h.pool);
    assert_int_equal(c.gets, HANDED);
    assert_int_equal(c.puts, HANDED);
    assert_true(c.alloc_bytes - c.free_bytes < 512 * 1024); /* objects came back to the getter */
    pool_close(h.pool, NULL);
}

static void *use_a_thousand(void *pool)
{
    struct pool_thread *here = pool_here(pool);
    void *objects[1000];
    for (int i = 0; i < 1000; i++)
        objects[i] = pool_get(here, 100);
    for (int i = 0; i < 1000; i++)
        pool_put(here, objects[i], 100);
    return NULL;
}

static void thread_end_gives_its_cache_to_the_others(void **state)
{
    (void)state;
    struct pool *pool = pool_open(1);
    thread_run(use_a_thousand, pool);
    pool_here(pool);
    struct pool_counters before = counters_of(pool);
    use_a_thousand(pool);
    assert_int_equal(counters_of(pool).allocs, before.allocs);
    pool_close(pool, NULL);
}

/* Each also leaves most of a slab uncut behind. */
static void memory_is_bounded_however_many_threads_come_and_go(void **state)
{
    (void)state;
    struct pool *pool = pool_open(1);
    thread_run(use_a_thousand, pool);
    thread_run(use_a_thousand, pool);
    struct pool_counters c = counters_of(pool);
    uint64_t held = c.alloc_bytes - c.free_bytes;
    for (int i = 0; i < 300; i++)
        thread_run(use_a_thousand, pool);
    c = counters_of(pool);
    assert_int_equal(c.alloc_bytes - c.free_bytes, held);
    assert_int_equal(c.gets, 302000);
    assert_int_equal(c.gets, c.puts);
    pool_close(pool, NULL);
}

/* Too small a rest of a slab is given up, not handed out. */
static void leftovers_are_used_only_if_the_object_fits(void **state)
{
    (void)state;
    struct pool *pool = pool_open(1);
    struct pool_thread *here = pool_here(pool);
    for (int i = 0; i < 100; i++) {
        memset(pool_get(here, 8000), 1, 8000);
        memset(pool_get(here, 8192), 2, 8192);
        memset(pool_get(here, 8193), 3, 8193);
    }
    thread_run(use_a_thousand, pool);
    for (int i = 0; i < 20; i++)
        memset(pool_get(here, 8192), 4, 8192);
    struct pool_counters c;
    pool_close(pool, &c);
    assert_int_equal(c.alloc_bytes, c.free_bytes);
}

enum { CHURN_THREADS = 6, CHURN_SLOTS = 256 };
struct churn {
    struct pool *pool;
    uint64_t *slots[CHURN_SLOTS]; /* atomic */
    uint64_t wrong;               /* atomic */
};
struct churner {
    struct churn *churn;
    uint64_t random;
};

/* Swaps new objects into shared slots and puts what it found there, whoever made it. */
static void *churn_run(void *argument)
{
    struct churner *me = argument;
    struct churn *c = me->churn;
    for (int i = 0; i < 40000; i++) {
        me->random = me->random * 6364136223846793005u + 1442695040888963407u;
        size_t size = 16 + (me->random >> 33) % 300;
        uint64_t *object = pool_get(pool_here(c->pool), size);
        object[0] = size;
        object[1] = ~size;
        uint64_t *old = __atomic_exchange_n(&c->slots[(me->random >> 45) % CHURN_SLOTS], object,
                                            __ATOMIC_ACQ_REL);
        if (!old)
            continue;
        if (old[1] != ~old[0])
            __atomic_add_fetch(&c->wrong, 1, __ATOMIC_RELAXED);
        pool_put(pool_here(c->pool), old, old[0]);
    }
    return NULL;
}

static void many_threads_never_share_an_object(void **state)
{
    (void)state;
    for (int pooled = 0; pooled < 2; pooled++) {
        struct churn churn = {.pool = pool_open(pooled)};
        struct churner churners[CHURN_THREADS];
        pthread_t threads[CHURN_THREADS];
        struct pool_counters last;
        for (int i = 0; i < CHURN_THREADS; i++) {
            churners[i] = (struct churner){&churn, (uint64_t)i * 77};
            assert_int_equal(pthread_create(&threads[i], NULL, churn_run, &churners[i]), 0);
        }
        for (int i = 0; i < CHURN_THREADS; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < CHURN_SLOTS; i++)
            if (churn.slots[i])
                pool_put(pool_here(churn.pool), churn.slots[i], churn.slots[i][0]);
        assert_int_equal(churn.wrong, 0);
        pool_close(churn.pool, &last);
        assert_int_equal(last.gets, CHURN_THREADS * 40000);
        assert_int_equal(last.gets, last.puts);
        assert_int_equal(last.allocs, last.frees);
        assert_int_equal(last.alloc_bytes, last.free_bytes);
    }
}

/* ---- misuse ---- */

static void put_twice(void *size)
{
    size_t n = *(size_t *)size;
    struct pool_thread *here = pool_here(pool_open(1));
    void *object = pool_get(here, n), *other = pool_get(here, n);
    pool_put(here, object, n);
    pool_put(here, other, n);
    pool_put(here, object, n);
}

static void double_put_is_detected(void **state)
{
    char said[DEATH_TEXT];
    size_t sizes[] = {16, 100, 3000, 20000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int status = death_of(put_twice, &sizes[i], said);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(said, "put twice"));
    }
}

/* By then the object lies in the depot, in a batch of others. */
static void put_twice_after_others(void *unused)
{
    enum { n = 1000 };
    (void)unused;
    struct pool_thread *here = pool_here(pool_open(1));
    void *objects[n];
    for (int i = 0; i < n; i++)
        objects[i] = pool_get(here, 64);
    for (int i = 0; i < n; i++)
        pool_put(here, objects[i], 64);
    pool_put(here, objects[n / 4], 64);
}

static void double_put_is_detected_long_after(void **state)
{
    char said[DEATH_TEXT];
    (void)state;
    int status = death_of(put_twice_after_others, NULL, said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "put twice"));
}

/* Writes as a program would that the sanitizer does not see: the pool itself must notice. */
#ifdef __SANITIZE_ADDRESS__
__attribute__((no_sanitize("address")))
#endif
static void
write_after_put(void *offset)
{
    struct pool_thread *here = pool_here(pool_open(1));
    volatile unsigned char *object = pool_get(here, 200);
    pool_put(here, (void *)(uintptr_t)object, 200);
    object[*(size_t *)offset] ^= 0x40;
    pool_get(here, 200);
}

static void write_after_put_is_detected(void **state)
{
    char said[DEATH_TEXT];
    (void)state;
    for (size_t offset = 0; offset < 200; offset++) {
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
        if (offset == 16) /* what a release build promises */
            break;
#endif
        int status = death_of(write_after_put, &offset, said);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(said, "written after it was put"));
    }
}

#ifdef __SANITIZE_ADDRESS__
static void objects_in_the_pool_are_poisoned(void **state)
{
    (void)state;
    struct pool *pool = pool_open(1);
    struct pool_thread *here = pool_here(pool);
    char *object = pool_get(here, 100);
    assert_null(__asan_region_is_poisoned(object, 100));
    assert_true(__asan_address_is_poisoned(object + 104)); /* the class has 112 */
    pool_put(here, object, 100);
    for (int i = 0; i < 112; i++)
        assert_true(__asan_address_is_poisoned(object + i));
    pool_close(pool, NULL);
}
#endif

/* ---- no memory ---- */

static void no_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    if (!SCARCE)
        skip();
    for (int pooled = 0; pooled < 2; pooled++) {
        long live = scarce_live;
        scarce_left = 0;
        assert_null(pool_open(pooled));
        scarce_left = -1;
        struct pool *pool = pool_open(pooled);
        struct pool_thread *here = pool_here(pool);
        struct pool_counters before = counters_of(pool);
        scarce_left = 0;
        assert_null(pool_get(here, 100));
        assert_null(pool_get(here, 10000));
        assert_null(pool_get(here, POOL_OBJECT_MAX + 1));
        assert_null(pool_reserve(here, 64, 64));
        scarce_left = -1;
        struct pool_counters after = counters_of(pool);
        assert_memory_equal(&before, &after, sizeof before);
        pool_put(here, pool_get(here, 100), 100);
        pool_close(pool, NULL);
        assert_int_equal(scarce_live, live);
    }
}

static void *share_the_record(void *pool)
{
    for (int i = 0; i < 20000; i++) {
        scarce_left = 0; /* no record of its own */
        struct pool_thread *here = pool_here(pool);
        scarce_left = -1;
        uint64_t *object = pool_get(here, 64);
        object[0] = (uint64_t)i;
        pool_put(here, object, 64);
    }
    return NULL;
}

static void threads_without_memory_share_one_record(void **state)
{
    (void)state;
    if (!SCARCE)
        skip();
    struct pool_counters last;
    pthread_t threads[3];
    struct pool *pool = pool_open(1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, share_the_record, pool), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    pool_close(pool, &last);
    assert_int_equal(last.gets, 60000);
    assert_int_equal(last.puts, 60000);
    assert_int_equal(last.allocs, 2); /* the pool and one slab: nobody has a record */
    assert_int_equal(last.frees, 2);
}

static void keys_that_run_out_are_told(void **state)
{
    enum { n = 2000 };
    static struct pool *pools[n];
    int opened = 0;
    (void)state;
    while (opened < n && (pools[opened] = pool_open(1)))
        opened++;
    assert_true(opened > 0 && opened < n);
    while (opened)
        pool_close(pools[--opened], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_fit_and_waste_at_most_a_quarter),
        cmocka_unit_test(objects_are_aligned_and_do_not_overlap),
        cmocka_unit_test(steady_state_calls_no_malloc_when_on),
        cmocka_unit_test(off_is_malloc_and_free_byte_for_byte),
        cmocka_unit_test(objects_too_large_to_pool_go_straight_back),
        cmocka_unit_test(close_frees_all_even_what_is_in_use),
        cmocka_unit_test(put_from_another_thread_is_right),
        cmocka_unit_test(thread_end_gives_its_cache_to_the_others),
        cmocka_unit_test(memory_is_bounded_however_many_threads_come_and_go),
        cmocka_unit_test(leftovers_are_used_only_if_the_object_fits),
        cmocka_unit_test(many_threads_never_share_an_object),
        cmocka_unit_test(double_put_is_detected),
        cmocka_unit_test(double_put_is_detected_long_after),
        cmocka_unit_test(write_after_put_is_detected),
#ifdef __SANITIZE_ADDRESS__
        cmocka_unit_test(objects_in_the_pool_are_poisoned),
#endif
        cmocka_unit_test(no_memory_is_told_and_leaks_nothing),
        cmocka_unit_test(threads_without_memory_share_one_record),
        cmocka_unit_test(keys_that_run_out_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
