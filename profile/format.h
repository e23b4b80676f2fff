/*
 * The profile file: the one thing the shim (writer) and the analyzer (reader) agree on.
 *
 * Shape: a header page, then one region per record type, each a flat array at a fixed offset. The
 * file is created sparse at its final size; only the pages in use take room on disk. All integers
 * are little-endian, naturally aligned. docs/profile_format.md draws the bytes.
 *
 * Invariants, true at every moment while the profiled program runs:
 *  1. A zero record is "not there yet". Records are filled first, then published by one store or
 *     CAS (see each record); a kill between the two leaves a hole that readers skip.
 *  2. `used` of a region only grows and is an upper bound: records at or past it are not there.
 *  3. Counters only grow. A reader that loads all free counters before all alloc counters never
 *     sees a negative live count.
 *  4. A node's parent has a smaller or larger index but is always published before the node is.
 *  5. Nothing in the file is a pointer.
 *
 * Thread safety: fields marked "atomic" are updated concurrently; read them with pshim_load().
 * Units are in the names: _ns nanoseconds, _bytes bytes, no suffix = a count.
 */
#ifndef PERFSHIM_PROFILE_FORMAT_H
#define PERFSHIM_PROFILE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "profile/calls.h"

#define PSHIM_MAGIC        "PERFSHIM" /* 8 bytes, no terminator in the file */
#define PSHIM_VERSION      1u         /* readers refuse a larger one */
#define PSHIM_HEADER_BYTES 8192u
#define PSHIM_PAGE_BYTES   4096u

/* Region id, name. A reader ignores ids that it does not know; a new region is not a new version.
 */
#define PSHIM_REGIONS(X)                                                                           \
    X(MODULE, module)                                                                              \
    X(NODE, node)                                                                                  \
    X(ACCOUNT, account)                                                                            \
    X(THREAD, thread)                                                                              \
    X(PROGRESS, progress)                                                                          \
    X(STRING, string)                                                                              \
    X(LOCK, lock)                                                                                  \
    X(HISTOGRAM, histogram)                                                                        \
    X(MOMENT, moment)

enum pshim_region_id {
#define X(id, name) PSHIM_REGION_##id,
    PSHIM_REGIONS(X)
#undef X
        PSHIM_REGION_COUNT
};
#define PSHIM_REGION_LEAST 6u  /* the first writers had no more; what is missing is empty */
#define PSHIM_REGION_SLOTS 16u /* room for later regions in the header */

struct pshim_region {
    uint64_t offset;       /* of record 0 from the start of the file; page aligned */
    uint64_t capacity;     /* records that fit (bytes for STRING) */
    uint64_t used;         /* atomic: records handed out; may exceed capacity when full */
    uint64_t backed_bytes; /* atomic: bytes from offset that have disk room and may be touched */
    uint32_t record_bytes; /* size of one record; a reader steps by this, not by sizeof */
    uint32_t id;           /* enum pshim_region_id */
    uint64_t reserved[3];
};

