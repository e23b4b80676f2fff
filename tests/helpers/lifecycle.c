/* build: -Wno-clobbered */
/*
 * lifecycle CASE — allocation at the edges of a process's and a thread's life.
 *
 * Each place allocates in a function of its own: before constructors, in constructors, in thread
 * destructors, in cleanup handlers of cancelled threads, in exit handlers. The expected counts are
 * printed as {"function": [calls, bytes, frees]} before the process ends in the way of its case;
 * what exit handlers do is known beforehand, and printed with the rest.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <threads.h>

#include "samples/truth.h"

#define PLACES(X)                                                                                  \
    X(resolver_alloc)                                                                              \
    X(preinit_alloc)                                                                               \
    X(constructor_alloc)                                                                           \
    X(old_thread_alloc)                                                                            \
    X(main_alloc)                                                                                  \
    X(thread_alloc)                                                                                \
    X(destructor_alloc)                                                                            \
    X(cleanup_alloc)                                                                               \
    X(exit_alloc)

enum place {
#define X(name) AT_##name,
    PLACES(X)
#undef X
        PLACE_COUNT
};

static struct {
    uint64_t calls, bytes, frees;
} expected[PLACE_COUNT];

#define X(name)                                                                                    \
    static SITE void *name(size_t n)                                                               \
    {                                                                                              \
        void *p = malloc(n);                                                                       \
        KEEP(p);                                                                                   \
        return p;                                                                                  \
    }
PLACES(X)
#undef X

static void *(*const alloc_at[PLACE_COUNT])(size_t) = {
#define X(name) name,
    PLACES(X)
#undef X
};

static void expect(enum place place, uint64_t calls, uint64_t bytes, uint64_t frees)
{
    __atomic_fetch_add(&expected[place].calls, calls, __ATOMIC_RELAXED);
    __atomic_fetch_add(&expected[place].bytes, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&expected[place].frees, frees, __ATOMIC_RELAXED);
}

/* 100 blocks of 1 … 100 bytes, every fifth kept for ever: 100 calls, 5 050 bytes, 80 frees. */
static void do_job(enum place place)
{
    for (size_t n = 1; n <= 100; n++) {
        void *p = alloc_at[place](n);
        if (n % 5)
            free(p);
    }
}
static void expect_job(enum place place)
{
    expect(place, 100, 5050, 80);
}
static void job(enum place place)
{
    do_job(place);
    expect_job(place);
}

static void print_expected(void)
{
    for (unsigned i = 0; i < PLACE_COUNT; i++)
        truth_put("%s\"%s\":[%llu,%llu,%llu]", i ? "," : "{",
                  (const char *const[]){
#define X(name) #name,
                      PLACES(X)
#undef X
                  }[i],
                  (unsigned long long)expected[i].calls, (unsigned long long)expected[i].bytes,
                  (unsigned long long)expected[i].frees);
    truth_put("}\n");
    truth_flush();
}

/* --- before main ------------------------------------------------------------------------------ */

static int early_wanted(char **argv)
{
    return argv[1] && !strcmp(argv[1], "early");
}

/* Runs while the loader relocates the program: before every constructor, the profiler's too. */
static void *resolver_block;

static int resolved_function(void)
{
    return 42;
}
static int (*resolve_it(void))(void)
{
    resolver_block = malloc(77);
    return resolved_function;
}
static int by_resolver(void) __attribute__((ifunc("resolve_it")));

static pthread_t old_thread;
static volatile int old_thread_stop;

static void *old_thread_work(void *unused)
{
    job(AT_old_thread_alloc); /* while constructors still run */
    while (!old_thread_stop)
        sched_yield();
    job(AT_old_thread_alloc);
    return unused;
}

