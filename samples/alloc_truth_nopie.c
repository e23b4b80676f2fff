/* build: -no-pie -fno-pie */
/* alloc_truth at a fixed address: there, weak symbols would resolve to 0 at link time. */
#include "samples/alloc_truth.c"