/* What was not recorded, and why: name in the report's `loss`, one line of explanation. */
#define PSHIM_LOSSES(X)                                                                            \
    X(node_table_full, "stacks cut short: the stack table is full (raise PERFSHIM_MAX_MB)")        \
    X(account_table_full,                                                                          \
      "events charged to callers: the account table is full (raise PERFSHIM_MAX_MB)")              \
    X(module_table_full, "code modules not recorded: the module table is full")                    \
    X(thread_table_full, "threads merged into one record: the thread table is full")               \
    X(progress_table_full,                                                                         \
      "progress points, regions or pools not recorded: more names than the table holds")           \
    X(string_table_full, "names not recorded: the string table is full")                           \
    X(block_table_full, "blocks not tracked: the table of large blocks is full")                   \
    X(disk_full, "the file could not grow: no room on the disk")                                   \
    X(stack_no_cfi, "stacks that end early: no call-frame information for the code")               \
    X(stack_bad_cfi, "stacks that end early: call-frame information not understood")               \
    X(stack_unknown, "stacks that end early: the stack pointer is on no known stack")              \
    X(stack_bad_pc, "stacks that end early: a return address in no code")                          \
    X(stack_depth, "stacks cut at the depth limit")                                                \
    X(tick_no_thread, "CPU ticks on a thread that the shim does not know")                         \
    X(tick_no_room, "CPU ticks that found too little stack where they came")                       \
    X(timer_failed, "threads without CPU sampling: the timer could not be created")                \
    X(tag_overwritten, "block tags overwritten by the program (a write past the end of a block)")  \
    X(free_foreign, "frees of blocks not recorded: older than the recording, or with no tag left") \
    X(bootstrap_alloc, "allocations served before the real allocator was found")                   \
    X(thread_late, "events of threads after their end was recorded")                               \
    X(recursion, "events inside the profiler's own work, passed through")                          \
    X(lock_table_full, "times a lock found no record of its own: the lock table is full")          \
    X(held_overflow, "holds not timed: the thread held more locks at once than are tracked")       \
    X(unlock_unknown, "unlocks of locks that were not seen taken by the same thread")              \
    X(timeline_full, "moments put into the timeline's last: it is full (raise PERFSHIM_MAX_MB)")   \
    X(histogram_table_full, "sizes, lifetimes, waits and holds not kept by stack: the table is "   \
                            "full (raise PERFSHIM_MAX_MB)")                                        \
    X(mark_table_full, "lifetimes not known: too many of the blocks looked at live at once")       \
    X(region_unbegun, "ends of regions that the thread had not begun")                             \
    X(region_unended, "regions without an end: another one around them ended first")               \
    X(region_depth, "regions not timed: a thread was in too many at once")                         \
    X(map_table_full, "mappings not tracked to their end: more than the table holds")              \
    X(ticket_table_full, "waits for locks charged to no holder: too many at once")

enum pshim_loss {
#define X(id, text) PSHIM_LOSS_##id,
    PSHIM_LOSSES(X)
#undef X
        PSHIM_LOSS_COUNT
};
#define PSHIM_LOSS_SLOTS 64u

enum pshim_end { /* how the process ended, as far as the file knows */
                 PSHIM_END_RUNNING =
                     0, /* still running, or killed: ask whether pid + start_ticks is alive */
                 PSHIM_END_EXIT = 1,   /* status = exit status */
                 PSHIM_END_SIGNAL = 2, /* status = signal; written by `perfshim record` */
                 PSHIM_END_EXEC = 3,   /* replaced by another image in the same process */
};

enum pshim_alloc_mode { PSHIM_ALLOC_OFF = 0, PSHIM_ALLOC_EXACT = 1, PSHIM_ALLOC_SAMPLED = 2 };
enum pshim_switch { PSHIM_OFF = 0, PSHIM_ON = 1, PSHIM_WAIT = 2, PSHIM_ABSENT = 3 };
enum pshim_unwind_mode { PSHIM_UNWIND_CFI = 0, PSHIM_UNWIND_FP = 1, PSHIM_UNWIND_LIBUNWIND = 2 };

/* Why the shim turned itself off (header.off_reason); 0 = it did not. */
#define PSHIM_OFFS(X)                                                                              \
    X(NONE, "")                                                                                    \
    X(FILE_LIMIT, "the file size limit (RLIMIT_FSIZE) is below the profile's size")                \
    X(INTERNAL, "an internal check failed")                                                        \
    X(SECCOMP, "the program asked for seccomp, which may forbid our work")
enum pshim_off {
#define X(id, text) PSHIM_OFF_##id,
    PSHIM_OFFS(X)
#undef X
        PSHIM_OFF_REASONS
};

#define PSHIM_NOTES 8u /* free-text notes, e.g. a bad environment value */

