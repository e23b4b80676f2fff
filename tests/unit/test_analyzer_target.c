#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyzer/elf_image.h"
#include "analyzer/output.h"
#include "analyzer/process.h"
#include "analyzer/select.h"
#include "analyzer/target.h"

static char folder[64];
static struct target target;
static struct output output;

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/target-XXXXXX");
    return mkdtemp(folder) ? chdir(folder) : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    char command[128];
    if (chdir("/") != 0)
        return -1;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void file_make(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(name, mode), 0);
}

/* ---- judging bytes ---- */

static uint8_t *self_bytes;
static size_t self_size;

static int self_map(void **state)
{
    struct stat st;
    (void)state;
    int fd = open("/bin/true", O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    self_size = (size_t)st.st_size;
    self_bytes = mmap(NULL, self_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    return self_bytes == MAP_FAILED ? -1 : 0;
}

static int self_unmap(void **state)
{
    (void)state;
    return munmap(self_bytes, self_size);
}

static enum target_verdict judged(bool *own_malloc)
{
    return target_judge(self_bytes, self_size, own_malloc);
}

static void ordinary_program_is_fine(void **state)
{
    bool own;
    (void)state;
    assert_int_equal(judged(&own), TARGET_FINE);
    assert_false(own);
}

static void program_without_interpreter_is_static(void **state)
{
    struct elf_image image;
    bool own;
    (void)state;
    elf_image_init(&image, self_bytes, self_size);
    Elf64_Phdr *interp = (Elf64_Phdr *)(uintptr_t)elf_image_segment(&image, PT_INTERP);
    interp->p_type = PT_NULL;
    assert_int_equal(judged(&own), TARGET_STATIC);
}

/* Overwrites the first occurrence of a string in the file's dynamic strings. */
static void string_replace(const char *from, const char *to)
{
    for (size_t i = 0; i + strlen(from) < self_size; i++)
        if (memcmp(self_bytes + i, from, strlen(from) + 1) == 0) {
            memcpy(self_bytes + i, to, strlen(to) + 1);
            return;
        }
    fail_msg("no %s in the file", from);
}

static void program_with_a_sanitizers_runtime_is_told(void **state)
{
    bool own;
    (void)state;
    string_replace("libc.so.6", "libasan.so");
    assert_int_equal(judged(&own), TARGET_SANITIZED);
}

static void program_that_exports_malloc_has_its_own(void **state)
{
    struct elf_image image;
    size_t count;
    uint32_t names;
    bool own;
    (void)state;
    elf_image_init(&image, self_bytes, self_size);
    const Elf64_Sym *symbols = elf_image_symbols(&image, SHT_DYNSYM, &count, &names);
    string_replace("__libc_start_main", "malloc"); /* undefined: it asks for one */
    assert_int_equal(judged(&own), TARGET_FINE);
    assert_false(own);
    for (size_t i = 0; i < count; i++)
        ((Elf64_Sym *)(uintptr_t)symbols)[i].st_shndx = 1;
    assert_int_equal(judged(&own), TARGET_FINE);
    assert_true(own);
}

static void other_machines_and_objects_are_no_programs_here(void **state)
{
    bool own;
    (void)state;
    Elf64_Ehdr *h = (Elf64_Ehdr *)(void *)self_bytes;
    h->e_machine = EM_AARCH64;
    assert_int_equal(judged(&own), TARGET_FOREIGN);
    h->e_machine = EM_X86_64;
    h->e_type = ET_REL;
    assert_int_equal(judged(&own), TARGET_NOT_EXECUTABLE);
    assert_int_equal(target_judge("words", 5, &own), TARGET_NOT_EXECUTABLE);
}

/* ---- finding and judging files ---- */

static void scripts_are_judged_by_their_interpreter(void **state)
{
    char found[PATH_MAX];
    (void)state;
    assert_true(target_interpreter("#! /bin/sh -e\n", 14, found));
    assert_string_equal(found, "/bin/sh");
    assert_true(target_interpreter("#!/bin/sh", 9, found));
    assert_false(target_interpreter("#!\n", 3, found));
    assert_false(target_interpreter("#", 1, found));
    file_make("good", "#!/bin/sh\n", 0755);
    assert_int_equal(target_check("./good", &target), TARGET_FINE);
    file_make("plain", "echo hello\n", 0755); /* execvp gives it to the shell */
    assert_int_equal(target_check("./plain", &target), TARGET_FINE);
    file_make("lost", "#!/nowhere/sh\n", 0755);
    assert_int_equal(target_check("./lost", &target), TARGET_NOT_FOUND);
    file_make("loop", "#!./loop\n", 0755);
    assert_int_equal(target_check("./loop", &target), TARGET_NOT_EXECUTABLE);
    assert_non_null(strstr(target.why, "loop"));
}

static void commands_are_looked_up_as_a_shell_does(void **state)
{
    char path[256];
    (void)state;
    const char *before = getenv("PATH");
    char *kept = strdup(before ? before : "");
    assert_int_equal(mkdir("one", 0755) | mkdir("two", 0755) | mkdir("one/dir", 0755), 0);
    file_make("one/tool", "#!/bin/sh\n", 0644);
    file_make("two/tool", "#!/bin/sh\n", 0755);
    file_make("here", "#!/bin/sh\n", 0755);
    file_make("one/plain", "#!/bin/sh\n", 0644);
    snprintf(path, sizeof path, "%s/one:/nowhere:%s/two:", folder, folder);
    setenv("PATH", path, 1);
    assert_int_equal(target_check("tool", &target), TARGET_FINE);
    assert_non_null(strstr(target.path, "/two/tool"));
    assert_int_equal(target_check("here", &target), TARGET_FINE);
    assert_string_equal(target.path, "./here");
    assert_int_equal(target_check("plain", &target), TARGET_NOT_EXECUTABLE);
    assert_int_equal(target_check("dir", &target), TARGET_NOT_FOUND);
    assert_int_equal(target_check("", &target), TARGET_NOT_FOUND);
    unsetenv("PATH");
    assert_int_equal(target_check("sh", &target), TARGET_FINE);
    setenv("PATH", kept, 1);
    free(kept);
}

static void raised_rights_and_directories_are_refused(void **state)
{
    (void)state;
    file_make("raised", "#!/bin/sh\n", 04755);
    assert_int_equal(target_check("./raised", &target), TARGET_RAISED);
    assert_non_null(strstr(target.why, "setuid"));
    assert_int_equal(chmod("raised", 02755), 0);
    assert_int_equal(target_check("./raised", &target), TARGET_RAISED);
    assert_non_null(strstr(target.why, "setgid"));
    assert_int_equal(target_check("/", &target), TARGET_NOT_EXECUTABLE);
    assert_int_equal(target_check("/dev/null", &target), TARGET_NOT_EXECUTABLE);
    file_make("empty", "", 0755);
    assert_int_equal(target_check("./empty", &target), TARGET_NOT_EXECUTABLE);
}

/* ---- the profile's name ---- */

static void default_name_holds_program_and_pid_and_is_made_unique(void **state)
{
    char path[PATH_MAX];
    (void)state;
    assert_int_equal(output_prepare(&output, NULL, false, "/usr/bin/tool"), 0);
    assert_int_equal(output_path(&output, 77, path), 0);
    assert_non_null(strstr(path, "/perfshim-tool-77.pshim"));
    file_make("perfshim-tool-77.pshim", "", 0600);
    assert_int_equal(output_path(&output, 77, path), 0);
    assert_non_null(strstr(path, "/perfshim-tool-77-2.pshim"));
}

static void named_file_must_be_free_unless_forced(void **state)
{
    char path[PATH_MAX];
    (void)state;
    assert_int_equal(output_prepare(&output, "a.pshim", false, "tool"), 0);
    assert_int_equal(output_path(&output, 77, path), 0);
    assert_non_null(strstr(path, "/a.pshim"));
    file_make("a.pshim", "mine", 0600);
    assert_int_equal(output_prepare(&output, "a.pshim", false, "tool"), -1);
    assert_non_null(strstr(output.why, "a.pshim: is there already"));
    assert_int_equal(access("a.pshim", F_OK), 0);
    assert_int_equal(output_prepare(&output, "a.pshim", true, "tool"), 0);
    assert_int_equal(access("a.pshim", F_OK), -1);
}

static void pid_in_a_name_is_filled_in_and_checked_then(void **state)
{
    char path[PATH_MAX];
    (void)state;
    assert_int_equal(mkdir("d", 0755), 0);
    assert_int_equal(output_prepare(&output, "d/x-%p-%p.pshim", false, "tool"), 0);
    assert_int_equal(output_path(&output, 5, path), 0);
    assert_non_null(strstr(path, "/d/x-5-5.pshim"));
    file_make("d/x-5-5.pshim", "", 0600);
    assert_int_equal(output_path(&output, 5, path), -1);
    assert_int_equal(output_prepare(&output, "d/x-%p-%p.pshim", true, "tool"), 0);
    assert_int_equal(output_path(&output, 5, path), 0);
}

static void directories_are_for_the_default_name(void **state)
{
    char path[PATH_MAX];
    (void)state;
    assert_int_equal(mkdir("d", 0755), 0);
    assert_int_equal(output_prepare(&output, "d", true, "tool"), 0);
    assert_int_equal(output_path(&output, 5, path), 0);
    assert_non_null(strstr(path, "/d/perfshim-tool-5.pshim"));
    assert_int_equal(output_prepare(&output, "d/", false, "tool"), 0);
    assert_int_equal(output_prepare(&output, "nowhere/a", false, "tool"), -1);
    assert_non_null(strstr(output.why, "nowhere/a: its directory does not exist"));
    char longest[NAME_MAX + 10];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(output_prepare(&output, longest, false, "tool"), -1);
}

static void directory_that_takes_no_file_is_refused_before(void **state)
{
    (void)state;
    assert_int_equal(output_prepare(&output, "/proc/a.pshim", false, "tool"), -1);
    assert_non_null(strstr(output.why, "/proc/a.pshim"));
}

/* ---- small ones ---- */

static void processes_are_known_by_pid_and_start(void **state)
{
    uint64_t ticks;
    (void)state;
    assert_int_equal(process_start_ticks((uint32_t)getpid(), &ticks), 0);
    assert_true(process_alive((uint32_t)getpid(), ticks));
    assert_false(process_alive((uint32_t)getpid(), ticks + 1));
    assert_int_equal(process_start_ticks(0, &ticks), -1);
}

static void bad_expressions_are_refused_by_name(void **state)
{
    struct selection s;
    char err[160];
    (void)state;
    const char *bad[SELECT_RULES] = {"fine", "(", NULL};
    assert_int_equal(selection_init(&s, bad, err), -1);
    assert_non_null(strstr(err, "--ignore: '('"));
    const char *good[SELECT_RULES] = {"put|get", NULL, "^std::"};
    assert_int_equal(selection_init(&s, good, err), 0);
    assert_int_equal(selection_match(&s, "store_put", NULL, NULL), 1u << SELECT_FOCUS);
    assert_int_equal(selection_match(&s, "std::x", "get.h", "m"),
                     1u << SELECT_FOCUS | 1u << SELECT_HIDE);
    assert_int_equal(selection_match(&s, "x", NULL, "y"), 0);
    selection_release(&s);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)
#define BYTES(name) cmocka_unit_test_setup_teardown(name, self_map, self_unmap)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BYTES(ordinary_program_is_fine),
        BYTES(program_without_interpreter_is_static),
        BYTES(program_with_a_sanitizers_runtime_is_told),
        BYTES(program_that_exports_malloc_has_its_own),
        BYTES(other_machines_and_objects_are_no_programs_here),
        TEST(scripts_are_judged_by_their_interpreter),
        TEST(commands_are_looked_up_as_a_shell_does),
        TEST(raised_rights_and_directories_are_refused),
        TEST(default_name_holds_program_and_pid_and_is_made_unique),
        TEST(named_file_must_be_free_unless_forced),
        TEST(pid_in_a_name_is_filled_in_and_checked_then),
        TEST(directories_are_for_the_default_name),
        TEST(directory_that_takes_no_file_is_refused_before),
        cmocka_unit_test(processes_are_known_by_pid_and_start),
        cmocka_unit_test(bad_expressions_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
