/* Durations, sizes, counts: parse and print. Pure functions, thread-safe. */
#ifndef PERFSHIM_COMMON_UNITS_H
#define PERFSHIM_COMMON_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_BUF 32 /* enough for any formatted value */

/* "58ns", "250us", "10ms", "30s", "2m", "1h", bare = seconds; fractions allowed, a sign or an
   exponent is not; rounded to the nearest ns. 0, or −1 (also past 2^64 ns), *ns is then untouched.
 */
int units_parse_duration(const char *s, uint64_t *ns);
/* "4K", "512M", "1G", "1.5G", "64MiB", "4096", "4096B", 1024-based, either case. 0 or −1. */
int units_parse_size(const char *s, uint64_t *bytes);
/* Decimal digits only. 0 or −1 (also on overflow). */
int units_parse_uint(const char *s, uint64_t *v);

/* A finite real number, exponent allowed; hexadecimal, "inf" and "nan" are not. On success *end is
   the first character after it (like strtod). 0 or −1. */
int units_parse_real(const char *s, double *v, const char **end);

/*
 * What the suffix of a value makes of it, in base units: "us" 1000 (ns), "MiB" 1048576 (bytes),
 * "%" 0.01, "" 1. Here "m" is minutes and "M" 2^20: case tells a duration from a size. 0 = unknown.
 */
double units_scale(const char *suffix);

/* Each returns buf; NaN gives "-", a negative value its sign. From 0.1 s on a duration is in
   seconds. Examples: "0.93s" "12.3 ms" "331 us" "58 ns"; "412.6 MiB" "4.1 KiB" "286 B"; "3.00 M"
   "299 k" "15". */
char *units_duration(char buf[static UNITS_BUF], double ns);
char *units_size(char buf[static UNITS_BUF], double bytes);
char *units_count(char buf[static UNITS_BUF], double n);

#endif
