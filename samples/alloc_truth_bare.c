/* alloc_truth without perfshim.h: nothing but LD_PRELOAD tells it from any other program. */
#define ALLOC_TRUTH_BARE 1
#include "samples/alloc_truth.c"