static void preinit(int argc, char **argv, char **env)
{
    (void)argc, (void)env;
    if (!early_wanted(argv))
        return;
    job(AT_preinit_alloc);
    if (dlsym(RTLD_NEXT, "there_is_no_such_symbol") || !dlerror())
        truth_fail("dlsym found what is not there");
    if (pthread_create(&old_thread, NULL, old_thread_work, NULL))
        truth_fail("no thread");
}
__attribute__((section(".preinit_array"),
               used)) static void (*const preinit_entry)(int, char **, char **) = preinit;

__attribute__((constructor)) static void construct(int argc, char **argv, char **env)
{
    (void)argc, (void)env;
    if (early_wanted(argv))
        job(AT_constructor_alloc);
}

static int case_early(void)
{
    if (by_resolver() != 42)
        truth_fail("the resolver did not run");
    free(resolver_block); /* a block from before the profiler: freed, not booked */
    job(AT_main_alloc);
    old_thread_stop = 1;
    pthread_join(old_thread, NULL);
    return 0;
}

/* --- how threads end -------------------------------------------------------------------------- */

static pthread_key_t key;

/* Sets its own value again, as often as it is called again. */
static void key_destroy(void *value)
{
    uintptr_t rounds = (uintptr_t)value;
    job(AT_destructor_alloc);
    if (rounds > 1)
        pthread_setspecific(key, (void *)(rounds - 1));
}

static void *keyed_work(void *rounds)
{
    pthread_setspecific(key, rounds);
    job(AT_thread_alloc);
    return NULL;
}

static int case_destructors(void)
{
    pthread_t thread[16];
    if (pthread_key_create(&key, key_destroy))
        truth_fail("no key");
    for (uintptr_t i = 0; i < 16; i++)
        if (pthread_create(&thread[i], NULL, keyed_work,
                           (void *)(i % PTHREAD_DESTRUCTOR_ITERATIONS + 1)))
            truth_fail("no thread");
    for (unsigned i = 0; i < 16; i++)
        pthread_join(thread[i], NULL);
    return 0;
}

static void cleanup(void *unused)
{
    (void)unused;
    job(AT_cleanup_alloc);
}

