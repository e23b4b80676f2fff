#include "common/units.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *suffix;
    uint64_t scale;
};

static const struct unit DURATIONS[] = {
    {"ns", 1},          {"us", 1000},         {"ms", 1000000},      {"s", 1000000000},
    {"m", 60000000000}, {"min", 60000000000}, {"h", 3600000000000}, {0, 0},
};

static const struct unit SIZES[] = {
    {"B", 1},          {"K", 1 << 10},     {"KB", 1 << 10},     {"KiB", 1 << 10}, {"M", 1 << 20},
    {"MB", 1 << 20},   {"MiB", 1 << 20},   {"G", 1 << 30},      {"GB", 1 << 30},  {"GiB", 1 << 30},
    {"T", 1ULL << 40}, {"TB", 1ULL << 40}, {"TiB", 1ULL << 40}, {0, 0},
};

static uint64_t unit_find(const struct unit *units, const char *suffix,
                          int (*compare)(const char *, const char *))
{
    for (; units->suffix; units++)
        if (compare(units->suffix, suffix) == 0)
            return units->scale;
    return 0;
}

static const char *uint_scan(const char *s, uint64_t *v)
{
    uint64_t n = 0;

    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
            return NULL;
    *v = n;
    return s;
}

int units_parse_uint(const char *s, uint64_t *v)
{
    uint64_t n;
    const char *end = uint_scan(s, &n);

    if (!end || end == s || *end)
        return -1;
    *v = n;
    return 0;
}

/*
 * digits[.digits][suffix] in base units. The whole part stays an integer, so that values past 2^53
 * are exact.
 */
static int scaled_parse(const char *s, const struct unit *units, uint64_t bare_scale,
                        int (*compare)(const char *, const char *), uint64_t *out)
{
    uint64_t whole, scale = bare_scale, value;
    double fraction = 0, weight = 1;
    const char *end = uint_scan(s, &whole);

    if (!end || end == s)
        return -1;
    if (*end == '.') {
        if (!isdigit((unsigned char)*++end))
            return -1;
        for (; isdigit((unsigned char)*end); end++)
            fraction += (*end - '0') * (weight /= 10);
    }
    if (*end && !(scale = unit_find(units, end, compare)))
        return -1;
    if (__builtin_mul_overflow(whole, scale, &value) ||
        __builtin_add_overflow(value, (uint64_t)(fraction * (double)scale + 0.5), &value))
        return -1;
    *out = value;
    return 0;
}

int units_parse_duration(const char *s, uint64_t *ns)
{
    return scaled_parse(s, DURATIONS, 1000000000, strcmp, ns);
}

int units_parse_size(const char *s, uint64_t *bytes)
{
    return scaled_parse(s, SIZES, 1, strcasecmp, bytes);
}

int units_parse_real(const char *s, double *v, const char **end)
{
    const char *digits = s + (*s == '-' || *s == '+');
    char *stop;
    double d;

    if (!isdigit((unsigned char)digits[0]) &&
        !(digits[0] == '.' && isdigit((unsigned char)digits[1])))
        return -1;
    if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
        return -1;
    d = strtod(s, &stop);
    if (!isfinite(d))
        return -1;
    *v = d;
    *end = stop;
    return 0;
}

double units_scale(const char *suffix)
{
    uint64_t scale;

    if (!*suffix)
        return 1;
    if (strcmp(suffix, "%") == 0)
        return 0.01;
    scale = unit_find(DURATIONS, suffix, strcmp);
    return (double)(scale ? scale : unit_find(SIZES, suffix, strcmp));
}

/* Three significant digits for 0 ≤ v < 999.5, or all digits of a small whole number. */
static const char *digits_format(double v)
{
    if (v == floor(v) && v < 1000)
        return "%s%.0f%s";
    return v < 9.995 ? "%s%.2f%s" : v < 99.95 ? "%s%.1f%s" : "%s%.0f%s";
}

static char *nan_print(char *buf)
{
    return strcpy(buf, "-");
}

char *units_duration(char buf[static UNITS_BUF], double ns)
{
    const char *sign = ns < 0 ? "-" : "";
    double v = fabs(ns);

    if (isnan(ns))
        return nan_print(buf);
    if (v >= 1e14) /* a day: decimals say nothing, and the buffer is small */
        snprintf(buf, UNITS_BUF, "%s%.6gs", sign, v / 1e9);
    else if (v >= 99.95e6)
        snprintf(buf, UNITS_BUF, "%s%.2fs", sign, v / 1e9);
    else if (v >= 999.5e3)
        snprintf(buf, UNITS_BUF, v >= 9.995e6 ? "%s%.1f ms" : "%s%.2f ms", sign, v / 1e6);
    else if (v >= 999.5)
        snprintf(buf, UNITS_BUF,
                 v >= 99.95e3   ? "%s%.0f us"
                 : v >= 9.995e3 ? "%s%.1f us"
                                : "%s%.2f us",
                 sign, v / 1e3);
    else
        snprintf(buf, UNITS_BUF, v >= 9.95 || v == floor(v) ? "%s%.0f ns" : "%s%.1f ns", sign, v);
    return buf;
}

char *units_size(char buf[static UNITS_BUF], double bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const char *sign = bytes < 0 ? "-" : "";
    double v = fabs(bytes);
    unsigned i = 0;

    if (isnan(bytes))
        return nan_print(buf);
    if (v < 1023.5) {
        snprintf(buf, UNITS_BUF, v >= 9.95 || v == floor(v) ? "%s%.0f B" : "%s%.1f B", sign, v);
        return buf;
    }
    for (v /= 1024; v >= 1023.95 && i + 1 < sizeof names / sizeof *names; i++)
        v /= 1024;
    snprintf(buf, UNITS_BUF, v < 1e6 ? "%s%.1f %s" : "%s%.3g %s", sign, v, names[i]);
    return buf;
}

char *units_count(char buf[static UNITS_BUF], double n)
{
    static const char *const names[] = {"", " k", " M", " G", " T"};
    const char *sign = n < 0 ? "-" : "";
    double v = fabs(n);
    unsigned i = 0;

    if (isnan(n))
        return nan_print(buf);
    for (; v >= 999.5 && i + 1 < sizeof names / sizeof *names; i++)
        v /= 1000;
    if (v >= 1e6)
        snprintf(buf, UNITS_BUF, "%s%.3g%s", sign, v, names[i]);
    else if (i == 0)
        snprintf(buf, UNITS_BUF, digits_format(v), sign, v, "");
    else
        snprintf(buf, UNITS_BUF,
                 v >= 99.95   ? "%s%.0f%s"
                 : v >= 9.995 ? "%s%.1f%s"
                              : "%s%.2f%s",
                 sign, v, names[i]);
    return buf;
}
