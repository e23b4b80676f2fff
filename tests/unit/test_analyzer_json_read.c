#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "analyzer/json_read.h"

static char err[JSON_ERROR_BYTES];

static struct json_doc *doc_of(const char *text)
{
    int fd = memfd_create("json", MFD_CLOEXEC);
    struct json_doc *doc;

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    lseek(fd, 0, SEEK_SET);
    err[0] = '\0';
    doc = json_doc_read(fd, err);
    close(fd);
    return doc;
}

static struct json_doc *sample_read(void)
{
    struct json_doc *doc =
        doc_of("{\"ops\": 12, \"latency_us\": {\"p99\": 1.5, \"note\": \"x\", \"none\": null},\n"
               " \"db.get.micros\": 7, \"db\": {\"get\": {\"micros\": 8}, \"put.micros\": 9},\n"
               " \"levels\": [{\"ops\": 1}, {\"ops\": 2}], \"valid\": true, \"v\": [1, 2.5, 3],\n"
               " \"mixed\": [1, null], \"empty\": []}\n");
    assert_non_null(doc);
    return doc;
}

static void a_path_finds_members_elements_and_keys_with_dots(void **state)
{
    static const struct {
        const char *path;
        double value;
    } t[] = {{"ops", 12},          {"latency_us.p99", 1.5}, {"db.get.micros", 7},
             {"db.put.micros", 9}, {"levels.1.ops", 2},     {"valid", 1},
             {"v.1", 2.5}};
    struct json_doc *doc = sample_read();
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        double v = -1;
        assert_int_equal(json_number_at(doc, t[i].path, &v, err), 0);
        assert_true(v == t[i].value);
    }
    assert_string_equal(json_string_at(doc, "latency_us.note"), "x");
    assert_null(json_string_at(doc, "ops"));
    assert_null(json_string_at(doc, "nothing"));
    json_doc_free(doc);
}

static void what_is_no_number_is_told(void **state)
{
    static const struct {
        const char *path, *message;
    } t[] = {
        {"p99", "there is no 'p99' in the JSON"},
        {"latency_us.", "there is no 'latency_us.' in the JSON"},
        {"", "there is no '' in the JSON"},
        {".", "there is no '.' in the JSON"},
        {"levels.2.ops", "there is no 'levels.2.ops' in the JSON"},
        {"levels.x", "there is no 'levels.x' in the JSON"},
        {"levels.-1", "there is no 'levels.-1' in the JSON"},
        {"ops.x", "there is no 'ops.x' in the JSON"},
        {"latency_us", "'latency_us' is an object, not a number"},
        {"v", "'v' is an array, not a number"},
        {"latency_us.note", "'latency_us.note' is a string, not a number"},
        {"latency_us.none", "'latency_us.none' is null (not measured), not a number"},
    };
    struct json_doc *doc = sample_read();
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        double v = -1;
        assert_int_equal(json_number_at(doc, t[i].path, &v, err), -1);
        assert_string_equal(err, t[i].message);
        assert_true(v == -1);
    }
    json_doc_free(doc);
}

static void arrays_must_hold_numbers_and_fit(void **state)
{
    struct json_doc *doc = sample_read();
    double v[3];
    (void)state;
    assert_int_equal(json_numbers_at(doc, "v", v, 3, err), 3);
    assert_true(v[0] == 1 && v[1] == 2.5 && v[2] == 3);
    assert_int_equal(json_numbers_at(doc, "v", v, 2, err), -1);
    assert_string_equal(err, "there is no array 'v' of 1 to 2 numbers");
    assert_int_equal(json_numbers_at(doc, "empty", v, 3, err), -1);
    assert_int_equal(json_numbers_at(doc, "ops", v, 3, err), -1);
    assert_int_equal(json_numbers_at(doc, "none", v, 3, err), -1);
    assert_int_equal(json_numbers_at(doc, "mixed", v, 3, err), -1);
    assert_string_equal(err, "'mixed' is null (not measured), not a number");
    json_doc_free(doc);
}

static void an_array_has_a_length(void **state)
{
    struct json_doc *doc = sample_read();
    (void)state;
    assert_int_equal(json_length_at(doc, "levels"), 2);
    assert_int_equal(json_length_at(doc, "empty"), 0);
    assert_int_equal(json_length_at(doc, "latency_us"), -1);
    assert_int_equal(json_length_at(doc, "nothing"), -1);
    json_doc_free(doc);
}

static void text_in_memory_is_parsed_too(void **state)
{
    static const char text[] = "{\"ops\": 3}{";
    double v;
    struct json_doc *doc = json_doc_parse(text, sizeof text - 2, err);
    (void)state;
    assert_non_null(doc);
    assert_int_equal(json_number_at(doc, "ops", &v, err), 0);
    assert_true(v == 3);
    json_doc_free(doc);
    assert_null(json_doc_parse(text, sizeof text - 1, err));
    assert_string_equal(err, "not JSON: line 1, column 11: end of file expected near '{'");
}

static void text_that_is_not_json_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *message;
    } t[] = {
        {"", "not JSON: line 1, column 0: '[' or '{' expected near end of file"},
        {"5", "not JSON: line 1, column 1: '[' or '{' expected near '5'"},
        {"{\"a\": 1}\nx", "not JSON: line 2, column 1: end of file expected near 'x'"},
        {"{\"a\": 1", "not JSON: line 1, column 7: '}' expected near end of file"},
        {"{\"a\": 1, \"a\": 2}", "not JSON: line 1, column 12: duplicate object key near '\"a\"'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_null(doc_of(t[i].text));
        assert_string_equal(err, t[i].message);
    }
    assert_null(json_doc_read(-1, err));
    assert_string_equal(err, "Bad file descriptor");
    json_doc_free(NULL);
}

static void deep_nesting_is_refused_not_overflown(void **state)
{
    static char text[200001];
    (void)state;
    memset(text, '[', sizeof text - 1);
    assert_null(doc_of(text));
    assert_non_null(strstr(err, "not JSON"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_finds_members_elements_and_keys_with_dots),
        cmocka_unit_test(what_is_no_number_is_told),
        cmocka_unit_test(arrays_must_hold_numbers_and_fit),
        cmocka_unit_test(an_array_has_a_length),
        cmocka_unit_test(text_in_memory_is_parsed_too),
        cmocka_unit_test(text_that_is_not_json_is_refused_with_its_place),
        cmocka_unit_test(deep_nesting_is_refused_not_overflown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
