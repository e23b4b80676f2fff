/*
 * alloc_truth — a program that knows what it allocated, to the unit.
 *
 *   alloc_truth [THREADS [STEPS]]
 *
 * Each allocation call stands in a function of its own. THREADS threads allocate, resize, free and
 * hand blocks to each other at random (fixed seed); each block's contents are checked, so that an
 * allocator that counts right but hands out wrong memory fails too. What is expected of each
 * function is printed as JSON, by the rules of docs/contract.md: realloc of a live block is one
 * allocation and one free of the old block's function; realloc(p, 0) one free; malloc(0) one call
 * of 0 bytes; a failed call is nothing.
 *
 * Run it with PERFSHIM_START=0: it calls perfshim_start and perfshim_stop around the counted part,
 * and allocates and frees on both sides of it. With ALLOC_TRUTH_BARE it knows nothing of perfshim
 * and all is counted.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>

#include "samples/truth.h"

#ifdef ALLOC_TRUTH_BARE
#define perfshim_start()   ((void)0)
#define perfshim_stop()    ((void)0)
#define perfshim_present() 0
#else
#include "shim/perfshim.h"
#endif

#define SITES(X)                                                                                   \
    X(small_malloc)                                                                                \
    X(large_malloc)                                                                                \
    X(empty_malloc)                                                                                \
    X(temporary_malloc)                                                                            \
    X(array_calloc)                                                                                \
    X(null_realloc)                                                                                \
    X(grow_realloc)                                                                                \
    X(shrink_realloc)                                                                              \
    X(array_reallocarray)                                                                          \
    X(null_reallocarray)                                                                           \
    X(some_posix_memalign)                                                                         \
    X(some_aligned_alloc)                                                                          \
    X(some_memalign)                                                                               \
    X(page_valloc)                                                                                 \
    X(page_pvalloc)                                                                                \
    X(refused_calls)                                                                               \
    X(before_start_malloc)                                                                         \
    X(after_stop_malloc)                                                                           \
    X(after_stop_realloc)

enum site {
#define X(name) AT_##name,
    SITES(X)
#undef X
        SITE_COUNT
};
static const char *const site_names[] = {
#define X(name) #name,
    SITES(X)
#undef X
};

enum {
    MAX_THREADS = 1024,
    SLOTS = 24,
    EXCHANGE = 256,
    EDGE = 32,
    MAX_BYTES = 1 << 20,
    HUGE_BYTES = 64 << 20
};

struct count {
    uint64_t calls, bytes, frees, free_bytes;
};

struct block {
    unsigned char *p; /* NULL: empty slot */
    size_t bytes;
    enum site site;
    int counted; /* allocated while recording */
    unsigned char mark;
};

struct worker {
    pthread_t thread;
    uint64_t random;
    uint64_t steps;
    struct count count[SITE_COUNT];
    struct block slot[SLOTS];
};

static struct worker workers[MAX_THREADS];
static struct block exchange[EXCHANGE];
static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static int recording; /* changes only while the workers stand at the barrier */
static unsigned thread_count = 1;
static uint64_t live_bytes, peak_bytes; /* kept by one thread only */
static unsigned lines[SITE_COUNT];
static void (*sized_free)(void *, size_t);

/* The call and its line, which must stand on one line of source. */
#define CALL(site, expression)                                                                     \
    ({                                                                                             \
        void *p_ = (expression);                                                                   \
        KEEP(p_);                                                                                  \
        __atomic_store_n(&lines[site], __LINE__, __ATOMIC_RELAXED);                                \
        p_;                                                                                        \
    })

static SITE void *small_malloc(size_t n)
{
    return CALL(AT_small_malloc, malloc(n));
}

static SITE void *large_malloc(size_t n)
{
    return CALL(AT_large_malloc, malloc(n));
}

static SITE void *empty_malloc(void)
{
    return CALL(AT_empty_malloc, malloc(0));
}

static SITE void *temporary_malloc(size_t n)
{
    return CALL(AT_temporary_malloc, malloc(n));
}

static SITE void *array_calloc(size_t n, size_t each)
{
    return CALL(AT_array_calloc, calloc(n, each));
}

static SITE void *null_realloc(size_t n)
{
    void *none = NULL;
    KEEP(none);
    return CALL(AT_null_realloc, realloc(none, n));
}

static SITE void *grow_realloc(void *p, size_t n)
{
    return CALL(AT_grow_realloc, realloc(p, n));
}

static SITE void *shrink_realloc(void *p, size_t n)
{
    return CALL(AT_shrink_realloc, realloc(p, n));
}

static SITE void *array_reallocarray(void *p, size_t n, size_t each)
{
    return CALL(AT_array_reallocarray, reallocarray(p, n, each));
}

