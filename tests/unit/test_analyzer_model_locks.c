#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "analyzer/lock_groups.h"
#include "analyzer/model.h"
#include "tests/unit/profile_fixture.h"

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;
static uint32_t module;

/* What stands in the stacks. */
__attribute__((noinline)) static void worker(void)
{
    __asm__ volatile("");
}
__attribute__((noinline)) static void get(void)
{
    __asm__ volatile("" ::"r"(1));
}
__attribute__((noinline)) static void lock_all(void)
{
    __asm__ volatile("" ::"r"(2));
}
__attribute__((noinline)) static void format(void)
{
    __asm__ volatile("" ::"r"(3));
}
__attribute__((noinline)) static void find(void)
{
    __asm__ volatile("" ::"r"(4));
}
static char variable[64];

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "locks");
    fixture_open(&f, path, 1 << 20);
    module = fixture_own_module(&f);
    fixture_lock(&f, 0, 0, false); /* record 0: of locks without room */
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    fixture_close(&f);
    return unlink(path);
}

static uint32_t call(uint32_t parent, void (*function)(void))
{
    return fixture_call(&f, parent, module, function);
}

static void loaded(void)
{
    assert_int_equal(reader_open(&r, path), 0);
    if (model_load(&m, &r) != 0)
        fail_msg("%s", r.error);
}

static void released(void)
{
    model_release(&m);
    reader_close(&r);
}

static void refused(const char *said)
{
    assert_int_equal(reader_open(&r, path), 0);
    assert_int_equal(model_load(&m, &r), -1);
    if (!strstr(r.error, said))
        fail_msg("\"%s\" does not say \"%s\"", r.error, said);
    reader_close(&r);
}

static void accounts_of_recorders_and_sites_add_up(void **state)
{
    (void)state;
    uint32_t site = call(call(0, worker), get), other = call(call(0, worker), find);
    uint32_t lock = fixture_lock(&f, 0x1000, site, true);
    uint32_t leaf = fixture_taken(&f, site, lock, 10, 4, 400, 1000)->node;
    struct pshim_account *more = fixture_account(&f, leaf, 2, PSHIM_KIND_LOCK);
    more->counter[PSHIM_LOCK_ACQUISITIONS] = 5;
    more->counter[PSHIM_LOCK_HOLD] = 700;
    more->counter[PSHIM_LOCK_HOLD_MAX] = 650;
    fixture_taken(&f, other, lock, 1, 0, 0, 50);
    loaded();
    assert_int_equal(m.lock_count, 1);
    const struct model_lock_counts *c = &m.locks[0].counts;
    assert_int_equal(c->acquisitions, 16);
    assert_int_equal(c->contentions, 4);
    assert_int_equal(c->wait_ns, 400);
    assert_int_equal(c->wait_max_ns, 200);
    assert_int_equal(c->hold_ns, 1750);
    assert_int_equal(c->hold_max_ns, 650);
    assert_int_equal(m.lock_site_count, 2);
    assert_int_equal(m.lock_sites[0].counts.acquisitions, 15);
    assert_int_equal(m.lock_sites[1].counts.acquisitions, 1);
    released();
}

static void wait_is_cost_below_the_call_and_hold_is_not(void **state)
{
    (void)state;
    uint32_t site = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, site, false);
    fixture_taken(&f, site, lock, 10, 4, 400, 1000);
    fixture_cpu(&f, site, 2);
    loaded();
    assert_int_equal(m.totals.v[METRIC_LOCK_WAIT_NS], 400);
    assert_int_equal(m.totals.v[METRIC_LOCK_HOLD_NS], 1000);
    assert_int_equal(m.totals.v[METRIC_LOCK_CONTENTIONS], 4);
    assert_int_equal(m.totals.v[METRIC_COST_NS], 400 + 2 * FIXTURE_TICK_NS);
    struct frames *names = frames_new(&r, NULL);
    const struct frame *stack[FRAMES_STACK_MAX];
    unsigned depth = frames_stack(names, m.lock_sites[0].node, stack);
    assert_int_equal(depth, 3);
    assert_string_equal(frames_function(names, stack[0]->function)->name, "pthread_mutex_lock");
    assert_string_equal(frames_function(names, stack[1]->function)->name, "get");
    frames_free(names);
    released();
}

