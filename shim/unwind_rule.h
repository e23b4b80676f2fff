/*
 * From a pc to the rule that leaves its frame: the cache behind unwind.h.
 *
 * Two levels, both in zero-initialised static memory, both filled without locks:
 *  - rules and rows: append-only tables of distinct values (thousands of pcs share a rule). An
 * entry is written first and published by one CAS of an index word; it never changes after that.
 *  - words: a 4-way hash table from pc to rule. A word holds the rest of the pc, the generation and
 *    either a rule's place or, for the most frequent kind of rule, the rule itself: one load tells
 *    everything and nothing can tear.
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

/* The signal frame has the most: an expression for each register and the CFA, 73 bytes. */
#define UNWIND_EXPRESSION_BYTES 103

/*
 * A row and its expressions, so that a kept row needs nothing of its module, which may be unmapped,
 * and rows of many modules may be equal. If they do not fit, `tables` is where they are instead,
 * and the row is not kept.
 */
struct unwind_row {
    struct cfi_row row;
    uint8_t signal; /* a signal frame: the caller's pc is exact, its stack may be another */
    uint8_t expressions[UNWIND_EXPRESSION_BYTES];
    struct cfi_bytes tables; /* else NULL */
};

/* Where the row's expressions are. */
static inline struct cfi_bytes unwind_row_expressions(const struct unwind_row *row)
{
    if (row->tables.lo)
        return row->tables;
    return (struct cfi_bytes){row->expressions, row->expressions + UNWIND_EXPRESSION_BYTES};
}

/* Room for a rule that the tables have no room for. */
struct unwind_scratch {
    struct unwind_rule rule;
    struct unwind_row row;
};

#define UNWIND_SETS            8192u
#define UNWIND_WAYS            4u
#define UNWIND_RULES           8192u
#define UNWIND_ROWS            1024u
#define UNWIND_PC_BITS         48
#define UNWIND_TAG_BITS        35 /* UNWIND_PC_BITS − log2(UNWIND_SETS) */
#define UNWIND_GENERATION_BITS 12

/*
 * A word, from bit 0: tag 35 | generation 12 | what 17. `what` is, from its bit 0:
 *   saves others 1 | rbp slot 3 | CFA − rsp in words 12, not 0 | 0     a quick rule
 *   place in unwind_rules 13 | 0 0 0 | 1                               any other
 * A quick rule: CFA = rsp + 8n, return address at CFA − 8, rbp's slot as in struct unwind_rule and
 * not below rsp; other registers are saved or not. With all 12 bits set the frame has the usual
 * frame pointer: CFA = rbp + 16, rbp's slot 2.
 */
#define UNWIND_WHAT_SHIFT  (UNWIND_TAG_BITS + UNWIND_GENERATION_BITS)
#define UNWIND_WORD_OTHERS (UINT64_C(1) << UNWIND_WHAT_SHIFT)
#define UNWIND_WORD_PLACE  (UINT64_C(1) << 63)
#define UNWIND_CFA_BY_RBP  0xfffu

static inline unsigned unwind_word_rbp_slot(uint64_t word)
{
    return word >> (UNWIND_WHAT_SHIFT + 1) & 7;
}

static inline uint64_t unwind_word_cfa_words(uint64_t word)
{
    return word >> (UNWIND_WHAT_SHIFT + 4);
}

/* Not to be touched but by the functions here. */
#define UNWIND_HIDDEN __attribute__((visibility("hidden")))
extern uint64_t unwind_words[UNWIND_SETS][UNWIND_WAYS] UNWIND_HIDDEN;
extern struct unwind_rule unwind_rules[UNWIND_RULES] UNWIND_HIDDEN;
extern struct unwind_row unwind_rows[UNWIND_ROWS] UNWIND_HIDDEN;
extern uint32_t unwind_generation UNWIND_HIDDEN; /* 1 … 4095 */

static inline uint32_t unwind_generation_load(void)
{
    return __atomic_load_n(&unwind_generation, __ATOMIC_ACQUIRE);
}

/* A bijection of 48-bit numbers (an odd factor), shifted to the top: set number, then tag. */
static inline uint64_t unwind_pc_mix(uintptr_t pc)
{
    return pc * (UINT64_C(0x9e3779b97f4a7c15) << (64 - UNWIND_PC_BITS));
}

static inline uint64_t *unwind_word_set(uint64_t mixed)
{
    return unwind_words[mixed >> (64 - UNWIND_PC_BITS + UNWIND_TAG_BITS)];
}

/* A word without its `what`. */
static inline uint64_t unwind_word_key(uint64_t mixed, uint32_t generation)
{
    return (mixed >> (64 - UNWIND_PC_BITS) & ((UINT64_C(1) << UNWIND_TAG_BITS) - 1)) |
           (uint64_t)generation << UNWIND_TAG_BITS;
}

/* The cached word for pc (below 2^UNWIND_PC_BITS), or 0. */
static inline uint64_t unwind_word_find(uintptr_t pc, uint32_t generation)
{
    uint64_t mixed = unwind_pc_mix(pc);
    uint64_t key = unwind_word_key(mixed, generation);
    const uint64_t *set = unwind_word_set(mixed);

    for (unsigned way = 0; way < UNWIND_WAYS; way++) {
        uint64_t word = __atomic_load_n(&set[way], __ATOMIC_ACQUIRE);
        if (__builtin_expect((word ^ key) << (64 - UNWIND_WHAT_SHIFT) == 0, 1))
            return word;
    }
    return 0;
}

/* Makes the rule for pc, caches it if there is room. Never NULL. */
const struct unwind_rule *unwind_rule_make(uintptr_t pc, uint32_t generation,
                                           struct unwind_scratch *scratch);

/* The rule for pc, from the cache or made; a quick one in full. Never NULL. */
static inline const struct unwind_rule *unwind_rule_find(uintptr_t pc, uint32_t generation,
                                                         struct unwind_scratch *scratch)
{
    uint64_t word = unwind_word_find(pc, generation);
    if (word & UNWIND_WORD_PLACE)
        return &unwind_rules[word >> UNWIND_WHAT_SHIFT & (UNWIND_RULES - 1)];
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
