/* build: profile/create.c profile/open.c profile/error.c */
/*
 * Writes profiles with known contents, for golden tests of the screens:
 *
 *   make_profile CASE FILE
 *
 * Its own functions stand in the stacks under the names, files and lines of a store that does not
 * exist, so that a screen is the same on every machine.
 */
#include <stdbool.h>

#include "tests/unit/profile_fixture.h"

/* At the end of this file, since #line holds for the rest of it. */
static void start_thread_like(void), worker(void), store_put(void), store_get(void);
static void memtable_insert(void), memtable_find(void), wal_append(void), xalloc(void);
static void pool_get(void), pool_grow(void);

static struct fixture f;
static uint32_t module;

static uint32_t call(uint32_t parent, void (*function)(void))
{
    return fixture_call(&f, parent, module, function);
}

static struct pshim_account *alloc(uint32_t node, uint64_t calls, uint64_t each, uint64_t live)
{
    struct pshim_account *a =
        fixture_alloc(&f, node, calls, calls * each, calls - live, (calls - live) * each);
    a->counter[PSHIM_ALLOC_PEAK_EPOCH] = f.h->peak_epoch;
    a->counter[PSHIM_ALLOC_PEAK_SAVED] = (live ? 2 * live : calls / 100) * each;
    return a;
}

/* Ten seconds: it is filled for two, works for six, stops recording for one, and ends. */
static void timeline(bool pool)
{
    enum { per_second = 100, fill = 2 * per_second, stop = 8 * per_second, end = 10 * per_second };
    for (uint64_t i = 0; i < end; i++) {
        struct pshim_moment *at = fixture_moment(&f, i * PSHIM_MOMENT_NS);
        if (i >= stop && i < stop + per_second)
            continue;
        at->touched = 1;
        at->live_bytes = (i < fill ? i : fill) * 20000 + i % 7 * 1000;
        at->live_max = at->live_bytes + (i == fill ? 200000 : 500);
        if (i >= stop)
            continue;
        at->ticks += i < fill ? 2 : 4;
        at->allocs += pool ? 0 : i < fill ? 9000 : 4500;
        at->alloc_bytes += pool ? 0 : 500000;
    }
    fixture_moment(&f, stop * (uint64_t)PSHIM_MOMENT_NS - 1)->recording =
        PSHIM_MOMENT_PART | PSHIM_MOMENT_OFF;
    fixture_moment(&f, (stop + per_second) * (uint64_t)PSHIM_MOMENT_NS)->recording =
        PSHIM_MOMENT_PART | PSHIM_MOMENT_ON;
}

/* Two workers of a store: 3 million operations, with or without its pool. */
static struct pshim_thread *threads[3];

static void store(bool pool)
{
    if (pool)
        fixture_argv(&f, "build/store_bench\0--threads=2\0--pool=on", 3);
    else
        fixture_argv(&f, "build/store_bench\0--threads=2\0--pool=off", 3);
    uint32_t root = call(call(0, start_thread_like), worker);
    uint32_t put = call(root, store_put), get = call(root, store_get);
    uint32_t insert = call(put, memtable_insert);
    fixture_cpu(&f, call(get, memtable_find), 900);
    fixture_cpu(&f, call(put, wal_append), 200);
    fixture_cpu(&f, insert, pool ? 410 : 450);
    fixture_cpu(&f, put, 150);
    if (pool) {
        fixture_cpu(&f, call(insert, pool_get), 60);
        fixture_cpu(&f, call(get, pool_get), 40);
        alloc(call(call(insert, pool_get), pool_grow), 3000, 4096, 2);
    } else {
        fixture_cpu(&f, call(insert, xalloc), 500);
        fixture_cpu(&f, call(get, xalloc), 300);
        fixture_cpu(
            &f,
            fixture_node(&f, call(insert, xalloc), PSHIM_MODULE_SPECIAL, PSHIM_SPECIAL_PROFILER),
            100);
        alloc(call(insert, xalloc), 3000000, 80, 3)->counter[PSHIM_ALLOC_TEMPORARY] = 0;
        alloc(call(get, xalloc), 1500000, 100, 0)->counter[PSHIM_ALLOC_TEMPORARY] = 1499000;
    }
    alloc(put, 12, 64, 1);
    fixture_progress(&f, "op", 3000000);
    threads[0] = fixture_thread(&f, 4127, "store_bench", 10000000000u, 20000000);
    threads[1] = fixture_thread(&f, 4128, "worker", 9900000000u, 6500000000u);
    threads[2] = fixture_thread(&f, 4129, "worker", 9900000000u, 6480000000u);
    f.h->peak_bytes = pool ? 12500000 : 4200000;
    f.h->live_bound_bytes = 8192;
    f.h->peak_monotonic_ns = FIXTURE_START + 2500000000u;
    f.h->max_rss_bytes = 31000000;
    timeline(pool);
}

