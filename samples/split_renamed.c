/* split under names that say nothing: advice must come from what is measured, not from names. */
#define SPLIT_NAMES
#define compaction    f1
#define lock_acquire  f2
#define serialization f3
#define rows_copy     f4
#include "samples/split.c"