/* Offset 0 of the file. Strings are references into the STRING region (0 = none). */
struct pshim_header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes; /* PSHIM_HEADER_BYTES of the writer */
    uint64_t file_bytes;   /* a shorter file is truncated */
    uint32_t region_count; /* entries used in regions[] */
    uint32_t ready;        /* atomic: 1 once the header is complete */

    /* process facts */
    uint32_t pid;
    uint32_t cpus;               /* CPUs the process may run on */
    uint64_t start_ticks;        /* field 22 of /proc/PID/stat: tells a reused pid */
    uint64_t start_realtime_ns;  /* since 1970 */
    uint64_t start_monotonic_ns; /* CLOCK_MONOTONIC when recording was set up */
    uint64_t end_monotonic_ns;   /* atomic: 0 while running */
    uint64_t end_cpu_ns;         /* process CPU time from set-up to the end, 0 = not known */
    uint64_t max_rss_bytes;      /* at the end, 0 = not known */
    uint32_t end;                /* atomic: enum pshim_end */
    int32_t status;              /* exit status or signal, by `end` */
    uint32_t exe;                /* string: absolute path of the executable */
    uint32_t argv;               /* string: argv joined, each terminated by \0, see argc */
    uint32_t argc;
    uint32_t cwd;          /* string */
    uint32_t shim_version; /* string: perfshim version that wrote the file */
    uint32_t off_reason;   /* atomic: enum pshim_off */

    /* mode */
    uint32_t alloc_mode;         /* enum pshim_alloc_mode */
    uint32_t locks_mode;         /* enum pshim_switch; PSHIM_ABSENT: this shim has no lock hooks */
    uint32_t io_mode;            /* enum pshim_switch; likewise */
    uint32_t unwind_mode;        /* enum pshim_unwind_mode */
    uint64_t alloc_sample_bytes; /* mean distance of samples in PSHIM_ALLOC_SAMPLED */
    uint32_t cpu_hz;             /* 0 = off */
    uint32_t alloc_hidden;       /* 1: another malloc stands before ours, counts are not known */
    uint64_t tick_period_ns;     /* one unit of CPU weight */
    uint64_t recording;          /* atomic: 1 while between start and stop */
    uint32_t notes[PSHIM_NOTES]; /* strings */

    /* process-wide live bytes, advanced by each thread in steps (see live_bound_bytes) */
    uint64_t live_bytes;        /* atomic */
    uint64_t peak_bytes;        /* atomic: highest live_bytes seen */
    uint64_t peak_epoch;        /* atomic: moves each time live_bytes passes the old peak by 1 % */
    uint64_t live_bound_bytes;  /* atomic: how far live_bytes may be off */
    uint64_t peak_monotonic_ns; /* atomic: when the epoch moved last */

    struct pshim_region regions[PSHIM_REGION_SLOTS];
    uint64_t losses[PSHIM_LOSS_SLOTS]; /* atomic, by enum pshim_loss */

    /*
     * The clock of lock times: the processor's time-stamp counter where it runs evenly, else
     * CLOCK_MONOTONIC in ns. One unit is (last_ns − first_ns) / (last_units − first_units) ns. The
     * pair "last" moves while the process runs; it is set before the first lock is recorded. Two
     * words are not written as one: a reader of a running process may see a pair that is off by
     * the time between two updates, in a span of the whole run.
     */
    uint64_t clock_first_units, clock_first_ns;
    uint64_t clock_last_units, clock_last_ns; /* atomic, each for itself */

    /* Resident memory at the end, 0 = not known: all of it, and of that what is anonymous. */
    uint64_t end_rss_bytes, end_anon_bytes;
    uint32_t maps_mode;       /* enum pshim_switch: are its mappings counted? */
    uint32_t lock_histograms; /* 1: waits and holds have histograms, as far as they are measured */
    uint64_t reserved_bytes;  /* atomic: address space the program reserved itself (PROT_NONE) */

    uint64_t paused_ns;       /* atomic: how long recording was off, without a pause under way */
    uint64_t paused_since_ns; /* atomic: CLOCK_MONOTONIC when it was switched off; 0 = it is on */
};

/* Modules. Index 0 is unused; index 1 is PSHIM_MODULE_ANON. Published by `published`. */
#define PSHIM_MODULE_SPECIAL 0u /* node.offset is an enum pshim_special */
#define PSHIM_MODULE_ANON    1u /* code in no module (JIT): node.offset is the absolute address */
#define PSHIM_BUILD_ID_MAX   32u
enum pshim_module_flags { PSHIM_MODULE_EXE = 1, PSHIM_MODULE_SHIM = 2, PSHIM_MODULE_VDSO = 4 };
struct pshim_module {
    uint64_t start, end; /* mapped address range in the profiled process */
    uint64_t bias;       /* address in the process − address in the ELF file */
    uint32_t path;       /* string; absolute for the executable, else as the loader names it */
    uint32_t flags;      /* enum pshim_module_flags */
    uint32_t build_id_bytes;
    uint8_t build_id[PSHIM_BUILD_ID_MAX];
    uint32_t published; /* atomic: 1 = the record is complete */
    uint64_t reserved[7];
};

