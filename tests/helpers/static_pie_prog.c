/* build: -static-pie -fPIE */
/* The same, position-independent: it has a dynamic section and no interpreter all the same. */
#include "tests/helpers/static_prog.c"
