#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <alloca.h>
#include <stdlib.h>
#include <string.h>

#include "shim/shim.h"
#include "shim/unwind_memo.h"

/*
 * Every stack is walked twice, by joining the last one and whole, and must be the same; those that
 * were walked before must know it by its node, or not at all. The functions are small and differ in
 * what they do to the stack; none is inlined or made a jump.
 */
#define FRAME       __attribute__((noinline))
#define NO_JUMP()   __asm__ volatile("" ::: "memory")
#define KEEP(value) __asm__ volatile("" ::"r"(value) : "memory")

static struct unwind_kept kept;
static struct unwind_memos memos;
static uint64_t era;
static struct unwind_range stack;
static unsigned walks, joined, known, whole;
static uintptr_t leaf_sp; /* of the last event */

static int set_up(void **state)
{
    (void)state;
    memset(&kept, 0, sizeof kept);
    kept.walked = 1;
    memset(&memos, 0, sizeof memos);
    era++;
    walks = joined = known = whole = 0;
    stack.lo = (shim_sp() - (6u << 20)) & -(uintptr_t)16;
    stack.hi = ((uintptr_t)__builtin_frame_address(0) + 65536) & -(uintptr_t)16;
    return 0;
}

static uint32_t node_of(uint32_t parent, uintptr_t rip)
{
    return (uint32_t)((parent ^ rip) * 0x9e3779b97f4a7c15u >> 32);
}

static FRAME void event(void)
{
    struct unwind_regs regs;
    uintptr_t pcs[unwind_kept_max + 1];
    enum unwind_end end;
    unsigned shared;
    unwind_capture(&regs);
    leaf_sp = regs.reg[UNWIND_RSP];
    unsigned want = unwind_walk(&regs, 1, &stack, 1, pcs, unwind_kept_max + 1, &end);
    unsigned got = unwind_kept_walk(&kept, kept.depth, &regs, stack, &shared);
    for (unsigned i = 0; i < got; i++) {
        uint32_t node = node_of(i ? kept.frame[i - 1].node : 0, kept.frame[i].rip);
        if (i < shared)
            assert_int_equal(kept.frame[i].node, node);
        kept.frame[i].node = node;
    }
    kept.depth = got;
    walks++;
    uint32_t node = unwind_memo_find(&memos, regs.frame, era);
    known += node != 0;
    if (node)
        assert_int_equal(node, got ? kept.frame[got - 1].node : 0);
    else if (got)
        unwind_memo_enter(&memos, &kept, got, regs.frame, (const uintptr_t *)stack.hi, era);
    if (got == 0) {
        whole++;
        assert_true(end != UNWIND_END_ROOT || want == unwind_kept_max + 1);
        return;
    }
    joined += shared;
    assert_int_equal(end, UNWIND_END_ROOT);
    assert_int_equal(got + 1, want);
    for (unsigned i = 0; i < got; i++)
        if (kept.frame[i].rip - 1 != pcs[got - i])
            fail_msg("frame %u of %u, walk %u: %#lx, whole walk %#lx", i, got, walks,
                     (unsigned long)kept.frame[i].rip - 1, (unsigned long)pcs[got - i]);
    NO_JUMP();
}

static uint64_t seed;
static unsigned next(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static void any(unsigned left);

static FRAME void plain(unsigned left)
{
    any(left);
    NO_JUMP();
}
static FRAME void with_alloca(unsigned left)
{
    volatile char *room = alloca(16 * (1 + next(12)));
    room[0] = 1;
    any(left);
    KEEP(room);
}
static FRAME __attribute__((optimize("no-omit-frame-pointer"))) void
with_frame_pointer(unsigned left)
{
    any(left);
    NO_JUMP();
}
static FRAME void wide(unsigned left)
{
    volatile uint64_t room[24];
    room[next(24)] = left;
    any(left);
    KEEP(room);
}
/* An over-aligned local: the frame is realigned, and its rule is no plain one. */
static FRAME void realigned(unsigned left)
{
    volatile struct {
        _Alignas(64) char a[64];
    } room;
    room.a[0] = 1;
    any(left);
    KEEP(&room);
}
static FRAME void several(unsigned left)
{
    unsigned times = 1 + next(3);
    for (unsigned i = 0; i < times; i++)
        any(left);
    event();
    any(left);
}

static unsigned with_realigned;

static FRAME void any(unsigned left)
{
    if (left == 0) {
        event();
        NO_JUMP();
        return;
    }
    switch (next(5 + with_realigned)) {
    case 0:
        plain(left - 1);
        break;
    case 1:
        with_alloca(left - 1);
        break;
    case 2:
        with_frame_pointer(left - 1);
        break;
    case 3:
        wide(left - 1);
        break;
    case 4:
        several(left - 1);
        break;
    default:
        realigned(left - 1);
    }
    NO_JUMP();
}

static void every_stack_of_many_is_as_walked_whole(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 1000; round++) {
        seed = round;
        with_realigned = 0;
        any(round % 14);
    }
    assert_int_equal(whole, 0);
    assert_true(walks > 3000);
    assert_true(joined > 5 * walks);
}

