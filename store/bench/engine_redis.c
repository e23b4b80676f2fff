/*
 * redis, through hiredis: a server of our own, or one that is there (host, port or socket). What a
 * user who outgrows one process would go to: every operation is a trip to another process.
 *
 * Durability: appendfsync always for sync_every 1, no for 0, no log at all for ENGINE_NO_LOG; a
 * server that is not ours must be set so already, we change nothing there but keys. Scans, as in
 * YCSB's binding, go through a sorted set: a put then also enters the key there, all of one score,
 * so that a range by key is a range of it, and the values come with one MGET.
 */
#include <errno.h>
#include <inttypes.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "store/bench/engine_library.h"
#include "store/bench/redis_server.h"
#include "store/bench/system.h"

/* Declared by hiredis, found at run time: the file of the version whose structs we know. */
#define FUNCTIONS(X)                                                                               \
    X(redisConnectWithTimeout)                                                                     \
    X(redisConnectUnixWithTimeout)                                                                 \
    X(redisSetTimeout)                                                                             \
    X(redisFree)                                                                                   \
    X(redisAppendCommandArgv)                                                                      \
    X(redisGetReply)                                                                               \
    X(freeReplyObject)

static struct {
#define X(name) __typeof__(&name) name;
    FUNCTIONS(X)
#undef X
} api;

static const struct library_function functions[] = {
#define X(name) {#name, &api.name},
    FUNCTIONS(X)
#undef X
        {0}};

#define TEXT_OF(x)   #x
#define SONAME_OF(x) "libhiredis.so." TEXT_OF(x)
static const char *const library_names[] = {SONAME_OF(HIREDIS_SONAME), NULL};
static struct library library = {
    .names = library_names, .package = "libhiredis0.14", .functions = functions};

static struct redis_parameters {
    const char *host, *socket, *program;
    uint64_t port, maximum_bytes;
} parameters;

static const struct opt options[] = {
    {"host", OPT_STRING, &parameters.host, "HOST", "a server that is there (one of our own)", NULL,
     0, 0, NULL},
    {"port", OPT_UINT, &parameters.port, "N", "its port (6379)", NULL, 1, 65535, NULL},
    {"socket", OPT_STRING, &parameters.socket, "FILE", "its socket, in place of host and port",
     NULL, 0, 0, NULL},
    {"maxmemory", OPT_SIZE, &parameters.maximum_bytes, "SIZE",
     "our own server's limit of memory (none)", NULL, 0, 0, NULL},
    {"program", OPT_STRING, &parameters.program, "FILE", "our own server (redis-server)", NULL, 0,
     0, NULL},
    LIBRARY_OPTION(library),
    OPT_END,
};

enum { CONNECT_S = 5, ANSWER_S = 60, START_S = 120, INDEX_SIZE = 13 };
static const char index_key[] = "perfshim:keys";

struct redis {
    struct redis_server server;
    struct redis_parameters p;
    int external, scans;
    pthread_mutex_t lock;  /* of control */
    redisContext *control; /* for everything but the load */
    char error[256];
};

struct redis_thread {
    struct redis *redis;
    redisContext *c;
    char error[256];
} __attribute__((aligned(64)));

static void reset(void)
{
    parameters = (struct redis_parameters){.port = 6379, .program = "redis-server"};
    library.chosen = NULL;
}

static int check(char why[static 160])
{
    int external = parameters.host || parameters.socket;
    if (parameters.host && parameters.socket)
        snprintf(why, 160, "host and socket: one of the two");
    else if (external && parameters.maximum_bytes)
        snprintf(why, 160, "maxmemory: only of our own server");
    else
        return 0;
    return -1;
}

/* ---- one command, one reply ---- */

static int class_of_reply(const char *text)
{
    if (strncmp(text, "OOM", 3) == 0)
        return ENGINE_NO_MEMORY;
    return strncmp(text, "LOADING", 7) == 0 ? ENGINE_IO : error_class_of_text(text);
}

