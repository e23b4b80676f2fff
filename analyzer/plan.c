#include "analyzer/plan.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/memory.h"
#include "analyzer/queue.h"
#include "analyzer/stats.h"
#include "common/units.h"

/* Below this share of an operation's cost, contention and coherency together bind nothing. */
#define BINDS_LEAST 0.05

static const struct {
    const char *name;
    double quantile;
} latencies[] = {
#define X(id, name, quantile) {name, quantile},
    PLAN_LATENCIES(X)
#undef X
};

const char *plan_latency_name(enum plan_latency which)
{
    return latencies[which].name;
}

const char *plan_binds_name(enum plan_binds binds)
{
    static const char *const names[] = {[PLAN_BINDS_NOTHING] = "nothing",
                                        [PLAN_BINDS_CONTENTION] = "contention",
                                        [PLAN_BINDS_COHERENCY] = "coherency",
                                        [PLAN_BINDS_SLO] = "slo"};
    return names[binds];
}

const char *plan_answer_name(enum plan_answer answer)
{
    static const char *const names[] = {[PLAN_NONE] = NULL,
                                        [PLAN_ENOUGH] = "enough",
                                        [PLAN_PREDICTED] = "predicted",
                                        [PLAN_SHORT] = "short",
                                        [PLAN_UNKNOWN] = "unknown"};
    return names[answer];
}

/* --- levels --- */

void plan_series_release(struct plan_series *s)
{
    free(s->levels);
    *s = (struct plan_series){0};
}

static int by_level(const void *a, const void *b)
{
    const struct plan_level *x = a, *y = b;
    return (x->level > y->level) - (x->level < y->level);
}

/* The median of the double at `offset` in n levels, of those that measured it. */
static double median_of(const struct plan_level *levels, size_t n, size_t offset, double *room)
{
    size_t measured = 0;

    for (size_t i = 0; i < n; i++) {
        double v = *(const double *)((const char *)&levels[i] + offset);
        if (!isnan(v))
            room[measured++] = v;
    }
    return stats_median(room, measured);
}

void plan_combine(struct plan_series *s)
{
    double *room = memory_new(s->count, sizeof *room);
    size_t levels = 0;

    if (s->count)
        qsort(s->levels, s->count, sizeof *s->levels, by_level);
    for (size_t i = 0, n; i < s->count; i += n) {
        const struct plan_level *same = &s->levels[i];
        struct plan_level one = {.level = same->level, .errors = NAN};
        for (n = 0; i + n < s->count && same[n].level == same->level; n++) {
            one.repeats += same[n].repeats;
            if (!isnan(same[n].errors))
                one.errors = (isnan(one.errors) ? 0 : one.errors) + same[n].errors;
        }
        one.throughput = median_of(same, n, offsetof(struct plan_level, throughput), room);
        for (size_t k = 0; k < PLAN_LATENCY_COUNT; k++)
            one.latency_ns[k] =
                median_of(same, n, offsetof(struct plan_level, latency_ns[k]), room);
        s->levels[levels++] = one;
    }
    s->count = levels;
    free(room);
}

/* --- latency targets --- */

/* The unit as it was written: text after the number of a budget's text. */
static const char *unit_written(const struct budget *b)
{
    const char *s = b->text + strcspn(b->text, "<>=");
    double value;

    s += strspn(s, "<>= \t");
    return units_parse_real(s, &value, &s) == 0 ? s + strspn(s, " \t") : "";
}

