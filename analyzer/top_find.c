#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analyzer/memory.h"
#include "analyzer/process.h"
#include "analyzer/top_find.h"
#include "profile/profile.h"

enum { why_bytes = 512 };

struct search {
    uint32_t pid;
    bool exists; /* the process; its start is then known */
    uint64_t start_ticks;
    int maps_error; /* errno of reading its maps, 0 = read */
    char *found;
    struct timespec found_time;
    char *deleted;         /* a profile's name that the process has mapped, and nobody can open */
    char *others;          /* the profile of another process that this one has mapped … */
    uint32_t others_owner; /* … its parent's, after a fork */
};

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && strcmp(s + n - k, suffix) == 0;
}

/* Whose profile is it? False: it is none. Only regular files are opened: a device may mind. */
static bool owner_read(const char *path, struct stat *st, uint32_t *pid, uint64_t *start_ticks)
{
    struct profile p;
    char why[160];
    int os_error;
    if (stat(path, st) != 0 || !S_ISREG(st->st_mode) ||
        profile_open(path, &p, why, &os_error) != PROFILE_OK)
        return false;
    *pid = p.header->pid;
    *start_ticks = p.header->start_ticks;
    profile_close(&p);
    return true;
}

static void candidate_try(struct search *s, const char *path, bool mapped)
{
    struct stat st;
    uint32_t pid;
    uint64_t ticks;
    if (!owner_read(path, &st, &pid, &ticks))
        return;
    if (pid != s->pid || (s->exists && ticks != s->start_ticks)) {
        if (mapped && !s->others) {
            s->others = memory_string(path);
            s->others_owner = pid;
        }
        return;
    }
    /* A process that execs leaves the earlier image's profile behind: the latest is meant. */
    if (s->found &&
        (st.st_mtim.tv_sec < s->found_time.tv_sec ||
         (st.st_mtim.tv_sec == s->found_time.tv_sec && st.st_mtim.tv_nsec < s->found_time.tv_nsec)))
        return;
    free(s->found);
    s->found = memory_string(path);
    s->found_time = st.st_mtim;
}

/* /proc writes a line feed in a name as \012. */
static void line_feeds_restore(char *path)
{
    for (char *at; (at = strstr(path, "\\012")); path = at + 1) {
        *at = '\n';
        memmove(at + 1, at + 4, strlen(at + 4) + 1);
    }
}

/* One line of /proc/PID/maps: the shim maps its profile shared. */
static void mapping_look(struct search *s, char *line)
{
    static const char gone[] = " (deleted)";
    char permissions[5];
    int at = 0;
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%*x-%*x %4s %*x %*x:%*x %*u %n", permissions, &at) != 1 || at == 0 ||
        permissions[3] != 's' || line[at] != '/')
        return;
    char *path = line + at;
    line_feeds_restore(path);
    if (!s->found || strcmp(s->found, path) != 0)
        candidate_try(s, path, true);
    if (ends_with(path, gone) && !s->deleted) {
        path[strlen(path) - strlen(gone)] = '\0';
        if (ends_with(path, ".pshim"))
            s->deleted = memory_string(path);
    }
}

static void maps_search(struct search *s)
{
    char name[40], *line = NULL;
    size_t room = 0;
    snprintf(name, sizeof name, "/proc/%u/maps", s->pid);
    FILE *f = fopen(name, "re");
    if (!f) {
        s->maps_error = errno;
        return;
    }
    errno = 0;
    while (getline(&line, &room, f) > 0)
        mapping_look(s, line);
    s->maps_error = ferror(f) ? errno : 0;
    free(line);
    fclose(f);
}

static void directory_search(struct search *s)
{
    DIR *dir = opendir(".");
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (ends_with(e->d_name, ".pshim"))
            candidate_try(s, e->d_name, false);
    if (dir)
        closedir(dir);
}

static void explain(const struct search *s, char *why)
{
    if (!s->exists)
        snprintf(why, why_bytes, "no process %u, and no profile of it here", s->pid);
    else if (!process_alive(s->pid, s->start_ticks))
        snprintf(why, why_bytes, "process %u has ended, and no profile of it is here", s->pid);
    else if (s->maps_error)
        snprintf(why, why_bytes,
                 "/proc/%u/maps: %s, and no profile of it is here: name the file instead", s->pid,
                 strerror(s->maps_error));
    else if (s->deleted)
        snprintf(why, why_bytes, "pid %u: its profile was deleted: %.300s", s->pid, s->deleted);
    else if (s->others)
        snprintf(why, why_bytes,
                 "pid %u is not profiled: what it has mapped is the profile of pid %u, %.300s",
                 s->pid, s->others_owner, s->others);
    else
        snprintf(why, why_bytes,
                 "pid %u is not profiled: it has no profile mapped; see perfshim record --help",
                 s->pid);
}

char *top_find(uint32_t pid, char why[static 512])
{
    struct search s = {.pid = pid};
    why[0] = '\0';
    s.exists = process_start_ticks(pid, &s.start_ticks) == 0;
    if (s.exists)
        maps_search(&s);
    if (!s.found)
        directory_search(&s);
    if (!s.found)
        explain(&s, why);
    free(s.deleted);
    free(s.others);
    return s.found;
}
