/*
 * Profiles written by hand, for tests of the reader and of what stands on it: records by
 * profile/create.c, filled as the shim would. Include once; needs profile/create.c linked in.
 * Not thread-safe. Anything that fails here ends the test program: a fixture has no excuse.
 */
#ifndef PERFSHIM_TESTS_UNIT_PROFILE_FIXTURE_H
#define PERFSHIM_TESTS_UNIT_PROFILE_FIXTURE_H

#include <elf.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profile/profile.h"

#define FIXTURE_TICK_NS 5000000u
#define FIXTURE_START   1000000000u /* start_monotonic_ns */

struct fixture {
    struct profile profile;
    struct pshim_header *h;
};

static inline void fixture_must(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "fixture: %s\n", what);
        exit(99);
    }
}

static inline uint32_t fixture_allot(struct fixture *f, enum pshim_region_id region)
{
    uint32_t index;
    fixture_must(profile_allot(&f->profile, region, 1, &index) == PROFILE_OK, "allot");
    return index;
}

static inline uint32_t fixture_string(struct fixture *f, const char *s)
{
    return profile_string_add(&f->profile, s, 4096);
}

/* Where this process's profile of that name goes: PATH_MAX bytes at `path`. */
static inline void fixture_path(char *path, const char *name)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, PATH_MAX, "%s/%s-%d.pshim", tmp ? tmp : "/tmp", name, (int)getpid());
}

/* A complete profile of a program that ran 10 s and exited 0: exact allocations, 200 Hz. */
static inline void fixture_open(struct fixture *f, const char *path, uint64_t bytes)
{
    int os_error;
    unlink(path);
    fixture_must(profile_create(path, bytes, &f->profile, &os_error) == PROFILE_OK, "create");
    f->h = f->profile.header;
    f->h->pid = 4127;
    f->h->cpus = 2;
    f->h->start_ticks = 1;
    f->h->start_realtime_ns = 1700000000000000000u;
    f->h->start_monotonic_ns = FIXTURE_START;
    f->h->end_monotonic_ns = FIXTURE_START + 10000000000u;
    f->h->end = PSHIM_END_EXIT;
    f->h->exe = fixture_string(f, "/opt/store/store_bench");
    f->h->alloc_mode = PSHIM_ALLOC_EXACT;
    f->h->locks_mode = f->h->io_mode = PSHIM_ABSENT;
    f->h->cpu_hz = 200;
    f->h->tick_period_ns = FIXTURE_TICK_NS;
    f->h->peak_epoch = 1;
    f->h->recording = 1;
    f->h->ready = 1;
}

static inline void fixture_close(struct fixture *f)
{
    profile_close(&f->profile);
}

/* words: argv as one string, "a\0b\0c", of `count` parts. */
static inline void fixture_argv(struct fixture *f, const char *words, uint32_t count)
{
    const char *at = words;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ref = fixture_string(f, at);
        if (i == 0)
            f->h->argv = ref;
        at += strlen(at) + 1;
    }
    f->h->argc = count;
}

static inline uint32_t fixture_module(struct fixture *f, const char *path, uint32_t flags)
{
    uint32_t id = fixture_allot(f, PSHIM_REGION_MODULE);
    struct pshim_module *m = profile_record(&f->profile, PSHIM_REGION_MODULE, id);
    m->path = fixture_string(f, path);
    m->flags = flags;
    m->published = 1;
    return id;
}

static inline int fixture_self_note(struct dl_phdr_info *info, size_t size, void *context)
{
    struct pshim_module *m = context;
    (void)size;
    m->bias = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_NOTE)
            continue;
        const char *at = (const char *)info->dlpi_addr + p->p_vaddr, *end = at + p->p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *n = (const void *)at;
            const char *id = at + sizeof *n + ((n->n_namesz + 3u) & ~3u);
            if (n->n_type == NT_GNU_BUILD_ID && n->n_descsz <= PSHIM_BUILD_ID_MAX) {
                memcpy(m->build_id, id, n->n_descsz);
                m->build_id_bytes = n->n_descsz;
            }
            at = id + ((n->n_descsz + 3u) & ~3u);
        }
    }
    return 1; /* the first one is the program */
}

/* The running test program itself, with its build-id: its code can be named for real. */
static inline uint32_t fixture_own_module(struct fixture *f)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    fixture_must(n > 0, "/proc/self/exe");
    path[n] = '\0';
    uint32_t id = fixture_module(f, path, PSHIM_MODULE_EXE);
    dl_iterate_phdr(fixture_self_note, profile_record(&f->profile, PSHIM_REGION_MODULE, id));
    return id;
}

static inline uint32_t fixture_node(struct fixture *f, uint32_t parent, uint32_t module,
                                    uint64_t offset)
{
    uint32_t id = fixture_allot(f, PSHIM_REGION_NODE);
    struct pshim_node *n = profile_record(&f->profile, PSHIM_REGION_NODE, id);
    *n = (struct pshim_node){parent, module, offset};
    return id;
}

