#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/output.h"
#include "analyzer/stage.h"

enum { first_bytes = 256 << 10 }; /* what the library needs room for at its start */

static int refuse(struct output *out, const char *file, const char *why)
{
    snprintf(out->why, sizeof out->why, "%s: %s", file, why);
    return -1;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Can a file be made in the directory, and filled? Only trying tells (quotas, root, full disks). */
static int directory_try(struct output *out, const char *wanted)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/.perfshim-XXXXXX", out->dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return refuse(out, wanted, strerror(errno));
    int error = fallocate(fd, 0, 0, first_bytes) == 0 ? 0 : errno;
    if (error == EOPNOTSUPP || error == EFBIG) /* EFBIG: the library tells of file size limits */
        error = 0;
    close(fd);
    unlink(path);
    return error ? refuse(out, wanted, strerror(error)) : 0;
}

static int is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int name_split(struct output *out, const char *wanted)
{
    const char *slash = strrchr(wanted, '/');
    const char *name = slash ? slash + 1 : wanted;
    char dir[PATH_MAX];
    bool whole = *name == '\0' || is_directory(wanted);
    if (whole)
        name = "";
    int n = whole   ? snprintf(dir, sizeof dir, "%s", *wanted ? wanted : ".")
            : slash ? snprintf(dir, sizeof dir, "%.*s", (int)(slash - wanted + 1), wanted)
                    : snprintf(dir, sizeof dir, ".");
    if (n >= (int)sizeof dir || strlen(name) > NAME_MAX)
        return refuse(out, wanted, strerror(ENAMETOOLONG));
    if (!is_directory(dir))
        return refuse(out, wanted, "its directory does not exist");
    if (!realpath(dir, out->dir))
        return refuse(out, wanted, strerror(errno));
    snprintf(out->name, sizeof out->name, "%s", name);
    return 0;
}

static int name_taken(struct output *out, const char *file)
{
    char dir[32], name[NAME_MAX + 1];
    return refuse(out, file,
                  stage_is_link(file, dir, name)
                      ? "is there already, the profile of a record that is at work or was killed "
                        "(--recover finishes it); -f takes its place"
                      : "is there already; -f takes its place");
}

static int name_take(struct output *out, const char *wanted)
{
    struct stat st;
    if (!*out->name || strstr(out->name, "%p") || lstat(wanted, &st) != 0)
        return 0;
    if (!out->force)
        return name_taken(out, wanted);
    if (S_ISDIR(st.st_mode))
        return refuse(out, wanted, "is a directory");
    if (stage_drop(wanted) == 0)
        return 0;
    return unlink(wanted) == 0 ? 0 : refuse(out, wanted, strerror(errno));
}

int output_prepare(struct output *out, const char *wanted, bool force, const char *program)
{
    *out = (struct output){.force = force};
    snprintf(out->program, sizeof out->program, "%s", base_name(program));
    if (!wanted)
        wanted = ".";
    if (name_split(out, wanted) != 0 || directory_try(out, wanted) != 0)
        return -1;
    return name_take(out, wanted);
}

/* out->name with every %p as the pid. */
static int name_expand(const struct output *out, pid_t pid, char *to, size_t size)
{
    size_t n = 0;
    for (const char *s = out->name; *s && n < size; s++) {
        if (s[0] == '%' && s[1] == 'p') {
            n += (size_t)snprintf(to + n, size - n, "%d", (int)pid);
            s++;
        } else {
            to[n++] = *s;
        }
    }
    if (n >= size)
        return -1;
    to[n] = '\0';
    return 0;
}

int output_path(struct output *out, pid_t pid, char to[static PATH_MAX])
{
    enum { attempts_most = 1000 };
    char name[2 * NAME_MAX], number[16] = "";
    struct stat st;
    for (unsigned attempt = 0; attempt < attempts_most; attempt++) {
        if (attempt)
            snprintf(number, sizeof number, "-%u", attempt + 1);
        if (*out->name) {
            if (name_expand(out, pid, name, sizeof name) != 0)
                return refuse(out, out->name, strerror(ENAMETOOLONG));
        } else {
            snprintf(name, sizeof name, "perfshim-%s-%d%s.pshim", out->program, (int)pid, number);
        }
        if (snprintf(to, PATH_MAX, "%s/%s", out->dir, name) >= PATH_MAX)
            return refuse(out, name, strerror(ENAMETOOLONG));
        if (lstat(to, &st) != 0)
            return 0;
        if (*out->name && out->force &&
            (stage_drop(to) == 0 || (S_ISREG(st.st_mode) && unlink(to) == 0)))
            return 0;
        if (*out->name)
            break;
    }
    return name_taken(out, to);
}
