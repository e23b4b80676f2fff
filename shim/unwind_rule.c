/* The rule cache: see unwind_rule.h. */
#include "shim/unwind_rule.h"

#include <dlfcn.h>
#include <string.h>

#include "shim/cfi_read.h"

uint64_t unwind_words[UNWIND_SETS][UNWIND_WAYS] __attribute__((aligned(64)));
struct unwind_rule unwind_rules[UNWIND_RULES] __attribute__((aligned(64)));
struct unwind_row unwind_rows[UNWIND_ROWS];
uint32_t unwind_generation = 1;

#define GENERATION_MAX ((1u << UNWIND_GENERATION_BITS) - 1)

/* An append-only table of distinct values of item_bytes each; index slots hold place + 1. */
struct table {
    unsigned char *items;
    size_t item_bytes;
    uint32_t capacity;
    uint32_t index_mask;
    uint16_t *index;
    uint32_t used;
};

static uint16_t rule_index[2 * UNWIND_RULES];
static uint16_t row_index[2 * UNWIND_ROWS];
/* Place 0 of the rules stays unused: a word of 0 is "nothing here". */
static struct table rule_table = {(unsigned char *)unwind_rules,
                                  sizeof(struct unwind_rule),
                                  UNWIND_RULES,
                                  2 * UNWIND_RULES - 1,
                                  rule_index,
                                  1};
static struct table row_table = {(unsigned char *)unwind_rows,
                                 sizeof(struct unwind_row),
                                 UNWIND_ROWS,
                                 2 * UNWIND_ROWS - 1,
                                 row_index,
                                 0};

