/*
 * What the master asks of a single build. build.c uses it from its beginning to its command.
 *
 * The slave's operator has the last word: limits are only ever lowered, and what a build may reach is at most what
 * --network-most allows.
 */
#include "own.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"

#define TOLD_MAX_BYTES 8192

/* The names are those of the options that allow it here. */
static void lower(struct own *o, const char *name, uint64_t asked, uint64_t *limit)
{
    if (asked == 0)
        return;
    if (asked > *limit)
        buf_addf(&o->told, "--%s of this slave allows %llu, less than the %llu of the package's own settings\n", name,
                 (unsigned long long)*limit, (unsigned long long)asked);
    else
        *limit = asked;
}

static void lower_limits(struct own *o, const struct rec_limits *asked, struct limits *l)
{
    lower(o, "memory", asked->memory_bytes, &l->memory_bytes);
    lower(o, "processes", asked->processes, &l->processes);
    lower(o, "open-files", asked->open_files, &l->open_files);
    lower(o, "disk", asked->disk_bytes, &l->disk_bytes);
    lower(o, "disk-files", asked->disk_files, &l->disk_files);
    lower(o, "output", asked->output_bytes, &l->output_bytes);
    lower(o, "cpu", asked->cpu_ms, &l->cpu_ms);
    lower(o, "silence", asked->silence_ms, &l->silence_ms);
}

static void choose_network(struct own *o, const char *asked, const struct sandbox *s)
{
    enum network network;

    o->network = s->network;
    if (asked[0] == '\0')
        return;
    if (network_read(asked, &network) != 0 || network > s->network_most)
        buf_addf(&o->told, "--network-most of this slave allows %s, less than the network %s of the package's own settings\n",
                 network_name(s->network_most), asked);
    else
        o->network = network;
}

static void add_variables(struct own *o, const struct msg_build *m)
{
    for (unsigned i = 0; i < m->variables.count; i++) {
        const struct rec_variable *v = &m->variables.items[i];
        if (text_is_identifier(v->name)) /* what could not be one would be read as something else by env(1) */
            words_addf(&o->variables, "%s=%s", v->name, v->value);
        else
            buf_addf(&o->told, "\"%s\" is no name of a variable\n", v->name);
    }
}

void own_init(struct own *o, const struct msg_build *m, const struct sandbox *s, struct limits *limits)
{
    char hex[SHA256_HEX_SIZE];

    *o = (struct own){0};
    buf_init(&o->told, TOLD_MAX_BYTES);
    o->overridden = m->override.len == SHA256_SIZE;
    if (o->overridden) {
        memcpy(o->override, m->override.data, SHA256_SIZE);
        buf_addf(&o->told, "built with the package's own settings %s\n", hash_hex(o->override, hex));
    }
    if (m->timeout_ms > 0 && m->timeout_ms < limits->timeout_ms)
        limits->timeout_ms = m->timeout_ms;
    lower_limits(o, &m->limits, limits);
    choose_network(o, m->network, s);
    add_variables(o, m);
    for (unsigned i = 0; i < m->constraints.count; i++)
        words_add(&o->constraints, m->constraints.items[i].line);
}

void own_release(struct own *o)
{
    words_release(&o->variables);
    words_release(&o->constraints);
    buf_release(&o->told);
}

int own_write_constraints(const struct own *o, const char *dir)
{
    struct buf lines;

    if (o->constraints.count == 0)
        return 0;
    buf_init(&lines, 64 * 1024);
    for (size_t i = 0; i < o->constraints.count; i++)
        buf_addf(&lines, "%s\n", o->constraints.items[i]);
    char *path = mem_format("%s/" OWN_CONSTRAINTS, dir);
    int error = fs_replace(path, lines.data, lines.len, false);
    free(path);
    buf_release(&lines);
    return error;
}

void own_add_words(const struct own *o, struct words *argv)
{
    if (o->variables.count == 0)
        return;
    words_add(argv, "/usr/bin/env");
    for (size_t i = 0; i < o->variables.count; i++)
        words_add(argv, o->variables.items[i]);
}
