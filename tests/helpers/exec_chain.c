/*
 * exec_chain N — N + 1 images in one process, each replacing the one before.
 *
 * Image k allocates 1000 × (k + 1) blocks in image_alloc, says so, and executes itself with N − 1;
 * the last one ends. Each image is a profile of its own.
 */
#include "samples/truth.h"

static SITE void *image_alloc(size_t n)
{
    void *p = malloc(n);
    KEEP(p);
    return p;
}

int main(int argc, char **argv)
{
    int left = argc > 1 ? atoi(argv[1]) : 0;
    char next[16];
    for (int i = 0; i < 1000 * (left + 1); i++)
        free(image_alloc(64));
    const char *preload = getenv("LD_PRELOAD");
    truth_put("image %d pid %d preload %s\n", left, (int)getpid(), preload ? preload : "none");
    truth_flush();
    if (left <= 0)
        return 0;
    snprintf(next, sizeof next, "%d", left - 1);
    switch (left % 4) {
    case 0:
        execl(argv[0], argv[0], next, (char *)NULL);
        break;
    case 1:
        execv(argv[0], (char *[]){argv[0], next, NULL});
        break;
    case 2:
        execve(argv[0], (char *[]){argv[0], next, NULL}, environ);
        break;
    default:
        execlp(argv[0], argv[0], next, (char *)NULL);
    }
    return 5;
}