/* ENGINE_OK with *reply, the caller's; else an error with its text. */
static int reply_get(redisContext *c, redisReply **reply, char error[static 256])
{
    void *got = NULL;
    *reply = NULL;
    if (api.redisGetReply(c, &got) != REDIS_OK) {
        snprintf(error, 256, "%s", c->errstr);
        return ENGINE_IO;
    }
    *reply = got;
    if ((*reply)->type != REDIS_REPLY_ERROR)
        return ENGINE_OK;
    snprintf(error, 256, "%s", (*reply)->str);
    api.freeReplyObject(*reply);
    *reply = NULL;
    return class_of_reply(error);
}

static int command(redisContext *c, int argc, const char **argv, const size_t *sizes,
                   redisReply **reply, char error[static 256])
{
    if (api.redisAppendCommandArgv(c, argc, argv, sizes) != REDIS_OK) {
        snprintf(error, 256, "%s", c->errstr);
        *reply = NULL;
        return c->err == REDIS_ERR_OOM ? ENGINE_NO_MEMORY : ENGINE_IO;
    }
    return reply_get(c, reply, error);
}

/* A command of words whose reply does not matter. */
static int command_words(struct redis *r, int argc, const char **argv)
{
    redisReply *reply;
    int error = command(r->control, argc, argv, NULL, &reply, r->error);
    if (reply)
        api.freeReplyObject(reply);
    return error;
}
#define COMMAND(r, ...)                                                                            \
    command_words(r, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                \
                  (const char *[]){__VA_ARGS__})

static redisContext *connect_to(const struct redis *r, char error[static 256])
{
    const struct timeval connecting = {.tv_sec = CONNECT_S}, answering = {.tv_sec = ANSWER_S};
    const char *socket = r->external ? r->p.socket : r->server.socket;
    redisContext *c = socket ? api.redisConnectUnixWithTimeout(socket, connecting)
                             : api.redisConnectWithTimeout(r->p.host, (int)r->p.port, connecting);
    if (c && !c->err) {
        api.redisSetTimeout(c, answering);
        return c;
    }
    snprintf(error, 256, "%s", c ? c->errstr : "out of memory");
    if (c)
        api.redisFree(c);
    return NULL;
}

/* ---- open and close ---- */

static int probe(struct engine_trouble *trouble)
{
    char path[4096];
    int error = library_open(&library, trouble);
    if (error == ENGINE_OK && !parameters.host && !parameters.socket &&
        redis_server_find(parameters.program, path, trouble) != 0)
        error = ENGINE_OTHER;
    return error;
}

/* It answers only after it has read its log. */
static int server_wait(struct redis *r, struct engine_trouble *trouble)
{
    time_t end = time(NULL) + START_S;
    while (redis_server_alive(&r->server, trouble)) {
        if (!r->control)
            r->control = connect_to(r, r->error);
        if (r->control && COMMAND(r, "PING") == ENGINE_OK)
            return ENGINE_OK;
        if (time(NULL) > end) {
            snprintf(trouble->text, sizeof trouble->text, "redis-server does not answer: %s",
                     r->error);
            return ENGINE_IO;
        }
        usleep(2000);
    }
    return ENGINE_IO;
}

/* The value of one of its settings; "" if it does not tell. */
static void setting(struct redis *r, const char *name, char value[static 32])
{
    const char *argv[] = {"CONFIG", "GET", name};
    redisReply *reply;
    value[0] = '\0';
    if (command(r->control, 3, argv, NULL, &reply, r->error) == ENGINE_OK &&
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->str)
        snprintf(value, 32, "%s", reply->element[1]->str);
    if (reply)
        api.freeReplyObject(reply);
}