/* A program that names itself and its arguments with what a terminal would obey. */
static void hostile_names(void)
{
    f.h->exe = fixture_string(&f, "/tmp/\033[2Jevil\n");
    fixture_argv(&f, "evil\0\033]0;title\007\0caf\xc3\xa9", 3);
    uint32_t gone = fixture_module(&f, "/nowhere/lib\033[31mred.so", 0);
    fixture_cpu(&f, fixture_node(&f, 0, gone, 0x1234), 10);
    f.h->notes[0] = fixture_string(&f, "PERFSHIM_CPU_HZ=\033[1m: not understood");
    f.h->losses[PSHIM_LOSS_stack_depth] = 12;
    f.h->losses[PSHIM_LOSS_histogram_table_full] = 847000; /* the longest text */
    f.h->end = PSHIM_END_SIGNAL;
    f.h->status = 9;
    f.h->alloc_mode = PSHIM_ALLOC_OFF;
}

/* Allocations alone, of a program that tells no progress, and does not end well. */
static void allocations_only(void)
{
    fixture_argv(&f, "leaky\0--once", 2);
    uint32_t top = call(0, worker);
    alloc(call(top, store_put), 700, 10, 40);
    alloc(call(top, store_get), 300, 1000, 3);
    f.h->cpu_hz = 0;
    f.h->end = PSHIM_END_EXIT;
    f.h->status = 3;
    f.h->peak_bytes = 9000;
}

/* Most waits and holds took about so long, a few in a hundred twice that. */
static void lock_times(uint32_t node, uint32_t waits, uint64_t wait_ns, uint32_t holds,
                       uint64_t hold_ns)
{
    struct pshim_histogram *h = fixture_histogram(&f, node);
    fixture_waited(h, wait_ns, waits - waits / 50);
    fixture_waited(h, 2 * wait_ns, waits / 50);
    fixture_kept(h, hold_ns, holds - holds / 50);
    fixture_kept(h, 2 * hold_ns, holds / 50);
}

/* A store whose writers wait for one mutex of its log, and whose shards have mutexes on the heap.
 */
static void locks(bool waits_only)
{
    static char wal_mutex[40], unused[40];
    struct pshim_module *own = profile_record(&f.profile, PSHIM_REGION_MODULE, module);
    uintptr_t a = (uintptr_t)wal_mutex, b = (uintptr_t)unused;
    own->start = a < b ? a : b;
    own->end = own->start + 4096;
    store(false);
    uint32_t root = call(call(0, start_thread_like), worker);
    uint32_t append = call(call(root, store_put), wal_append), get = call(root, store_get);
    fixture_lock(&f, 0, 0, false); /* record 0 stands for those without room */
    uint32_t log = fixture_lock(&f, a, call(0, worker), true);
    uint32_t logged =
        fixture_taken(&f, append, log, 1500000, 420000, 3100000000u, 4700000000u)->node;
    fixture_wait_ticks(&f, logged, 60);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t shard = fixture_lock(&f, 0x1000 + 64 * i, call(root, store_get), true);
        uint32_t taken =
            fixture_taken(&f, get, shard, 375000, 100 * i, 2000000 * i, 90000000)->node;
        if (!waits_only)
            lock_times(taken, 100 * i, 20000, 375000, 240);
    }
    fixture_waits(threads[0], 0, 9900000000u, 30000000);
    fixture_waits(threads[1], 1556000000, 300000000, 1000000000);
    fixture_waits(threads[2], 1556000000, 350000000, 1000000000);
    threads[1]->wait_ticks[PSHIM_WAIT_LOCK] = 60;
    fixture_held(&f, call(append, xalloc), log, 700);
    fixture_held(&f, append, log, 120);
    uint32_t waited = fixture_special(&f, append, PSHIM_SPECIAL_CALL + PSHIM_CALL_MUTEX_LOCK);
    fixture_blame(&f, append, log, waited, 405000, 2500000000u);
    fixture_blame(&f, call(root, store_put), log, waited, 15000, 300000000);
    f.h->lock_histograms = !waits_only; /* the other is as an earlier writer left it */
    if (waits_only)
        f.h->locks_mode = PSHIM_WAIT;
    else
        lock_times(logged, 420000, 7400, 1500000, 3100);
}

/* One site of --view=lifetime, sizes and pool: calls, of which some live, and what is rarer. */
struct site_like {
    uint64_t calls, each, live;
    uint64_t temporary, cross, grown, moved;
    uint64_t pair_ns; /* in malloc and free */
};

static struct pshim_histogram *site_like(uint32_t node, const struct site_like *like)
{
    alloc(node, like->calls, like->each, like->live)->counter[PSHIM_ALLOC_TEMPORARY] =
        like->temporary;
    struct pshim_account *a = fixture_site(&f, node);
    a->counter[PSHIM_SITE_CROSS_FREES] = like->cross;
    a->counter[PSHIM_SITE_GROWN] = like->grown;
    a->counter[PSHIM_SITE_MOVED_BYTES] = like->moved;
    a->counter[PSHIM_SITE_ALLOC_TIME] = like->calls * like->pair_ns * 2 / 3;
    a->counter[PSHIM_SITE_FREE_TIME] = like->calls * like->pair_ns / 3;
    a->counter[PSHIM_SITE_TIMED] = like->calls / 32;
    return fixture_histogram(&f, node);
}

