#include "shim/settings.h"

#include <stdbool.h>
#include <string.h>

#include "profile/profile.h"

enum { cpu_hz_default = 199, cpu_hz_max = 10000, max_mb_max = 65536 };

static bool parse_number(const char *s, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;
    if (!*s)
        return false;
    for (; *s >= '0' && *s <= '9'; s++) {
        n = n * 10 + (uint64_t)(*s - '0');
        if (n > max)
            return false;
    }
    *out = n;
    return *s == '\0';
}

/* A count of bytes with an optional K, M or G. */
static bool parse_bytes(const char *s, uint64_t *out)
{
    char digits[20];
    size_t n = strspn(s, "0123456789");
    unsigned shift = 0;
    if (n == 0 || n >= sizeof digits)
        return false;
    if (s[n]) {
        const char *unit = strchr("KMG", s[n]);
        if (!unit || s[n + 1])
            return false;
        shift = 10 * (unsigned)(*unit == 'K' ? 1 : *unit == 'M' ? 2 : 3);
    }
    memcpy(digits, s, n);
    digits[n] = '\0';
    if (!parse_number(digits, UINT64_MAX >> 40, out) || *out == 0)
        return false;
    *out <<= shift;
    return true;
}

static bool set_out(struct settings *s, const char *v)
{
    s->out = *v ? v : NULL;
    return true;
}

static bool set_alloc(struct settings *s, const char *v)
{
    enum { sample_bytes_max = 1 << 30 };
    uint64_t bytes = 0;
    if (strcmp(v, "exact") == 0)
        s->alloc_mode = PSHIM_ALLOC_EXACT;
    else if (strcmp(v, "off") == 0)
        s->alloc_mode = PSHIM_ALLOC_OFF;
    else if (parse_bytes(v, &bytes) && bytes <= sample_bytes_max)
        s->alloc_mode = PSHIM_ALLOC_SAMPLED;
    else
        return false;
    s->alloc_sample_bytes = bytes;
    return true;
}

static bool set_alloc_seed(struct settings *s, const char *v)
{
    return parse_number(v, UINT64_MAX >> 8, &s->alloc_seed);
}

static bool set_cpu_hz(struct settings *s, const char *v)
{
    uint64_t n;
    if (!parse_number(v, cpu_hz_max, &n))
        return false;
    s->cpu_hz = (uint32_t)n;
    return true;
}

static bool set_unwind(struct settings *s, const char *v)
{
    if (strcmp(v, "cfi") == 0)
        s->unwind_mode = PSHIM_UNWIND_CFI;
    else if (strcmp(v, "fp") == 0)
        s->unwind_mode = PSHIM_UNWIND_FP;
    else if (strcmp(v, "libunwind") == 0)
        s->unwind_mode = PSHIM_UNWIND_LIBUNWIND;
    else
        return false;
    return true;
}

static bool set_start(struct settings *s, const char *v)
{
    s->start = strcmp(v, "0") != 0;
    return strcmp(v, "0") == 0 || strcmp(v, "1") == 0;
}

static bool set_max_mb(struct settings *s, const char *v)
{
    uint64_t n;
    if (!parse_number(v, max_mb_max, &n) || n == 0)
        return false;
    s->max_bytes = n << 20;
    return true;
}

static bool set_locks(struct settings *s, const char *v)
{
    static const char *const words[] = {"off", "on", "wait", NULL};
    static const uint8_t modes[] = {PSHIM_OFF, PSHIM_ON, PSHIM_WAIT};
    for (unsigned i = 0; words[i]; i++)
        if (strcmp(v, words[i]) == 0) {
            s->locks_mode = modes[i];
            return true;
        }
    return false;
}

static bool set_io(struct settings *s, const char *v)
{
    bool on = strcmp(v, "on") == 0;
    if (!on && strcmp(v, "off") != 0)
        return false;
    s->io_mode = on ? PSHIM_ON : PSHIM_OFF;
    return true;
}

static bool set_follow(struct settings *s, const char *v)
{
    if (v[0] < '0' || v[0] > '2' || v[1])
        return false;
    s->follow = (uint32_t)(v[0] - '0');
    return true;
}

static const struct {
    const char *name;
    bool (*set)(struct settings *, const char *value);
} variables[] = {
    {"PERFSHIM_OUT", set_out},
    {"PERFSHIM_ALLOC", set_alloc},
    {"PERFSHIM_CPU_HZ", set_cpu_hz},
    {"PERFSHIM_UNWIND", set_unwind},
    {"PERFSHIM_START", set_start},
    {"PERFSHIM_MAX_MB", set_max_mb},
    {"PERFSHIM_ALLOC_SEED", set_alloc_seed},
    {"PERFSHIM_LOCKS", set_locks},
    {"PERFSHIM_IO", set_io},
    {"PERFSHIM_FOLLOW", set_follow},
};

void settings_read(char *const *envp, struct settings *out)
{
    *out = (struct settings){
        .alloc_mode = PSHIM_ALLOC_EXACT,
        .cpu_hz = cpu_hz_default,
        .locks_mode = PSHIM_ON,
        .io_mode = PSHIM_ON,
        .start = 1,
        .max_bytes = (uint64_t)profile_mb_default << 20,
    };
    for (; *envp; envp++) {
        for (unsigned i = 0; i < sizeof variables / sizeof variables[0]; i++) {
            size_t n = strlen(variables[i].name);
            if (strncmp(*envp, variables[i].name, n) != 0 || (*envp)[n] != '=')
                continue;
            if (!variables[i].set(out, *envp + n + 1) && out->bad_count < settings_bad_max)
                out->bad[out->bad_count++] = *envp;
        }
    }
}

struct text {
    char *at;
    size_t left;
};

static void text_add(struct text *t, const char *s, size_t n)
{
    if (n >= t->left) {
        t->left = 0;
        return;
    }
    memcpy(t->at, s, n);
    t->at += n;
    t->left -= n;
}

static void text_add_number(struct text *t, uint64_t n)
{
    char digits[20];
    unsigned i = sizeof digits;
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    text_add(t, digits + i, sizeof digits - i);
}

int settings_path(const char *out, const char *program, uint32_t pid, unsigned attempt, char *buf,
                  size_t size)
{
    static const char suffix[] = ".pshim";
    struct text t = {buf, size};
    size_t n = out ? strlen(out) : 0;
    bool named = n && out[n - 1] != '/';
    bool has_suffix =
        named && n >= sizeof suffix - 1 && strcmp(out + n - (sizeof suffix - 1), suffix) == 0;
    size_t stem = has_suffix ? n - (sizeof suffix - 1) : n;
    for (size_t i = 0; i < stem; i++) {
        if (out[i] == '%' && i + 1 < stem && out[i + 1] == 'p') {
            text_add_number(&t, pid);
            i++;
        } else {
            text_add(&t, out + i, 1);
        }
    }
    if (!named) {
        text_add(&t, "perfshim-", 9);
        text_add(&t, program, strlen(program));
        text_add(&t, "-", 1);
        text_add_number(&t, pid);
    }
    if (attempt) {
        text_add(&t, "-", 1);
        text_add_number(&t, attempt + 1);
    }
    if (!named || has_suffix)
        text_add(&t, suffix, sizeof suffix - 1);
    if (t.left == 0)
        return -1;
    *t.at = '\0';
    return 0;
}
