#include "store/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
/* The pool itself reads and writes objects that are poisoned for everybody else. */
#define POOL_INSIDE __attribute__((no_sanitize("address")))
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define POOL_INSIDE
#endif

/* Builds that look for bugs also check every byte of a pooled object. */
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__)
#define POOL_FILL 1
#else
#define POOL_FILL 0
#endif

enum {
    CLASSES = 43, /* 32 … 128 in steps of 16, then 4 steps per doubling up to POOL_OBJECT_MAX */
    LINE = 64,
    BATCH_BYTES = 8192,
    BATCH_MAX = 64,
    SLAB_ROOM = 65536 - LINE,
    OWN_SLAB = 8192, /* objects above have a slab each */
    FILL = 0xd5,
};

/* What a pooled object holds: as much as fits the smallest class. */
struct object {
    struct object *next;
    uint64_t mark;
    struct object *next_batch; /* in a depot, in the first object of a batch */
    uint64_t batch_count;      /* likewise */
};

/* `spare` is NULL or a full batch: it spares a thread on the edge a trip to the depot each time. */
struct bin {
    struct object *head;
    struct object *spare;
    uint32_t count; /* objects in head */
    uint32_t batch; /* objects of a full batch */
};

struct pool_thread {
    struct pool *pool;
    struct pool_thread *next, **link; /* guarded by pool->lock */
    int shared;                       /* use pool->shared_lock around everything */
    struct pool_counters counters;    /* written by the owner only, read by pool_count */
    char *uncut, *uncut_end;          /* slab memory that was never an object */
    struct bin bins[CLASSES];
} __attribute__((aligned(LINE)));

struct slab {
    struct slab *next;
    size_t bytes;
} __attribute__((aligned(LINE)));

struct depot {
    pthread_mutex_t lock;
    struct object *batches; /* also read without the lock, to see whether it is worth taking */
} __attribute__((aligned(LINE)));

/* What a thread that ended had not cut yet; lies at its own beginning. */
struct leftover {
    struct leftover *next;
    char *end;
};

struct pool {
    int pooled;
    pthread_key_t key;
    uint64_t secret;
    pthread_mutex_t lock; /* all down to dead */
    struct slab *slabs;
    struct leftover *leftovers;
    struct pool_thread *threads;
    struct pool_counters dead; /* of threads that ended */
    pthread_mutex_t shared_lock;
    struct pool_thread shared; /* of threads for which no memory was left, and of open and close */
    struct depot depots[CLASSES];
};

static inline unsigned class_of(size_t size)
{
    if (size <= 128)
        return size <= 32 ? 0 : (unsigned)((size + 15) / 16 - 2);
    unsigned e = 63 - (unsigned)__builtin_clzl(size - 1); /* 2^e < size <= 2^(e+1) */
    return 7 + (e - 7) * 4 + (unsigned)((size - 1 - ((size_t)1 << e)) >> (e - 2));
}

static size_t class_bytes(unsigned k)
{
    if (k < 7)
        return (k + 2) * 16;
    unsigned e = 7 + (k - 7) / 4;
    return ((size_t)1 << e) + ((k - 7) % 4 + 1) * ((size_t)1 << (e - 2));
}

size_t pool_class_bytes(size_t size)
{
    return size > POOL_OBJECT_MAX ? size : class_bytes(class_of(size));
}

static unsigned batch_objects(unsigned k)
{
    size_t n = BATCH_BYTES / class_bytes(k);
    return n > BATCH_MAX ? BATCH_MAX : n < 1 ? 1 : (unsigned)n;
}

/* Counters have one writer; atomic stores let pool_count read them meanwhile. */
static inline void count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/*
 * The heap: malloc and free are called here and nowhere else in the store. Not inlined, so that a
 * profiler's count of these two functions can be held against the store's own.
 */
static __attribute__((noinline)) void *heap_alloc(struct pool_counters *counters, size_t alignment,
                                                  size_t size)
{
    void *p = alignment <= 16 ? malloc(size) : aligned_alloc(alignment, size);
    if (p) {
        count(&counters->allocs, 1);
        count(&counters->alloc_bytes, size);
    }
    return p;
}

static __attribute__((noinline)) void heap_free(struct pool_counters *counters, void *p,
                                                size_t size)
{
    count(&counters->frees, 1);
    count(&counters->free_bytes, size);
    free(p);
}