/* What was asked for must be what the server does. */
static int durability_check(struct redis *r, uint64_t sync_every, struct engine_trouble *trouble)
{
    char log[32], sync[32];
    if (sync_every == ENGINE_NO_LOG)
        return ENGINE_OK;
    setting(r, "appendonly", log);
    setting(r, "appendfsync", sync);
    int always = strcmp(sync, "always") == 0;
    if (strcmp(log, "yes") == 0 && always == (sync_every == 1))
        return ENGINE_OK;
    snprintf(trouble->text, sizeof trouble->text,
             "the server has appendonly '%s', appendfsync '%s': --wal-sync-every=%" PRIu64
             " takes yes, %s",
             log, sync, sync_every, sync_every == 1 ? "always" : "everysec or no");
    return ENGINE_OTHER;
}

static int server_reach(struct redis *r, const struct engine_setup *setup,
                        struct engine_trouble *trouble)
{
    if (r->external) {
        if ((r->control = connect_to(r, r->error)) && COMMAND(r, "PING") == ENGINE_OK)
            return durability_check(r, setup->sync_every, trouble);
        if (r->p.socket)
            snprintf(trouble->text, sizeof trouble->text, "%s: %s", r->p.socket, r->error);
        else
            snprintf(trouble->text, sizeof trouble->text, "%s:%" PRIu64 ": %s", r->p.host,
                     r->p.port, r->error);
        return ENGINE_IO;
    }
    struct redis_server_setup server = {.program = r->p.program,
                                        .directory = setup->directory,
                                        .sync_every = setup->sync_every,
                                        .maximum_bytes = r->p.maximum_bytes};
    int error = redis_server_start(&r->server, &server, trouble);
    return error == ENGINE_OK ? server_wait(r, trouble) : error;
}

/* What our server could not write when it was told to end it tells by its status. */
static int redis_release(struct redis *r, struct engine_trouble *trouble)
{
    int error = ENGINE_OK;
    if (redis_server_stop(&r->server, trouble) != 0)
        error = ENGINE_IO;
    if (r->control)
        api.redisFree(r->control);
    pthread_mutex_destroy(&r->lock);
    free(r);
    return error;
}

static int open_redis(const struct engine_setup *setup, void **self, struct engine_trouble *trouble)
{
    int error = probe(trouble);
    if (error != ENGINE_OK)
        return error;
    if (setup->sync_every > 1 && setup->sync_every != ENGINE_NO_LOG) {
        snprintf(trouble->text, sizeof trouble->text,
                 "it syncs every write (--wal-sync-every=1) or leaves it to the system (0)");
        return ENGINE_OTHER;
    }
    struct redis *r = calloc(1, sizeof *r);
    if (!r) {
        snprintf(trouble->text, sizeof trouble->text, "out of memory");
        return ENGINE_NO_MEMORY;
    }
    signal(SIGPIPE, SIG_IGN); /* a server that is gone is an error to count, not our end */
    r->p = parameters;
    r->external = r->p.host || r->p.socket;
    r->scans = setup->scans;
    pthread_mutex_init(&r->lock, NULL);
    error = server_reach(r, setup, trouble);
    if (error == ENGINE_OK) {
        *self = r;
        return ENGINE_OK;
    }
    struct engine_trouble later = {.text = ""};
    redis_release(r, &later);
    return error;
}

/* ---- its numbers ---- */

static uint64_t info_number(const char *info, const char *name, double unit)
{
    const char *at = strstr(info, name);
    return at ? (uint64_t)(strtod(at + strlen(name), NULL) * unit) : 0;
}

static uint64_t server_written_bytes(pid_t pid)
{
    uint64_t bytes = system_written_bytes_of(pid);
    return bytes == UINT64_MAX ? 0 : bytes;
}

