/*
 * Reads a project's page: every file of it that is an sdist or a wheel names a version; the files are sorted
 * by version, and each run of files of the same version becomes one element of "versions". Called by
 * project.c. What is malformed is refused file by file; only a page that is no page at all fails.
 */
#include "digest.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/text.h"
#include "fits.h"
#include "python.h"

#define MAX_FILES 500000
#define MAX_JSON_BYTES (256u << 20)
#define MAX_KEY_BYTES 1024
#define MAX_NAME_BYTES 255         /* of a file: what file systems take */
#define MAX_TEXT_BYTES 500         /* of a reason or a Requires-Python */
#define NEWEST_SHOWN 3

/* A file of the page, under the version it belongs to. */
struct candidate {
    char *key;             /* hex of the version's sort key */
    char *version;         /* normalised */
    const json_t *file;
    bool sdist;
    size_t place;          /* on the page */
    int64_t uploaded_ms;   /* 0: unknown */
};

struct candidates {
    struct candidate *items;
    size_t count;
};

/* ---- reading JSON that others wrote --------------------------------------------------------------- */

/* The member's text, or NULL when it is no text or has a NUL in it. */
static const char *plain_text(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
        return NULL;
    return json_string_value(value);
}

/* The text without control characters and newlines; "" when it is no text. Free with free(). */
static char *clean_text(const json_t *value, size_t max_bytes)
{
    if (!json_is_string(value))
        return mem_text("");
    char *text = text_clean(json_string_value(value), json_string_length(value), max_bytes);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    return text;
}

/* Numbers as reals: nothing here needs them exact, and one beyond 64 bits must not spoil the page. */
static json_t *load(const struct buf *text)
{
    return json_loadb(text->data, text->len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
}

/* ---- files into candidates ------------------------------------------------------------------------ */

static int key_hex(const char *version, char **hex)
{
    struct buf key;

    buf_init(&key, MAX_KEY_BYTES);
    int error = python_version_sort_key(version, &key);
    if (error == 0) {
        *hex = mem_new(2 * key.len + 1, 1);
        for (size_t i = 0; i < key.len; i++)
            snprintf(*hex + 2 * i, 3, "%02x", (unsigned)(unsigned char)key.data[i]);
    }
    buf_release(&key);
    return error;
}

static bool wheel_version(const char *file_name, const char *package, char *version, size_t size)
{
    struct wheel_name wheel;

    if (python_wheel_name_parse(file_name, &wheel) != 0 || !python_names_equal(wheel.dist, package))
        return false;
    for (char *c = wheel.version; *c != '\0'; c++)
        if (*c == '_') /* PEP 427: stands for a '-', which separates the parts */
            *c = '-';
    return text_copy(version, size, wheel.version);
}

/* PEP 440 or not: PyPI once took any text for a version. */
static bool can_be_version(const char *text)
{
    size_t len = strlen(text);

    if (len > PYTHON_VERSION_MAX || !text_is_utf8(text, len))
        return false;
    for (size_t at = 0, size; at < len; at += size) {
        size = text_character(text + at, len - at);
        if (text_is_control(text + at, size))
            return false;
    }
    return true;
}

/* The version that a file belongs to. False: it is neither an sdist nor a wheel of the package. */
static bool file_version(const char *file_name, const char *package, bool *sdist, char *version, size_t size)
{
    if (strlen(file_name) > MAX_NAME_BYTES)
        return false;
    *sdist = python_sdist_name_parse(file_name, package, version, size) == 0;
    return (*sdist || wheel_version(file_name, package, version, size)) && can_be_version(version);
}

/* Before 1970 lie years that PostgreSQL refuses, and no upload. */
static int64_t upload_time(const json_t *file)
{
    const char *time = plain_text(file, "upload-time");
    int64_t ms;

    return time != NULL && clock_parse(time, &ms) == 0 && ms > 0 ? ms : 0;
}

static bool add_candidate(struct candidates *all, const json_t *file, const char *package, size_t place)
{
    const char *file_name = plain_text(file, "filename");
    char version[256];
    struct candidate c = {.file = file, .place = place};

    if (file_name == NULL || !file_version(file_name, package, &c.sdist, version, sizeof version))
        return false;
    if (key_hex(version, &c.key) != 0)
        return false;
    c.uploaded_ms = upload_time(file);
    struct buf normal;
    buf_init(&normal, sizeof version - 1);
    if (python_version_normalise(version, &normal) == 0) {
        c.version = buf_take(&normal);
        all->items[all->count++] = c;
    } else {
        free(c.key);
    }
    buf_release(&normal);
    return c.version != NULL;
}

/* By version; within one in the order in which they came. */
static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    if (order == 0)
        order = (x->uploaded_ms > y->uploaded_ms) - (x->uploaded_ms < y->uploaded_ms);
    return order != 0 ? order : x->place < y->place ? -1 : 1;
}

