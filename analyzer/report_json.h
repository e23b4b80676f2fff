/* The report as JSON, schema "perfshim.report/1" (docs/contract.md). */
#ifndef PERFSHIM_ANALYZER_REPORT_JSON_H
#define PERFSHIM_ANALYZER_REPORT_JSON_H

#include <stdio.h>

#include "analyzer/frames.h"
#include "analyzer/json_write.h"
#include "analyzer/model.h"

void report_json(FILE *out, const struct model *m, struct frames *f);

/* Parts that other documents share. */
void json_put_metric(struct json *j, const char *key, const struct model *m, enum metric metric,
                     int64_t v);
/* key: NULL in an array. */
void json_put_frame(struct json *j, const char *key, const struct frames *f,
                    const struct frame *frame);

#endif