static SITE void *null_reallocarray(size_t n, size_t each)
{
    void *none = NULL;
    KEEP(none);
    return CALL(AT_null_reallocarray, reallocarray(none, n, each));
}

static SITE void *some_posix_memalign(size_t alignment, size_t n)
{
    void *p = NULL;
    return CALL(AT_some_posix_memalign, posix_memalign(&p, alignment, n) ? NULL : p);
}

static SITE void *some_aligned_alloc(size_t alignment, size_t n)
{
    return CALL(AT_some_aligned_alloc, aligned_alloc(alignment, n));
}

static SITE void *some_memalign(size_t alignment, size_t n)
{
    return CALL(AT_some_memalign, memalign(alignment, n));
}

static SITE void *page_valloc(size_t n)
{
    return CALL(AT_page_valloc, valloc(n));
}

static SITE void *page_pvalloc(size_t n)
{
    return CALL(AT_page_pvalloc, pvalloc(n));
}

static SITE void *before_start_malloc(size_t n)
{
    return CALL(AT_before_start_malloc, malloc(n));
}

static SITE void *after_stop_malloc(size_t n)
{
    return CALL(AT_after_stop_malloc, malloc(n));
}

static SITE void *after_stop_realloc(void *p, size_t n)
{
    return CALL(AT_after_stop_realloc, realloc(p, n));
}