/* Sites of every kind that the views of sites tell apart. */
static void lives(void)
{
    fixture_argv(&f, "build/store_bench\0--threads=2", 2);
    uint32_t root = call(call(0, start_thread_like), worker), put = call(root, store_put);
    struct pshim_histogram *h;
    /* A copy that the caller frees next. */
    h = site_like(
        call(root, store_get),
        &(struct site_like){.calls = 3000000, .each = 100, .temporary = 2999999, .pair_ns = 31});
    fixture_asked(h, 100, 3000000);
    fixture_lived(h, 700, 2900000);
    fixture_lived(h, 30000, 100000);
    /* Entries, which either thread puts in the place of the other's. */
    h = site_like(call(put, memtable_insert),
                  &(struct site_like){
                      .calls = 1600000, .each = 64, .live = 60000, .cross = 770000, .pair_ns = 90});
    fixture_asked(h, 48, 800000);
    fixture_asked(h, 80, 800000);
    fixture_lived(h, 40000000, 300000);
    fixture_lived(h, 400000000, 1000000);
    fixture_lived(h, 1500000000, 240000);
    /* Records of nearly one size, freed where they were allocated. */
    h = site_like(call(put, wal_append),
                  &(struct site_like){.calls = 900000, .each = 150, .pair_ns = 45});
    for (uint64_t size = 120; size < 190; size += 10)
        fixture_asked(h, size, 128571);
    fixture_lived(h, 9000, 900000);
    /* A text that grows by 100 bytes a time. */
    h = site_like(
        call(root, xalloc),
        &(struct site_like){
            .calls = 260000, .each = 700, .grown = 240000, .moved = 90000000, .pair_ns = 120});
    for (uint64_t size = 100; size <= 1300; size += 100)
        fixture_asked(h, size, 20000);
    fixture_lived(h, 2000, 260000);
    /* Anything at all. */
    h = site_like(call(root, pool_grow),
                  &(struct site_like){.calls = 130000, .each = 4300, .pair_ns = 200});
    for (uint64_t size = 17; size < 100000; size *= 3)
        fixture_asked(h, size, 16250);
    fixture_lived(h, 500000, 130000);
    /* What stays. */
    h = site_like(put, &(struct site_like){.calls = 200000, .each = 40, .live = 190000});
    fixture_asked(h, 40, 200000);
    fixture_lived(h, 5000000, 10000);
    /* Rare, and nothing known of it. */
    alloc(call(root, pool_get), 12, 64, 1);
    fixture_progress(&f, "op", 3000000);
    fixture_thread(&f, 4128, "worker", 9900000000u, 6500000000u);
    fixture_thread(&f, 4129, "worker", 9900000000u, 6480000000u);
    fixture_cpu(&f, call(root, store_get), 1900);
    f.h->peak_bytes = 21000000;
    f.h->live_bound_bytes = 8192;
}

/* A profile of one mode's figures alone says why it has no lifetimes. */
static void without_lives(bool sampled)
{
    fixture_argv(&f, "build/store_bench", 1);
    alloc(call(0, store_put), 700, 10, 40)->counter[PSHIM_ALLOC_TEMPORARY] = 100;
    f.h->alloc_mode = sampled ? PSHIM_ALLOC_SAMPLED : PSHIM_ALLOC_EXACT;
    f.h->alloc_sample_bytes = sampled ? 524288 : 0;
    if (!sampled)
        f.h->region_count = PSHIM_REGION_LOCK + 1;
}

static void nothing_at_all(void)
{
    fixture_argv(&f, "true", 1);
    f.h->end_monotonic_ns = f.h->start_monotonic_ns + 1000000;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    fixture_open(&f, argv[2], 4 << 20);
    module = fixture_own_module(&f);
    const char *what = argv[1];
    if (strcmp(what, "off") == 0 || strcmp(what, "on") == 0)
        store(what[1] == 'n');
    else if (strcmp(what, "locks") == 0 || strcmp(what, "waits") == 0)
        locks(what[0] == 'w');
    else if (strcmp(what, "hostile") == 0)
        hostile_names();
    else if (strcmp(what, "allocations") == 0)
        allocations_only();
    else if (strcmp(what, "lives") == 0)
        lives();
    else if (strcmp(what, "sampled") == 0 || strcmp(what, "old") == 0)
        without_lives(what[0] == 's');
    else if (strcmp(what, "nothing") == 0)
        nothing_at_all();
    else
        return 2;
    fixture_close(&f);
    return 0;
}

/* clang-format off */
#define CODE(name) __attribute__((noinline)) static void name(void) { __asm__ volatile("" ::: "memory"); }
#line 40 "worker.c"
CODE(start_thread_like)
#line 55 "worker.c"
CODE(worker)
#line 170 "store.c"
CODE(store_get)
#line 212 "store.c"
CODE(store_put)
#line 54 "memtable.c"
CODE(memtable_find)
#line 91 "memtable.c"
CODE(memtable_insert)
#line 88 "wal.c"
CODE(wal_append)
#line 12 "xalloc.c"
CODE(xalloc)
#line 30 "pool.c"
CODE(pool_get)
#line 61 "pool.c"
CODE(pool_grow)