static void locks_are_sorted_by_wait_then_hold(void **state)
{
    (void)state;
    uint32_t site = call(0, get);
    uint32_t a = fixture_lock(&f, 0x1000, site, true), b = fixture_lock(&f, 0x2000, site, true);
    uint32_t c = fixture_lock(&f, 0x3000, site, true);
    fixture_lock(&f, 0x4000, site, true); /* never taken */
    fixture_taken(&f, site, a, 1, 0, 0, 10);
    fixture_taken(&f, site, b, 1, 0, 0, 20);
    fixture_taken(&f, site, c, 1, 1, 5, 1);
    loaded();
    assert_int_equal(m.lock_count, 3);
    assert_int_equal(m.locks[0].record, c);
    assert_int_equal(m.locks[1].record, b);
    assert_int_equal(m.locks[2].record, a);
    assert_int_equal(m.lock_sites[0].lock, 0);
    assert_int_equal(m.lock_sites[2].lock, 2);
    released();
}

static void units_of_the_clock_become_ns(void **state)
{
    (void)state;
    uint32_t site = call(0, get);
    fixture_taken(&f, site, fixture_lock(&f, 0x1000, site, true), 1, 0, 0, 3000);
    f.h->clock_first_units = 500;
    f.h->clock_last_units = 500 + 3000000;
    f.h->clock_first_ns = 7;
    f.h->clock_last_ns = 7 + 1000000;
    loaded();
    assert_int_equal(m.locks[0].counts.hold_ns, 1000);
    released();
}

static void waits_alone_leave_holds_unknown(void **state)
{
    (void)state;
    uint32_t site = call(0, get);
    fixture_taken(&f, site, fixture_lock(&f, 0x1000, site, true), 3, 3, 90, 0);
    f.h->locks_mode = PSHIM_WAIT;
    loaded();
    assert_true(model_has(&m, METRIC_LOCK_WAIT_NS));
    assert_true(model_has(&m, METRIC_LOCK_CONTENTIONS));
    assert_false(model_has(&m, METRIC_LOCK_HOLD_NS));
    assert_false(model_has(&m, METRIC_LOCK_ACQUISITIONS));
    released();
}

static void account_further_out_counts_for_other_locks(void **state)
{
    (void)state;
    uint32_t site = call(0, get);
    fixture_account(&f, site, 1, PSHIM_KIND_LOCK)->counter[PSHIM_LOCK_ACQUISITIONS] = 7;
    f.h->locks_mode = PSHIM_ON;
    loaded();
    char name[LOCK_NAME_BYTES];
    struct frames *names = frames_new(&r, NULL);
    assert_int_equal(m.lock_count, 1);
    assert_int_equal(m.locks[0].record, 0);
    assert_string_equal(lock_name(&m.locks[0], names, name), "other locks");
    assert_int_equal(m.locks[0].counts.acquisitions, 7);
    frames_free(names);
    released();
}

static void conditions_without_a_record_are_idle_and_locks_without_one_are_cost(void **state)
{
    (void)state;
    uint32_t site = call(0, get);
    uint32_t wait = fixture_special(&f, site, PSHIM_SPECIAL_CALL + PSHIM_CALL_COND_WAIT);
    uint32_t node = fixture_special(&f, wait, PSHIM_SPECIAL_LOCK);
    fixture_account(&f, node, 1, PSHIM_KIND_LOCK)->counter[PSHIM_LOCK_WAIT] = 9000;
    fixture_taken(&f, site, 0, 10, 2, 500, 60);
    loaded();
    char name[LOCK_NAME_BYTES];
    struct frames *names = frames_new(&r, NULL);
    assert_int_equal(m.lock_count, 1);
    assert_int_equal(m.idle_lock_count, 1);
    assert_string_equal(lock_name(&m.locks[0], names, name), "other locks");
    assert_string_equal(lock_name(&m.locks[1], names, name), "other conditions");
    assert_int_equal(m.locks[1].counts.wait_ns, 9000);
    assert_int_equal(m.totals.v[METRIC_LOCK_WAIT_NS], 500);
    frames_free(names);
    released();
}

