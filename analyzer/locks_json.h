/* The report's `locks`, for programs. */
#ifndef PERFSHIM_ANALYZER_LOCKS_JSON_H
#define PERFSHIM_ANALYZER_LOCKS_JSON_H

#include "analyzer/frames.h"
#include "analyzer/json_write.h"
#include "analyzer/model.h"

/* Adds the key "locks": an array, or null if locks were not measured. */
void locks_json_put(struct json *j, const struct model *m, struct frames *f);

#endif
