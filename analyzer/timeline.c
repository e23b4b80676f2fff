#include <stdlib.h>

#include "analyzer/json_write.h"
#include "analyzer/memory.h"
#include "analyzer/timeline.h"

static const uint32_t intervals_ms[] = {
    10,     20,     30,     40,     50,     60,     80,     100,     150,     200,     250,
    300,    400,    500,    600,    800,    1000,   1500,   2000,    2500,    3000,    4000,
    5000,   6000,   8000,   10000,  15000,  20000,  30000,  40000,   60000,   90000,   120000,
    180000, 240000, 300000, 360000, 480000, 600000, 900000, 1200000, 1800000, 2400000, 3600000,
};

/* Intervals that cover the time; at least one. */
static int64_t intervals_in(int64_t wall_ns, int64_t interval_ns)
{
    int64_t n = wall_ns / interval_ns + (wall_ns % interval_ns != 0);
    return n > 0 ? n : 1;
}

int64_t timeline_interval_for(int64_t wall_ns, unsigned most)
{
    enum { ms = 1000000 };
    size_t i = 0, last = sizeof intervals_ms / sizeof *intervals_ms - 1;
    while (i < last && intervals_in(wall_ns, intervals_ms[i] * (int64_t)ms) > most)
        i++;
    int64_t interval = intervals_ms[i] * (int64_t)ms;
    while (intervals_in(wall_ns, interval) > most && interval <= INT64_MAX / 2)
        interval *= 2;
    return interval;
}

/* While moments are folded. */
struct folding {
    struct timeline *to;
    uint64_t wall_ns;
    uint64_t tick_ns;
    size_t at;    /* intervals before this one are complete */
    int64_t live; /* as it was told last */
    bool on;      /* recording, then */
    bool was_on;  /* ever */
};

/* [from, to) in ns, in the intervals first … last. */
struct span {
    uint64_t from, to;
    size_t first, last;
};

static struct span span_of(const struct folding *f, uint64_t from, uint64_t to)
{
    uint64_t interval = (uint64_t)f->to->interval_ns;
    size_t end = f->to->count - 1;
    to = to < f->wall_ns ? to : f->wall_ns;
    if (from >= to) /* told after the end: it belongs to the last instant */
        from = to ? to - 1 : 0;
    size_t first = (size_t)(from / interval), last = to ? (size_t)((to - 1) / interval) : 0;
    return (struct span){from, to, first < end ? first : end, last < end ? last : end};
}

/* Shares n out by time, as differences of a running sum: the parts add up to n. */
static void share_out(const struct folding *f, struct span s, int64_t n, size_t field)
{
    int64_t before = 0;
    for (size_t i = s.first; i <= s.last; i++) {
        uint64_t passed = (i + 1) * (uint64_t)f->to->interval_ns - s.from;
        int64_t *at = (int64_t *)((char *)&f->to->items[i] + field);
        int64_t now =
            i == s.last ? n : (int64_t)((__int128)n * (int64_t)passed / (int64_t)(s.to - s.from));
        *at = metric_sum(*at, metric_difference(now, before));
        before = now;
    }
}

/* What is so since the last moment, is so in all intervals up to this one. */
static void carry_on(struct folding *f, size_t last, int64_t live_max, bool recorded)
{
    for (size_t i = f->at; i <= last; i++) {
        struct timeline_interval *at = &f->to->items[i];
        at->recorded |= recorded;
        at->live_known |= f->was_on;
        at->live_bytes = f->live;
        if (at->live_max_bytes < live_max)
            at->live_max_bytes = live_max;
    }
    f->at = last;
}

static void moment_fold(struct folding *f, const struct pshim_moment *m, struct span s)
{
    int64_t allocs = (int64_t)pshim_load(&m->allocs), bytes = (int64_t)pshim_load(&m->alloc_bytes);
    int64_t cpu_ns = (int64_t)(pshim_load(&m->ticks) * f->tick_ns + pshim_load(&m->extra_ns));
    uint32_t recording = pshim_load32(&m->recording);
    share_out(f, s, allocs, offsetof(struct timeline_interval, allocs));
    share_out(f, s, bytes, offsetof(struct timeline_interval, alloc_bytes));
    share_out(f, s, cpu_ns, offsetof(struct timeline_interval, cpu_ns));
    carry_on(f, s.first, f->live, f->on);
    f->on = recording & (PSHIM_MOMENT_ON | PSHIM_MOMENT_OFF) ? recording & PSHIM_MOMENT_ON : f->on;
    bool recorded = f->on || (recording & PSHIM_MOMENT_PART) || allocs || cpu_ns;
    f->was_on |= recorded;
    f->live = (int64_t)pshim_load(&m->live_bytes);
    carry_on(f, s.last, (int64_t)pshim_load(&m->live_max), recorded);
}