static void frames_of_other_kinds_are_walked_whole_or_right(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        seed = 1000 + round;
        with_realigned = 1;
        any(round % 7);
    }
    with_realigned = 0;
    assert_true(walks > whole);
}

/*
 * The counter-example. First `mid` is called by the innermost of some frames, then by a function
 * that has the same frames' old words lie untouched in its alloca, at the very same place in the
 * stack. Only the return address of `mid` tells the two apart.
 */
static FRAME __attribute__((optimize("no-omit-frame-pointer"))) void mid(void)
{
    event();
    NO_JUMP();
}
static FRAME void deep(unsigned left)
{
    if (left)
        deep(left - 1);
    else
        mid();
    NO_JUMP();
}
static FRAME void over_old_words(unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        volatile char *room = alloca(16); /* untouched: what was there stays */
        KEEP(room);
    }
    mid();
    NO_JUMP();
}

static void old_words_left_by_an_alloca_are_not_taken_for_frames(void **state)
{
    (void)state;
    unsigned hits = 0;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its allocas have red zones around them: the two never meet */
#endif
    for (unsigned depth = 8; depth < 40; depth++) {
        uintptr_t target = 0;
        leaf_sp = UINTPTR_MAX;
        for (unsigned steps = 0; leaf_sp > target; steps++) { /* until the two meet */
            deep(depth);
            target = leaf_sp;
            over_old_words(steps);
            hits += leaf_sp == target;
        }
    }
    assert_true(hits > 10);
}

/* Two ways to the same event; each return address differs, no stack pointer does. */
static FRAME void way(unsigned left, unsigned path);
static FRAME void other_way(unsigned left, unsigned path)
{
    if (left == 0)
        event();
    else if (path & 1)
        way(left - 1, path >> 1);
    else
        other_way(left - 1, path >> 1);
    NO_JUMP();
}
static FRAME void way(unsigned left, unsigned path)
{
    if (left == 0)
        event();
    else if (path & 1)
        way(left - 1, path >> 1);
    else
        other_way(left - 1, path >> 1);
    NO_JUMP();
}

static void stacks_that_come_back_are_known(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4096; i++)
        way(6, i * 7 % 16);
    assert_int_equal(whole, 0);
    assert_true(known > walks * 9 / 10);
}

static void more_stacks_than_are_kept_are_right_and_the_few_come_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        seed = i;
        way(12, next(4096));
    }
    assert_true(known < walks / 10);
    known = walks = 0;
    for (unsigned i = 0; i < 4096; i++)
        way(12, i % 4);
    assert_true(known > walks * 8 / 10);
}

/* What is inside the same, frame by frame, is called from elsewhere. */
static FRAME void from_one_place(void)
{
    way(4, 0);
    NO_JUMP();
}
static FRAME void from_another_place(void)
{
    way(4, 0);
    NO_JUMP();
}

static void known_frames_under_another_caller_are_no_known_stack(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        from_one_place();
        from_another_place();
        if (i % 3 == 0)
            way(5, i % 8);
    }
    assert_int_equal(whole, 0);
}

static void stacks_of_another_era_are_forgotten(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 64; i++)
        way(6, i % 4);
    assert_true(known > 40);
    known = 0;
    era++;
    way(6, 1);
    way(6, 2);
    assert_int_equal(known, 0);
}

static FRAME void descend(unsigned left, unsigned events_at)
{
    if (left)
        descend(left - 1, events_at);
    if (left % events_at == 0)
        event();
    NO_JUMP();
}

static void more_fresh_frames_than_there_is_room_for(void **state)
{
    (void)state;
    descend(4 * unwind_fresh_max, 1000);
    descend(unwind_fresh_max + 5, 3);
    descend(4 * unwind_fresh_max, unwind_fresh_max + 9);
    assert_int_equal(whole, 0);
}

static void deeper_than_is_kept_is_left_to_a_whole_walk(void **state)
{
    (void)state;
    descend(unwind_kept_max + 40, 20);
    assert_true(whole > 0);
    assert_true(walks > whole);
}

static void stack_pointer_elsewhere_is_refused(void **state)
{
    (void)state;
    struct unwind_regs regs;
    unsigned shared;
    struct unwind_range other = {stack.lo - (64u << 20), stack.lo - (63u << 20)};
    unwind_capture(&regs);
    assert_int_equal(unwind_kept_walk(&kept, 0, &regs, other, &shared), 0);
    regs.frame = (const uintptr_t *)((uintptr_t)regs.frame + 4);
    assert_int_equal(unwind_kept_walk(&kept, 0, &regs, stack, &shared), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_stack_of_many_is_as_walked_whole),
        TEST(frames_of_other_kinds_are_walked_whole_or_right),
        TEST(old_words_left_by_an_alloca_are_not_taken_for_frames),
        TEST(stacks_that_come_back_are_known),
        TEST(more_stacks_than_are_kept_are_right_and_the_few_come_back),
        TEST(known_frames_under_another_caller_are_no_known_stack),
        TEST(stacks_of_another_era_are_forgotten),
        TEST(more_fresh_frames_than_there_is_room_for),
        TEST(deeper_than_is_kept_is_left_to_a_whole_walk),
        TEST(stack_pointer_elsewhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
