#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profile/profile.h"

static char folder[PATH_MAX];
static char path[PATH_MAX + 32];

static int folder_make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%s/profile-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.pshim", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct profile created(uint64_t bytes)
{
    struct profile p;
    int os_error;
    assert_int_equal(profile_create(path, bytes, &p, &os_error), PROFILE_OK);
    return p;
}

static void file_is_private_sparse_and_of_its_final_size(void **state)
{
    struct stat st;
    (void)state;
    struct profile p = created(64 << 20);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 64 << 20);
    assert_true(st.st_blocks * 512 < 1 << 20);
    assert_memory_equal(p.header->magic, PSHIM_MAGIC, 8);
    assert_int_equal(p.header->version, PSHIM_VERSION);
    assert_int_equal(p.header->ready, 0);
    profile_close(&p);
}

static void regions_lie_apart_and_inside_the_file(void **state)
{
    static const uint64_t sizes[] = {PSHIM_HEADER_BYTES, 1 << 20, 3 << 20, 64 << 20, 1ull << 31};
    (void)state;
    for (unsigned k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct profile p = created(sizes[k]);
        uint64_t end = PSHIM_HEADER_BYTES;
        for (unsigned i = 0; i < p.header->region_count; i++) {
            const struct pshim_region *r = &p.header->regions[i];
            assert_int_equal(r->id, i);
            assert_int_equal(r->offset % PSHIM_PAGE_BYTES, 0);
            assert_true(r->offset >= end);
            end = r->offset + r->capacity * r->record_bytes;
        }
        assert_true(end <= p.bytes);
        assert_true(profile_region(&p, PSHIM_REGION_NODE)->capacity <= PSHIM_NODE_MAX);
        profile_close(&p);
        unlink(path);
    }
}

static void taken_name_is_refused_and_left_alone(void **state)
{
    struct profile p;
    int os_error;
    char text[8] = "";
    (void)state;
    FILE *f = fopen(path, "w");
    fputs("mine", f);
    fclose(f);
    assert_int_equal(profile_create(path, 1 << 20, &p, &os_error), PROFILE_EXISTS);
    assert_int_equal(os_error, EEXIST);
    f = fopen(path, "r");
    assert_int_equal(fread(text, 1, sizeof text, f), 4);
    fclose(f);
    assert_string_equal(text, "mine");
}

static void symbolic_link_is_not_followed(void **state)
{
    struct profile p;
    int os_error;
    char target[PATH_MAX + 32];
    (void)state;
    snprintf(target, sizeof target, "%s/target", folder);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(profile_create(path, 1 << 20, &p, &os_error), PROFILE_EXISTS);
    assert_int_equal(access(target, F_OK), -1);
}

static void missing_folder_is_an_open_error(void **state)
{
    struct profile p;
    int os_error;
    (void)state;
    assert_int_equal(profile_create("/no/such/folder/x.pshim", 1 << 20, &p, &os_error),
                     PROFILE_OPEN);
    assert_int_equal(os_error, ENOENT);
}

static void no_descriptor_is_left_open(void **state)
{
    (void)state;
    int before = dup(0);
    close(before);
    struct profile p = created(1 << 20);
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
    profile_close(&p);
}

static void records_are_zero_distinct_and_backed(void **state)
{
    uint32_t previous = 0;
    (void)state;
    struct profile p = created(4 << 20);
    struct pshim_region *r = profile_region(&p, PSHIM_REGION_ACCOUNT);
    for (unsigned i = 0; i < 5000; i++) {
        uint32_t index;
        assert_int_equal(profile_allot(&p, PSHIM_REGION_ACCOUNT, 1, &index), PROFILE_OK);
        struct pshim_account *a = profile_record(&p, PSHIM_REGION_ACCOUNT, index);
        assert_int_equal(a->kind, 0);
        a->kind = PSHIM_KIND_ALLOC;
        assert_true(i == 0 || index == previous + 1);
        assert_true((index + 1) * sizeof *a <= r->backed_bytes);
        previous = index;
    }
    profile_close(&p);
}

