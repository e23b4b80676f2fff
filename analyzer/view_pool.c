/* Which sites a pool is worth it for: --view=pool. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/advisor.h"
#include "analyzer/histogram.h"
#include "analyzer/view_sites.h"
#include "common/units.h"

enum { named_most = 3 };

/* A change: what is saved has a minus. */
static char *saved_calls_text(const struct view *v, double saved, char to[static TEXT_BUF])
{
    char text[UNITS_BUF];
    double ops = (double)model_ops(v->model);
    if (ops > 0)
        snprintf(to, TEXT_BUF, "-%.2f", saved / ops);
    else
        snprintf(to, TEXT_BUF, "-%s", units_count(text, saved));
    return to;
}

static char *saved_ns_text(const struct view *v, double saved, char to[static TEXT_BUF])
{
    char text[UNITS_BUF];
    double ops = (double)model_ops(v->model);
    if (isnan(saved))
        strcpy(to, "-");
    else
        snprintf(to, TEXT_BUF, "%s%s", saved >= 0 ? "-" : "+",
                 units_duration(text, fabs(saved) / (ops > 0 ? ops : 1)));
    return to;
}

static void worth_row(struct table *t, const struct view *v, const struct advisor_site *item)
{
    char text[TEXT_BUF];
    const struct pooling *p = &item->pooling;
    const struct model_histogram *h = item->histogram;
    const int64_t *m = item->site->m.v;
    table_cell(t, "%s", saved_calls_text(v, p->saved_calls, text));
    table_cell(t, "%s", saved_ns_text(v, p->saved_ns, text));
    snprintf(text, sizeof text, p->reuse < 100 ? "%.1fx" : "%.0fx", p->reuse);
    table_cell(t, "%s", p->reuse < 10000 ? text : ">9999x");
    table_cell(
        t, "%s",
        h->lived_count
            ? units_duration(text, model_life_ns(v->model, histogram_quantile(h->lived, 0.5)))
            : "-");
    table_cell(t, "%s", histogram_sizes_text(h, text));
    sites_dash_cell(
        t, m[METRIC_CROSS_THREAD_FREES],
        text_percent(text, (double)m[METRIC_CROSS_THREAD_FREES], (double)m[METRIC_FREE_CALLS]));
    table_cell(t, "%s", pooling_word(p->verdict));
    sites_place_cells(t, v, item->site);
}

static int by_calls(const void *a, const void *b)
{
    const struct advisor_site *x = a, *y = b;
    return x->site < y->site ? -1 : x->site > y->site; /* which are by calls, then by name */
}

static int by_bytes(const void *a, const void *b)
{
    const struct advisor_site *x = a, *y = b;
    int64_t v = x->site->m.v[METRIC_ALLOC_BYTES], w = y->site->m.v[METRIC_ALLOC_BYTES];
    return v != w ? (v < w ? 1 : -1) : by_calls(a, b);
}

static void worth_table(const struct view *v, struct advisor *a)
{
    if (v->sort != METRIC_COUNT)
        qsort(a->items, a->worth, sizeof *a->items,
              v->sort == METRIC_ALLOC_BYTES ? by_bytes : by_calls);
    struct table t = {0};
    bool per_op = model_ops(v->model) > 0;
    table_column(&t, view_calls_title(v), TABLE_RIGHT);
    table_column(&t, per_op ? "time/op" : "time", TABLE_RIGHT);
    table_column(&t, "used", TABLE_RIGHT);
    table_column(&t, "life", TABLE_RIGHT);
    table_column(&t, "bytes", TABLE_NAME);
    table_column(&t, "by others", TABLE_RIGHT);
    table_column(&t, "pool", TABLE_LEFT);
    table_column(&t, "site", TABLE_NAME);
    table_column(&t, "", TABLE_FILE);
    for (size_t i = 0; i < a->worth && sites_shown(v, i); i++)
        worth_row(&t, v, &a->items[i]);
    table_print(&t, v->out);
    table_release(&t);
    sites_more_line(v, a->worth);
}

/* What the words in the column "pool" say, as far as they were used. */
static void verdicts_explain(const struct view *v, const struct advisor *a)
{
    char label[16];
    for (int verdict = 0; verdict < POOLING_VERDICT_COUNT; verdict++)
        for (size_t i = 0; i < a->worth; i++)
            if ((int)a->items[i].pooling.verdict == verdict) {
                snprintf(label, sizeof label, "%-6s  ", pooling_word(verdict));
                text_wrap(v->out, 1, label, pooling_text(verdict));
                break;
            }
}

static void why_not_line(const struct view *v, const struct advisor *a,
                         enum pooling_verdict verdict)
{
    char text[512], place[160];
    size_t n = 0, count = 0;
    double calls = 0;
    text[0] = '\0';
    for (size_t i = a->worth; i < a->count; i++) {
        const struct advisor_site *item = &a->items[i];
        if (item->pooling.verdict != verdict)
            continue;
        calls += (double)item->site->m.v[METRIC_ALLOC_CALLS];
        if (count++ >= named_most)
            continue;
        sites_place_text(v, item->site->frame, place, sizeof place, 30);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? ", " : "", place);
    }
    if (!count)
        return;
    char line[800], number[UNITS_BUF];
    snprintf(line, sizeof line, "%s: %s%s (%zu site%s, %s calls)", pooling_text(verdict), text,
             count > named_most ? ", ..." : "", count, count == 1 ? "" : "s",
             units_count(number, calls));
    text_wrap(v->out, 1, "- ", line);
}

/* What the columns say, and what the prediction takes for granted. */
static void legend(const struct view *v, const struct advisor *a)
{
    char text[400], size[UNITS_BUF];
    const char *end = isnan(a->saved_ns) ? "." : ";";
    snprintf(text, sizeof text,
             "used: how often each block of the pool would be. life: the median. bytes: its sizes. "
             "by others: freed by another thread. The pool cuts blocks from slabs of 64 KiB");
    size_t n = strlen(text);
    if (a->kept_bytes > 0)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              ", which hold the %s that were live at the peak",
                              units_size(size, a->kept_bytes));
    n += (size_t)snprintf(text + n, sizeof text - n, "%s", end);
    if (!isnan(a->saved_ns))
        snprintf(
            text + n, sizeof text - n,
            " time is that of malloc and free, without the pool's own: %.0f ns, shared %.0f ns.",
            POOLING_THREAD_NS, POOLING_SHARED_NS);
    text_wrap(v->out, 1, "", text);
}

void view_pool(const struct view *v)
{
    char words[ADVISOR_WORDS_BYTES], text[ADVISOR_WORDS_BYTES + 60];
    struct advisor a;
    view_header(v);
    if (sites_absent(v, METRIC_CROSS_THREAD_FREES))
        return;
    advisor_build(&a, v->model, v->frames);
    if (a.worth) {
        snprintf(text, sizeof text, "%zu of %zu sites %s worth it: %s", a.worth, a.count,
                 a.worth == 1 ? "is" : "are", advisor_words(&a, v->model, words));
        text_wrap(v->out, 0, "POOL    ", text);
        fputc('\n', v->out);
        worth_table(v, &a);
        verdicts_explain(v, &a);
        legend(v, &a);
    } else {
        fprintf(v->out, "POOL    none of %zu site%s is worth it\n", a.count,
                a.count == 1 ? "" : "s");
    }
    if (a.worth < a.count) {
        fputs("\nNot worth it\n", v->out);
        for (int verdict = 0; verdict < POOLING_VERDICT_COUNT; verdict++)
            why_not_line(v, &a, verdict);
    }
    advisor_release(&a);
}