/* Calls that must fail; the old block must stay whole. Not every allocator sets errno. */
static SITE void refused_calls(void *old)
{
    volatile size_t half = SIZE_MAX / 2, huge = SIZE_MAX / 2 + 1;
    void *p = NULL;
    lines[AT_refused_calls] = __LINE__;
#define REFUSED(expression)                                                                        \
    do {                                                                                           \
        errno = 0;                                                                                 \
        if ((expression) || (errno != ENOMEM && errno != 0))                                       \
            truth_fail("a call that must fail with ENOMEM: " #expression);                         \
    } while (0)
    REFUSED(calloc(half, 4));
    REFUSED(malloc(huge));
    REFUSED(realloc(old, huge));
    REFUSED(reallocarray(old, half, 4));
    REFUSED(valloc(huge));
    REFUSED(pvalloc(huge));
    REFUSED(memalign(64, huge));
#undef REFUSED
    if (posix_memalign(&p, 3, 100) != EINVAL || posix_memalign(&p, 64, huge) != ENOMEM)
        truth_fail("posix_memalign must refuse a bad alignment and a bad size");
}

/* --- the ledger ----------------------------------------------------------------------------- */

static void count_alloc(struct worker *w, struct block *b, enum site site, void *p, size_t n)
{
    if (!p)
        truth_fail("out of memory");
    *b = (struct block){.p = p, .bytes = n, .site = site, .counted = recording};
    if (malloc_usable_size(p) < n)
        truth_fail("malloc_usable_size is below what was asked for");
    if (!recording)
        return;
    w->count[site].calls++;
    w->count[site].bytes += n;
    if (thread_count == 1) {
        live_bytes += n;
        peak_bytes = live_bytes > peak_bytes ? live_bytes : peak_bytes;
    }
}

static void count_free(struct worker *w, const struct block *b)
{
    if (!b->counted)
        return;
    w->count[b->site].frees++;
    w->count[b->site].free_bytes += b->bytes;
    if (thread_count == 1)
        live_bytes -= b->bytes;
}

/* --- contents ------------------------------------------------------------------------------- */

/* Fills both ends; one block in eight up to its usable size, as some programs do. */
static void block_fill(struct block *b, uint64_t random)
{
    b->mark = (unsigned char)(random >> 8);
    size_t room = malloc_usable_size(b->p);
    if (random % 8 == 0 && room < 65536) {
        memset(b->p, b->mark, room);
    } else {
        size_t edge = b->bytes < EDGE ? b->bytes : EDGE;
        memset(b->p, b->mark, edge);
        memset(b->p + b->bytes - edge, b->mark, edge);
    }
}

static void edge_check(const struct block *b, const unsigned char *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (from[i] != b->mark)
            truth_fail("a block lost its contents");
}

static void block_check(const struct block *b)
{
    size_t edge = b->bytes < EDGE ? b->bytes : EDGE;
    edge_check(b, b->p, edge);
    edge_check(b, b->p + b->bytes - edge, edge);
}

/* --- steps ---------------------------------------------------------------------------------- */

static size_t random_bytes(struct worker *w)
{
    static const uint16_t edges[] = {0,    1,    7,    8,    9,    24,   25,   1032,
                                     4079, 4080, 4087, 4088, 4089, 4095, 4096, 4097};
    uint64_t r = truth_random(&w->random);
    switch (r % 16) {
    case 0:
        return edges[(r >> 8) % (sizeof edges / sizeof *edges)];
    case 1: /* rarely more, up to 64 MiB */
        if ((r >> 40) % 64 == 0)
            return (r >> 8) % (HUGE_BYTES + 1);
        return 65536 + (r >> 8) % (MAX_BYTES - 65536 + 1);
    default: /* every power of two up to 64 KiB is as likely as the next */
        return (r >> 16) % (1ull << ((r >> 8) % 16 + 1));
    }
}

static void block_new(struct worker *w, struct block *b)
{
    size_t n = random_bytes(w);
    uint64_t r = truth_random(&w->random);
    size_t alignment = 16ull << (r >> 8) % 9; /* 16 … 4096 */
    void *p;
    enum site site;
    switch (r % 10) {
    case 0:
        p = empty_malloc(), n = 0, site = AT_empty_malloc;
        break;
    case 1:
        p = array_calloc(n / 8, 8), n = n / 8 * 8, site = AT_array_calloc;
        for (size_t i = 0; i < n; i += n / 64 + 1)
            if (((unsigned char *)p)[i])
                truth_fail("calloc gave memory that is not zero");
        break;
    case 2:
        if (r >> 32 & 1)
            p = null_realloc(n), site = AT_null_realloc;
        else
            p = null_reallocarray(n / 4, 4), n = n / 4 * 4, site = AT_null_reallocarray;
        break;
    case 3:
        p = some_posix_memalign(alignment, n), site = AT_some_posix_memalign;
        break;
    case 4:
        p = some_aligned_alloc(alignment, n), site = AT_some_aligned_alloc;
        break;
    case 5:
        p = some_memalign(alignment, n), site = AT_some_memalign;
        break;
    case 6:
        alignment = 4096;
        if (r >> 32 & 1)
            p = page_valloc(n), site = AT_page_valloc;
        else
            p = page_pvalloc(n), site = AT_page_pvalloc;
        break;
    default:
        if (n < 4096)
            p = small_malloc(n), site = AT_small_malloc;
        else
            p = large_malloc(n), site = AT_large_malloc;
    }
    if (r % 10 >= 3 && r % 10 <= 6 && n > 0 && (uintptr_t)p % alignment)
        truth_fail("a block is not aligned as asked");
    count_alloc(w, b, site, p, n);
    block_fill(b, truth_random(&w->random));
}

static void block_free(struct worker *w, struct block *b)
{
    block_check(b);
    count_free(w, b);
    errno = 12345;
    if (sized_free && w->random & 1)
        sized_free(b->p, b->bytes); /* glibc has it from 2.43 on; the library always */
    else
        free(b->p);
    if (errno != 12345)
        truth_fail("free changed errno");
    b->p = NULL;
}

/* Resizes through the function of `site`. */
static void block_resize(struct worker *w, struct block *b, enum site site, size_t n)
{
    struct block old = *b;
    void *p;
    block_check(b);
    if (site == AT_grow_realloc)
        p = grow_realloc(old.p, n);
    else if (site == AT_shrink_realloc)
        p = shrink_realloc(old.p, n);
    else
        p = array_reallocarray(old.p, n / 8, 8);
    count_free(w, &old);
    count_alloc(w, b, site, p, n);
    size_t kept = old.bytes < n ? old.bytes : n;
    edge_check(&old, b->p, kept < EDGE ? kept : EDGE);
    if (n >= old.bytes && old.bytes >= EDGE)
        edge_check(&old, b->p + old.bytes - EDGE, EDGE);
    block_fill(b, truth_random(&w->random));
}

/* Puts the block where any thread may find it, and frees the one that stood there. */
static void block_hand_over(struct worker *w, struct block *b)
{
    struct block *place = &exchange[truth_random(&w->random) % EXCHANGE];
    pthread_mutex_lock(&exchange_lock);
    struct block found = *place;
    *place = *b;
    pthread_mutex_unlock(&exchange_lock);
    b->p = NULL;
    if (found.p)
        block_free(w, &found);
}

static void block_change(struct worker *w, struct block *b)
{
    uint64_t r = truth_random(&w->random);
    size_t more = b->bytes + b->bytes / 2 + 8;
    size_t most = b->bytes > MAX_BYTES ? HUGE_BYTES : MAX_BYTES;
    if (more > most)
        more = most;
    switch (r % 8) {
    case 0:
        if (more >= b->bytes) {
            block_resize(w, b, AT_grow_realloc, more);
            break;
        }
        __attribute__((fallthrough));
    case 1:
        if (b->bytes > 1) { /* realloc(p, 0) would be a free */
            block_resize(w, b, AT_shrink_realloc, b->bytes / 2);
            break;
        }
        __attribute__((fallthrough));
    case 2:
        block_resize(w, b, AT_array_reallocarray, more / 8 * 8);
        break;
    case 3:
    case 4:
        block_hand_over(w, b);
        break;
    case 5: /* realloc(p, 0) frees */
        block_check(b);
        count_free(w, b);
        b->p = r >> 32 & 1 ? grow_realloc(b->p, 0) : array_reallocarray(b->p, 7, 0);
        free(b->p); /* some allocators give a block, which is not counted */
        b->p = NULL;
        break;
    default:
        block_free(w, b);
    }
}

static void step(struct worker *w)
{
    struct block *b = &w->slot[truth_random(&w->random) % SLOTS];
    if (b->p)
        block_change(w, b);
    else
        block_new(w, b);
    if (w->steps % 16 == 0) {
        struct block brief;
        size_t n = 16 + w->steps % 4096;
        void *p = temporary_malloc(n);
        count_alloc(w, &brief, AT_temporary_malloc, p, n);
        count_free(w, &brief);
        free(p);
        free(NULL);
    }
    if (w->steps % 1024 == 0 && w->slot[0].p) {
        refused_calls(w->slot[0].p);
        block_check(&w->slot[0]);
    }
}

/* Blocks that exist before recording begins: freed, resized or kept while it runs. */
static void before_start(struct worker *w)
{
    for (unsigned i = 0; i < SLOTS / 2; i++) {
        size_t n = 24 + 1500 * i;
        count_alloc(w, &w->slot[i], AT_before_start_malloc, before_start_malloc(n), n);
        block_fill(&w->slot[i], truth_random(&w->random));
    }
}

static void after_stop(struct worker *w)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct block *b = &w->slot[i], old = *b;
        if (!b->p || i % 4 == 3)
            continue; /* stays live */
        if (i % 4 == 0) {
            count_free(w, &old);
            count_alloc(w, b, AT_after_stop_realloc, after_stop_realloc(old.p, old.bytes + 9),
                        old.bytes + 9);
            edge_check(&old, b->p, old.bytes < EDGE ? old.bytes : EDGE);
        } else {
            block_free(w, b);
            count_alloc(w, b, AT_after_stop_malloc, after_stop_malloc(100 + i), 100 + i);
        }
    }
}

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    before_start(w);
    pthread_barrier_wait(&barrier); /* main starts the recording */
    pthread_barrier_wait(&barrier);
    for (; w->steps; w->steps--)
        step(w);
    pthread_barrier_wait(&barrier); /* main stops the recording */
    pthread_barrier_wait(&barrier);
    after_stop(w);
    return NULL;
}

