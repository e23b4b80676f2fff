/*
 * From a pc to the rule that leaves its frame: the cache behind unwind.h.
 *
 * Two levels, both in zero-initialised static memory, both filled without locks:
 *  - rules and rows: append-only tables of distinct values (thousands of pcs share a rule). An
 * entry is written first and published by one CAS of an index word; it never changes after that.
 *  - words: a 4-way hash table from pc to rule index. A word holds the rest of the pc, the
 *    generation and the index, so that one load tells everything and nothing can tear.
 *
 * Invariants:
 *  1. A word is used only if its generation is the current one; unwind_flush() moves it on.
 *  2. What is in no mapped module is never cached: something may be mapped there later.
 *  3. Full tables are no error: the rule is then made anew for each frame.
 * Async-signal-safe: a handler that interrupts an insertion can at worst store a value twice.
 */
#ifndef PERFSHIM_SHIM_UNWIND_RULE_H
#define PERFSHIM_SHIM_UNWIND_RULE_H

#include <stdint.h>

#include "shim/cfi.h"
#include "shim/unwind.h"

enum unwind_rule_kind {
    UNWIND_RULE_PLAIN,   /* the fields below say all */
    UNWIND_RULE_ROW,     /* anything else that is understood: a row */
    UNWIND_RULE_ROOT,    /* the return address is undefined: outermost frame */
    UNWIND_RULE_NO_CFI,  /* the module says nothing about this pc */
    UNWIND_RULE_BAD_CFI, /* the module's tables are not understood here */
    UNWIND_RULE_NO_CODE, /* the pc is in no module */
};

/* The callee-saved registers, in the order of the `slot` array below. */
#define UNWIND_SAVED(X) X(0, RBX) X(1, RBP) X(2, R12) X(3, R13) X(4, R14) X(5, R15)

/*
 * CFA = cfa_reg + cfa_offset, return address at CFA − 8, caller's rsp = CFA; a callee-saved
 * register with slot k ≠ 0 is at CFA − 8k, with k = 0 unchanged. For UNWIND_RULE_ROW, row_index
 * is the row's place + 1, or 0 if it did not fit and is the caller's scratch row.
 */
struct unwind_rule {
    union {
        int32_t cfa_offset;
        uint32_t row_index;
    };
    uint16_t known; /* the registers with a slot, as a mask like struct unwind_regs' */
    uint8_t kind;   /* enum unwind_rule_kind */
    uint8_t cfa_reg;
    uint8_t slot[6];
    uint8_t reach; /* the largest slot */
    uint8_t zero;
};

struct unwind_row {
    struct cfi_row row;
    struct cfi_bytes tables; /* of the row's expressions; NULL if it has none */
    uint8_t signal; /* a signal frame: the caller's pc is exact, its stack may be another */
};

/* Room for a rule that the tables have no room for. */
struct unwind_scratch {
    struct unwind_rule rule;
    struct unwind_row row;
};

#define UNWIND_SETS       8192u
#define UNWIND_WAYS       4u
#define UNWIND_RULES      8192u
#define UNWIND_ROWS       1024u
#define UNWIND_PC_BITS    48
#define UNWIND_TAG_BITS   35 /* UNWIND_PC_BITS − log2(UNWIND_SETS) */
#define UNWIND_RULE_BITS  13 /* log2(UNWIND_RULES) */
#define UNWIND_GENERATION 16 /* bits; with the two above 64 */

/* Not to be touched but by the functions here. */
extern uint64_t unwind_words[UNWIND_SETS][UNWIND_WAYS];
extern struct unwind_rule unwind_rules[UNWIND_RULES];
extern struct unwind_row unwind_rows[UNWIND_ROWS];
extern uint32_t unwind_generation; /* 1 … 65535 */

static inline uint32_t unwind_generation_load(void)
{
    return __atomic_load_n(&unwind_generation, __ATOMIC_ACQUIRE);
}

/* A bijection of 48-bit numbers (an odd factor): set number and tag together name the pc. */
static inline uint64_t unwind_pc_mix(uintptr_t pc)
{
    return (pc * UINT64_C(0x9e3779b97f4a7c15)) & ((UINT64_C(1) << UNWIND_PC_BITS) - 1);
}

static inline uint64_t unwind_word_make(uint64_t mixed, uint32_t generation)
{
    return mixed << (64 - UNWIND_TAG_BITS) | (uint64_t)generation << UNWIND_RULE_BITS;
}

/* Makes the rule for pc, caches it if there is room. Never NULL. */
const struct unwind_rule *unwind_rule_make(uintptr_t pc, uint32_t generation,
                                           struct unwind_scratch *scratch);

/* The rule for pc, from the cache or made. Never NULL. */
static inline const struct unwind_rule *unwind_rule_find(uintptr_t pc, uint32_t generation,
                                                         struct unwind_scratch *scratch)
{
    uint64_t mixed = unwind_pc_mix(pc);
    uint64_t want = unwind_word_make(mixed, generation);
    const uint64_t *set = unwind_words[mixed >> UNWIND_TAG_BITS];

    for (unsigned way = 0; way < UNWIND_WAYS; way++) {
        uint64_t word = __atomic_load_n(&set[way], __ATOMIC_ACQUIRE);
        if ((word ^ want) < UNWIND_RULES)
            return &unwind_rules[word % UNWIND_RULES];
    }
    return unwind_rule_make(pc, generation, scratch);
}

/* The rules of pc from its module's tables, without any cache: 0 and *out, or enum cfi_error;
 * *kind is UNWIND_RULE_ROW then, or says why not. */
void unwind_row_find(uintptr_t pc, struct unwind_row *out, enum unwind_rule_kind *kind);

/* The bytes of the module's segment around `addr`; if its ELF header cannot be found, what the
 * loader says is mapped there; empty if `addr` is outside. */
struct dl_find_object;
struct cfi_bytes unwind_segment_find(const struct dl_find_object *module, uintptr_t addr);

/* 1 if pc is at most a few instructions behind the module's entry point (_start, and the loader's,
 * which have no caller and often no call-frame information). */
int unwind_pc_is_entry(const struct dl_find_object *module, uintptr_t pc);

#endif
