#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyzer/bench_run.h"

static struct bench_run run;

static void run_ok(const char *command, uint64_t timeout_ns)
{
    assert_int_equal(bench_run(command, -1, -1, timeout_ns, &run), 0);
}

static void the_status_is_that_of_the_command(void **state)
{
    char text[64];
    (void)state;
    run_ok("exit 0", 0);
    assert_int_equal(run.status, 0);
    run_ok("exit 7", 0);
    assert_string_equal(bench_status_text(run.status, text), "exit status 7");
    run_ok("kill -SEGV $$", 0);
    assert_true(WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGSEGV);
    assert_string_equal(bench_status_text(run.status, text), "signal 11 (Segmentation fault)");
    run_ok("exit 7", 10000000000);
    assert_int_equal(WEXITSTATUS(run.status), 7);
    assert_false(run.timed_out);
}

static void wall_time_covers_sleep_and_cpu_time_covers_children_only_when_they_compute(void **state)
{
    (void)state;
    run_ok("sleep 0.3", 0);
    assert_true(run.wall_ns >= 300000000);
    assert_true(run.user_ns + run.sys_ns < 200000000);
    /* a child of the shell, so that the figures of descendants are counted */
    run_ok("sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; true", 0);
    assert_true(run.user_ns + run.sys_ns > 20000000);
    assert_true(run.wall_ns > 20000000);
}

static void max_rss_is_that_of_the_largest_descendant_in_bytes(void **state)
{
    (void)state;
    run_ok("true", 0);
    assert_true(run.max_rss_bytes > 100 << 10 && run.max_rss_bytes < 16 << 20);
    run_ok("head -c 40000000 /dev/zero | tail -c 40000000 | wc -c", 0); /* tail keeps all of it */
    assert_true(run.max_rss_bytes > 40000000 && run.max_rss_bytes < 120000000);
}

static void output_goes_to_the_descriptors_given(void **state)
{
    int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
    char text[64] = "";
    (void)state;
    assert_int_equal(bench_run("echo one; echo two >&2; cat", out, err, 0, &run), 0);
    assert_int_equal(run.status, 0); /* stdin is at its end */
    assert_int_equal(pread(out, text, sizeof text - 1, 0), 4);
    assert_string_equal(text, "one\n");
    assert_int_equal(pread(err, text, sizeof text - 1, 0), 4);
    assert_string_equal(text, "two\n");
    close(out);
    close(err);
}

/* A killed orphan may stay a zombie for as long as its new parent likes. */
static int process_runs(int pid)
{
    char path[64], status = 'Z';
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (f && fscanf(f, "%*d (%*[^)]) %c", &status) != 1)
        status = 'Z';
    if (f)
        fclose(f);
    return status != 'Z';
}

static void a_timeout_kills_the_command_and_its_children(void **state)
{
    int out = memfd_create("out", MFD_CLOEXEC), child = 0;
    char text[32] = "";
    (void)state;
    assert_int_equal(bench_run("sleep 60 & echo $!; wait", out, -1, 300000000, &run), 0);
    assert_true(run.timed_out);
    assert_true(run.wall_ns >= 300000000 && run.wall_ns < 30000000000);
    assert_true(WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGKILL);
    assert_true(pread(out, text, sizeof text - 1, 0) > 0);
    assert_int_equal(sscanf(text, "%d", &child), 1);
    for (int i = 0; process_runs(child); i++) {
        assert_true(i < 500);
        usleep(10000);
    }
    close(out);
}

static void the_callers_signals_are_left_as_they_were(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, after;
    sigset_t before_mask, after_mask;
    (void)state;
    sigaction(SIGCHLD, &ignore, NULL); /* the kernel would reap children of such a process */
    sigaction(SIGINT, &ignore, NULL);
    sigprocmask(SIG_SETMASK, NULL, &before_mask);
    run_ok("kill -INT $PPID; exit 3", 10000000000); /* what was ignored stays ignored */
    assert_int_equal(WEXITSTATUS(run.status), 3);
    sigaction(SIGCHLD, NULL, &after);
    assert_true(after.sa_handler == SIG_IGN);
    sigaction(SIGINT, NULL, &after);
    assert_true(after.sa_handler == SIG_IGN);
    sigprocmask(SIG_SETMASK, NULL, &after_mask);
    for (int sig = 1; sig < 65; sig++)
        assert_int_equal(sigismember(&before_mask, sig), sigismember(&after_mask, sig));
    signal(SIGCHLD, SIG_DFL);
    signal(SIGINT, SIG_DFL);
}

static void a_fatal_signal_reaches_the_command_before_we_die(void **state)
{
    int out[2], status;
    char text[32] = "";
    pid_t parent;
    (void)state;
    assert_int_equal(pipe(out), 0);
    parent = fork();
    if (parent == 0) {
        bench_run("trap 'echo told; exit' TERM; echo up; while :; do sleep 0.1; done", out[1], -1,
                  0, &run);
        _exit(99);
    }
    close(out[1]);
    assert_int_equal(read(out[0], text, 3), 3); /* "up\n" */
    kill(parent, SIGTERM);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_int_equal(read(out[0], text, sizeof text - 1), 5);
    assert_memory_equal(text, "told\n", 5);
    close(out[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_is_that_of_the_command),
        cmocka_unit_test(
            wall_time_covers_sleep_and_cpu_time_covers_children_only_when_they_compute),
        cmocka_unit_test(max_rss_is_that_of_the_largest_descendant_in_bytes),
        cmocka_unit_test(output_goes_to_the_descriptors_given),
        cmocka_unit_test(a_timeout_kills_the_command_and_its_children),
        cmocka_unit_test(the_callers_signals_are_left_as_they_were),
        cmocka_unit_test(a_fatal_signal_reaches_the_command_before_we_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