/*
 * Less CPU time than none: a thread's last tick stood for more than it ran, which is told when it
 * ends. It is taken from before.
 */
static void cpu_settle(struct timeline *t)
{
    int64_t owed = 0;
    for (size_t i = t->count; i-- > 0;) {
        int64_t *ns = &t->items[i].cpu_ns;
        *ns = metric_sum(*ns, owed);
        owed = *ns < 0 ? *ns : 0;
        *ns = *ns < 0 ? 0 : *ns;
    }
}

static void moments_fold(struct timeline *to, const struct model *m, uint32_t count)
{
    struct folding f = {
        .to = to, .wall_ns = (uint64_t)m->wall_ns, .tick_ns = m->header->tick_period_ns};
    const struct pshim_moment *start = reader_moment(m->reader, 0);
    f.on = !start || pshim_load32(&start->recording) != PSHIM_MOMENT_OFF;
    uint64_t capacity = profile_region(&m->reader->profile, PSHIM_REGION_MOMENT)->capacity;
    for (uint32_t i = 0; i < count; i++) {
        const struct pshim_moment *moment = reader_moment(m->reader, i);
        if (!moment)
            continue;
        uint64_t end = i + 1 == capacity ? UINT64_MAX : pshim_moment_start(i + 1);
        moment_fold(&f, moment, span_of(&f, pshim_moment_start(i), end));
    }
    carry_on(&f, to->count - 1, f.live, f.on);
}

void timeline_build(struct timeline *to, const struct model *m, unsigned most)
{
    uint32_t count = reader_count(m->reader, PSHIM_REGION_MOMENT);
    bool any = false;
    *to = (struct timeline){0};
    for (uint32_t i = 0; i < count && !any; i++)
        any = reader_moment(m->reader, i) != NULL;
    if (!any)
        return;
    to->interval_ns = timeline_interval_for(m->wall_ns, most);
    to->count = (size_t)intervals_in(m->wall_ns, to->interval_ns);
    to->items = memory_new(to->count, sizeof *to->items);
    moments_fold(to, m, count);
    for (size_t i = 0; i < to->count; i++)
        to->items[i].span_ns = to->interval_ns;
    if (m->wall_ns > 0)
        to->items[to->count - 1].span_ns = m->wall_ns - ((int64_t)to->count - 1) * to->interval_ns;
    cpu_settle(to);
}

void timeline_release(struct timeline *t)
{
    free(t->items);
    *t = (struct timeline){0};
}

/* One series: null as a whole if it was not measured, null where recording was off. */
static void series_put(struct json *j, const char *key, const struct timeline *t, bool measured,
                       size_t field, size_t known)
{
    if (!measured) {
        json_put_null(j, key);
        return;
    }
    json_begin(j, key, '[');
    for (size_t i = 0; i < t->count; i++) {
        const char *item = (const char *)&t->items[i];
        if (*(const bool *)(item + known))
            json_put_int(j, NULL, *(const int64_t *)(item + field));
        else
            json_put_null(j, NULL);
    }
    json_end(j);
}

void timeline_json(struct json *j, const struct model *m)
{
    struct timeline t;
    timeline_build(&t, m, TIMELINE_INTERVALS_MOST);
    if (!t.count) {
        json_put_null(j, "timeline");
        return;
    }
    bool allocs = model_has(m, METRIC_ALLOC_CALLS), cpu = model_has(m, METRIC_CPU_NS);
#define SERIES(field, measured, known)                                                             \
    series_put(j, #field, &t, measured, offsetof(struct timeline_interval, field),                 \
               offsetof(struct timeline_interval, known))
    json_begin(j, "timeline", '{');
    json_put_int(j, "interval_ns", t.interval_ns);
    json_begin(j, "series", '{');
    SERIES(live_bytes, allocs, live_known);
    SERIES(live_max_bytes, allocs, live_known);
    SERIES(allocs, allocs, recorded);
    SERIES(alloc_bytes, allocs, recorded);
    SERIES(cpu_ns, cpu, recorded);
    json_end(j);
    json_end(j);
#undef SERIES
    timeline_release(&t);
}
