/*
 * An override once it is read: its canonical form, whose hash the record of every build keeps, and what it wants of a
 * slave. read.c fills it, overrides.c keeps it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_variables(const void *a, const void *b)
{
    return strcmp(((const struct override_variable *)a)->name, ((const struct override_variable *)b)->name);
}

static void sort_texts(char **texts, unsigned *count)
{
    unsigned kept = 0;

    if (*count == 0)
        return;
    qsort(texts, *count, sizeof *texts, compare_texts);
    for (unsigned i = 0; i < *count; i++) {
        if (kept > 0 && strcmp(texts[kept - 1], texts[i]) == 0)
            free(texts[i]);
        else
            texts[kept++] = texts[i];
    }
    *count = kept;
}

static void add_limit(struct buf *to, const char *name, uint64_t value)
{
    if (value > 0)
        buf_addf(to, "limit %s %" PRIu64 "\n", name, value);
}

/* Their names are in the order of their bytes. */
static void add_limits(const struct override *o, struct buf *to)
{
    const struct rec_limits *l = &o->limits;

    add_limit(to, "cpu-ms", l->cpu_ms);
    add_limit(to, "disk-bytes", l->disk_bytes);
    add_limit(to, "disk-files", l->disk_files);
    add_limit(to, "memory-bytes", l->memory_bytes);
    add_limit(to, "open-files", l->open_files);
    add_limit(to, "output-bytes", l->output_bytes);
    add_limit(to, "processes", l->processes);
    add_limit(to, "silence-ms", l->silence_ms);
    add_limit(to, "timeout-ms", o->timeout_ms);
}

void override_canonical(const struct override *o, struct buf *to)
{
    for (unsigned i = 0; i < o->constraint_count; i++)
        buf_addf(to, "constraint %s\n", o->constraints[i]);
    for (unsigned i = 0; i < o->debian_count; i++)
        buf_addf(to, "debian %s\n", o->debian[i]);
    add_limits(o, to);
    if (o->network != NULL)
        buf_addf(to, "network %s\n", o->network);
    for (unsigned i = 0; i < o->variable_count; i++)
        buf_addf(to, "variable %s=%s\n", o->variables[i].name, o->variables[i].value);
}

void override_seal(struct override *o)
{
    struct buf text;

    sort_texts(o->constraints, &o->constraint_count);
    sort_texts(o->debian, &o->debian_count);
    if (o->variable_count > 0)
        qsort(o->variables, o->variable_count, sizeof *o->variables, compare_variables);
    buf_init(&text, OVERRIDE_MAX_BYTES);
    override_canonical(o, &text);
    hash_bytes(text.data, text.len, o->sha256);
    buf_release(&text);
}

void override_wants(const struct override *o, struct buf *to)
{
    for (unsigned i = 0; i < o->debian_count; i++)
        buf_addf(to, "%s%s", to->len > 0 ? "\n" : "", o->debian[i]);
    if (o->network != NULL)
        buf_addf(to, "%snetwork %s", to->len > 0 ? "\n" : "", o->network);
}

void override_free(struct override *o)
{
    if (o == NULL)
        return;
    for (unsigned i = 0; i < o->variable_count; i++) {
        free(o->variables[i].name);
        free(o->variables[i].value);
    }
    for (unsigned i = 0; i < o->constraint_count; i++)
        free(o->constraints[i]);
    for (unsigned i = 0; i < o->debian_count; i++)
        free(o->debian[i]);
    free(o->variables);
    free(o->constraints);
    free(o->debian);
    free(o->network);
    free(o);
}
