/* get, with what needs no lock done outside of it. */
#define CURED 1
#include "samples/get.c"