int plan_slo_parse(const char *s, struct plan_slo out[static PLAN_SLOS_MAX], char err[static 160])
{
    struct budget budgets[PLAN_SLOS_MAX];
    int n = budget_parse(s, budgets, PLAN_SLOS_MAX, err);

    for (int i = 0; i < n; i++) {
        const struct budget *b = &budgets[i];
        const char *unit = unit_written(b);
        size_t k = 0;
        while (k < PLAN_LATENCY_COUNT && strcmp(b->name, latencies[k].name) != 0)
            k++;
        if (k == PLAN_LATENCY_COUNT) {
            snprintf(err, 160, "unknown name '%.40s', not one of avg p50 p90 p95 p99 p999 max",
                     b->name);
            return -1;
        }
        if (b->op == BUDGET_GT || b->op == BUDGET_GE) {
            snprintf(err, 160, "%s: a latency must stay below something: <, <= or =", b->text);
            return -1;
        }
        if (b->value <= 0 || *unit == '%' || isupper((unsigned char)*unit)) {
            snprintf(err, 160, "%s: not a duration (10ms)", b->text);
            return -1;
        }
        out[i] = (struct plan_slo){.latency = (enum plan_latency)k,
                                   .strict = b->op == BUDGET_LT,
                                   .limit_ns = *unit ? b->value : b->value * 1e9};
        strcpy(out[i].text, b->text);
    }
    return n;
}

bool plan_slo_met(const struct plan_slo *slo, double latency_ns)
{
    return slo->strict ? latency_ns < slo->limit_ns : latency_ns <= slo->limit_ns;
}

static bool slos_met(const struct plan *p, const double latency_ns[])
{
    for (int i = 0; i < p->slo_count; i++)
        if (!plan_slo_met(&p->slo[i], latency_ns[p->slo[i].latency]))
            return false;
    return true;
}

/* --- the sweep --- */

static double round_up(double v)
{
    double whole = nearbyint(v);
    return fabs(v - whole) <= 1e-9 * v ? whole : ceil(v);
}

double plan_provisioned(double target, double util)
{
    return round_up(target / util);
}

/* The level of most throughput among the first n, −1 if n is 0. */
static long highest_of(const struct plan_series *s, size_t n)
{
    long best = n ? 0 : -1;

    for (size_t i = 1; i < n; i++)
        if (s->levels[i].throughput > s->levels[best].throughput)
            best = (long)i;
    return best;
}

static void slo_judge(struct plan *p)
{
    size_t good = 0;

    while (good < p->sweep.count && slos_met(p, p->sweep.levels[good].latency_ns))
        good++;
    p->slo_last = (long)good - 1;
    p->slo_broken = good < p->sweep.count ? (long)good : -1;
    p->highest = highest_of(&p->sweep, p->sweep.count);
    p->capacity = highest_of(&p->sweep, good);
}

static void binds_judge(struct plan *p)
{
    double n = fmin(usl_peak(&p->fit), p->sweep.levels[p->sweep.count - 1].level);

    p->binds_level = n;
    p->contention = p->fit.alpha * (n - 1);
    p->coherency = p->fit.beta * n * (n - 1);
    if (p->slo_broken >= 0 && p->highest > p->slo_last)
        p->binds = PLAN_BINDS_SLO;
    else if (p->contention + p->coherency < BINDS_LEAST)
        p->binds = PLAN_BINDS_NOTHING;
    else
        p->binds = p->coherency > p->contention ? PLAN_BINDS_COHERENCY : PLAN_BINDS_CONTENTION;
}

static double within(double n, double reach)
{
    return isfinite(n) && n <= reach ? n : NAN;
}

static void answer_find(struct plan *p)
{
    double measured = p->capacity >= 0 ? p->sweep.levels[p->capacity].throughput : 0;

    p->instances = measured > 0 ? round_up(p->provisioned / measured) : NAN;
    if (measured >= p->provisioned) {
        long i = 0;
        while (p->sweep.levels[i].throughput < p->provisioned)
            i++;
        p->needed_level = p->sweep.levels[i].level;
        p->answer = PLAN_ENOUGH;
        return;
    }
    p->answer = PLAN_SHORT;
    if (p->slo_broken >= 0) /* more threads would break it too */
        return;
    double needed = usl_level_for(&p->fit, p->provisioned);
    if (isnan(needed)) { /* past the fit's maximum, if that is believed */
        if (isnan(p->peak) && !p->extrapolate)
            p->answer = PLAN_UNKNOWN;
    } else if (needed > p->sweep.levels[p->sweep.count - 1].level) {
        p->answer = needed <= p->reach ? PLAN_PREDICTED : PLAN_UNKNOWN;
        p->needed_level = within(ceil(needed), ceil(p->reach));
    } /* else the fit is better than any measurement was: that is none */
}

