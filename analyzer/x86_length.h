/*
 * How long an x86-64 instruction is, so that code can be read instruction by instruction. Pure; no
 * byte outside of the room is read. Privileged and very old instructions are not known.
 * Source: Intel SDM, volume 2, chapter 2 and appendix A (opcode maps).
 */
#ifndef PERFSHIM_ANALYZER_X86_LENGTH_H
#define PERFSHIM_ANALYZER_X86_LENGTH_H

#include <stddef.h>
#include <stdint.h>

enum { X86_LENGTH_MOST = 15 };

/* Bytes of the instruction at `at`, of which `room` are there; 0 = none is known to be there. */
unsigned x86_length(const uint8_t *at, size_t room);

#endif
