/* The report as JSON, schema "perfshim.report/1" (docs/contract.md). */
#ifndef PERFSHIM_ANALYZER_REPORT_JSON_H
#define PERFSHIM_ANALYZER_REPORT_JSON_H

#include <stdio.h>

#include "analyzer/frames.h"
#include "analyzer/json_write.h"
#include "analyzer/model.h"
#include "analyzer/rank.h"

void report_json(FILE *out, const struct model *m, struct frames *f);

/* Parts that other documents share. */
const char *json_metric_key(enum metric metric);
void json_put_process(struct json *j, const struct model *m);
void json_put_totals(struct json *j, const struct model *m); /* and `progress` */
void json_put_losses(struct json *j, const struct model *m);
void json_put_function(struct json *j, const struct model *m, const struct rank_row *row);
void json_put_metric(struct json *j, const char *key, const struct model *m, enum metric metric,
                     int64_t v);
/* key: NULL in an array. */
void json_put_frame(struct json *j, const char *key, const struct frames *f,
                    const struct frame *frame);
/* Keys "sizes" and "lifetime_ns" of a stack: null if h is NULL or has none. */
void json_put_histogram(struct json *j, const struct model *m, const struct model_histogram *h);

#endif
