#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "shim/held.h"
#include "shim/lock_book.h"

static struct held h;

static const void *mutex(unsigned i)
{
    return (const void *)(uintptr_t)(0x1000 + i * 40);
}

static int empty(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    return 0;
}

static void take(unsigned i)
{
    struct held_lock *l = held_push(&h);
    if (l)
        *l = (struct held_lock){.address = mutex(i), .lock = i, .depth = 1};
}

static void locks_given_back_in_any_order_leave_the_others(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 4; i++)
        take(i);
    held_remove(&h, held_find(&h, mutex(2)));
    assert_null(held_find(&h, mutex(2)));
    assert_int_equal(h.count, 3);
    for (unsigned i = 1; i <= 4; i++)
        if (i != 2)
            assert_int_equal(held_find(&h, mutex(i))->lock, i);
    assert_int_equal(held_last(&h)->lock, 4);
    held_remove(&h, held_find(&h, mutex(4)));
    assert_int_equal(held_last(&h)->lock, 3);
    held_remove(&h, held_find(&h, mutex(1)));
    held_remove(&h, held_find(&h, mutex(3)));
    assert_null(held_last(&h));
    assert_int_equal(h.count, 0);
}

static void lock_that_is_being_given_back_is_not_held_any_more(void **state)
{
    (void)state;
    take(1);
    take(2);
    h.leaving = mutex(2);
    assert_int_equal(held_last(&h)->lock, 1);
    h.leaving = mutex(1);
    assert_int_equal(held_last(&h)->lock, 2);
    held_remove(&h, held_find(&h, mutex(2)));
    assert_null(held_last(&h));
    held_clear(&h);
    assert_null(h.leaving);
}

static void more_than_there_is_room_for_is_known_when_given_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < held_max + 3; i++)
        take(i);
    assert_int_equal(h.count, held_max);
    assert_int_equal(h.overflow, 3);
    for (unsigned i = held_max; i < held_max + 3; i++) {
        assert_null(held_find(&h, mutex(i)));
        assert_true(held_overflow_left(&h));
    }
    assert_false(held_overflow_left(&h));
    held_remove(&h, held_find(&h, mutex(0)));
    assert_int_equal(h.count, held_max - 1);
    take(99);
    assert_int_equal(held_last(&h)->lock, 99);
    assert_int_equal(h.overflow, 0);
}

static void everything_falls_into_the_table(void **state)
{
    static struct lock_book books[lock_books] __attribute__((aligned(64)));
    const uintptr_t word = lock_table_word(books, lock_book_bits);
    bool book_used[lock_books] = {false};
    unsigned used = 0;
    (void)state;
    assert_int_equal(lock_table_set_bits(word), lock_book_bits);
    for (unsigned i = 0; i < 4096; i++) {
        struct lock_book *b = lock_book_set(word, mutex(i), i % 7);
        assert_true(b >= books && b < books + lock_books);
        assert_int_equal((b - books) % lock_book_ways, 0);
        used += !book_used[b - books];
        book_used[b - books] = true;
    }
    assert_int_equal(used, lock_books / lock_book_ways);
}

static void book_is_of_one_lock_at_one_stack_by_one_call(void **state)
{
    struct pshim_account account = {.recorder = 3};
    struct lock_book b = {
        .address = mutex(1), .account = &account, .key = lock_book_key(9, PSHIM_CALL_MUTEX_LOCK)};
    (void)state;
    assert_true(lock_book_is(&b, mutex(1), 9, PSHIM_CALL_MUTEX_LOCK, 3));
    assert_false(lock_book_is(&b, mutex(2), 9, PSHIM_CALL_MUTEX_LOCK, 3));
    assert_false(lock_book_is(&b, mutex(1), 8, PSHIM_CALL_MUTEX_LOCK, 3));
    assert_false(lock_book_is(&b, mutex(1), 9, PSHIM_CALL_MUTEX_TRYLOCK, 3));
    assert_false(lock_book_is(&b, mutex(1), 9, PSHIM_CALL_MUTEX_LOCK, 4)); /* another recorder */
}

/* Enters a lock as lock_book_at() does. */
static struct lock_book *entered(struct lock_book *set, const void *address,
                                 struct pshim_lock *lock, uint32_t *evicted)
{
    struct lock_book *b = lock_book_room(set, evicted);
    assert_null(b->address);
    b->lock = lock;
    b->key = 5;
    b->address = address;
    lock->address = (uintptr_t)address;
    return b;
}

