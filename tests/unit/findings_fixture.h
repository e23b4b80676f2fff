/*
 * A profile with code of this program and of the C library, and its findings: for the tests of
 * analyzer/findings*.c. Include once, as profile_fixture.h.
 */
#ifndef PERFSHIM_TESTS_UNIT_FINDINGS_FIXTURE_H
#define PERFSHIM_TESTS_UNIT_FINDINGS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <limits.h>

#include "analyzer/findings.h"
#include "tests/unit/profile_fixture.h"

static char path[PATH_MAX];
static struct fixture f;
static struct reader r;
static struct model m;
static struct frames *frames;
static struct findings findings;
static uint32_t module, libc;

/* What stands in the stacks: different code, or they would be one function. */
#define CODE(name, n)                                                                              \
    __attribute__((noinline)) static void name(void)                                               \
    {                                                                                              \
        __asm__ volatile("" ::"r"(n));                                                             \
    }
CODE(worker, 1)
CODE(get, 2)
CODE(format, 3)
CODE(find, 4)

static int libc_note(struct dl_phdr_info *info, size_t size, void *record)
{
    return strstr(info->dlpi_name, "/libc.so") ? fixture_self_note(info, size, record) : 0;
}

/* This machine's own C library, so that its functions are named for real. */
static uint32_t libc_module(void)
{
    Dl_info info;
    void *handle = dlopen("libc.so.6", RTLD_NOW);
    assert_non_null(handle);
    assert_true(dladdr(dlsym(handle, "malloc"), &info));
    uint32_t id = fixture_module(&f, info.dli_fname, 0);
    dl_iterate_phdr(libc_note, profile_record(&f.profile, PSHIM_REGION_MODULE, id));
    return id;
}

static int profile_make(void **state)
{
    (void)state;
    fixture_path(path, "findings");
    fixture_open(&f, path, 1 << 20);
    module = fixture_own_module(&f);
    libc = libc_module();
    fixture_lock(&f, 0, 0, false); /* record 0: of locks without room */
    f.h->locks_mode = PSHIM_ABSENT;
    return 0;
}

static int profile_remove(void **state)
{
    (void)state;
    findings_release(&findings);
    frames_free(frames);
    model_release(&m);
    reader_close(&r);
    fixture_close(&f);
    return unlink(path);
}

static uint32_t call(uint32_t parent, void (*function)(void))
{
    return fixture_call(&f, parent, module, function);
}

static uint32_t libc_call(uint32_t parent, const char *name)
{
    void *at = dlsym(dlopen("libc.so.6", RTLD_NOW), name);
    assert_non_null(at);
    return fixture_node(
        &f, parent, libc,
        (uintptr_t)at -
            ((struct pshim_module *)profile_record(&f.profile, PSHIM_REGION_MODULE, libc))->bias);
}

static void built(const struct selection *selection)
{
    assert_int_equal(reader_open(&r, path), 0);
    if (model_load(&m, &r) != 0)
        fail_msg("%s", r.error);
    frames = frames_new(&r, selection);
    findings_build(&findings, &m, frames);
}

static const struct finding *finding(enum finding_kind kind)
{
    for (size_t i = 0; i < findings.count; i++)
        if (findings.items[i].kind == kind)
            return &findings.items[i];
    fail_msg("no finding of kind %s among %zu", finding_kind_word(kind), findings.count);
    return NULL;
}

static const char *where(const struct finding *item)
{
    return item->where ? frames_function(frames, item->where->function)->name : "(nowhere)";
}

static bool is_evidence(const struct finding *item, const char *text)
{
    for (unsigned i = 0; i < item->evidence_count; i++)
        if (strstr(item->evidence[i], text))
            return true;
    return false;
}

#endif
