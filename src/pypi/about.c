/*
 * Reads the JSON API's answer about a project; called by summaries.c.
 */
#include "about.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "python.h"

#define SUMMARY_CHARACTERS 200

/* At most SUMMARY_CHARACTERS characters, the last of them "…" when there were more. Takes the text. */
static char *cut_summary(char *text)
{
    size_t at = 0, keep = 0;

    for (unsigned seen = 0; text[at] != '\0'; seen++) {
        if (seen == SUMMARY_CHARACTERS) {
            char *cut = mem_format("%.*s…", (int)keep, text);
            free(text);
            return cut;
        }
        if (seen == SUMMARY_CHARACTERS - 1)
            keep = at;
        at += text_character(text + at, strlen(text + at));
    }
    return text;
}

/* On one line. */
static char *read_summary(const json_t *value)
{
    if (!json_is_string(value))
        return mem_text("");
    char *text = text_clean(json_string_value(value), json_string_length(value), 8 * SUMMARY_CHARACTERS);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    return cut_summary(text);
}

static char *read_display(const json_t *value, const char *name)
{
    const char *spelling = json_string_value(value);
    bool spells = spelling != NULL && strlen(spelling) == json_string_length(value) && python_name_valid(spelling) &&
                  python_names_equal(spelling, name);

    return mem_text(spells ? spelling : "");
}

int about_read(const struct buf *answer, const char *name, struct about *to)
{
    json_t *json = json_loadb(answer->data, answer->len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *info = json_object_get(json, "info");
    int error = json_is_object(info) ? 0 : -EPROTO;

    *to = (struct about){.summary = NULL};
    if (error == 0) {
        to->summary = read_summary(json_object_get(info, "summary"));
        to->display = read_display(json_object_get(info, "name"), name);
    }
    json_decref(json);
    return error;
}

void about_release(struct about *to)
{
    free(to->summary);
    free(to->display);
    *to = (struct about){.summary = NULL};
}
