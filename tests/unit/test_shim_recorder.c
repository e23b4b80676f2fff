#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/modules.h"
#include "shim/nodes.h"
#include "shim/recorder.h"
#include "shim/unwind_stack.h"
#include "tests/unit/shim_profile.h"

static int profile_set_up(void **state)
{
    (void)state;
    if (shim_profile_open(4 << 20) != 0)
        return -1;
    shim.live_threads = 1;
    me.stack.lo = shim_sp() - (4 << 20);
    me.stack.hi = (uintptr_t)__builtin_frame_address(0) + 4096;
    return nodes_init();
}

static int profile_tear_down(void **state)
{
    (void)state;
    return shim_profile_close();
}

static void a_guard_is_nested_on_its_stack_and_left_behind_on_another(void **state)
{
    (void)state;
    shim_tls.self = &me;
    shim_tls.guard = shim_sp() + 512; /* a hook further out on this stack: we are its handler */
    assert_false(guard_enter());
    shim_tls.guard = me.stack.hi + 65536; /* one on a coroutine's stack, and we are not on that */
    assert_true(guard_enter());
    guard_leave(&me, 0);
    shim_tls.guard = me.stack.hi + 65536; /* where the thread's own stack is, nobody knows */
    me.stack = (struct unwind_range){0, 0};
    assert_false(guard_enter());
    shim_tls.guard = 0;
    shim_tls.self = NULL;
}

static const struct pshim_node *node_of(uint32_t id)
{
    return profile_record(&shim.profile, PSHIM_REGION_NODE, id);
}

static void same_frame_below_the_same_parent_is_one_node(void **state)
{
    uint32_t spare = 0;
    (void)state;
    uint32_t a = node_get(0, 2, 100, &spare);
    uint32_t b = node_get(a, 2, 200, &spare);
    assert_int_not_equal(a, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(node_get(0, 2, 100, &spare), a);
    assert_int_equal(node_get(a, 2, 200, &spare), b);
    assert_int_not_equal(node_get(0, 2, 200, &spare), b);
    assert_int_not_equal(node_get(0, 3, 100, &spare), a);
    assert_int_equal(node_of(b)->parent, a);
    assert_int_equal(node_of(b)->module, 2);
    assert_int_equal(node_of(b)->offset, 200);
}

static void full_node_table_charges_the_deepest_ancestor(void **state)
{
    uint32_t spare = 0;
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_NODE);
    uint64_t capacity = r->capacity;
    (void)state;
    uint32_t parent = node_get(0, 2, 1, &spare);
    for (uint64_t i = 2; r->used < capacity; i++)
        assert_int_not_equal(node_get(parent, 2, i, &spare), parent);
    assert_int_equal(node_get(parent, 2, capacity + 7, &spare), parent);
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_node_table_full], 1);
    assert_int_not_equal(node_get(parent, 2, 2, &spare), parent); /* what is there is found */
}

static void accounts_are_apart_by_recorder_kind_and_node(void **state)
{
    (void)state;
    struct pshim_account *a = account_get(0, PSHIM_KIND_ALLOC, 5);
    assert_ptr_equal(account_get(0, PSHIM_KIND_ALLOC, 5), a);
    assert_ptr_not_equal(account_get(1, PSHIM_KIND_ALLOC, 5), a);
    assert_ptr_not_equal(account_get(0, PSHIM_KIND_CPU, 5), a);
    assert_ptr_not_equal(account_get(0, PSHIM_KIND_ALLOC, 6), a);
    assert_int_equal(a->node, 5);
    assert_int_equal(a->recorder, 0);
    assert_int_equal(a->kind, PSHIM_KIND_ALLOC);
    assert_int_equal((uintptr_t)a % 64, 0);
}

static uint64_t calls_at(uint32_t recorder, uint32_t node)
{
    return account_get(recorder, PSHIM_KIND_ALLOC, node)->counter[PSHIM_ALLOC_CALLS];
}

static void full_account_table_charges_the_nearest_caller(void **state)
{
    uint32_t spare = 0;
    uint64_t capacity = profile_region(&shim.profile, PSHIM_REGION_ACCOUNT)->capacity;
    (void)state;
    uint32_t outer = node_get(0, 2, 1, &spare), middle = node_get(outer, 2, 2, &spare);
    uint32_t inner = node_get(middle, 2, 3, &spare), stranger = node_get(0, 2, 4, &spare);
    struct pshim_account *a = account_get(0, PSHIM_KIND_ALLOC, outer);
    for (uint64_t i = profile_region(&shim.profile, PSHIM_REGION_ACCOUNT)->used; i < capacity; i++)
        account_get(1, PSHIM_KIND_ALLOC, 100000 + (uint32_t)i);
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_account_table_full], 0);
    assert_ptr_equal(account_get(0, PSHIM_KIND_ALLOC, inner), a);
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_account_table_full], 1);
    struct pshim_account *last = account_get(0, PSHIM_KIND_ALLOC, stranger);
    assert_non_null(last);
    assert_true(account_is_shared(last));
    assert_int_equal(node_of(last->node)->offset, PSHIM_SPECIAL_TABLE_FULL);
    recorder_alloc(&me, account_get(0, PSHIM_KIND_ALLOC, inner), 10, NULL);
    recorder_free(&me, inner, 10, NULL);
    assert_int_equal(calls_at(0, outer), 1);
    recorder_cpu(&me, inner, 1, 0); /* no caller has a CPU account: the last resort */
    assert_null(account_get(0, PSHIM_KIND_PROGRESS, 7));
}

