/*
 * A profile opened for reading, whoever wrote it: every reference is checked before it is followed.
 *
 * The file may still be growing (a running program) and may hold any bytes (a damaged or hostile
 * one). Invariants:
 *  1. No function here reads outside the mapped file or loops for ever.
 *  2. A record that is "not there yet" (format.h) is reported as NULL, never as a value.
 *  3. reader_count() only grows; what was valid once stays valid.
 *
 * Pointers and strings returned belong to the reader and live until reader_close(). A reader may be
 * used by one thread at a time. Errors: −1, and `error` says what and where.
 */
#ifndef PERFSHIM_ANALYZER_READER_H
#define PERFSHIM_ANALYZER_READER_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"

/* The shim writes at most 256 frames and a few special ones; longer chains are damage. */
#define READER_DEPTH_MAX 512u

struct reader {
    struct profile profile;
    const char *path; /* as given to reader_open(): the caller's string */
    char error[512];  /* "FILE: what is wrong, where" */
};

int reader_open(struct reader *r, const char *path);
void reader_close(struct reader *r);

/* Sets r->error to "FILE: is damaged: " and the text. Returns −1. */
int reader_damaged(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Records of a region that may be looked at now. */
uint32_t reader_count(const struct reader *r, enum pshim_region_id region);

/* The record, or NULL where there is none (yet). */
const struct pshim_module *reader_module(const struct reader *r, uint32_t index);
const struct pshim_node *reader_node(const struct reader *r, uint32_t index);
const struct pshim_account *reader_account(const struct reader *r, uint32_t index);
const struct pshim_thread *reader_thread(const struct reader *r, uint32_t index);
/* Do the records of threads have waits and run_delay_ns? */
bool reader_has_waits(const struct reader *r);
const struct pshim_progress *reader_progress(const struct reader *r, uint32_t index);
const struct pshim_lock *reader_lock(const struct reader *r, uint32_t index);
const struct pshim_histogram *reader_histogram(const struct reader *r, uint32_t index);
const struct pshim_moment *reader_moment(const struct reader *r, uint32_t index);

/*
 * The stack of a node: ids of its nodes, leaf first, at most READER_DEPTH_MAX. Returns their
 * number, or −1 when a parent or a module does not exist or the chain does not end.
 */
int reader_stack(struct reader *r, uint32_t node, uint32_t nodes[static READER_DEPTH_MAX]);

/* The offset of a record in the file: the "where" of a message. */
uint64_t reader_where(const struct reader *r, enum pshim_region_id region, uint32_t index);

#endif
