#include "store/bench/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int ledger_open(struct ledger *l, const char *file, uint64_t threads)
{
    *l = (struct ledger){.bytes = threads * LEDGER_LINE};
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int error = posix_fallocate(fd, 0, (off_t)l->bytes);
    if (!error) {
        void *map = mmap(NULL, l->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        error = map == MAP_FAILED ? errno : 0;
        l->lines = error ? NULL : map;
    }
    close(fd);
    errno = error;
    return error ? -1 : 0;
}

void ledger_close(struct ledger *l)
{
    if (l->lines)
        munmap(l->lines, l->bytes);
    memset(l, 0, sizeof *l);
}