/* Threads that insert the same nodes and accounts at the same time, without waiting. */
enum { race_threads = 4, race_nodes = 3000 };
static uint32_t raced[race_threads][race_nodes];

static void *race(void *arg)
{
    uint32_t *mine = arg;
    uint32_t spare = 0;
    for (uint32_t i = 0; i < race_nodes; i++) {
        mine[i] = node_get(0, 2, i + 1, &spare);
        __atomic_fetch_add(&account_get(64, PSHIM_KIND_ALLOC, mine[i])->counter[0], 1,
                           __ATOMIC_RELAXED);
    }
    return NULL;
}

static void racing_threads_agree_on_every_node_and_account(void **state)
{
    pthread_t thread[race_threads];
    (void)state;
    for (int i = 0; i < race_threads; i++)
        pthread_create(&thread[i], NULL, race, raced[i]);
    for (int i = 0; i < race_threads; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < race_nodes; i++) {
        for (int k = 1; k < race_threads; k++)
            assert_int_equal(raced[k][i], raced[0][i]);
        assert_int_equal(account_get(64, PSHIM_KIND_ALLOC, raced[0][i])->counter[0], race_threads);
    }
}

static __attribute__((noinline)) uint32_t stack_here(void)
{
    struct unwind_regs regs;
    unwind_capture(&regs);
    uint32_t node = recorder_stack(&me, &regs);
    __asm__ volatile("" ::: "memory");
    return node;
}

static __attribute__((noinline)) uint32_t stack_deeper(int depth)
{
    uint32_t node = depth ? stack_deeper(depth - 1) : stack_here();
    __asm__ volatile("" ::: "memory");
    return node;
}

static unsigned depth_of(uint32_t node)
{
    unsigned depth = 0;
    for (; node; node = node_of(node)->parent)
        depth++;
    return depth;
}

static void stacks_are_equal_when_their_frames_are(void **state)
{
    uint32_t first[3], second[3];
    (void)state;
    for (volatile int round = 0; round < 2; round++) { /* not unrolled: one call site */
        uint32_t *to = round ? second : first;
        for (volatile int i = 0; i < 3; i++)
            to[i] = stack_deeper(i * 5);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(first[i], second[i]);
    assert_int_equal(depth_of(first[1]), depth_of(first[0]) + 5);
    assert_int_equal(depth_of(first[2]), depth_of(first[0]) + 10);
}

static void reused_frames_give_what_a_fresh_walk_gives(void **state)
{
    uint32_t kept[2];
    (void)state;
    for (volatile int round = 0; round < 2; round++) { /* not unrolled: one call site */
        if (round)
            me.kept.depth = 0; /* forget the last stack: every frame is looked up */
        kept[round] = stack_deeper(7);
        stack_deeper(3);
    }
    assert_int_equal(kept[0], kept[1]);
}

static void deep_stack_is_cut_at_the_limit_and_says_so(void **state)
{
    (void)state;
    uint32_t node = stack_deeper(2 * shim_depth_max);
    assert_int_equal(depth_of(node), shim_depth_max); /* less our hook, plus the mark */
    while (node_of(node)->parent)
        node = node_of(node)->parent;
    assert_int_equal(node_of(node)->module, PSHIM_MODULE_SPECIAL);
    assert_int_equal(node_of(node)->offset, PSHIM_SPECIAL_TRUNCATED);
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_stack_depth], 1);
}

static void stack_pointer_on_no_known_stack_says_so(void **state)
{
    (void)state;
    me.stack = (struct unwind_range){16, 32};
    uint32_t node = stack_here();
    while (node_of(node)->parent)
        node = node_of(node)->parent;
    assert_int_equal(node_of(node)->offset, PSHIM_SPECIAL_UNKNOWN_STACK);
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_stack_unknown], 1);
}

static void stack_that_is_found_by_looking_is_whole_and_joined(void **state)
{
    (void)state;
    uint32_t want = stack_here(), nodes[2];
    me.stack = (struct unwind_range){16, 32};
    me.kept.depth = 0;
    unwind_find_stack = unwind_stack_find;
    for (unsigned i = 0; i < 2; i++) {
        nodes[i] = stack_here();
        assert_int_equal(me.kept.walked, 1);
        assert_true(me.kept.depth > 0);
    }
    assert_int_equal(node_of(nodes[0])->parent, node_of(want)->parent);
    assert_int_equal(node_of(nodes[1])->parent, node_of(want)->parent);
    assert_int_equal(shim.profile.header->losses[PSHIM_LOSS_stack_unknown], 0);
    unwind_find_stack = NULL;
}

