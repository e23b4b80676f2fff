/*
 * The keys io and idle of report's JSON (docs/contract.md).
 */
#ifndef PERFSHIM_ANALYZER_IO_JSON_H
#define PERFSHIM_ANALYZER_IO_JSON_H

#include "analyzer/frames.h"
#include "analyzer/json_write.h"
#include "analyzer/model.h"

void io_json_put(struct json *j, const struct model *m, struct frames *f);

/* What was waited for while m->locks[lock] was held: an array under `key`. */
void io_json_put_held(struct json *j, const char *key, const struct model *m, struct frames *f,
                      size_t lock);

#endif
