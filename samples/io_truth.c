/* build: -D_FORTIFY_SOURCE=2 */
/*
 * I/O, sleep and polling of known amount. Each function below makes one kind of call; how often,
 * how many bytes, how long it took by the clock around each call is printed as JSON:
 * {"calls": [{"site", "call", "calls", "bytes", "errors", "time_ns", "max_ns"}], "wall_ns",
 *  "cache_wall_ns", "cache_cpu_ns"}
 *
 * Some block: reads of pipes that another thread fills late, sleeps, waits for events. Some never
 * do: `read_cached` reads what is in memory already, so that its time is CPU time. `sync_locked`
 * syncs with a mutex held. Fortified: where the size of a buffer is known and that of a call is
 * not, the compiler calls __read_chk and the like.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "samples/truth.h"

enum { SITES_MAX = 64, BLOCKS = 200, BLOCK = 4096, WAITS = 15, WAIT_NS = 3000000 };

struct counted {
    const char *site, *call;
    uint64_t calls, bytes, errors, time_ns, max_ns;
};
static struct counted counted[SITES_MAX];
static unsigned sites;

static void io_count(const char *site, const char *call, uint64_t ns, int64_t result, int is_bytes)
{
    struct counted *c = counted;
    while (c < counted + sites && (strcmp(c->site, site) || strcmp(c->call, call)))
        c++;
    if (c == counted + sites)
        sites++;
    c->site = site;
    c->call = call;
    c->calls++;
    c->time_ns += ns;
    c->max_ns = ns > c->max_ns ? ns : c->max_ns;
    c->errors += result < 0 && errno != EAGAIN;
    if (is_bytes && result > 0)
        c->bytes += (uint64_t)result;
}

/* One call, timed. */
#define CALL_AS(name, is_bytes, expression)                                                        \
    ({                                                                                             \
        uint64_t from_ = truth_clock_ns(CLOCK_MONOTONIC);                                          \
        int64_t result_ = (expression);                                                            \
        io_count(__func__, name, truth_clock_ns(CLOCK_MONOTONIC) - from_, result_, is_bytes);      \
        result_;                                                                                   \
    })
#define MOVES(name, expression) CALL_AS(name, 1, expression)
#define DOES(name, expression)  CALL_AS(name, 0, expression)

static char block[BLOCK];
static int file, pair[2], pipes[2];
static volatile size_t some = BLOCK; /* a size that the compiler does not know */

static SITE void open_files(const char *path)
{
    file = (int)DOES("open", open(path, O_RDWR | O_CREAT | O_TRUNC, 0640));
    if (file < 0)
        truth_fail("no file");
    int extra = (int)DOES("openat", openat(AT_FDCWD, path, O_RDONLY));
    int missing = (int)DOES("open", open64("/nonexistent/file", (int)some & O_RDWR));
    DOES("close", close(extra));
    DOES("close", close(missing));
}

static SITE void write_blocks(void)
{
    struct iovec two[2] = {{block, 100}, {block, 200}};
    for (int i = 0; i < BLOCKS; i++)
        MOVES("pwrite", pwrite(file, block, BLOCK, (off_t)i * BLOCK));
    for (int i = 0; i < 10; i++) {
        MOVES("write", write(file, block, 17));
        MOVES("writev", writev(file, two, 2));
        MOVES("pwritev", pwritev(file, two, 2, 5));
    }
}

static SITE void read_back(void)
{
    struct iovec two[2] = {{block, 100}, {block + 100, 200}};
    char small[64];
    for (int i = 0; i < BLOCKS; i++)
        MOVES("pread", pread(file, block, some, (off_t)i * BLOCK));
    lseek(file, 0, SEEK_SET);
    for (int i = 0; i < 10; i++) {
        MOVES("read", read(file, small, some / 100));
        MOVES("readv", readv(file, two, 2));
        MOVES("preadv", preadv(file, two, 2, 9));
    }
    MOVES("read", read(file, block, 0));
    MOVES("read", read(-1, block, 1));
}

static SITE void use_sockets(void)
{
    char small[256];
    struct iovec v = {small, 33};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct mmsghdr many[3] = {{.msg_hdr = m}, {.msg_hdr = m}, {.msg_hdr = m}};
    for (int i = 0; i < 10; i++) {
        MOVES("send", send(pair[0], block, 100, 0));
        MOVES("recv", recv(pair[1], small, some / 16, 0));
        MOVES("sendto", sendto(pair[0], block, 50, 0, NULL, 0));
        MOVES("recvfrom", recvfrom(pair[1], small, some / 16, 0, NULL, NULL));
        MOVES("sendmsg", sendmsg(pair[0], &m, 0));
        MOVES("recvmsg", recvmsg(pair[1], &m, 0));
        MOVES("sendmmsg", sendmmsg(pair[0], many, 3, 0) == 3 ? 99 : -1);
        MOVES("recvmmsg", recvmmsg(pair[1], many, 3, 0, NULL) == 3 ? 99 : -1);
    }
    MOVES("recv", recv(pair[1], small, 1, MSG_DONTWAIT)); /* EAGAIN, which is no failure */
    off_t at = 0;
    MOVES("sendfile", sendfile(pair[0], file, &at, 120));
    MOVES("splice", splice(pair[1], NULL, pipes[1], NULL, 120, 0));
}

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static SITE void sync_locked(void)
{
    for (int i = 0; i < 10; i++) {
        MOVES("pwrite", pwrite(file, block, 10, 0));
        pthread_mutex_lock(&log_lock);
        DOES("fdatasync", fdatasync(file));
        pthread_mutex_unlock(&log_lock);
    }
    DOES("fsync", fsync(file));
}