static void entry_makes_room_for_the_next_one(void **state)
{
    struct lock_book set[lock_book_ways] = {{0}};
    struct pshim_lock locks[6] = {{0}}; /* alive */
    uint32_t evicted = 0;
    (void)state;
    assert_ptr_equal(entered(set, mutex(1), &locks[1], &evicted), set);
    assert_ptr_equal(entered(set, mutex(2), &locks[2], &evicted), set);
    assert_ptr_equal(set[1].address, mutex(1));
    assert_ptr_equal(set[1].lock, &locks[1]);
    assert_int_equal(set[1].key, 5);
    locks[2].state = PSHIM_LOCK_DESTROYED;
    entered(set, mutex(3), &locks[3], &evicted); /* in the place of the one that is no more */
    assert_ptr_equal(set[1].address, mutex(1));
    locks[3].address = (uintptr_t)mutex(5); /* its record is another lock's now */
    entered(set, mutex(4), &locks[4], &evicted);
    assert_ptr_equal(set[1].address, mutex(1));
    assert_int_equal(evicted, 0);
    entered(set, mutex(5), &locks[5], &evicted);
    assert_ptr_equal(set[1].address, mutex(4));
    assert_int_equal(evicted, 1);
}

/* As lock_book_at() does: at home, else elsewhere. */
static struct lock_book *entered_at(uintptr_t books, const void *address, uint32_t site,
                                    struct pshim_lock *lock, struct pshim_account *account)
{
    uint32_t evicted = 0;
    struct lock_book *b = lock_book_home_room(lock_book_home(books, address), account->recorder);
    if (!b)
        b = lock_book_room(lock_book_set(books, address, site), &evicted);
    assert_null(b->address);
    b->lock = lock;
    b->account = account;
    b->key = lock_book_key(site, PSHIM_CALL_MUTEX_LOCK);
    b->address = address;
    lock->address = (uintptr_t)address;
    return b;
}

static void lock_at_two_stacks_stands_in_one_line(void **state)
{
    static struct lock_book books[lock_books] __attribute__((aligned(64)));
    const uintptr_t word = lock_table_word(books, lock_book_bits);
    struct lock_book *home = lock_book_home(word, mutex(1)), *at[6];
    struct pshim_account account = {.recorder = 3}, other = {.recorder = 4};
    struct pshim_lock lock = {0}, another = {0};
    (void)state;
    for (uint32_t site = 1; site < 6; site++)
        at[site] = entered_at(word, mutex(1), site, &lock, &account);
    assert_ptr_equal(at[1], home);
    assert_ptr_equal(at[2], home + 1);
    for (uint32_t site = 3; site < 6; site++)
        assert_ptr_equal(at[site], lock_book_set(word, mutex(1), site));
    for (uint32_t site = 1; site < 6; site++) /* each is found where it stands */
        assert_ptr_equal(lock_book_likely(word, mutex(1), site, PSHIM_CALL_MUTEX_LOCK), at[site]);
    at[2]->lock = &another; /* another lock's by now */
    assert_ptr_equal(entered_at(word, mutex(1), 6, &lock, &account), home + 1);
    assert_ptr_equal(entered_at(word, mutex(1), 1, &lock, &other), home); /* of no use to it */
}

static unsigned grown(unsigned bits, uint32_t evicted, uint64_t others_bytes)
{
    return lock_table_grown(lock_table_word(NULL, bits), 12, 64, evicted, others_bytes);
}

static void table_grows_when_entries_drive_each_other_out(void **state)
{
    (void)state;
    assert_int_equal(grown(6, 63, 0), 0);
    assert_int_equal(grown(6, 64, 0), 8); /* as many as there are sets */
    assert_int_equal(grown(8, 255, 0), 0);
    assert_int_equal(grown(8, 256, 0), 10);
    assert_int_equal(grown(10, 1024, 0), 12);
    assert_int_equal(grown(12, 1000000, 0), 0); /* the largest */
    uint64_t next = 256 * 64, most = lock_tables_bytes_most;
    assert_int_equal(grown(6, 64, most - next), 8);
    assert_int_equal(grown(6, 64, most - next + 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(locks_given_back_in_any_order_leave_the_others, empty),
        cmocka_unit_test_setup(lock_that_is_being_given_back_is_not_held_any_more, empty),
        cmocka_unit_test_setup(more_than_there_is_room_for_is_known_when_given_back, empty),
        cmocka_unit_test(everything_falls_into_the_table),
        cmocka_unit_test(entry_makes_room_for_the_next_one),
        cmocka_unit_test(lock_at_two_stacks_stands_in_one_line),
        cmocka_unit_test(table_grows_when_entries_drive_each_other_out),
        cmocka_unit_test(book_is_of_one_lock_at_one_stack_by_one_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
