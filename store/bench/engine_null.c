/* The engine that does nothing: what is measured with it is the load generator itself. */
#include "store/bench/engine_dummy.h"

static struct dummy_parameters parameters;

static const struct opt options[] = {DUMMY_OPTIONS(parameters), OPT_END};

static void reset(void)
{
    parameters = (struct dummy_parameters)DUMMY_DEFAULTS;
}

static int open_null(const struct engine_setup *setup, void **self, struct engine_trouble *trouble)
{
    *self = dummy_new(setup, &parameters, trouble);
    return *self ? ENGINE_OK : ENGINE_NO_MEMORY;
}

static int close_null(void *self, struct engine_statistics *last, struct engine_trouble *trouble)
{
    (void)trouble;
    dummy_statistics(self, last);
    dummy_free(self);
    return ENGINE_OK;
}

const struct engine engine_null = {
    .name = "null",
    .title = "the null engine",
    .differs = "keeps nothing: what is measured is the load generator",
    .features = ENGINE_EMPTY,
    .parameters = options,
    .parameters_reset = reset,
    .open = open_null,
    .close = close_null,
    .thread_open = dummy_thread_open,
    .thread_close = dummy_thread_close,
    .get = dummy_get,
    .release = dummy_release,
    .put = dummy_put,
    .scan = dummy_scan,
    .statistics = dummy_statistics,
};
