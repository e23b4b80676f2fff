/*
 * get — a cache that works inside its lock; get_cured.c is the same, working outside.
 *
 * Lesson: hold a lock for what it protects, and for nothing else. A get finds an entry, marks it as
 * used, and prints it as text. The lock protects the table; printing is most of the work and needs
 * only a copy of the entry. Done inside, all threads wait for each other's printing.
 */
#include "samples/pair.h"

enum { ENTRIES = 1024, FIELDS = 16, TEXT_BYTES = 512 };

struct entry {
    uint64_t used; /* when it was last asked for: what would be evicted first */
    uint32_t key;
    uint32_t fields[FIELDS];
};

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry cache[ENTRIES]; /* protected by cache_lock */
static uint64_t cache_clock;        /* likewise */

/* The caller holds the lock. */
static SITE struct entry *cache_find(uint32_t key)
{
    struct entry *e = &cache[key % ENTRIES];
    e->used = ++cache_clock;
    return e;
}

/* The caller frees the text. */
static SITE char *entry_print(struct worker *w, const struct entry *e)
{
    char *text = malloc(TEXT_BYTES);
    pair_count(w, TEXT_BYTES);
    int n = snprintf(text, TEXT_BYTES, "{\"key\":%u", e->key);
    for (unsigned i = 0; i < FIELDS; i++)
        n += snprintf(text + n, TEXT_BYTES - (size_t)n, ",\"f%u\":%u", i, e->fields[i]);
    snprintf(text + n, TEXT_BYTES - (size_t)n, "}");
    return text;
}

static SITE char *cache_get(struct worker *w, uint32_t key)
{
#ifndef CURED
    pthread_mutex_lock(&cache_lock);
    char *text = entry_print(w, cache_find(key));
    pthread_mutex_unlock(&cache_lock);
    return text;
#else
    pthread_mutex_lock(&cache_lock);
    struct entry copy = *cache_find(key);
    pthread_mutex_unlock(&cache_lock);
    return entry_print(w, &copy);
#endif
}

static void operate(struct worker *w)
{
    char *text = cache_get(w, (uint32_t)(truth_random(&w->random) >> 32));
    pair_check(w, text, strlen(text));
    free(text);
}

int main(int argc, char **argv)
{
    uint64_t random = 1;
    for (uint32_t key = 0; key < ENTRIES; key++) {
        cache[key].key = key;
        for (unsigned i = 0; i < FIELDS; i++)
            cache[key].fields[i] = (uint32_t)(truth_random(&random) >> 40);
    }
    return pair_main(argc, argv, 1000000, 4, operate);
}
