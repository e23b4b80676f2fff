#include <math.h>

#include "analyzer/findings.h"
#include "analyzer/report_json.h"

static void frame_put(struct json *j, const char *key, const struct frames *f,
                      const struct frame *frame)
{
    if (frame)
        json_put_frame(j, key, f, frame);
    else
        json_put_null(j, key);
}

static void finding_put(struct json *j, const struct frames *f, const struct finding *item)
{
    char advice[FINDINGS_ADVICE_BYTES];
    json_begin(j, NULL, '{');
    json_put_int(j, "rank", item->rank);
    json_put_string(j, "kind", finding_kind_word(item->kind));
    json_put_string(j, "title", item->title);
    bool is_memory = item->kind == FINDING_RSS_OVER_LIVE;
    bool is_threads = item->kind == FINDING_OVERSUBSCRIPTION;
    if (is_memory || is_threads) { /* in no cost */
        json_put_null(j, "cost_ns");
        json_put_null(j, "share");
        json_put_null(j, "max_gain");
    } else {
        json_put_int(j, "cost_ns", item->cost_ns);
        json_put_real(j, "share", item->share);
        json_put_real(j, "max_gain", item->max_gain);
    }
    json_put_string(j, "lock", *item->lock ? item->lock : NULL);
    frame_put(j, "where", f, item->where);
    frame_put(j, "work", f, item->work);
    json_begin(j, "evidence", '[');
    for (unsigned i = 0; i < item->evidence_count; i++)
        json_put_string(j, NULL, item->evidence[i]);
    json_end(j);
    json_put_string(j, "advice", findings_advice(item, advice));
    if (is_memory) {
        json_put_int(j, "over_bytes", item->over_bytes);
        json_put_real(j, "peak_share", item->peak_share);
    } else {
        json_put_null(j, "over_bytes");
        json_put_null(j, "peak_share");
    }
    if (isnan(item->predicted_ns))
        json_put_null(j, "predicted_ns");
    else
        json_put_int(j, "predicted_ns", llround(item->predicted_ns));
    if (is_threads) {
        json_put_int(j, "runqueue_ns", item->ready_ns);
        json_put_int(j, "enough_threads", item->enough_threads);
    } else {
        json_put_null(j, "runqueue_ns");
        json_put_null(j, "enough_threads");
    }
    json_end(j);
}

void findings_json(struct json *j, const struct model *m, struct frames *f)
{
    struct findings findings;
    findings_build(&findings, m, f);
    if (findings.state == FINDINGS_MADE || findings.count) {
        json_begin(j, "findings", '[');
        for (size_t i = 0; i < findings.count; i++)
            finding_put(j, f, &findings.items[i]);
        json_end(j);
    } else {
        json_put_null(j, "findings"); /* not known, which is not none */
    }
    findings_release(&findings);
}
