/*
 * What went past the hooks: the share of the threads' time that nothing explains, and the modules
 * that are likely to have spent it, those whose own code makes system calls. Not libc and the
 * loader: what programs call of theirs is hooked, as far as it waits. Not thread-safe; the model
 * and the frames must outlive it.
 */
#ifndef PERFSHIM_ANALYZER_BYPASS_H
#define PERFSHIM_ANALYZER_BYPASS_H

#include <stdbool.h>

#include "analyzer/frames.h"
#include "analyzer/model.h"

/* Modules are looked at when more than this is unexplained: of all time, or of the time of one
   thread that lived for so much of the run. */
#define BYPASS_SHARE 0.02
#define BYPASS_LIFE  0.10

struct bypass_module {
    const char *path;
    size_t calls;   /* instructions that call the system */
    int64_t cpu_ns; /* in it and in what it called */
};

struct bypass {
    bool known;   /* false: what is unexplained is not known, and all below is empty */
    double share; /* of the time of all threads; may be negative */
    const struct model_thread *thread; /* with most of it; NULL = none has any */
    bool asked;                        /* it is large enough that modules were looked at */
    bool made_code; /* there was CPU time in code of no module, which cannot be looked at */
    size_t unread;  /* modules whose file is gone, or another one now */
    struct bypass_module *items; /* most CPU time first */
    size_t count, room;
};

void bypass_build(struct bypass *b, const struct model *m, struct frames *f);
void bypass_release(struct bypass *b);

/* The key "bypass" of a report's ledger. */
struct json;
void bypass_json(struct json *j, const struct model *m, struct frames *f);

#endif