static void statistics(void *self, struct engine_statistics *out)
{
    static const struct engine_statistic names[] = {{"keys", 1},
                                                    {"server_memory_bytes", 1},
                                                    {"server_rss_bytes", 1},
                                                    {"server_cpu_ns", 0},
                                                    {"server_written_bytes", 0}};
    const char *argv[] = {"INFO"}, *size[] = {"DBSIZE"};
    struct redis *r = self;
    redisReply *reply;
    *out = (struct engine_statistics){.names = names, .count = sizeof names / sizeof names[0]};
    pthread_mutex_lock(&r->lock);
    if (command(r->control, 1, size, NULL, &reply, r->error) == ENGINE_OK) {
        out->values[0] = (uint64_t)reply->integer - (r->scans && reply->integer > 0);
        api.freeReplyObject(reply);
    }
    if (command(r->control, 1, argv, NULL, &reply, r->error) == ENGINE_OK) {
        if (reply->str) {
            out->values[1] = info_number(reply->str, "\nused_memory:", 1);
            out->values[2] = info_number(reply->str, "\nused_memory_rss:", 1);
            out->values[3] = info_number(reply->str, "\nused_cpu_sys:", 1e9) +
                             info_number(reply->str, "\nused_cpu_user:", 1e9);
        }
        api.freeReplyObject(reply);
    }
    if (r->server.pid) /* of another one we are not told */
        out->values[4] = server_written_bytes(r->server.pid);
    pthread_mutex_unlock(&r->lock);
}

static int close_redis(void *self, struct engine_statistics *last, struct engine_trouble *trouble)
{
    statistics(self, last);
    return redis_release(self, trouble);
}

/* With appendfsync always, the next write syncs all before it; that one leaves nothing. */
static int sync_every(void *self, uint64_t every)
{
    struct redis *r = self;
    if (r->external || every == ENGINE_NO_LOG)
        return ENGINE_OK;
    int error = COMMAND(r, "CONFIG", "SET", "appendfsync", every == 1 ? "always" : "no");
    if (error == ENGINE_OK && every == 1)
        error = COMMAND(r, "SET", "perfshim:sync", "1");
    if (error == ENGINE_OK && every == 1)
        error = COMMAND(r, "DEL", "perfshim:sync");
    return error;
}

/* ---- operations ---- */

static void thread_close(void *thread)
{
    struct redis_thread *t = thread;
    if (t && t->c)
        api.redisFree(t->c);
    free(t);
}

static int thread_open(void *self, unsigned number, void **thread, struct engine_trouble *trouble)
{
    struct redis_thread *t = aligned_alloc(_Alignof(struct redis_thread), sizeof *t);
    (void)number;
    if (!t) {
        snprintf(trouble->text, sizeof trouble->text, "out of memory");
        return ENGINE_NO_MEMORY;
    }
    *t = (struct redis_thread){.redis = self};
    t->c = connect_to(t->redis, t->error);
    if (!t->c) {
        snprintf(trouble->text, sizeof trouble->text, "%s", t->error);
        thread_close(t);
        return ENGINE_IO;
    }
    *thread = t;
    return ENGINE_OK;
}

static int unexpected(struct redis_thread *t, redisReply *reply)
{
    snprintf(t->error, sizeof t->error, "a reply of type %d", reply->type);
    api.freeReplyObject(reply);
    return ENGINE_OTHER;
}

static int get(void *thread, const void *key, size_t key_size, struct engine_value *value)
{
    struct redis_thread *t = thread;
    const char *argv[] = {"GET", key};
    const size_t sizes[] = {3, key_size};
    redisReply *reply;
    int error = command(t->c, 2, argv, sizes, &reply, t->error);
    if (error != ENGINE_OK)
        return error;
    if (reply->type == REDIS_REPLY_NIL) {
        api.freeReplyObject(reply);
        return ENGINE_NOT_FOUND;
    }
    if (reply->type != REDIS_REPLY_STRING)
        return unexpected(t, reply);
    *value = (struct engine_value){.data = reply->str, .size = reply->len, .handle = reply};
    return ENGINE_OK;
}

static void release(void *thread, struct engine_value *value)
{
    (void)thread;
    api.freeReplyObject(value->handle);
}

