/*
 * A profile that the shim's own parts write into, for their unit tests: in a folder of its own, as
 * `shim.profile`, and a thread for it. Include once. Not thread-safe.
 */
#ifndef PERFSHIM_TESTS_SHIM_PROFILE_H
#define PERFSHIM_TESTS_SHIM_PROFILE_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/shim.h"

static char shim_profile_folder[PATH_MAX];
static char shim_profile_path[PATH_MAX + 32];
static struct pshim_thread me_record;
static struct thread_state me; /* its record is me_record; all else is 0 */

/* Creates it, `bytes` large. 0, or −1. */
static inline int shim_profile_open(uint64_t bytes)
{
    const char *tmp = getenv("TMPDIR");
    int os_error;
    snprintf(shim_profile_folder, sizeof shim_profile_folder, "%s/shim-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(shim_profile_folder))
        return -1;
    snprintf(shim_profile_path, sizeof shim_profile_path, "%s/a.pshim", shim_profile_folder);
    if (profile_create(shim_profile_path, bytes, &shim.profile, &os_error) != PROFILE_OK)
        return -1;
    memset(&me, 0, sizeof me);
    me.record = &me_record;
    return 0;
}

static inline int shim_profile_close(void)
{
    profile_close(&shim.profile);
    unlink(shim_profile_path);
    return rmdir(shim_profile_folder);
}

#endif
