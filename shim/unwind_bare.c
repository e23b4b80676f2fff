/* Leaving frames without tables: see unwind_bare.h. */
#include "shim/unwind_bare.h"

#include <string.h>
#include <sys/uio.h>

#include "profile/sys.h"
#include "shim/cfi.h"
#include "shim/unwind_rule.h"

enum {
    frames_max = 64,
    frame_bytes_max = 4096,
    call_bytes_max = 8, /* of a call: REX, FF, ModRM, SIB and four bytes */
    remembered = 4096,
};

/* Both may be overwritten any time. Return addresses before which there is a call; and those whose
 * frame was found to be theirs, with its size. */
static uintptr_t called[remembered], framed[remembered];

static uintptr_t *remembered_at(uintptr_t table[remembered], uintptr_t what)
{
    return &table[what * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

static enum unwind_rule_kind kind_at(uintptr_t pc)
{
    uint32_t generation = unwind_generation_load();
    struct unwind_scratch scratch;
    if (pc >> UNWIND_PC_BITS)
        return UNWIND_RULE_NO_CODE;
    if ((int64_t)unwind_word_find(pc, generation) > 0) /* a quick rule */
        return UNWIND_RULE_PLAIN;
    return unwind_rule_find(pc, generation, &scratch)->kind;
}

static int is_bare(enum unwind_rule_kind kind)
{
    return kind == UNWIND_RULE_NO_CFI || kind == UNWIND_RULE_NO_CODE;
}

/* Length of the call by pointer (FF /2) that ends with the last of these bytes, or 0. */
static unsigned pointer_call_bytes(const uint8_t code[call_bytes_max])
{
    for (unsigned n = 2; n <= call_bytes_max; n++) {
        const uint8_t *at = code + call_bytes_max - n;
        unsigned rex = (at[0] & 0xf0) == 0x40, need = 2 + rex;
        if (need > n || at[rex] != 0xff || (at[rex + 1] >> 3 & 7) != 2)
            continue;
        unsigned mode = at[rex + 1] >> 6, base = at[rex + 1] & 7;
        if (mode != 3 && base == 4) {
            need++;
            if (mode == 0 && need <= n && (at[rex + 2] & 7) == 5)
                need += 4;
        } else if (mode == 0 && base == 5) {
            need += 4;
        }
        need += mode == 1 ? 1 : mode == 2 ? 4 : 0;
        if (need == n)
            return n;
    }
    return 0;
}

static int is_direct_call(const uint8_t code[call_bytes_max])
{
    return code[call_bytes_max - 5] == 0xe8;
}

static uintptr_t displaced(uintptr_t rip, const uint8_t code[call_bytes_max])
{
    int32_t displacement;
    memcpy(&displacement, code + call_bytes_max - sizeof displacement, sizeof displacement);
    return rip + (uintptr_t)(intptr_t)displacement;
}

/* The bytes before an address that may be none. 0, or −1. */
static int code_read(uintptr_t rip, uint8_t code[call_bytes_max])
{
    struct iovec local = {code, call_bytes_max};
    struct iovec remote = {(void *)(rip - call_bytes_max), call_bytes_max};
    return sys_call6(SYS_process_vm_readv, sys_call0(SYS_getpid), (long)&local, 1, (long)&remote, 1,
                     0) == call_bytes_max
               ? 0
               : -1;
}

/* Does a call stand before a return address of which no table says anything? */
static int call_precedes(uintptr_t rip)
{
    uintptr_t *known = remembered_at(called, rip);
    uint8_t code[call_bytes_max];
    if (__atomic_load_n(known, __ATOMIC_RELAXED) == rip)
        return 1;
    if (rip < 1u << 16 || rip >> UNWIND_PC_BITS || code_read(rip, code) != 0 ||
        !(is_direct_call(code) || pointer_call_bytes(code)))
        return 0;
    __atomic_store_n(known, rip, __ATOMIC_RELAXED);
    return 1;
}

/* Can the call before a return address in a function with tables have called one without? */
static int call_may_be_of_bare_code(uintptr_t rip)
{
    struct unwind_module module;
    const uint8_t *code = (const uint8_t *)rip - call_bytes_max;
    unsigned bytes;
    if (unwind_module_find(rip - 1, &module) != 0 || rip - module.start < call_bytes_max)
        return 0;
    if (is_direct_call(code) && is_bare(kind_at(displaced(rip, code))))
        return 1;
    bytes = pointer_call_bytes(code);
    if (bytes == 6 && code[3] == 0x15) { /* the pointer is the module's, of a function of another */
        uintptr_t place = displaced(rip, code), target;
        if (place < module.start || place > module.end - sizeof target)
            return 0;
        memcpy(&target, (const void *)place, sizeof target);
        return is_bare(kind_at(target));
    }
    return bytes != 0;
}

static CFI_READS_STACK int word_read(uintptr_t at, struct unwind_range stack, uintptr_t *out)
{
    if (at % 8 || at < stack.lo || at >= stack.hi)
        return -1;
    *out = *(const uintptr_t *)at;
    return 0;
}

/* Is the word the return address of a call by code with tables of some without? */
static int returns_to_tables(uintptr_t word)
{
    enum { lowest = 1 << 16 };
    if (word < lowest || word >> UNWIND_PC_BITS)
        return 0;
    return !is_bare(kind_at(word - 1)) && call_may_be_of_bare_code(word);
}

/* Rule 4 of the header. Code that returns to the same place has the same frame each time. */
static int frame_is_own(const struct unwind_bare *f, struct unwind_range stack)
{
    uintptr_t bytes = f->rbp - f->sp, word;
    uintptr_t key = f->rip << 13 | bytes, *known = remembered_at(framed, key);
    if (__atomic_load_n(known, __ATOMIC_RELAXED) == key)
        return 1;
    for (uintptr_t at = f->sp; at < f->rbp; at += 8)
        if (word_read(at, stack, &word) != 0 || returns_to_tables(word))
            return 0;
    __atomic_store_n(known, key, __ATOMIC_RELAXED);
    return 1;
}

/* By the frame pointer. 0, or −1 if it cannot be the frame's. */
static int leave_by_rbp(struct unwind_bare *f, struct unwind_range stack)
{
    uintptr_t at = f->rbp;
    if (at < f->sp || at - f->sp > frame_bytes_max || !frame_is_own(f, stack) ||
        word_read(at, stack, &f->rbp) != 0 || word_read(at + 8, stack, &f->rip) != 0)
        return -1;
    f->sp = at + 16;
    return 0;
}

/* Leaves a frame whose code executes at rip. */
static int leave_executing(struct unwind_bare *f, struct unwind_range stack)
{
    static const uint8_t mov_rbp_rsp[] = {0x48, 0x89, 0xe5}, endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    const uint8_t *code = (const uint8_t *)f->rip;
    size_t page_left = 4096 - f->rip % 4096;
    enum { push_rbp = 0x55, ret = 0xc3 };

    if (code[0] == push_rbp || code[0] == ret ||
        (page_left >= sizeof endbr64 && memcmp(code, endbr64, sizeof endbr64) == 0)) {
        f->sp += 8;
        return word_read(f->sp - 8, stack, &f->rip);
    }
    if (f->rip % 4096 && code[-1] == push_rbp && page_left >= sizeof mov_rbp_rsp &&
        memcmp(code, mov_rbp_rsp, sizeof mov_rbp_rsp) == 0) {
        f->sp += 16;
        return word_read(f->sp - 16, stack, &f->rbp) || word_read(f->sp - 8, stack, &f->rip);
    }
    return leave_by_rbp(f, stack);
}

/* Where on the stack the chain from here has come to a frame with tables, or 0. */
static uintptr_t chain_end(struct unwind_bare f, struct unwind_range stack)
{
    for (unsigned i = 0; i < frames_max; i++) {
        if (f.rip - 1 >= (UINT64_C(1) << UNWIND_PC_BITS) - 1)
            return 0;
        if (!is_bare(kind_at(f.rip - 1)))
            return returns_to_tables(f.rip) ? f.sp : 0;
        if (!call_precedes(f.rip) || leave_by_rbp(&f, stack) != 0)
            return 0;
    }
    return 0;
}

int unwind_bare_leave(struct unwind_bare *frame, int exact, struct unwind_range stack)
{
    struct unwind_bare f = *frame;
    /* a return address without tables must be one; the first such is asked about here */
    if (!exact && f.sp >= f.known_to && !call_precedes(f.rip))
        return -1;
    if ((exact ? leave_executing(&f, stack) : leave_by_rbp(&f, stack)) != 0)
        return -1;
    if (f.sp > f.known_to && (f.known_to = chain_end(f, stack)) == 0)
        return -1;
    *frame = f;
    return 0;
}
