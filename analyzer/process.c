#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyzer/process.h"

/* The state letter and field 22 of /proc/PID/stat. */
static int stat_read(uint32_t pid, char *state, uint64_t *ticks)
{
    enum { start_time_field = 22 };
    char path[40], line[1024];
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    /* Field 2 is the name in parentheses and may hold spaces and parentheses itself. */
    const char *at = strrchr(line, ')');
    if (at && at[1] == ' ')
        *state = at[2];
    for (int field = 2; at && field < start_time_field; field++)
        at = strchr(at + 1, ' ');
    unsigned long long value;
    if (!at || sscanf(at, " %llu", &value) != 1)
        return -1;
    *ticks = value;
    return 0;
}

int process_resident(uint32_t pid, int64_t *rss_bytes, int64_t *anon_bytes)
{
    char path[40];
    long long resident, shared;
    snprintf(path, sizeof path, "/proc/%u/statm", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    int fields = fscanf(f, "%*s %lld %lld", &resident, &shared);
    fclose(f);
    if (fields != 2 || resident <= 0)
        return -1;
    *rss_bytes = resident * sysconf(_SC_PAGESIZE);
    *anon_bytes = (resident > shared ? resident - shared : 0) * sysconf(_SC_PAGESIZE);
    return 0;
}

int process_thread_times(uint32_t pid, uint32_t tid, int64_t *ran_ns, int64_t *run_delay_ns)
{
    char path[64];
    long long ran, delay;
    snprintf(path, sizeof path, "/proc/%u/task/%u/schedstat", pid, tid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    int fields = fscanf(f, "%lld %lld", &ran, &delay);
    fclose(f);
    if (fields != 2 || ran < 0 || delay < 0)
        return -1;
    *ran_ns = ran;
    *run_delay_ns = delay;
    return 0;
}

int process_start_ticks(uint32_t pid, uint64_t *ticks)
{
    char state = 0;
    return stat_read(pid, &state, ticks);
}

bool process_alive(uint32_t pid, uint64_t start_ticks)
{
    uint64_t ticks;
    char state = 0;
    return stat_read(pid, &state, &ticks) == 0 && ticks == start_ticks && state != 'Z' &&
           state != 'X';
}

static bool maps(uint32_t pid, const char *path)
{
    char name[40], *line = NULL;
    size_t room = 0, n = strlen(path);
    bool found = false;
    snprintf(name, sizeof name, "/proc/%u/maps", pid);
    FILE *f = fopen(name, "re");
    if (!f)
        return false;
    for (ssize_t got; !found && (got = getline(&line, &room, f)) > 0;)
        found = (size_t)got > n + 1 && line[got - 1] == '\n' &&
                memcmp(line + got - 1 - n, path, n) == 0 && line[(size_t)got - 2 - n] == ' ';
    free(line);
    fclose(f);
    return found;
}

uint32_t process_mapping(const char *path)
{
    DIR *dir = opendir("/proc");
    uint32_t found = 0;
    for (struct dirent *e; dir && !found && (e = readdir(dir));) {
        uint32_t pid = (uint32_t)strtoul(e->d_name, NULL, 10);
        if (pid && maps(pid, path))
            found = pid;
    }
    if (dir)
        closedir(dir);
    return found;
}

void process_name(uint32_t pid, char to[static 17])
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(to, 17, f))
        *to = '\0';
    if (f)
        fclose(f);
    to[strcspn(to, "\n")] = '\0';
}
