/* .eh_frame_hdr search, CIE and FDE, and the call-frame program: see cfi.h. */
#include "shim/cfi.h"

#include <stddef.h>

#include "shim/cfi_read.h"

enum { /* DW_EH_PE_*: low 4 bits format, next 3 what it is relative to, top bit indirect */
       PE_ABSPTR = 0x00,
       PE_ULEB128 = 0x01,
       PE_UDATA2 = 0x02,
       PE_UDATA4 = 0x03,
       PE_UDATA8 = 0x04,
       PE_SLEB128 = 0x09,
       PE_SDATA2 = 0x0a,
       PE_SDATA4 = 0x0b,
       PE_SDATA8 = 0x0c,
       PE_PCREL = 0x10,
       PE_DATAREL = 0x30,
       PE_ALIGNED = 0x50,
       PE_INDIRECT = 0x80,
       PE_OMIT = 0xff,
};

/* Reads an encoded pointer; sets `bad` if the encoding is not understood. An indirect one gives
 * the address of the pointer: who needs the pointer itself must refuse PE_INDIRECT. */
static uintptr_t pointer_read(struct cfi_reader *r, unsigned encoding, uintptr_t data_base)
{
    uintptr_t base, value;

    if (encoding == PE_OMIT)
        return 0;
    if (encoding == PE_ALIGNED)
        cfi_read_skip(r, -(uintptr_t)r->at & (sizeof(uintptr_t) - 1));
    switch (encoding & 0x70) {
    case PE_ABSPTR:
    case PE_ALIGNED:
        base = 0;
        break;
    case PE_PCREL:
        base = (uintptr_t)r->at;
        break;
    case PE_DATAREL:
        base = data_base;
        break;
    default:
        r->bad = 1;
        return 0;
    }
    switch (encoding & 0x0f) {
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8:
        value = cfi_read_unsigned(r, 8);
        break;
    case PE_ULEB128:
        value = cfi_read_uleb(r);
        break;
    case PE_UDATA2:
        value = cfi_read_unsigned(r, 2);
        break;
    case PE_UDATA4:
        value = cfi_read_unsigned(r, 4);
        break;
    case PE_SLEB128:
        value = (uintptr_t)cfi_read_sleb(r);
        break;
    case PE_SDATA2:
        value = (uintptr_t)cfi_read_signed(r, 2);
        break;
    case PE_SDATA4:
        value = (uintptr_t)cfi_read_signed(r, 4);
        break;
    default:
        r->bad = 1;
        return 0;
    }
    return value ? base + value : 0;
}

static int32_t table_entry(const uint8_t *table, size_t index, int which)
{
    int32_t value;
    memcpy(&value, table + 8 * index + 4 * which, sizeof(value));
    return value;
}

int cfi_fde_search(struct cfi_bytes tables, const uint8_t *hdr, uintptr_t pc, const uint8_t **fde)
{
    struct cfi_reader r = {hdr, tables.hi, 0};
    unsigned version, frame_encoding, count_encoding, table_encoding;
    uint64_t count;
    int64_t target = (int64_t)(pc - (uintptr_t)hdr);
    size_t low, high;

    if (hdr < tables.lo || hdr >= tables.hi)
        return CFI_TRUNCATED;
    version = (unsigned)cfi_read_unsigned(&r, 1);
    frame_encoding = (unsigned)cfi_read_unsigned(&r, 1);
    count_encoding = (unsigned)cfi_read_unsigned(&r, 1);
    table_encoding = (unsigned)cfi_read_unsigned(&r, 1);
    if (r.bad)
        return CFI_TRUNCATED;
    if (version != 1 || count_encoding == PE_OMIT || table_encoding != (PE_DATAREL | PE_SDATA4))
        return CFI_UNSUPPORTED;
    pointer_read(&r, frame_encoding, (uintptr_t)hdr);
    count = pointer_read(&r, count_encoding, (uintptr_t)hdr);
    if (r.bad || count > (uint64_t)(tables.hi - r.at) / 8)
        return CFI_TRUNCATED;
    if (!count || target < table_entry(r.at, 0, 0))
        return CFI_NO_FDE;
    /* Invariant: the entry at low starts at or before pc, the one at high after it. */
    for (low = 0, high = count; high - low > 1;) {
        size_t middle = low + (high - low) / 2;
        if (table_entry(r.at, middle, 0) <= target)
            low = middle;
        else
            high = middle;
    }
    *fde = (const uint8_t *)((uintptr_t)hdr + (uintptr_t)(intptr_t)table_entry(r.at, low, 1));
    return 0;
}

