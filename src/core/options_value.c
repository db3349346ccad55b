/*
 * The values of options: what each kind accepts, and what it tells one who typed something else.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "core/memory.h"
#include "core/quantity.h"
#include "core/text.h"
#include "options_table.h"

#define HINT_SIZE 128
#define MAX_CHOICES 8

static int parse_flag(const char *text, int64_t *number)
{
    static const char *const words[] = {"no", "yes", "false", "true", "0", "1", "off", "on"};

    for (unsigned i = 0; i < COUNT_OF(words); i++)
        if (strcasecmp(text, words[i]) == 0) {
            *number = i % 2;
            return 0;
        }
    return -EINVAL;
}

/* A path with its leading ~ replaced; NULL when there is nothing to replace it with, or no path. */
static char *expand_path(const char *text)
{
    if (text[0] == '\0')
        return NULL;
    if (strcmp(text, "~") != 0 && !text_starts(text, "~/"))
        return mem_text(text);
    const char *home = options_home();
    return home != NULL ? mem_format("%s%s", home, text + 1) : NULL;
}

/* The same with each of several, between commas. */
static char *expand_paths(const char *text)
{
    char *rest = mem_text(text), *at = rest, *expanded = NULL;

    for (char *one; (one = strsep(&at, ",")) != NULL;) {
        char *path = expand_path(one), *before = expanded;
        expanded = path == NULL ? NULL : before == NULL ? mem_text(path) : mem_format("%s,%s", before, path);
        free(before);
        free(path);
        if (expanded == NULL)
            break;
    }
    free(rest);
    return expanded;
}

/* With a slash in it, by which the wire tells it from a host's name; NULL too when it is too long for an address. */
static char *expand_socket(const char *text)
{
    char *path = expand_path(text);

    if (path != NULL && strchr(path, '/') == NULL) {
        char *here = mem_format("./%s", path);
        free(path);
        path = here;
    }
    if (path != NULL && strlen(path) >= sizeof ((struct sockaddr_un *)0)->sun_path) {
        free(path);
        path = NULL;
    }
    return path;
}

static char *keep_text(enum option_kind kind, const char *text)
{
    switch (kind) {
    case KIND_PATH: return expand_path(text);
    case KIND_PATHS: return expand_paths(text);
    case KIND_SOCKET: return expand_socket(text);
    default: return mem_text(text);
    }
}

/* What is typed again on the command line is added to what was typed before. */
static char *join_typed(const struct option_value *before, char *kept)
{
    char *joined = mem_format("%s,%s", before->text, kept);
    free(kept);
    return joined;
}

/* One of the words of "missing|all". 0; or -EINVAL, and the likeliest of them as a hint. */
static int find_choice(const char *text, const char *choices, char *hint, size_t hint_size)
{
    char *words = mem_text(choices), *at = words;
    const char *known[MAX_CHOICES];
    size_t count = 0;
    int error = -EINVAL;

    for (char *word; (word = strsep(&at, "|")) != NULL;) {
        assert(count < MAX_CHOICES);
        known[count++] = word;
        if (strcmp(word, text) == 0)
            error = 0;
    }
    options_hint(hint, hint_size, text, known, count);
    free(words);
    return error;
}

/* It goes onto pages and into commands as it is. Nothing at all is the same as not given. */
static int check_url(const char *text, bool has_fallback)
{
    size_t scheme = text_starts(text, "https://") ? strlen("https://") : text_starts(text, "http://") ? strlen("http://") : 0;

    if (text[0] == '\0')
        return has_fallback ? -EINVAL : 0;
    return scheme > 0 && text[scheme] != '\0' && strpbrk(text, " \t\"<>?#") == NULL ? 0 : -EINVAL;
}

/* What is said of a text that is no value of the kind, behind the text itself. */
static const char *const refusals[] = {
    [KIND_FLAG] = "is neither yes nor no",
    [KIND_COUNT] = QUANTITY_NO_NUMBER,
    [KIND_TEXT] = "is no text",
    [KIND_PATH] = "is no path",
    [KIND_PATHS] = "is no path, or several with commas",
    [KIND_NUMBER] = QUANTITY_NO_NUMBER,
    [KIND_SPAN] = QUANTITY_NO_SPAN,
    [KIND_PERIOD] = QUANTITY_NO_PERIOD,
    [KIND_SIZE] = QUANTITY_NO_SIZE,
    [KIND_SOCKET] = "is no path of a socket, which has at most 107 characters",
    [KIND_URL] = "is no address such as https://example.org",
    [KIND_SOURCE] = "is no address such as https://example.org",
};

static int parse_value(enum option_kind kind, const char *text, int64_t *number)
{
    switch (kind) {
    case KIND_FLAG: return parse_flag(text, number);
    case KIND_SPAN: return quantity_span(text, number);
    case KIND_PERIOD: return quantity_period(text, number);
    case KIND_SIZE: return quantity_size(text, number);
    case KIND_COUNT:
    case KIND_NUMBER: return quantity_number(text, number);
    case KIND_TEXT:
    case KIND_PATH:
    case KIND_PATHS:
    case KIND_SOCKET:
    case KIND_CHOICE:
    case KIND_URL:
    case KIND_SOURCE: break;
    }
    return 0;
}

static int check_text(struct options *o, const struct option_row *row, const char *text, const char *label)
{
    char hint[HINT_SIZE];

    if (row->kind == KIND_CHOICE && find_choice(text, row->metavar, hint, sizeof hint) != 0)
        return options_fail(o, "%s: \"%s\" is none of %s%s", label, text, row->metavar, hint);
    bool is_url = row->kind == KIND_URL || row->kind == KIND_SOURCE;
    if (is_url && check_url(text, row->kind == KIND_URL && row->fallback != NULL) != 0)
        return options_fail(o, "%s: \"%s\" %s", label, text, refusals[row->kind]);
    return 0;
}

int option_set(struct options *o, enum option_id id, const char *text, enum option_source source,
               const char *origin, const char *label)
{
    enum option_kind kind = option_rows[id].kind;
    struct option_value *value = &o->values[id];
    int64_t number = 0;

    int error = check_text(o, &option_rows[id], text, label);
    if (error != 0)
        return error;
    char *kept = keep_text(kind, text);
    if (kept == NULL || parse_value(kind, text, &number) != 0) {
        free(kept);
        return options_fail(o, "%s: \"%s\" %s", label, text, refusals[kind]);
    }
    if (source < value->source) {
        free(kept);
        return 0;
    }
    if (kind == KIND_PATHS && source == OPTION_ARGV && value->source == OPTION_ARGV)
        kept = join_typed(value, kept);
    free(value->text);
    free(value->origin);
    *value =
        (struct option_value){.text = kept, .number = number, .origin = mem_text(origin), .source = source};
    return 0;
}
