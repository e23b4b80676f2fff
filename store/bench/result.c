#include "store/bench/result.h"

#include <string.h>

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

int bench_result_valid(const struct bench_result *result)
{
    return result->all.latency->count > 0;
}

int bench_result_init(struct bench_result *result)
{
    memset(result, 0, sizeof *result);
    result->all.latency = histogram_new();
    int rc = result->all.latency ? 0 : -1;
    for (int i = 0; i < OP_KINDS; i++)
        if (!(result->op[i].latency = histogram_new()))
            rc = -1;
    return rc;
}

void bench_result_release(struct bench_result *result)
{
    histogram_free(result->all.latency);
    for (int i = 0; i < OP_KINDS; i++)
        histogram_free(result->op[i].latency);
    memset(result, 0, sizeof *result);
}