/* Reads a record's length and leaves r->end at its end. 0, or enum cfi_error. */
static int record_enter(struct cfi_reader *r)
{
    uint64_t length = cfi_read_unsigned(r, 4);
    if (length == 0xffffffff)
        length = cfi_read_unsigned(r, 8);
    if (r->bad || length > (uint64_t)(r->end - r->at))
        return CFI_TRUNCATED;
    if (length == 0)
        return CFI_NO_FDE; /* the terminator */
    r->end = r->at + length;
    return 0;
}

/* Reads the CIE at `at` into out; *augmented: its FDEs carry augmentation data. */
static int cie_parse(struct cfi_bytes tables, const uint8_t *at, uintptr_t data_base,
                     struct cfi_fde *out, int *augmented)
{
    struct cfi_reader r = {at, tables.hi, 0};
    const char *letter;
    uint64_t return_column;
    unsigned version;
    int error;

    if (at < tables.lo || at >= tables.hi)
        return CFI_TRUNCATED;
    if ((error = record_enter(&r)) != 0)
        return error;
    if (cfi_read_unsigned(&r, 4) != 0)
        return CFI_MALFORMED; /* not a CIE */
    version = (unsigned)cfi_read_unsigned(&r, 1);
    letter = (const char *)r.at;
    while (cfi_read_unsigned(&r, 1) != 0)
        ;
    if (r.bad)
        return CFI_TRUNCATED;
    if (version != 1 && version != 3 && version != 4)
        return CFI_UNSUPPORTED;
    if (version == 4 && (cfi_read_unsigned(&r, 1) != 8 || cfi_read_unsigned(&r, 1) != 0))
        return CFI_UNSUPPORTED; /* address size, segment selector size */
    out->code_align = cfi_read_uleb(&r);
    out->data_align = cfi_read_sleb(&r);
    return_column = version == 1 ? cfi_read_unsigned(&r, 1) : cfi_read_uleb(&r);
    if (return_column != UNWIND_RIP)
        return r.bad ? CFI_TRUNCATED : CFI_UNSUPPORTED;
    out->encoding = PE_ABSPTR;
    out->signal = 0;
    *augmented = *letter == 'z';
    if (*augmented) {
        uint64_t size = cfi_read_uleb(&r);
        struct cfi_reader data = r;
        cfi_read_skip(&r, size);
        data.end = r.at;
        while (*++letter) {
            unsigned encoding;
            if (*letter == 'R') {
                out->encoding = (uint8_t)cfi_read_unsigned(&data, 1);
            } else if (*letter == 'P') {
                encoding = (unsigned)cfi_read_unsigned(&data, 1);
                pointer_read(&data, encoding & ~PE_INDIRECT, data_base);
            } else if (*letter == 'L') {
                cfi_read_unsigned(&data, 1);
            } else if (*letter == 'S') {
                out->signal = 1;
            } else {
                return CFI_UNSUPPORTED;
            }
        }
        r.bad |= data.bad;
    } else if (*letter) {
        return CFI_UNSUPPORTED;
    }
    out->initial.lo = r.at;
    out->initial.hi = r.end;
    return r.bad ? CFI_TRUNCATED : 0;
}

int cfi_fde_parse(struct cfi_bytes tables, const uint8_t *fde, uintptr_t data_base,
                  struct cfi_fde *out)
{
    struct cfi_reader r = {fde, tables.hi, 0};
    const uint8_t *field;
    uint64_t back;
    uintptr_t length;
    int augmented, error;

    if (fde < tables.lo || fde >= tables.hi)
        return CFI_TRUNCATED;
    if ((error = record_enter(&r)) != 0)
        return error;
    field = r.at;
    back = cfi_read_unsigned(&r, 4);
    if (r.bad || back > (uint64_t)(field - tables.lo))
        return CFI_TRUNCATED;
    if (back == 0)
        return CFI_MALFORMED; /* a CIE */
    if ((error = cie_parse(tables, field - back, data_base, out, &augmented)) != 0)
        return error;
    if (out->encoding & PE_INDIRECT)
        return CFI_UNSUPPORTED;
    out->data_base = data_base;
    out->pc_begin = pointer_read(&r, out->encoding, data_base);
    length = pointer_read(&r, out->encoding & 0x0f, 0);
    out->pc_end = out->pc_begin + length;
    if (augmented)
        cfi_read_skip(&r, cfi_read_uleb(&r));
    if (r.bad)
        return CFI_TRUNCATED;
    out->program.lo = r.at;
    out->program.hi = r.end;
    return 0;
}