static int sweep_compute(struct plan *p, char err[static PLAN_ERROR_BYTES])
{
    const struct plan_series *s = &p->sweep;

    if (s->count < PLAN_LEVELS_LEAST) {
        snprintf(err, PLAN_ERROR_BYTES, "%zu level%s, too few: a fit needs %d different ones",
                 s->count, s->count == 1 ? "" : "s", PLAN_LEVELS_LEAST);
        return -1;
    }
    for (int i = 0; i < p->slo_count; i++)
        for (size_t k = 0; k < s->count; k++)
            if (isnan(s->levels[k].latency_ns[p->slo[i].latency])) {
                snprintf(err, PLAN_ERROR_BYTES, "--slo %s: %s was not measured at level %g",
                         p->slo[i].text, latencies[p->slo[i].latency].name, s->levels[k].level);
                return -1;
            }
    double *n = memory_new(2 * s->count, sizeof *n), *x = n + s->count;
    for (size_t i = 0; i < s->count; i++) {
        n[i] = s->levels[i].level;
        x[i] = s->levels[i].throughput;
    }
    int status = usl_fit(&p->fit, n, x, s->count);
    free(n);
    if (status != 0) {
        snprintf(err, PLAN_ERROR_BYTES, "no scalability law fits these levels");
        return -1;
    }
    p->reach = p->extrapolate ? INFINITY : PLAN_REACH * s->levels[s->count - 1].level;
    p->knee = within(usl_knee(&p->fit), p->reach);
    p->peak = within(usl_peak(&p->fit), p->reach);
    p->limit = !isnan(p->peak) || p->extrapolate ? usl_limit(&p->fit) : NAN;
    p->at_throughput = isnan(within(p->at, p->reach)) ? NAN : usl_throughput(&p->fit, p->at);
    slo_judge(p);
    binds_judge(p);
    if (!isnan(p->target))
        answer_find(p);
    return 0;
}

/* --- the queue --- */

static void queue_compute(struct plan *p)
{
    p->queue_rate = p->util * (double)p->servers / (p->service_ns / 1e9);
    p->queue_ns[PLAN_AVG] = p->service_ns * queue_mean(p->servers, p->util);
    for (size_t k = 0; k < PLAN_LATENCY_COUNT; k++)
        if (!isnan(latencies[k].quantile))
            p->queue_ns[k] =
                p->service_ns * queue_quantile(p->servers, p->util, latencies[k].quantile);
}

int plan_compute(struct plan *p, char err[static PLAN_ERROR_BYTES])
{
    p->provisioned = plan_provisioned(p->target, p->util);
    p->knee = p->peak = p->limit = p->needed_level = p->instances = p->at_throughput = NAN;
    p->queue_rate = NAN;
    p->servers_needed =
        p->service_ns > 0 ? plan_provisioned(p->target * p->service_ns / 1e9, p->util) : NAN;
    for (size_t k = 0; k < PLAN_LATENCY_COUNT; k++)
        p->queue_ns[k] = NAN;
    p->highest = p->slo_last = p->slo_broken = p->capacity = -1;
    p->answer = PLAN_NONE;
    if (p->servers)
        queue_compute(p);
    return p->from ? sweep_compute(p, err) : 0;
}

bool plan_slo_says_no(const struct plan *p)
{
    if (!p->slo_count)
        return false;
    for (int i = 0; p->servers && i < p->slo_count; i++) {
        double expected = p->queue_ns[p->slo[i].latency];
        if (!isnan(expected) && !plan_slo_met(&p->slo[i], expected))
            return true;
    }
    if (!p->from)
        return false;
    return isnan(p->target) ? p->slo_last < 0 : p->answer == PLAN_SHORT && p->slo_broken >= 0;
}
