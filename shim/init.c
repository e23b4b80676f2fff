/*
 * Set-up, in the constructor, which runs before every other object's (-z initfirst). All
 * descriptors are opened and closed here; afterwards there are none. Whatever fails leaves the shim
 * off and the host untouched.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "profile/sys.h"
#include "shim/environment.h"
#include "shim/histograms.h"
#include "shim/hook_alloc.h"
#include "shim/io_recorder.h"
#include "shim/lock_clock.h"
#include "shim/locks.h"
#include "shim/nodes.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/run_delay.h"
#include "shim/settings.h"
#include "shim/thread.h"
#include "shim/tick.h"
#include "shim/timeline.h"
#include "shim/unwind_libunwind.h"
#include "shim/unwind_stack.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

extern void *__libc_stack_end; /* ld.so: where main's stack began */

/* Reads at most size − 1 bytes of a file; their number, 0 on error. NUL-terminates. */
static size_t file_read(const char *path, char *buf, size_t size)
{
    size_t n = 0;
    long fd = sys_call4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        buf[0] = '\0';
        return 0;
    }
    while (n + 1 < size) {
        long r = sys_call3(SYS_read, fd, buf + n, size - 1 - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    sys_call1(SYS_close, fd);
    buf[n] = '\0';
    return n;
}

/* Field 22 of /proc/self/stat; the command in field 2 may hold spaces and parentheses. */
static uint64_t start_ticks_read(void)
{
    char buf[1024];
    file_read("/proc/self/stat", buf, sizeof buf);
    const char *at = strrchr(buf, ')');
    for (unsigned field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    uint64_t n = 0;
    for (at = at ? at + 1 : ""; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    return n;
}

static uint32_t cpus_allowed(void)
{
    unsigned long mask[128];
    long bytes = sys_call3(SYS_sched_getaffinity, 0, sizeof mask, mask);
    uint32_t n = 0;
    for (long i = 0; i < bytes / (long)sizeof mask[0]; i++)
        n += (uint32_t)__builtin_popcountl(mask[i]);
    return n;
}

/* Did an image of this very process write the file? */
static bool file_is_own(const char *path, uint64_t start_ticks)
{
    struct pshim_header head;
    enum { never_wait = O_NONBLOCK }; /* it may be a pipe */
    long fd =
        sys_call4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | never_wait, 0);
    if (fd < 0)
        return false;
    long got = sys_call3(SYS_read, fd, &head, sizeof head);
    sys_call1(SYS_close, fd);
    return got == (long)sizeof head && memcmp(head.magic, PSHIM_MAGIC, sizeof head.magic) == 0 &&
           head.pid == shim.pid && head.start_ticks == start_ticks;
}

/* F is there already. If an earlier image of this very process wrote it, it makes room: F.1, F.2 …
 */
static bool earlier_image_moved(const char *path, uint64_t start_ticks)
{
    char to[4096 + 16];
    size_t n = strlen(path);
    if (n + 4 > sizeof to || !file_is_own(path, start_ticks))
        return false;
    memcpy(to, path, n);
    to[n] = '.';
    for (char digit = '1'; digit <= '9'; digit++) {
        enum { rename_noreplace = 1 };
        to[n + 1] = digit;
        to[n + 2] = '\0';
        if (sys_call6(SYS_renameat2, AT_FDCWD, (long)path, AT_FDCWD, (long)to, rename_noreplace,
                      0) == 0)
            return true;
    }
    return false;
}

/*
 * A process that was followed to here writes F.<pid>: F is that of who followed it, unless an image
 * of this process itself was that. A name with the pid in it is its own already.
 */
static void out_of_followed(struct settings *s, uint64_t start_ticks)
{
    static char out[4096];
    size_t n = s->out ? strlen(s->out) : 0;
    if (s->follow != SETTINGS_FOLLOWED || n == 0 || s->out[n - 1] == '/' || n + 4 > sizeof out ||
        strstr(s->out, "%p") || file_is_own(s->out, start_ticks))
        return;
    strcpy(stpcpy(out, s->out), ".%p");
    s->out = out;
}

/*
 * As large as asked for, or as the host's limits allow. Of a limited address space the profile and
 * its tables leave most to the host.
 */
static int profile_create_fitting(const char *path, uint64_t bytes, struct profile *p)
{
    enum { smallest = 1 << 20, host_part = 16 };
    struct rlimit limit = {0, 0};
    int os_error;
    sys_call4(SYS_prlimit64, 0, RLIMIT_AS, 0, &limit);
    uint64_t room = limit.rlim_cur;
    sys_call4(SYS_prlimit64, 0, RLIMIT_DATA, 0, &limit); /* counts the tables, a fourth of it all */
    if (limit.rlim_cur < room / 4)
        room = limit.rlim_cur * 4;
    shim.map_max_bytes = room / host_part;
    if (shim.map_max_bytes < bytes)
        bytes = shim.map_max_bytes < smallest ? smallest : shim.map_max_bytes;
    sys_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &limit);
    if (limit.rlim_cur < bytes)
        bytes = limit.rlim_cur < smallest ? PSHIM_HEADER_BYTES : limit.rlim_cur;
    int error = profile_create(path, bytes, p, &os_error);
    while (error == PROFILE_MAP && bytes > smallest) {
        bytes /= 2;
        error = profile_create(path, bytes, p, &os_error);
    }
    return error;
}

static int profile_make(const struct settings *s, const char *program, uint64_t start_ticks)
{
    enum { attempts = 1000 };
    static char path[4096];
    for (unsigned i = 0; i < attempts; i++) {
        if (settings_path(s->out, program, shim.pid, i, path, sizeof path) != 0)
            return -1;
        int error = profile_create_fitting(path, s->max_bytes, &shim.profile);
        if (error == PROFILE_EXISTS && i == 0 && earlier_image_moved(path, start_ticks))
            error = profile_create_fitting(path, s->max_bytes, &shim.profile);
        if (error != PROFILE_EXISTS)
            return error;
    }
    return -1;
}

static uint32_t note_add(struct profile *p, const char *setting)
{
    static const char why[] = ": not known, or not to be had here; the default is used";
    enum { most = 200 };
    char text[most + sizeof why];
    size_t n = strnlen(setting, most);
    memcpy(text, setting, n);
    memcpy(text + n, why, sizeof why);
    return profile_string_add(p, text, sizeof text);
}

static void header_fill(const struct settings *s, int argc, char **argv, const char *exe)
{
    struct pshim_header *h = shim.profile.header;
    struct profile *p = &shim.profile;
    char cwd[4096];
    h->pid = shim.pid;
    h->cpus = cpus_allowed();
    h->start_realtime_ns = shim_clock_ns(CLOCK_REALTIME);
    h->start_monotonic_ns = shim_now_ns();
    h->exe = profile_string_add(p, exe, 4096);
    for (int i = 0; i < argc; i++) {
        uint32_t ref = profile_string_add(p, argv[i], 4096);
        if (!ref) /* an empty argument is one NUL of its own */
            profile_allot(p, PSHIM_REGION_STRING, 1, &ref);
        if (i == 0)
            h->argv = ref;
        if (ref)
            h->argc++;
    }
    if (sys_call2(SYS_getcwd, cwd, sizeof cwd) > 0)
        h->cwd = profile_string_add(p, cwd, sizeof cwd);
    h->shim_version = profile_string_add(p, PERFSHIM_VERSION, 32);
    h->alloc_mode = s->alloc_mode;
    h->alloc_sample_bytes = s->alloc_mode == PSHIM_ALLOC_SAMPLED ? s->alloc_sample_bytes : 0;
    h->locks_mode = s->locks_mode;
    h->io_mode = s->io_mode;
    h->unwind_mode = s->unwind_mode;
    h->cpu_hz = s->cpu_hz;
    h->tick_period_ns = shim.tick_period_ns;
    h->recording = s->start;
    for (unsigned i = 0; i < s->bad_count && i < PSHIM_NOTES; i++)
        h->notes[i] = note_add(p, s->bad[i]);
    h->losses[PSHIM_LOSS_bootstrap_alloc] = real_bootstrap_count();
}

/* What there is not here is told and replaced by what there is. */
static void settings_limit(struct settings *s, char **envp)
{
    const char *asked = NULL;
    if (s->unwind_mode == PSHIM_UNWIND_LIBUNWIND && unwind_libunwind_init(envp) != 0) {
        s->unwind_mode = PSHIM_UNWIND_CFI;
        asked = "PERFSHIM_UNWIND=";
    }
    for (; asked && *envp; envp++)
        if (strncmp(*envp, asked, strlen(asked)) == 0 && s->bad_count < settings_bad_max)
            s->bad[s->bad_count++] = *envp;
}

/*
 * The allocator that the program calls must be ours: an earlier preload, or its own, hides it. In a
 * program at a fixed address that takes the address of malloc, the name means the program's PLT
 * entry (an undefined symbol that has a value), which may lead to anybody: the next name decides.
 */
static bool allocator_is_hidden(void)
{
    static const char *const names[] = {"malloc", "posix_memalign", "malloc_usable_size"};
    Dl_info self, found;
    if (dladdr(names, &self) == 0)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const ElfW(Sym) *symbol = NULL;
        void *first = dlsym(RTLD_DEFAULT, names[i]);
        if (first && dladdr1(first, &found, (void **)&symbol, RTLD_DL_SYMENT) != 0 && symbol &&
            symbol->st_shndx != SHN_UNDEF)
            return found.dli_fbase != self.dli_fbase;
    }
    return false;
}