/*
 * Stack nodes: hash-consed (parent, module, offset). A stack is the chain from a node to node 0,
 * leaf first. offset is an ELF virtual address inside the instruction that was executing or, for
 * callers, inside the call instruction (return address − 1), so it can be symbolised as it is.
 * A node is only referred to by accounts and children written after it: no publish flag is needed.
 */
enum pshim_special { /* node.offset when node.module == PSHIM_MODULE_SPECIAL */
                     PSHIM_SPECIAL_NONE = 0,
                     PSHIM_SPECIAL_TRUNCATED = 1, /* outer frames not walked: depth limit */
                     PSHIM_SPECIAL_NO_CFI =
                         2, /* outer frames not walked: no call-frame information */
                     PSHIM_SPECIAL_BAD_CFI = 3,       /* … not understood */
                     PSHIM_SPECIAL_UNKNOWN_STACK = 4, /* outer frames not walked: unknown stack */
                     PSHIM_SPECIAL_BAD_PC =
                         5, /* outer frames not walked: return address in no code */
                     PSHIM_SPECIAL_TABLE_FULL = 6, /* inner frames not recorded: node table full */
                     PSHIM_SPECIAL_PROFILER = 7,   /* leaf: inside the profiler */
                     PSHIM_SPECIAL_UNSAMPLED =
                         8, /* leaf: CPU time of a thread that no tick caught */
                     PSHIM_SPECIAL_CALL =
                         256, /* 256 + enum pshim_call: a leaf named after a waiting call */
                     PSHIM_SPECIAL_LOCK = 4096,     /* 4096 + index of a LOCK record: leaf of the
                                                       accounts of that lock */
                     PSHIM_SPECIAL_WAITER = 1 << 28 /* + node: the stack of who waited for a lock */
};

struct pshim_node {
    uint32_t parent; /* node id; 0 = root */
    uint32_t module; /* module id, or PSHIM_MODULE_SPECIAL */
    uint64_t offset;
};
#define PSHIM_NODE_MAX ((1u << 24) - 1) /* node ids fit 24 bits: they stand in block tags */

/*
 * Accounts: counters of one (node, kind) in one recorder; the truth is the sum over recorders.
 * Published by `kind` (0 = not there). One cache line each.
 */
#define PSHIM_ACCOUNT_COUNTERS 7u
enum pshim_kind {
    PSHIM_KIND_NONE = 0,
    PSHIM_KIND_ALLOC = 1,    /* counters: enum pshim_alloc_counter */
    PSHIM_KIND_CPU = 2,      /* counters: enum pshim_cpu_counter */
    PSHIM_KIND_PROGRESS = 3, /* node is a PROGRESS record index; counter 0 = count */
    PSHIM_KIND_LOCK = 4,     /* counters: enum pshim_lock_counter; node: stack > CALL > LOCK */
    PSHIM_KIND_HELD = 5,     /* ticks with a lock held: counter 0, as PSHIM_CPU_TICKS, which counts
                                them too; node: stack of the tick > LOCK taken last */
    PSHIM_KIND_SPREAD = 6,   /* beside ALLOC, of sampled allocations: enum pshim_spread_counter */
    PSHIM_KIND_SITE = 7,     /* beside ALLOC, what is rarer: enum pshim_site_counter */
    PSHIM_KIND_MAP = 8,      /* mappings the program makes itself: enum pshim_map_counter */
    PSHIM_KIND_REGION = 9, /* node is a PROGRESS record index; counters: enum pshim_span_counter */
    PSHIM_KIND_POOL = 10,  /* likewise: enum pshim_pool_counter */
    PSHIM_KIND_WAIT = 11,  /* counters: enum pshim_wait_counter; node: stack > CALL, or beside LOCK:
                              stack > CALL > LOCK, of which only the ticks count */
    PSHIM_KIND_HELD_WAIT = 12, /* beside WAIT, with a lock held: stack > CALL > LOCK taken last */
    PSHIM_KIND_BLAME = 13, /* counters: enum pshim_blame_counter; node: stack of the unlock > LOCK >
                              WAITER, which names the waiter's stack > CALL */
};
enum pshim_alloc_counter {
    PSHIM_ALLOC_CALLS = 0,
    PSHIM_ALLOC_BYTES = 1,      /* bytes asked for */
    PSHIM_ALLOC_FREE_CALLS = 2, /* frees of blocks allocated at this node, by this recorder */
    PSHIM_ALLOC_FREE_BYTES = 3,
    PSHIM_ALLOC_TEMPORARY = 4,  /* freed next by the same thread */
    PSHIM_ALLOC_PEAK_SAVED = 5, /* bytes − free_bytes (signed) when `epoch` was first seen */
    PSHIM_ALLOC_PEAK_EPOCH = 6, /* header.peak_epoch at the last touch: live at peak is
                                   PEAK_SAVED when equal to header.peak_epoch, else
                                   bytes − free_bytes now */
};
/*
 * How far sampled figures may be off. A sampled block that stands for W blocks of n bytes adds W to
 * calls and W n to bytes; here it adds W (W − 1), and W (W − 1) (n / alloc_sample_bytes)² in units
 * of 2^-16: sums that estimate the variance of those figures. Counters end at UINT64_MAX.
 */
