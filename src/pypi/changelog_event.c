/*
 * From a row of the changelog to an event that the database understands: which action it is, by its exact words (a loose
 * match on "remove" once took the removal of an owner for that of a package); the name and version in their normal
 * spelling; and for wheels the targets they fit.
 */
#include "changelog_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "python.h"

#define MAX_VERSION_BYTES 255
#define MAX_FILE_BYTES 255         /* what file systems take */
#define LAST_SECOND INT64_C(4102444800) /* the year 2100: a time beyond it is none */

/* ---- which action --------------------------------------------------------------------------------- */

/* What an action must come with. */
enum { WITHOUT_VERSION, WITH_VERSION };

static const struct {
    const char *words;
    char kind;
    int version;
} actions[] = {
    {"create", 'c', WITHOUT_VERSION},
    {"new release", 'n', WITH_VERSION},
    {"remove", 'P', WITHOUT_VERSION},
    {"remove project", 'P', WITHOUT_VERSION},
    {"remove release", 'R', WITH_VERSION},
    {"yank release", 'y', WITH_VERSION},
    {"unyank release", 'u', WITH_VERSION},
    {"project quarantined", 'Q', WITHOUT_VERSION},
    {"project quarantine cleared", 'C', WITHOUT_VERSION},
    {"project quarantined cleared", 'C', WITHOUT_VERSION},
    {"release quarantined", 'q', WITH_VERSION},
    {"release quarantine cleared", 'd', WITH_VERSION},
    {"release quarantined cleared", 'd', WITH_VERSION},
};

/* Skips the word and one blank after it. */
static bool skip_word(const char **text, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(*text, word, len) != 0 || (*text)[len] != ' ')
        return false;
    *text += len + 1;
    return true;
}

/* "add Owner somebody", "change Owner somebody to Maintainer": who may do what is no matter of ours. */
static bool is_about_people(const char *action)
{
    static const char *const verbs[] = {"add", "remove", "change", "invite", "accept", "decline", "revoke", "revoke_invite"};
    static const char *const roles[] = {"Owner", "Maintainer"};

    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        const char *rest = action;
        if (!skip_word(&rest, verbs[i]))
            continue;
        for (size_t j = 0; j < COUNT_OF(roles); j++) {
            const char *who = rest;
            if (skip_word(&who, roles[j]) && who[0] != '\0' && !text_starts(who, "file "))
                return true;
        }
    }
    return false;
}

/* "add cp311 file numpy-2.1.0-cp311-….whl": the Python tag and the file's name. */
static bool is_addition(const char *action, char tag[64], const char **file)
{
    if (!skip_word(&action, "add"))
        return false;
    size_t len = strcspn(action, " ");
    if (len == 0 || len >= 64 || action[len] == '\0')
        return false;
    memcpy(tag, action, len);
    tag[len] = '\0';
    *file = action + len + 1;
    return skip_word(file, "file");
}

static bool is_removal(const char *action, const char **file)
{
    return skip_word(&action, "remove") && (*file = action, skip_word(file, "file"));
}

static bool file_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > MAX_FILE_BYTES || !text_is_utf8(name, len))
        return false;
    for (size_t at = 0, size; at < len; at += size) {
        size = text_character(name + at, len - at);
        if (name[at] == '/' || text_is_control(name + at, size))
            return false;
    }
    return true;
}

static bool is_sdist(const char *file)
{
    static const char *const endings[] = {".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz"};

    for (size_t i = 0; i < COUNT_OF(endings); i++)
        if (text_ends(file, endings[i]))
            return true;
    return false;
}

