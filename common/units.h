/* Durations, sizes, counts: parse and print. Pure functions, thread-safe. */
#ifndef PERFSHIM_COMMON_UNITS_H
#define PERFSHIM_COMMON_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_BUF 32 /* enough for any formatted value */

/* "250us", "10ms", "30s", "2m", "1h", bare = seconds; fractions allowed. 0 or −1. */
int units_parse_duration(const char *s, uint64_t *ns);
/* "4K", "512M", "1G", "1.5G", "64MiB", "4096", 1024-based. 0 or −1. */
int units_parse_size(const char *s, uint64_t *bytes);
/* Decimal digits only. 0 or −1 (also on overflow). */
int units_parse_uint(const char *s, uint64_t *v);

/* Each returns buf. Examples: "0.93s" "12.3 ms" "331 us" "58 ns"; "412.6 MiB" "4.1 KiB" "286 B";
   "3.00 M" "299 k" "15". */
char *units_duration(char buf[static UNITS_BUF], double ns);
char *units_size(char buf[static UNITS_BUF], double bytes);
char *units_count(char buf[static UNITS_BUF], double n);

#endif
