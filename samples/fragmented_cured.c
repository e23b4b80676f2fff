/* fragmented.c, cured: what stays is copied to a place of its own, and the pages are given back. */
#define KEPT_APART 1
#include "samples/fragmented.c"
