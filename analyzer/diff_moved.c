/* Work moved out of a lock: what A's finding about it predicts, and what came of it in B. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/diff.h"
#include "analyzer/findings.h"
#include "analyzer/lock_groups.h"
#include "analyzer/memory.h"
#include "analyzer/stats.h"

/* How long all locks of that name were held, per unit: the median over a side's runs. NaN where one
   of them has no holds; 0 where none has such a lock. */
static double held_ns(const struct diff_runs *side, const char *lock)
{
    double *v = memory_new(side->count, sizeof *v);
    bool known = true;
    for (size_t i = 0; i < side->count; i++) {
        const struct diff_run *r = &side->runs[i];
        struct lock_groups groups;
        known = known && model_has(&r->model, METRIC_LOCK_HOLD_NS);
        lock_groups_build(&groups, &r->model, r->frames);
        for (size_t k = 0; k < groups.count; k++)
            if (strcmp(groups.items[k].name, lock) == 0)
                v[i] = (double)groups.items[k].counts.hold_ns / r->unit;
        lock_groups_release(&groups);
    }
    double median = known ? stats_median(v, side->count) : NAN;
    free(v);
    return median;
}

/* What a run's first finding with such a prediction says of the lock ("" = of any, and then it is
   named). Per unit; 0 = it says nothing. */
static double prediction(const struct diff_run *r, char lock[static DIFF_LOCK_BYTES])
{
    struct findings findings;
    double predicted = 0;
    findings_build(&findings, &r->model, r->frames);
    for (size_t i = 0; i < findings.count && predicted == 0; i++) {
        const struct finding *item = &findings.items[i];
        if (isnan(item->predicted_ns) || (*lock && strcmp(lock, item->lock) != 0))
            continue;
        snprintf(lock, DIFF_LOCK_BYTES, "%s", item->lock);
        predicted = item->predicted_ns / r->unit;
    }
    findings_release(&findings);
    return predicted;
}

void diff_moved_compare(struct diff *d)
{
    const struct diff_runs *a = &d->sides[DIFF_A];
    struct diff_moved *to = &d->moved;
    double *predicted = memory_new(a->count, sizeof *predicted);
    char lock[DIFF_LOCK_BYTES] = "";
    *to = (struct diff_moved){.predicted_ns = NAN, .measured_ns = NAN};
    for (size_t i = 0; i < a->count; i++)
        predicted[i] = prediction(&a->runs[i], lock);
    if (*lock && diff_held_less(held_ns(a, lock), held_ns(&d->sides[DIFF_B], lock))) {
        strcpy(to->lock, lock);
        to->predicted_ns = stats_median(predicted, a->count);
        to->measured_ns = d->totals[DIFF_COST_NS].delta;
    }
    free(predicted);
}
