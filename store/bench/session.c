#include "store/bench/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *temporary_parent(void)
{
    const char *parent = getenv("TMPDIR");
    return parent && *parent ? parent : "/tmp";
}

int temporary_make(char directory[static 512])
{
    int n = snprintf(directory, 512, "%s/store_bench-XXXXXX", temporary_parent());
    if (n < 512 && mkdtemp(directory))
        return 0;
    if (n >= 512)
        errno = ENAMETOOLONG;
    directory[0] = '\0';
    return -1;
}

int session_open(struct session *s, const struct bench_config *c, struct bench_clock *clock,
                 int scans)
{
    struct engine_trouble trouble = {.text = ""};
    struct engine_setup setup = {.clock = clock,
                                 .threads = (unsigned)c->threads,
                                 .seed = c->seed,
                                 .value_size = c->value_size,
                                 .sync_every = c->wal_sync_every,
                                 .scans = scans,
                                 .shards = (uint32_t)c->shards,
                                 .pool = strcmp(c->pool, "on") == 0};
    *s = (struct session){.engine = engine_choose(c->engine)};
    if (!s->engine)
        return -1;
    if (c->wal_sync_every != LOG_OFF || s->engine->features & ENGINE_NEEDS_DIRECTORY) {
        if (!c->dir && temporary_make(s->temporary) != 0) {
            fprintf(stderr, "store_bench: cannot make a temporary directory in %s: %s\n",
                    temporary_parent(), strerror(errno));
            return -2;
        }
        setup.directory = c->dir ? c->dir : s->temporary;
    }
    if (s->engine->open(&setup, &s->self, &trouble) == ENGINE_OK)
        return 0;
    s->self = NULL;
    fprintf(stderr, "store_bench: cannot open %s: %s\n", s->engine->title, trouble.text);
    return trouble.disk ? -2 : -1;
}

int session_close(struct session *s, struct engine_statistics *last, struct engine_trouble *trouble)
{
    int error = s->self ? s->engine->close(s->self, last, trouble) : ENGINE_OK;
    if (s->temporary[0] && s->engine->remove(s->temporary) != 0)
        fprintf(stderr, "store_bench: cannot remove %s: %s\n", s->temporary, strerror(errno));
    *s = (struct session){0};
    return error;
}