#define PSHIM_SPREAD_UNIT 65536.0
/* A block counts this much more than its bytes in the distance between samples: see sampler.h. */
#define PSHIM_SAMPLE_EXTRA 32u
enum pshim_spread_counter {
    PSHIM_SPREAD_SAMPLES = 0, /* blocks looked at */
    PSHIM_SPREAD_CALLS = 1,
    PSHIM_SPREAD_BYTES = 2,
    PSHIM_SPREAD_FREE_CALLS = 3, /* of those that were freed: the same again */
    PSHIM_SPREAD_FREE_BYTES = 4,
    PSHIM_SPREAD_TEMPORARY = 5, /* of those that were freed next: as CALLS */
};
/* Of the blocks allocated at one stack, in exact mode. Times are in units of the header's clock. */
enum pshim_site_counter {
    PSHIM_SITE_CROSS_FREES = 0, /* blocks that another thread freed than allocated them */
    PSHIM_SITE_GROWN = 1,       /* reallocs here of a live block to more bytes than it had */
    PSHIM_SITE_MOVED_BYTES = 2, /* bytes that those copied: of blocks whose address changed */
    PSHIM_SITE_ALLOC_TIME = 3,  /* in the allocator: the time of the calls that were timed, each
                                   with its weight, without what reading the clock takes */
    PSHIM_SITE_FREE_TIME = 4,   /* likewise, giving those blocks back */
    PSHIM_SITE_TIMED = 5,       /* calls and frees that were timed */
    PSHIM_SITE_OVERRUNS = 6,    /* blocks whose tag was overwritten: a write past the end */
};
/*
 * Anonymous mappings of 64 KiB or more, in whole pages. mremap that moves or grows one is one
 * given back and one made. With allocations off they are not counted.
 */
