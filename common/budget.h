/*
 * Budgets: "throughput>10000,avg<1ms,p99<10ms,errors=0" — one grammar for `check --budget`,
 * `store_bench --require` and `plan --slo`: name(<|<=|>|>=|=)value[unit], comma-separated.
 * Pure functions; thread-safe.
 */
#ifndef PERFSHIM_COMMON_BUDGET_H
#define PERFSHIM_COMMON_BUDGET_H

#include <stddef.h>

enum budget_op { BUDGET_LT, BUDGET_LE, BUDGET_GT, BUDGET_GE, BUDGET_EQ };

struct budget {
    char name[48];
    enum budget_op op;
    double value; /* in base units: ns for durations, bytes for sizes, 0…1 for %, else as written */
    char text[96]; /* as written, for messages */
};

/*
 * Parses at most `max` budgets; their number (≥ 1), or −1 with what and where in err. A name is any
 * text without blanks, commas and operators; blanks around names and values are skipped. Units are
 * those of units_scale(); a value may have a sign and an exponent ("throughput>1e12").
 */
int budget_parse(const char *s, struct budget *out, size_t max, char err[static 160]);

/* 1 if `measured` (same base unit) meets the budget, else 0. NaN (not measured) never meets it. */
int budget_met(const struct budget *b, double measured);

#endif
