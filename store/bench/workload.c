#include "store/bench/workload.h"

#include <stdlib.h>
#include <string.h>

enum { FILLER_SLACK = 4096, FILLER_STEP = 8, FILLER_UNIT = 128 };

static const struct mix mixes[] = {
#define X(name, get, put, insert, rmw, scan, distribution)                                         \
    {name, {get, put, insert, rmw, scan}, distribution},
    WORKLOADS(X)
#undef X
};

const struct mix *mix_named(const char *name)
{
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++)
        if (strcmp(mixes[i].name, name) == 0)
            return &mixes[i];
    return NULL;
}

const char *op_name(enum op_kind kind)
{
    static const char *const names[] = {
#define X(id, name) name,
        OP_LIST(X)
#undef X
    };
    return names[kind];
}

/* Units of random bytes with zeros behind. */
static void filler_fill(char *filler, size_t bytes, double zeros, uint64_t seed)
{
    struct rng rng;
    size_t random = FILLER_UNIT - (size_t)(zeros * FILLER_UNIT + 0.5);
    rng_init(&rng, seed, UINT64_MAX); /* no thread's stream */
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        uint64_t word = rng_next(&rng);
        memcpy(filler + i, &word, bytes - i < sizeof word ? bytes - i : sizeof word);
    }
    for (size_t i = random; random < FILLER_UNIT && i < bytes; i += FILLER_UNIT)
        memset(filler + i, 0, bytes - i < FILLER_UNIT - random ? bytes - i : FILLER_UNIT - random);
}

int workload_init(struct workload *w, const struct workload_setup *setup)
{
    size_t bytes = setup->value_size + FILLER_SLACK;
    double share = 0;
    *w = (struct workload){.setup = *setup};
    for (int i = 0; i < OP_KINDS; i++) {
        share += setup->share[i];
        w->below[i] = (uint64_t)(share * 0x1p53);
    }
    for (int i = OP_KINDS - 1, last = 0; i >= 0 && !last; i--) {
        w->below[i] = (uint64_t)1 << 53; /* the sum may be just below 1 */
        last = setup->share[i] > 0;
    }
    distribution_init(&w->distribution, setup->distribution, setup->theta, setup->hot_keys,
                      setup->hot_ops);
    if (keyspace_init(&w->keyspace, setup->keys, setup->share[OP_INSERT] > 0) != 0)
        return -1;
    w->filler = malloc(bytes);
    if (!w->filler)
        return -1;
    filler_fill(w->filler, bytes, setup->compressibility, setup->seed);
    return 0;
}

void workload_release(struct workload *w)
{
    keyspace_release(&w->keyspace);
    free(w->filler);
    w->filler = NULL;
}

int generator_init(struct generator *g, struct workload *w, unsigned thread)
{
    *g = (struct generator){.workload = w, .writer = (uint64_t)thread << 48};
    rng_init(&g->rng, w->setup.seed, thread);
    if (!w->setup.verify)
        return 0;
    g->value = malloc(w->setup.value_size);
    return g->value ? 0 : -1;
}

void generator_release(struct generator *g)
{
    free(g->value);
    g->value = NULL;
}

static uint64_t insert_number(struct generator *g)
{
    if (!g->insert_is_under)
        g->insert = keyspace_begin(&g->workload->keyspace);
    g->insert_is_under = 1;
    return g->insert;
}

void op_inserted(struct generator *g)
{
    g->insert_is_under = 0;
    keyspace_end(&g->workload->keyspace, g->insert);
}

void op_next(struct generator *g, struct op *op)
{
    struct workload *w = g->workload;
    uint64_t bits = rng_next(&g->rng) >> 11;
    int kind = 0;
    while (kind < OP_KINDS - 1 && bits >= w->below[kind])
        kind++;
    op->kind = (enum op_kind)kind;
    if (kind == OP_INSERT)
        op->number = insert_number(g);
    else if (w->setup.distribution == DISTRIBUTION_LATEST)
        op->number = distribution_draw(&w->distribution, &g->rng, &g->zipf_end,
                                       keyspace_count(&w->keyspace));
    else /* the keys at the start: new ones would move what is hot */
        op->number = distribution_draw(&w->distribution, &g->rng, &g->zipf_end, w->setup.keys);
    if (kind == OP_SCAN)
        op->entries = (unsigned)rng_below(&g->rng, w->setup.scan_length) + 1;
    key_write(op->key, op->number);
}

void key_write(char key[KEY_SIZE], uint64_t number)
{
    memcpy(key, "key0000000000000", KEY_SIZE);
    for (char *digit = key + KEY_SIZE; number; number /= 10)
        *--digit = (char)('0' + number % 10);
}

uint64_t key_number(const void *key, size_t size)
{
    const char *text = key;
    uint64_t number = 0;
    if (size != KEY_SIZE || memcmp(text, "key", 3) != 0)
        return UINT64_MAX;
    for (int i = 3; i < KEY_SIZE; i++) {
        if (text[i] < '0' || text[i] > '9')
            return UINT64_MAX;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    return number;
}

static uint64_t value_checksum(const struct value_header *header, const char *rest, size_t size)
{
    uint64_t sum = rng_mix(rng_mix(header->key) + header->writer);
    for (; size >= 8; rest += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, rest, 8);
        sum = rng_mix(sum ^ word) + size;
    }
    uint64_t tail = 0;
    memcpy(&tail, rest, size);
    return rng_mix(sum ^ tail);
}

const char *value_next(struct generator *g, uint64_t key_number)
{
    const struct workload *w = g->workload;
    const char *slice = w->filler + g->writer++ * FILLER_STEP % FILLER_SLACK;
    if (!w->setup.verify)
        return slice;
    struct value_header header = {.key = key_number, .writer = g->writer};
    size_t rest = w->setup.value_size - sizeof header;
    header.checksum = value_checksum(&header, slice, rest);
    memcpy(g->value, &header, sizeof header);
    memcpy(g->value + sizeof header, slice, rest);
    return g->value;
}

int value_valid(const struct workload *w, const void *value, size_t size, uint64_t key_number)
{
    struct value_header header;
    if (size != w->setup.value_size || size < sizeof header)
        return 0;
    memcpy(&header, value, sizeof header);
    return header.key == key_number &&
           header.checksum ==
               value_checksum(&header, (const char *)value + sizeof header, size - sizeof header);
}