static __attribute__((noinline, cold, noreturn)) void pool_damaged(const void *object, unsigned k,
                                                                   const char *what)
{
    fprintf(stderr, "store: pool: object %p of %zu bytes: %s\n", object, class_bytes(k), what);
    abort();
}

static inline void thread_enter(struct pool_thread *t)
{
    if (__builtin_expect(t->shared, 0))
        pthread_mutex_lock(&t->pool->shared_lock);
}

static inline void thread_leave(struct pool_thread *t)
{
    if (__builtin_expect(t->shared, 0))
        pthread_mutex_unlock(&t->pool->shared_lock);
}

/* ---- objects that lie in the pool ---- */

/* Covers the link too, so that a stray write to it is found before it is followed. */
POOL_INSIDE static inline uint64_t mark_of(const struct pool *pool, const struct object *o)
{
    uint64_t next = (uint64_t)(uintptr_t)o->next;
    return pool->secret ^ (uint64_t)(uintptr_t)o ^ (next << 16 | next >> 48);
}

/* From here to object_revive only the pool may touch it. */
POOL_INSIDE static inline void object_retire(const struct pool *pool, struct object *o, unsigned k,
                                             struct object *next)
{
    if (__builtin_expect(o->mark == mark_of(pool, o), 0))
        pool_damaged(o, k, "put twice");
    o->next = next;
    o->mark = mark_of(pool, o);
    if (POOL_FILL) {
        ASAN_UNPOISON_MEMORY_REGION(o, class_bytes(k)); /* also what was not asked for */
        memset(&o->next_batch, FILL, class_bytes(k) - offsetof(struct object, next_batch));
    }
    ASAN_POISON_MEMORY_REGION(o, class_bytes(k));
}

POOL_INSIDE static inline void *object_revive(const struct pool *pool, struct object *o, unsigned k,
                                              size_t size)
{
    const unsigned char *byte = (const unsigned char *)o;
    if (__builtin_expect(o->mark != mark_of(pool, o), 0))
        pool_damaged(o, k, "written after it was put");
    for (size_t i = offsetof(struct object, next_batch); POOL_FILL && i < class_bytes(k); i++)
        if (byte[i] != FILL)
            pool_damaged(o, k, "written after it was put");
    o->mark = 0; /* or the next put would look like a second one */
    ASAN_UNPOISON_MEMORY_REGION(o, size);
    return o;
}

/* ---- depots ---- */

POOL_INSIDE static void depot_push(struct depot *d, struct object *batch, uint32_t objects)
{
    pthread_mutex_lock(&d->lock);
    batch->batch_count = objects;
    batch->next_batch = d->batches;
    __atomic_store_n(&d->batches, batch, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&d->lock);
}