/* The call-frame machine. Compilers nest remember_state once, rarely twice. */
#define STATES 4

struct machine {
    struct cfi_bytes tables;
    const struct cfi_fde *fde;
    uintptr_t location, pc;
    struct cfi_row *row;
    const struct cfi_row *initial; /* what DW_CFA_restore goes back to */
    unsigned depth;
    struct cfi_row saved[STATES];
};

static void rule_set(struct machine *m, struct cfi_reader *r, uint64_t reg, enum cfi_how how,
                     int64_t value)
{
    if (reg >= UNWIND_REGS)
        return; /* xmm and the like: nothing depends on them */
    if (value != (int32_t)value)
        r->bad = 1;
    m->row->how[reg] = (uint8_t)how;
    m->row->value[reg] = (int32_t)value;
}

static void rule_restore(struct machine *m, uint64_t reg)
{
    if (reg >= UNWIND_REGS)
        return;
    m->row->how[reg] = m->initial->how[reg];
    m->row->value[reg] = m->initial->value[reg];
}

static void cfa_set(struct machine *m, struct cfi_reader *r, enum cfi_how how, uint64_t reg,
                    int64_t value)
{
    if (value != (int32_t)value || reg >= UNWIND_REGS)
        r->bad = 1;
    m->row->cfa_how = (uint8_t)how;
    m->row->cfa_reg = (uint8_t)reg;
    m->row->cfa_value = (int32_t)value;
}

/* A signed multiple of data_align; wraps instead of overflowing, the range check follows. */
static int64_t factored(const struct machine *m, uint64_t n)
{
    return (int64_t)(n * (uint64_t)m->fde->data_align);
}

/* Skips an expression; gives its place. */
static int64_t expression_place(struct machine *m, struct cfi_reader *r)
{
    int64_t place = r->at - m->tables.lo;
    cfi_read_skip(r, cfi_read_uleb(r));
    return place;
}