static struct shim_control *control_map(void)
{
    struct shim_control *c = sys_map_anon(PSHIM_PAGE_BYTES);
    if (!c || sys_call3(SYS_madvise, c, PSHIM_PAGE_BYTES, MADV_WIPEONFORK) != 0)
        return NULL;
    return c;
}

static void main_thread_begin(void)
{
    enum { stack_max = 128 << 20 }; /* the kernel keeps at least this gap below the stack free */
    struct rlimit limit = {0, 0};
    struct thread_state *ts = thread_state_new();
    sys_call4(SYS_prlimit64, 0, RLIMIT_STACK, 0, &limit);
    uintptr_t hi = (uintptr_t)__libc_stack_end;
    uintptr_t bytes = limit.rlim_cur < stack_max ? limit.rlim_cur : stack_max;
    if (!ts)
        return;
    ts->stack = (struct unwind_range){hi - bytes, hi};
    ts->start_node = 0;
    thread_begin(ts, false);
    /* An image that exec replaced may have waited for CPUs too. */
    char text[80];
    uint64_t ran, delay;
    if (!ts->record_is_shared &&
        run_delay_parse(text, file_read("/proc/self/schedstat", text, sizeof text), &ran, &delay) ==
            0)
        ts->record->run_delay_at_start_ns = delay;
}