static void gather(const json_t *files, const char *package, struct candidates *all, unsigned *refused)
{
    size_t place;
    json_t *file;

    all->items = mem_new(json_array_size(files), sizeof *all->items);
    json_array_foreach(files, place, file) {
        if (!add_candidate(all, file, package, place))
            ++*refused;
    }
    qsort(all->items, all->count, sizeof *all->items, compare_candidates);
}

static void release_candidates(struct candidates *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->items[i].key);
        free(all->items[i].version);
    }
    free(all->items);
}

/* How many candidates from `first` on are of the same version. */
static size_t run_length(const struct candidates *all, size_t first)
{
    size_t end = first + 1;
    while (end < all->count && strcmp(all->items[end].key, all->items[first].key) == 0)
        end++;
    return end - first;
}

/* ---- a run of files of one version ---------------------------------------------------------------- */

/* The newest .tar.gz, else the newest sdist of another kind, else NULL. */
static const struct candidate *choose_sdist(const struct candidate *run, size_t count)
{
    const struct candidate *chosen = NULL;
    bool sound = false;

    for (size_t i = 0; i < count; i++) {
        bool targz = text_ends(plain_text(run[i].file, "filename"), ".tar.gz");
        if (run[i].sdist && (targz || !sound)) {
            chosen = &run[i];
            sound = targz;
        }
    }
    return chosen;
}

/* For the database; NULL when it is unknown. */
static const char *time_text(int64_t ms, char text[CLOCK_TEXT_SIZE + 4])
{
    if (ms == 0)
        return NULL;
    clock_text(ms, text);
    return strcat(text, "+00");
}

/* When the first file of the version was uploaded; 0 when nothing tells. */
static int64_t earliest_upload(const struct candidate *run, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (run[i].uploaded_ms > 0)
            return run[i].uploaded_ms;
    return 0;
}

static int64_t newest_sdist(const struct candidate *run, size_t count)
{
    int64_t newest_ms = 0;

    for (size_t i = 0; i < count; i++)
        if (run[i].sdist)
            newest_ms = run[i].uploaded_ms;
    return newest_ms;
}

/* True, or a reason; an empty one says no more than false does (PEP 691). */
static bool is_yanked(const struct candidate *c)
{
    const json_t *yanked = json_object_get(c->file, "yanked");
    return json_string_length(yanked) > 0 || json_is_true(yanked);
}

/* PEP 592 yanks files; a version is yanked when all of its files are. */
static bool all_yanked(const struct candidate *run, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_yanked(&run[i]))
            return false;
    }
    return true;
}

/* The member's text of the sdist, else the first file's that has any. Free with free(). */
static char *first_text(const struct candidate *run, size_t count, const json_t *sdist, const char *member)
{
    if (sdist != NULL && json_is_string(json_object_get(sdist, member)))
        return clean_text(json_object_get(sdist, member), MAX_TEXT_BYTES);
    for (size_t i = 0; i < count; i++) {
        char *text = clean_text(json_object_get(run[i].file, member), MAX_TEXT_BYTES);
        if (text[0] != '\0')
            return text;
        free(text);
    }
    return mem_text("");
}

static const char *file_sha256(const json_t *file)
{
    const char *hex = plain_text(json_object_get(file, "hashes"), "sha256");
    uint8_t digest[SHA256_SIZE];

    return hex != NULL && strlen(hex) == SHA256_HEX_SIZE - 1 && hash_from_hex(hex, digest) == 0 ? hex : NULL;
}

