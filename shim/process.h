/* The end of the process, and what its children and later images inherit. */
#ifndef PERFSHIM_SHIM_PROCESS_H
#define PERFSHIM_SHIM_PROCESS_H

#include <stdint.h>

/*
 * Takes our own entry out of LD_PRELOAD in envp, in place, so that children start without us; keeps
 * what an exec in this same process needs to stay profiled. Once, in the constructor.
 */
void process_take_environment(char **envp, const char *own_path);

/* Writes how the process ends into the header. Only the profiled process itself does (a vfork child
   shares our memory). May be called more than once: the last one stands. */
void process_note_end(uint32_t end, int status);

#endif
