/*
 * A small table of a thread, so that taking a free lock again touches nothing that other threads
 * write: what each lock taken at a stack is booked on. A call that goes through many locks (the
 * shards of a table) has as many entries as there are locks.
 *
 * It begins on one page; where entries keep driving each other out a larger one takes its place,
 * into which what is used is entered anew. The smaller one stays where it is: a signal handler may
 * have made the larger one while the smaller was looked at.
 */
#ifndef PERFSHIM_SHIM_LOCK_BOOK_H
#define PERFSHIM_SHIM_LOCK_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile/format.h"

enum {
    lock_book_ways = 2, /* entries of a set; the one entered last stands first */
    lock_book_bits = 6, /* a thread's first table: 2^6 sets, on a page */
    lock_book_bits_most = 12,
    lock_books = lock_book_ways << lock_book_bits,
    lock_tables_bytes_most = 64 << 20, /* of all threads, beyond their first tables */
};

/* Of a hook: its return address, and the address above it. */
struct lock_caller {
    uintptr_t pc;
    const uintptr_t *frame;
};

/* What a lock is booked on when a call takes it at a stack. */
struct lock_book {
    const void *address; /* NULL = no entry */
    const struct pshim_lock *lock;
    struct pshim_account *account;
    uint32_t index : 24; /* of the lock */
    int8_t until_mark;   /* acquisitions before the one whose hold goes into the histogram */
    uint32_t key;        /* lock_book_key() */
};

static inline uint32_t lock_book_key(uint32_t stack, enum pshim_call call)
{
    return stack | (uint32_t)call << 24;
}

static inline uint32_t lock_book_stack(const struct lock_book *b)
{
    return b->key & 0xffffff;
}

/*
 * The table in one word, so that it is read at once: its address, and in place of the lowest six
 * bits how far a hash is shifted to become the number of a set.
 */
static inline uintptr_t lock_table_word(const void *entries, unsigned set_bits)
{
    return (uintptr_t)entries | (64 - set_bits);
}

static inline unsigned lock_table_set_bits(uintptr_t table)
{
    return 64 - (table & 63);
}

static inline void *lock_table_entries(uintptr_t table)
{
    return (void *)(table & ~(uintptr_t)63);
}

static inline uint64_t lock_table_set(uintptr_t table, uint64_t hash)
{
    return hash * 0x9e3779b97f4a7c15u >> (table & 63);
}

/*
 * Of how many sets (as bits, up to `most`) the next table is to be, now that so many of its entries
 * that were in use had to go; 0 if this one will do. `others_bytes`: all tables of the process that
 * had to be made.
 */
static inline unsigned lock_table_grown(uintptr_t table, unsigned most, uint64_t set_bytes,
                                        uint32_t evicted, uint64_t others_bytes)
{
    unsigned bits = lock_table_set_bits(table);
    if (bits >= most || evicted < 1u << bits ||
        others_bytes + (set_bytes << (bits + 2)) > lock_tables_bytes_most)
        return 0;
    return bits + 2;
}

/*
 * The two sets in which a lock taken at a stack may stand: its home, where there is room for the
 * lock at two stacks, and that of the lock at this stack. So a lock that is taken at two places, as
 * those of shards and items are, has one cache line here and not two.
 */
static inline struct lock_book *lock_book_home(uintptr_t books, const void *address)
{
    struct lock_book *entries = lock_table_entries(books);
    return &entries[lock_table_set(books, (uintptr_t)address >> 3) * lock_book_ways];
}

static inline struct lock_book *lock_book_set(uintptr_t books, const void *address, uint32_t stack)
{
    uint64_t h = (uintptr_t)address >> 3 ^ (uint64_t)stack << 32;
    struct lock_book *entries = lock_table_entries(books);
    return &entries[lock_table_set(books, h) * lock_book_ways];
}

/* Is its record still that of its lock? */
static inline bool lock_book_is_alive(const struct lock_book *b)
{
    return b->address && b->lock->state == PSHIM_LOCK_ALIVE &&
           b->lock->address == (uintptr_t)b->address;
}

/* The entry to look at: if any is the lock's at this stack, then this one. */
static inline struct lock_book *lock_book_likely(uintptr_t books, const void *address,
                                                 uint32_t stack, enum pshim_call call)
{
    uint32_t key = lock_book_key(stack, call);
    struct lock_book *home = lock_book_home(books, address);
    for (unsigned i = 0; i < lock_book_ways; i++)
        if (home[i].address == address && home[i].key == key)
            return &home[i];
    struct lock_book *set = lock_book_set(books, address, stack);
    return &set[set->address != address];
}

/* Room for a new entry at home, with no address: where what stands is of no use to this recorder.
   NULL: there is none. */
static inline struct lock_book *lock_book_home_room(struct lock_book *home, uint32_t recorder)
{
    for (unsigned i = 0; i < lock_book_ways; i++)
        if (!lock_book_is_alive(&home[i]) || home[i].account->recorder != recorder) {
            home[i].address = NULL;
            return &home[i];
        }
    return NULL;
}

/*
 * Room elsewhere, the first of the set, with no address; what stood there goes one on. *evicted
 * counts those of locks that are alive that had to go.
 */
static inline struct lock_book *lock_book_room(struct lock_book *set, uint32_t *evicted)
{
    if (lock_book_is_alive(&set[0])) {
        *evicted += lock_book_is_alive(&set[1]);
        set[1].address = NULL; /* a signal handler may look at it */
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        set[1].lock = set[0].lock;
        set[1].account = set[0].account;
        set[1].index = set[0].index;
        set[1].until_mark = set[0].until_mark;
        set[1].key = set[0].key;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        set[1].address = set[0].address;
    }
    set[0].address = NULL;
    return &set[0];
}

/* A lock may have been destroyed since, and the thread may have another recorder. */
static inline bool lock_book_is(const struct lock_book *b, const void *address, uint32_t stack,
                                enum pshim_call call, uint32_t recorder)
{
    return b->address == address && b->key == lock_book_key(stack, call) &&
           b->account->recorder == recorder;
}

#endif
