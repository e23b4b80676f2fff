#include <math.h>
#include <string.h>

#include "analyzer/findings.h"
#include "analyzer/view.h"
#include "common/units.h"

enum { shown_most = 5, not_worth_shown = 3, indent = 4, few_ticks = 400 };

static char *gain_text(double gain, char to[static TEXT_BUF])
{
    if (gain < 100)
        snprintf(to, TEXT_BUF, "max %.2fx", gain);
    else
        strcpy(to, "max >100x");
    return to;
}

static void row_put(struct table *t, const struct view *v, const struct finding *item,
                    struct text_scale scale)
{
    char text[TEXT_BUF], where[FINDINGS_WHERE_BYTES];
    table_cell(t, "%u", item->rank);
    table_cell(t, "%s", item->title);
    if (item->kind == FINDING_RSS_OVER_LIVE) {
        char size[UNITS_BUF];
        table_cell(t, "%s", units_size(size, (double)item->over_bytes));
        table_cell(t, "%s", text_percent(text, item->peak_share, 1));
        table_cell(t, "of peak RSS");
        table_cell(t, "%s", "");
        return;
    }
    if (item->kind == FINDING_OVERSUBSCRIPTION) {
        table_cell(t, "%s", text_scaled(text, scale, (double)item->ready_ns));
        table_cell(t, "%s", text_percent(text, item->ready_share, 1));
        table_cell(t, "of all time");
        table_cell(t, "%s", "");
        return;
    }
    bool has_cost = item->kind != FINDING_OVERRUN;
    table_cell(t, "%s", has_cost ? text_scaled(text, scale, (double)item->cost_ns) : "");
    table_cell(t, "%s", has_cost ? text_percent(text, item->share, 1) : "");
    table_cell(t, "%s", has_cost ? gain_text(item->max_gain, text) : "");
    table_cell(t, "%s", findings_where(item, v->frames, where));
}

/* Evidence and advice: on one line if they are short. */
static void words_print(const struct view *v, const struct finding *item)
{
    char text[FINDING_EVIDENCE_MOST * (FINDING_TEXT_BYTES + 2)] = "", escaped[4 * sizeof text];
    char advice[FINDINGS_ADVICE_BYTES];
    size_t n = 0;
    for (unsigned i = 0; i < item->evidence_count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? "; " : "", item->evidence[i]);
    n = strlen(text_escape(escaped, sizeof escaped, text, sizeof escaped - 1));
    findings_advice(item, advice);
    if (indent + n + strlen(" -> ") + strlen(advice) <= TEXT_COLUMNS) {
        fprintf(v->out, "%*s%s%s-> %s\n", indent, "", escaped, n ? " " : "", advice);
        return;
    }
    text_wrap(v->out, indent, "", escaped);
    text_wrap(v->out, indent, "-> ", advice);
}

static void items_print(const struct view *v, const struct findings *findings, size_t shown)
{
    struct table t = {0};
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_LEFT);
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_RIGHT);
    table_column(&t, NULL, TABLE_NAME);
    int64_t most = 0;
    for (size_t i = 0; i < shown; i++)
        most = findings->items[i].cost_ns > most ? findings->items[i].cost_ns : most;
    struct text_scale scale = text_scale_for((double)most);
    for (size_t i = 0; i < shown; i++)
        row_put(&t, v, &findings->items[i], scale);
    for (size_t i = 0; i < shown; i++) {
        table_print_row(&t, v->out, i);
        words_print(v, &findings->items[i]);
    }
    table_release(&t);
}

static void not_worth_print(const struct view *v, const struct findings *findings)
{
    char line[TEXT_COLUMNS + 1] = "", piece[160], gain[TEXT_BUF], share[TEXT_BUF], name[64];
    size_t n = (size_t)snprintf(line, sizeof line, " - not worth it:"), shown = 0;
    for (size_t i = findings->worth; i < findings->count && shown < not_worth_shown; i++) {
        const struct finding *item = &findings->items[i];
        text_short_name(name, sizeof name, item->evidence[0], 40);
        int bytes = snprintf(piece, sizeof piece, "%s %s %s (%s)", shown ? "," : "", name,
                             text_percent(share, item->share, 1), gain_text(item->max_gain, gain));
        if (n + (size_t)bytes >= sizeof line)
            break;
        memcpy(line + n, piece, (size_t)bytes + 1);
        n += (size_t)bytes;
        shown++;
    }
    if (shown)
        fprintf(v->out, "%s\n", line);
}

void view_findings(const struct view *v)
{
    struct findings findings;
    findings_build(&findings, v->model, v->frames);
    size_t shown = v->all || findings.worth < shown_most ? findings.worth : shown_most;
    const char *none = shown ? "of the cost none" : "none";
    if (findings.state == FINDINGS_NO_TIME) {
        fprintf(v->out,
                "FINDINGS  %s: without CPU ticks (--cpu-hz=0) it is not known what costs time\n",
                none);
    } else if (findings.state == FINDINGS_FEW_TICKS) {
        fprintf(v->out, "FINDINGS  %s: %.0f CPU tick%s too little, %d are the least\n", none,
                findings.ticks, round(findings.ticks) == 1 ? " says" : "s say",
                FINDING_RUN_TICKS_LEAST);
    } else if (!shown) {
        fputs("FINDINGS  none: nothing stands out\n", v->out);
    } else {
        fputs("FINDINGS  share of the cost; max = 1/(1 - share): how many times less it gets at "
              "most\n",
              v->out);
    }
    if (shown)
        items_print(v, &findings, shown);
    if (shown < findings.worth)
        fprintf(v->out, " %zu more findings: --all\n", findings.worth - shown);
    not_worth_print(v, &findings);
    if (findings.state == FINDINGS_MADE && findings.ticks < few_ticks && findings.scatter >= 0.005)
        fprintf(v->out, " few CPU ticks (%.0f): shares may be off by %.0f point%s\n",
                findings.ticks, 100 * findings.scatter,
                round(100 * findings.scatter) == 1 ? "" : "s");
    fputc('\n', v->out);
    findings_release(&findings);
}
