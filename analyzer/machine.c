#include "analyzer/machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static void cpu_read(char cpu[static MACHINE_TEXT])
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");

    snprintf(cpu, MACHINE_TEXT, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(cpu, MACHINE_TEXT, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    if (f)
        fclose(f);
}

void machine_read(struct machine *m)
{
    cpu_set_t set;
    struct utsname name;

    cpu_read(m->cpu);
    m->cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 0;
    snprintf(m->kernel, MACHINE_TEXT, "%s", uname(&name) == 0 ? name.release : "unknown");
}

void machine_write(struct json *j, const struct machine *m)
{
    json_begin(j, "machine", '{');
    json_put_string(j, "cpu", m->cpu);
    json_put_int(j, "cpus", m->cpus);
    json_put_string(j, "kernel", m->kernel);
    json_end(j);
}

int machine_same(const struct json_doc *doc, const struct machine *m,
                 char err[static JSON_ERROR_BYTES])
{
    char unused[JSON_ERROR_BYTES];
    const char *cpu = json_string_at(doc, "machine.cpu");
    const char *kernel = json_string_at(doc, "machine.kernel");
    double cpus;

    if (!cpu || !kernel || json_number_at(doc, "machine.cpus", &cpus, unused) != 0)
        snprintf(err, JSON_ERROR_BYTES, "it does not say on which machine it was measured");
    else if (strcmp(cpu, m->cpu) != 0)
        snprintf(err, JSON_ERROR_BYTES,
                 "measured on another machine: its CPU is '%.60s', here '%.60s'", cpu, m->cpu);
    else if (cpus != m->cpus)
        snprintf(err, JSON_ERROR_BYTES, "measured on another machine: %g CPUs, here %u", cpus,
                 m->cpus);
    else if (strcmp(kernel, m->kernel) != 0)
        snprintf(err, JSON_ERROR_BYTES,
                 "measured on another machine: its kernel is '%.60s', here '%.60s'", kernel,
                 m->kernel);
    else
        return 0;
    return -1;
}
