#include <math.h>

#include "analyzer/advisor.h"
#include "analyzer/report_json.h"

/* A change, for each operation: minus is less. */
static void put_per_op(struct json *j, const char *key, double saved, const struct model *m)
{
    double ops = (double)model_ops(m);
    json_put_real(j, key, ops > 0 ? 0 - saved / ops : NAN);
}

static void put_worth(struct json *j, const struct model *m, const struct frames *f,
                      const struct advisor_site *item)
{
    const struct pooling *p = &item->pooling;
    json_begin(j, NULL, '{');
    json_put_frame(j, "site", f, item->site->frame);
    json_put_string(j, "pool", pooling_word(p->verdict));
    put_per_op(j, "predicted_allocs_per_op", p->saved_calls, m);
    put_per_op(j, "predicted_ns_per_op", p->saved_ns, m);
    json_put_real(j, "predicted_allocs", 0 - p->saved_calls);
    json_put_real(j, "predicted_ns", 0 - p->saved_ns);
    json_put_int(j, "cross_thread_frees", item->site->m.v[METRIC_CROSS_THREAD_FREES]);
    json_put_int(j, "alloc_calls", item->site->m.v[METRIC_ALLOC_CALLS]);
    json_put_real(j, "reuse", p->reuse);
    json_end(j);
}

static void put_not_worth(struct json *j, const struct frames *f, const struct advisor_site *item)
{
    json_begin(j, NULL, '{');
    json_put_frame(j, "site", f, item->site->frame);
    json_put_string(j, "reason", pooling_word(item->pooling.verdict));
    json_put_string(j, "why", pooling_text(item->pooling.verdict));
    json_put_int(j, "alloc_calls", item->site->m.v[METRIC_ALLOC_CALLS]);
    json_end(j);
}

void advisor_json(struct json *j, const struct model *m, struct frames *f)
{
    struct advisor a;
    advisor_build(&a, m, f);
    if (!a.known) {
        json_put_null(j, "pool"); /* not known, which is not none */
        json_put_null(j, "pool_not_worth");
        return;
    }
    json_begin(j, "pool", '[');
    for (size_t i = 0; i < a.worth; i++)
        put_worth(j, m, f, &a.items[i]);
    json_end(j);
    json_begin(j, "pool_not_worth", '[');
    for (size_t i = a.worth; i < a.count; i++)
        put_not_worth(j, f, &a.items[i]);
    json_end(j);
    advisor_release(&a);
}