static void reference_to_no_lock_is_damage(void **state)
{
    (void)state;
    uint32_t site = call(0, get);
    fixture_taken(&f, site, 77, 1, 0, 0, 1);
    refused("refers to lock 77 of 1");
}

static void chain_of_a_lock_must_exist(void **state)
{
    (void)state;
    uint32_t lock = fixture_lock(&f, 0x1000, 0, false);
    uint32_t node = fixture_special(&f, 99999, PSHIM_SPECIAL_LOCK + lock);
    fixture_account(&f, node, 1, PSHIM_KIND_HELD)->counter[0] = 1;
    refused("has parent 99999");
}

static void blame_is_the_unlockers_and_the_rest_is_hand_off(void **state)
{
    (void)state;
    uint32_t unlock = call(call(0, worker), get), other = call(0, find);
    uint32_t lock = fixture_lock(&f, 0x1000, 0, false), idle = fixture_lock(&f, 0x2000, 0, false);
    uint32_t waited = fixture_special(&f, other, PSHIM_SPECIAL_CALL + PSHIM_CALL_MUTEX_LOCK);
    fixture_taken(&f, other, lock, 10, 5, 1000, 1);
    fixture_blame(&f, unlock, lock, waited, 4, 700);
    fixture_blame(&f, other, lock, waited, 1, 100);
    fixture_blame(&f, unlock, idle, waited, 1, 50);           /* whose waiter has not had it yet */
    uint32_t index = fixture_allot(&f, PSHIM_REGION_ACCOUNT); /* of another recorder */
    struct pshim_account *again = profile_record(&f.profile, PSHIM_REGION_ACCOUNT, index);
    *again = *fixture_blame(&f, unlock, lock, waited, 2, 60);
    again->recorder = 2;
    loaded();
    assert_int_equal(m.lock_count, 2);
    assert_int_equal(m.locks[0].blamed_ns, 700 + 100 + 60 + 60);
    assert_int_equal(model_handoff_ns(&m.locks[0]), 1000 - 920);
    assert_int_equal(model_handoff_ns(&m.locks[1]), 0);
    assert_int_equal(m.blame_count, 3);
    assert_int_equal(m.blames[0].node, unlock);
    assert_int_equal(m.blames[0].waiter, waited);
    assert_int_equal(m.blames[0].waits, 4 + 2 + 2);
    assert_int_equal(m.blames[0].wait_ns, 820);
    assert_int_equal(m.blames[0].wait_max_ns, 350);
    assert_int_equal(m.blames[1].node, other);
    assert_int_equal(m.totals.v[METRIC_BLAMED_WAIT_NS], 970);
    assert_int_equal(m.totals.v[METRIC_BLAMED_WAITS], 10);
    assert_true(model_has(&m, METRIC_BLAMED_WAIT_NS));
    released();
}

static void blame_without_room_is_of_other_locks(void **state)
{
    (void)state;
    fixture_lock(&f, 0, 0, false);
    fixture_account(&f, call(0, get), 1, PSHIM_KIND_BLAME)->counter[PSHIM_BLAME_TIME] = 9;
    loaded();
    assert_int_equal(m.lock_count, 1);
    assert_int_equal(m.locks[0].record, 0);
    assert_int_equal(m.blames[0].waiter, 0);
    assert_int_equal(m.blames[0].wait_ns, 9);
    released();
}

static void waiter_of_a_blame_must_exist(void **state)
{
    (void)state;
    uint32_t lock = fixture_lock(&f, 0x1000, 0, false);
    fixture_blame(&f, call(0, get), lock, 77777, 1, 1);
    refused("refers to waiter 77777");
}

static void lock_of_a_blame_must_exist(void **state)
{
    (void)state;
    fixture_lock(&f, 0x1000, 0, false);
    fixture_blame(&f, call(0, get), 5, 0, 1, 1);
    refused("refers to lock 5 of 2");
}

