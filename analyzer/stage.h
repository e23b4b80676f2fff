/*
 * Staging: while the program runs its profile lives in /dev/shm, and the profile's own name F is a
 * link to it. At the end it is copied, synced and renamed over F.
 *
 * Why: the kernel write-protects the dirty pages of a file on a disk while it writes them back, and
 * the program's next update of such a page waits for that. In memory nothing is written back.
 *
 *     /dev/shm/perfshim-XXXXXX/       0700, a random name; locked (flock) while its record lives
 *         .of -> F                    F's absolute name, for whoever finds the folder alone
 *         NAME                        the profile, made by the library; NAME is F's last part
 *         NAME.1, NAME.2 …            of earlier images of the same process
 *     F -> /dev/shm/perfshim-XXXXXX/NAME
 *
 * Invariants, at every moment, whoever is killed:
 *  1. F is a link to the staged profile, or the profile itself: `perfshim report F` works.
 *  2. A staged file is removed only after its copy is on the disk under its final name.
 *  3. Nothing is followed or touched that is not the caller's own: folder and files are opened
 *     without following links, and their owner is compared.
 * A staged profile does not outlive the machine's memory: after a crash of the system it is gone.
 *
 * Not thread-safe.
 */
#ifndef PERFSHIM_ANALYZER_STAGE_H
#define PERFSHIM_ANALYZER_STAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define STAGE_PARENT "/dev/shm"
#define STAGE_PREFIX "perfshim-"

enum stage_wish { STAGE_AUTO, STAGE_ON, STAGE_OFF };

struct stage {
    int lock; /* descriptor of the folder, locked; −1 = nothing is staged */
    enum stage_wish wish;
    char dir[32];             /* absolute */
    char why[PATH_MAX + 200]; /* "FILE: what is wrong" after an error */
};

/* What decides in STAGE_AUTO. */
struct stage_facts {
    bool memory;        /* STAGE_PARENT is a file system in memory, and nobody else can rename
                           what is ours in it */
    bool target_memory; /* the profile's own folder is one too: nothing to gain */
    bool outlives; /* it is to go on after a log-out, when systemd removes a user's files there */
    uint64_t room_bytes, profile_bytes;
};
/* Pure: at least four times the room of the profile at its largest. */
bool stage_is_worth_it(const struct stage_facts *facts);

/*
 * Makes the folder if it is wished for, or worth it, and possible. profile_dir: where F will be;
 * profile_bytes: its largest size. 0 (staged or not: s->lock), or −1 with s->why: STAGE_ON cannot
 * be had.
 */
int stage_begin(struct stage *s, enum stage_wish wish, const char *profile_dir,
                uint64_t profile_bytes);

/*
 * Makes F a link to the file that the library is to write, whose name goes to `live`; without
 * staging, or where no link can be made, that is F itself. 0, or −1 with s->why.
 */
int stage_link(struct stage *s, const char *profile, char live[static PATH_MAX]);

/* The program was not started: takes link and folder away. */
void stage_discard(struct stage *s, const char *profile);

/* Somebody else is to have this name (--force): removes the link, and what is staged for it unless
 * its record is at work. 0, or −1: it is no such link, or cannot be removed. */
int stage_drop(const char *link);

/*
 * Is `link` a link to a staged profile? Its folder goes to dir, its name in there to name. Only the
 * text of the link is looked at.
 */
bool stage_is_link(const char *link, char dir[static 32], char name[static NAME_MAX + 1]);

/* Opens and locks a folder that an earlier record left. 0, or an errno value: EWOULDBLOCK = its
 * record is at work, EPERM = it belongs to somebody else, ENOENT = it is gone. */
int stage_open(struct stage *s, const char *dir);
void stage_close(struct stage *s);

/* The name that the folder belongs to. False if there is none. */
bool stage_of(const struct stage *s, char of[static PATH_MAX]);

#endif