/* Operations other than advance, offset and restore. 0, or enum cfi_error. */
static int extended_run(struct machine *m, struct cfi_reader *r, unsigned op)
{
    uint64_t reg;

    switch (op) {
    case 0x00: /* nop */
        return 0;
    case 0x01: /* set_loc */
        if (m->fde->encoding & PE_INDIRECT)
            return CFI_UNSUPPORTED;
        m->location = pointer_read(r, m->fde->encoding, m->fde->data_base);
        return 0;
    case 0x02: /* advance_loc1, 2, 4 */
    case 0x03:
    case 0x04:
        m->location += cfi_read_unsigned(r, 1u << (op - 2)) * m->fde->code_align;
        return 0;
    case 0x05: /* offset_extended */
        reg = cfi_read_uleb(r);
        rule_set(m, r, reg, CFI_OFFSET, factored(m, cfi_read_uleb(r)));
        return 0;
    case 0x06: /* restore_extended */
        rule_restore(m, cfi_read_uleb(r));
        return 0;
    case 0x07: /* undefined */
        rule_set(m, r, cfi_read_uleb(r), CFI_UNDEFINED, 0);
        return 0;
    case 0x08: /* same_value */
        rule_set(m, r, cfi_read_uleb(r), CFI_SAME, 0);
        return 0;
    case 0x09: /* register */
        reg = cfi_read_uleb(r);
        rule_set(m, r, reg, CFI_REGISTER, (int64_t)cfi_read_uleb(r));
        return 0;
    case 0x0a: /* remember_state */
        if (m->depth == STATES)
            return CFI_UNSUPPORTED;
        m->saved[m->depth++] = *m->row;
        return 0;
    case 0x0b: /* restore_state: the CFA rule too, as gcc and its users understand it */
        if (m->depth == 0)
            return CFI_MALFORMED;
        *m->row = m->saved[--m->depth];
        return 0;
    case 0x0c: /* def_cfa */
        reg = cfi_read_uleb(r);
        cfa_set(m, r, CFI_REGISTER, reg, (int64_t)cfi_read_uleb(r));
        return 0;
    case 0x0d: /* def_cfa_register */
    case 0x0e: /* def_cfa_offset */
    case 0x13: /* def_cfa_offset_sf */
        if (m->row->cfa_how != CFI_REGISTER)
            return CFI_MALFORMED;
        if (op == 0x0d)
            cfa_set(m, r, CFI_REGISTER, cfi_read_uleb(r), m->row->cfa_value);
        else if (op == 0x0e)
            cfa_set(m, r, CFI_REGISTER, m->row->cfa_reg, (int64_t)cfi_read_uleb(r));
        else
            cfa_set(m, r, CFI_REGISTER, m->row->cfa_reg, factored(m, (uint64_t)cfi_read_sleb(r)));
        return 0;
    case 0x0f: /* def_cfa_expression */
        cfa_set(m, r, CFI_VAL_EXPRESSION, 0, expression_place(m, r));
        return 0;
    case 0x10: /* expression */
        reg = cfi_read_uleb(r);
        rule_set(m, r, reg, CFI_EXPRESSION, expression_place(m, r));
        return 0;
    case 0x11: /* offset_extended_sf */
        reg = cfi_read_uleb(r);
        rule_set(m, r, reg, CFI_OFFSET, factored(m, (uint64_t)cfi_read_sleb(r)));
        return 0;
    case 0x12: /* def_cfa_sf */
        reg = cfi_read_uleb(r);
        cfa_set(m, r, CFI_REGISTER, reg, factored(m, (uint64_t)cfi_read_sleb(r)));
        return 0;
    case 0x14: /* val_offset */
        reg = cfi_read_uleb(r);
        rule_set(m, r, reg, CFI_VAL_OFFSET, factored(m, cfi_read_uleb(r)));
        return 0;
    case 0x15: /* val_offset_sf */
        reg = cfi_read_uleb(r);
        rule_set(m, r, reg, CFI_VAL_OFFSET, factored(m, (uint64_t)cfi_read_sleb(r)));
        return 0;
    case 0x16: /* val_expression */
        reg = cfi_read_uleb(r);
        rule_set(m, r, reg, CFI_VAL_EXPRESSION, expression_place(m, r));
        return 0;
    case 0x2e: /* GNU_args_size: for landing pads only */
        cfi_read_uleb(r);
        return 0;
    case 0x2f: /* GNU_negative_offset_extended */
        reg = cfi_read_uleb(r);
        rule_set(m, r, reg, CFI_OFFSET, -factored(m, cfi_read_uleb(r)));
        return 0;
    default:
        return CFI_UNSUPPORTED;
    }
}

/* Runs instructions until they are all done or past the pc. 0, or enum cfi_error. */
static int program_run(struct machine *m, struct cfi_bytes program)
{
    struct cfi_reader r = {program.lo, program.hi, 0};

    while (r.at < r.end) {
        unsigned op = (unsigned)cfi_read_unsigned(&r, 1);
        int error = 0;
        switch (op & 0xc0) {
        case 0x40: /* advance_loc */
            m->location += (op & 0x3f) * m->fde->code_align;
            break;
        case 0x80: /* offset */
            rule_set(m, &r, op & 0x3f, CFI_OFFSET, factored(m, cfi_read_uleb(&r)));
            break;
        case 0xc0: /* restore */
            rule_restore(m, op & 0x3f);
            break;
        default:
            error = extended_run(m, &r, op);
        }
        if (error)
            return error;
        if (r.bad)
            return CFI_TRUNCATED;
        if (m->location > m->pc)
            return 0;
    }
    return 0;
}

int cfi_row_find(struct cfi_bytes tables, const struct cfi_fde *fde, uintptr_t pc,
                 struct cfi_row *out)
{
    struct machine m;
    struct cfi_row initial;
    int error;

    if (pc < fde->pc_begin || pc >= fde->pc_end)
        return CFI_NO_FDE;
    memset(&initial, 0, sizeof(initial));
    memset(out, 0, sizeof(*out));
    m.tables = tables;
    m.fde = fde;
    m.location = fde->pc_begin;
    m.pc = pc;
    m.row = out;
    m.initial = &initial;
    m.depth = 0;
    if ((error = program_run(&m, fde->initial)) != 0)
        return error;
    initial = *out;
    if ((error = program_run(&m, fde->program)) != 0)
        return error;
    if (out->cfa_how == CFI_UNSPECIFIED)
        return CFI_MALFORMED;
    return 0;
}