static void full_region_is_full_and_stays_full(void **state)
{
    uint32_t index;
    (void)state;
    struct profile p = created(1 << 20);
    uint64_t capacity = profile_region(&p, PSHIM_REGION_THREAD)->capacity;
    for (uint64_t i = 0; i < capacity; i++)
        assert_int_equal(profile_allot(&p, PSHIM_REGION_THREAD, 1, &index), PROFILE_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(profile_allot(&p, PSHIM_REGION_THREAD, 1, &index), PROFILE_FULL);
    assert_true(profile_region(&p, PSHIM_REGION_THREAD)->used <= capacity + 1);
    profile_close(&p);
}

/* Between two tries to grow, a disk that was full is taken to be full still. */
static void full_disk_uses_up_no_records(void **state)
{
    uint32_t index;
    int error;
    (void)state;
    struct profile p = created(4 << 20);
    struct pshim_region *r = profile_region(&p, PSHIM_REGION_ACCOUNT);
    uint64_t *full = &p.header->losses[PSHIM_LOSS_disk_full];
    *full = 1;
    while ((error = profile_allot(&p, PSHIM_REGION_ACCOUNT, 1, &index)) == PROFILE_OK)
        ;
    assert_int_equal(error, PROFILE_NO_SPACE);
    uint64_t used = r->used;
    for (int i = 0; i < 500; i++)
        assert_int_equal(profile_allot(&p, PSHIM_REGION_ACCOUNT, 1, &index), PROFILE_NO_SPACE);
    assert_int_equal(r->used, used);
    *full = 1024; /* time for another try: there is room again */
    assert_int_equal(profile_allot(&p, PSHIM_REGION_ACCOUNT, 1, &index), PROFILE_OK);
    assert_int_equal(index, used);
    profile_close(&p);
}

static void strings_come_back_cut_at_their_limit(void **state)
{
    (void)state;
    struct profile p = created(1 << 20);
    uint32_t a = profile_string_add(&p, "store_get", 100);
    uint32_t b = profile_string_add(&p, "abcdef", 3);
    assert_int_not_equal(a, 0);
    assert_string_equal(profile_string(&p, a), "store_get");
    assert_string_equal(profile_string(&p, b), "abc");
    assert_int_equal(profile_string_add(&p, "", 10), 0);
    assert_string_equal(profile_string(&p, 0), "");
    profile_close(&p);
}

static void full_string_table_gives_none_and_counts(void **state)
{
    static char big[4096];
    (void)state;
    memset(big, 'x', sizeof big - 1);
    struct profile p = created(1 << 20);
    while (profile_string_add(&p, big, sizeof big))
        ;
    assert_int_equal(p.header->losses[PSHIM_LOSS_string_table_full], 1);
    profile_close(&p);
}

enum { allot_threads = 4, allots_each = 4000 };
static struct profile shared;
static uint8_t taken[allot_threads * allots_each];

static void *allot_many(void *unused)
{
    for (int i = 0; i < allots_each; i++) {
        uint32_t index;
        if (profile_allot(&shared, PSHIM_REGION_NODE, 1, &index) != PROFILE_OK)
            continue;
        ((struct pshim_node *)profile_record(&shared, PSHIM_REGION_NODE, index))->offset = 1;
        __atomic_fetch_add(&taken[index - 1], 1, __ATOMIC_RELAXED);
    }
    return unused;
}

static void threads_never_get_the_same_record(void **state)
{
    pthread_t thread[allot_threads];
    (void)state;
    shared = created(8 << 20);
    for (int i = 0; i < allot_threads; i++)
        pthread_create(&thread[i], NULL, allot_many, NULL);
    for (int i = 0; i < allot_threads; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < allot_threads * allots_each; i++)
        assert_int_equal(taken[i], 1);
    profile_close(&shared);
}

/* In a child: the limit would end this process with SIGXFSZ if it were crossed. */
static void file_size_limit_is_told_without_a_signal(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {1 << 20, 1 << 20};
        struct profile p;
        int os_error;
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(profile_create(path, 2 << 20, &p, &os_error) == PROFILE_FILE_LIMIT &&
                      access(path, F_OK) != 0
                  ? 0
                  : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void every_error_has_a_text(void **state)
{
    (void)state;
#define X(id, value, text) assert_string_equal(profile_error_text(PROFILE_##id), text);
    PROFILE_ERRORS(X)
#undef X
    assert_true(strlen(profile_error_text(-999)) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(file_is_private_sparse_and_of_its_final_size),
        TEST(regions_lie_apart_and_inside_the_file),
        TEST(taken_name_is_refused_and_left_alone),
        TEST(symbolic_link_is_not_followed),
        TEST(missing_folder_is_an_open_error),
        TEST(no_descriptor_is_left_open),
        TEST(records_are_zero_distinct_and_backed),
        TEST(full_region_is_full_and_stays_full),
        TEST(full_disk_uses_up_no_records),
        TEST(strings_come_back_cut_at_their_limit),
        TEST(full_string_table_gives_none_and_counts),
        TEST(threads_never_get_the_same_record),
        TEST(file_size_limit_is_told_without_a_signal),
        TEST(every_error_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
