/*
 * A load for memcached on the loopback: puts KEYS values of 100 bytes, then gets keys at random, a
 * pipeline of them at a time on each connection in turn. Every answer is looked at. Prints one JSON
 * object: {"gets_per_s": …}.
 *
 * usage: memcached_load PORT [SECONDS [CONNECTIONS [PIPELINE]]]
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 10000, VALUE_BYTES = 100, CONNECTIONS_MAX = 64, PIPELINE_MAX = 256 };
enum { ANSWER_BYTES = 6 + 8 + 6 + 2 + VALUE_BYTES + 2 + 5 }; /* VALUE k0001234 0 100, it, END */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void put_all(int fd, const char *data, size_t n)
{
    for (ssize_t done; n; data += done, n -= (size_t)done)
        if ((done = write(fd, data, n)) <= 0)
            fail("write");
}

static void get_all(int fd, char *data, size_t n)
{
    for (ssize_t done; n; data += done, n -= (size_t)done)
        if ((done = read(fd, data, n)) <= 0)
            fail("read");
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void load_keys(int fd)
{
    char value[VALUE_BYTES + 1], line[64 + VALUE_BYTES], answer[8];
    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    for (unsigned i = 0; i < KEYS; i++) {
        int n = snprintf(line, sizeof line, "set k%07u 0 0 %d\r\n%s\r\n", i, VALUE_BYTES, value);
        put_all(fd, line, (size_t)n);
        get_all(fd, answer, sizeof answer);
        if (memcmp(answer, "STORED\r\n", sizeof answer) != 0)
            fail("set");
    }
}

static unsigned key_next(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*random >> 33) % KEYS;
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static char asked[PIPELINE_MAX * 16], answers[PIPELINE_MAX * ANSWER_BYTES];
    static unsigned keys[CONNECTIONS_MAX][PIPELINE_MAX];
    int fds[CONNECTIONS_MAX];
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    int connections = argc > 3 ? atoi(argv[3]) : 16, pipeline = argc > 4 ? atoi(argv[4]) : 32;
    uint64_t random = 1, gets = 0;
    if (argc < 2 || connections < 1 || connections > CONNECTIONS_MAX || pipeline < 1 ||
        pipeline > PIPELINE_MAX) {
        fprintf(stderr, "usage: memcached_load PORT [SECONDS [CONNECTIONS [PIPELINE]]]\n");
        return 2;
    }
    for (int c = 0; c < connections; c++)
        fds[c] = connect_to((uint16_t)atoi(argv[1]));
    load_keys(fds[0]);
    double begin = seconds_now(), end = begin + seconds, now = begin;
    for (; now < end; now = seconds_now()) {
        for (int c = 0; c < connections; c++) {
            size_t n = 0;
            for (int i = 0; i < pipeline; i++) {
                keys[c][i] = key_next(&random);
                n += (size_t)snprintf(asked + n, sizeof asked - n, "get k%07u\r\n", keys[c][i]);
            }
            put_all(fds[c], asked, n);
        }
        for (int c = 0; c < connections; c++) {
            get_all(fds[c], answers, (size_t)pipeline * ANSWER_BYTES);
            for (int i = 0; i < pipeline; i++) {
                char head[32];
                snprintf(head, sizeof head, "VALUE k%07u 0 100\r\n", keys[c][i]);
                if (memcmp(answers + i * ANSWER_BYTES, head, strlen(head)) != 0)
                    fail("another answer than asked for");
            }
            gets += (uint64_t)pipeline;
        }
    }
    printf("{\"gets_per_s\": %.0f}\n", (double)gets / (now - begin));
    return 0;
}
