/*
 * Settings from the environment (docs/contract.md, "Preloading"). Pure: parses strings, allocates
 * nothing. A value that is not understood leaves the default and is reported through `bad`.
 */
#ifndef PERFSHIM_SHIM_SETTINGS_H
#define PERFSHIM_SHIM_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

enum { settings_bad_max = 8 };

/* PERFSHIM_FOLLOW: 0, 1, or 2, which a followed process puts there for those it starts. */
enum settings_follow { SETTINGS_ALONE, SETTINGS_FOLLOW, SETTINGS_FOLLOWED };

struct settings {
    const char *out;             /* PERFSHIM_OUT or NULL */
    uint32_t alloc_mode;         /* enum pshim_alloc_mode */
    uint64_t alloc_sample_bytes; /* at most 1 GiB */
    uint64_t alloc_seed;         /* 0 = a random one */
    uint32_t cpu_hz;
    uint32_t unwind_mode; /* enum pshim_unwind_mode */
    uint32_t locks_mode;  /* enum pshim_switch */
    uint32_t io_mode;     /* likewise: on or off */
    uint32_t start;       /* 0: PERFSHIM_START=0 */
    uint32_t follow;      /* enum settings_follow */
    uint64_t max_bytes;
    const char *bad[settings_bad_max]; /* "NAME=value" strings that were not understood */
    unsigned bad_count;
};

/* Reads the NULL-terminated environment. */
void settings_read(char *const *envp, struct settings *out);

/*
 * Writes into buf the path of attempt 0, 1, 2 …: `out` with %p replaced by the pid (a directory
 * when it ends in /), or the default perfshim-<program>-<pid>.pshim; attempt n > 0 puts -<n+1>
 * before
 * ".pshim". 0, or −1 when it does not fit.
 */
int settings_path(const char *out, const char *program, uint32_t pid, unsigned attempt, char *buf,
                  size_t size);

#endif
