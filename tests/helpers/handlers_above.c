/*
 * A program that allocates and takes a lock at many stacks, while a signal every 30 us has a
 * handler that reads, tries a lock and a semaphore: on an alternate stack that lies above the
 * hooks' frames. Prints how often it allocated and took the lock.
 *
 * usage: handlers_above SECONDS
 */
#include <alloca.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "samples/truth.h"

enum { PATHS = 150, LENGTH = 12, KINDS = 4, STACK_BYTES = 65536, EACH_NS = 30000 };

static uint8_t path[PATHS][LENGTH];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, tried = PTHREAD_MUTEX_INITIALIZER;
static sem_t semaphore;
static int file;
static volatile unsigned handled;
static unsigned long done;

static SITE void leaf(void)
{
    char *p = malloc(100);
    KEEP(p);
    free(p);
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    done++;
}

static SITE void way_0(const uint8_t *left, const uint8_t *end);
static SITE void way_1(const uint8_t *left, const uint8_t *end);
static SITE void way_2(const uint8_t *left, const uint8_t *end);
static SITE void way_3(const uint8_t *left, const uint8_t *end);

static void go(const uint8_t *left, const uint8_t *end)
{
    static void (*const ways[KINDS])(const uint8_t *, const uint8_t *) = {way_0, way_1, way_2,
                                                                          way_3};
    if (left == end)
        leaf();
    else
        ways[*left % KINDS](left + 1, end);
}

static SITE void way_0(const uint8_t *left, const uint8_t *end)
{
    go(left, end);
    __asm__ volatile("");
}
static SITE void way_1(const uint8_t *left, const uint8_t *end)
{
    go(left, end);
    __asm__ volatile("nop");
}
static SITE void way_2(const uint8_t *left, const uint8_t *end)
{
    char *untouched = alloca(16 * (1 + *left % 5)); /* older frames' words stay in it */
    KEEP(untouched);
    go(left, end);
    __asm__ volatile("");
}
static SITE void way_3(const uint8_t *left, const uint8_t *end)
{
    char room[48], *at = room;
    KEEP(at);
    go(left, end);
    KEEP(at);
}

static SITE void handle(unsigned deeper)
{
    char *untouched = alloca(16 * (1 + deeper)), byte;
    KEEP(untouched);
    if (deeper) {
        handle(deeper - 1);
    } else {
        if (read(file, &byte, 0) != 0)
            truth_fail("read");
        if (pthread_mutex_trylock(&tried) == 0)
            pthread_mutex_unlock(&tried);
        sem_post(&semaphore);
        sem_trywait(&semaphore);
    }
    __asm__ volatile("");
}

static void on_signal(int number)
{
    (void)number;
    handle(handled++ % 7);
}

static void signals_begin(void *stack)
{
    stack_t above = {.ss_sp = stack, .ss_size = STACK_BYTES};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec each = {{0, EACH_NS}, {0, EACH_NS}};
    timer_t timer;
    if (sigaltstack(&above, NULL) || sigaction(SIGUSR1, &action, NULL) ||
        timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &each, NULL))
        truth_fail("no signals");
}

int main(int argc, char **argv)
{
    char above[STACK_BYTES]; /* further out than any hook's frame */
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    uint64_t random = 1;
    for (unsigned i = 0; i < PATHS; i++)
        for (unsigned k = 0; k < LENGTH; k++)
            path[i][k] = (uint8_t)(truth_random(&random) >> 40);
    file = open("/dev/zero", O_RDONLY);
    sem_init(&semaphore, 0, 0);
    char *stack = above;
    signals_begin(stack);
    uint64_t end = truth_clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    while (truth_clock_ns(CLOCK_MONOTONIC) < end)
        for (unsigned i = 0; i < 100; i++) {
            const uint8_t *p = path[(truth_random(&random) >> 40) % PATHS];
            go(p, p + LENGTH - 1 - p[0] % 8);
        }
    signal(SIGUSR1, SIG_IGN);
    KEEP(stack);
    truth_put("{\"done\": %lu, \"handled\": %u}\n", done, handled);
    truth_flush();
    return 0;
}