static void alloc(uint32_t node, uint64_t bytes, const void *address)
{
    recorder_alloc(&me, account_get(me.recorder, PSHIM_KIND_ALLOC, node), bytes, address);
}

static void counters_add_up_and_live_follows(void **state)
{
    char a, b;
    (void)state;
    uint32_t node = stack_here();
    alloc(node, 100, &a);
    alloc(node, 50, &b);
    recorder_free(&me, node, 50, &b);  /* freed next: temporary */
    recorder_free(&me, node, 100, &a); /* not next */
    alloc(node, 30, &a);
    alloc(node, 20, &b);
    recorder_free(&me, node, 30, &a);
    recorder_free(&me, node, 20, &b); /* another free came between: not temporary */
    alloc(node, 7, &a);
    recorder_flush_live(&me);
    const uint64_t *c = account_get(0, PSHIM_KIND_ALLOC, node)->counter;
    assert_int_equal(c[PSHIM_ALLOC_CALLS], 5);
    assert_int_equal(c[PSHIM_ALLOC_BYTES], 207);
    assert_int_equal(c[PSHIM_ALLOC_FREE_CALLS], 4);
    assert_int_equal(c[PSHIM_ALLOC_FREE_BYTES], 200);
    assert_int_equal(c[PSHIM_ALLOC_TEMPORARY], 1);
    assert_int_equal(shim.profile.header->live_bytes, 7);
}

static uint64_t at_peak(uint32_t node)
{
    const uint64_t *c = account_get(0, PSHIM_KIND_ALLOC, node)->counter;
    if (c[PSHIM_ALLOC_PEAK_EPOCH] == shim.profile.header->peak_epoch)
        return c[PSHIM_ALLOC_PEAK_SAVED];
    return c[PSHIM_ALLOC_BYTES] - c[PSHIM_ALLOC_FREE_BYTES];
}

static void peak_keeps_what_was_live_then(void **state)
{
    uint32_t spare = 0;
    (void)state;
    uint32_t big = node_get(0, 2, 1, &spare), small = node_get(0, 2, 2, &spare);
    alloc(big, 1 << 20, NULL);
    alloc(small, 100000, NULL); /* more than a step: the peak is noted */
    recorder_free(&me, big, 1 << 20, NULL);
    alloc(small, 5000, NULL);
    assert_int_equal(at_peak(big), 1 << 20);
    assert_int_equal(at_peak(small), 100000);
    assert_int_equal(shim.profile.header->peak_bytes, (1 << 20) + 100000);
}

static void module_of_code_is_recorded_once_with_its_build_id(void **state)
{
    uint64_t offset, other;
    (void)state;
    uint32_t id = modules_locate((uintptr_t)modules_locate, &offset);
    assert_true(id > PSHIM_MODULE_ANON);
    assert_int_equal(modules_locate((uintptr_t)node_get, &other), id);
    assert_int_equal(other - offset, (uintptr_t)node_get - (uintptr_t)modules_locate);
    const struct pshim_module *m = profile_record(&shim.profile, PSHIM_REGION_MODULE, id);
    assert_int_equal(m->published, 1);
    assert_int_equal(m->build_id_bytes, 20);
    assert_true(m->flags & PSHIM_MODULE_EXE);
    uint32_t libc = modules_locate((uintptr_t)qsort, &other);
    assert_int_not_equal(libc, id);
    modules_changed();
    assert_int_equal(modules_locate((uintptr_t)qsort, &other), libc);
    assert_int_equal(modules_locate((uintptr_t)&offset, &other), PSHIM_MODULE_ANON);
    assert_int_equal(other, (uintptr_t)&offset);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, profile_set_up, profile_tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: the modules' list is process-wide, and refers to this test's profile */
        TEST(module_of_code_is_recorded_once_with_its_build_id),
        TEST(a_guard_is_nested_on_its_stack_and_left_behind_on_another),
        TEST(same_frame_below_the_same_parent_is_one_node),
        TEST(full_node_table_charges_the_deepest_ancestor),
        TEST(accounts_are_apart_by_recorder_kind_and_node),
        TEST(full_account_table_charges_the_nearest_caller),
        TEST(racing_threads_agree_on_every_node_and_account),
        TEST(stacks_are_equal_when_their_frames_are),
        TEST(reused_frames_give_what_a_fresh_walk_gives),
        TEST(deep_stack_is_cut_at_the_limit_and_says_so),
        TEST(stack_pointer_on_no_known_stack_says_so),
        TEST(stack_that_is_found_by_looking_is_whole_and_joined),
        TEST(counters_add_up_and_live_follows),
        TEST(peak_keeps_what_was_live_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
