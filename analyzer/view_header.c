#include <stdarg.h>
#include <string.h>

#include "analyzer/children.h"
#include "analyzer/lock_waiters.h"
#include "analyzer/view.h"
#include "common/units.h"

/* Parts of a line, two blanks apart, broken before TEXT_COLUMNS. */
struct line {
    FILE *out;
    size_t at, indent;
};

__attribute__((format(printf, 2, 3))) static void part(struct line *l, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t n = strlen(text);
    if (l->at > l->indent && l->at + 2 + n > TEXT_COLUMNS) {
        fprintf(l->out, "\n%*s", (int)l->indent, "");
        l->at = l->indent;
    } else if (l->at > l->indent) {
        fputs("  ", l->out);
        l->at += 2;
    }
    fputs(text, l->out);
    l->at += n;
}

static void command_line(const struct view *v)
{
    char text[TEXT_COLUMNS + 1], word[4 * TEXT_COLUMNS];
    size_t n = 0;
    const struct model *m = v->model;
    for (uint32_t i = 0; i < m->argc && n < TEXT_COLUMNS; i++) {
        text_escape(word, sizeof word, i ? m->argv[i] : m->program, sizeof word - 1);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", word);
    }
    if (m->argc == 0)
        n = strlen(text_escape(text, sizeof text, m->program, TEXT_COLUMNS));
    if (n > TEXT_COLUMNS)
        memcpy(text + TEXT_COLUMNS - 3, "...", 3);
    fprintf(v->out, "%s%s%s\n", text_bold(), text, text_plain());
}

const char *view_end_words(const struct model *m)
{
    return m->end == PSHIM_END_RUNNING ? "now"
           : m->end == PSHIM_END_EXIT  ? "at exit"
                                       : "at the end";
}

char *view_end(char to[static TEXT_BUF], const struct model *m)
{
    if (m->end == PSHIM_END_RUNNING)
        snprintf(to, TEXT_BUF, "still running");
    else if (m->end == PSHIM_END_EXIT)
        snprintf(to, TEXT_BUF, "exit %d", m->status);
    else if (m->end == PSHIM_END_EXEC)
        snprintf(to, TEXT_BUF, "ended by exec");
    else if (!m->status_known)
        snprintf(to, TEXT_BUF, "killed");
    else if (sigabbrev_np(m->status))
        snprintf(to, TEXT_BUF, "killed by SIG%s", sigabbrev_np(m->status));
    else
        snprintf(to, TEXT_BUF, "killed by signal %d", m->status);
    return to;
}

char *view_error(char to[static TEXT_BUF], const struct model *m, enum metric metric, int64_t value,
                 const struct estimate_spread *spread)
{
    *to = '\0';
    if (!estimate_is(m, metric))
        return to;
    struct estimate_interval ci =
        estimate_interval(spread, metric, value, m->header->alloc_sample_bytes);
    double half = (ci.high - ci.low) / 2;
    if (value > 0)
        snprintf(to, TEXT_BUF, " +-%.*f%%", half < 0.1 * (double)value ? 1 : 0,
                 100 * half / (double)value);
    return to;
}

static bool lossy(const struct model *m)
{
    for (int i = 0; i < PSHIM_LOSS_COUNT; i++)
        if (m->losses[i])
            return true;
    return false;
}

static void mode_part(struct line *l, const struct model *m)
{
    char buf[UNITS_BUF], alloc[64], cpu[64] = "no CPU ticks";
    const struct pshim_header *h = m->header;
    if (!model_has(m, METRIC_ALLOC_CALLS))
        snprintf(alloc, sizeof alloc, "no allocations");
    else if (h->alloc_mode == PSHIM_ALLOC_EXACT)
        snprintf(alloc, sizeof alloc, "exact");
    else
        snprintf(alloc, sizeof alloc, "allocations 1 in %s",
                 units_size(buf, (double)h->alloc_sample_bytes));
    if (h->cpu_hz)
        snprintf(cpu, sizeof cpu, "%u Hz", h->cpu_hz);
    part(l, "%s + %s, %s", alloc, cpu, lossy(m) ? "with losses" : "nothing lost");
}

static void losses_print(const struct view *v)
{
    char buf[UNITS_BUF], text[2 * TEXT_COLUMNS];
    for (int i = 0; i < PSHIM_LOSS_COUNT; i++) {
        if (!v->model->losses[i])
            continue;
        snprintf(text, sizeof text, "%s %s", units_count(buf, (double)v->model->losses[i]),
                 model_loss_text(i));
        text_wrap(v->out, 0, "LOST    ", text);
    }
}

static void remarks_print(const struct view *v)
{
    char text[4 * TEXT_COLUMNS], children[CHILDREN_NOTE_BYTES], waiters[LOCK_WAITERS_NOTE_BYTES];
    const struct model *m = v->model;
    const char *note, *path, *why;
    if (m->header->alloc_hidden)
        fputs("NOTE    another malloc stands before the profiler's: allocations are not known\n",
              v->out);
    if (*model_off_reason(m->header))
        fprintf(v->out, "NOTE    recording ended early: %s\n", model_off_reason(m->header));
    if (m->sample_count == 0 && !pshim_load(&m->header->recording))
        fputs("NOTE    recording was never started: the program did not call perfshim_start\n",
              v->out);
    for (unsigned i = 0; (note = model_note(m, i)); i++)
        fprintf(v->out, "NOTE    %s\n", text_escape(text, sizeof text, note, TEXT_COLUMNS - 8));
    if (children_note(m, children))
        text_wrap(v->out, 0, "NOTE    ", children);
    if (lock_waiters_note(m, waiters))
        text_wrap(v->out, 0, "NOTE    ", waiters);
    losses_print(v);
    for (unsigned i = 0; frames_problem(v->frames, i, &path, &why); i++)
        fprintf(v->out, "SYMBOLS %s: %s\n", text_escape(text, sizeof text, path, 160), why);
}

void view_header(const struct view *v)
{
    char a[UNITS_BUF], b[UNITS_BUF], end[TEXT_BUF];
    const struct model *m = v->model;
    struct line l = {.out = v->out, .indent = 0};
    command_line(v);
    part(&l, "pid %u", m->header->pid);
    part(&l, "%s", view_end(end, m));
    part(&l, "%s", units_duration(a, (double)m->wall_ns));
    part(&l, "%llu thread%s on %u CPU%s", (unsigned long long)m->thread_count,
         m->thread_count == 1 ? "" : "s", m->header->cpus, m->header->cpus == 1 ? "" : "s");
    if (model_ops(m)) {
        double rate = m->wall_ns ? (double)model_ops(m) / ((double)m->wall_ns / 1e9) : 0;
        part(&l, "%s ops, %s/s", units_count(a, (double)model_ops(m)), units_count(b, rate));
    }
    mode_part(&l, m);
    fputc('\n', v->out);
    remarks_print(v);
    fputc('\n', v->out);
}
