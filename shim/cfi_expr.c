/* DWARF expressions of call-frame information: see cfi.h. */
#include "shim/cfi.h"

#include "shim/cfi_read.h"

#define DEPTH      16
#define OPERATIONS 256

/* Bytes at an address of the profiled program, whatever object lies there. */
struct __attribute__((packed, may_alias)) word16 {
    uint16_t value;
};
struct __attribute__((packed, may_alias)) word32 {
    uint32_t value;
};
struct __attribute__((packed, may_alias)) word64 {
    uint64_t value;
};

CFI_READS_STACK int cfi_stack_read(const struct cfi_stack *stack, uintptr_t addr, unsigned size,
                                   uintptr_t *out)
{
    int inside = addr >= stack->lo && addr < stack->hi && stack->hi - addr >= size;

    for (unsigned i = 0; !inside && i < stack->count; i++) {
        const struct unwind_range *range = &stack->ranges[i];
        /* the stack walked now is readable through its window only: it may be unmapped below */
        if (stack->lo >= range->lo && stack->hi == range->hi)
            continue;
        inside = addr >= range->lo && addr < range->hi && range->hi - addr >= size;
    }
    if (!inside)
        return CFI_NO_MEMORY;
    switch (size) {
    case 1:
        *out = *(const uint8_t *)addr;
        return 0;
    case 2:
        *out = ((const struct word16 *)addr)->value;
        return 0;
    case 4:
        *out = ((const struct word32 *)addr)->value;
        return 0;
    case 8:
        *out = ((const struct word64 *)addr)->value;
        return 0;
    default:
        return CFI_UNSUPPORTED;
    }
}

struct evaluation {
    struct cfi_reader r;
    const uint8_t *begin;
    const struct unwind_regs *regs;
    const struct cfi_stack *stack;
    unsigned depth;
    uint64_t value[DEPTH];
};

static int push(struct evaluation *e, uint64_t value)
{
    if (e->depth == DEPTH)
        return CFI_MALFORMED;
    e->value[e->depth++] = value;
    return 0;
}

static int push_register(struct evaluation *e, uint64_t reg, int64_t offset)
{
    if (reg >= UNWIND_REGS)
        return CFI_UNSUPPORTED;
    if (!(e->regs->known >> reg & 1))
        return CFI_NO_REGISTER;
    return push(e, e->regs->reg[reg] + (uint64_t)offset);
}

/* A copy of the entry `index` below the top. */
static int push_copy(struct evaluation *e, uint64_t index)
{
    if (index >= e->depth)
        return CFI_MALFORMED;
    return push(e, e->value[e->depth - 1 - index]);
}

static int jump(struct evaluation *e, int64_t distance)
{
    int64_t target = (e->r.at - e->begin) + distance;
    if (target < 0 || target > e->r.end - e->begin)
        return CFI_MALFORMED;
    e->r.at = e->begin + target;
    return 0;
}

static int binary_run(unsigned op, uint64_t a, uint64_t b, uint64_t *out)
{
    int64_t sa = (int64_t)a, sb = (int64_t)b;

    switch (op) {
    case 0x1a: /* and */
        *out = a & b;
        return 0;
    case 0x1b: /* div, signed */
        if (b == 0 || (sa == INT64_MIN && sb == -1))
            return CFI_MALFORMED;
        *out = (uint64_t)(sa / sb);
        return 0;
    case 0x1c: /* minus */
        *out = a - b;
        return 0;
    case 0x1d: /* mod, unsigned */
        if (b == 0)
            return CFI_MALFORMED;
        *out = a % b;
        return 0;
    case 0x1e: /* mul */
        *out = a * b;
        return 0;
    case 0x21: /* or */
        *out = a | b;
        return 0;
    case 0x22: /* plus */
        *out = a + b;
        return 0;
    case 0x24: /* shl */
        *out = b < 64 ? a << b : 0;
        return 0;
    case 0x25: /* shr */
        *out = b < 64 ? a >> b : 0;
        return 0;
    case 0x26: /* shra */
        *out = (uint64_t)(sa >> (b < 64 ? b : 63));
        return 0;
    case 0x27: /* xor */
        *out = a ^ b;
        return 0;
    case 0x29: /* eq */
        *out = a == b;
        return 0;
    case 0x2a: /* ge, signed as the four below */
        *out = sa >= sb;
        return 0;
    case 0x2b: /* gt */
        *out = sa > sb;
        return 0;
    case 0x2c: /* le */
        *out = sa <= sb;
        return 0;
    case 0x2d: /* lt */
        *out = sa < sb;
        return 0;
    case 0x2e: /* ne */
        *out = a != b;
        return 0;
    default:
        return CFI_UNSUPPORTED;
    }
}

