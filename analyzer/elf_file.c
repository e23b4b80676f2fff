#include "analyzer/elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int elf_file_open(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

const char *elf_file_map(struct elf_file *to, int fd, const uint8_t *id, size_t id_bytes)
{
    struct stat st;
    *to = (struct elf_file){0};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return "not a file";
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return strerror(errno);
    to->bytes = bytes;
    if (elf_image_init(&to->image, bytes, (size_t)st.st_size) != ELF_IMAGE_OK) {
        to->image.size = (size_t)st.st_size;
        return "not an x86-64 ELF file";
    }
    const uint8_t *now = NULL;
    size_t now_bytes = elf_image_build_id(&to->image, &now);
    if (id_bytes && (now_bytes != id_bytes || memcmp(now, id, id_bytes) != 0))
        return "changed since it was recorded (another build-id)";
    return NULL;
}

void elf_file_unmap(struct elf_file *file)
{
    if (file->bytes)
        munmap(file->bytes, file->image.size);
    *file = (struct elf_file){0};
}
