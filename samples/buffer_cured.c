/* buffer, with the buffers of a thread kept for its next response. */
#define CURED 1
#include "samples/buffer.c"