static void site_of_a_lock_must_exist(void **state)
{
    (void)state;
    uint32_t lock = fixture_lock(&f, 0x1000, 88888, false);
    fixture_taken(&f, call(0, get), lock, 1, 0, 0, 1);
    refused("88888");
}

static void lock_is_named_after_its_variable_or_its_place(void **state)
{
    (void)state;
    char name[LOCK_NAME_BYTES];
    struct pshim_module *own = profile_record(&f.profile, PSHIM_REGION_MODULE, module);
    own->start = (uintptr_t)&variable & ~(uintptr_t)0xfffff;
    own->end = own->start + 0x200000;
    uint32_t site = call(0, get);
    uint32_t locks[] = {fixture_lock(&f, (uintptr_t)variable, site, true),
                        fixture_lock(&f, (uintptr_t)variable + 8, site, true),
                        fixture_lock(&f, 0x1000, site, true), fixture_lock(&f, 0x2000, site, false),
                        fixture_lock(&f, 0x3000, 0, false)};
    for (unsigned i = 0; i < 5; i++)
        fixture_taken(&f, site, locks[i], 1, 0, 0, 100 - i);
    loaded();
    struct frames *names = frames_new(&r, NULL);
    assert_string_equal(lock_name(&m.locks[0], names, name), "variable");
    assert_string_equal(lock_name(&m.locks[1], names, name), "variable+0x8");
    assert_ptr_equal(strstr(lock_name(&m.locks[2], names, name), "mutex of get "), name);
    assert_ptr_equal(strstr(lock_name(&m.locks[3], names, name), "mutex first taken in get "),
                     name);
    assert_string_equal(lock_name(&m.locks[4], names, name), "mutex at 0x3000");
    frames_free(names);
    released();
}

/* A lock on the heap. */
static uint32_t in_block(uint32_t site_node, uint64_t block, uint64_t offset, uint32_t node)
{
    uint32_t id = fixture_lock(&f, block + offset, site_node, true);
    struct pshim_lock *lock = profile_record(&f.profile, PSHIM_REGION_LOCK, id);
    lock->block_node = node | PSHIM_LOCK_ASKED;
    lock->block_offset = offset;
    lock->block_bytes = 8192;
    return id;
}

static void lock_on_the_heap_is_named_after_its_block(void **state)
{
    (void)state;
    char name[LOCK_NAME_BYTES];
    uint32_t allocated = call(call(0, worker), find), made = call(call(0, worker), get),
             other = call(call(0, lock_all), get);
    fixture_taken(&f, made, in_block(made, 0x10000, 40, allocated), 1, 0, 0, 90);
    fixture_taken(&f, made, in_block(made, 0x20000, 40, allocated), 1, 0, 0, 80);
    /* Of two that came from one stack one is not known: neither has the other kind of name. */
    fixture_taken(&f, made, in_block(other, 0x30000, 40, allocated), 1, 0, 0, 70);
    fixture_taken(&f, made, in_block(other, 0x40000, 40, 0), 1, 0, 0, 60);
    loaded();
    struct frames *names = frames_new(&r, NULL);
    struct lock_groups groups;
    assert_ptr_equal(strstr(lock_name(&m.locks[0], names, name), "mutex +40 in 8.0 KiB from find "),
                     name);
    assert_string_equal(lock_short_name(&m.locks[1], names, name),
                        "mutex +40 in 8.0 KiB from find");
    assert_string_equal(lock_short_name(&m.locks[2], names, name), "mutex of get");
    assert_string_equal(lock_short_name(&m.locks[3], names, name), "mutex of get");
    assert_int_equal(m.locks[2].block_node, allocated);
    lock_groups_build(&groups, &m, names);
    assert_int_equal(groups.count, 2);
    assert_int_equal(groups.items[0].locks, 2);
    assert_int_equal(groups.items[1].locks, 2);
    lock_groups_release(&groups);
    frames_free(names);
    released();
}

