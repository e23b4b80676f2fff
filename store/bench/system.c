#include "store/bench/system.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_read(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t system_now_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

uint64_t system_cpu_ns(void)
{
    return clock_read(CLOCK_PROCESS_CPUTIME_ID);
}

/* The number behind `name` in a file of lines "name:  N"; `none` if there is no such. */
static uint64_t file_number(const char *file, const char *name, uint64_t none)
{
    char text[4096];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return none;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return none;
    text[n] = '\0';
    const char *line = strstr(text, name);
    return line ? strtoull(line + strlen(name), NULL, 10) : none;
}

/* Not getrusage: its maximum outlives exec, so that a big parent's size would be ours. */
uint64_t system_rss_bytes(void)
{
    return file_number("/proc/self/status", "\nVmRSS:", 0) * 1024;
}

uint64_t system_max_rss_bytes(void)
{
    return file_number("/proc/self/status", "\nVmHWM:", 0) * 1024;
}

uint64_t system_written_bytes(void)
{
    return system_written_bytes_of(getpid());
}

uint64_t system_written_bytes_of(pid_t pid)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/io", (int)pid);
    return file_number(name, "\nwrite_bytes:", UINT64_MAX);
}

void system_timers_sharpen(void)
{
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
}

int system_cpu_name(char *name, size_t size)
{
    char line[256];
    int found = 0;
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (!value || strncmp(line, "model name", 10) != 0)
            continue;
        value += strspn(value, ": ");
        value[strcspn(value, "\n")] = '\0';
        found = *value != '\0';
        snprintf(name, size, "%s", value);
    }
    if (f)
        fclose(f);
    return found;
}
