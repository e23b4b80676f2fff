/*
 * `perfshim record --recover [F …]`: makes plain files of profiles whose record was killed while
 * they were staged (stage.h). Prints to stderr what it did. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_RECOVER_H
#define PERFSHIM_ANALYZER_RECOVER_H

#include <stdint.h>

#include "analyzer/stage.h"

/*
 * Files named, or all that the caller has staged. Returns 0 when each of them is a plain profile
 * now; of those not named, one that is still in use is no failure. −1 after a message.
 */
int recover(const char *prog, char *const *files, int count);

/* "process 4127 (server)", or what is known of it. Returns to. */
const char *recover_user(uint32_t pid, char to[static 80]);

#endif
