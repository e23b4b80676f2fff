/*
 * Who answers for what a stack did: the innermost frame of the program's own code, and which
 * service of the system it had asked for.
 *
 * The program's own code is the executable and the libraries outside of the system's library
 * directories, without what the C++ runtime compiled into it. A stack without such a frame falls to
 * the innermost library that is neither libc nor the C++ runtime, else to the leaf.
 *
 * Services are known by what the C and C++ standards call them, in libraries only: a function of
 * the program may be called anything. Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_ORIGIN_H
#define PERFSHIM_ANALYZER_ORIGIN_H

#include <stdbool.h>

#include "analyzer/frames.h"

enum origin_service {
    ORIGIN_ITSELF,    /* its own work, or any other part of a library */
    ORIGIN_ALLOCATOR, /* inside malloc, free, operator new … */
    ORIGIN_MEMORY,    /* in one of libc's memory routines, called by its own code */
    ORIGIN_LOCK,      /* inside a call that takes or gives back a lock */
    ORIGIN_WAKE,      /* inside a call that wakes those who wait for a condition or a semaphore */
    ORIGIN_NOBODY,    /* no code is known: "[unsampled]" and its kind */
};

struct origin {
    enum origin_service service;
    bool own;                   /* frame is the program's own code */
    const struct frame *frame;  /* who answers for it */
    const struct frame *callee; /* what that frame called; NULL = it was at work itself */
    const struct frame *leaf;
};

struct origins;
struct origins *origins_new(struct reader *r);
void origins_free(struct origins *o);

/* stack: as of frames_stack(). */
struct origin origin_find(const struct origins *o, const struct frames *f,
                          const struct frame *const *stack, unsigned depth);

#endif