/* Place of the item + 1, or 0 if it is new and there is no room. */
static uint32_t table_intern(struct table *t, const void *item)
{
    const unsigned char *bytes = item;
    uint64_t hash = 0;
    uint32_t mine = 0;

    for (size_t i = 0; i + 8 <= t->item_bytes; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    for (uint32_t probe = 0; probe <= t->index_mask; probe++) {
        uint16_t *slot = &t->index[(hash + probe) & t->index_mask];
        uint16_t place = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
        if (!place) {
            if (!mine) {
                if (__atomic_load_n(&t->used, __ATOMIC_RELAXED) >= t->capacity)
                    return 0;
                mine = __atomic_fetch_add(&t->used, 1, __ATOMIC_RELAXED);
                if (mine >= t->capacity)
                    return 0;
                memcpy(t->items + mine * t->item_bytes, item, t->item_bytes);
                mine++;
            }
            if (__atomic_compare_exchange_n(slot, &place, (uint16_t)mine, 0, __ATOMIC_RELEASE,
                                            __ATOMIC_ACQUIRE))
                return mine;
        }
        if (memcmp(t->items + (place - 1) * t->item_bytes, item, t->item_bytes) == 0)
            return place; /* if we had taken a place for it, that one is lost: rare, bounded */
    }
    return 0;
}

/* Everything that a row says, if it fits the plain form. */
static int rule_from_row(const struct unwind_row *row, struct unwind_rule *rule)
{
    static const uint8_t saved[] = {
#define X(i, name) UNWIND_##name,
        UNWIND_SAVED(X)
#undef X
    };
    uint32_t callee_saved = 0;

    if (row->signal || row->row.cfa_how != CFI_REGISTER)
        return -1;
    if (row->row.how[UNWIND_RIP] != CFI_OFFSET || row->row.value[UNWIND_RIP] != -8)
        return -1;
    for (unsigned i = 0; i < sizeof(saved); i++) {
        uint8_t how = row->row.how[saved[i]];
        int32_t value = row->row.value[saved[i]];
        callee_saved |= 1u << saved[i];
        if (how == CFI_UNSPECIFIED || how == CFI_SAME)
            continue;
        if (how != CFI_OFFSET || value >= -8 || value % 8 || value < -8 * UINT8_MAX)
            return -1;
        rule->slot[i] = (uint8_t)(-value / 8);
        rule->known |= (uint16_t)(1u << saved[i]);
        if (rule->slot[i] > rule->reach)
            rule->reach = rule->slot[i];
    }
    for (unsigned i = 0; i < UNWIND_RIP; i++)
        if (!(callee_saved >> i & 1) && row->row.how[i] != CFI_UNSPECIFIED &&
            (row->row.how[i] != CFI_SAME || i == UNWIND_RSP))
            return -1;
    rule->kind = UNWIND_RULE_PLAIN;
    rule->cfa_reg = row->row.cfa_reg;
    rule->cfa_offset = row->row.cfa_value;
    return 0;
}

static enum unwind_rule_kind kind_of_error(int error)
{
    return error == CFI_NO_FDE ? UNWIND_RULE_NO_CFI : UNWIND_RULE_BAD_CFI;
}

/* Moves the expression at *place of the tables into the row's own bytes, behind `used`. 0, or −1.
 */
static int expression_move(struct unwind_row *row, int32_t *place, size_t *used,
                           struct cfi_bytes tables)
{
    struct cfi_reader r = {tables.lo + *place, tables.hi, 0};
    size_t size;

    cfi_read_skip(&r, cfi_read_uleb(&r));
    size = (size_t)(r.at - (tables.lo + *place));
    if (r.bad || size > UNWIND_EXPRESSION_BYTES - *used)
        return -1;
    memcpy(row->expressions + *used, tables.lo + *place, size);
    *place = (int32_t)*used;
    *used += size;
    return 0;
}

/* The same for all of a row; if they do not fit, the row stays as it is and knows its tables. */
static void expressions_move(struct unwind_row *row, struct cfi_bytes tables)
{
    struct cfi_row own = row->row;
    size_t used = 0;
    int failed = 0;

    if (own.cfa_how == CFI_VAL_EXPRESSION)
        failed |= expression_move(row, &own.cfa_value, &used, tables);
    for (unsigned i = 0; i < UNWIND_REGS; i++)
        if (own.how[i] == CFI_EXPRESSION || own.how[i] == CFI_VAL_EXPRESSION)
            failed |= expression_move(row, &own.value[i], &used, tables);
    if (failed)
        row->tables = tables;
    else
        row->row = own;
}

/* As unwind_row_find(). 0, or an enum cfi_error. */
static int row_find(uintptr_t pc, struct unwind_row *out, enum unwind_rule_kind *kind)
{
    struct dl_find_object module;
    struct cfi_bytes tables;
    struct cfi_fde fde;
    const uint8_t *hdr, *at;
    int error;

    if (_dl_find_object((void *)pc, &module) != 0) {
        *kind = UNWIND_RULE_NO_CODE;
        return 0;
    }
    hdr = module.dlfo_eh_frame;
    error = CFI_NO_FDE;
    if (hdr) {
        tables = unwind_segment_find(&module, (uintptr_t)hdr);
        error = cfi_fde_search(tables, hdr, pc, &at);
    }
    if (!error) {
        if (at < tables.lo || at >= tables.hi)
            tables = unwind_segment_find(&module, (uintptr_t)at);
        error = cfi_fde_parse(tables, at, (uintptr_t)hdr, &fde);
    }
    /* pad bytes may count for dedup, so the row starts as zeros */
    memset(out, 0, sizeof(*out));
    if (!error)
        error = cfi_row_find(tables, &fde, pc, &out->row);
    if (error) {
        *kind = error == CFI_NO_FDE && unwind_pc_is_entry(&module, pc) ? UNWIND_RULE_ROOT
                                                                       : kind_of_error(error);
        return error;
    }
    if (out->row.how[UNWIND_RIP] == CFI_UNDEFINED) {
        *kind = UNWIND_RULE_ROOT;
        return 0;
    }
    expressions_move(out, tables);
    out->signal = fde.signal;
    *kind = UNWIND_RULE_ROW;
    return 0;
}

/*
 * A return address that no call can have left: before it is a gap between functions, behind it one
 * begins. It was put there by hand, to be returned to by a coroutine's first function: makecontext
 * does so. (glibc 2.36 gives that function tables which say that it has a caller.)
 */
static int pc_precedes_start(uintptr_t pc, struct unwind_row *row)
{
    enum unwind_rule_kind kind;
    row_find(pc + 1, row, &kind);
    return kind == UNWIND_RULE_ROW || kind == UNWIND_RULE_ROOT;
}

void unwind_row_find(uintptr_t pc, struct unwind_row *out, enum unwind_rule_kind *kind)
{
    if (row_find(pc, out, kind) == CFI_NO_FDE && *kind == UNWIND_RULE_NO_CFI &&
        pc_precedes_start(pc, out))
        *kind = UNWIND_RULE_ROOT;
}

/* Caches `what` for pc. */
static void word_store(uintptr_t pc, uint32_t generation, uint64_t what)
{
    static uint32_t turn;
    uint64_t mixed = unwind_pc_mix(pc);
    uint64_t key = unwind_word_key(mixed, generation);
    uint64_t *set = unwind_word_set(mixed);
    unsigned way;

    for (way = 0; way < UNWIND_WAYS; way++) {
        uint64_t word = __atomic_load_n(&set[way], __ATOMIC_RELAXED);
        unsigned differs = (word ^ key) << (64 - UNWIND_WHAT_SHIFT) != 0;
        if (!differs || (word >> UNWIND_TAG_BITS & GENERATION_MAX) != generation)
            break; /* the same pc; or empty, or forgotten */
    }
    if (way == UNWIND_WAYS)
        way = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % UNWIND_WAYS;
    __atomic_store_n(&set[way], key | what, __ATOMIC_RELEASE);
}

/* The rule as a word's `what` in its place, if it is quick; else 0. */
static uint64_t quick_what(const struct unwind_rule *rule)
{
    uint64_t words = (uint64_t)rule->cfa_offset / 8, slot = rule->slot[1];

    if (rule->kind != UNWIND_RULE_PLAIN || rule->cfa_offset <= 0 || rule->cfa_offset % 8)
        return 0;
    if (rule->cfa_reg == UNWIND_RBP && words == 2 && slot == 2)
        words = UNWIND_CFA_BY_RBP;
    else if (rule->cfa_reg != UNWIND_RSP || words >= UNWIND_CFA_BY_RBP || slot > 7 || slot > words)
        return 0;
    return words << (UNWIND_WHAT_SHIFT + 4) | slot << (UNWIND_WHAT_SHIFT + 1) |
           (rule->known & ~(1u << UNWIND_RBP) ? UNWIND_WORD_OTHERS : 0);
}

__attribute__((noinline)) const struct unwind_rule *
unwind_rule_make(uintptr_t pc, uint32_t generation, struct unwind_scratch *scratch)
{
    struct unwind_rule *rule = &scratch->rule;
    enum unwind_rule_kind kind;
    uint32_t place;
    uint64_t what;

    memset(rule, 0, sizeof(*rule));
    unwind_row_find(pc, &scratch->row, &kind);
    rule->kind = (uint8_t)kind;
    if (kind == UNWIND_RULE_NO_CODE)
        return rule;
    if (kind == UNWIND_RULE_ROW && rule_from_row(&scratch->row, rule) != 0) {
        memset(rule, 0, sizeof(*rule));
        rule->kind = UNWIND_RULE_ROW;
        if (!scratch->row.tables.lo)
            rule->row_index = table_intern(&row_table, &scratch->row);
        if (!rule->row_index)
            return rule; /* it is the scratch row */
    }
    what = quick_what(rule);
    if (!what) {
        place = table_intern(&rule_table, rule);
        if (!place)
            return rule;
        what = UNWIND_WORD_PLACE | (uint64_t)(place - 1) << UNWIND_WHAT_SHIFT;
    }
    if (pc >> UNWIND_PC_BITS == 0)
        word_store(pc, generation, what);
    return rule;
}

void unwind_flush(void)
{
    uint32_t old = __atomic_load_n(&unwind_generation, __ATOMIC_RELAXED);
    uint32_t next;

    do {
        next = old + 1;
        if (next > GENERATION_MAX) {
            /* The count starts again: words of its first round must not come back to life. */
            for (unsigned set = 0; set < UNWIND_SETS; set++)
                for (unsigned way = 0; way < UNWIND_WAYS; way++)
                    __atomic_store_n(&unwind_words[set][way], 0, __ATOMIC_RELAXED);
            next = 1;
        }
    } while (!__atomic_compare_exchange_n(&unwind_generation, &old, next, 0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
}
