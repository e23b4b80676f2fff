#include "analyzer/io_json.h"

#include "analyzer/call_site.h"
#include "analyzer/model_waits.h"
#include "analyzer/report_json.h"

static void counts_put(struct json *j, const struct model_wait_counts *c)
{
    json_put_int(j, "calls", c->calls);
    json_put_int(j, "bytes", c->bytes);
    json_put_int(j, "time_ns", c->time_ns);
    json_put_int(j, "max_ns", c->time_max_ns);
    json_put_int(j, "errors", c->errors);
}

static void site_put(struct json *j, struct frames *f, const struct call_site *s)
{
    json_put_string(j, "call", model_call_name(s->call));
    json_put_frame(j, "site", f, s->place);
    counts_put(j, &s->counts);
}

static void sites_put(struct json *j, const char *key, const struct model *m, struct frames *f,
                      enum pshim_wait waits)
{
    struct call_sites sites = {0};
    if (!model_has(m, METRIC_IO_WAIT_NS)) {
        json_put_null(j, key);
        return;
    }
    call_sites_build(&sites, m, f, waits);
    json_begin(j, key, '[');
    for (size_t i = 0; i < sites.count; i++) {
        const struct call_site *s = &sites.items[i];
        json_begin(j, NULL, '{');
        site_put(j, f, s);
        if (model_has(m, METRIC_LOCK_HOLD_NS)) {
            json_put_int(j, "held_calls", s->held.calls);
            json_put_int(j, "held_ns", s->held.time_ns);
        } else {
            json_put_null(j, "held_calls");
            json_put_null(j, "held_ns");
        }
        json_end(j);
    }
    json_end(j);
    call_sites_release(&sites);
}

void io_json_put(struct json *j, const struct model *m, struct frames *f)
{
    sites_put(j, "io", m, f, PSHIM_WAIT_IO);
    sites_put(j, "idle", m, f, PSHIM_WAIT_IDLE);
}

void io_json_put_held(struct json *j, const char *key, const struct model *m, struct frames *f,
                      size_t lock)
{
    struct call_sites sites = {0};
    if (!model_has(m, METRIC_IO_WAIT_NS) || !model_has(m, METRIC_LOCK_HOLD_NS)) {
        json_put_null(j, key);
        return;
    }
    call_sites_of_lock(&sites, m, f, lock);
    call_sites_sort(&sites);
    json_begin(j, key, '[');
    for (size_t i = 0; i < sites.count; i++) {
        json_begin(j, NULL, '{');
        site_put(j, f, &sites.items[i]);
        json_end(j);
    }
    json_end(j);
    call_sites_release(&sites);
}
