#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "analyzer/reader.h"

static void error_set(struct reader *r, const char *text, const char *detail)
{
    snprintf(r->error, sizeof r->error, "%s: %s%s%s", r->path, text, *detail ? ": " : "", detail);
}

int reader_open(struct reader *r, const char *path)
{
    char why[160];
    int os_error;
    *r = (struct reader){.path = path};
    int error = profile_open(path, &r->profile, why, &os_error);
    if (error == PROFILE_OK)
        return 0;
    error_set(r, profile_error_text(error), os_error ? strerror(os_error) : why);
    return -1;
}

void reader_close(struct reader *r)
{
    profile_close(&r->profile);
}

int reader_damaged(struct reader *r, const char *format, ...)
{
    char detail[256];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    error_set(r, profile_error_text(PROFILE_DAMAGED), detail);
    return -1;
}

uint32_t reader_count(const struct reader *r, enum pshim_region_id region)
{
    return profile_count(&r->profile, region);
}

uint64_t reader_where(const struct reader *r, enum pshim_region_id region, uint32_t index)
{
    const struct pshim_region *at = profile_region(&r->profile, region);
    return at->offset + (uint64_t)at->record_bytes * index;
}

static const void *record(const struct reader *r, enum pshim_region_id region, uint32_t index)
{
    if (index >= reader_count(r, region))
        return NULL;
    return profile_record(&r->profile, region, index);
}

const struct pshim_module *reader_module(const struct reader *r, uint32_t index)
{
    const struct pshim_module *m = record(r, PSHIM_REGION_MODULE, index);
    return m && pshim_load32(&m->published) ? m : NULL;
}

const struct pshim_node *reader_node(const struct reader *r, uint32_t index)
{
    return index ? record(r, PSHIM_REGION_NODE, index) : NULL;
}

const struct pshim_account *reader_account(const struct reader *r, uint32_t index)
{
    const struct pshim_account *a = record(r, PSHIM_REGION_ACCOUNT, index);
    return a && __atomic_load_n(&a->kind, __ATOMIC_ACQUIRE) != PSHIM_KIND_NONE ? a : NULL;
}

const struct pshim_thread *reader_thread(const struct reader *r, uint32_t index)
{
    const struct pshim_thread *t = record(r, PSHIM_REGION_THREAD, index);
    return t && pshim_load32(&t->state) ? t : NULL;
}

bool reader_has_waits(const struct reader *r)
{
    return r->profile.header->regions[PSHIM_REGION_THREAD].record_bytes >=
           sizeof(struct pshim_thread);
}

const struct pshim_progress *reader_progress(const struct reader *r, uint32_t index)
{
    const struct pshim_progress *p = record(r, PSHIM_REGION_PROGRESS, index);
    return p && pshim_load32(&p->name) ? p : NULL;
}

const struct pshim_lock *reader_lock(const struct reader *r, uint32_t index)
{
    const struct pshim_lock *l = record(r, PSHIM_REGION_LOCK, index);
    return l && pshim_load32(&l->kind) ? l : NULL;
}

const struct pshim_histogram *reader_histogram(const struct reader *r, uint32_t index)
{
    const struct pshim_histogram *h = record(r, PSHIM_REGION_HISTOGRAM, index);
    return h && (index == 0 || pshim_load32(&h->node)) ? h : NULL;
}

const struct pshim_moment *reader_moment(const struct reader *r, uint32_t index)
{
    const struct pshim_moment *m = record(r, PSHIM_REGION_MOMENT, index);
    return m && pshim_load32(&m->touched) ? m : NULL;
}

int reader_stack(struct reader *r, uint32_t node, uint32_t nodes[static READER_DEPTH_MAX])
{
    unsigned depth = 0;
    for (uint32_t at = node, from = 0; at != 0;) {
        const struct pshim_node *n = reader_node(r, at);
        if (!n)
            return reader_damaged(r, "byte %llu: node %u has parent %u of %u",
                                  (unsigned long long)reader_where(r, PSHIM_REGION_NODE, from),
                                  from, at, reader_count(r, PSHIM_REGION_NODE));
        if (n->module >= reader_count(r, PSHIM_REGION_MODULE))
            return reader_damaged(r, "byte %llu: node %u is in module %u of %u",
                                  (unsigned long long)reader_where(r, PSHIM_REGION_NODE, at), at,
                                  n->module, reader_count(r, PSHIM_REGION_MODULE));
        if (depth == READER_DEPTH_MAX)
            return reader_damaged(r, "byte %llu: the stack of node %u does not end",
                                  (unsigned long long)reader_where(r, PSHIM_REGION_NODE, node),
                                  node);
        nodes[depth++] = at;
        from = at;
        at = n->parent;
    }
    return (int)depth;
}
