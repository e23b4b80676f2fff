/*
 * From stack nodes to stacks as people read them: named frames, inlined ones included.
 *
 *  - The profiler's own frames are left out; a stack that ends in one gets the leaf "[profiler]",
 *    since that time is real.
 *  - A wait has a leaf named after the call that waited ("pthread_mutex_lock").
 *  - What the shim could not walk is a frame in brackets ("[stack cut: …]").
 *  - Code without a name is "module+0xADDRESS" of the function's start if call-frame information
 *    tells it, else of the very instruction.
 *
 * Each distinct (module, offset) is symbolised once, also over many models of a growing profile.
 * Node ids must come from a loaded model of the same reader: their chains were checked there. Not
 * thread-safe. Pointers live until frames_free().
 */
#ifndef PERFSHIM_ANALYZER_FRAMES_H
#define PERFSHIM_ANALYZER_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyzer/reader.h"
#include "analyzer/select.h"

#define FRAMES_STACK_MAX 4096u /* frames of one stack, inlined ones included; cut at the root */

/* Identity: name, file, module; equal functions have equal indices. */
struct function {
    const char *name;
    const char *file;   /* where it is declared, NULL = not known */
    const char *module; /* last part of the path, NULL for frames in brackets and waiting calls */
    uint32_t line;      /* of the declaration, 0 = not known */
    bool executable;    /* in the program itself, not in a library */
    bool runtime;       /* C++ runtime: operator new, libstdc++ and its headers */
    unsigned selected;  /* selection_match() */
};

struct frame {
    uint32_t function; /* index: frames_function() */
    uint32_t line;     /* where the code is, or calls from; 0 = not known */
    const char *file;  /* … NULL = not known */
    uint64_t offset;   /* ELF address in the module */
    uint32_t module;   /* index of the module's record; 0 = none: a frame in brackets */
    bool inlined;      /* the code is part of the next frame's, which follows it in memory */
};

struct frames;

/* The reader and the selection (may be NULL) must outlive the frames. */
struct frames *frames_new(struct reader *r, const struct selection *selection);
void frames_free(struct frames *f);
const struct selection *frames_selection(const struct frames *f);

/* The stack of a node, leaf first, hidden frames left out; at least one frame. Returns how many. */
unsigned frames_stack(struct frames *f, uint32_t node,
                      const struct frame *out[static FRAMES_STACK_MAX]);

const struct function *frames_function(const struct frames *f, uint32_t index);
uint32_t frames_function_count(const struct frames *f);

/* Do two frames stand at the same line (the same instruction, where lines are not known)? */
bool frames_same_place(const struct frame *a, const struct frame *b);

/* Modules that could not be symbolised: the i-th's path and why; false past the last. */
bool frames_problem(const struct frames *f, unsigned i, const char **path, const char **why);

/* The frame of a stack that a person would look at, as whoever knows the whole program told it
   (lock_blocks_place()); NULL = nobody did. */
void frames_set_site(struct frames *f, uint32_t node, const struct frame *frame);
const struct frame *frames_site(const struct frames *f, uint32_t node);

/*
 * The variable at an address of the profiled process: "cache_lock", "cache+0x28" or, where its file
 * has no name for it, "libx.so+0x4028". NULL: in no module's mapping, so on a heap or a stack.
 */
const char *frames_object(struct frames *f, uint64_t address, char *buffer, size_t size);
/* The variable's name alone, and how far in the address lies; NULL = not known. */
const char *frames_variable(struct frames *f, uint64_t address, uint64_t *offset);

/* The module to show beside a name: "" if there is none, or the name says it ("module+0x12"). */
const char *frames_module(const char *name, const char *module);

/* "file.c:12", "libc.so.6" or "": where a frame's code is, for a screen. */
const char *frames_place(const struct frames *f, const struct frame *frame, char *buffer,
                         size_t size);

#endif
