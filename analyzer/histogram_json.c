#include "analyzer/report_json.h"
#include "analyzer/histogram.h"

static void put_sizes(struct json *j, const struct model_histogram *h)
{
    json_begin(j, "sizes", '{');
    json_put_int(j, "min", (int64_t)histogram_size_least(h));
    json_put_int(j, "max", (int64_t)h->size_max);
    json_put_int(j, "median", (int64_t)(histogram_size_quantile(h, 0.5) + 0.5));
    if (h->size_count <= PSHIM_SIZES) {
        json_begin(j, "distinct", '[');
        for (uint32_t i = 0; i < h->size_count; i++)
            json_put_int(j, NULL, (int64_t)h->size[i]);
        json_end(j);
    } else {
        json_put_null(j, "distinct"); /* too many to name */
    }
    json_begin(j, "histogram", '[');
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++) {
        if (!h->asked[i])
            continue;
        json_begin(j, NULL, '{');
        json_put_int(j, "from", (int64_t)pshim_bucket_start(i));
        json_put_int(j, "count", (int64_t)h->asked[i]);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static int64_t life_ns(const struct model *m, const struct model_histogram *h, double q)
{
    return (int64_t)(model_life_ns(m, histogram_quantile(h->lived, q)) + 0.5);
}

static void put_lifetime(struct json *j, const struct model *m, const struct model_histogram *h)
{
    json_begin(j, "lifetime_ns", '{');
    json_put_int(j, "median", life_ns(m, h, 0.5));
    json_put_int(j, "p90", life_ns(m, h, 0.9));
    json_put_int(j, "max", life_ns(m, h, 1));
    json_begin(j, "histogram", '[');
    for (unsigned i = 0; i < PSHIM_BUCKETS; i++) {
        if (!h->lived[i])
            continue;
        json_begin(j, NULL, '{');
        json_put_int(j, "from", (int64_t)(model_life_ns(m, (double)pshim_bucket_start(i)) + 0.5));
        json_put_int(j, "count", (int64_t)h->lived[i]);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

void json_put_histogram(struct json *j, const struct model *m, const struct model_histogram *h)
{
    if (h && h->asked_count)
        put_sizes(j, h);
    else
        json_put_null(j, "sizes");
    if (h && h->lived_count)
        put_lifetime(j, m, h);
    else
        json_put_null(j, "lifetime_ns");
}
