#include "shim/run_delay.h"

#include <string.h>

#include "shim/thread.h"

enum {
    brief_ns = 250000000, /* reading takes 1/2000 of this */
    text_bytes = 80,
    threads_at_once = 32,
    reading_ns = 120000, /* one thread's, about: booked before, others read meanwhile */
    free_ns = 50000000,
    life_share = 100,
};

static uint64_t spent_ns; /* atomic: on readings at the ends of threads */

struct question {
    struct pshim_thread *record;
    char path[run_delay_path_bytes];
    char text[text_bytes];
};

int run_delay_parse(const char *text, size_t n, uint64_t *ran_ns, uint64_t *delay_ns)
{
    size_t at = 0;
    int64_t ran = outside_number(text, n, &at);
    int64_t delay = ran < 0 ? -1 : outside_number(text, n, &at);
    if (delay < 0)
        return -1;
    *ran_ns = (uint64_t)ran;
    *delay_ns = (uint64_t)delay;
    return 0;
}

static char *number_put(char *to, uint32_t n)
{
    char digits[10];
    unsigned i = sizeof digits;
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    memcpy(to, digits + i, sizeof digits - i);
    return to + (sizeof digits - i);
}

void run_delay_path(char *to, uint32_t pid, uint32_t tid)
{
    to = number_put(stpcpy(to, "/proc/"), pid);
    to = number_put(stpcpy(to, "/task/"), tid);
    stpcpy(to, "/schedstat");
}

static uint64_t run_delay_since_start(const struct pshim_thread *t, uint64_t delay_ns)
{
    return delay_ns > t->run_delay_at_start_ns ? delay_ns - t->run_delay_at_start_ns : 0;
}

/*
 * What was read. /proc may be that of other process numbers: so the time on a CPU that stands there
 * must be that of the thread's clock, which the kernel brings up to date at its own ticks only.
 */
static void answer_take(const struct question *q, long got)
{
    enum { apart_ns = 50000000 };
    uint64_t ran, delay;
    if (got <= 0 || run_delay_parse(q->text, (size_t)got, &ran, &delay) != 0)
        return;
    uint64_t clock = shim_clock_ns(thread_cpu_clock(q->record->tid));
    if (clock + apart_ns / 10 >= ran && clock <= ran + apart_ns)
        __atomic_store_n(&q->record->run_delay_ns, run_delay_since_start(q->record, delay) + 1,
                         __ATOMIC_RELAXED);
}

static void question_put(struct question *q, struct outside_reading *reading,
                         struct pshim_thread *record)
{
    q->record = record;
    run_delay_path(q->path, shim.pid, record->tid);
    *reading = (struct outside_reading){q->path, q->text, sizeof q->text, 0};
}

void run_delay_init(void)
{
    __atomic_store_n(&spent_ns, 0, __ATOMIC_RELAXED);
}

bool run_delay_affords(uint64_t spent, uint64_t process_ns)
{
    return spent < free_ns + process_ns / life_share;
}

void run_delay_note(struct thread_state *ts)
{
    struct question q;
    struct outside_reading list[2] = {{0}};
    uint64_t began = shim_now_ns();
    if (ts->record_is_shared || began - ts->record->start_monotonic_ns < brief_ns ||
        !run_delay_affords(__atomic_load_n(&spent_ns, __ATOMIC_RELAXED),
                           began - shim.profile.header->start_monotonic_ns))
        return;
    __atomic_fetch_add(&spent_ns, reading_ns, __ATOMIC_RELAXED);
    question_put(&q, list, ts->record);
    if (outside_read(list) == 0)
        answer_take(&q, list[0].got);
    uint64_t took = shim_now_ns() - began;
    if (took > reading_ns)
        __atomic_fetch_add(&spent_ns, took - reading_ns, __ATOMIC_RELAXED);
}

void run_delay_note_all(struct outside_reading *more)
{
    static struct question questions[threads_at_once];
    static struct outside_reading list[threads_at_once + 2];
    static uint32_t at_work;
    const struct pshim_region *r = profile_region(&shim.profile, PSHIM_REGION_THREAD);
    uint64_t threads = pshim_load(&r->used);
    if (__atomic_exchange_n(&at_work, 1, __ATOMIC_ACQUIRE)) /* two threads that end the process */
        return;
    int count = 0;
    for (uint32_t i = 0; i <= threads && i <= r->capacity; i++) {
        bool last = i == threads || i == r->capacity;
        struct pshim_thread *t =
            last ? NULL : profile_record(&shim.profile, PSHIM_REGION_THREAD, i);
        if (t && pshim_load32(&t->state) == PSHIM_THREAD_RUNNING) {
            question_put(&questions[count], &list[count], t);
            count++;
        }
        if (count < threads_at_once && !last)
            continue;
        list[count] = last ? *more : (struct outside_reading){0};
        list[count + 1] = (struct outside_reading){0};
        if (outside_read(list) != 0)
            break;
        if (last)
            more->got = list[count].got;
        for (int k = 0; k < count; k++)
            answer_take(&questions[k], list[k].got);
        count = 0;
    }
    __atomic_store_n(&at_work, 0, __ATOMIC_RELEASE);
}
