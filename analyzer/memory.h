/*
 * Memory for the analyzer's own structures. A command line tool that has none left can only say
 * so: these never return NULL, they end the program with status 3 and a message.
 */
#ifndef PERFSHIM_ANALYZER_MEMORY_H
#define PERFSHIM_ANALYZER_MEMORY_H

#include <stddef.h>
#include <stdio.h>

void *memory_new(size_t count, size_t bytes); /* zeroed */
void *memory_resize(void *p, size_t count, size_t bytes);
char *memory_string(const char *s);
/* A stream into memory: fclose() it, then *text is the caller's to free. */
FILE *memory_stream(char **text, size_t *bytes);

/* Room for one more element in an array that doubles: *items may move. */
void memory_grow(void **items, size_t *room, size_t count, size_t bytes);

#endif