/* A node inside a function of the test program: `function` is its address. */
static inline uint32_t fixture_call(struct fixture *f, uint32_t parent, uint32_t module,
                                    void (*function)(void))
{
    const struct pshim_module *m = profile_record(&f->profile, PSHIM_REGION_MODULE, module);
    return fixture_node(f, parent, module, (uintptr_t)function - m->bias);
}

static inline struct pshim_account *fixture_account(struct fixture *f, uint32_t node,
                                                    uint16_t recorder, enum pshim_kind kind)
{
    uint32_t id = fixture_allot(f, PSHIM_REGION_ACCOUNT);
    struct pshim_account *a = profile_record(&f->profile, PSHIM_REGION_ACCOUNT, id);
    a->node = node;
    a->recorder = recorder;
    a->kind = (uint16_t)kind;
    return a;
}

static inline struct pshim_account *fixture_alloc(struct fixture *f, uint32_t node, uint64_t calls,
                                                  uint64_t bytes, uint64_t frees,
                                                  uint64_t free_bytes)
{
    struct pshim_account *a = fixture_account(f, node, 1, PSHIM_KIND_ALLOC);
    a->counter[PSHIM_ALLOC_CALLS] = calls;
    a->counter[PSHIM_ALLOC_BYTES] = bytes;
    a->counter[PSHIM_ALLOC_FREE_CALLS] = frees;
    a->counter[PSHIM_ALLOC_FREE_BYTES] = free_bytes;
    return a;
}

static inline struct pshim_account *fixture_cpu(struct fixture *f, uint32_t node, uint64_t ticks)
{
    struct pshim_account *a = fixture_account(f, node, 1, PSHIM_KIND_CPU);
    a->counter[PSHIM_CPU_TICKS] = ticks;
    return a;
}

/* What is rarer of a stack: counters by enum pshim_site_counter. */
static inline struct pshim_account *fixture_site(struct fixture *f, uint32_t node)
{
    return fixture_account(f, node, 1, PSHIM_KIND_SITE);
}

/* Sizes and lifetimes of the blocks of a stack; node 0: of all that found no room (record 0). */
static inline struct pshim_histogram *fixture_histogram(struct fixture *f, uint32_t node)
{
    const struct pshim_region *r = profile_region(&f->profile, PSHIM_REGION_HISTOGRAM);
    uint32_t id = node == 0 && r->used ? 0 : fixture_allot(f, PSHIM_REGION_HISTOGRAM);
    if (id == 0 && node)
        id = fixture_allot(f, PSHIM_REGION_HISTOGRAM);
    struct pshim_histogram *h = profile_record(&f->profile, PSHIM_REGION_HISTOGRAM, id);
    h->node = node;
    return h;
}

/* `count` blocks of `size` bytes were asked for. */
static inline void fixture_asked(struct pshim_histogram *h, uint64_t size, uint32_t count)
{
    bool known = false;
    for (uint32_t i = 0; i < h->size_count && i < PSHIM_SIZES; i++)
        known = known || h->size[i] == size;
    if (!known && h->size_count < PSHIM_SIZES)
        h->size[h->size_count] = size;
    if (!known && h->size_count <= PSHIM_SIZES)
        h->size_count++;
    if (size > h->size_max)
        h->size_max = size;
    h->asked[pshim_bucket(size)] += count;
    h->asked_count += count;
}

/* `count` of them were freed after `ns`: the fixture's clock is the ns. */
static inline void fixture_lived(struct pshim_histogram *h, uint64_t ns, uint32_t count)
{
    h->lived[pshim_bucket(ns >> PSHIM_LIFE_SHIFT)] += count;
    h->lived_count += count;
}

/* Waits for a lock and holds of it, each of so many ns, at the node of its account. */
static inline void fixture_waited(struct pshim_histogram *h, uint64_t ns, uint32_t count)
{
    h->waited[pshim_bucket(ns >> PSHIM_LOCK_TIME_SHIFT)] += count;
    h->waited_count += count;
}
static inline void fixture_kept(struct pshim_histogram *h, uint64_t ns, uint32_t count)
{
    h->held[pshim_bucket(ns >> PSHIM_LOCK_TIME_SHIFT)] += count;
    h->held_count += count;
}

/* A mutex at an address; its accounts hang below node_special(…, PSHIM_SPECIAL_LOCK + index). */
static inline uint32_t fixture_lock(struct fixture *f, uint64_t address, uint32_t site_node,
                                    bool initialised)
{
    uint32_t id = fixture_allot(f, PSHIM_REGION_LOCK);
    struct pshim_lock *l = profile_record(&f->profile, PSHIM_REGION_LOCK, id);
    l->address = address;
    l->site_node = site_node;
    l->initialised = initialised;
    l->kind = PSHIM_LOCK_MUTEX;
    f->h->locks_mode = PSHIM_ON;
    return id;
}

static inline uint32_t fixture_special(struct fixture *f, uint32_t parent, uint64_t what)
{
    return fixture_node(f, parent, PSHIM_MODULE_SPECIAL, what);
}

