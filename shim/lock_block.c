#include "shim/lock_block.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/uio.h>

#include "profile/sys.h"
#include "shim/blocks.h"
#include "shim/marks.h"
#include "shim/tag.h"
#include "shim/unwind.h"

enum { word_bytes = 8, chunk_words = 64, block_align = 16 };

/* Words of memory that may not be there, from the page of `known` on, which is. */
struct words {
    uintptr_t known;
    uintptr_t from, to; /* what `word` holds; from == to: nothing */
    uint64_t word[chunk_words];
};

static bool words_fetch(struct words *w, uintptr_t at)
{
    struct iovec local = {w->word, sizeof w->word}, remote = {(void *)at, sizeof w->word};
    uintptr_t page_end = (at | (PSHIM_PAGE_BYTES - 1)) + 1;
    if (remote.iov_len > page_end - at)
        remote.iov_len = page_end - at; /* the next page may be missing */
    w->from = w->to = at;
    if (!unwind_find_stack) /* a seccomp filter was there before us */
        return false;
    long got = sys_call6(SYS_process_vm_readv, sys_call0(SYS_getpid), (long)&local, 1,
                         (long)&remote, 1, 0);
    if (got != (long)remote.iov_len)
        return false;
    w->to = at + (uintptr_t)got;
    return true;
}

static bool words_read(struct words *w, uintptr_t at, uint64_t *word)
{
    if (at / PSHIM_PAGE_BYTES == w->known / PSHIM_PAGE_BYTES) {
        memcpy(word, (const void *)at, sizeof *word);
        return true;
    }
    if ((at < w->from || at >= w->to) && !words_fetch(w, at))
        return false;
    *word = w->word[(at - w->from) / word_bytes];
    return true;
}

/* Is there a live block with a tag at `start`, of this site, with the address in it? */
static bool tagged_is(uintptr_t start, uintptr_t address, uint32_t node, struct lock_block *out)
{
    struct words words = {.known = address};
    struct tag tag;
    uint64_t word;
    if (node == 0 || start > address)
        return false;
    for (uintptr_t at = (address | (word_bytes - 1)) + 1;
         at - start <= tag_usable_max - tag_bytes && words_read(&words, at, &word);
         at += word_bytes) {
        if (!tag_unpack(word, (const void *)start, shim.tag_key, &tag) || tag.node != node ||
            tag.slack > at - start || at - start - tag.slack <= address - start)
            continue;
        *out = (struct lock_block){node, address - start, at - start - tag.slack};
        return true;
    }
    return false;
}

/* … without a tag? */
static bool untagged_is(uintptr_t start, uintptr_t address, struct lock_block *out)
{
    struct block block;
    if (!blocks_find(&blocks_untagged, (const void *)start, &block) || block.node == 0 ||
        address - start >= block.bytes)
        return false;
    *out = (struct lock_block){block.node, address - start, block.bytes};
    return true;
}

static bool last_find(const struct thread_state *ts, uintptr_t address, struct lock_block *out)
{
    for (unsigned i = 0; i < shim_accounts_at_hand; i++) {
        uintptr_t start = (uintptr_t)ts->last_blocks[i];
        if (start && start <= address &&
            (untagged_is(start, address, out) ||
             tagged_is(start, address, ts->accounts[i].node, out)))
            return true;
    }
    return false;
}

static bool marked_find(uintptr_t address, struct lock_block *out)
{
    struct block mark;
    uintptr_t start = address & ~(uintptr_t)(block_align - 1);
    for (; start && address - start < tag_usable_max; start -= block_align)
        if (marks_find((const void *)start, &mark) && tagged_is(start, address, mark.node, out))
            return true;
    return false;
}

static bool untagged_find(uintptr_t address, struct lock_block *out)
{
    uintptr_t start = (uintptr_t)blocks_around(&blocks_untagged, (const void *)address);
    return start && untagged_is(start, address, out);
}

/* Variables, and the stack of the thread. */
static bool is_elsewhere(const struct thread_state *ts, uintptr_t address)
{
    struct dl_find_object found;
    return (address >= ts->stack.lo && address < ts->stack.hi) ||
           _dl_find_object((void *)address, &found) == 0;
}

bool lock_block_find(const struct thread_state *ts, uintptr_t address, struct lock_block *out)
{
    return !is_elsewhere(ts, address) && (last_find(ts, address, out) ||
                                          untagged_find(address, out) || marked_find(address, out));
}

bool lock_block_is(const struct lock_block *block, uintptr_t address)
{
    struct lock_block now;
    uintptr_t start = address - block->offset;
    return (untagged_is(start, address, &now) || tagged_is(start, address, block->node, &now)) &&
           now.node == block->node && now.bytes == block->bytes;
}

void lock_block_note(const struct thread_state *ts, struct pshim_lock *lock)
{
    struct lock_block block;
    uint32_t known = __atomic_load_n(&lock->block_node, __ATOMIC_ACQUIRE);
    if (known) {
        block.node = known & ~PSHIM_LOCK_ASKED;
        block.offset = lock->block_offset;
        block.bytes = lock->block_bytes;
        if (block.node && !lock_block_is(&block, lock->address))
            __atomic_store_n(&lock->block_node, PSHIM_LOCK_ASKED, __ATOMIC_RELEASE);
        return;
    }
    if (!__atomic_compare_exchange_n(&lock->block_node, &known, PSHIM_LOCK_ASKED, 0,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
        !lock_block_find(ts, lock->address, &block))
        return;
    lock->block_offset = block.offset;
    lock->block_bytes = block.bytes;
    __atomic_store_n(&lock->block_node, block.node | PSHIM_LOCK_ASKED, __ATOMIC_RELEASE);
}
