/* build: -fsanitize=address */
/* A program built with AddressSanitizer: its runtime insists on coming first. */
#include "tests/helpers/static_prog.c"
