#include "store/bench/workload.h"

#include <stdlib.h>
#include <string.h>

enum { FILLER_SLACK = 4096, FILLER_STEP = 8 };

double workload_read_ratio(const char *name)
{
#define X(known, ratio)                                                                            \
    if (strcmp(name, known) == 0)                                                                  \
        return ratio;
    WORKLOADS(X)
#undef X
    return -1;
}

const char *op_name(enum op_kind kind)
{
    return kind == OP_GET ? "get" : "put";
}

int workload_init(struct workload *w, double read_ratio, uint64_t keys, size_t value_size,
                  uint64_t seed, int verify)
{
    size_t bytes = value_size + FILLER_SLACK;
    *w = (struct workload){.keys = keys, .value_size = value_size, .seed = seed, .verify = verify};
    w->read_below = (uint64_t)(read_ratio * (double)((uint64_t)1 << 53));
    w->filler = malloc(bytes);
    if (!w->filler)
        return -1;
    struct rng rng;
    rng_init(&rng, seed, UINT64_MAX); /* no thread's stream */
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        uint64_t word = rng_next(&rng);
        memcpy(w->filler + i, &word, bytes - i < sizeof word ? bytes - i : sizeof word);
    }
    return 0;
}

void workload_release(struct workload *w)
{
    free(w->filler);
    w->filler = NULL;
}

int generator_init(struct generator *g, const struct workload *w, unsigned thread)
{
    *g = (struct generator){.workload = w, .writer = (uint64_t)thread << 48};
    rng_init(&g->rng, w->seed, thread);
    if (!w->verify)
        return 0;
    g->value = malloc(w->value_size);
    return g->value ? 0 : -1;
}

void generator_release(struct generator *g)
{
    free(g->value);
    g->value = NULL;
}

void op_next(struct generator *g, struct op *op)
{
    const struct workload *w = g->workload;
    op->kind = rng_next(&g->rng) >> 11 < w->read_below ? OP_GET : OP_PUT;
    op->number = rng_below(&g->rng, w->keys);
    key_write(op->key, op->number);
}

void key_write(char key[KEY_SIZE], uint64_t number)
{
    memcpy(key, "key0000000000000", KEY_SIZE);
    for (char *digit = key + KEY_SIZE; number; number /= 10)
        *--digit = (char)('0' + number % 10);
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
    if (!w->verify)
        return slice;
    struct value_header header = {.key = key_number, .writer = g->writer};
    size_t rest = w->value_size - sizeof header;
    header.checksum = value_checksum(&header, slice, rest);
    memcpy(g->value, &header, sizeof header);
    memcpy(g->value + sizeof header, slice, rest);
    return g->value;
}

int value_valid(const struct workload *w, const void *value, size_t size, uint64_t key_number)
{
    struct value_header header;
    if (size != w->value_size || size < sizeof header)
        return 0;
    memcpy(&header, value, sizeof header);
    return header.key == key_number &&
           header.checksum ==
               value_checksum(&header, (const char *)value + sizeof header, size - sizeof header);
}