static void array_in_one_block_is_one_group(void **state)
{
    (void)state;
    uint32_t allocated = call(0, find), made = call(0, get);
    for (unsigned i = 0; i < 4; i++)
        fixture_taken(&f, made, in_block(made, 0x10000, 64 * i, allocated), 1, 0, 0, 90 + i);
    for (unsigned i = 0; i < 3; i++) /* too few for an array */
        fixture_taken(&f, made, in_block(made, 0x20000, 8 + 64 * i, allocated), 1, 0, 0, 10 + i);
    loaded();
    struct frames *names = frames_new(&r, NULL);
    struct lock_groups groups;
    lock_groups_build(&groups, &m, names);
    assert_int_equal(groups.count, 4);
    assert_int_equal(groups.items[0].locks, 4);
    assert_string_equal(groups.items[0].short_name, "mutex in 8.0 KiB from find");
    assert_string_equal(groups.items[0].brief_name, "mutex find[]");
    assert_string_equal(groups.items[1].brief_name, "mutex find+136");
    assert_string_equal(groups.items[1].short_name, "mutex +136 in 8.0 KiB from find");
    lock_groups_release(&groups);
    frames_free(names);
    released();
}

static void block_is_from_outside_of_the_layer_that_all_go_through(void **state)
{
    (void)state;
    char name[LOCK_NAME_BYTES];
    uint32_t allocated = call(call(0, worker), find);
    fixture_taken(&f, 0, in_block(call(0, get), 0x10000, 40, allocated), 1, 0, 0, 90);
    loaded();
    struct frames *names = frames_new(&r, NULL);
    assert_null(frames_site(names, allocated));
    frames_set_site(names, allocated, lock_place(call(0, worker), names));
    frames_set_site(names, allocated, lock_place(call(0, format), names));
    assert_string_equal(lock_short_name(&m.locks[0], names, name),
                        "mutex +40 in 8.0 KiB from format");
    lock_blocks_place(&m, names); /* is told already */
    assert_string_equal(lock_short_name(&m.locks[0], names, name),
                        "mutex +40 in 8.0 KiB from format");
    frames_free(names);
    names = frames_new(&r, NULL);
    lock_blocks_place(&m, names); /* no allocation says that there is a layer */
    assert_string_equal(lock_short_name(&m.locks[0], names, name),
                        "mutex +40 in 8.0 KiB from find");
    frames_free(names);
    released();
}

static void block_of_a_lock_must_exist(void **state)
{
    (void)state;
    fixture_taken(&f, call(0, get), in_block(call(0, get), 0x1000, 8, 77777), 1, 0, 0, 1);
    refused("77777");
}

static void work_inside_is_where_the_stacks_part(void **state)
{
    (void)state;
    uint32_t section = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, section, true);
    fixture_taken(&f, call(section, lock_all), lock, 9, 0, 0, 100); /* locked by a helper */
    fixture_held(&f, call(call(section, format), find), lock, 5);
    fixture_held(&f, call(section, format), lock, 4);
    fixture_held(&f, section, lock, 1);
    fixture_held(&f, call(0, find), lock, 3); /* of a stack that shares nothing */
    fixture_held(&f, fixture_special(&f, section, PSHIM_SPECIAL_PROFILER), lock, 8);
    loaded();
    struct frames *names = frames_new(&r, NULL);
    struct lock_works works = {0};
    assert_int_equal(m.locks[0].held_cpu_ns, 13 * FIXTURE_TICK_NS);
    lock_works_add(&works, &m, names, 0);
    lock_works_sort(&works);
    assert_int_equal(works.count, 2);
    assert_string_equal(frames_function(names, works.items[0].section)->name, "get");
    assert_string_equal(frames_function(names, works.items[0].callee)->name, "format");
    assert_int_equal(works.items[0].cpu_ns, 9 * FIXTURE_TICK_NS);
    assert_int_equal(works.items[1].callee, works.items[1].section);
    assert_int_equal(works.items[1].cpu_ns, FIXTURE_TICK_NS);
    free(works.items);
    frames_free(names);
    released();
}

