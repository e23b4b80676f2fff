#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <string.h>

#include "analyzer/call_site.h"
#include "analyzer/model_waits.h"
#include "tests/unit/profile_fixture.h"

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;
static struct frames *frames;
static struct call_sites sites;
static struct selection selection;
static uint32_t module;

/* What stands in the stacks: different code, or they would be one function. */
#define CODE(name, n)                                                                              \
    __attribute__((noinline)) static void name(void)                                               \
    {                                                                                              \
        __asm__ volatile("" ::"r"(n));                                                             \
    }
CODE(worker, 1)
CODE(append, 2)
CODE(load, 3)

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "waits");
    fixture_open(&f, path, 1 << 20);
    module = fixture_own_module(&f);
    fixture_lock(&f, 0, 0, false); /* record 0: of locks without room */
    f.h->io_mode = PSHIM_ON;
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    call_sites_release(&sites);
    frames_free(frames);
    frames = NULL;
    model_release(&m);
    reader_close(&r);
    selection_release(&selection);
    fixture_close(&f);
    return unlink(path);
}

static uint32_t call(uint32_t parent, void (*function)(void))
{
    return fixture_call(&f, parent, module, function);
}

static uint32_t waiting(uint32_t stack, uint32_t id)
{
    return fixture_special(&f, stack, PSHIM_SPECIAL_CALL + id);
}

static struct pshim_account *counted(uint32_t node, uint16_t recorder, enum pshim_kind kind,
                                     uint64_t calls, uint64_t ns)
{
    struct pshim_account *a = fixture_account(&f, node, recorder, kind);
    a->counter[PSHIM_WAIT_CALLS] = calls;
    a->counter[PSHIM_WAIT_BYTES] = 100 * calls;
    a->counter[PSHIM_WAIT_TIME] = ns;
    a->counter[PSHIM_WAIT_TIME_MAX] = ns / 2;
    a->counter[PSHIM_WAIT_ERRORS] = 1;
    return a;
}

static void loaded(const char *focus)
{
    char why[160];
    const char *words[SELECT_RULES] = {[SELECT_FOCUS] = focus};
    assert_int_equal(selection_init(&selection, words, why), 0);
    assert_int_equal(reader_open(&r, path), 0);
    if (model_load(&m, &r) != 0)
        fail_msg("%s", r.error);
    frames = frames_new(&r, &selection);
}

static void names_and_kinds_of_calls_are_told(void **state)
{
    (void)state;
    assert_string_equal(model_call_name(PSHIM_CALL_FDATASYNC), "fdatasync");
    assert_string_equal(model_call_name(PSHIM_CALL_MUTEX_LOCK), "pthread_mutex_lock");
    assert_string_equal(model_call_name(PSHIM_CALL_COUNT), "a call"); /* of a later version */
    unsigned syncing = 0, writing = 0;
    for (uint32_t i = 0; i <= PSHIM_CALL_COUNT; i++) {
        syncing += model_call_syncs(i);
        writing += model_call_writes(i);
        assert_false(model_call_syncs(i) && model_call_writes(i));
    }
    assert_int_equal(syncing, 5);
    assert_int_equal(writing, 4);
    assert_true(model_call_syncs(PSHIM_CALL_MSYNC) && model_call_writes(PSHIM_CALL_PWRITEV));
    assert_false(model_call_writes(PSHIM_CALL_SEND));
}

static void call_and_lock_are_taken_off_a_chain(void **state)
{
    (void)state;
    uint32_t stack = call(0, worker), io = waiting(stack, PSHIM_CALL_READ);
    uint32_t under = fixture_special(&f, io, PSHIM_SPECIAL_LOCK + 7);
    uint32_t later = fixture_special(&f, stack, PSHIM_SPECIAL_CALL + PSHIM_CALL_COUNT);
    uint32_t bare = fixture_special(&f, stack, PSHIM_SPECIAL_LOCK + 7), lock, node;
    loaded(NULL);
    node = io;
    assert_int_equal(model_call_of(&m, &node, &lock), PSHIM_CALL_READ);
    assert_true(node == io && lock == UINT32_MAX);
    node = under;
    assert_int_equal(model_call_of(&m, &node, &lock), PSHIM_CALL_READ);
    assert_true(node == io && lock == 7);
    for (uint32_t i = 0; i < 4; i++) { /* no call, one of a later version, none at all */
        node = (uint32_t[]){stack, later, bare, 0}[i];
        assert_int_equal(model_call_of(&m, &node, &lock), PSHIM_CALL_COUNT);
    }
}

static void recorders_are_added_up_most_time_first(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), append);
    uint32_t io = waiting(at, PSHIM_CALL_WRITE), sync = waiting(at, PSHIM_CALL_FSYNC);
    counted(io, 1, PSHIM_KIND_WAIT, 10, 1000);
    counted(sync, 1, PSHIM_KIND_WAIT, 1, 1500);
    counted(io, 2, PSHIM_KIND_WAIT, 5, 3000);
    counted(at, 1, PSHIM_KIND_WAIT, 77, 9000); /* there was no room for the call's node */
    loaded(NULL);
    assert_int_equal(m.wait_count, 2);
    assert_int_equal(m.waits[0].call, PSHIM_CALL_WRITE);
    assert_int_equal(m.waits[0].node, io);
    const struct model_wait_counts *c = &m.waits[0].counts;
    assert_true(c->calls == 15 && c->bytes == 1500 && c->time_ns == 4000 && c->errors == 2);
    assert_int_equal(c->time_max_ns, 1500); /* of two the longer, not the sum */
    assert_int_equal(m.waits[1].call, PSHIM_CALL_FSYNC);
}

