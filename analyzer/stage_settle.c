#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "analyzer/file_copy.h"
#include "analyzer/memory.h"
#include "analyzer/process.h"
#include "analyzer/stage_settle.h"
#include "profile/format.h"

/* Where the files of a folder go. */
struct move {
    struct stage *s;
    const char *profile, *name; /* F, and its file's name in the folder */
    int dir;                    /* F's folder */
    char dir_path[PATH_MAX];
    char part[sizeof((struct stage *)0)->dir + 8]; /* the copy's name until it is complete */
    uint32_t user;
};

static const char *joined(char to[static PATH_MAX], const char *dir, const char *name)
{
    return snprintf(to, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? to : name;
}

static enum stage_end failed(struct move *m, const char *file, int error)
{
    if (!*m->s->why)
        snprintf(m->s->why, sizeof m->s->why, "%s: %s", file, strerror(error));
    return STAGE_FAILED;
}

/*
 * A lease for reading is only given where nobody has the file open for writing, and a mapping that
 * may be written keeps it open. A reader of /proc keeps a dead process's mappings for a moment:
 * then nobody is found, and it is asked again.
 */
static bool is_in_use(int fd, const char *path, uint32_t *user)
{
    enum { tries = 20, pause_ns = 5000000 };
    for (int i = 0; i < tries; i++) {
        if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
            fcntl(fd, F_SETLEASE, F_UNLCK);
            return false;
        }
        bool leases = errno == EAGAIN;
        *user = process_mapping(path);
        if (*user || !leases)
            return *user != 0;
        nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
    }
    return true;
}

/* Are both the profile of the same process image? */
static bool is_same(int a, int dir, const char *name)
{
    struct pshim_header x, y;
    int b = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool same = b >= 0 && pread(a, &x, sizeof x, 0) == (ssize_t)sizeof x &&
                pread(b, &y, sizeof y, 0) == (ssize_t)sizeof y &&
                memcmp(x.magic, PSHIM_MAGIC, sizeof x.magic) == 0 &&
                memcmp(y.magic, PSHIM_MAGIC, sizeof y.magic) == 0 && x.pid == y.pid &&
                x.start_ticks == y.start_ticks && x.start_monotonic_ns == y.start_monotonic_ns &&
                x.start_realtime_ns == y.start_realtime_ns;
    if (b >= 0)
        close(b);
    return same;
}

enum place { PLACE_FREE, PLACE_DONE, PLACE_TAKEN };

