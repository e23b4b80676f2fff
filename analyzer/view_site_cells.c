#include <string.h>

#include "analyzer/view_sites.h"
#include "common/units.h"

enum { name_columns = 36 };

bool sites_absent(const struct view *v, enum metric metric)
{
    const struct pshim_header *h = v->model->header;
    if (model_has(v->model, metric))
        return false;
    if (!model_has(v->model, METRIC_ALLOC_CALLS))
        fprintf(v->out, "Allocations were not measured%s.\n",
                h->alloc_mode == PSHIM_ALLOC_OFF ? " (--alloc=off)" : "");
    else if (h->alloc_mode == PSHIM_ALLOC_SAMPLED)
        fputs("Not known: allocations were sampled, which does not follow each block. The default, "
              "--alloc=exact,\ndoes.\n",
              v->out);
    else
        fputs("Not known: the profile is of an earlier version, which did not record this.\n",
              v->out);
    return true;
}

size_t sites_place_text(const struct view *v, const struct frame *frame, char *to, size_t size,
                        size_t name_width)
{
    char name[128], place[160], escaped[64];
    text_short_name(name, sizeof name, frames_function(v->frames, frame->function)->name,
                    name_width);
    frames_place(v->frames, frame, place, sizeof place);
    text_escape(escaped, sizeof escaped, place, 40);
    int n = snprintf(to, size, "%s%s%s", name, *escaped ? " " : "", escaped);
    return (size_t)n < size ? (size_t)n : size - 1;
}

void sites_place_cells(struct table *t, const struct view *v, const struct site *site)
{
    char name[128], place[160], escaped[64];
    const struct function *fn = frames_function(v->frames, site->frame->function);
    table_cell(t, "%s", text_short_name(name, sizeof name, fn->name, name_columns));
    frames_place(v->frames, site->frame, place, sizeof place);
    table_cell(t, "%s", text_escape(escaped, sizeof escaped, place, 40));
}

void sites_via_cell(struct table *t, const struct view *v, const struct site *site)
{
    char text[128] = "";
    if (site->via)
        text_short_name(text, sizeof text, frames_function(v->frames, site->via->function)->name,
                        30);
    table_cell(t, "%s", text);
}

bool sites_have_via(const struct view *v, const struct sites *s, size_t count)
{
    for (size_t i = 0; i < count && sites_shown(v, i); i++)
        if (s->sites[i].via)
            return true;
    return false;
}

void sites_more_line(const struct view *v, size_t count)
{
    if (!v->all && count > v->limit)
        fprintf(v->out, " %zu more site%s: --all\n", count - v->limit,
                count - v->limit == 1 ? "" : "s");
}

void sites_dash_cell(struct table *t, int64_t n, const char *text)
{
    table_cell(t, "%s", n ? text : "-");
}

void sites_error_cell(struct table *t, const struct view *v, enum metric metric,
                      const struct site *site)
{
    char text[TEXT_BUF];
    view_error(text, v->model, metric, site->m.v[metric], &site->spread);
    table_cell(t, "%s", *text ? text + strlen(" +-") : "");
}
