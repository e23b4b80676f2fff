/*
 * LMDB, through its C API (lmdb.h of 0.9.24), of which the few declarations needed stand here.
 *
 * A get's value lies in the map itself: its read transaction is open until the value is released.
 * A put is a transaction of its own, one at a time in the whole database, since that is what LMDB
 * has; there is no group commit. Durability: with sync_every 1 each commit syncs; else MDB_NOSYNC,
 * and the write that is due syncs the file, with all before it. Without a sync a crash of the
 * machine may leave a damaged database, not only an old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/bench/engine_library.h"

struct lmdb_value { /* MDB_val */
    size_t size;
    const void *data;
};
struct lmdb_stat { /* MDB_stat */
    unsigned page_bytes, depth;
    size_t branch_pages, leaf_pages, overflow_pages, entries;
};
enum { /* MDB_… */
       LMDB_NOSYNC = 0x10000,
       LMDB_RDONLY = 0x20000,
       LMDB_NOTLS = 0x200000,
       LMDB_NEXT = 8,
       LMDB_SET_RANGE = 17,
       LMDB_NOTFOUND = -30798,
       LMDB_MAP_FULL = -30792,
};
enum { LOCK_HEAD_BYTES = 16384, LOCK_READER_BYTES = 64 }; /* more than it takes */

#define FUNCTIONS(X)                                                                               \
    X(char *, strerror, (int))                                                                     \
    X(int, env_create, (void **))                                                                  \
    X(int, env_open, (void *, const char *, unsigned, unsigned))                                   \
    X(void, env_close, (void *))                                                                   \
    X(int, env_set_mapsize, (void *, size_t))                                                      \
    X(int, env_set_maxreaders, (void *, unsigned))                                                 \
    X(int, env_set_flags, (void *, unsigned, int))                                                 \
    X(int, env_sync, (void *, int))                                                                \
    X(int, env_stat, (void *, struct lmdb_stat *))                                                 \
    X(int, txn_begin, (void *, void *, unsigned, void **))                                         \
    X(int, txn_commit, (void *))                                                                   \
    X(void, txn_abort, (void *))                                                                   \
    X(void, txn_reset, (void *))                                                                   \
    X(int, txn_renew, (void *))                                                                    \
    X(int, dbi_open, (void *, const char *, unsigned, unsigned *))                                 \
    X(int, get, (void *, unsigned, struct lmdb_value *, struct lmdb_value *))                      \
    X(int, put, (void *, unsigned, struct lmdb_value *, struct lmdb_value *, unsigned))            \
    X(int, cursor_open, (void *, unsigned, void **))                                               \
    X(void, cursor_close, (void *))                                                                \
    X(int, cursor_get, (void *, struct lmdb_value *, struct lmdb_value *, int))

static struct {
#define X(result, name, arguments) result(*name) arguments;
    FUNCTIONS(X)
#undef X
} lmdb;

static const struct library_function functions[] = {
#define X(result, name, arguments) {"mdb_" #name, &lmdb.name},
    FUNCTIONS(X)
#undef X
        {0}};

static const char *const library_names[] = {"liblmdb.so.0", "liblmdb.so", NULL};
static struct library library = {
    .names = library_names, .package = "liblmdb0", .functions = functions};

static uint64_t map_bytes;
static const struct opt options[] = {
    {"map", OPT_SIZE, &map_bytes, "SIZE", "how large it may become (4G)", NULL, 1 << 20, 0, NULL},
    LIBRARY_OPTION(library),
    OPT_END,
};

static void reset(void)
{
    map_bytes = 4ull << 30;
    library.chosen = NULL;
}

struct database {
    void *env;
    unsigned dbi;
    struct sync_rule sync;
};

struct database_thread {
    struct database *d;
    void *reader; /* a transaction, at rest between operations */
    int error;
} __attribute__((aligned(64)));

static int probe(struct engine_trouble *trouble)
{
    return library_open(&library, trouble);
}

