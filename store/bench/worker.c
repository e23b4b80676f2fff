#include "store/bench/worker.h"

#include <stdio.h>
#include <string.h>

#include "shim/perfshim.h"
#include "store/bench/ledger.h"

/* Progress is told in batches: one call per operation would be a part of what is measured. */
enum { PROGRESS_BATCH = 64 };
#define WAIT_SLICE_NS 50000000u /* how soon a waiting worker sees *stop */

int worker_init(struct worker *w, struct worker_shared *shared, unsigned index,
                struct engine_trouble *trouble)
{
    memset(w, 0, sizeof *w);
    w->shared = shared;
    w->index = index;
    int rc = generator_init(&w->generator, shared->workload, index);
    for (int i = 0; i < OP_KINDS; i++)
        if (shared->workload->setup.share[i] > 0 && !(w->op[i].latency = histogram_new()))
            rc = -1;
    if (timing_init(&w->timing, shared->arrivals != NULL) != 0 || rc != 0) {
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
    timing_release(&w->timing);
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
                                    workload->setup.value_size);
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

/* 1 when the time has come, 0 if *stop was set before. */
static int worker_wait(const struct worker *w, uint64_t until_ns)
{
    struct bench_clock *clock = w->shared->clock;
    for (;;) {
        uint64_t now = worker_now(w);
        if (now >= until_ns)
            return 1;
        if (stopped(w))
            return 0;
        clock->sleep_until_ns(clock,
                              until_ns - now > WAIT_SLICE_NS ? now + WAIT_SLICE_NS : until_ns);
    }
}

/* What one operation did. */
struct outcome {
    uint64_t start_ns;   /* of the engine's call, the first one */
    uint64_t end_ns;     /* of the last one */
    uint64_t service_ns; /* of all */
    int failed;
    enum error_class class; /* if it did */
};

static void outcome_fail(struct outcome *o, enum error_class class)
{
    o->failed = 1;
    o->class = class;
}

static void outcome_end(struct outcome *o, uint64_t call_start_ns, uint64_t end_ns, int error)
{
    o->end_ns = end_ns;
    o->service_ns += end_ns - call_start_ns;
    if (error < 0)
        outcome_fail(o, error_class_of(error));
}

/* One get and what comes after it. */
static void worker_get(struct worker *w, const struct op *op, struct outcome *o)
{
    const struct engine *engine = w->shared->engine;
    const struct workload *workload = w->shared->workload;
    struct engine_value value;
    o->start_ns = worker_now(w);
    int error = engine->get(w->thread, op->key, KEY_SIZE, &value);
    outcome_end(o, o->start_ns, worker_now(w), error);
    if (error != ENGINE_OK)
        return;
    if (workload->setup.verify && !value_valid(workload, value.data, value.size, op->number))
        outcome_fail(o, ERROR_VERIFY);
    engine->release(w->thread, &value);
}

static void worker_put(struct worker *w, const struct op *op, const char *value, struct outcome *o)
{
    uint64_t start = worker_now(w);
    int error = w->shared->engine->put(w->thread, op->key, KEY_SIZE, value,
                                       w->shared->workload->setup.value_size);
    outcome_end(o, start, worker_now(w), error);
    if (error == ENGINE_OK)
        ledger_add(w->acknowledged);
    if (op->kind != OP_RMW)
        o->start_ns = start;
    if (op->kind == OP_INSERT && error == ENGINE_OK)
        op_inserted(&w->generator);
}

struct scan_check {
    const struct workload *workload;
    uint64_t next; /* the least key number that may come */
    int wrong;
};

/* The loaded keys are all there, so none of them may be left out; of those inserted since then some
 * may still be under way. */
static int entry_check(void *context, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    struct scan_check *check = context;
    const struct workload *workload = check->workload;
    if (!workload->setup.verify)
        return 0;
    uint64_t number = key_number(key, key_size);
    if (number < check->next || (number > check->next && check->next < workload->setup.keys) ||
        !value_valid(workload, value, value_size, number))
        check->wrong = 1;
    check->next = number + 1;
    return 0;
}

static void worker_scan(struct worker *w, const struct op *op, struct outcome *o)
{
    const struct workload_setup *setup = &w->shared->workload->setup;
    struct scan_check check = {.workload = w->shared->workload, .next = op->number};
    uint64_t end = op->number + op->entries < setup->keys ? op->number + op->entries : setup->keys;
    o->start_ns = worker_now(w);
    int error =
        w->shared->engine->scan(w->thread, op->key, KEY_SIZE, op->entries, entry_check, &check);
    outcome_end(o, o->start_ns, worker_now(w), error);
    if (error >= 0 && setup->verify && (check.wrong || check.next < end))
        outcome_fail(o, ERROR_VERIFY);
}

static void worker_perform(struct worker *w, const struct op *op, const char *value,
                           struct outcome *o)
{
    switch (op->kind) {
    case OP_GET:
        worker_get(w, op, o);
        break;
    case OP_SCAN:
        worker_scan(w, op, o);
        break;
    case OP_RMW:
        worker_get(w, op, o);
        if (!o->failed)
            worker_put(w, op, value, o);
        break;
    default:
        worker_put(w, op, value, o);
    }
}

static inline void worker_lag(struct worker *w, uint64_t intended_ns, const struct outcome *o)
{
    struct timing *t = &w->timing;
    uint64_t lag = o->start_ns - intended_ns;
    if (lag > LATE_NS)
        __atomic_store_n(&t->late, t->late + 1, __ATOMIC_RELAXED);
    if (lag > t->max_lag_ns)
        __atomic_store_n(&t->max_lag_ns, lag, __ATOMIC_RELAXED);
    t->last_start_ns = o->start_ns;
    if (o->failed)
        return;
    histogram_record(t->wait, lag);
    histogram_record(t->service, o->service_ns);
}

int worker_step(struct worker *w)
{
    struct arrivals *arrivals = w->shared->arrivals;
    const char *value = NULL;
    struct outcome o = {.failed = 0};
    struct op op;
    uint64_t intended = 0;
    if (arrivals && !arrivals_take(arrivals, &intended))
        return 0;
    op_next(&w->generator, &op);
    if (op.kind != OP_GET && op.kind != OP_SCAN)
        value = value_next(&w->generator, op.number);
    if (arrivals && !worker_wait(w, intended))
        return 0;
    worker_perform(w, &op, value, &o);
    w->end_ns = o.end_ns;
    uint64_t latency = o.service_ns;
    if (arrivals) {
        worker_lag(w, intended, &o);
        latency += o.start_ns - intended;
    }
    if (o.failed) {
        histogram_record(w->timing.failed, latency);
        worker_fail(w, op.kind, o.class);
    } else {
        histogram_record(w->op[op.kind].latency, latency);
    }
    return 1;
}

void worker_reset(struct worker *w)
{
    for (int i = 0; i < OP_KINDS; i++) {
        if (w->op[i].latency)
            histogram_clear(w->op[i].latency);
        memset(w->op[i].errors, 0, sizeof w->op[i].errors);
    }
    timing_reset(&w->timing);
}

void worker_operate(struct worker *w, uint64_t ops, uint64_t deadline_ns, const char *progress)
{
    uint64_t untold = 0;
    w->end_ns = worker_now(w);
    while (ops-- && w->end_ns < deadline_ns && !stopped(w) && worker_step(w))
        if (++untold == PROGRESS_BATCH) {
            perfshim_progress_add(progress, untold);
            untold = 0;
        }
    if (untold)
        perfshim_progress_add(progress, untold);
}