/* The targets that Requires-Python was held against, and those that it excludes. */
static void judge(const struct db_targets *targets, const char *requires_python, uint64_t *judged,
                  uint64_t *excluded)
{
    *judged = *excluded = 0;
    for (unsigned i = 0; i < targets->count; i++) {
        unsigned major, minor;
        bool free_threaded;
        char python[32];
        uint64_t bit = UINT64_C(1) << targets->items[i].id;

        if (python_abi_parse(targets->items[i].abi, &major, &minor, &free_threaded) != 0)
            continue;
        snprintf(python, sizeof python, "%u.%u", major, minor);
        *judged |= bit;
        if (!python_requires_allows(requires_python, python))
            *excluded |= bit;
    }
}

static void add_member(struct buf *to, const char *member, const char *text)
{
    buf_addf(to, ", \"%s\": ", member);
    buf_add_json(to, text);
}

static void add_other_sdists(struct buf *to, const struct candidate *run, size_t count, const struct candidate *chosen)
{
    const char *comma = "";

    buf_adds(to, ", \"other_sdists\": [");
    for (size_t i = 0; i < count; i++) {
        const char *file = plain_text(run[i].file, "filename");
        if (!run[i].sdist || strcmp(file, plain_text(chosen->file, "filename")) == 0)
            continue; /* the chosen one may be listed twice */
        buf_adds(to, comma);
        buf_add_json(to, file);
        comma = ", ";
    }
    buf_adds(to, "]");
}

/* Those that are not yanked: [tags, the targets they fit, file name] each. */
static void add_wheels(struct buf *to, const struct candidate *run, size_t count, const struct digest_request *q)
{
    const char *comma = "";
    char tags[FITS_TAGS_SIZE];

    buf_adds(to, ", \"wheels\": [");
    for (size_t i = 0; i < count; i++) {
        const char *file = plain_text(run[i].file, "filename");
        if (run[i].sdist || is_yanked(&run[i]) || !fits_tags(file, tags, sizeof tags))
            continue;
        buf_addf(to, "%s[", comma);
        buf_add_json(to, tags);
        buf_addf(to, ", %" PRId64 ", ", (int64_t)fits_judge(q->targets, tags));
        buf_add_json(to, file);
        buf_adds(to, "]");
        comma = ", ";
    }
    buf_adds(to, "]");
}

static void add_version(struct buf *to, const struct candidate *run, size_t count, const struct digest_request *q)
{
    const struct candidate *chosen = choose_sdist(run, count);
    const json_t *sdist = chosen != NULL ? chosen->file : NULL;
    bool yanked = all_yanked(run, count);
    char *yanked_reason = yanked ? first_text(run, count, sdist, "yanked") : mem_text("");
    char *requires_python = first_text(run, count, sdist, "requires-python");
    char released[CLOCK_TEXT_SIZE + 4], uploaded[CLOCK_TEXT_SIZE + 4];
    uint64_t judged, excluded;

    judge(q->targets, requires_python, &judged, &excluded);
    buf_adds(to, "{\"version\": ");
    buf_add_json(to, run[0].version);
    add_member(to, "key", run[0].key);
    add_member(to, "released", time_text(earliest_upload(run, count), released));
    add_member(to, "uploaded", time_text(newest_sdist(run, count), uploaded));
    buf_addf(to, ", \"prerelease\": %s", python_version_prerelease(run[0].version) ? "true" : "false");
    buf_addf(to, ", \"yanked\": %s", yanked ? "true" : "false");
    add_member(to, "yanked_reason", yanked_reason);
    add_member(to, "requires_python", requires_python);
    buf_addf(to, ", \"judged_mask\": %" PRId64 ", \"na_mask\": %" PRId64, (int64_t)judged, (int64_t)excluded);
    add_member(to, "sdist", sdist != NULL ? plain_text(sdist, "filename") : NULL);
    add_member(to, "sdist_sha256", sdist != NULL ? file_sha256(sdist) : NULL);
    buf_addf(to, ", \"legacy\": %s", python_version_valid(run[0].version) ? "false" : "true");
    add_other_sdists(to, run, count, chosen);
    add_wheels(to, run, count, q);
    buf_adds(to, "}");
    free(yanked_reason);
    free(requires_python);
}

