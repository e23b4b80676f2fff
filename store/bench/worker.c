#include "store/bench/worker.h"

#include <string.h>

#include "shim/perfshim.h"
#include "store/bench/ledger.h"

/* Progress is told in batches: one call per operation would be a part of what is measured. */
enum { PROGRESS_BATCH = 64 };

int worker_init(struct worker *w, struct worker_shared *shared, unsigned index)
{
    memset(w, 0, sizeof *w);
    w->shared = shared;
    w->index = index;
    int rc = generator_init(&w->generator, shared->workload, index);
    for (int i = 0; i < OP_KINDS; i++)
        if (!(w->op[i].latency = histogram_new()))
            rc = -1;
    return rc;
}

void worker_release(struct worker *w)
{
    generator_release(&w->generator);
    for (int i = 0; i < OP_KINDS; i++)
        histogram_free(w->op[i].latency);
}

static inline int stopped(const struct worker *w)
{
    return __atomic_load_n(w->shared->stop, __ATOMIC_RELAXED);
}

void worker_load(struct worker *w, uint64_t first, uint64_t end)
{
    const struct workload *workload = w->shared->workload;
    char key[KEY_SIZE];
    w->load_error = STORE_OK;
    for (uint64_t i = first; i < end && !stopped(w); i++) {
        key_write(key, i);
        w->load_error = store_put(w->shared->store, key, KEY_SIZE, value_next(&w->generator, i),
                                  workload->value_size);
        if (w->load_error != STORE_OK)
            break;
        ledger_add(w->acknowledged);
        __atomic_store_n(&w->loaded, w->loaded + 1, __ATOMIC_RELAXED);
    }
    perfshim_progress_add("load", w->loaded);
}

static enum error_class error_class_of(int error)
{
    return error == STORE_NOT_FOUND   ? ERROR_NOT_FOUND
           : error == STORE_NO_MEMORY ? ERROR_NO_MEMORY
           : error == STORE_NO_SPACE  ? ERROR_NO_SPACE
           : error == STORE_IO        ? ERROR_IO
                                      : ERROR_OTHER;
}

static __attribute__((noinline, cold)) void worker_fail(struct worker *w, enum op_kind kind,
                                                        enum error_class class)
{
    uint64_t *count = &w->op[kind].errors[class];
    __atomic_store_n(count, *count + 1, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&w->shared->errors, 1, __ATOMIC_RELAXED) > w->shared->max_errors)
        __atomic_store_n(w->shared->stop, 1, __ATOMIC_RELAXED);
}

/* One get and what comes after it; the time the call ended. */
static uint64_t worker_get(struct worker *w, const struct op *op)
{
    const struct worker_shared *s = w->shared;
    struct store_value value;
    uint64_t start = s->now_ns();
    int error = store_get(s->store, op->key, KEY_SIZE, &value);
    uint64_t end = s->now_ns();
    if (error != STORE_OK)
        worker_fail(w, OP_GET, error_class_of(error));
    else if (s->workload->verify && !value_valid(s->workload, value.data, value.size, op->number))
        worker_fail(w, OP_GET, ERROR_VERIFY);
    else
        histogram_record(w->op[OP_GET].latency, end - start);
    store_value_release(s->store, &value);
    return end;
}

static uint64_t worker_put(struct worker *w, const struct op *op)
{
    const struct worker_shared *s = w->shared;
    const char *value = value_next(&w->generator, op->number);
    uint64_t start = s->now_ns();
    int error = store_put(s->store, op->key, KEY_SIZE, value, s->workload->value_size);
    uint64_t end = s->now_ns();
    if (error != STORE_OK) {
        worker_fail(w, OP_PUT, error_class_of(error));
    } else {
        ledger_add(w->acknowledged);
        histogram_record(w->op[OP_PUT].latency, end - start);
    }
    return end;
}

void worker_reset(struct worker *w)
{
    for (int i = 0; i < OP_KINDS; i++) {
        histogram_clear(w->op[i].latency);
        memset(w->op[i].errors, 0, sizeof w->op[i].errors);
    }
}

void worker_operate(struct worker *w, uint64_t ops, uint64_t deadline_ns, const char *progress)
{
    uint64_t now = w->shared->now_ns(), untold = 0;
    while (ops-- && now < deadline_ns && !stopped(w)) {
        struct op op;
        op_next(&w->generator, &op);
        now = op.kind == OP_GET ? worker_get(w, &op) : worker_put(w, &op);
        if (++untold == PROGRESS_BATCH) {
            perfshim_progress_add(progress, untold);
            untold = 0;
        }
    }
    if (untold)
        perfshim_progress_add(progress, untold);
    w->end_ns = now;
}
