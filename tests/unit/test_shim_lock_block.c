#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "shim/blocks.h"
#include "shim/histograms.h"
#include "shim/lock_block.h"
#include "shim/marks.h"
#include "shim/tag.h"
#include "shim/unwind_stack.h"
#include "tests/unit/shim_profile.h"

enum { pages = 4, page = 4096, site = 7 };

static uint8_t *heap; /* pages that can be read, and one behind them that cannot */
static uintptr_t at(size_t offset)
{
    return (uintptr_t)heap + offset;
}

static int profile_make(void **state)
{
    (void)state;
    if (shim_profile_open(1 << 20) != 0)
        return -1;
    histograms_init();
    shim.map_max_bytes = 1 << 20;
    shim.tag_key = 0x123456789abcdef0u;
    unwind_find_stack = unwind_stack_find;
    heap =
        mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return heap == MAP_FAILED ? -1 : mprotect(heap + pages * page, page, PROT_NONE);
}

static int profile_remove(void **state)
{
    (void)state;
    munmap(heap, (pages + 1) * page);
    return shim_profile_close();
}

/* A block of n bytes with a tag, as block_note() leaves it. */
static void block_make(size_t offset, size_t n, uint32_t node, size_t slack)
{
    struct tag tag = {.node = node, .slack = (uint32_t)slack, .owner = 1};
    void *p = heap + offset;
    tag_store(p, n + slack + tag_bytes, tag_pack(tag, p, shim.tag_key));
}

static void allocated_last(unsigned slot, size_t offset, uint32_t node)
{
    me.accounts[slot].node = node;
    me.last_blocks[slot] = heap + offset;
}

static void is_in(uintptr_t address, uint32_t node, uint64_t offset, uint64_t bytes)
{
    struct lock_block b;
    assert_true(lock_block_find(&me, address, &b));
    assert_int_equal(b.node, node);
    assert_int_equal(b.offset, offset);
    assert_int_equal(b.bytes, bytes);
    assert_true(lock_block_is(&b, address));
}

static bool is_nowhere(uintptr_t address)
{
    struct lock_block b;
    return !lock_block_find(&me, address, &b);
}

static void lock_lies_in_what_its_thread_allocated_last(void **state)
{
    (void)state;
    block_make(1024, 120, site, 8);
    block_make(2048, 40, site + 1, 0);
    allocated_last(3, 1024, site);
    allocated_last(4, 2048, site + 1);
    is_in(at(1024 + 40), site, 40, 120);
    is_in(at(1024), site, 0, 120);
    is_in(at(2048), site + 1, 0, 40);
    assert_true(is_nowhere(at(1024 + 120))); /* behind its end */
    assert_true(is_nowhere(at(1024 - 8)));
    assert_true(is_nowhere(at(3000)));
}

static void block_that_is_gone_is_not_told(void **state)
{
    (void)state;
    block_make(1024, 120, site, 8);
    allocated_last(0, 1024, site);
    tag_store(heap + 1024, 136, 0); /* its free */
    assert_true(is_nowhere(at(1064)));
    block_make(1024, 120, site + 1, 8); /* another site's now, of which nothing is known */
    assert_true(is_nowhere(at(1064)));
    block_make(1024 + 32, 64, site, 0); /* of this site, but from another start on */
    assert_true(is_nowhere(at(1064)));
}

static void tag_on_another_page_is_found_and_a_missing_page_is_no_harm(void **state)
{
    (void)state;
    block_make(page - 64, 2000, site, 16);
    allocated_last(0, page - 64, site);
    is_in(at(page - 32), site, 32, 2000);
    /* Nothing but the lock's own page is left of what the thread remembers. */
    allocated_last(0, pages * page - 64, site);
    assert_true(is_nowhere(at(pages * page - 32)));
    allocated_last(0, pages * page - 2000, site); /* up to the end */
    block_make(pages * page - 2000, 1992, site, 0);
    is_in(at(pages * page - 1900), site, 100, 1992);
    /* Where asking is forbidden: only what stands on the page. */
    unwind_find_stack = NULL;
    is_in(at(pages * page - 1900), site, 100, 1992);
    allocated_last(0, page - 64, site);
    assert_true(is_nowhere(at(page - 32)));
}

static void marked_blocks_are_known_to_every_thread(void **state)
{
    struct pshim_account a = {.node = site};
    struct block mark;
    (void)state;
    assert_int_equal(marks_new(&a, heap + 4096, 1000), tag_marked);
    block_make(4096, 1000, site, 24);
    is_in(at(4096 + 500), site, 500, 1000);
    assert_true(marks_take(heap + 4096, &mark));
    assert_true(is_nowhere(at(4096 + 500)));
}

