#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "analyzer/elf_image.h"
#include "analyzer/target.h"

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* A runtime that must be the first library: perfshim's cannot be. */
static bool is_sanitizer(const char *library)
{
    static const char *const names[] = {"libasan.so",        "libtsan.so",       "liblsan.so",
                                        "libhwasan.so",      "libclang_rt.asan", "libclang_rt.tsan",
                                        "libclang_rt.hwasan"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (starts_with(library, names[i]))
            return true;
    return false;
}

static bool needs_sanitizer(const struct elf_image *image)
{
    const Elf64_Shdr *s = elf_image_section(image, SHT_DYNAMIC);
    if (!s || s->sh_offset % 8 != 0)
        return false;
    const Elf64_Dyn *d = elf_image_range(image, s->sh_offset, s->sh_size);
    for (size_t i = 0; d && i < s->sh_size / sizeof *d && d[i].d_tag != DT_NULL; i++)
        if (d[i].d_tag == DT_NEEDED &&
            is_sanitizer(elf_image_string(image, s->sh_link, d[i].d_un.d_val)))
            return true;
    return false;
}

/* The executable's own definitions that matter: a runtime linked in, an allocator. */
static bool defines(const struct elf_image *image, const char *const *wanted)
{
    size_t count;
    uint32_t names;
    const Elf64_Sym *symbols = elf_image_symbols(image, SHT_DYNSYM, &count, &names);
    for (size_t i = 0; i < count; i++) {
        if (symbols[i].st_shndx == SHN_UNDEF)
            continue;
        const char *name = elf_image_string(image, names, symbols[i].st_name);
        for (const char *const *w = wanted; *w; w++)
            if (strcmp(name, *w) == 0)
                return true;
    }
    return false;
}

enum target_verdict target_judge(const void *bytes, size_t size, bool *own_malloc)
{
    static const char *const runtimes[] = {"__asan_init", "__tsan_init", "__msan_init",
                                           "__hwasan_init", NULL};
    static const char *const allocators[] = {"malloc", NULL};
    struct elf_image image;
    *own_malloc = false;
    switch (elf_image_init(&image, bytes, size)) {
    case ELF_IMAGE_OK:
        break;
    case ELF_IMAGE_FOREIGN:
        return TARGET_FOREIGN;
    default:
        return TARGET_NOT_EXECUTABLE;
    }
    if (image.header->e_type != ET_EXEC && image.header->e_type != ET_DYN)
        return TARGET_NOT_EXECUTABLE;
    if (!elf_image_segment(&image, PT_INTERP))
        return TARGET_STATIC;
    if (needs_sanitizer(&image) || defines(&image, runtimes))
        return TARGET_SANITIZED;
    *own_malloc = defines(&image, allocators);
    return TARGET_FINE;
}

bool target_interpreter(const char *bytes, size_t size, char to[static PATH_MAX])
{
    if (size < 2 || bytes[0] != '#' || bytes[1] != '!')
        return false;
    size_t i = 2, n = 0;
    while (i < size && (bytes[i] == ' ' || bytes[i] == '\t'))
        i++;
    while (i < size && n + 1 < PATH_MAX && !strchr(" \t\r\n", bytes[i]))
        to[n++] = bytes[i++];
    to[n] = '\0';
    return n > 0;
}

static enum target_verdict refuse(struct target *t, enum target_verdict verdict, const char *file,
                                  const char *why)
{
    snprintf(t->why, sizeof t->why, "%s: %s", file, why);
    return verdict;
}

static enum target_verdict explain(struct target *t, enum target_verdict verdict, const char *file)
{
    switch (verdict) {
    case TARGET_FINE:
        return verdict;
    case TARGET_STATIC:
        return refuse(t, verdict, file,
                      "is static: without a dynamic loader nothing can be preloaded");
    case TARGET_SANITIZED:
        return refuse(t, verdict, file,
                      "is built with a sanitizer, which must be the first library itself");
    case TARGET_FOREIGN:
        return refuse(t, verdict, file, "is not a 64-bit x86 program");
    default:
        return refuse(t, verdict, file, "cannot be executed: not a program");
    }
}

static enum target_verdict file_check(struct target *t, const char *file, unsigned scripts);

static enum target_verdict bytes_check(struct target *t, const char *file, const void *bytes,
                                       size_t size, unsigned scripts)
{
    enum { nested_most = 4 }; /* as the kernel */
    char interpreter[PATH_MAX];
    if (target_interpreter(bytes, size, interpreter)) {
        if (scripts == nested_most)
            return refuse(t, TARGET_NOT_EXECUTABLE, file, "too many nested interpreters");
        return file_check(t, interpreter, scripts + 1);
    }
    if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0) /* execvp() gives it to the shell */
        return scripts ? explain(t, TARGET_NOT_EXECUTABLE, file)
                       : file_check(t, "/bin/sh", scripts + 1);
    return explain(t, target_judge(bytes, size, &t->own_malloc), file);
}