static int class_of(int error)
{
    switch (error) {
    case 0:
        return ENGINE_OK;
    case LMDB_NOTFOUND:
        return ENGINE_NOT_FOUND;
    case ENOMEM:
        return ENGINE_NO_MEMORY;
    case LMDB_MAP_FULL:
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
        return ENGINE_NO_SPACE;
    }
    return error > 0 ? ENGINE_IO : ENGINE_OTHER; /* above 0: an errno */
}

static int trouble_fill(struct engine_trouble *trouble, int error)
{
    snprintf(trouble->text, sizeof trouble->text, "%s", lmdb.strerror(error));
    trouble->disk = 1;
    return class_of(error);
}

/*
 * LMDB maps the table of its readers and touches it: on a full disk that would be SIGBUS. It takes
 * the file as it is, zeros, if it is large enough. 0, or an errno.
 */
static int lock_file_reserve(const char *directory, unsigned readers)
{
    char name[4096];
    if (snprintf(name, sizeof name, "%s/lock.mdb", directory) >= (int)sizeof name)
        return ENAMETOOLONG;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = posix_fallocate(fd, 0, LOCK_HEAD_BYTES + (off_t)readers * LOCK_READER_BYTES);
    close(fd);
    return error;
}

/* Commits must sync only if each of them has to; what is due less often is done by hand. */
static int flags_set(struct database *d)
{
    return lmdb.env_set_flags(d->env, LMDB_NOSYNC, d->sync.every != 1);
}

static int database_open(struct database *d, const struct engine_setup *setup)
{
    void *txn;
    lmdb.env_set_mapsize(d->env, map_bytes);
    lmdb.env_set_maxreaders(d->env, setup->threads + 1);
    if (mkdir(setup->directory, 0700) != 0 && errno != EEXIST)
        return errno;
    int error = lock_file_reserve(setup->directory, setup->threads + 1);
    if (!error)
        error = lmdb.env_open(d->env, setup->directory, LMDB_NOTLS, 0600);
    if (!error)
        error = flags_set(d);
    if (!error && !(error = lmdb.txn_begin(d->env, NULL, 0, &txn))) {
        if ((error = lmdb.dbi_open(txn, NULL, 0, &d->dbi)))
            lmdb.txn_abort(txn);
        else
            error = lmdb.txn_commit(txn);
    }
    return error;
}

static int open_lmdb(const struct engine_setup *setup, void **self, struct engine_trouble *trouble)
{
    if (probe(trouble) != ENGINE_OK)
        return ENGINE_OTHER;
    struct database *d = calloc(1, sizeof *d);
    if (!d || lmdb.env_create(&d->env) != 0) {
        free(d);
        snprintf(trouble->text, sizeof trouble->text, "out of memory");
        return ENGINE_NO_MEMORY;
    }
    d->sync.every = setup->sync_every;
    int error = database_open(d, setup);
    if (!error) {
        *self = d;
        return ENGINE_OK;
    }
    snprintf(trouble->text, sizeof trouble->text, "%s: %s", setup->directory, lmdb.strerror(error));
    trouble->disk = 1;
    lmdb.env_close(d->env); /* also after an open that failed */
    free(d);
    return class_of(error);
}

static void statistics(void *self, struct engine_statistics *out)
{
    static const struct engine_statistic names[] = {{"keys", 1}, {"depth", 1}, {"page_bytes", 1}};
    struct database *d = self;
    struct lmdb_stat s = {0};
    lmdb.env_stat(d->env, &s);
    out->names = names;
    out->count = sizeof names / sizeof names[0];
    out->values[0] = s.entries;
    out->values[1] = s.depth;
    out->values[2] = (s.branch_pages + s.leaf_pages + s.overflow_pages) * s.page_bytes;
}

static int close_lmdb(void *self, struct engine_statistics *last, struct engine_trouble *trouble)
{
    struct database *d = self;
    statistics(d, last);
    int error = d->sync.every == ENGINE_NO_LOG ? 0 : lmdb.env_sync(d->env, 1);
    lmdb.env_close(d->env);
    free(d);
    return error ? trouble_fill(trouble, error) : ENGINE_OK;
}

