/*
 * perfshim.h — what a program may say to the profiler it may be running under.
 *
 * Purpose: start and stop recording, and count progress ("one request done"), so that a report can
 * give costs per operation; name regions of the program, and its own pools. Header only: nothing to
 * link. Without libperfshim.so in LD_PRELOAD each call is one load and one branch; an older library
 * does not know the later calls, which then do nothing.
 *
 * Thread safety: every function may be called from any thread. Not from signal handlers before the
 * first call has returned once (the first call looks a symbol up with dlsym).
 * Names: a string that lives as long as the process (a literal); it is identified by its address
 * first, by its text second. At most 4096 of them, and 255 characters. In a forked child nothing is
 * recorded.
 *
 * The calls go through pointers that dlsym fills at first use, since weak symbols vanish in
 * programs linked with -no-pie.
 */
#ifndef PERFSHIM_H
#define PERFSHIM_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct perfshim_api { /* filled by the library; size first, so that it can grow */
    uint32_t size;
    uint32_t version;
    void (*start)(void);
    void (*stop)(void);
    void (*progress)(const char *name, uint64_t n);
    void (*region_begin)(const char *name);
    void (*region_end)(const char *name);
    void (*pool_add)(const char *name, uint64_t gets, uint64_t puts);
    int (*allocations)(uint64_t *calls, uint64_t *bytes);
};

/* The library's table, or a static empty one. Never NULL. */
static inline const struct perfshim_api *perfshim_api_get(void)
{
    static const struct perfshim_api none = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const struct perfshim_api *cached;
    const struct perfshim_api *api = __atomic_load_n(&cached, __ATOMIC_ACQUIRE);
    if (__builtin_expect(!api, 0)) {
        /* (void *)0 is RTLD_DEFAULT; that macro needs _GNU_SOURCE, which is the includer's choice
         */
        api = (const struct perfshim_api *)dlsym((void *)0, "perfshim_api_v1");
        if (!api)
            api = &none;
        __atomic_store_n(&cached, api, __ATOMIC_RELEASE);
    }
    return api;
}

/* Begin recording (after PERFSHIM_START=0, or after perfshim_stop). */
static inline void perfshim_start(void)
{
    const struct perfshim_api *api = perfshim_api_get();
    if (api->start)
        api->start();
}

/* Pause recording. Frees of blocks recorded before still count. */
static inline void perfshim_stop(void)
{
    const struct perfshim_api *api = perfshim_api_get();
    if (api->stop)
        api->stop();
}

/* `n` units of the work called `name` are done. */
static inline void perfshim_progress_add(const char *name, uint64_t n)
{
    const struct perfshim_api *api = perfshim_api_get();
    if (__builtin_expect(api->progress != 0, 0))
        api->progress(name, n);
}

/* One unit of the work called `name` is done. */
static inline void perfshim_progress(const char *name)
{
    perfshim_progress_add(name, 1);
}

/* The library's table is long enough to have it. */
#define PERFSHIM_HAS(api, member)                                                                  \
    (__builtin_expect((api)->size >= offsetof(struct perfshim_api, member) + sizeof(void *), 0) && \
     (api)->member)

/*
 * A part of the program that is told by its name: how often it ran, how long, with how much CPU
 * time, allocations and lock waits, in this thread. It ends in the thread that began it, with the
 * same name. Regions may lie within each other, up to 16 at once, and count what is within them. A
 * region that is left without an end (by longjmp, an exception) is dropped when one around it ends.
 */
static inline void perfshim_region_begin(const char *name)
{
    const struct perfshim_api *api = perfshim_api_get();
    if (PERFSHIM_HAS(api, region_begin))
        api->region_begin(name);
}

static inline void perfshim_region_end(const char *name)
{
    const struct perfshim_api *api = perfshim_api_get();
    if (PERFSHIM_HAS(api, region_end))
        api->region_end(name);
}

/*
 * Objects were taken out of the program's pool of that name and put back, by any thread: what a
 * pool serves does not reach malloc, and is shown beside it. A pool that counts by itself tells now
 * and then, instead of at each object.
 */
static inline void perfshim_pool_add(const char *name, uint64_t gets, uint64_t puts)
{
    const struct perfshim_api *api = perfshim_api_get();
    if (PERFSHIM_HAS(api, pool_add))
        api->pool_add(name, gets, puts);
}

/* One object. */
static inline void perfshim_pool_get(const char *name)
{
    perfshim_pool_add(name, 1, 0);
}

static inline void perfshim_pool_put(const char *name)
{
    perfshim_pool_add(name, 0, 1);
}

/*
 * What the whole process has allocated while recorded: calls, and bytes asked for; of sampled
 * allocations an estimate. 1, or 0 if allocations are not recorded: then both are 0. It reads
 * through all that is recorded, some microseconds: for a line a second, not for each operation.
 */
static inline int perfshim_allocations(uint64_t *calls, uint64_t *bytes)
{
    const struct perfshim_api *api = perfshim_api_get();
    *calls = *bytes = 0;
    return PERFSHIM_HAS(api, allocations) ? api->allocations(calls, bytes) : 0;
}

/* 1 if the library is loaded into this process, else 0. */
static inline int perfshim_present(void)
{
    return perfshim_api_get()->size != 0;
}

#ifdef __cplusplus
}
#endif
#endif
