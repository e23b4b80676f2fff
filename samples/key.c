/*
 * key — look-ups that make their key anew each time; key_cured.c is the same, making it once.
 *
 * Lesson: what does not change is made once, in memory that is there already. A session asks for
 * its fields one after the other, all under the key of the session. Making that key takes an
 * allocation and far more time than the look-up for which it is made.
 */
#include "samples/pair.h"

enum { KEY_BYTES = 64, SLOTS = 4096, LOOKUPS = 16 };

static uint32_t table[SLOTS];

static SITE void key_format(char *key, uint32_t session)
{
    snprintf(key, KEY_BYTES, "tenant:%03u:session:%08x", session % 512, session);
}

static SITE uint32_t table_find(const char *key, unsigned field)
{
    uint32_t hash = 2166136261u + field;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return table[hash % SLOTS];
}

#ifndef CURED
static SITE char *key_new(struct worker *w, uint32_t session)
{
    char *key = malloc(KEY_BYTES);
    pair_count(w, KEY_BYTES);
    key_format(key, session);
    return key;
}

static SITE uint32_t session_get(struct worker *w, uint32_t session, unsigned field)
{
    char *key = key_new(w, session);
    uint32_t value = table_find(key, field);
    free(key);
    return value;
}
#else
static SITE uint32_t session_get(struct worker *w, uint32_t session, unsigned field)
{
    static __thread char key[KEY_BYTES];
    static __thread uint32_t key_session;
    (void)w;
    if (!*key || key_session != session)
        key_format(key, key_session = session);
    return table_find(key, field);
}
#endif

static void operate(struct worker *w)
{
    static __thread uint32_t session;
    static __thread unsigned field = LOOKUPS;
    if (field == LOOKUPS) {
        session = (uint32_t)(truth_random(&w->random) >> 32);
        field = 0;
    }
    w->checksum = w->checksum * 31 + session_get(w, session, field++);
}

int main(int argc, char **argv)
{
    uint64_t random = 1;
    for (unsigned i = 0; i < SLOTS; i++)
        table[i] = (uint32_t)(truth_random(&random) >> 32);
    return pair_main(argc, argv, 10000000, 2, operate);
}