static unsigned add_versions(struct buf *to, const struct candidates *all, const struct digest_request *q)
{
    unsigned versions = 0;

    buf_adds(to, ", \"versions\": [");
    for (size_t i = 0, count; i < all->count; i += count) {
        count = run_length(all, i);
        buf_adds(to, versions++ > 0 ? ",\n" : "\n");
        add_version(to, all->items + i, count, q);
    }
    buf_adds(to, "]");
    return versions;
}

static int compare_key(const void *key, const void *candidate)
{
    return strcmp(key, ((const struct candidate *)candidate)->key);
}

/* Releases that the page lists (PEP 700) and has no file of: they are not gone. */
static void add_listed(struct buf *to, const json_t *page, const struct candidates *all)
{
    const char *comma = "";
    size_t place;
    json_t *version;

    buf_adds(to, ", \"listed\": [");
    json_array_foreach(json_object_get(page, "versions"), place, version) {
        const char *text = place < MAX_FILES ? json_string_value(version) : NULL;
        char *key;
        if (text == NULL || strlen(text) != json_string_length(version) || !can_be_version(text) || key_hex(text, &key) != 0)
            continue;
        if (bsearch(key, all->items, all->count, sizeof *all->items, compare_key) == NULL) {
            buf_addf(to, "%s\"%s\"", comma, key);
            comma = ", ";
        }
        free(key);
    }
    buf_adds(to, "]");
}

/* ---- what is skipped ------------------------------------------------------------------------------ */

/* The keys of the versions that the specifier fits. */
static void add_struck(struct buf *to, const struct candidates *all, const char *specifier)
{
    const char *comma = "";

    for (size_t i = 0; i < all->count; i += run_length(all, i)) {
        if (python_specifiers_match(specifier, all->items[i].version, true) == 1) {
            buf_addf(to, "%s\"%s\"", comma, all->items[i].key);
            comma = ", ";
        }
    }
}

/* Every rule is named, though it fits nothing, so that one that was made meanwhile is noticed. */
static void add_skips(struct buf *to, const struct candidates *all, const struct db_words *rules)
{
    buf_adds(to, ", \"skips\": [");
    for (unsigned i = 0; i < rules->count; i++) {
        buf_addf(to, "%s{\"rule\": %" PRId64 ", \"keys\": [", i > 0 ? ", " : "", rules->items[i].id);
        add_struck(to, all, rules->items[i].text);
        buf_adds(to, "]}");
    }
    buf_adds(to, "]");
}

/* ---- the project itself --------------------------------------------------------------------------- */

static bool spells(const char *spelling, const char *name)
{
    return spelling != NULL && python_name_valid(spelling) && python_names_equal(spelling, name);
}

/* The spelling to show, as far as the page tells: the normalised one says nothing. */
static const char *choose_display(const struct digest_request *q, const json_t *page)
{
    const char *spelling = plain_text(page, "name");
    if (spells(q->spelling, q->name) && strcmp(q->spelling, q->name) != 0)
        return q->spelling;
    return spells(spelling, q->name) ? spelling : q->name;
}

/* PEP 792. NULL: the page tells none. What the word means that is not known here, the project is active. */
static const char *read_status(const json_t *page)
{
    static const char *const words[] = {"archived", "deprecated", "quarantined"};
    const char *status = plain_text(json_object_get(page, "project-status"), "status");

    for (size_t i = 0; status != NULL && i < COUNT_OF(words); i++)
        if (strcmp(status, words[i]) == 0)
            return words[i];
    return status != NULL ? "active" : NULL;
}

static void add_wish(struct buf *to, const struct digest_request *q, const char *key)
{
    const char *follow = q->refresh || key != NULL ? NULL : q->all ? "all" : "new";

    add_member(to, "follow", follow);
    if (q->refresh || key == NULL) {
        add_member(to, "want", q->refresh ? NULL : q->all ? "all" : "newest");
    } else {
        buf_adds(to, ", \"want\": {\"key\": ");
        buf_add_json(to, key);
        buf_adds(to, "}");
    }
}

