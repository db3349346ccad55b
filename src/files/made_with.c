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

char *receipt_compose_record(const struct receipt *r, const struct msg_built *b)
{
    const struct rec_environment *e = &b->environment;
    json_t *required = json_array();
    for (unsigned i = 0; i < b->required.count; i++)
        json_array_append_new(required, describe_requirement(&b->required.items[i]));
    json_t *record = json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "system", clean(e->system), "python", clean(e->python),
                               "pip", clean(e->pip), "compiler", clean(e->compiler), "libc", clean(e->libc), "timeout_ms",
                               (json_int_t)e->timeout_ms, "required", required);
    if (r->attempt.uploaded_ms > 0)
        json_object_set_new(record, "source_date_epoch", json_integer(r->attempt.uploaded_ms / 1000));
    char *text = json_dumps(record, JSON_COMPACT);
    json_decref(record);
    return text;
}