static void neither_the_profiler_nor_the_unlock_is_work_inside(void **state)
{
    (void)state;
    uint32_t libc = fixture_module(&f, "/nowhere/libc.so.6", 0);
    uint32_t section = call(call(0, worker), get);
    uint32_t lock = fixture_lock(&f, 0x1000, section, true);
    fixture_taken(&f, section, lock, 9, 0, 0, 100);
    fixture_held(&f, fixture_special(&f, section, PSHIM_SPECIAL_PROFILER), lock, 20);
    fixture_held(&f, fixture_node(&f, section, libc, 0x1234), lock, 10); /* no public function */
    fixture_held(&f, call(section, format), lock, 4);
    loaded();
    struct frames *names = frames_new(&r, NULL);
    struct lock_works works = {0};
    lock_works_add(&works, &m, names, 0);
    assert_int_equal(works.count, 1);
    assert_string_equal(frames_function(names, works.items[0].callee)->name, "format");
    assert_int_equal(m.locks[0].held_cpu_ns, 14 * FIXTURE_TICK_NS);
    free(works.items);
    frames_free(names);
    released();
}

static void calls_that_take_and_give_back_are_known_by_libcs_names(void **state)
{
    (void)state;
    assert_true(lock_is_call(
        &(struct function){.name = "__pthread_mutex_unlock_usercnt", .module = "libc.so.6"}));
    assert_true(lock_is_call(&(struct function){.name = "__lll_lock_wake", .module = "libc.so.6"}));
    assert_false(lock_is_call(&(struct function){.name = "memcpy", .module = "libc.so.6"}));
    assert_false(lock_is_call(&(struct function){.name = "pthread_cond_signal",
                                                 .module = "libc.so.6"})); /* can be moved */
    assert_false(lock_is_call(&(struct function){.name = "pthread_mutex_unlock", .module = "a"}));
}

static void elements_of_an_array_are_one_group_and_members_are_not(void **state)
{
    (void)state;
    struct pshim_module *own = profile_record(&f.profile, PSHIM_REGION_MODULE, module);
    own->start = (uintptr_t)&variable & ~(uintptr_t)0xfffff;
    own->end = own->start + 0x200000;
    uint32_t a = call(0, get), b = call(0, find);
    for (unsigned i = 0; i < 4; i++) /* one of them is waited for at b, most */
        fixture_taken(&f, i == 3 ? b : a, fixture_lock(&f, (uintptr_t)variable + 8 * i, a, false),
                      1, i == 3, i == 3, 10);
    fixture_taken(&f, b, fixture_lock(&f, (uintptr_t)variable + 40, b, false), 7, 0, 0, 10);
    fixture_taken(&f, b, fixture_lock(&f, (uintptr_t)variable + 48, b, false), 8, 0, 0, 10);
    loaded();
    struct frames *names = frames_new(&r, NULL);
    struct lock_groups groups;
    lock_groups_build(&groups, &m, names);
    assert_int_equal(groups.count, 3);
    const struct lock_group *array = &groups.items[groups.of[0]];
    assert_string_equal(array->name, "variable");
    assert_string_equal(array->short_name, "variable");
    assert_string_equal(array->brief_name, "variable");
    assert_int_equal(array->locks, 4);
    assert_int_equal(array->counts.acquisitions, 4);
    assert_string_equal(frames_function(names, array->place->function)->name, "find");
    assert_string_equal(groups.items[groups.of[1]].name, "variable+0x30");
    assert_string_equal(groups.items[groups.of[2]].name, "variable+0x28");
    lock_groups_release(&groups);
    frames_free(names);
    released();
}