POOL_INSIDE static struct object *depot_pop(struct depot *d, uint32_t *objects)
{
    if (!__atomic_load_n(&d->batches, __ATOMIC_RELAXED))
        return NULL;
    pthread_mutex_lock(&d->lock);
    struct object *batch = d->batches;
    if (batch) {
        *objects = (uint32_t)batch->batch_count;
        __atomic_store_n(&d->batches, batch->next_batch, __ATOMIC_RELAXED);
        if (POOL_FILL) { /* not by memset, which the sanitizer watches */
            batch->next_batch = (struct object *)(FILL * (UINTPTR_MAX / 255));
            batch->batch_count = FILL * (UINT64_MAX / 255);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return batch;
}

/* ---- slabs ---- */

/* The room of a new slab, or NULL. */
static char *slab_new(struct pool_thread *t, size_t room)
{
    struct pool *pool = t->pool;
    size_t bytes = sizeof(struct slab) + room;
    struct slab *slab = heap_alloc(&t->counters, 16, bytes);
    if (!slab)
        return NULL;
    slab->bytes = bytes;
    pthread_mutex_lock(&pool->lock);
    slab->next = pool->slabs;
    pool->slabs = slab;
    pthread_mutex_unlock(&pool->lock);
    ASAN_POISON_MEMORY_REGION(slab + 1, room);
    return (char *)(slab + 1);
}

/* A rest that is too small is given up, the thread's or another's: less than the object to be cut.
 */
POOL_INSIDE static int uncut_refill(struct pool_thread *t, size_t object_bytes)
{
    struct pool *pool = t->pool;
    pthread_mutex_lock(&pool->lock);
    struct leftover *left = pool->leftovers;
    if (left)
        pool->leftovers = left->next;
    pthread_mutex_unlock(&pool->lock);
    if (left && left->end - (char *)left >= (ptrdiff_t)object_bytes) {
        t->uncut = (char *)left;
        t->uncut_end = left->end;
        return 0;
    }
    char *room = slab_new(t, SLAB_ROOM);
    if (!room)
        return -1;
    t->uncut = room;
    t->uncut_end = room + SLAB_ROOM;
    return 0;
}

POOL_INSIDE static void uncut_leave(struct pool_thread *t)
{
    struct leftover *left = (struct leftover *)t->uncut;
    if (t->uncut_end - t->uncut < (ptrdiff_t)sizeof *left)
        return;
    left->end = t->uncut_end;
    pthread_mutex_lock(&t->pool->lock);
    left->next = t->pool->leftovers;
    t->pool->leftovers = left;
    pthread_mutex_unlock(&t->pool->lock);
}

/*
 * One new object, in the state of one that was put. Cut one at a time: what a thread allocates
 * together lies together, whatever the sizes, and later goes through its bins together.
 */
POOL_INSIDE static __attribute__((noinline)) struct object *pool_grow(struct pool_thread *t,
                                                                      unsigned k)
{
    size_t bytes = class_bytes(k);
    struct object *o;
    if (bytes > OWN_SLAB) {
        o = (struct object *)slab_new(t, bytes);
        if (!o)
            return NULL;
    } else {
        if (t->uncut_end - t->uncut < (ptrdiff_t)bytes && uncut_refill(t, bytes) != 0)
            return NULL;
        o = (struct object *)t->uncut;
        t->uncut += bytes;
    }
    ASAN_UNPOISON_MEMORY_REGION(o, bytes);
    o->mark = ~mark_of(t->pool, o); /* anything but a mark */
    object_retire(t->pool, o, k, NULL);
    return o;
}

/* ---- get and put ---- */

static struct object *bin_refill(struct pool_thread *t, unsigned k)
{
    struct bin *bin = &t->bins[k];
    struct object *o = bin->spare;
    if (o) {
        bin->spare = NULL;
        bin->count = bin->batch;
    } else if (!(o = depot_pop(&t->pool->depots[k], &bin->count)) && (o = pool_grow(t, k))) {
        bin->count = 1;
    }
    return o;
}

POOL_INSIDE static void *bin_get(struct pool_thread *t, unsigned k, size_t size)
{
    struct bin *bin = &t->bins[k];
    struct object *o = bin->head;
    if (__builtin_expect(!o, 0) && !(o = bin_refill(t, k)))
        return NULL;
    void *object = object_revive(t->pool, o, k, size);
    bin->head = o->next;
    bin->count--;
    return object;
}

POOL_INSIDE static void bin_put(struct pool_thread *t, unsigned k, struct object *o)
{
    struct bin *bin = &t->bins[k];
    if (__builtin_expect(bin->count == bin->batch, 0)) {
        if (bin->spare)
            depot_push(&t->pool->depots[k], bin->spare, bin->count);
        bin->spare = bin->head;
        bin->head = NULL;
        bin->count = 0;
    }
    object_retire(t->pool, o, k, bin->head);
    bin->head = o;
    bin->count++;
}

void *pool_get(struct pool_thread *t, size_t size)
{
    thread_enter(t);
    void *p = t->pool->pooled && size <= POOL_OBJECT_MAX ? bin_get(t, class_of(size), size)
                                                         : heap_alloc(&t->counters, 16, size);
    if (p)
        count(&t->counters.gets, 1);
    thread_leave(t);
    return p;
}

void pool_put(struct pool_thread *t, void *object, size_t size)
{
    thread_enter(t);
    count(&t->counters.puts, 1);
    if (t->pool->pooled && size <= POOL_OBJECT_MAX)
        bin_put(t, class_of(size), object);
    else
        heap_free(&t->counters, object, size);
    thread_leave(t);
}

void *pool_reserve(struct pool_thread *t, size_t alignment, size_t size)
{
    thread_enter(t);
    void *p = heap_alloc(&t->counters, alignment, size);
    thread_leave(t);
    return p;
}

void pool_unreserve(struct pool_thread *t, void *memory, size_t size)
{
    thread_enter(t);
    heap_free(&t->counters, memory, size);
    thread_leave(t);
}

/* ---- threads ---- */

static void counters_add(struct pool_counters *sum, const struct pool_counters *more)
{
#define X(name) sum->name += __atomic_load_n(&more->name, __ATOMIC_RELAXED);
    POOL_COUNTERS(X)
#undef X
}

/* At thread end: objects to the depots, counts to the pool. */
static void thread_retire(void *thread)
{
    struct pool_thread *t = thread;
    struct pool *pool = t->pool;
    for (unsigned k = 0; k < CLASSES; k++) {
        struct bin *bin = &t->bins[k];
        if (bin->head)
            depot_push(&pool->depots[k], bin->head, bin->count);
        if (bin->spare)
            depot_push(&pool->depots[k], bin->spare, bin->batch);
    }
    uncut_leave(t);
    pthread_mutex_lock(&pool->lock);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    counters_add(&pool->dead, &t->counters);
    heap_free(&pool->dead, t, sizeof *t);
    pthread_mutex_unlock(&pool->lock);
}

static void thread_init(struct pool_thread *t, struct pool *pool, const struct pool_counters *first)
{
    memset(t, 0, sizeof *t);
    t->pool = pool;
    t->counters = *first;
    for (unsigned k = 0; k < CLASSES; k++)
        t->bins[k].batch = batch_objects(k);
}

static __attribute__((noinline)) struct pool_thread *thread_join(struct pool *pool)
{
    struct pool_counters first = {0};
    struct pool_thread *t = heap_alloc(&first, LINE, sizeof *t);
    if (!t)
        return &pool->shared;
    thread_init(t, pool, &first);
    pthread_mutex_lock(&pool->lock);
    if (pthread_setspecific(pool->key, t) != 0) {
        counters_add(&pool->dead, &first);
        heap_free(&pool->dead, t, sizeof *t);
        pthread_mutex_unlock(&pool->lock);
        return &pool->shared;
    }
    t->next = pool->threads;
    t->link = &pool->threads;
    if (t->next)
        t->next->link = &t->next;
    pool->threads = t;
    pthread_mutex_unlock(&pool->lock);
    return t;
}

struct pool_thread *pool_here(struct pool *pool)
{
    struct pool_thread *t = pthread_getspecific(pool->key);
    return __builtin_expect(t != NULL, 1) ? t : thread_join(pool);
}

/* ---- open and close ---- */

struct pool *pool_open(int pooled)
{
    struct pool_counters first = {0};
    struct pool *pool = heap_alloc(&first, LINE, sizeof *pool);
    if (!pool)
        return NULL;
    memset(pool, 0, sizeof *pool);
    if (pthread_key_create(&pool->key, thread_retire) != 0) {
        free(pool);
        return NULL;
    }
    pool->pooled = pooled;
    if (getrandom(&pool->secret, sizeof pool->secret, GRND_NONBLOCK) < 0)
        pool->secret = 0x9e3779b97f4a7c15u; /* a mark needs to be unlikely, not unguessable */
    pthread_mutex_init(&pool->lock, NULL);
    pthread_mutex_init(&pool->shared_lock, NULL);
    thread_init(&pool->shared, pool, &first);
    pool->shared.shared = 1;
    for (unsigned k = 0; k < CLASSES; k++)
        pthread_mutex_init(&pool->depots[k].lock, NULL);
    return pool;
}

void pool_close(struct pool *pool, struct pool_counters *last)
{
    while (pool->threads)
        thread_retire(pool->threads);
    pthread_key_delete(pool->key);
    struct pool_counters *counters = &pool->dead;
    for (struct slab *slab; (slab = pool->slabs);) {
        pool->slabs = slab->next;
        ASAN_UNPOISON_MEMORY_REGION(slab, slab->bytes);
        heap_free(counters, slab, slab->bytes);
    }
    for (unsigned k = 0; k < CLASSES; k++)
        pthread_mutex_destroy(&pool->depots[k].lock);
    counters_add(counters, &pool->shared.counters);
    pthread_mutex_destroy(&pool->shared_lock);
    pthread_mutex_destroy(&pool->lock);
    struct pool_counters sum = *counters;
    heap_free(&sum, pool, sizeof *pool);
    if (last)
        *last = sum;
}

void pool_count(struct pool *pool, struct pool_counters *out)
{
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&pool->lock);
    counters_add(out, &pool->dead);
    counters_add(out, &pool->shared.counters);
    for (struct pool_thread *t = pool->threads; t; t = t->next)
        counters_add(out, &t->counters);
    pthread_mutex_unlock(&pool->lock);
}
