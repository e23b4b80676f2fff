#include "analyzer/plan.h"

#include <math.h>

#include "analyzer/json_write.h"

static void latency_put(struct json *j, const char *key, const double ns[])
{
    json_begin(j, key, '{');
    for (unsigned k = 0; k < PLAN_LATENCY_COUNT; k++)
        json_put_number(j, plan_latency_name(k), ns[k] / 1e3);
    json_end(j);
}

static void slo_put(struct json *j, const struct plan *p)
{
    json_begin(j, "slo", '[');
    for (int i = 0; i < p->slo_count; i++) {
        json_begin(j, NULL, '{');
        json_put_string(j, "text", p->slo[i].text);
        json_put_string(j, "name", plan_latency_name(p->slo[i].latency));
        json_put_number(j, "limit_us", p->slo[i].limit_ns / 1e3);
        json_end(j);
    }
    json_end(j);
}

/* {level, throughput} of a measured level, or null. */
static void level_put(struct json *j, const char *key, const struct plan *p, long at)
{
    if (at < 0) {
        json_put_null(j, key);
        return;
    }
    json_begin(j, key, '{');
    json_put_number(j, "level", p->sweep.levels[at].level);
    json_put_number(j, "throughput", p->sweep.levels[at].throughput);
    json_end(j);
}

/* The same of a level that the fit tells. */
static void fitted_put(struct json *j, const char *key, const struct plan *p, double level)
{
    if (isnan(level)) {
        json_put_null(j, key);
        return;
    }
    json_begin(j, key, '{');
    json_put_number(j, "level", level);
    json_put_number(j, "throughput", usl_throughput(&p->fit, level));
    json_end(j);
}

static void sweep_put(struct json *j, const struct plan *p)
{
    json_begin(j, "levels", '[');
    for (size_t i = 0; i < p->sweep.count; i++) {
        const struct plan_level *l = &p->sweep.levels[i];
        json_begin(j, NULL, '{');
        json_put_number(j, "level", l->level);
        json_put_number(j, "throughput", l->throughput);
        json_put_number(j, "fitted", usl_throughput(&p->fit, l->level));
        latency_put(j, "latency_us", l->latency_ns);
        json_put_number(j, "errors", l->errors);
        json_put_int(j, "repeats", (int64_t)l->repeats);
        json_end(j);
    }
    json_end(j);
    level_put(j, "measured_max", p, p->highest);
    json_begin(j, "usl", '{');
    json_put_number(j, "alpha", p->fit.alpha);
    json_put_number(j, "beta", p->fit.beta);
    json_put_number(j, "gamma", p->fit.gamma);
    json_put_number(j, "r_squared", p->fit.r_squared);
    fitted_put(j, "knee", p, p->knee);
    fitted_put(j, "peak", p, p->peak);
    json_put_number(j, "predicted_max", p->limit);
    json_put_number(j, "reach", p->reach);
    json_end(j);
    json_begin(j, "binds", '{');
    json_put_string(j, "what", plan_binds_name(p->binds));
    json_put_number(j, "level", p->binds_level);
    json_put_number(j, "contention", p->contention);
    json_put_number(j, "coherency", p->coherency);
    json_end(j);
    level_put(j, "slo_last_met", p, p->slo_count ? p->slo_last : -1);
    level_put(j, "slo_first_broken", p, p->slo_broken);
    level_put(j, "capacity", p, p->capacity);
    if (!isnan(p->target)) {
        double there = p->capacity >= 0 ? p->sweep.levels[p->capacity].throughput : 0;
        json_begin(j, "headroom", '{');
        json_put_number(j, "throughput", there - p->provisioned);
        json_put_number(j, "share", there / p->provisioned - 1);
        json_end(j);
        json_put_number(j, "needed_level", p->needed_level);
        json_put_number(j, "instances", p->instances);
        json_put_string(j, "answer", plan_answer_name(p->answer));
    }
    if (!isnan(p->at)) {
        json_begin(j, "at", '{');
        json_put_number(j, "level", p->at);
        json_put_number(j, "throughput", p->at_throughput);
        json_end(j);
    }
}

void plan_json(FILE *out, const struct plan *p)
{
    struct json j = {.out = out};

    json_begin(&j, NULL, '{');
    json_put_string(&j, "schema", PLAN_SCHEMA);
    json_put_string(&j, "perfshim_version", PERFSHIM_VERSION);
    json_put_number(&j, "target", p->target);
    json_put_number(&j, "util", p->util);
    json_put_number(&j, "provisioned", p->provisioned);
    slo_put(&j, p);
    json_put_string(&j, "from", p->from);
    if (p->from)
        sweep_put(&j, p);
    if (p->servers) {
        json_begin(&j, "queue", '{');
        json_put_int(&j, "servers", (int64_t)p->servers);
        json_put_number(&j, "servers_needed", p->servers_needed);
        json_put_number(&j, "service_us", p->service_ns / 1e3);
        json_put_number(&j, "throughput", p->queue_rate);
        latency_put(&j, "latency_us", p->queue_ns);
        json_end(&j);
    }
    json_put_bool(&j, "slo_met", !plan_slo_says_no(p));
    json_end(&j);
}