/* Operations that push without popping. */
static int literal_run(struct evaluation *e, unsigned op)
{
    uint64_t reg;

    if (op >= 0x30 && op <= 0x4f) /* lit0 … lit31 */
        return push(e, op - 0x30);
    if (op >= 0x70 && op <= 0x8f) /* breg0 … breg31 */
        return push_register(e, op - 0x70, cfi_read_sleb(&e->r));
    switch (op) {
    case 0x03: /* addr: not relocated in .eh_frame, so only as a number */
        return push(e, cfi_read_unsigned(&e->r, 8));
    case 0x08: /* const1u, 1s, 2u, 2s, 4u, 4s, 8u, 8s */
    case 0x0a:
    case 0x0c:
    case 0x0e:
        return push(e, cfi_read_unsigned(&e->r, 1u << ((op - 0x08) / 2)));
    case 0x09:
    case 0x0b:
    case 0x0d:
    case 0x0f:
        return push(e, (uint64_t)cfi_read_signed(&e->r, 1u << ((op - 0x09) / 2)));
    case 0x10: /* constu */
        return push(e, cfi_read_uleb(&e->r));
    case 0x11: /* consts */
        return push(e, (uint64_t)cfi_read_sleb(&e->r));
    case 0x12: /* dup */
        return push_copy(e, 0);
    case 0x14: /* over */
        return push_copy(e, 1);
    case 0x15: /* pick */
        return push_copy(e, cfi_read_unsigned(&e->r, 1));
    case 0x92: /* bregx */
        reg = cfi_read_uleb(&e->r);
        return push_register(e, reg, cfi_read_sleb(&e->r));
    default:
        return CFI_UNSUPPORTED;
    }
}

static int operation_run(struct evaluation *e, unsigned op)
{
    uint64_t *top = &e->value[e->depth]; /* one past the top entry */
    uint64_t saved;
    uintptr_t loaded;
    unsigned size = 8;
    int64_t distance;
    int error;

    switch (op) {
    case 0x96: /* nop */
        return 0;
    case 0x2f: /* skip */
        return jump(e, cfi_read_signed(&e->r, 2));
    case 0x13: /* drop */
    case 0x28: /* bra */
    case 0x06: /* deref */
    case 0x94: /* deref_size */
    case 0x19: /* abs */
    case 0x1f: /* neg */
    case 0x20: /* not */
    case 0x23: /* plus_uconst */
        if (e->depth < 1)
            return CFI_MALFORMED;
        break;
    case 0x17: /* rot: the top goes below the two others */
        if (e->depth < 3)
            return CFI_MALFORMED;
        saved = top[-1];
        top[-1] = top[-2];
        top[-2] = top[-3];
        top[-3] = saved;
        return 0;
    case 0x16: /* swap */
        if (e->depth < 2)
            return CFI_MALFORMED;
        saved = top[-1];
        top[-1] = top[-2];
        top[-2] = saved;
        return 0;
    default:
        if (op < 0x1a || op > 0x2e)
            return literal_run(e, op);
        if (e->depth < 2)
            return CFI_MALFORMED;
        e->depth--;
        return binary_run(op, top[-2], top[-1], &top[-2]);
    }
    switch (op) {
    case 0x13:
        e->depth--;
        return 0;
    case 0x28:
        distance = cfi_read_signed(&e->r, 2);
        e->depth--;
        return top[-1] ? jump(e, distance) : 0;
    case 0x94:
        size = (unsigned)cfi_read_unsigned(&e->r, 1);
        /* fall through */
    case 0x06:
        error = cfi_stack_read(e->stack, top[-1], size, &loaded);
        top[-1] = error ? 0 : loaded;
        return error;
    case 0x19:
        top[-1] = (int64_t)top[-1] < 0 ? -top[-1] : top[-1];
        return 0;
    case 0x1f:
        top[-1] = -top[-1];
        return 0;
    case 0x20:
        top[-1] = ~top[-1];
        return 0;
    default: /* plus_uconst */
        top[-1] += cfi_read_uleb(&e->r);
        return 0;
    }
}

int cfi_expression_run(struct cfi_bytes tables, int32_t place, const struct unwind_regs *regs,
                       const struct cfi_stack *stack, const uintptr_t *cfa, uintptr_t *result)
{
    struct evaluation e;
    uint64_t size;

    if (place < 0 || place >= tables.hi - tables.lo)
        return CFI_TRUNCATED;
    e.r = (struct cfi_reader){tables.lo + place, tables.hi, 0};
    size = cfi_read_uleb(&e.r);
    if (e.r.bad || size > (uint64_t)(e.r.end - e.r.at))
        return CFI_TRUNCATED;
    e.begin = e.r.at;
    e.r.end = e.begin + size;
    e.regs = regs;
    e.stack = stack;
    e.depth = 0;
    if (cfa)
        push(&e, *cfa);
    for (unsigned done = 0; e.r.at < e.r.end; done++) {
        int error;
        if (done == OPERATIONS)
            return CFI_MALFORMED;
        error = operation_run(&e, (unsigned)cfi_read_unsigned(&e.r, 1));
        if (error)
            return error;
        if (e.r.bad)
            return CFI_TRUNCATED;
    }
    if (e.depth == 0)
        return CFI_MALFORMED;
    *result = e.value[e.depth - 1];
    return 0;
}