/* `taken` times by pthread_mutex_lock at a stack. Times in ns: the fixture's clock is the ns. */
static inline struct pshim_account *fixture_taken(struct fixture *f, uint32_t stack, uint32_t lock,
                                                  uint64_t taken, uint64_t contended,
                                                  uint64_t wait_ns, uint64_t hold_ns)
{
    uint32_t call = fixture_special(f, stack, PSHIM_SPECIAL_CALL + PSHIM_CALL_MUTEX_LOCK);
    struct pshim_account *a =
        fixture_account(f, fixture_special(f, call, PSHIM_SPECIAL_LOCK + lock), 1, PSHIM_KIND_LOCK);
    a->counter[PSHIM_LOCK_ACQUISITIONS] = taken;
    a->counter[PSHIM_LOCK_CONTENTIONS] = contended;
    a->counter[PSHIM_LOCK_WAIT] = wait_ns;
    a->counter[PSHIM_LOCK_WAIT_MAX] = contended ? wait_ns / contended * 2 : 0;
    a->counter[PSHIM_LOCK_HOLD] = hold_ns;
    a->counter[PSHIM_LOCK_HOLD_MAX] = taken ? hold_ns / taken * 2 : 0;
    return a;
}

/* The stack that gave a lock back made the waiter at this call's node wait. */
static inline struct pshim_account *fixture_blame(struct fixture *f, uint32_t stack, uint32_t lock,
                                                  uint32_t waiter, uint64_t waits, uint64_t wait_ns)
{
    uint32_t node = fixture_special(f, stack, PSHIM_SPECIAL_LOCK + lock);
    node = fixture_special(f, node, PSHIM_SPECIAL_WAITER + (uint64_t)waiter);
    struct pshim_account *a = fixture_account(f, node, 1, PSHIM_KIND_BLAME);
    a->counter[PSHIM_BLAME_WAITS] = waits;
    a->counter[PSHIM_BLAME_TIME] = wait_ns;
    a->counter[PSHIM_BLAME_TIME_MAX] = waits ? wait_ns / waits * 2 : 0;
    return a;
}

/* CPU ticks in the waits of what fixture_taken() or a call that waits was booked on; they are
 * counted as CPU time too. */
static inline void fixture_wait_ticks(struct fixture *f, uint32_t node, uint64_t ticks)
{
    fixture_account(f, node, 1, PSHIM_KIND_WAIT)->counter[PSHIM_WAIT_TICKS] = ticks;
}

/* CPU ticks at a stack while a lock was held; they are counted as CPU time too. */
static inline void fixture_held(struct fixture *f, uint32_t stack, uint32_t lock, uint64_t ticks)
{
    uint32_t node = fixture_special(f, stack, PSHIM_SPECIAL_LOCK + lock);
    fixture_account(f, node, 1, PSHIM_KIND_HELD)->counter[0] = ticks;
    fixture_cpu(f, stack, ticks);
}

/* The moment that holds a time since the start, made with those before it. */
static inline struct pshim_moment *fixture_moment(struct fixture *f, uint64_t elapsed_ns)
{
    uint32_t slot = pshim_moment_slot(elapsed_ns);
    while (f->h->regions[PSHIM_REGION_MOMENT].used <= slot)
        fixture_allot(f, PSHIM_REGION_MOMENT);
    return profile_record(&f->profile, PSHIM_REGION_MOMENT, slot);
}

static inline void fixture_progress(struct fixture *f, const char *name, uint64_t count)
{
    uint32_t id = fixture_allot(f, PSHIM_REGION_PROGRESS);
    struct pshim_progress *p = profile_record(&f->profile, PSHIM_REGION_PROGRESS, id);
    p->name = fixture_string(f, name);
    fixture_account(f, id, 1, PSHIM_KIND_PROGRESS)->counter[0] = count;
}

static inline struct pshim_thread *fixture_thread(struct fixture *f, uint32_t tid, const char *name,
                                                  uint64_t wall_ns, uint64_t cpu_ns)
{
    uint32_t id = fixture_allot(f, PSHIM_REGION_THREAD);
    struct pshim_thread *t = profile_record(&f->profile, PSHIM_REGION_THREAD, id);
    t->tid = tid;
    size_t n = strlen(name); /* 16 letters leave no room for the end: as damage would */
    memcpy(t->name, name, n < sizeof t->name ? n : sizeof t->name);
    t->start_monotonic_ns = FIXTURE_START;
    t->end_monotonic_ns = FIXTURE_START + wall_ns;
    t->cpu_ns = cpu_ns;
    t->state = PSHIM_THREAD_ENDED;
    return t;
}

/* What it waited for, the fixture's clock being the ns, and how long it had no CPU. */
static inline void fixture_waits(struct pshim_thread *t, uint64_t lock_ns, uint64_t idle_ns,
                                 uint64_t run_delay_ns)
{
    t->wait[PSHIM_WAIT_LOCK] = lock_ns;
    t->wait[PSHIM_WAIT_IDLE] = idle_ns;
    t->run_delay_ns = run_delay_ns + 1;
}

#endif
