#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "analyzer/stage.h"

static const char of_name[] = ".of"; /* in the folder: a link that says whose it is */

static int refuse(struct stage *s, const char *file, int error)
{
    snprintf(s->why, sizeof s->why, "%s: %s", file, strerror(error));
    return -1;
}

/* ---- is it worth it? ---- */

bool stage_is_worth_it(const struct stage_facts *f)
{
    enum { rooms = 4 };
    return f->memory && !f->target_memory && !f->outlives &&
           f->room_bytes / rooms >= f->profile_bytes;
}

static bool is_in_memory(const struct statfs *fs)
{
    return fs->f_type == TMPFS_MAGIC || fs->f_type == RAMFS_MAGIC;
}

/* systemd's RemoveIPC empties /dev/shm of an ordinary user's files at the last log-out; who ignores
 * SIGHUP (nohup) means to be at work then. */
static bool means_to_outlive_log_out(void)
{
    enum { first_ordinary_user = 1000 };
    struct sigaction hang_up;
    return getuid() >= first_ordinary_user && sigaction(SIGHUP, NULL, &hang_up) == 0 &&
           hang_up.sa_handler == SIG_IGN;
}

static struct stage_facts facts_find(const char *profile_dir, uint64_t profile_bytes)
{
    struct stage_facts f = {.profile_bytes = profile_bytes, .outlives = means_to_outlive_log_out()};
    struct statfs fs;
    struct stat st;
    if (statfs(STAGE_PARENT, &fs) == 0 && stat(STAGE_PARENT, &st) == 0) {
        bool private = st.st_mode & S_ISVTX || !(st.st_mode & (S_IWGRP | S_IWOTH));
        f.memory = is_in_memory(&fs) && private;
        f.room_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    }
    f.target_memory = statfs(profile_dir, &fs) == 0 && is_in_memory(&fs);
    return f;
}

/* ---- the folder ---- */

/* Only a folder of our own that nobody else may write into. */
static int folder_open(struct stage *s)
{
    struct stat st;
    s->lock = open(s->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->lock < 0)
        return errno;
    int error = fstat(s->lock, &st) != 0 ? errno : 0;
    if (!error && (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)))
        error = EPERM;
    if (!error && flock(s->lock, LOCK_EX | LOCK_NB) != 0)
        error = errno;
    if (error)
        stage_close(s);
    return error;
}

int stage_begin(struct stage *s, enum stage_wish wish, const char *profile_dir,
                uint64_t profile_bytes)
{
    *s = (struct stage){.lock = -1, .wish = wish};
    struct stage_facts facts = facts_find(profile_dir, profile_bytes);
    if (wish == STAGE_OFF || (wish == STAGE_AUTO && !stage_is_worth_it(&facts)))
        return 0;
    snprintf(s->dir, sizeof s->dir, STAGE_PARENT "/" STAGE_PREFIX "XXXXXX");
    int error = 0;
    if (!mkdtemp(s->dir))
        error = errno;
    else if ((error = folder_open(s)) != 0)
        rmdir(s->dir);
    return error && wish == STAGE_ON ? refuse(s, STAGE_PARENT, error) : 0;
}

int stage_open(struct stage *s, const char *dir)
{
    *s = (struct stage){.lock = -1};
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    return folder_open(s);
}

void stage_close(struct stage *s)
{
    if (s->lock >= 0)
        close(s->lock);
    s->lock = -1;
}

/* ---- links ---- */

static int links_make(struct stage *s, const char *profile, const char *live)
{
    if (symlinkat(profile, s->lock, of_name) != 0 || symlink(live, profile) != 0)
        return errno;
    return 0;
}

int stage_link(struct stage *s, const char *profile, char live[static PATH_MAX])
{
    const char *name = strrchr(profile, '/');
    int n = 0, error = 0;
    if (s->lock >= 0) {
        n = snprintf(live, PATH_MAX, "%s%s", s->dir, name ? name : "/");
        error = n >= PATH_MAX || !name           ? ENAMETOOLONG
                : strcmp(name + 1, of_name) == 0 ? EINVAL
                                                 : links_make(s, profile, live);
    }
    if (s->lock >= 0 && !error)
        return 0;
    if (error && (s->wish == STAGE_ON || error == EEXIST))
        return refuse(s, profile, error);
    memmove(live, profile, strlen(profile) + 1); /* a file system without links, say */
    return 0;
}

void stage_discard(struct stage *s, const char *profile)
{
    char dir[32], name[NAME_MAX + 1];
    if (s->lock < 0)
        return;
    if (stage_is_link(profile, dir, name) && strcmp(dir, s->dir) == 0)
        unlink(profile);
    unlinkat(s->lock, of_name, 0);
    rmdir(s->dir);
    stage_close(s);
}

int stage_drop(const char *link)
{
    struct stage s;
    char dir[32], name[NAME_MAX + 1];
    if (!stage_is_link(link, dir, name) || unlink(link) != 0)
        return -1;
    if (stage_open(&s, dir) != 0)
        return 0;
    DIR *files = opendir(dir);
    for (struct dirent *e; files && (e = readdir(files));)
        unlinkat(s.lock, e->d_name, 0);
    if (files)
        closedir(files);
    rmdir(dir);
    stage_close(&s);
    return 0;
}

bool stage_is_link(const char *link, char dir[static 32], char name[static NAME_MAX + 1])
{
    static const char before[] = STAGE_PARENT "/" STAGE_PREFIX;
    char to[PATH_MAX];
    ssize_t n = readlink(link, to, sizeof to - 1);
    if (n < 0)
        return false;
    to[n] = '\0';
    if (strncmp(to, before, sizeof before - 1) != 0)
        return false;
    char *slash = strchr(to + sizeof before - 1, '/');
    if (!slash || slash - to >= 32 || !slash[1] || strchr(slash + 1, '/') ||
        strlen(slash + 1) > NAME_MAX)
        return false;
    *slash = '\0';
    strcpy(dir, to);
    strcpy(name, slash + 1);
    return true;
}

bool stage_of(const struct stage *s, char of[static PATH_MAX])
{
    ssize_t n = readlinkat(s->lock, of_name, of, PATH_MAX - 1);
    of[n > 0 ? n : 0] = '\0';
    return n > 0;
}