static void write_project(const struct digest_request *q, const json_t *page, const struct candidates *all, const char *key,
                          struct digest *d)
{
    buf_adds(&d->json, "{\"name\": ");
    buf_add_json(&d->json, q->name);
    add_member(&d->json, "display", choose_display(q, page));
    buf_addf(&d->json, ", \"serial\": %" PRId64, q->serial > 0 ? q->serial : 0);
    /* a page that has nothing is read whole each time: that it has not changed would prove nothing of the index */
    add_member(&d->json, "etag", all->count > 0 && text_is_utf8(q->etag, strlen(q->etag)) ? q->etag : "");
    buf_addf(&d->json, ", \"refresh_s\": %" PRIu64 ".%03u", q->refresh_ms / 1000,
             (unsigned)(q->refresh_ms % 1000));
    if (q->refresh)
        buf_addf(&d->json, ", \"known\": %" PRId64, q->known);
    add_wish(&d->json, q, key);
    add_member(&d->json, "status", read_status(page));
    buf_addf(&d->json, ", \"believed\": %s", q->believed ? "true" : "false");
    d->versions = add_versions(&d->json, all, q);
    add_listed(&d->json, page, all);
    add_skips(&d->json, all, q->skips);
    buf_adds(&d->json, "}");
}

/* "; its newest are 2.1, 2.0, 1.9" */
static void add_newest(struct buf *to, const struct candidates *all)
{
    unsigned shown = 0;

    for (size_t i = all->count; i > 0 && shown < NEWEST_SHOWN; i--)
        if (i == all->count || strcmp(all->items[i].key, all->items[i - 1].key) != 0)
            buf_addf(to, "%s%s", shown++ == 0 ? "; its newest are " : ", ", all->items[i - 1].version);
}

/* The key of the version that is asked for, or NULL when none is. */
static int find_asked(const struct digest_request *q, const struct candidates *all, char **key,
                      struct digest *d)
{
    struct buf text;

    *key = NULL;
    if (q->refresh || q->version[0] == '\0')
        return 0;
    if (key_hex(q->version, key) == 0)
        for (size_t i = 0; i < all->count; i++)
            if (strcmp(all->items[i].key, *key) == 0)
                return 0;
    free(*key);
    *key = NULL;
    buf_init(&text, 4096);
    buf_addf(&text, "PyPI has no version %.100s of %.100s", q->version, q->spelling);
    add_newest(&text, all);
    text_copy(d->reason, sizeof d->reason, text.data);
    buf_release(&text);
    return -ENOENT;
}

/* ---- entry ---------------------------------------------------------------------------------------- */

/* What is wrong with the page, or NULL. */
static const char *page_fault(const struct digest_request *q, const json_t *page)
{
    const char *api = plain_text(json_object_get(page, "meta"), "api-version");
    const char *name = plain_text(page, "name");
    const json_t *files = json_object_get(page, "files");

    if (page == NULL)
        return "is no JSON";
    if (api != NULL && strcmp(api, "1") != 0 && !text_starts(api, "1."))
        return "is of an API version that is not known here";
    if (!json_is_array(files))
        return "has no list of files";
    if (name != NULL && !python_names_equal(name, q->name))
        return "is about another project";
    if (json_array_size(files) > MAX_FILES)
        return "lists absurdly many files";
    return NULL;
}

static int check_page(const struct digest_request *q, const json_t *page, struct digest *d)
{
    const char *fault = page_fault(q, page);

    if (fault == NULL)
        return 0;
    snprintf(d->reason, sizeof d->reason, "PyPI's page of %.100s %s", q->spelling, fault);
    return -EAGAIN;
}

int digest_project(const struct digest_request *q, struct digest *d)
{
    struct candidates all = {0};
    char *key = NULL;

    *d = (struct digest){0};
    buf_init(&d->json, MAX_JSON_BYTES);
    json_t *page = load(q->page);

    int error = check_page(q, page, d);
    if (error == 0) {
        gather(json_object_get(page, "files"), q->name, &all, &d->refused);
        error = find_asked(q, &all, &key, d);
    }
    if (error == 0)
        write_project(q, page, &all, key, d);
    if (error == 0 && d->json.full) {
        snprintf(d->reason, sizeof d->reason, "PyPI says too much about %.100s to be stored", q->name);
        error = -EAGAIN;
    }
    free(key);
    release_candidates(&all);
    json_decref(page);
    return error;
}

void digest_release(struct digest *d)
{
    if (d->json.data != NULL)
        buf_release(&d->json);
}