static enum target_verdict file_check(struct target *t, const char *file, unsigned scripts)
{
    struct stat st;
    if (stat(file, &st) != 0)
        return refuse(t, errno == EACCES ? TARGET_NOT_EXECUTABLE : TARGET_NOT_FOUND, file,
                      strerror(errno));
    if (S_ISDIR(st.st_mode))
        return refuse(t, TARGET_NOT_EXECUTABLE, file, "is a directory");
    if (!S_ISREG(st.st_mode) || access(file, X_OK) != 0)
        return refuse(t, TARGET_NOT_EXECUTABLE, file, "is not executable");
    if (st.st_mode & (S_ISUID | S_ISGID))
        return refuse(t, TARGET_RAISED, file,
                      st.st_mode & S_ISUID ? "is setuid: the loader preloads nothing into it"
                                           : "is setgid: the loader preloads nothing into it");
    if (getxattr(file, "security.capability", NULL, 0) > 0)
        return refuse(t, TARGET_RAISED, file,
                      "has file capabilities: the loader preloads nothing into it");
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) /* executable but not readable: it can be run, only not looked into */
        return errno == EACCES ? TARGET_FINE
                               : refuse(t, TARGET_NOT_EXECUTABLE, file, strerror(errno));
    size_t size = (size_t)st.st_size;
    void *bytes = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (bytes == MAP_FAILED)
        return explain(t, TARGET_NOT_EXECUTABLE, file);
    enum target_verdict verdict = bytes_check(t, file, bytes, size, scripts);
    munmap(bytes, size);
    return verdict;
}

/* Where a shell would find the command. False with t->path = what it is called. */
static bool path_search(const char *command, struct target *t)
{
    const char *dirs = getenv("PATH");
    bool found = false;
    for (const char *at = dirs ? dirs : "/bin:/usr/bin"; at;) {
        size_t n = strcspn(at, ":");
        char path[PATH_MAX];
        struct stat st;
        int used = n ? snprintf(path, sizeof path, "%.*s/%s", (int)n, at, command)
                     : snprintf(path, sizeof path, "./%s", command); /* empty: here */
        at = at[n] ? at + n + 1 : NULL;
        if (used >= (int)sizeof path || stat(path, &st) != 0 || S_ISDIR(st.st_mode))
            continue;
        bool runs = access(path, X_OK) == 0;
        if (!found || runs)
            memcpy(t->path, path, sizeof path);
        found = true;
        if (runs)
            break;
    }
    return found;
}

enum target_verdict target_check(const char *command, struct target *t)
{
    *t = (struct target){0};
    snprintf(t->path, sizeof t->path, "%s", command);
    if (!strchr(command, '/') && (!*command || !path_search(command, t)))
        return refuse(t, TARGET_NOT_FOUND, command, "command not found");
    return file_check(t, t->path, 0);
}