static void waits_under_a_lock_belong_to_that_lock(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), append), io = waiting(at, PSHIM_CALL_FSYNC);
    uint32_t a = fixture_lock(&f, 0x1000, at, true), b = fixture_lock(&f, 0x2000, at, true);
    uint32_t unseen = fixture_lock(&f, 0x3000, at, true);
    fixture_taken(&f, at, a, 10, 0, 0, 100);
    fixture_taken(&f, at, b, 10, 5, 900, 100); /* it is first among the locks */
    counted(fixture_special(&f, io, PSHIM_SPECIAL_LOCK + a), 1, PSHIM_KIND_HELD_WAIT, 1, 10);
    counted(fixture_special(&f, io, PSHIM_SPECIAL_LOCK + b), 1, PSHIM_KIND_HELD_WAIT, 2, 20);
    counted(fixture_special(&f, io, PSHIM_SPECIAL_LOCK + b), 2, PSHIM_KIND_HELD_WAIT, 3, 5);
    counted(fixture_special(&f, io, PSHIM_SPECIAL_LOCK + unseen), 1, PSHIM_KIND_HELD_WAIT, 4, 40);
    counted(fixture_special(&f, io, PSHIM_SPECIAL_LOCK + 99), 1, PSHIM_KIND_HELD_WAIT, 8, 80);
    counted(io, 1, PSHIM_KIND_HELD_WAIT, 16, 160); /* its lock is not there */
    loaded(NULL);
    assert_int_equal(m.held_wait_count, 2);
    assert_int_equal(m.locks[m.held_waits[0].lock].record, b);
    assert_true(m.held_waits[0].counts.calls == 5 && m.held_waits[0].counts.time_ns == 25);
    assert_int_equal(m.locks[m.held_waits[1].lock].record, a);
    assert_int_equal(m.wait_count, 0); /* the same time is in an account of its own */
}

static void places_are_gathered_whatever_stands_further_out(void **state)
{
    (void)state;
    uint32_t root = call(0, worker);
    uint32_t near = call(root, append), far = call(call(root, load), append);
    counted(waiting(near, PSHIM_CALL_WRITE), 1, PSHIM_KIND_WAIT, 1, 1000);
    counted(waiting(far, PSHIM_CALL_WRITE), 1, PSHIM_KIND_WAIT, 2, 500);
    counted(waiting(near, PSHIM_CALL_READ), 1, PSHIM_KIND_WAIT, 4, 2000);
    counted(waiting(near, PSHIM_CALL_NANOSLEEP), 1, PSHIM_KIND_WAIT, 8, 9000);
    loaded(NULL);
    call_sites_build(&sites, &m, frames, PSHIM_WAIT_IO);
    assert_int_equal(sites.count, 2); /* most time first */
    assert_int_equal(sites.items[0].call, PSHIM_CALL_READ);
    assert_int_equal(sites.items[1].call, PSHIM_CALL_WRITE);
    assert_true(sites.items[1].counts.calls == 3 && sites.items[1].counts.time_ns == 1500);
    assert_string_equal(frames_function(frames, sites.items[1].place->function)->name, "append");
    call_sites_release(&sites);
    call_sites_build(&sites, &m, frames, PSHIM_WAIT_IDLE);
    assert_int_equal(sites.count, 1);
    assert_int_equal(sites.items[0].counts.calls, 8);
}

static void places_are_those_of_the_selected_stacks(void **state)
{
    (void)state;
    uint32_t root = call(0, worker);
    counted(waiting(call(root, append), PSHIM_CALL_WRITE), 1, PSHIM_KIND_WAIT, 1, 1000);
    counted(waiting(call(call(root, load), append), PSHIM_CALL_WRITE), 1, PSHIM_KIND_WAIT, 2, 500);
    loaded("^load$");
    call_sites_build(&sites, &m, frames, PSHIM_WAIT_IO);
    assert_int_equal(sites.count, 1);
    assert_int_equal(sites.items[0].counts.calls, 2);
}

static void what_was_done_with_a_lock_held_is_told_apart(void **state)
{
    (void)state;
    uint32_t at = call(call(0, worker), append), io = waiting(at, PSHIM_CALL_WRITE);
    uint32_t a = fixture_lock(&f, 0x1000, at, true), b = fixture_lock(&f, 0x2000, at, true);
    fixture_taken(&f, at, a, 10, 5, 900, 100);
    fixture_taken(&f, at, b, 10, 0, 0, 100);
    counted(io, 1, PSHIM_KIND_WAIT, 10, 1000);
    counted(fixture_special(&f, io, PSHIM_SPECIAL_LOCK + a), 1, PSHIM_KIND_HELD_WAIT, 3, 300);
    counted(fixture_special(&f, io, PSHIM_SPECIAL_LOCK + b), 1, PSHIM_KIND_HELD_WAIT, 1, 50);
    loaded(NULL);
    call_sites_build(&sites, &m, frames, PSHIM_WAIT_IO);
    assert_int_equal(sites.count, 1);
    assert_true(sites.items[0].counts.time_ns == 1000 && sites.items[0].held.time_ns == 350);
    assert_int_equal(sites.items[0].held.calls, 4);
    call_sites_release(&sites);
    call_sites_of_lock(&sites, &m, frames, 0);
    call_sites_sort(&sites);
    assert_int_equal(sites.count, 1);
    assert_true(sites.items[0].counts.calls == 3 && sites.items[0].held.calls == 0);
}

int main(void)
{
#define EACH(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_kinds_of_calls_are_told),
        EACH(call_and_lock_are_taken_off_a_chain),
        EACH(recorders_are_added_up_most_time_first),
        EACH(waits_under_a_lock_belong_to_that_lock),
        EACH(places_are_gathered_whatever_stands_further_out),
        EACH(places_are_those_of_the_selected_stacks),
        EACH(what_was_done_with_a_lock_held_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
