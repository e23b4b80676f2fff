#include "analyzer/elf_syscalls.h"

#include <stdbool.h>
#include <string.h>

#include "analyzer/x86_length.h"

/* Bytes of code that are read at most: functions of a hostile file may all be the same. */
enum { code_most = 512 << 20 };

struct counting {
    const struct elf_image *image;
    size_t found, left; /* left: bytes that may still be read */
    bool functions;     /* there are some */
};

static void code_read(struct counting *c, const uint8_t *code, size_t size)
{
    static const uint8_t call[2] = {0x0f, 0x05};
    size = size < c->left ? size : c->left;
    c->left -= size;
    /* Most code has no such bytes at all. */
    if (size < sizeof call || !memmem(code, size, call, sizeof call))
        return;
    for (size_t at = 0; at < size;) {
        unsigned n = x86_length(code + at, size - at);
        c->found += n == sizeof call && memcmp(code + at, call, sizeof call) == 0;
        at += n ? n : 1;
    }
}

static void function_read(void *context, uint64_t start, uint64_t end)
{
    struct counting *c = context;
    const uint8_t *code = end > start ? elf_image_at(c->image, start, end - start) : NULL;
    c->functions = true;
    if (code)
        code_read(c, code, end - start);
}

size_t elf_syscalls(const struct elf_image *image)
{
    struct counting c = {.image = image, .left = code_most};
    elf_image_functions(image, function_read, &c);
    if (c.functions)
        return c.found;
    for (unsigned i = 0; i < image->segment_count; i++) {
        const Elf64_Phdr *p = &image->segments[i];
        const uint8_t *code = p->p_type == PT_LOAD && p->p_flags & PF_X
                                  ? elf_image_range(image, p->p_offset, p->p_filesz)
                                  : NULL;
        if (code)
            code_read(&c, code, p->p_filesz);
    }
    return c.found;
}