static void times_of_sites_add_up_to_the_locks(void **state)
{
    struct lock_times times = {0};
    (void)state;
    uint32_t site = call(call(0, worker), get), other = call(call(0, worker), find);
    uint32_t lock = fixture_lock(&f, 0x1000, site, true);
    struct pshim_account *a = fixture_taken(&f, site, lock, 100, 4, 4000, 150000);
    a->counter[PSHIM_LOCK_WAIT_MAX] = 1000;
    struct pshim_histogram *h = fixture_histogram(&f, a->node);
    fixture_waited(h, 1000, 4);
    fixture_kept(h, 1000, 98);
    h = fixture_histogram(&f, fixture_taken(&f, other, lock, 2, 0, 0, 120000)->node);
    fixture_kept(h, 60000, 2);
    f.h->lock_histograms = 1;
    loaded();
    assert_true(lock_times_measured(&m));
    for (size_t i = 0; i < m.lock_site_count; i++)
        lock_times_add(&times, &m, &m.lock_sites[i]);
    assert_int_equal(times.counts[LOCK_TIME_WAIT][pshim_bucket(1000 / 16)], 4);
    assert_int_equal(times.counts[LOCK_TIME_HOLD][pshim_bucket(1000 / 16)], 98);
    assert_int_equal(times.counts[LOCK_TIME_HOLD][pshim_bucket(60000 / 16)], 2);
    assert_in_range(lock_times_quantile_ns(&times, &m, LOCK_TIME_HOLD, 0.5), 768, 1024);
    assert_in_range(lock_times_quantile_ns(&times, &m, LOCK_TIME_HOLD, 0.99), 49152, 65536);
    /* No quantile passes the longest. */
    assert_int_equal(lock_times_quantile_ns(&times, &m, LOCK_TIME_WAIT, 1), 1000);
    assert_int_equal(lock_times_bucket_ns(&m, pshim_bucket(1000 / 16)), 768);
    released();
}

static void times_that_are_not_there_are_none(void **state)
{
    struct lock_times times = {0};
    (void)state;
    uint32_t site = call(call(0, worker), get);
    fixture_taken(&f, site, fixture_lock(&f, 0x1000, site, true), 10, 0, 0, 1000);
    fixture_taken(&f, site, 0, 10, 0, 0, 1000); /* of locks without a record */
    loaded();
    assert_false(lock_times_measured(&m)); /* an earlier writer's */
    for (size_t i = 0; i < m.lock_site_count; i++)
        lock_times_add(&times, &m, &m.lock_sites[i]);
    assert_int_equal(lock_times_quantile_ns(&times, &m, LOCK_TIME_HOLD, 0.5), -1);
    assert_int_equal(lock_times_quantile_ns(&times, &m, LOCK_TIME_WAIT, 0.5), -1);
    assert_true(lock_times_bucket_ns(&m, PSHIM_BUCKETS - 1) > 0);
    released();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_make, profile_remove)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(accounts_of_recorders_and_sites_add_up),
        TEST(wait_is_cost_below_the_call_and_hold_is_not),
        TEST(locks_are_sorted_by_wait_then_hold),
        TEST(units_of_the_clock_become_ns),
        TEST(waits_alone_leave_holds_unknown),
        TEST(account_further_out_counts_for_other_locks),
        TEST(conditions_without_a_record_are_idle_and_locks_without_one_are_cost),
        TEST(reference_to_no_lock_is_damage),
        TEST(chain_of_a_lock_must_exist),
        TEST(site_of_a_lock_must_exist),
        TEST(blame_is_the_unlockers_and_the_rest_is_hand_off),
        TEST(blame_without_room_is_of_other_locks),
        TEST(waiter_of_a_blame_must_exist),
        TEST(lock_of_a_blame_must_exist),
        TEST(lock_is_named_after_its_variable_or_its_place),
        TEST(lock_on_the_heap_is_named_after_its_block),
        TEST(array_in_one_block_is_one_group),
        TEST(block_is_from_outside_of_the_layer_that_all_go_through),
        TEST(block_of_a_lock_must_exist),
        TEST(work_inside_is_where_the_stacks_part),
        TEST(neither_the_profiler_nor_the_unlock_is_work_inside),
        TEST(calls_that_take_and_give_back_are_known_by_libcs_names),
        TEST(times_of_sites_add_up_to_the_locks),
        TEST(times_that_are_not_there_are_none),
        TEST(elements_of_an_array_are_one_group_and_members_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