enum pshim_map_counter {
    PSHIM_MAP_CALLS = 0,
    PSHIM_MAP_BYTES = 1,
    PSHIM_MAP_FREE_CALLS = 2, /* mappings of which nothing is left */
    PSHIM_MAP_FREE_BYTES = 3,
};
enum pshim_cpu_counter {
    PSHIM_CPU_TICKS = 0,   /* weight: 1 + timer overruns; × header.tick_period_ns = time */
    PSHIM_CPU_EXTRA_NS = 1 /* signed: CPU time − ticks × period, booked at thread end */
};
/* Of one lock, taken by one call at one stack. Times are in units of the header's clock. */
enum pshim_lock_counter {
    PSHIM_LOCK_ACQUISITIONS = 0, /* the lock was got (0 or EOWNERDEAD); once a recursive hold */
    PSHIM_LOCK_CONTENTIONS = 1,  /* it was not free: the call had to wait, also if in vain */
    PSHIM_LOCK_WAIT = 2,
    PSHIM_LOCK_WAIT_MAX = 3,
    PSHIM_LOCK_HOLD = 4, /* from the call's return to the unlock, or to the wait on a condition */
    PSHIM_LOCK_HOLD_MAX = 5,
    PSHIM_LOCK_HELD_ALLOCS = 6, /* allocations of the thread while it held the lock */
};
/* Of calls that wait, or may: I/O, sleep, and what is waited for beside locks. */
enum pshim_wait_counter {
    PSHIM_WAIT_CALLS = 0,
    PSHIM_WAIT_BYTES = 1, /* that were read or written */
    PSHIM_WAIT_TIME = 2,  /* in the call, in units of the header's clock */
    PSHIM_WAIT_TIME_MAX = 3,
    PSHIM_WAIT_TICKS = 4,  /* weight of the CPU ticks in TIME (of LOCK_WAIT, beside LOCK): the
                              thread ran, and these count as CPU time */
    PSHIM_WAIT_ERRORS = 5, /* calls that failed, other than by EINTR and EAGAIN */
};
/* What those who held a lock made others wait. Times are in units of the header's clock. */
enum pshim_blame_counter {
    PSHIM_BLAME_WAITS = 0, /* waits that were charged here, or a part of each */
    PSHIM_BLAME_TIME = 1,
    PSHIM_BLAME_TIME_MAX = 2,
};
/* Regions that the program names: what happened in them, in the threads that began them. */
enum pshim_span_counter {
    PSHIM_SPAN_CALLS = 0, /* times it was begun and ended */
    PSHIM_SPAN_WALL = 1,  /* in units of the header's clock; within itself only once */
    PSHIM_SPAN_WALL_MAX = 2,
    PSHIM_SPAN_TICKS = 3, /* weight of the thread's CPU ticks meanwhile */
    PSHIM_SPAN_ALLOCS = 4,
    PSHIM_SPAN_ALLOC_BYTES = 5,
    PSHIM_SPAN_LOCK_WAIT = 6, /* in units of the header's clock */
};
/* Pools that the program keeps itself. */
enum pshim_pool_counter { PSHIM_POOL_GETS = 0, PSHIM_POOL_PUTS = 1 };
struct pshim_account {
    uint32_t node;
    uint16_t recorder;
    uint16_t kind; /* atomic: enum pshim_kind, stored last */
    uint64_t counter[PSHIM_ACCOUNT_COUNTERS];
};

/* Threads, in order of their first sight. Published by `state`. */
enum pshim_thread_state { PSHIM_THREAD_RUNNING = 1, PSHIM_THREAD_ENDED = 2 };
struct pshim_thread {
    uint32_t tid;
    uint32_t state;              /* atomic: enum pshim_thread_state; 0 = not there */
    uint64_t start_monotonic_ns; /* when it was created, or seen first */
    uint64_t end_monotonic_ns;   /* 0 while it lives */
    uint64_t cpu_ns;             /* CPU time used while recorded, written at the thread's end */
    uint64_t ticks;              /* weight of the CPU ticks it received */
    uint64_t cpu_at_start_ns;    /* CPU time it had used before we saw it */
    uint32_t start_node;         /* node of the start routine; 0 = not known (main) */
    uint32_t recorder;
    char name[16];         /* NUL-terminated */
    uint64_t last_seen_ns; /* CLOCK_MONOTONIC of its last tick */
    uint64_t merged;       /* further threads summed into this record (the first one, when full) */
    uint64_t run_delay_ns; /* it could run and had no CPU, until its end; + 1; 0 = not known */
    /* By enum pshim_wait, in hooks; [0] is not used. */
    uint64_t wait[PSHIM_WAITS];       /* atomic: units of the header's clock */
    uint64_t wait_ticks[PSHIM_WAITS]; /* atomic: weight of the CPU ticks meanwhile */
    uint64_t waiting; /* atomic: the wait it is in, which is not in wait[] yet: when it began, with
                         its kind in place of the lowest two bits; 0 = it is in none */
    uint64_t paused_at_start_ns;    /* header.paused_ns, with a pause under way, when it began */
    uint64_t paused_at_end_ns;      /* likewise, when it ended */
    uint64_t run_delay_at_start_ns; /* before we saw it; not in run_delay_ns */
};
/* Bytes of it that the first writers had: they know of no waits. */
#define PSHIM_THREAD_LEAST 128u

/*
 * Locks, in order of first sight. Record 0 stands for all those that found no room. Published by
 * `kind`. The record of one that was destroyed stands for the next one of its kind from the same
 * place.
 */
