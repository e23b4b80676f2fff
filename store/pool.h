/*
 * The object pool, and the only place where the store touches the heap.
 *
 * A thread keeps a small cache per size class; caches exchange whole batches with one depot per
 * class; when both are empty the thread cuts a new object from its slab. With the pool off,
 * pool_get and pool_put are malloc and free; nothing else differs.
 *
 * Thread safety: all functions but pool_open and pool_close may be called from any thread. A
 * struct pool_thread belongs to the thread that asked pool_here for it, from then until that thread
 * ends, when its objects go back to the depots. An object may be put by another thread than got it.
 * pool_close needs all other threads that ever used the pool to have been joined, or to be alive
 * and never use it again.
 *
 * Memory bound: per size class, the greatest number of objects ever in use at one time, and 2
 * batches (of at most 8 KiB, or 1 object if that is more) for each thread alive at one time; at
 * most twice as much again for ends of slabs, where the next object did not fit; and one slab of 64
 * KiB for each thread alive at one time. Slabs are given back by pool_close. Objects above
 * POOL_OBJECT_MAX bytes come from malloc and go straight back.
 *
 * What "detected" means, with the pool on. pool_put writes a mark into the object (a secret mixed
 * with its address) and pool_get checks and clears it:
 * - Double put: always found while the object lies in the pool; once it was handed out again
 * nothing can tell the two owners apart.
 * - Write after put: found at the next pool_get of that object if it hit the first 16 bytes. Debug
 *   and AddressSanitizer builds fill the object, and find a write to any byte.
 * - Read after put, and any access past the bytes asked for: AddressSanitizer builds report it at
 *   once, since objects in the pool are poisoned.
 *
 * Found means: one line on stderr that names the object, and abort(). With the pool off the C
 * library and the sanitizer find what they find.
 */
#ifndef PERFSHIM_STORE_POOL_H
#define PERFSHIM_STORE_POOL_H

#include <stddef.h>
#include <stdint.h>

#define POOL_OBJECT_MAX ((size_t)65536) /* largest pooled object */

struct pool;
struct pool_thread;

/* Sums over all threads, living and dead. Bytes are those asked of malloc. */
#define POOL_COUNTERS(X)                                                                           \
    X(allocs)      /* calls of malloc and aligned_alloc that succeeded */                          \
    X(alloc_bytes) /* bytes they asked for */                                                      \
    X(frees)       /* calls of free */                                                             \
    X(free_bytes)  /* bytes that had been asked for the freed blocks */                            \
    X(gets)        /* objects handed out by pool_get */                                            \
    X(puts)        /* objects taken back by pool_put */

struct pool_counters {
#define X(name) uint64_t name;
    POOL_COUNTERS(X)
#undef X
};

/* NULL if there is no memory or no thread-specific key left. */
struct pool *pool_open(int pooled);

/* Frees all, objects still in use included. *last, unless NULL, gets the counters at the very end.
 */
void pool_close(struct pool *pool, struct pool_counters *last);

/* The calling thread's part of the pool. Never NULL: threads for which no memory was left share
 * one. */
struct pool_thread *pool_here(struct pool *pool);

/* `size` bytes, aligned to 16, contents undefined; NULL if there is no memory. size > 0. */
void *pool_get(struct pool_thread *thread, size_t size);

/* Takes back what pool_get gave for the same size. */
void pool_put(struct pool_thread *thread, void *object, size_t size);

/*
 * Memory that is no object: taken once, given back at close. The alignment is a power of two and
 * size a multiple of it. Never pooled.
 */
void *pool_reserve(struct pool_thread *thread, size_t alignment, size_t size);
void pool_unreserve(struct pool_thread *thread, void *memory, size_t size);

/* A snapshot: each counter is exact for operations that ended before the call. */
void pool_count(struct pool *pool, struct pool_counters *out);

/* Bytes really handed out for `size` with the pool on. Pure. */
size_t pool_class_bytes(size_t size);

#endif
