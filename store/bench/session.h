/*
 * An engine, open as the user asked for, and the directory that it was given: a temporary one that
 * goes with it, unless the user named one. Not thread-safe.
 */
#ifndef PERFSHIM_STORE_BENCH_SESSION_H
#define PERFSHIM_STORE_BENCH_SESSION_H

#include "store/bench/config.h"
#include "store/bench/engine.h"

struct session {
    const struct engine *engine;
    void *self;          /* NULL: not open */
    char temporary[512]; /* "" if the directory is not ours */
};

/* Makes one, in TMPDIR or else /tmp. 0, or -1 with errno and "". */
int temporary_make(char directory[static 512]);

/* 0; -1 after a message on stderr, -2 likewise about something on a disk. session_close it in any
 * case. scans: there will be some. */
int session_open(struct session *session, const struct bench_config *config,
                 struct bench_clock *clock, int scans);

/* As engine.h's close, ENGINE_OK if it was not open; the directory is removed if it is ours. */
int session_close(struct session *session, struct engine_statistics *last,
                  struct engine_trouble *trouble);

#endif