/* id, number, name */
#define PSHIM_LOCK_KINDS(X)                                                                        \
    X(NONE, 0, lock)                                                                               \
    X(MUTEX, 1, mutex)                                                                             \
    X(RWLOCK, 2, rwlock)                                                                           \
    X(SPIN, 3, spin)                                                                               \
    X(SEMAPHORE, 4, semaphore)                                                                     \
    X(BARRIER, 5, barrier)                                                                         \
    X(ONCE, 6, once)                                                                               \
    X(COND, 7, cond)                                                                               \
    X(FUTEX, 8, futex)
enum pshim_lock_kind {
#define X(id, number, name) PSHIM_LOCK_##id = number,
    PSHIM_LOCK_KINDS(X)
#undef X
};
enum pshim_lock_state { PSHIM_LOCK_ALIVE = 0, PSHIM_LOCK_DESTROYED = 1 };
#define PSHIM_LOCK_ASKED (1u << 31)
struct pshim_lock {
    uint64_t address;
    uint32_t kind;        /* atomic: enum pshim_lock_kind; 0 = not there */
    uint32_t state;       /* atomic: enum pshim_lock_state */
    uint32_t site_node;   /* stack that initialised it or, for one not seen initialised, first took
                             it; 0 = not known */
    uint32_t initialised; /* 1: site_node is where it was initialised */
    /* Of mutexes, spin locks, and read-write locks taken to write; in record 0 they say nothing. */
    uint64_t owner_changes; /* times that another thread took it than had it before */
    uint32_t owner;         /* tid of who took it last; 0 = nobody, or holds are not recorded */
    /* The block that it lies in: where it was allocated, of all that it stands for; 0 = not known.
       Atomic, stored last; PSHIM_LOCK_ASKED: it was looked for. */
    uint32_t block_node;
    uint64_t again; /* locks from the same place that it stood for after the first was destroyed */
    uint64_t block_offset, block_bytes; /* of the lock in it; asked for */
};

/* What the program names: progress points (what one unit of its work is), regions, pools. Published
 * by `name`. */
struct pshim_progress {
    uint32_t name; /* atomic: string */
    uint32_t use;  /* 0 = a progress point, else PSHIM_KIND_REGION or PSHIM_KIND_POOL */
};

/*
 * Sizes and lifetimes of the blocks allocated at one stack, in exact mode, over all threads. The
 * first 64 calls of a stack and recorder count one each; after that one call in each 64, at a place
 * in them that is hard to foresee, counts 64. Published by `node`. Counters are atomic and end at
 * UINT32_MAX. Record 0 stands for all stacks that found no room.
 *
 * Of a node that ends in a LOCK: the waits for the lock and its holds, from the account beside it.
 * Every wait; of the acquisitions of a recorder the first 64 holds, then one in about 64, which
 * counts 64. At most a half of the table is theirs, and what found no room stands nowhere.
 */
#define PSHIM_BUCKETS         64u
#define PSHIM_SIZES           4u
#define PSHIM_LIFE_SHIFT      8 /* lifetimes are put by units of the header's clock >> this */
#define PSHIM_LOCK_TIME_SHIFT 4 /* likewise waits and holds */
struct pshim_histogram {
    uint32_t node;              /* atomic, stored last; 0 in record 0 */
    uint32_t size_count;        /* distinct sizes seen; PSHIM_SIZES + 1 = more than `size` holds */
    uint64_t size[PSHIM_SIZES]; /* the first ones */
    uint64_t size_max;
    union {
        uint64_t asked_count;  /* sum of `asked` */
        uint64_t waited_count; /* of a lock: sum of `waited` */
    };
    union {
        uint64_t lived_count; /* sum of `lived`: those that were freed */
        uint64_t held_count;
    };
    union {
        uint32_t asked[PSHIM_BUCKETS];
        uint32_t waited[PSHIM_BUCKETS];
    };
    union {
        uint32_t lived[PSHIM_BUCKETS];
        uint32_t held[PSHIM_BUCKETS];
    };
};

/* Two buckets an octave: 0, 1, 2, 3, 4–5, 6–7, 8–11, 12–15 …; the last has no end. */
static inline uint32_t pshim_bucket(uint64_t value)
{
    if (value < 2)
        return (uint32_t)value;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(value);
    uint32_t bucket = 2 * octave + (value >> (octave - 1) & 1);
    return bucket < PSHIM_BUCKETS ? bucket : PSHIM_BUCKETS - 1;
}
/* The least value in a bucket. */
static inline uint64_t pshim_bucket_start(uint32_t bucket)
{
    return bucket < 2 ? bucket : (uint64_t)(2 + (bucket & 1)) << (bucket / 2 - 1);
}

