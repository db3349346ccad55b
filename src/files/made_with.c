/*
 * The record of a build: what it was made with, as its slave tells in BUILT, as JSON for the database. Called by
 * receipt.c. Nothing here can be checked; it is bounded and well-formed, and shown as the slave's word.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/text.h"
#include "python.h"
#include "receipt.h"

#define TEXT_MAX_BYTES 255

bool receipt_requirements_valid(const struct msg_built *b)
{
    for (unsigned i = 0; i < b->required.count; i++) {
        const struct rec_requirement *r = &b->required.items[i];
        if (!python_name_valid(r->name) || (r->sha256.len != 0 && r->sha256.len != SHA256_SIZE))
            return false;
    }
    return true;
}

bool receipt_override_right(const struct receipt *r, const struct msg_built *b)
{
    const struct bytes *told = &b->environment.override;

    if (!r->attempt.handed_out) /* the slave has come back with it: this process never knew */
        return told->len == 0 || told->len == SHA256_SIZE;
    if (!r->attempt.has_override)
        return told->len == 0;
    return told->len == SHA256_SIZE && memcmp(told->data, r->attempt.override_sha256, SHA256_SIZE) == 0;
}

static json_t *clean(const char *text)
{
    char *copy = text_clean(text, strlen(text), TEXT_MAX_BYTES);
    json_t *value = json_string(copy);
    free(copy);
    return value;
}

static json_t *describe_requirement(const struct rec_requirement *r)
{
    char hex[SHA256_HEX_SIZE];
    return json_pack("{s:s, s:o, s:s?}", "name", r->name, "version", clean(r->version), "sha256",
                     r->sha256.len == SHA256_SIZE ? hash_hex(r->sha256.data, hex) : NULL);
}

static json_t *describe_limits(const struct rec_limits *l, uint64_t timeout_ms)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "timeout_ms", (json_int_t)timeout_ms,
                     "silence_ms", (json_int_t)l->silence_ms, "cpu_ms", (json_int_t)l->cpu_ms,
                     "memory_bytes", (json_int_t)l->memory_bytes, "disk_bytes", (json_int_t)l->disk_bytes,
                     "disk_files", (json_int_t)l->disk_files, "output_bytes", (json_int_t)l->output_bytes,
                     "processes", (json_int_t)l->processes, "open_files", (json_int_t)l->open_files);
}

static void add_settings(json_t *record, const struct receipt *r, const struct rec_environment *e)
{
    char hex[SHA256_HEX_SIZE];

    if (r->attempt.uploaded_ms > 0)
        json_object_set_new(record, "source_date_epoch", json_integer(r->attempt.uploaded_ms / 1000));
    if (e->override.len == SHA256_SIZE)
        json_object_set_new(record, "override", json_string(hash_hex(e->override.data, hex)));
}

char *receipt_compose_record(const struct receipt *r, const struct msg_built *b)
{
    const struct rec_environment *e = &b->environment;
    json_t *required = json_array();
    for (unsigned i = 0; i < b->required.count; i++)
        json_array_append_new(required, describe_requirement(&b->required.items[i]));
    json_t *record = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "system", clean(e->system), "python",
                               clean(e->python), "pip", clean(e->pip), "compiler", clean(e->compiler), "libc", clean(e->libc),
                               "sandbox", clean(e->sandbox), "network", clean(e->network), "limits",
                               describe_limits(&b->limits, e->timeout_ms), "required", required);
    add_settings(record, r, e);
    char *text = json_dumps(record, JSON_COMPACT);
    json_decref(record);
    return text;
}
