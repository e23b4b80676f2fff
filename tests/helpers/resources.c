/*
 * resources CASE — a program that takes its own resources away, then works on.
 *
 *   nofile   no further descriptor can be opened
 *   mlock    all memory is locked, what comes later too; prints the resident size in KiB
 *   chroot   into the working directory, without privileges from then on
 *   work     works
 *
 * The work is 30 000 blocks and 80 ms of CPU on two threads: long enough for a profile to grow.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "samples/truth.h"

static SITE void *work_alloc(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    return p;
}

static SITE uint64_t work_burn(uint64_t ns)
{
    uint64_t until_ns = truth_cpu_ns() + ns, random = 1;
    while (truth_cpu_ns() < until_ns)
        for (unsigned i = 0; i < 10000; i++)
            truth_random(&random);
    return random;
}

static void *work(void *unused)
{
    for (unsigned i = 0; i < 15000; i++)
        free(work_alloc(i % 9000));
    uint64_t random = work_burn(40000000);
    KEEP(random);
    return unused;
}

static uint64_t resident_kib(void)
{
    char text[4096];
    FILE *f = fopen("/proc/self/status", "r");
    uint64_t kib = 0;
    while (f && fgets(text, sizeof text, f))
        if (!strncmp(text, "VmRSS:", 6))
            kib = strtoull(text + 6, NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

int main(int argc, char **argv)
{
    const char *which = argc == 2 ? argv[1] : "";
    pthread_t other;
    if (!strcmp(which, "nofile")) {
        struct rlimit none = {3, 3};
        if (setrlimit(RLIMIT_NOFILE, &none))
            truth_fail("setrlimit");
    } else if (!strcmp(which, "mlock")) {
        if (mlockall(MCL_CURRENT | MCL_FUTURE))
            truth_fail(strerror(errno));
    } else if (!strcmp(which, "chroot")) {
        if (chroot(".") || chdir("/") || setgid(65534) || setuid(65534))
            truth_fail(strerror(errno));
    } else if (strcmp(which, "work")) {
        fprintf(stderr, "usage: resources nofile|mlock|chroot|work\n");
        return 2;
    }
    int error = pthread_create(&other, NULL, work, NULL);
    if (error) {
        fprintf(stderr, "no thread: %s\n", strerror(error));
        return 4;
    }
    work(NULL);
    pthread_join(other, NULL);
    if (!strcmp(which, "mlock"))
        truth_put("%llu\n", (unsigned long long)resident_kib());
    else
        truth_put("done\n");
    truth_flush();
    return 0;
}