static void *ending_work(void *way)
{
    static int quiet[2];
    pthread_cleanup_push(cleanup, NULL);
    job(AT_thread_alloc);
    if (way == (void *)0)
        pthread_exit(NULL);
    if (way == (void *)1 && (pipe(quiet) || read(quiet[0], &way, 1) < 0))
        truth_fail("read"); /* cancelled in the call */
    for (;;) {              /* cancelled between two blocks */
        void *p = thread_alloc(50);
        expect(AT_thread_alloc, 1, 50, 1);
        free(p);
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static int case_cancel(void)
{
    pthread_t thread[12];
    for (uintptr_t i = 0; i < 12; i++)
        if (pthread_create(&thread[i], NULL, ending_work, (void *)(i % 3)))
            truth_fail("no thread");
    for (unsigned i = 0; i < 12; i++) {
        void *result = NULL;
        usleep(2000);
        if (i % 3)
            pthread_cancel(thread[i]);
        pthread_join(thread[i], &result);
        if (i % 3 && result != PTHREAD_CANCELED)
            truth_fail("a thread was not cancelled");
    }
    return 0;
}

static int c11_work(void *arg)
{
    job(AT_thread_alloc);
    return (int)(intptr_t)arg;
}

static int case_c11(void)
{
    thrd_t thread[8];
    for (intptr_t i = 0; i < 8; i++)
        if (thrd_create(&thread[i], c11_work, (void *)(i * 7)) != thrd_success)
            truth_fail("no thread");
    for (int i = 0; i < 8; i++) {
        int result = -1;
        if (thrd_join(thread[i], &result) != thrd_success || result != i * 7)
            truth_fail("a C11 thread's result is lost");
    }
    return 0;
}

static void *brief_work(void *arg)
{
    job(AT_thread_alloc);
    return arg;
}

/* Many short lives, one after the other and a few at a time; half of them detached. */
static int case_churn(void)
{
    for (uintptr_t i = 0; i < 400; i++) {
        pthread_t thread[4];
        for (uintptr_t k = 0; k < 4; k++)
            if (pthread_create(&thread[k], NULL, brief_work, (void *)(i + k)))
                truth_fail("no thread");
        for (uintptr_t k = 0; k < 4; k++) {
            void *result = NULL;
            if (pthread_join(thread[k], &result) || result != (void *)(i + k))
                truth_fail("a thread's result is lost");
        }
    }
    return 0;
}

static void *named_work(void *arg)
{
    pthread_setname_np(pthread_self(), arg);
    job(AT_thread_alloc);
    return NULL;
}

static int case_names(void)
{
    static const char *const names[] = {"compactor", "flusher-7", "a name of 15 ch"};
    pthread_t thread[3];
    for (unsigned i = 0; i < 3; i++)
        if (pthread_create(&thread[i], NULL, named_work, (void *)names[i]))
            truth_fail("no thread");
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    return 0;
}

/* --- how processes end ------------------------------------------------------------------------ */

static void exit_job(void)
{
    do_job(AT_exit_alloc);
}

__attribute__((destructor)) static void destruct(void)
{
    do_job(AT_exit_alloc);
}

/* exit() runs exit_job twice and destruct once. */
static void expect_exit(void)
{
    atexit(exit_job);
    atexit(exit_job);
    for (unsigned i = 0; i < 3; i++)
        expect_job(AT_exit_alloc);
}

static int case_exit_handlers(void)
{
    job(AT_main_alloc);
    expect_exit();
    return 9;
}

static void *exiting_work(void *unused)
{
    (void)unused;
    job(AT_thread_alloc);
    print_expected();
    exit(11);
}

static int case_exit_in_thread(void)
{
    pthread_t thread;
    job(AT_main_alloc);
    expect_exit();
    if (pthread_create(&thread, NULL, exiting_work, NULL))
        truth_fail("no thread");
    pause();
    return 1;
}

static void *last_work(void *unused)
{
    usleep(30000); /* main is gone */
    job(AT_thread_alloc);
    print_expected();
    return unused;
}

static int case_main_leaves(void)
{
    pthread_t thread;
    job(AT_main_alloc);
    expect_job(AT_exit_alloc); /* destruct */
    if (pthread_create(&thread, NULL, last_work, NULL))
        truth_fail("no thread");
    pthread_exit(NULL);
}

static int case__exit(void)
{
    job(AT_main_alloc);
    atexit(exit_job);
    print_expected();
    _exit(12);
}

static int case_quick_exit(void)
{
    job(AT_main_alloc);
    at_quick_exit(exit_job);
    expect_job(AT_exit_alloc);
    print_expected();
    quick_exit(13);
}

static int case_abort(void)
{
    job(AT_main_alloc);
    print_expected();
    abort();
}

static int case_segv(void)
{
    job(AT_main_alloc);
    print_expected();
    volatile int *nowhere = NULL;
    KEEP(nowhere);
    *nowhere = 1;
    return 0;
}

static int case_term(void)
{
    job(AT_main_alloc);
    print_expected();
    raise(SIGTERM);
    return 0;
}

/* Cases that end the process themselves print what is expected themselves. */
static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"early", case_early},
    {"destructors", case_destructors},
    {"cancel", case_cancel},
    {"c11", case_c11},
    {"churn", case_churn},
    {"names", case_names},
    {"exit_handlers", case_exit_handlers},
    {"exit_in_thread", case_exit_in_thread},
    {"main_leaves", case_main_leaves},
    {"_exit", case__exit},
    {"quick_exit", case_quick_exit},
    {"abort", case_abort},
    {"segv", case_segv},
    {"term", case_term},
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(argv[1], cases[i].name))
            continue;
        int status = cases[i].run();
        if (cases[i].run != case_exit_handlers)
            expect_job(AT_exit_alloc); /* destruct */
        print_expected();
        return status;
    }
    fprintf(stderr, "usage: lifecycle CASE\n");
    return 2;
}