/* --- waits ------------------------------------------------------------------------------------ */

static int late[2], asked[2];

static void wait_rest(uint64_t ns)
{
    struct timespec t = {0, (long)ns};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static void *answering(void *unused)
{
    char c;
    while (read(asked[0], &c, 1) == 1) {
        wait_rest(WAIT_NS);
        if (write(late[1], &c, 1) != 1)
            break;
    }
    return unused;
}

static SITE void waited_read(void)
{
    char c = 0;
    pthread_t thread;
    if (pipe(late) || pipe(asked) || pthread_create(&thread, NULL, answering, NULL))
        truth_fail("no thread");
    for (int i = 0; i < WAITS; i++) {
        if (write(asked[1], &c, 1) != 1)
            truth_fail("write");
        MOVES("read", read(late[0], &c, 1));
    }
    close(asked[1]);
    pthread_join(thread, NULL);
}

static SITE void idle_waits(void)
{
    struct pollfd p = {pipes[1], 0, 0};
    struct timespec t = {0, WAIT_NS};
    struct epoll_event event;
    int epoll = epoll_create1(0);
    for (int i = 0; i < WAITS; i++) {
        struct timeval tv = {0, WAIT_NS / 1000};
        DOES("nanosleep", nanosleep(&t, NULL));
        DOES("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL));
        DOES("usleep", usleep(WAIT_NS / 1000));
        DOES("poll", poll(&p, some / BLOCK, WAIT_NS / 1000000));
        DOES("ppoll", ppoll(&p, some / BLOCK, &t, NULL));
        DOES("select", select(0, NULL, NULL, NULL, &tv));
        if (tv.tv_sec || tv.tv_usec)
            truth_fail("select tells of time that is left");
        DOES("pselect", pselect(0, NULL, NULL, NULL, &t, NULL));
        DOES("epoll_wait", epoll_wait(epoll, &event, 1, WAIT_NS / 1000000));
        DOES("epoll_pwait2", epoll_pwait2(epoll, &event, 1, &t, NULL));
    }
    pid_t child = fork();
    if (child == 0) {
        wait_rest(WAIT_NS);
        _exit(3);
    }
    int status = 0;
    DOES("waitpid", waitpid(child, &status, 0));
    if (WEXITSTATUS(status) != 3)
        truth_fail("waitpid");
    close(epoll);
}

/* What is in memory already: its time is CPU time, most of it in the kernel. */
static SITE void read_cached(uint64_t ns)
{
    static char big[1 << 18];
    uint64_t end = truth_clock_ns(CLOCK_MONOTONIC) + ns;
    while (truth_clock_ns(CLOCK_MONOTONIC) < end)
        MOVES("pread", pread(file, big, sizeof big, 0));
}

int main(int argc, char **argv)
{
    uint64_t from = truth_clock_ns(CLOCK_MONOTONIC);
    if (argc < 2 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) || pipe(pipes))
        truth_fail("usage: io_truth FILE");
    open_files(argv[1]);
    write_blocks();
    read_back();
    use_sockets();
    sync_locked();
    waited_read();
    idle_waits();
    uint64_t wall = truth_clock_ns(CLOCK_MONOTONIC), cpu = truth_cpu_ns();
    read_cached(argc > 2 ? 1000000 * strtoull(argv[2], NULL, 10) : 500000000);
    wall = truth_clock_ns(CLOCK_MONOTONIC) - wall;
    cpu = truth_cpu_ns() - cpu;
    truth_put("{\"calls\": [");
    for (unsigned i = 0; i < sites; i++)
        truth_put("%s{\"site\": \"%s\", \"call\": \"%s\", \"calls\": %llu, \"bytes\": %llu, "
                  "\"errors\": %llu, \"time_ns\": %llu, \"max_ns\": %llu}",
                  i ? ", " : "", counted[i].site, counted[i].call,
                  (unsigned long long)counted[i].calls, (unsigned long long)counted[i].bytes,
                  (unsigned long long)counted[i].errors, (unsigned long long)counted[i].time_ns,
                  (unsigned long long)counted[i].max_ns);
    truth_put("], \"wall_ns\": %llu, \"cache_wall_ns\": %llu, \"cache_cpu_ns\": %llu}\n",
              (unsigned long long)(truth_clock_ns(CLOCK_MONOTONIC) - from),
              (unsigned long long)wall, (unsigned long long)cpu);
    truth_flush();
    return 0;
}