static int sync_every(void *self, uint64_t every)
{
    struct database *d = self;
    d->sync = (struct sync_rule){.every = every};
    int error = flags_set(d);
    if (!error && every != 0 && every != ENGINE_NO_LOG)
        error = lmdb.env_sync(d->env, 1);
    return class_of(error);
}

static void thread_close(void *thread)
{
    struct database_thread *t = thread;
    if (t && t->reader)
        lmdb.txn_abort(t->reader);
    free(t);
}

static int thread_open(void *self, unsigned number, void **thread, struct engine_trouble *trouble)
{
    struct database_thread *t = aligned_alloc(_Alignof(struct database_thread), sizeof *t);
    struct database *d = self;
    (void)number;
    if (!t) {
        snprintf(trouble->text, sizeof trouble->text, "out of memory");
        return ENGINE_NO_MEMORY;
    }
    *t = (struct database_thread){.d = d};
    int error = lmdb.txn_begin(d->env, NULL, LMDB_RDONLY, &t->reader);
    if (error) {
        t->reader = NULL;
        thread_close(t);
        return trouble_fill(trouble, error);
    }
    lmdb.txn_reset(t->reader);
    *thread = t;
    return ENGINE_OK;
}

static int failed(struct database_thread *t, int error)
{
    t->error = error;
    return class_of(error);
}

static int get(void *thread, const void *key, size_t key_size, struct engine_value *value)
{
    struct database_thread *t = thread;
    struct lmdb_value k = {key_size, key}, found;
    int error = lmdb.txn_renew(t->reader);
    if (error)
        return failed(t, error);
    error = lmdb.get(t->reader, t->d->dbi, &k, &found);
    if (error) {
        lmdb.txn_reset(t->reader);
        return failed(t, error);
    }
    *value = (struct engine_value){.data = found.data, .size = found.size};
    return ENGINE_OK;
}

static void release(void *thread, struct engine_value *value)
{
    struct database_thread *t = thread;
    (void)value;
    lmdb.txn_reset(t->reader);
}

static int put(void *thread, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct database_thread *t = thread;
    struct database *d = t->d;
    struct lmdb_value k = {key_size, key}, v = {value_size, value};
    void *txn;
    int error = lmdb.txn_begin(d->env, NULL, 0, &txn);
    if (error)
        return failed(t, error);
    error = lmdb.put(txn, d->dbi, &k, &v, 0);
    if (error)
        lmdb.txn_abort(txn);
    else
        error = lmdb.txn_commit(txn);
    if (!error && d->sync.every != 1 && sync_due(&d->sync))
        error = lmdb.env_sync(d->env, 1);
    return error ? failed(t, error) : ENGINE_OK;
}

static int scan(void *thread, const void *key, size_t key_size, unsigned count, engine_visit *visit,
                void *context)
{
    struct database_thread *t = thread;
    struct lmdb_value k = {key_size, key}, v;
    unsigned n = 0;
    void *cursor;
    int error = lmdb.txn_renew(t->reader);
    if (error)
        return failed(t, error);
    error = lmdb.cursor_open(t->reader, t->d->dbi, &cursor);
    if (!error) {
        for (int move = LMDB_SET_RANGE; n < count; move = LMDB_NEXT) {
            error = lmdb.cursor_get(cursor, &k, &v, move);
            if (error)
                break;
            n++;
            if (visit(context, k.data, k.size, v.data, v.size) != 0)
                break;
        }
        lmdb.cursor_close(cursor);
    }
    lmdb.txn_reset(t->reader);
    return error && error != LMDB_NOTFOUND ? failed(t, error) : (int)n;
}

static const char *error_text(void *thread)
{
    return lmdb.strerror(((struct database_thread *)thread)->error);
}

const struct engine engine_lmdb = {
    .name = "lmdb",
    .title = "LMDB",
    .differs = "a mapped file, one write at a time; a get copies nothing; without "
               "--wal-sync-every=1 a crash of the machine may damage it",
    .features = ENGINE_DISK | ENGINE_NEEDS_DIRECTORY,
    .parameters = options,
    .parameters_reset = reset,
    .probe = probe,
    .open = open_lmdb,
    .close = close_lmdb,
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
