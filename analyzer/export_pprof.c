#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <profile.pb-c.h>
#include <uthash.h>
#include <zlib.h>

#include "analyzer/export.h"
#include "analyzer/memory.h"

struct text {
    int64_t index;
    UT_hash_handle hh;
    char bytes[];
};

/* The frames of one address that are shown, innermost first: all, or what --hide left of them. */
struct place_key {
    const struct frame *first;
    uint64_t count;
};
struct place {
    struct place_key key;
    uint64_t id;
    UT_hash_handle hh;
};

struct writer {
    ProtobufCBuffer buffer; /* first: append() gets this */
    gzFile gz;
    int error; /* errno of the first failure */
    const struct export *export;
    struct text *texts;
    struct place *places;
    bool *function_written;
    size_t functions_room;
    bool *module_used;
};

static void append(ProtobufCBuffer *buffer, size_t bytes, const uint8_t *data)
{
    struct writer *w = (struct writer *)buffer;
    if (!w->error && bytes && gzwrite(w->gz, data, (unsigned)bytes) == 0)
        w->error = errno ? errno : EIO;
}

/* A profile's parts may come in any order and number: each is a message with one record. */
static void part_write(struct writer *w, const Pprof__Profile *part)
{
    protobuf_c_message_pack_to_buffer(&part->base, &w->buffer);
}

