/*
 * A redis-server of our own: started in a directory, reached by a socket in it that only its owner
 * can use (no port to choose or to expose), stopped by its pid. It dies with the thread that
 * started it, whatever happens to us. Not thread-safe.
 */
#ifndef PERFSHIM_STORE_BENCH_REDIS_SERVER_H
#define PERFSHIM_STORE_BENCH_REDIS_SERVER_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "store/bench/engine.h"

struct redis_server {
    pid_t pid; /* 0: none is running */
    char socket[sizeof((struct sockaddr_un *)0)->sun_path];
    char log[4096];
};

struct redis_server_setup {
    const char *program;    /* looked for in PATH unless it has a slash */
    const char *directory;  /* made if there is none */
    uint64_t sync_every;    /* 0, 1 or ENGINE_NO_LOG */
    uint64_t maximum_bytes; /* of its data; 0: no limit */
};

/* Its path in `path`. 0, or -1 with *trouble filled. */
int redis_server_find(const char *program, char path[static 4096], struct engine_trouble *trouble);

/* Starts it; whether it answers yet the caller finds out. ENGINE_OK, or an error with *trouble
 * filled. */
int redis_server_start(struct redis_server *server, const struct redis_server_setup *setup,
                       struct engine_trouble *trouble);

/* 1 as long as it runs; 0, with *trouble filled from its log, if it has ended. */
int redis_server_alive(struct redis_server *server, struct engine_trouble *trouble);

/* Tells it to end, waits, and kills it if it does not. 0 if it said that all is written, else -1
 * with *trouble filled. Fine if none is running. */
int redis_server_stop(struct redis_server *server, struct engine_trouble *trouble);

#endif
