/*
 * Mappings of its own, in all ways that take a part of one away. Prints, as JSON, what must have
 * been counted in each function; exits 1 if a call did not do what it does without the shim.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noipa, noinline))
#define PAGE ((size_t)4096)
#define KIB  ((size_t)1024)
#define MIB  (1024 * KIB)
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static char *early; /* mapped by a constructor */

static char *map(size_t n)
{
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static __attribute__((constructor)) SITE void constructed(void)
{
    early = map(128 * KIB);
    MUST(early);
}

static SITE void given_back_whole(void)
{
    for (int i = 0; i < 3; i++) {
        char *p = map(MIB);
        MUST(p);
        p[MIB - 1] = 1;
        MUST(munmap(p, MIB) == 0);
    }
}

static SITE void head_tail_and_middle(void)
{
    char *p = map(16 * PAGE);
    MUST(munmap(p, PAGE) == 0);                    /* 15 left, 1 … 15 */
    MUST(munmap(p + 14 * PAGE, 2 * PAGE) == 0);    /* 13, 1 … 13 */
    MUST(munmap(p + 5 * PAGE, 3 * PAGE - 5) == 0); /* 10: 1 … 4 and 8 … 13; whole pages go */
    MUST(munmap(p + 5 * PAGE, 3 * PAGE) == 0);     /* nothing is there: no error */
    p[4 * PAGE] = p[8 * PAGE] = 1;
}

static SITE void in_pieces_to_the_end(void)
{
    char *p = map(32 * PAGE);
    for (size_t i = 1; i < 32; i += 2)
        MUST(munmap(p + i * PAGE, PAGE) == 0);
    MUST(munmap(p, 32 * PAGE) == 0); /* all 16 pieces at once */
}

static SITE char *under_another(void)
{
    return map(MIB);
}

static SITE char *over_another(char *p)
{
    char *q = mmap(p + 256 * KIB, 512 * KIB, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    MUST(q == p + 256 * KIB);
    return q;
}

static SITE char *to_be_moved(void)
{
    return map(64 * KIB);
}

static SITE char *moved(char *p)
{
    p[5] = 77;
    char *q = mremap(p, 64 * KIB, 2 * MIB, MREMAP_MAYMOVE);
    MUST(q != MAP_FAILED && q[5] == 77);
    return q;
}

static SITE void shrunk(void)
{
    char *p = map(MIB);
    MUST(mremap(p, MIB, 100 * KIB, 0) == p);
    errno = 0;
    MUST(mremap(p, 100 * KIB, 100 * KIB, 0) == p && errno == 0);
    MUST(mremap(p + 1, MIB, MIB, 0) == MAP_FAILED && errno == EINVAL);
}

static SITE void failing(void)
{
    char *p = map(MIB);
    errno = 0;
    MUST(munmap(p + 1, MIB) == -1 && errno == EINVAL);
    MUST(munmap(p, 0) == -1 && errno == EINVAL);
    MUST(map((size_t)1 << 60) == NULL && errno == ENOMEM);
    errno = 5;
    MUST(munmap(p, MIB) == 0 && errno == 5);
}

static SITE void not_counted(void)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    MUST(map(60 * KIB));
    MUST(mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    MUST(mmap(NULL, 16 * KIB, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
    void *big = malloc(8 * MIB), *grown = realloc(malloc(MIB), 4 * MIB);
    MUST(big && grown);
    free(big);
    free(grown);
    close(fd);
}

static void *unmap_from(void *p)
{
    MUST(munmap(p, 64 * KIB) == 0);
    return NULL;
}

/* Two threads take the two halves of each of 40 mappings. */
static SITE void by_two_threads(void)
{
    for (int i = 0; i < 40; i++) {
        char *p = map(128 * KIB);
        pthread_t t;
        MUST(pthread_create(&t, NULL, unmap_from, p) == 0);
        unmap_from(p + 64 * KIB);
        pthread_join(t, NULL);
    }
}

static SITE void in_a_child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        char *p = map(MIB);
        _exit(p && munmap(p, MIB) == 0 && munmap(early, 128 * KIB) == 0 ? 0 : 1);
    }
    int status;
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void)
{
    given_back_whole();
    head_tail_and_middle();
    in_pieces_to_the_end();
    char *p = under_another(), *q = over_another(p), *r = to_be_moved();
    r = moved(r);
    shrunk();
    failing();
    not_counted();
    by_two_threads();
    in_a_child();
    early[0] = q[0] = r[0] = 1;
    printf("{\"constructed\":[1,%zu,%zu],\"given_back_whole\":[3,%zu,0],"
           "\"head_tail_and_middle\":[1,%zu,%zu],\"in_pieces_to_the_end\":[1,%zu,0],"
           "\"under_another\":[1,%zu,%zu],\"over_another\":[1,%zu,%zu],\"to_be_moved\":[1,%zu,0],"
           "\"moved\":[1,%zu,%zu],\"shrunk\":[1,%zu,%zu],\"failing\":[1,%zu,0],"
           "\"by_two_threads\":[40,%zu,0]}\n",
           128 * KIB, 128 * KIB, 3 * MIB, 16 * PAGE, 10 * PAGE, 32 * PAGE, MIB, 512 * KIB,
           512 * KIB, 512 * KIB, 64 * KIB, 2 * MIB, 2 * MIB, MIB, 100 * KIB, MIB, 5 * MIB);
    return 0;
}
