/*
 * site_truth — what becomes of the blocks of a site, known to the unit.
 *
 *   site_truth           frees by other threads, growth, sizes, lifetimes, a million short lives
 *   site_truth overrun   writes of 1 to 8 bytes past the end of blocks; prints what it reads there
 *
 * Each figure stands for one function that allocates, and each of these asks for sizes of its own,
 * so that a histogram tells whose it is. Prints the truth as JSON, written without stdio.
 */
#include <malloc.h>
#include <pthread.h>

#include "samples/truth.h"

enum {
    handed_count = 5000,
    handed_bytes = 104,
    large_count = 300,
    large_bytes = 9000,
    orphan_count = 700,
    orphan_bytes = 152,
    own_count = 400,
    own_bytes = 168,
    slept_count = 20,
    slept_bytes = 200,
    brief_count = 60,
    brief_bytes = 232,
    sleep_ns = 60000000,
    million = 1000000,
    million_bytes = 264,
    kept_count = 37,
    kept_bytes = 296,
};

#define MAKER(name)                                                                                \
    static SITE void *name(size_t n)                                                               \
    {                                                                                              \
        char *p = malloc(n);                                                                       \
        KEEP(p);                                                                                   \
        p[0] = 1;                                                                                  \
        return p;                                                                                  \
    }
MAKER(handed_malloc)
MAKER(large_handed_malloc)
MAKER(orphan_malloc)
MAKER(own_malloc)
MAKER(slept_malloc)
MAKER(brief_malloc)
MAKER(million_malloc)
MAKER(kept_malloc)
MAKER(few_sizes_malloc)
MAKER(many_sizes_malloc)

static SITE void *grow_realloc(void *p, size_t n)
{
    void *q = realloc(p, n);
    KEEP(q);
    return q;
}

static SITE void *shrink_realloc(void *p, size_t n)
{
    void *q = realloc(p, n);
    KEEP(q);
    return q;
}

static void *handed[handed_count], *large[large_count], *orphan[orphan_count];

static void *others_free(void *unused)
{
    for (int i = 0; i < handed_count; i++)
        free(handed[i]);
    for (int i = 0; i < large_count; i++)
        free(large[i]);
    return unused;
}

static void *orphans_make(void *unused)
{
    for (int i = 0; i < orphan_count; i++)
        orphan[i] = orphan_malloc(orphan_bytes);
    return unused;
}

/* Has the recorder of the thread that made them, which is over, and frees them as another. */
static void *orphans_free(void *unused)
{
    for (int i = 0; i < orphan_count; i++)
        free(orphan[i]);
    return unused;
}

static void in_thread(void *(*run)(void *))
{
    pthread_t t;
    pthread_create(&t, NULL, run, NULL);
    pthread_join(t, NULL);
}

static void across_threads(void)
{
    for (int i = 0; i < handed_count; i++)
        handed[i] = handed_malloc(handed_bytes);
    for (int i = 0; i < large_count; i++)
        large[i] = large_handed_malloc(large_bytes);
    in_thread(others_free);
    in_thread(orphans_make);
    in_thread(orphans_free);
    for (int i = 0; i < own_count; i++)
        free(own_malloc(own_bytes));
    truth_put("\"cross\":{\"handed_malloc\":%d,\"large_handed_malloc\":%d,\"orphan_malloc\":%d,"
              "\"own_malloc\":0},",
              handed_count, large_count, orphan_count);
}

static void growth_known(void)
{
    enum { buffers = 50, first = 24, last = 24 << 12 };
    uint64_t grown = 0, moved = 0;
    for (int i = 0; i < buffers; i++) {
        char *p = grow_realloc(NULL, first); /* an allocation, and no growth */
        for (size_t n = first; n < last; n *= 2) {
            uintptr_t before = (uintptr_t)p;
            p = grow_realloc(p, 2 * n);
            grown++;
            moved += (uintptr_t)p != before ? n : 0;
        }
        p = shrink_realloc(p, last);     /* as many */
        p = shrink_realloc(p, last / 2); /* fewer */
        free(p);
    }
    truth_put("\"grown\":%llu,\"moved\":%llu,", (unsigned long long)grown,
              (unsigned long long)moved);
}

