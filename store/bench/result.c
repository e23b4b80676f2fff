#include "store/bench/result.h"

#include <string.h>

#define ACHIEVED_LEAST 0.99

const char *error_class_name(enum error_class class)
{
    return class == ERROR_VERIFY ? "verify" : engine_error_name(-(int)class - 1);
}

uint64_t op_result_errors(const struct op_result *op)
{
    uint64_t sum = 0;
    for (int i = 0; i < ERROR_CLASS_COUNT; i++)
        sum += op->errors[i];
    return sum;
}

uint64_t op_result_ops(const struct op_result *op)
{
    return op->latency->count + op_result_errors(op);
}

double op_result_throughput(const struct op_result *op, const struct bench_result *result)
{
    return result->duration_s > 0 ? (double)op->latency->count / result->duration_s : 0;
}

int timing_init(struct timing *t, int open)
{
    *t = (struct timing){.failed = histogram_new()};
    if (open) {
        t->wait = histogram_new();
        t->service = histogram_new();
    }
    return t->failed && (!open || (t->wait && t->service)) ? 0 : -1;
}

void timing_release(struct timing *t)
{
    histogram_free(t->failed);
    histogram_free(t->wait);
    histogram_free(t->service);
}

void timing_reset(struct timing *t)
{
    histogram_clear(t->failed);
    if (t->wait) {
        histogram_clear(t->wait);
        histogram_clear(t->service);
    }
    t->late = t->max_lag_ns = t->last_start_ns = 0;
}

void timing_add(struct timing *sum, const struct timing *more)
{
    histogram_add(sum->failed, more->failed);
    if (more->wait) {
        histogram_add(sum->wait, more->wait);
        histogram_add(sum->service, more->service);
    }
    sum->late += more->late;
    if (more->max_lag_ns > sum->max_lag_ns)
        sum->max_lag_ns = more->max_lag_ns;
    if (more->last_start_ns > sum->last_start_ns)
        sum->last_start_ns = more->last_start_ns;
}

int bench_result_measured(const struct bench_result *result)
{
    return result->all.latency->count > 0;
}

int bench_result_valid(const struct bench_result *result)
{
    return bench_result_measured(result) &&
           (!result->is_open || result->open.achieved >= ACHIEVED_LEAST * result->open.offered);
}

int bench_result_init(struct bench_result *result)
{
    memset(result, 0, sizeof *result);
    result->all.latency = histogram_new();
    int rc = timing_init(&result->timing, 1);
    if (!result->all.latency)
        rc = -1;
    for (int i = 0; i < OP_KINDS; i++)
        if (!(result->op[i].latency = histogram_new()))
            rc = -1;
    return rc;
}

void bench_result_release(struct bench_result *result)
{
    timing_release(&result->timing);
    histogram_free(result->all.latency);
    for (int i = 0; i < OP_KINDS; i++)
        histogram_free(result->op[i].latency);
    memset(result, 0, sizeof *result);
}
