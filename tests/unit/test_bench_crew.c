#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store/bench/crew.h"
#include "store/bench/system.h"
#include "tests/unit/death.h"
#include "tests/unit/scarce.h"

enum { THREADS = 20 };
#define FOREVER UINT64_MAX

static unsigned calls[THREADS]; /* by the thread of that number */
static pthread_t who[THREADS];
static unsigned pause_us;

static void work(void *context, unsigned index)
{
    unsigned *sum = context;
    usleep(pause_us);
    calls[index]++;
    who[index] = pthread_self();
    __atomic_add_fetch(sum, 1, __ATOMIC_RELAXED);
}

static void each_thread_works_once_in_each_phase(void **state)
{
    struct crew *crew;
    unsigned sum = 0, started;
    pthread_t first[THREADS];
    (void)state;
    memset(calls, 0, sizeof calls);
    pause_us = 0;
    assert_int_equal(crew_new(&crew, THREADS, work, &sum, &started), 0);
    assert_int_equal(started, THREADS);
    for (unsigned phase = 1; phase <= 50; phase++) {
        crew_begin(crew);
        assert_int_equal(crew_wait(crew, FOREVER), 1);
        assert_int_equal(sum, THREADS * phase);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(calls[i], phase);
        if (phase == 1)
            memcpy(first, who, sizeof who);
    }
    assert_memory_equal(first, who, sizeof who); /* the same threads in all phases */
    crew_free(crew);
}

static void waiting_ends_at_the_time_given(void **state)
{
    struct crew *crew;
    unsigned sum = 0, started;
    (void)state;
    pause_us = 200000;
    assert_int_equal(crew_new(&crew, 2, work, &sum, &started), 0);
    assert_int_equal(crew_wait(crew, FOREVER), 1); /* nothing begun, nothing to wait for */
    crew_begin(crew);
    uint64_t now = system_now_ns();
    assert_int_equal(crew_wait(crew, now + 20000000), 0);
    assert_true(system_now_ns() - now >= 20000000);
    assert_int_equal(crew_wait(crew, FOREVER), 1);
    assert_int_equal(sum, 2);
    crew_free(crew);
    crew_free(NULL);
}

/* Room for some stacks, not for all: those that were started end again. */
static void start_too_many(void *unused)
{
    struct crew *crew;
    unsigned sum = 0, started = 0;
    struct rlimit limit = {256 << 20, 256 << 20};
    (void)unused;
    pause_us = 0;
    setrlimit(RLIMIT_AS, &limit);
    int error = crew_new(&crew, 5000, work, &sum, &started);
    if ((error == ENOMEM || error == EAGAIN) && !crew && started > 10 && started < 5000)
        _exit(33);
}

static void too_many_threads_are_an_error(void **state)
{
    char said[DEATH_TEXT];
    struct crew *crew;
    unsigned started;
    (void)state;
    if (!SCARCE)
        skip(); /* sanitizers need more addresses than any limit of use here */
    int status = death_of(start_too_many, NULL, said);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 33);
    scarce_left = 0;
    assert_int_equal(crew_new(&crew, 2, work, NULL, &started), ENOMEM);
    scarce_left = -1;
    assert_null(crew);
}

/* glibc would keep a block for each stack that it caches. */
static void no_block_is_left_behind(void **state)
{
    struct crew *crew;
    unsigned sum = 0, started;
    (void)state;
    if (!SCARCE)
        skip();
    pause_us = 0;
    long live = scarce_live;
    assert_int_equal(crew_new(&crew, THREADS, work, &sum, &started), 0);
    crew_begin(crew);
    crew_wait(crew, FOREVER);
    crew_free(crew);
    assert_int_equal(scarce_live, live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_thread_works_once_in_each_phase),
        cmocka_unit_test(waiting_ends_at_the_time_given),
        cmocka_unit_test(too_many_threads_are_an_error),
        cmocka_unit_test(no_block_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