static void lives_known(void)
{
    void *slept[slept_count];
    struct timespec t = {0, sleep_ns};
    uint64_t born = truth_clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < slept_count; i++)
        slept[i] = slept_malloc(slept_bytes);
    for (int i = 0; i < brief_count; i++)
        free(brief_malloc(brief_bytes));
    nanosleep(&t, NULL);
    for (int i = 0; i < slept_count; i++)
        free(slept[i]);
    uint64_t most = truth_clock_ns(CLOCK_MONOTONIC) - born;
    for (int i = 0; i < kept_count; i++)
        kept_malloc(kept_bytes);
    for (int i = 0; i < million; i++)
        free(million_malloc(million_bytes));
    truth_put("\"slept\":{\"size\":%d,\"count\":%d,\"least_ns\":%d,\"most_ns\":%llu},", slept_bytes,
              slept_count, sleep_ns, (unsigned long long)most);
    truth_put("\"brief\":{\"size\":%d,\"count\":%d},\"kept\":{\"size\":%d,\"count\":%d},"
              "\"million\":{\"size\":%d,\"count\":%d},",
              brief_bytes, brief_count, kept_bytes, kept_count, million_bytes, million);
}

/* Fewer than 64 calls each: every one of them is looked at. */
static void sizes_known(void)
{
    static const size_t few[] = {3001, 3002, 3003};
    for (int i = 0; i < 60; i++)
        free(few_sizes_malloc(few[i % 3]));
    for (size_t i = 0; i < 60; i++)
        free(many_sizes_malloc((i + 1) * (i + 1) * 11));
    truth_put("\"few_sizes\":[3001,3002,3003],\"many_sizes_most\":%d", 60 * 60 * 11);
}

/* ---- overruns ---- */

#define OVER(name)                                                                                 \
    static SITE unsigned char *name(size_t n)                                                      \
    {                                                                                              \
        unsigned char *p = malloc(n);                                                              \
        KEEP(p);                                                                                   \
        return p;                                                                                  \
    }
OVER(over_malloc)
OVER(string_malloc)
OVER(grown_malloc)
OVER(clean_malloc)
OVER(usable_malloc)

static SITE unsigned behind_written(unsigned char *p, size_t n, unsigned bytes, unsigned seed)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < bytes; i++) {
        p[n + i] = (unsigned char)(seed * 7 + i * 31 + 1);
        KEEP(p);
        sum = sum * 31 + p[n + i];
    }
    return sum;
}

static void overruns_known(void)
{
    enum { rounds = 2000 };
    unsigned sum = 0, over = 0, string = 0;
    for (unsigned n = 1; n <= 160; n++) /* as far as glibc itself would not notice */
        for (unsigned bytes = 1; bytes <= 8 && bytes <= ((24 - n) & 15); bytes++, over++) {
            unsigned char *p = over_malloc(n);
            sum += behind_written(p, n, bytes, over);
            free(p);
        }
    for (; string < rounds; string++) { /* a string's end, one too far */
        unsigned char *p = string_malloc(48);
        memset(p, 'x', 48);
        KEEP(p);
        p[48] = 0;
        KEEP(p);
        sum += p[48] + p[47];
        free(p);
    }
    for (unsigned i = 0; i < 50; i++) { /* realloc finds it, and keeps what was written */
        unsigned char *p = grown_malloc(44);
        memset(p, 'y', 44);
        sum += behind_written(p, 44, 4, i);
        p = grow_realloc(p, 400);
        for (unsigned k = 0; k < 48; k++)
            sum += p[k];
        free(p);
        free(clean_malloc(i));
    }
    for (unsigned i = 1; i <= 64; i++) { /* no overrun: the program was told of it */
        unsigned char *p = usable_malloc(i);
        size_t usable = malloc_usable_size(p);
        memset(p, 'z', usable);
        sum += p[i - 1];
        free(p);
    }
    truth_put("\"sum\":%u,\"over\":%u,\"string\":%u,\"grown\":50", sum, over, string);
}

int main(int argc, char **argv)
{
    truth_put("{");
    if (argc > 1 && strcmp(argv[1], "overrun") == 0) {
        overruns_known();
    } else {
        across_threads();
        growth_known();
        lives_known();
        sizes_known();
    }
    truth_put("}\n");
    truth_flush();
    return 0;
}