/* A file that came or went; that it belongs to the project, PyPI says. False when the action says nothing of the kind. */
static bool read_file_action(const char *action, struct fits *fits, struct changelog_event *to)
{
    char tag[64] = "";
    const char *file = NULL;
    bool removed = is_removal(action, &file);

    if ((!removed && !is_addition(action, tag, &file)) || !file_name_valid(file))
        return false;
    struct db_event *e = &to->event;
    e->file = file;
    if (fits_tags(file, to->tags, sizeof to->tags)) {
        e->tags = to->tags;
        e->fits = fits_mask(fits, to->tags);
    }
    if (removed)
        e->kind = 'F';
    else if (e->tags != NULL)
        e->kind = 'w';
    else
        e->kind = strcmp(tag, "source") == 0 && is_sdist(file) ? 's' : 'o';
    return true;
}

/* ---- name and version ----------------------------------------------------------------------------- */

static const char *read_name(const struct changelog_row *row, struct changelog_event *to)
{
    if (!python_name_valid(row->name))
        return "the name is none";
    if (python_name_normalise(row->name, to->name, sizeof to->name) != 0)
        return "the name is too long";
    to->event.name = to->name;
    to->event.display = row->name;
    return NULL;
}

/* Without control characters, trimmed; "" when nothing is left. */
static void clean_version(const char *version, char clean[MAX_VERSION_BYTES + 2])
{
    char *text = text_clean(version, strlen(version), CHANGELOG_TEXT_MAX);
    size_t used = 0;

    for (const char *c = text + strspn(text, " \t\n"); *c != '\0' && used <= MAX_VERSION_BYTES; c++)
        if (*c != '\t' && *c != '\n')
            clean[used++] = *c;
    while (used > 0 && clean[used - 1] == ' ')
        used--;
    clean[used] = '\0';
    free(text);
}

static const char *read_version(const struct changelog_row *row, struct changelog_event *to)
{
    char clean[MAX_VERSION_BYTES + 2];
    struct buf normal, key;

    if (row->version == NULL)
        return NULL;
    clean_version(row->version, clean);
    if (strlen(clean) > MAX_VERSION_BYTES)
        return "the version is too long";
    if (clean[0] == '\0')
        return NULL;
    buf_init(&normal, sizeof to->version - 1);
    buf_init(&key, sizeof to->key);
    bool fits = python_version_normalise(clean, &normal) == 0 && python_version_sort_key(clean, &key) == 0;
    if (fits) {
        memcpy(to->version, normal.data, normal.len + 1);
        memcpy(to->key, key.data, key.len);
        to->event.version = to->version;
        to->event.sort_key = to->key;
        to->event.sort_key_len = key.len;
        to->event.legacy = !python_version_valid(clean);
        to->event.prerelease = python_version_prerelease(clean);
    }
    buf_release(&normal);
    buf_release(&key);
    return fits ? NULL : "the version is too long";
}

static void read_action(const char *action, struct fits *fits, struct changelog_event *to)
{
    struct db_event *e = &to->event;

    e->kind = '?';
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        if (strcmp(action, actions[i].words) != 0)
            continue;
        if (actions[i].version == WITHOUT_VERSION)
            e->version = NULL;
        else if (e->version == NULL)
            return;
        e->kind = actions[i].kind;
        return;
    }
    if (e->version != NULL && read_file_action(action, fits, to))
        return;
    e->version = NULL;
}

/* ---- entry ---------------------------------------------------------------------------------------- */

enum changelog_verdict changelog_event_read(const struct changelog_row *row, struct fits *fits,
                                            struct changelog_event *to)
{
    int64_t happened = row->happened;

    to->event = (struct db_event){.serial = row->serial};
    to->event.happened = happened < 0 ? 0 : happened > LAST_SECOND ? LAST_SECOND : happened;
    if (is_about_people(row->action))
        return ROW_NOTHING;
    to->why = read_name(row, to);
    if (to->why == NULL)
        to->why = read_version(row, to);
    if (to->why != NULL)
        return ROW_REFUSED;
    read_action(row->action, fits, to);
    return to->event.kind == '?' ? ROW_UNKNOWN : ROW_EVENT;
}
