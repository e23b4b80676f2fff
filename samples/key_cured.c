/* key, with the key of a session made once. */
#define CURED 1
#include "samples/key.c"
