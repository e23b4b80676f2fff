/*
 * Call-frame information: from a module's .eh_frame_hdr to the unwind rules of one pc, and the
 * DWARF expressions that some rules use.
 *
 * Pure functions over bytes: no global state, no allocation, no system call; async-signal-safe and
 * reentrant. Tables are read only inside the struct cfi_bytes given, program memory only inside
 * the struct cfi_stack given; garbled input gives an error, never a read elsewhere, and every loop
 * is bounded.
 *
 * Understood: .eh_frame_hdr with the binary search table that GNU ld, gold and lld write (pairs of
 * 32-bit offsets); CIE versions 1, 3 and 4 with the augmentations "", "z…" of L P R S; every DW_CFA
 * operation except vendors' for other machines; expressions without addresses of other objects.
 * Not understood: .eh_frame without a search table, .debug_frame, DW_EH_PE_textrel, funcrel.
 *
 * Source: DWARF 5 §6.4 and §2.5, LSB 5 core generic §10.6 (.eh_frame, .eh_frame_hdr, DW_EH_PE).
 */
#ifndef PERFSHIM_SHIM_CFI_H
#define PERFSHIM_SHIM_CFI_H

#include <stdint.h>

#include "shim/unwind.h"

enum cfi_error {
    CFI_NO_FDE = -1,      /* no entry covers the pc */
    CFI_TRUNCATED = -2,   /* a record runs past its table */
    CFI_UNSUPPORTED = -3, /* an operation, encoding or version that is not understood */
    CFI_MALFORMED = -4,   /* understood but contradictory: state stack, expression stack, loop */
    CFI_NO_REGISTER = -5, /* an expression needs a register whose value is not known */
    CFI_NO_MEMORY = -6,   /* an expression reads outside the known stacks */
};

/* Readable bytes [lo, hi) of a mapped table. */
struct cfi_bytes {
    const uint8_t *lo, *hi;
};

/* One frame description entry with what its CIE says. */
struct cfi_fde {
    uintptr_t pc_begin, pc_end;
    struct cfi_bytes initial; /* the CIE's instructions */
    struct cfi_bytes program; /* the FDE's instructions */
    uint64_t code_align;
    int64_t data_align;
    uintptr_t data_base; /* what DW_EH_PE_datarel counts from */
    uint8_t encoding;    /* DW_EH_PE_* of code addresses */
    uint8_t signal;      /* augmentation 'S': the frame that called a signal handler */
};

/* How the caller's value of a register is found. */
enum cfi_how {
    CFI_UNSPECIFIED = 0, /* no rule: unchanged; rsp: the CFA */
    CFI_SAME,            /* unchanged */
    CFI_UNDEFINED,       /* lost; the return address: there is no caller */
    CFI_OFFSET,          /* in memory at CFA + value */
    CFI_VAL_OFFSET,      /* is CFA + value */
    CFI_REGISTER,        /* in register `value` */
    CFI_EXPRESSION,      /* in memory at the address that the expression gives */
    CFI_VAL_EXPRESSION,  /* is what the expression gives */
};

/*
 * The rules at one pc. An expression is kept as the offset, from the `lo` of the table bytes that
 * the row was found with, of its length (ULEB128), which its opcodes follow.
 */
struct cfi_row {
    uint8_t cfa_how;   /* CFI_REGISTER (+ cfa_value) or CFI_VAL_EXPRESSION */
    uint8_t cfa_reg;   /* for CFI_REGISTER */
    int32_t cfa_value; /* offset, or the expression's place */
    int32_t value[UNWIND_REGS];
    uint8_t how[UNWIND_REGS]; /* enum cfi_how */
};

/* The stack memory that may be read: the window (the stack walked now, above the red zone's end)
 * or else any of `ranges`. */
struct cfi_stack {
    const struct unwind_range *ranges;
    unsigned count;
    uintptr_t lo, hi;
};

/*
 * Finds the entry for pc by the search table of the .eh_frame_hdr at `hdr` (inside `tables`).
 * 0 and *fde (an address, not read yet: it may lie in another segment), or enum cfi_error.
 */
int cfi_fde_search(struct cfi_bytes tables, const uint8_t *hdr, uintptr_t pc, const uint8_t **fde);

/* Reads the entry at `fde` and its CIE, both inside `tables`. data_base: the address that
 * DW_EH_PE_datarel counts from (.eh_frame_hdr). 0 or enum cfi_error. */
int cfi_fde_parse(struct cfi_bytes tables, const uint8_t *fde, uintptr_t data_base,
                  struct cfi_fde *out);

/* Runs the entry's program up to pc. 0 or enum cfi_error; CFI_NO_FDE if pc is outside it. */
int cfi_row_find(struct cfi_bytes tables, const struct cfi_fde *fde, uintptr_t pc,
                 struct cfi_row *out);

/*
 * Evaluates the expression kept at `place` of `tables` (see struct cfi_row). `cfa` is pushed first
 * unless NULL (register rules have it, the CFA rule does not). 0 and *result, or enum cfi_error.
 * Bounded: 16 stack entries, 256 operations.
 */
int cfi_expression_run(struct cfi_bytes tables, int32_t place, const struct unwind_regs *regs,
                       const struct cfi_stack *stack, const uintptr_t *cfa, uintptr_t *result);

/* Functions that read other functions' stack frames: a sanitizer would call that an overflow. */
#define CFI_READS_STACK __attribute__((no_sanitize("address", "thread")))

/* Reads `size` (1, 2, 4, 8) bytes at addr, zero-extended. 0, or CFI_NO_MEMORY. */
int cfi_stack_read(const struct cfi_stack *stack, uintptr_t addr, unsigned size, uintptr_t *out);

#endif