static int put(void *thread, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct redis_thread *t = thread;
    const char *set[] = {"SET", key, value}, *enter[] = {"ZADD", index_key, "0", key};
    const size_t set_sizes[] = {3, key_size, value_size},
                 enter_sizes[] = {4, INDEX_SIZE, 1, key_size};
    redisReply *reply;
    int scans = t->redis->scans, error, other = ENGINE_OK;
    if (scans && api.redisAppendCommandArgv(t->c, 4, enter, enter_sizes) != REDIS_OK)
        return ENGINE_IO;
    if (api.redisAppendCommandArgv(t->c, 3, set, set_sizes) != REDIS_OK)
        return ENGINE_IO;
    error = reply_get(t->c, &reply, t->error);
    if (reply)
        api.freeReplyObject(reply);
    if (scans) { /* both went with one trip */
        other = reply_get(t->c, &reply, t->error);
        if (reply)
            api.freeReplyObject(reply);
    }
    return error != ENGINE_OK ? error : other;
}

/* The keys in range, then their values. */
static int values_visit(struct redis_thread *t, const redisReply *keys, engine_visit *visit,
                        void *context)
{
    size_t n = keys->elements;
    const char **argv = malloc((n + 1) * (sizeof *argv + sizeof(size_t)));
    redisReply *values;
    int visited = 0;
    if (!argv) {
        snprintf(t->error, sizeof t->error, "out of memory");
        return ENGINE_NO_MEMORY;
    }
    size_t *sizes = (size_t *)(argv + n + 1);
    argv[0] = "MGET";
    sizes[0] = 4;
    for (size_t i = 0; i < n; i++) {
        argv[i + 1] = keys->element[i]->str;
        sizes[i + 1] = keys->element[i]->len;
    }
    int error = command(t->c, (int)n + 1, argv, sizes, &values, t->error);
    free(argv);
    if (error != ENGINE_OK)
        return error;
    if (values->type != REDIS_REPLY_ARRAY || values->elements != n)
        return unexpected(t, values);
    for (size_t i = 0; i < n; i++) {
        const redisReply *key = keys->element[i], *value = values->element[i];
        if (value->type != REDIS_REPLY_STRING)
            continue; /* deleted meanwhile */
        visited++;
        if (visit(context, key->str, key->len, value->str, value->len) != 0)
            break;
    }
    api.freeReplyObject(values);
    return visited;
}

static int scan(void *thread, const void *key, size_t key_size, unsigned count, engine_visit *visit,
                void *context)
{
    struct redis_thread *t = thread;
    char from[1024] = "[", number[12];
    redisReply *keys;
    if (key_size > sizeof from - 1) {
        snprintf(t->error, sizeof t->error, "key too long");
        return ENGINE_OTHER;
    }
    memcpy(from + 1, key, key_size);
    int digits = snprintf(number, sizeof number, "%u", count);
    const char *argv[] = {"ZRANGEBYLEX", index_key, from, "+", "LIMIT", "0", number};
    const size_t sizes[] = {11, INDEX_SIZE, key_size + 1, 1, 5, 1, (size_t)digits};
    int error = command(t->c, 7, argv, sizes, &keys, t->error);
    if (error != ENGINE_OK)
        return error;
    if (keys->type != REDIS_REPLY_ARRAY)
        return unexpected(t, keys);
    int visited = keys->elements ? values_visit(t, keys, visit, context) : 0;
    api.freeReplyObject(keys);
    return visited;
}

static const char *error_text(void *thread)
{
    return ((struct redis_thread *)thread)->error;
}

const struct engine engine_redis = {
    .name = "redis",
    .title = "redis",
    .differs = "another process: every operation is a trip to it; its CPU, memory and writes are "
               "counted, its server is one thread",
    .features = ENGINE_DISK | ENGINE_NEEDS_DIRECTORY,
    .parameters = options,
    .parameters_reset = reset,
    .parameters_check = check,
    .probe = probe,
    .open = open_redis,
    .close = close_redis,
    .remove = directory_remove,
    .thread_open = thread_open,
    .thread_close = thread_close,
    .get = get,
    .release = release,
    .put = put,
    .scan = scan,
    .error_text = error_text,
    .sync_every = sync_every,
    .statistics = statistics,
};
