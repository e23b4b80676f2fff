#include "store/bench/worker.h"

#include <stdio.h>
#include <string.h>

#include "shim/perfshim.h"
#include "store/bench/ledger.h"

/* Progress is told in batches: one call per operation would be a part of what is measured. */
enum { PROGRESS_BATCH = 64 };

int worker_init(struct worker *w, struct worker_shared *shared, unsigned index,
                struct engine_trouble *trouble)
{
    memset(w, 0, sizeof *w);
    w->shared = shared;
    w->index = index;
    int rc = generator_init(&w->generator, shared->workload, index);
    for (int i = 0; i < OP_KINDS; i++)
        if (!(w->op[i].latency = histogram_new()))
            rc = -1;
    if (rc != 0) {
        snprintf(trouble->text, sizeof trouble->text, "out of memory");
        return -1;
    }
    return shared->engine->thread_open(shared->self, index, &w->thread, trouble) == ENGINE_OK ? 0
                                                                                              : -1;
}

void worker_release(struct worker *w)
{
    if (w->thread)
        w->shared->engine->thread_close(w->thread);
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
    const struct engine *engine = w->shared->engine;
    const struct workload *workload = w->shared->workload;
    char key[KEY_SIZE];
    w->load_error = ENGINE_OK;
    for (uint64_t i = first; i < end && !stopped(w); i++) {
        key_write(key, i);
        w->load_error = engine->put(w->thread, key, KEY_SIZE, value_next(&w->generator, i),
                                    workload->value_size);
        if (w->load_error != ENGINE_OK)
            break;
        ledger_add(w->acknowledged);
        __atomic_store_n(&w->loaded, w->loaded + 1, __ATOMIC_RELAXED);
    }
    perfshim_progress_add("load", w->loaded);
}

static enum error_class error_class_of(int error)
{
    return error >= ENGINE_OTHER && error < 0 ? (enum error_class)(-error - 1) : ERROR_OTHER;
}

static inline uint64_t worker_now(const struct worker *w)
{
    return w->shared->clock->now_ns(w->shared->clock);
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
    const struct engine *engine = w->shared->engine;
    const struct workload *workload = w->shared->workload;
    struct engine_value value;
    uint64_t start = worker_now(w);
    int error = engine->get(w->thread, op->key, KEY_SIZE, &value);
    uint64_t end = worker_now(w);
    if (error != ENGINE_OK) {
        worker_fail(w, OP_GET, error_class_of(error));
        return end;
    }
    if (workload->verify && !value_valid(workload, value.data, value.size, op->number))
        worker_fail(w, OP_GET, ERROR_VERIFY);
    else
        histogram_record(w->op[OP_GET].latency, end - start);
    engine->release(w->thread, &value);
    return end;
}

static uint64_t worker_put(struct worker *w, const struct op *op)
{
    const char *value = value_next(&w->generator, op->number);
    uint64_t start = worker_now(w);
    int error = w->shared->engine->put(w->thread, op->key, KEY_SIZE, value,
                                       w->shared->workload->value_size);
    uint64_t end = worker_now(w);
    if (error != ENGINE_OK) {
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
    uint64_t now = worker_now(w), untold = 0;
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