static void untagged_blocks_are_found_by_any_address_in_them(void **state)
{
    struct block b;
    (void)state;
    assert_true(blocks_put(&blocks_untagged, heap, (struct block){.bytes = 9000, .node = site}));
    is_in(at(8999), site, 8999, 9000);
    is_in(at(0), site, 0, 9000);
    assert_true(is_nowhere(at(9000)));
    assert_true(blocks_take(&blocks_untagged, heap, &b));
    assert_true(is_nowhere(at(100)));
    assert_true(blocks_put(&blocks_untagged, heap, (struct block){.bytes = 9000})); /* paused */
    assert_true(is_nowhere(at(100)));
    assert_true(blocks_take(&blocks_untagged, heap, &b));
}

static void variables_and_the_own_stack_are_not_looked_for(void **state)
{
    static uint64_t variable[40];
    uint64_t local = 0;
    struct block b;
    (void)state;
    const void *const starts[] = {variable, &local};
    me.stack = (struct unwind_range){(uintptr_t)&local, (uintptr_t)&local + 8};
    for (unsigned i = 0; i < 2; i++) {
        assert_true(blocks_put(&blocks_untagged, starts[i], (struct block){.bytes = 8, .node = 1}));
        assert_true(is_nowhere((uintptr_t)starts[i]));
        assert_true(blocks_take(&blocks_untagged, starts[i], &b));
    }
}

static void record_of_memory_that_two_sites_had_names_neither(void **state)
{
    struct pshim_lock lock = {.address = at(1064), .kind = PSHIM_LOCK_MUTEX};
    (void)state;
    block_make(1024, 120, site, 8);
    allocated_last(0, 1024, site);
    lock_block_note(&me, &lock);
    assert_int_equal(lock.block_node, site | PSHIM_LOCK_ASKED);
    assert_int_equal(lock.block_offset, 40);
    assert_int_equal(lock.block_bytes, 120);
    lock_block_note(&me, &lock); /* it is still there */
    assert_int_equal(lock.block_node, site | PSHIM_LOCK_ASKED);
    block_make(1024, 120, site + 1, 8);
    allocated_last(1, 1024, site + 1);
    lock_block_note(&me, &lock);
    assert_int_equal(lock.block_node, PSHIM_LOCK_ASKED);
    lock_block_note(&me, &lock); /* and for good */
    assert_int_equal(lock.block_node, PSHIM_LOCK_ASKED);
}

static void record_stands_for_further_locks_in_blocks_of_one_kind(void **state)
{
    struct pshim_lock lock = {.address = at(1064), .kind = PSHIM_LOCK_MUTEX};
    (void)state;
    block_make(1024, 120, site, 8);
    allocated_last(0, 1024, site);
    lock_block_note(&me, &lock);
    block_make(2048, 120, site, 0);
    lock.address = at(2048 + 40);
    lock_block_note(&me, &lock);
    assert_int_equal(lock.block_node, site | PSHIM_LOCK_ASKED);
    lock.address = at(2048 + 48); /* not in the same place of it */
    lock_block_note(&me, &lock);
    assert_int_equal(lock.block_node, PSHIM_LOCK_ASKED);
}

static void what_was_not_found_is_not_looked_for_again(void **state)
{
    struct pshim_lock lock = {.address = at(1064), .kind = PSHIM_LOCK_MUTEX};
    (void)state;
    lock_block_note(&me, &lock);
    block_make(1024, 120, site, 8);
    allocated_last(0, 1024, site);
    lock_block_note(&me, &lock);
    assert_int_equal(lock.block_node, PSHIM_LOCK_ASKED);
}

/* Words of a program that look most like tags: small numbers, pairs of them, addresses, text. */
static void contents_of_blocks_are_taken_for_no_tag(void **state)
{
    uint64_t seed = 1, found = 0;
    struct lock_block b;
    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        for (size_t i = 0; i < 8192; i += 8) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint64_t low = seed >> 52, word = low;
            if (round % 4 == 1)
                word = low << 32 | (seed >> 40 & 0xfff);
            else if (round % 4 == 2)
                word = (uintptr_t)heap + low;
            else if (round % 4 == 3)
                word = 0x6161616161616161u + low;
            memcpy(heap + i, &word, 8);
        }
        allocated_last(0, 16 * (round % 200), 1 + round % 30);
        found += lock_block_find(&me, at(16 * (round % 200) + 8), &b);
    }
    assert_int_equal(found, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, profile_make, profile_remove)
    const struct CMUnitTest tests[] = {
        TEST(lock_lies_in_what_its_thread_allocated_last),
        TEST(block_that_is_gone_is_not_told),
        TEST(tag_on_another_page_is_found_and_a_missing_page_is_no_harm),
        TEST(marked_blocks_are_known_to_every_thread),
        TEST(untagged_blocks_are_found_by_any_address_in_them),
        TEST(variables_and_the_own_stack_are_not_looked_for),
        TEST(record_of_memory_that_two_sites_had_names_neither),
        TEST(record_stands_for_further_locks_in_blocks_of_one_kind),
        TEST(what_was_not_found_is_not_looked_for_again),
        TEST(contents_of_blocks_are_taken_for_no_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