/* May the staged file `name` become `to`? The link that stands for it makes room. */
static enum place place_look(const struct move *m, int fd, const char *name, const char *to)
{
    struct stat st;
    char staged[PATH_MAX], link[PATH_MAX];
    if (fstatat(m->dir, to, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return PLACE_FREE;
    if (S_ISREG(st.st_mode))
        return is_same(fd, m->dir, to) ? PLACE_DONE : PLACE_TAKEN;
    ssize_t n = readlinkat(m->dir, to, link, sizeof link - 1);
    link[n > 0 ? n : 0] = '\0';
    joined(staged, m->s->dir, name);
    return strcmp(link, staged) == 0 ? PLACE_FREE : PLACE_TAKEN;
}

/* NAME.1 becomes F.1, or the first number from there on that is free; others keep their name. */
static enum place place_find(const struct move *m, int fd, const char *name,
                             char to[static PATH_MAX])
{
    const char *base = strrchr(m->profile, '/');
    size_t n = strlen(m->name);
    base = base ? base + 1 : m->profile;
    if (strcmp(name, m->name) == 0) {
        snprintf(to, PATH_MAX, "%s", base);
        return place_look(m, fd, name, to);
    }
    bool image = strncmp(name, m->name, n) == 0 && name[n] == '.' && name[n + 1] >= '1' &&
                 name[n + 1] <= '9' && !name[n + 2];
    snprintf(to, PATH_MAX, "%s", name);
    enum place place = image ? PLACE_TAKEN : place_look(m, fd, name, to);
    for (char digit = name[n + 1]; image && place == PLACE_TAKEN && digit <= '9'; digit++) {
        snprintf(to, PATH_MAX, "%s.%c", base, digit);
        place = place_look(m, fd, name, to);
    }
    return place;
}

/* The copy gets its name when it is on the disk as a whole. */
static int copy(const struct move *m, int from, const char *to)
{
    unlinkat(m->dir, m->part, 0); /* of a record that was killed here */
    int fd = openat(m->dir, m->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = file_copy(from, fd);
    if (!error && fsync(fd) != 0)
        error = errno;
    if (close(fd) != 0 && !error)
        error = errno;
    if (!error && renameat(m->dir, m->part, m->dir, to) != 0)
        error = errno;
    if (error)
        unlinkat(m->dir, m->part, 0);
    else
        fsync(m->dir); /* not every file system knows how */
    return error;
}

static enum stage_end file_settle(struct move *m, const char *name)
{
    char staged[PATH_MAX], to[PATH_MAX], shown[PATH_MAX];
    struct stat st;
    joined(staged, m->s->dir, name);
    int fd = openat(m->s->lock, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? STAGE_EMPTY : failed(m, staged, errno);
    enum stage_end end = STAGE_SETTLED;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
        end = failed(m, staged, EPERM);
    } else if (is_in_use(fd, staged, &m->user)) {
        end = STAGE_IN_USE;
    } else {
        enum place place = place_find(m, fd, name, to);
        int error = place == PLACE_TAKEN ? EEXIST : place == PLACE_DONE ? 0 : copy(m, fd, to);
        if (error)
            end = failed(m, joined(shown, m->dir_path, to), error);
        else
            unlinkat(m->s->lock, name, 0);
    }
    close(fd);
    return end;
}

/* The worse of two ends, by their order. */
static enum stage_end worse(enum stage_end a, enum stage_end b)
{
    return a > b ? a : b;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All but F's own: that comes last, so that F is a link for as long as anything is staged. */
static enum stage_end others_settle(struct move *m)
{
    enum stage_end end = STAGE_SETTLED;
    int fd = dup(m->s->lock);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    char **names = NULL;
    size_t count = 0, room = 0;
    if (!dir)
        return failed(m, m->s->dir, errno);
    rewinddir(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_type == DT_LNK || e->d_type == DT_DIR || strcmp(e->d_name, m->name) == 0)
            continue;
        memory_grow((void **)&names, &room, count, sizeof *names);
        names[count++] = memory_string(e->d_name);
    }
    closedir(dir);
    if (count)
        qsort(names, count, sizeof *names, by_name); /* NAME.1 is the first to choose */
    for (size_t i = 0; i < count; i++) {
        end = worse(end, file_settle(m, names[i]));
        free(names[i]);
    }
    free(names);
    return end;
}

static int target_open(struct move *m)
{
    const char *slash = strrchr(m->profile, '/');
    int n = slash == m->profile ? 1 : slash ? (int)(slash - m->profile) : 0;
    snprintf(m->dir_path, sizeof m->dir_path, "%.*s", n ? n : 1, n ? m->profile : ".");
    snprintf(m->part, sizeof m->part, ".%s.part", strrchr(m->s->dir, '/') + 1);
    m->dir = open(m->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->dir < 0 && errno == EACCES) /* may be written into, though not read */
        m->dir = open(m->dir_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return m->dir < 0 ? errno : 0;
}

enum stage_end stage_settle(struct stage *s, const char *profile, const char *name, uint32_t *user)
{
    struct move m = {.s = s, .profile = profile, .name = name};
    *s->why = '\0';
    int error = target_open(&m);
    if (error)
        return failed(&m, m.dir_path, error);
    enum stage_end others = others_settle(&m);
    enum stage_end end = file_settle(&m, name);
    end = others == STAGE_SETTLED ? end : worse(end, others);
    *user = m.user;
    if (end == STAGE_SETTLED || end == STAGE_EMPTY)
        stage_discard(s, profile);
    close(m.dir);
    return end;
}