/* Bytes of the UTF-8 character that s begins with, by RFC 3629; 0 = it is none. */
static unsigned utf8_bytes(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    unsigned n = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    for (unsigned i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

/* Readers refuse a whole profile for one string that is not UTF-8: other bytes become U+FFFD. */
static void utf8_copy(char *to, const char *from)
{
    for (const unsigned char *s = (const unsigned char *)from; *s;) {
        unsigned n = utf8_bytes(s);
        memcpy(to, n ? (const char *)s : "\xef\xbf\xbd", n ? n : 3);
        to += n ? n : 3;
        s += n ? n : 1;
    }
    *to = '\0';
}

/* The index of a string, which is written at its first use. */
static int64_t text_index(struct writer *w, const char *s)
{
    char *clean = memory_new(3 * strlen(s ? s : "") + 1, 1);
    utf8_copy(clean, s ? s : "");
    size_t n = strlen(clean);
    struct text *t;
    HASH_FIND(hh, w->texts, clean, n, t);
    if (!t) {
        t = memory_new(1, sizeof *t + n + 1);
        t->index = (int64_t)HASH_COUNT(w->texts);
        memcpy(t->bytes, clean, n);
        HASH_ADD(hh, w->texts, bytes[0], n, t);
        Pprof__Profile part = PPROF__PROFILE__INIT;
        part.n_string_table = 1;
        part.string_table = &clean;
        part_write(w, &part);
    }
    free(clean);
    return t->index;
}

static uint64_t function_id(struct writer *w, uint32_t index)
{
    while (index >= w->functions_room) {
        size_t before = w->functions_room;
        memory_grow((void **)&w->function_written, &w->functions_room, before, sizeof(bool));
        memset(w->function_written + before, 0, w->functions_room - before);
    }
    uint64_t id = (uint64_t)index + 1;
    if (w->function_written[index])
        return id;
    w->function_written[index] = true;
    const struct function *fn = frames_function(w->export->frames, index);
    Pprof__Function function = PPROF__FUNCTION__INIT, *list = &function;
    function.id = id;
    function.name = function.system_name = text_index(w, fn->name);
    function.filename = text_index(w, fn->file);
    function.start_line = fn->line;
    Pprof__Profile part = PPROF__PROFILE__INIT;
    part.n_function = 1;
    part.function = &list;
    part_write(w, &part);
    return id;
}

/* A line belongs to its function's file there: code from elsewhere (an #include) has none. */
static int64_t line_of(const struct writer *w, const struct frame *frame)
{
    const char *file = frames_function(w->export->frames, frame->function)->file;
    bool same = !file || !frame->file || strcmp(file, frame->file) == 0;
    return same ? frame->line : 0;
}

static void location_write(struct writer *w, const struct place *p)
{
    const struct frame *first = p->key.first;
    size_t count = (size_t)p->key.count;
    Pprof__Line *lines = memory_new(count, sizeof *lines);
    Pprof__Line **list = memory_new(count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = &lines[i];
        pprof__line__init(&lines[i]);
        lines[i].function_id = function_id(w, first[i].function);
        lines[i].line = line_of(w, &first[i]);
    }
    Pprof__Location location = PPROF__LOCATION__INIT, *locations = &location;
    location.id = p->id;
    location.address = first->offset;
    const struct pshim_module *module =
        first->module ? reader_module(w->export->model->reader, first->module) : NULL;
    if (module) {
        w->module_used[first->module] = true;
        location.mapping_id = first->module;
        location.address += module->bias;
    }
    location.n_line = count;
    location.line = list;
    Pprof__Profile part = PPROF__PROFILE__INIT;
    part.n_location = 1;
    part.location = &locations;
    part_write(w, &part);
    free(list);
    free(lines);
}

static uint64_t location_id(struct writer *w, const struct frame *first, unsigned count)
{
    struct place_key key = {first, count};
    struct place *p;
    HASH_FIND(hh, w->places, &key, sizeof key, p);
    if (!p) {
        p = memory_new(1, sizeof *p);
        p->key = key;
        p->id = (uint64_t)HASH_COUNT(w->places) + 1;
        HASH_ADD(hh, w->places, key, sizeof key, p);
        location_write(w, p);
    }
    return p->id;
}

static void sample_write(struct writer *w, const struct frame *const *stack, unsigned depth,
                         int64_t *values)
{
    uint64_t ids[FRAMES_STACK_MAX];
    Pprof__Sample sample = PPROF__SAMPLE__INIT, *list = &sample;
    for (unsigned i = 0, count; i < depth; i += count) {
        count = 1;
        while (i + count < depth && stack[i + count - 1]->inlined &&
               stack[i + count] == stack[i + count - 1] + 1)
            count++;
        ids[sample.n_location_id++] = location_id(w, stack[i], count);
    }
    sample.location_id = ids;
    sample.n_value = w->export->kind->column_count;
    sample.value = values;
    Pprof__Profile part = PPROF__PROFILE__INIT;
    part.n_sample = 1;
    part.sample = &list;
    part_write(w, &part);
}

static void samples_write(struct writer *w)
{
    const struct model *m = w->export->model;
    const struct frame *stack[FRAMES_STACK_MAX];
    int64_t values[EXPORT_COLUMNS_MAX];
    for (size_t i = 0; i < m->sample_count && !w->error; i++) {
        unsigned depth = export_sample(w->export, &m->samples[i], stack, values);
        if (depth)
            sample_write(w, stack, depth, values);
    }
}

static Pprof__ValueType value_type(struct writer *w, const struct export_column *column)
{
    Pprof__ValueType v = PPROF__VALUE_TYPE__INIT;
    v.type = text_index(w, column->type);
    v.unit = text_index(w, column->unit);
    return v;
}

static int64_t period_of(const struct export *e)
{
    const struct pshim_header *h = e->model->header;
    if (e->kind->period.metric == METRIC_CPU_NS)
        return (int64_t)h->tick_period_ns;
    return h->alloc_mode == PSHIM_ALLOC_SAMPLED ? (int64_t)h->alloc_sample_bytes : 1;
}

static void comment_write(struct writer *w, const char *text)
{
    int64_t comment = text_index(w, text);
    Pprof__Profile part = PPROF__PROFILE__INIT;
    part.n_comment = 1;
    part.comment = &comment;
    part_write(w, &part);
}

/* What a reader of the numbers must know: whose they are, and what is not in them. */
static void comments_write(struct writer *w)
{
    const struct model *m = w->export->model;
    size_t bytes = 1;
    for (uint32_t i = 0; i < m->argc; i++)
        bytes += strlen(m->argv[i]) + 1;
    char *line = memory_new(bytes, 1), *end = line;
    for (uint32_t i = 0; i < m->argc; i++)
        end += sprintf(end, "%s%s", i ? " " : "", m->argv[i]);
    comment_write(w, *line ? line : m->exe);
    free(line);
    comment_write(w, "perfshim " PERFSHIM_VERSION);
    char text[200];
    if (m->totals.v[METRIC_PROFILER_NS] > 0) {
        snprintf(text, sizeof text, "%lld ns of CPU time inside perfshim are left out",
                 (long long)m->totals.v[METRIC_PROFILER_NS]);
        comment_write(w, text);
    }
    for (int i = 0; i < PSHIM_LOSS_COUNT; i++)
        if (m->losses[i]) {
            snprintf(text, sizeof text, "loss: %llu %s", (unsigned long long)m->losses[i],
                     model_loss_text(i));
            comment_write(w, text);
        }
}

static void head_write(struct writer *w)
{
    const struct export_kind *kind = w->export->kind;
    const struct model *m = w->export->model;
    Pprof__ValueType types[EXPORT_COLUMNS_MAX], *list[EXPORT_COLUMNS_MAX];
    Pprof__Profile part = PPROF__PROFILE__INIT;
    text_index(w, ""); /* must be the first string */
    for (unsigned c = 0; c < kind->column_count; c++) {
        types[c] = value_type(w, &kind->columns[c]);
        list[c] = &types[c];
    }
    Pprof__ValueType period = value_type(w, &kind->period);
    part.n_sample_type = kind->column_count;
    part.sample_type = list;
    part.period_type = &period;
    part.period = period_of(w->export);
    part.time_nanos = (int64_t)m->header->start_realtime_ns;
    part.duration_nanos = m->wall_ns;
    part.default_sample_type = text_index(w, kind->columns[kind->main].type);
    part_write(w, &part);
    comments_write(w);
}

/* Could this module's code be named? If not, a reader with the right file may try. */
static bool is_named(const struct writer *w, const char *path)
{
    const char *problem_path, *why;
    for (unsigned i = 0; frames_problem(w->export->frames, i, &problem_path, &why); i++)
        if (strcmp(problem_path, path) == 0)
            return false;
    return true;
}

static void mapping_write(struct writer *w, uint32_t index, const struct pshim_module *module)
{
    const char *path = profile_string(&w->export->model->reader->profile, module->path);
    char id[2 * PSHIM_BUILD_ID_MAX + 1] = "";
    for (uint32_t i = 0; i < module->build_id_bytes && i < PSHIM_BUILD_ID_MAX; i++)
        sprintf(id + 2 * i, "%02x", module->build_id[i]);
    Pprof__Mapping mapping = PPROF__MAPPING__INIT, *list = &mapping;
    mapping.id = index;
    mapping.memory_start = module->start;
    mapping.memory_limit = module->end;
    mapping.filename = text_index(w, module->flags & PSHIM_MODULE_VDSO ? "[vdso]" : path);
    mapping.build_id = text_index(w, id);
    mapping.has_functions = mapping.has_filenames = mapping.has_line_numbers =
        mapping.has_inline_frames = is_named(w, path);
    Pprof__Profile part = PPROF__PROFILE__INIT;
    part.n_mapping = 1;
    part.mapping = &list;
    part_write(w, &part);
}

/* The program itself, then what else has code in the stacks. After the samples: what could not be
   named is known then. */
static void mappings_write(struct writer *w)
{
    struct reader *r = w->export->model->reader;
    uint32_t count = reader_count(r, PSHIM_REGION_MODULE), program = 0;
    for (uint32_t i = 2; i < count && !program; i++) {
        const struct pshim_module *module = reader_module(r, i);
        if (module && (module->flags & PSHIM_MODULE_EXE))
            program = i;
    }
    if (program)
        mapping_write(w, program, reader_module(r, program));
    for (uint32_t i = 2; i < count; i++)
        if (i != program && w->module_used[i])
            mapping_write(w, i, reader_module(r, i));
}

static void writer_release(struct writer *w)
{
    struct text *t, *t_next;
    HASH_ITER(hh, w->texts, t, t_next)
    {
        HASH_DEL(w->texts, t);
        free(t);
    }
    struct place *p, *p_next;
    HASH_ITER(hh, w->places, p, p_next)
    {
        HASH_DEL(w->places, p);
        free(p);
    }
    free(w->function_written);
    free(w->module_used);
}

int export_pprof(int fd, const struct export *e)
{
    struct writer w = {.buffer = {.append = append}, .export = e};
    int own = dup(fd); /* gzclose() closes it */
    w.gz = own < 0 ? NULL : gzdopen(own, "wb");
    if (!w.gz) {
        w.error = own < 0 ? errno : ENOMEM;
        if (own >= 0)
            close(own);
        errno = w.error;
        return -1;
    }
    w.module_used =
        memory_new(reader_count(e->model->reader, PSHIM_REGION_MODULE), sizeof *w.module_used);
    head_write(&w);
    samples_write(&w);
    mappings_write(&w);
    writer_release(&w);
    errno = 0;
    if (gzclose(w.gz) != Z_OK && !w.error)
        w.error = errno ? errno : EIO;
    errno = w.error;
    return w.error ? -1 : 0;
}
