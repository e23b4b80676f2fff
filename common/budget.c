#include "common/budget.h"

#include "common/units.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define OPERATORS "<>="
#define BLANKS    " \t"

/* "what at character N of 'text'": always what and where. */
static int refuse(char err[static 160], const char *all, const char *at, const char *what)
{
    snprintf(err, 160, "%s at character %zu of '%.80s'", what, (size_t)(at - all) + 1, all);
    return -1;
}

static enum budget_op op_parse(const char **s)
{
    char c = *(*s)++;

    if (c == '=')
        return BUDGET_EQ;
    if (**s == '=') {
        (*s)++;
        return c == '<' ? BUDGET_LE : BUDGET_GE;
    }
    return c == '<' ? BUDGET_LT : BUDGET_GT;
}

/* One budget, [s, end) without the comma. */
static int one_parse(const char *all, const char *s, const char *end, struct budget *b,
                     char err[static 160])
{
    const char *start, *value_at, *unit_at;
    char unit[8];
    size_t n;

    s += strspn(s, BLANKS);
    start = s;
    n = strcspn(s, OPERATORS BLANKS ",");
    if (n == 0)
        return refuse(err, all, s, s == end ? "a budget is missing" : "a name is missing");
    if (n >= sizeof b->name)
        return refuse(err, all, s, "the name is too long");
    memcpy(b->name, s, n);
    b->name[n] = '\0';

    s += n;
    s += strspn(s, BLANKS);
    if (s == end || !strchr(OPERATORS, *s))
        return refuse(err, all, s, "one of < <= > >= = is missing");
    b->op = op_parse(&s);
    s += strspn(s, BLANKS);
    value_at = s;
    if (s == end)
        return refuse(err, all, s, "a number is missing");
    if (units_parse_real(s, &b->value, &s) != 0)
        return refuse(err, all, value_at, "not a number");

    unit_at = s;
    while (end > unit_at && strchr(BLANKS, end[-1]))
        end--;
    n = (size_t)(end - unit_at);
    if (n >= sizeof unit)
        return refuse(err, all, unit_at, "unknown unit");
    memcpy(unit, unit_at, n);
    unit[n] = '\0';
    if (units_scale(unit) == 0)
        return refuse(err, all, unit_at, "unknown unit");
    if (strcmp(unit, "%") == 0)
        b->value /= 100; /* times 0.01 would make 7% differ from 0.07 */
    else
        b->value *= units_scale(unit);
    snprintf(b->text, sizeof b->text, "%.*s", (int)(end - start), start);
    return 0;
}

int budget_parse(const char *s, struct budget *out, size_t max, char err[static 160])
{
    const char *all = s;
    size_t n = 0;

    for (;; s++) {
        const char *end = s + strcspn(s, ",");
        if (n == max)
            return refuse(err, all, s, "too many budgets");
        if (one_parse(all, s, end, &out[n++], err) != 0)
            return -1;
        if (!*end)
            return (int)n;
        s = end;
    }
}

int budget_met(const struct budget *b, double measured)
{
    switch (b->op) { /* every comparison with NaN is false */
    case BUDGET_LT:
        return measured < b->value;
    case BUDGET_LE:
        return measured <= b->value;
    case BUDGET_GT:
        return measured > b->value;
    case BUDGET_GE:
        return measured >= b->value;
    case BUDGET_EQ:
        return measured == b->value;
    }
    return 0;
}
