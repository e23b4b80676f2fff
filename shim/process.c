#include "shim/process.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "profile/sys.h"
#include "shim/resident.h"
#include "shim/run_delay.h"
#include "shim/shim.h"
#include "shim/thread.h"
#include "shim/tick.h"
#include "shim/timeline.h"

/* A coverage build writes its counts in a destructor, which _exit and exec skip. */
#ifdef PERFSHIM_COVERAGE
void __gcov_dump(void);
void __gcov_reset(void);
#define coverage_save() (__gcov_dump(), __gcov_reset())
#else
#define coverage_save() ((void)0)
#endif

void process_note_end(uint32_t end, int status)
{
    struct pshim_header *h = shim.profile.header;
    if (!shim_control->on || (uint32_t)sys_call0(SYS_getpid) != shim.pid)
        return;
    char text[resident_text_bytes];
    struct outside_reading memory = resident_question(text);
    struct resident resident;
    bool known = false;
    if (guard_enter()) {
        struct thread_state *ts = shim_tls.self;
        if (ts) {
            if (end == PSHIM_END_EXIT)
                spans_end_all(ts);
            thread_settle(ts);
            if (end == PSHIM_END_EXIT) {
                run_delay_note_all(&memory);
                known = resident_answer(&memory, &resident) == 0;
            }
            thread_settle_ended(ts);
            thread_each(timeline_tell_for);
        }
        guard_leave(ts, 0);
    }
    struct rusage usage;
    memset(&usage, 0, sizeof usage);
    sys_call2(SYS_getrusage, RUSAGE_SELF, &usage);
    h->end_cpu_ns = shim_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - shim.cpu_at_start_ns;
    h->max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    if (known || (end == PSHIM_END_EXIT && resident_read(&resident) == 0)) {
        h->end_rss_bytes = resident.rss_bytes;
        h->end_anon_bytes = resident.anon_bytes;
    }
    h->status = status;
    __atomic_store_n(&h->end_monotonic_ns, shim_now_ns(), __ATOMIC_RELEASE);
    __atomic_store_n(&h->end, end, __ATOMIC_RELEASE);
    coverage_save();
}

static void timer_stop(struct thread_state *ts)
{
    if (ts->record) /* some thread has used this state */
        tick_stop(ts);
}

void process_turn_off(uint32_t reason)
{
    struct shim_control *c = shim_control;
    if (!c->on || (uint32_t)sys_call0(SYS_getpid) != shim.pid)
        return;
    process_note_end(PSHIM_END_RUNNING, 0);
    __atomic_store_n(&shim.profile.header->off_reason, reason, __ATOMIC_RELEASE);
    shim.turned_off = 1;
    __atomic_store_n(&c->locks, PSHIM_OFF, __ATOMIC_RELEASE);
    __atomic_store_n(&c->maps, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&c->tagging, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&c->sampling, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&c->recording, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&c->on, 0, __ATOMIC_RELEASE);
    thread_each(timer_stop);
    /* No tick comes any more that a wait would have to be kept from, by calls of ours. */
    __atomic_store_n(&c->io, 0, __ATOMIC_RELEASE);
}
