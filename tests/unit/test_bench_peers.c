#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/bench/engine_library.h"

enum { THREADS = 4, KEYS = 300 };

struct fixture {
    const struct engine *engine;
    struct virtual_clock clock;
    char directory[64];
    void *self, *threads[THREADS];
};

static const struct engine *engine_there(const char *name)
{
    struct engine_trouble trouble = {.text = ""};
    const struct engine *engine = engine_choose(name);
    assert_non_null(engine);
    if (!engine->probe || engine->probe(&trouble) == ENGINE_OK)
        return engine;
    assert_non_null(strstr(trouble.text, "Debian's package is "));
    print_message("%s is not tested: %s\n", name, trouble.text);
    return NULL;
}

static void begin(struct fixture *f)
{
    /* in memory if that is possible: what a disk takes for a sync is not what is tested */
    snprintf(f->directory, sizeof f->directory, "%s/peers-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(rmdir(f->directory), 0); /* the engine makes it */
}

/* 0 if the engine is not installed. */
static int start(struct fixture *f, const char *name, uint64_t sync_every)
{
    struct engine_trouble trouble = {.text = ""};
    struct engine_setup setup = {.clock = &f->clock.clock,
                                 .threads = THREADS,
                                 .directory = f->directory,
                                 .sync_every = sync_every,
                                 .scans = 1,
                                 .shards = 4,
                                 .pool = 1};
    virtual_clock_init(&f->clock);
    if (!(f->engine = engine_there(name)))
        return 0;
    int error = f->engine->open(&setup, &f->self, &trouble);
    for (unsigned i = 0; i < THREADS && error == ENGINE_OK; i++)
        error = f->engine->thread_open(f->self, i, &f->threads[i], &trouble);
    if (error != ENGINE_OK)
        print_error("%s: %s\n", name, trouble.text);
    assert_int_equal(error, ENGINE_OK);
    return 1;
}

static double keys_at_end(struct fixture *f)
{
    struct engine_statistics last;
    struct engine_trouble trouble = {.text = ""};
    for (unsigned i = 0; i < THREADS; i++)
        f->engine->thread_close(f->threads[i]);
    int error = f->engine->close(f->self, &last, &trouble);
    if (error != ENGINE_OK)
        print_error("%s: %s\n", f->engine->name, trouble.text);
    assert_int_equal(error, ENGINE_OK);
    assert_in_range(last.count, 1, ENGINE_STATISTICS_MAX);
    return engine_statistic(&last, "keys");
}

static void finish(struct fixture *f)
{
    keys_at_end(f);
    assert_int_equal(f->engine->remove(f->directory), 0);
    assert_int_not_equal(access(f->directory, F_OK), 0);
}

static int put(struct fixture *f, const char *key, const void *value, size_t size)
{
    return f->engine->put(f->threads[0], key, strlen(key), value, size);
}

static void expect(struct fixture *f, unsigned thread, const char *key, const void *want,
                   size_t size)
{
    struct engine_value value;
    int error = f->engine->get(f->threads[thread], key, strlen(key), &value);
    if (!want) {
        assert_int_equal(error, ENGINE_NOT_FOUND);
        return;
    }
    assert_int_equal(error, ENGINE_OK);
    assert_int_equal(value.size, size);
    assert_memory_equal(value.data, want, size);
    f->engine->release(f->threads[thread], &value);
}

static void what_is_put_is_found_and_nothing_else(void **state)
{
    static char big[100000];
    memset(big, 'b', sizeof big);
    struct fixture f;
    begin(&f);
    if (!start(&f, *state, ENGINE_NO_LOG))
        skip();
    expect(&f, 0, "a", NULL, 0);
    assert_int_equal(put(&f, "a", "one", 3), ENGINE_OK);
    assert_int_equal(put(&f, "b", "\0\n\0", 3), ENGINE_OK);
    expect(&f, 0, "a", "one", 3);
    expect(&f, 1, "b", "\0\n\0", 3); /* what one thread has put another one sees */
    assert_int_equal(put(&f, "a", "another", 7), ENGINE_OK);
    expect(&f, 2, "a", "another", 7);
    assert_int_equal(put(&f, "a", "", 0), ENGINE_OK);
    expect(&f, 0, "a", "", 0);
    assert_int_equal(put(&f, "a", big, sizeof big), ENGINE_OK);
    expect(&f, 3, "a", big, sizeof big);
    expect(&f, 0, "c", NULL, 0);
    finish(&f);
}

/* ---- scans ---- */

struct seen {
    unsigned next, step, wanted; /* the key to come, to the one after it, until it wants no more */
};

static int see(void *context, const void *key, size_t key_size, const void *value,
               size_t value_size)
{
    struct seen *s = context;
    char want[16];
    snprintf(want, sizeof want, "key%05u", s->next);
    assert_int_equal(key_size, 8);
    assert_memory_equal(key, want, 8);
    assert_int_equal(value_size, sizeof s->next);
    assert_memory_equal(value, &s->next, sizeof s->next);
    s->next += s->step;
    return --s->wanted == 0;
}

static int scan(struct fixture *f, unsigned from, unsigned count, struct seen *s)
{
    char key[16];
    snprintf(key, sizeof key, "key%05u", from);
    return f->engine->scan(f->threads[0], key, 8, count, see, s);
}

static void scans_visit_keys_in_order_from_the_first_not_less(void **state)
{
    struct fixture f;
    char key[16];
    begin(&f);
    if (!start(&f, *state, ENGINE_NO_LOG))
        skip();
    assert_int_equal(scan(&f, 0, 10, &(struct seen){0}), 0);
    for (unsigned n = 0; n < KEYS; n++) { /* odd numbers, in no order */
        unsigned number = n * 7 % KEYS * 2 + 1;
        snprintf(key, sizeof key, "key%05u", number);
        assert_int_equal(put(&f, key, &number, sizeof number), ENGINE_OK);
    }
    struct seen s = {.next = 11, .step = 2, .wanted = KEYS};
    assert_int_equal(scan(&f, 11, 100, &s), 100);
    assert_int_equal(s.next, 211);
    s = (struct seen){.next = 21, .step = 2, .wanted = KEYS};
    assert_int_equal(scan(&f, 20, 5, &s), 5);
    s = (struct seen){.next = 591, .step = 2, .wanted = KEYS};
    assert_int_equal(scan(&f, 591, 100, &s), 5); /* to the last one */
    assert_int_equal(scan(&f, 600, 100, &s), 0);
    s = (struct seen){.next = 11, .step = 2, .wanted = 3}; /* the visitor ends it */
    assert_int_equal(scan(&f, 11, 100, &s), 3);
    finish(&f);
}

/* ---- what outlives ---- */

static void data_outlive_the_engine(void **state)
{
    const uint64_t syncs[] = {0, 1};
    for (int k = 0; k < 2; k++) {
        struct fixture f;
        begin(&f);
        if (!start(&f, *state, syncs[k]))
            skip();
        assert_int_equal(f.engine->sync_every(f.self, 0), ENGINE_OK); /* as for the load */
        assert_int_equal(put(&f, "a", "1", 1), ENGINE_OK);
        assert_int_equal(put(&f, "b", "2", 1), ENGINE_OK);
        assert_int_equal(f.engine->sync_every(f.self, syncs[k]), ENGINE_OK);
        assert_int_equal(put(&f, "b", "3", 1), ENGINE_OK);
        double keys = keys_at_end(&f);
        if (!isnan(keys) && strcmp(*state, "rocksdb") != 0) /* an estimate */
            assert_int_equal((int)keys, 2);
        assert_int_equal(start(&f, *state, syncs[k]), 1);
        expect(&f, 0, "a", "1", 1);
        expect(&f, 1, "b", "3", 1);
        finish(&f);
    }
}

static void a_directory_that_cannot_be_is_told(void **state)
{
    const struct engine *engine = engine_there(*state);
    struct engine_trouble trouble = {.text = ""};
    struct engine_setup setup = {.threads = 1, .directory = "/proc/none", .shards = 1};
    void *self;
    if (!engine)
        skip();
    assert_int_not_equal(engine->open(&setup, &self, &trouble), ENGINE_OK);
    assert_non_null(strstr(trouble.text, "/proc/none"));
    assert_int_equal(trouble.disk, 1);
}

static void redis_syncs_every_write_or_none(void **state)
{
    const struct engine *engine = engine_there("redis");
    struct engine_trouble trouble = {.text = ""};
    struct engine_setup setup = {.threads = 1, .directory = "/proc/none", .sync_every = 2};
    void *self;
    (void)state;
    if (!engine)
        skip();
    assert_int_equal(engine->open(&setup, &self, &trouble), ENGINE_OTHER);
    assert_non_null(strstr(trouble.text, "--wal-sync-every=1"));
}

/* ---- threads ---- */

struct actor {
    struct fixture *f;
    unsigned number, wrong;
};

static void *put_and_get(void *argument)
{
    struct actor *a = argument;
    const struct engine *engine = a->f->engine;
    void *thread = a->f->threads[a->number];
    for (unsigned i = 0; i < 500; i++) {
        struct engine_value value;
        unsigned key[2] = {a->number, i % 50}, got[2];
        a->wrong += engine->put(thread, key, sizeof key, key, sizeof key) != ENGINE_OK;
        if (engine->get(thread, key, sizeof key, &value) != ENGINE_OK) {
            a->wrong++;
            continue;
        }
        if (value.size != sizeof got || memcmp(value.data, key, sizeof got) != 0)
            a->wrong++;
        engine->release(thread, &value);
    }
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
#ifdef __SANITIZE_THREAD__ /* it sees what other people's libraries touch, not how they lock it */
    if (strcmp(*state, "store") != 0 && strcmp(*state, "redis") != 0)
        skip();
#endif
    struct fixture f;
    struct actor actors[THREADS];
    pthread_t threads[THREADS];
    begin(&f);
    if (!start(&f, *state, 0))
        skip();
    for (unsigned n = 0; n < THREADS; n++) {
        actors[n] = (struct actor){.f = &f, .number = n};
        assert_int_equal(pthread_create(&threads[n], NULL, put_and_get, &actors[n]), 0);
    }
    for (unsigned n = 0; n < THREADS; n++) {
        pthread_join(threads[n], NULL);
        assert_int_equal(actors[n].wrong, 0);
    }
    finish(&f);
}

/* ---- what they have in common ---- */

static void of_n_writes_the_nth_is_synced(void **state)
{
    struct sync_rule every = {.every = 1}, never = {.every = 0}, third = {.every = 3},
                     no_log = {.every = ENGINE_NO_LOG};
    (void)state;
    for (int i = 1; i <= 9; i++) {
        assert_int_equal(sync_due(&every), 1);
        assert_int_equal(sync_due(&never), 0);
        assert_int_equal(sync_due(&no_log), 0);
        assert_int_equal(sync_due(&third), i % 3 == 0);
    }
}

static void a_message_has_its_class(void **state)
{
    (void)state;
    assert_int_equal(error_class_of_text("IO error: f: No space left on device"), ENGINE_NO_SPACE);
    assert_int_equal(error_class_of_text("IO error: f: File too large"), ENGINE_NO_SPACE);
    assert_int_equal(error_class_of_text("IO error: f: Bad file descriptor"), ENGINE_IO);
    assert_int_equal(error_class_of_text("Corruption: bad block"), ENGINE_OTHER);
}

static void a_library_that_cannot_be_opened_is_told(void **state)
{
    static int (*function)(void);
    const struct library_function wanted[] = {{"no_such_function", &function}, {0}};
    const char *const none[] = {"libno-such-1.so", "libno-such-2.so", NULL};
    const char *const libc[] = {"libno-such-1.so", "libc.so.6", NULL};
    struct library library = {.names = none, .package = "nosuch1", .functions = wanted};
    struct engine_trouble trouble = {.text = ""};
    (void)state;
    assert_int_equal(library_open(&library, &trouble), ENGINE_OTHER);
    assert_non_null(strstr(trouble.text, "libno-such-1.so"));
    assert_non_null(strstr(trouble.text, "nosuch1"));
    library.names = libc;
    assert_int_equal(library_open(&library, &trouble), ENGINE_OTHER);
    assert_non_null(strstr(trouble.text, "no_such_function"));
    assert_null(library.handle);
    library.functions = (const struct library_function[]){{"getpid", &function}, {0}};
    assert_int_equal(library_open(&library, &trouble), ENGINE_OK);
    assert_int_equal(function(), getpid());
    library.handle = NULL;
    library.chosen = "/no/such.so"; /* and no other one */
    assert_int_equal(library_open(&library, &trouble), ENGINE_OTHER);
}

static void a_directory_is_removed_with_all_that_is_in_it_but_not_through_links(void **state)
{
    char directory[] = "/tmp/peers-XXXXXX", kept[] = "/tmp/peers-XXXXXX", name[64], file[80];
    (void)state;
    assert_non_null(mkdtemp(directory));
    assert_non_null(mkdtemp(kept));
    snprintf(name, sizeof name, "%s/inner", directory);
    assert_int_equal(mkdir(name, 0700), 0);
    snprintf(file, sizeof file, "%s/file", name);
    fclose(fopen(file, "w"));
    snprintf(file, sizeof file, "%s/link", name);
    assert_int_equal(symlink(kept, file), 0);
    assert_int_equal(directory_remove(directory), 0);
    assert_int_equal(access(directory, F_OK), -1);
    assert_int_equal(rmdir(kept), 0);
    assert_int_equal(directory_remove(directory), 0); /* fine if there is none */
}

/* Each of these keeps data on a disk, and must do the same with it. */
#define OF_EACH(test)                                                                              \
    {#test " of store", test, NULL, NULL, (void *)"store"},                                        \
        {#test " of rocksdb", test, NULL, NULL, (void *)"rocksdb"},                                \
        {#test " of leveldb", test, NULL, NULL, (void *)"leveldb"},                                \
        {#test " of lmdb", test, NULL, NULL, (void *)"lmdb"},                                      \
        {#test " of redis", test, NULL, NULL, (void *)"redis"},

int main(void)
{
    const struct CMUnitTest tests[] = {
        OF_EACH(what_is_put_is_found_and_nothing_else)
            OF_EACH(scans_visit_keys_in_order_from_the_first_not_less)
                OF_EACH(data_outlive_the_engine) OF_EACH(a_directory_that_cannot_be_is_told)
                    cmocka_unit_test(redis_syncs_every_write_or_none),
        OF_EACH(threads_do_not_disturb_each_other) cmocka_unit_test(of_n_writes_the_nth_is_synced),
        cmocka_unit_test(a_message_has_its_class),
        cmocka_unit_test(a_library_that_cannot_be_opened_is_told),
        cmocka_unit_test(a_directory_is_removed_with_all_that_is_in_it_but_not_through_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