static void at_exit(int status, void *unused)
{
    (void)unused;
    process_note_end(PSHIM_END_EXIT, status & 0xff);
}

static int set_up(int argc, char **argv, char **envp, bool *follow)
{
    struct settings s;
    static char exe[4096];
    settings_read(envp, &s);
    settings_limit(&s, envp);
    *follow = s.follow != SETTINGS_ALONE;
    if (real_resolve() != 0)
        return -1;
    struct shim_control *control = control_map();
    if (!control)
        return -1;
    long n = sys_call3(SYS_readlink, "/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(exe, '/');
    uint64_t start_ticks = start_ticks_read();
    shim.pid = (uint32_t)sys_call0(SYS_getpid);
    shim.cpu_at_start_ns = shim_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    shim.cpu_hz = s.cpu_hz;
    shim.tick_period_ns = s.cpu_hz ? 1000000000u / s.cpu_hz : 0;
    if (sys_call1(SYS_prctl, PR_GET_SECCOMP) == 0) /* a filter may kill who asks for memory */
        unwind_find_stack = unwind_stack_find;
    shim.unwind_mode = s.unwind_mode;
    sys_call3(SYS_getrandom, &shim.tag_key, sizeof shim.tag_key, GRND_NONBLOCK);
    shim.tag_key ^= shim_now_ns() * 0x9e3779b97f4a7c15u;
    shim.sample_bytes = s.alloc_sample_bytes;
    shim.sample_seed = s.alloc_seed ? s.alloc_seed : shim.tag_key;
    out_of_followed(&s, start_ticks);
    if (profile_make(&s, slash ? slash + 1 : exe, start_ticks) != PROFILE_OK)
        return -1;
    struct pshim_header *h = shim.profile.header;
    h->start_ticks = start_ticks;
    header_fill(&s, argc, argv, exe);
    lock_clock_init();
    run_delay_init();
    if (!s.start)
        thread_note_pause(0);
    timeline_init(s.start);
    if (h->regions[PSHIM_REGION_ACCOUNT].capacity == 0) {
        h->off_reason = PSHIM_OFF_FILE_LIMIT;
        __atomic_store_n(&h->ready, 1, __ATOMIC_RELEASE);
        return -1;
    }
    if (s.alloc_mode == PSHIM_ALLOC_EXACT || s.locks_mode != PSHIM_OFF)
        histograms_init();
    h->lock_histograms = s.locks_mode != PSHIM_OFF;
    if (nodes_init() != 0 || locks_init() != 0 || thread_init() != 0 ||
        (s.cpu_hz && tick_init() != 0)) {
        h->off_reason = PSHIM_OFF_INTERNAL;
        __atomic_store_n(&h->ready, 1, __ATOMIC_RELEASE);
        return -1;
    }
    if (allocator_is_hidden() || real_is_mixed()) {
        h->alloc_hidden = 1;
        h->alloc_mode = s.alloc_mode = PSHIM_ALLOC_OFF;
    }
    h->maps_mode = s.alloc_mode != PSHIM_ALLOC_OFF ? PSHIM_ON : PSHIM_OFF;
    control->on = 1;
    control->recording = s.start;
    shim_control = control;
    if (guard_enter()) {
        main_thread_begin();
        guard_leave(shim_tls.self, 0);
    }
    if (s.alloc_mode != PSHIM_ALLOC_OFF)
        hook_new_probe();
    on_exit(at_exit, NULL);
    lock_clock_note();
    __atomic_store_n(&h->ready, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&control->locks, s.locks_mode, __ATOMIC_RELEASE);
    __atomic_store_n(&control->io, io_bits(s.io_mode), __ATOMIC_RELEASE);
    __atomic_store_n(&control->maps, h->maps_mode, __ATOMIC_RELEASE);
    __atomic_store_n(&control->tagging, s.alloc_mode == PSHIM_ALLOC_EXACT, __ATOMIC_RELEASE);
    __atomic_store_n(&control->sampling, s.alloc_mode == PSHIM_ALLOC_SAMPLED, __ATOMIC_RELEASE);
    return 0;
}

/*
 * The loader names us relative to the directory we were started in, which may change. But
 * LD_PRELOAD cannot hold a blank or a colon: then as it was given, since the loader would complain
 * to our host.
 */
static const char *path_absolute(const char *path)
{
    static char absolute[8192];
    long n = *path == '/' ? 0 : sys_call2(SYS_getcwd, absolute, 4096);
    if (n <= 0 || (size_t)n + strlen(path) >= sizeof absolute)
        return path;
    absolute[n - 1] = '/';
    strcpy(absolute + n, path);
    return strpbrk(absolute, " :") ? path : absolute;
}

static __attribute__((constructor)) void shim_constructor(int argc, char **argv, char **envp)
{
    struct unwind_module self;
    real_resolve();
    hook_new_init();
    if (getauxval(AT_SECURE))
        return;
    bool follow;
    if (set_up(argc, argv, envp, &follow) == 0 &&
        unwind_module_find((uintptr_t)shim_constructor, &self) == 0)
        environment_take(envp, path_absolute(self.name), follow);
}
