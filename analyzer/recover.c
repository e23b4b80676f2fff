#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/process.h"
#include "analyzer/reader.h"
#include "analyzer/recover.h"
#include "analyzer/stage_settle.h"
#include "analyzer/text.h"
#include "common/units.h"

static int tell(const char *prog, const char *file, int result, const char *text)
{
    fprintf(stderr, "%s: %s: %s\n", prog, file, text);
    return result;
}

const char *recover_user(uint32_t pid, char to[static 80])
{
    char name[17], shown[17 * 4];
    if (pid == 0)
        return "a process that cannot be seen from here";
    process_name(pid, name);
    if (*name)
        snprintf(to, 80, "process %u (%s)", pid, text_escape(shown, sizeof shown, name, 40));
    else
        snprintf(to, 80, "process %u", pid);
    return to;
}

static int check(const char *prog, const char *file)
{
    struct reader r;
    if (reader_open(&r, file) != 0) {
        fprintf(stderr, "%s: %s\n", prog, r.error);
        return -1;
    }
    reader_close(&r);
    return 0;
}

/* No reason to do anything, if it is a profile. */
static int complete(const char *prog, const char *file)
{
    return check(prog, file) == 0 ? tell(prog, file, 0, "is complete, there is nothing to recover")
                                  : -1;
}

static int recovered(const char *prog, const char *file)
{
    struct stat st;
    char size[UNITS_BUF];
    if (check(prog, file) != 0 || stat(file, &st) != 0)
        return -1; /* killed before it was one */
    fprintf(stderr, "%s: %s: recovered, %s. Next: perfshim report %s\n", prog, file,
            units_size(size, (double)st.st_blocks * 512), file);
    return 0;
}

/* The folder is open. `named`: somebody waits for this very file. */
static int settle(const char *prog, struct stage *s, const char *file, const char *name, bool named)
{
    char user[80];
    uint32_t pid = 0;
    struct stat before;
    bool is_plain = lstat(file, &before) == 0 && S_ISREG(before.st_mode);
    switch (stage_settle(s, file, name, &pid)) {
    case STAGE_SETTLED:
        return is_plain ? complete(prog, file) : recovered(prog, file);
    case STAGE_EMPTY:
        return is_plain ? complete(prog, file)
                        : tell(prog, file, named ? -1 : 0, "the program had written no profile");
    case STAGE_IN_USE:
        fprintf(stderr,
                "%s: %s: is still in use by %s: recover it when that has ended, report and top "
                "read it now\n",
                prog, file, recover_user(pid, user));
        return named ? -1 : 0;
    default:
        fprintf(stderr, "%s: %s; the profile stays in %s/%s\n", prog, s->why, s->dir, name);
        return -1;
    }
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- folders that are found without a link to them ---- */

/* Calls `each` with every folder of the caller's whose record has ended, open; it may settle it.
 * Goes on until that returns true. */
static bool folders_visit(bool (*each)(struct stage *s, const char *of, void *arg), void *arg)
{
    DIR *dir = opendir(STAGE_PARENT);
    bool done = false;
    for (struct dirent *e; dir && !done && (e = readdir(dir));) {
        struct stage s;
        char path[PATH_MAX], of[PATH_MAX];
        if (strncmp(e->d_name, STAGE_PREFIX, strlen(STAGE_PREFIX)) != 0)
            continue;
        snprintf(path, sizeof path, STAGE_PARENT "/%s", e->d_name);
        if (strlen(path) >= sizeof s.dir || stage_open(&s, path) != 0)
            continue;
        if (stage_of(&s, of))
            done = each(&s, of, arg);
        else
            rmdir(path); /* if it is empty: killed before it had anything */
        stage_close(&s);
    }
    if (dir)
        closedir(dir);
    return done;
}

struct search {
    const char *prog, *file;
    char absolute[PATH_MAX];
    int result;
    unsigned found;
};

static bool settle_if_meant(struct stage *s, const char *of, void *arg)
{
    struct search *search = arg;
    if (strcmp(of, search->absolute) != 0)
        return false;
    search->result = settle(search->prog, s, search->file, last_part(of), true);
    return true;
}

static bool settle_any(struct stage *s, const char *of, void *arg)
{
    struct search *search = arg;
    search->found++;
    if (settle(search->prog, s, of, last_part(of), false) != 0)
        search->result = -1;
    return false;
}

/* The folder's real name and the file's own: the file itself may not be there. */
static bool absolute_name(const char *file, char to[static PATH_MAX])
{
    char dir[PATH_MAX], real[PATH_MAX];
    const char *name = last_part(file);
    snprintf(dir, sizeof dir, "%.*s", (int)(name - file), file);
    return realpath(*dir ? dir : ".", real) &&
           snprintf(to, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name) < PATH_MAX;
}

/* ---- files that are named ---- */

static int linked_recover(const char *prog, const char *file, const char *dir, const char *name)
{
    struct stage s;
    int error = stage_open(&s, dir);
    if (error == ENOENT)
        return tell(prog, file, -1,
                    "what was staged for it is gone: " STAGE_PARENT
                    " outlives neither a restart of the system nor, under systemd, a log-out");
    if (error == EWOULDBLOCK)
        return tell(prog, file, -1, "its record is still at work, and will finish it");
    if (error == EPERM)
        return tell(prog, file, -1, "is a link into a folder of somebody else's");
    if (error)
        return tell(prog, dir, -1, strerror(error));
    int result = settle(prog, &s, file, name, true);
    stage_close(&s);
    return result;
}

static int file_recover(const char *prog, const char *file)
{
    struct stat st;
    char dir[32], name[NAME_MAX + 1];
    struct search search = {.prog = prog, .file = file};
    if (stage_is_link(file, dir, name))
        return linked_recover(prog, file, dir, name);
    bool there = lstat(file, &st) == 0;
    int error = errno;
    if (there && S_ISLNK(st.st_mode))
        return tell(prog, file, -1, "is a link to something that record did not stage");
    if (absolute_name(file, search.absolute) && folders_visit(settle_if_meant, &search))
        return search.result;
    return there ? complete(prog, file) : tell(prog, file, -1, strerror(error));
}

int recover(const char *prog, char *const *files, int count)
{
    struct search search = {.prog = prog};
    for (int i = 0; i < count; i++)
        if (file_recover(prog, files[i]) != 0)
            search.result = -1;
    if (count == 0) {
        folders_visit(settle_any, &search);
        if (!search.found)
            fprintf(stderr, "%s: nothing is staged in " STAGE_PARENT ", nothing to recover\n",
                    prog);
    }
    return search.result;
}