static void print_truth(void)
{
    struct count total = {0};
    truth_put("{\"threads\":%u,\"present\":%d,\"file\":\"alloc_truth.c\",\"peak_bytes\":%llu,\n"
              "\"sites\":[",
              thread_count, perfshim_present(), (unsigned long long)peak_bytes);
    for (unsigned s = 0; s < SITE_COUNT; s++) {
        struct count sum = {0};
        for (unsigned i = 0; i < thread_count; i++) {
            sum.calls += workers[i].count[s].calls;
            sum.bytes += workers[i].count[s].bytes;
            sum.frees += workers[i].count[s].frees;
            sum.free_bytes += workers[i].count[s].free_bytes;
        }
        total.calls += sum.calls;
        total.bytes += sum.bytes;
        total.frees += sum.frees;
        total.free_bytes += sum.free_bytes;
        truth_put("%s\n {\"function\":\"%s\",\"line\":%u,\"calls\":%llu,\"bytes\":%llu,"
                  "\"frees\":%llu,\"free_bytes\":%llu}",
                  s ? "," : "", site_names[s], lines[s], (unsigned long long)sum.calls,
                  (unsigned long long)sum.bytes, (unsigned long long)sum.frees,
                  (unsigned long long)sum.free_bytes);
    }
    truth_put("],\n\"total\":{\"calls\":%llu,\"bytes\":%llu,\"frees\":%llu,\"free_bytes\":%llu}}\n",
              (unsigned long long)total.calls, (unsigned long long)total.bytes,
              (unsigned long long)total.frees, (unsigned long long)total.free_bytes);
    truth_flush();
}

int main(int argc, char **argv)
{
    thread_count = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
    if (!thread_count || thread_count > MAX_THREADS) {
        fprintf(stderr, "usage: alloc_truth [THREADS [STEPS]]\n");
        return 2;
    }
#ifdef ALLOC_TRUTH_BARE
    recording = 1;
#endif
    sized_free = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    pthread_barrier_init(&barrier, NULL, thread_count + 1);
    for (unsigned i = 0; i < thread_count; i++) {
        workers[i].random = 88172645463325252ull + 7919 * i;
        workers[i].steps = steps;
        if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]))
            truth_fail("no thread");
    }
    pthread_barrier_wait(&barrier);
    recording = 1;
    perfshim_start();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    perfshim_stop();
#ifndef ALLOC_TRUTH_BARE
    recording = 0;
#endif
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < thread_count; i++)
        pthread_join(workers[i].thread, NULL);
    print_truth();
    return 0;
}