/*
 * The timeline: what happened in one interval. The time since start_monotonic_ns in units of
 * PSHIM_MOMENT_NS is put into a slot as a histogram's value would be: the first
 * PSHIM_MOMENT_SLOTS intervals have a record each, then as many as half of that for each
 * doubling. So the region is bounded whatever the run takes, and folds into equal intervals. The
 * last record that there is room for has no end. Published by `touched`.
 *
 * Threads tell late: of each thread up to 1 023 allocations that it has made are not told yet while
 * it lives, none when it or the process has ended.
 */
#define PSHIM_MOMENT_NS    10000000u
#define PSHIM_MOMENT_SLOTS 256u
enum pshim_moment_recording { /* bits of moment.recording; 0 = as it was at the end of the last */
                              PSHIM_MOMENT_OFF = 1, /* it was switched off here last */
                              PSHIM_MOMENT_ON = 2,  /* it was switched on here last */
                              PSHIM_MOMENT_PART = 4 /* it was on in a part of the interval */
};
struct pshim_moment {
    uint64_t allocs;      /* atomic: allocations that threads have told of in this interval */
    uint64_t alloc_bytes; /* atomic */
    uint64_t ticks;       /* atomic: weight of CPU ticks */
    uint64_t live_bytes;  /* atomic: header.live_bytes when it was touched last */
    uint64_t live_max;    /* atomic: the highest of it seen here */
    uint32_t touched;     /* atomic: 1 */
    uint32_t recording;   /* atomic: enum pshim_moment_recording */
    uint64_t extra_ns; /* atomic, signed: CPU time that no tick caught, told when a thread ends */
    uint64_t reserved;
};

/* The slot of a time since the start. Below 4 439 for any time. */
static inline uint32_t pshim_moment_slot(uint64_t elapsed_ns)
{
    enum { octave0 = 8, half = PSHIM_MOMENT_SLOTS / 2 };
    uint64_t units = elapsed_ns / PSHIM_MOMENT_NS;
    if (units < PSHIM_MOMENT_SLOTS)
        return (uint32_t)units;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(units);
    return PSHIM_MOMENT_SLOTS + (octave - octave0) * half +
           (uint32_t)(units >> (octave - octave0 + 1)) - half;
}
/* When a slot begins, in ns since the start; UINT64_MAX for one that no time comes to. */
static inline uint64_t pshim_moment_start(uint32_t slot)
{
    enum { half = PSHIM_MOMENT_SLOTS / 2 };
    if (slot < PSHIM_MOMENT_SLOTS)
        return (uint64_t)slot * PSHIM_MOMENT_NS;
    uint32_t octaves = (slot - PSHIM_MOMENT_SLOTS) / half;
    uint64_t in_octave = half + (slot - PSHIM_MOMENT_SLOTS) % half;
    if (octaves > 63 - 9 || in_octave > (UINT64_MAX / PSHIM_MOMENT_NS) >> (octaves + 1))
        return UINT64_MAX;
    return (in_octave << (octaves + 1)) * PSHIM_MOMENT_NS;
}

/* STRING region: NUL-terminated bytes; offset 0 holds one NUL, so that 0 means "none". */

static inline uint64_t pshim_load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}
static inline uint32_t pshim_load32(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

_Static_assert(sizeof(struct pshim_header) <= PSHIM_HEADER_BYTES, "header outgrew its pages");
_Static_assert(sizeof(struct pshim_region) == 64, "region size");
_Static_assert(sizeof(struct pshim_node) == 16, "node size");
_Static_assert(sizeof(struct pshim_account) == 64, "account is one cache line");
_Static_assert(sizeof(struct pshim_lock) == 64, "lock size");
_Static_assert(sizeof(struct pshim_module) == 128, "module size");
_Static_assert(sizeof(struct pshim_thread) == 192, "thread size");
_Static_assert(offsetof(struct pshim_thread, wait) < PSHIM_THREAD_LEAST, "the rest is new");
_Static_assert(sizeof(struct pshim_histogram) == 576, "histogram size");
_Static_assert(sizeof(struct pshim_moment) == 64, "moment size");

#endif
