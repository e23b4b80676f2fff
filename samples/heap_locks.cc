/* build: -std=c++17 -pthread */
/*
 * heap_locks — a program that knows in which block of the heap each of its locks lies.
 *
 * Locks in C structs, in arrays of structs, in blocks of 4 KiB and more, in C++ objects, in objects
 * that were freed and whose memory another class has now, made long after their block and by
 * another thread, and on a stack. Prints as JSON, for each: the function that allocated it, its
 * offset, the bytes asked for, and how many there are.
 */
#include <pthread.h>
#include <semaphore.h>

#include <cstddef>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "samples/truth.h"

namespace
{

enum {
    CONNECTIONS = 200,
    SHARDS = 8,
    PAGES_SHARDS = 100,
    OBJECTS = 20,
    TASKS = 30,
    REQUESTS = 1000
};

struct connection {
    char name[40];
    pthread_mutex_t mutex;
    char *buffer;
    sem_t full;
};

struct shard {
    long used;
    pthread_rwlock_t lock;
};

struct cache {
    long hits = 0;
    std::mutex mutex;
    std::shared_mutex shared;
};

struct task {
    char what[24];
    std::mutex mutex;
};

struct job {
    char what[24];
    std::mutex mutex; /* where a task has its own */
};
static_assert(sizeof(job) == sizeof(task));

/* What is allocated between a block and its lock hides nothing. */
extern "C" SITE connection *connection_new()
{
    auto *c = static_cast<connection *>(malloc(sizeof(connection)));
    KEEP(c);
    c->buffer = static_cast<char *>(malloc(100));
    pthread_mutex_init(&c->mutex, nullptr);
    sem_init(&c->full, 0, 0);
    return c;
}

extern "C" SITE void connection_use(connection *c)
{
    pthread_mutex_lock(&c->mutex);
    pthread_mutex_unlock(&c->mutex);
    sem_post(&c->full);
    sem_wait(&c->full);
}

extern "C" SITE shard *shards_new(int count)
{
    auto *s = static_cast<shard *>(calloc(static_cast<size_t>(count), sizeof(shard)));
    for (int i = 0; i < count; i++)
        pthread_rwlock_init(&s[i].lock, nullptr);
    return s;
}

extern "C" SITE void shards_use(shard *s, int count)
{
    for (int i = 0; i < count; i++) {
        pthread_rwlock_wrlock(&s[i].lock);
        pthread_rwlock_unlock(&s[i].lock);
    }
}

extern "C" SITE cache *cache_new()
{
    return new cache;
}

extern "C" SITE void cache_use(cache *c)
{
    std::lock_guard<std::mutex> guard(c->mutex);
    std::shared_lock<std::shared_mutex> reader(c->shared);
    c->hits++;
}

extern "C" SITE task *task_new()
{
    return new task;
}

extern "C" SITE void task_use(task *t)
{
    std::lock_guard<std::mutex> guard(t->mutex);
    t->what[0] = 1;
}

extern "C" SITE job *job_new()
{
    return new job;
}

extern "C" SITE void job_use(job *j)
{
    std::lock_guard<std::mutex> guard(j->mutex);
    j->what[0] = 1;
}

struct request {
    long number;
    pthread_mutex_t mutex;
    pthread_cond_t done;
};

extern "C" SITE request *request_new(long number)
{
    auto *r = static_cast<request *>(malloc(sizeof(request)));
    r->number = number;
    pthread_mutex_init(&r->mutex, nullptr);
    pthread_cond_init(&r->done, nullptr);
    return r;
}

extern "C" SITE void request_end(request *r)
{
    pthread_mutex_lock(&r->mutex);
    pthread_mutex_unlock(&r->mutex);
    pthread_cond_destroy(&r->done);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

extern "C" SITE void stack_use()
{
    pthread_mutex_t on_stack = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&on_stack);
    pthread_mutex_unlock(&on_stack);
}

void put(const char *what, const char *kind, const char *from, size_t offset, size_t bytes,
         int count, const char *comma)
{
    truth_put("{\"what\":\"%s\",\"kind\":\"%s\",\"from\":\"%s\",\"offset\":%zu,\"bytes\":%zu,"
              "\"count\":%d}%s\n",
              what, kind, from, offset, bytes, count, comma);
}

} // namespace

int main()
{
    std::vector<connection *> connections;
    for (int i = 0; i < CONNECTIONS; i++)
        connections.push_back(connection_new());
    for (connection *c : connections)
        connection_use(c);

    shard *few = shards_new(SHARDS), *many = shards_new(PAGES_SHARDS);
    shards_use(few, SHARDS);
    shards_use(many, PAGES_SHARDS);

    /* First taken by another thread, after all were made. */
    std::vector<cache *> caches;
    for (int i = 0; i < OBJECTS; i++)
        caches.push_back(cache_new());
    std::thread([&caches] {
        for (cache *c : caches)
            cache_use(c);
    }).join();

    /* Such a mutex has no destructor: that of a job lies where that of a task lay. */
    for (int i = 0; i < TASKS; i++) {
        task *t = task_new();
        task_use(t);
        delete t;
        job *j = job_new();
        job_use(j);
        delete j;
    }
    stack_use();

    /* Made and destroyed: one record stands for them all, wherever they lie. */
    request *open[4];
    for (int i = 0; i < REQUESTS; i++) {
        if (i >= 4)
            request_end(open[i % 4]);
        open[i % 4] = request_new(i);
    }
    for (request *r : open)
        request_end(r);

    truth_put("[\n");
    put("connection", "mutex", "connection_new", offsetof(connection, mutex), sizeof(connection),
        CONNECTIONS, ",");
    put("full", "semaphore", "connection_new", offsetof(connection, full), sizeof(connection),
        CONNECTIONS, ",");
    for (int i = 0; i < SHARDS; i++)
        put("few", "rwlock", "shards_new",
            sizeof(shard) * static_cast<size_t>(i) + offsetof(shard, lock), SHARDS * sizeof(shard),
            1, ",");
    for (int i = 0; i < PAGES_SHARDS; i++)
        put("many", "rwlock", "shards_new",
            sizeof(shard) * static_cast<size_t>(i) + offsetof(shard, lock),
            PAGES_SHARDS * sizeof(shard), 1, ",");
    put("request", "mutex", "request_new", offsetof(request, mutex), sizeof(request), REQUESTS,
        ",");
    put("cache", "mutex", "cache_new", offsetof(cache, mutex), sizeof(cache), OBJECTS, ",");
    put("shared", "rwlock", "cache_new", offsetof(cache, shared), sizeof(cache), OBJECTS, "");
    truth_put("]\n");
    truth_flush();
    return 0;
}
