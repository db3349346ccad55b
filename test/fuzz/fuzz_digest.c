/*
 * PyPI's answers about a project. The first line is the version asked for ("*": all of them, "~": a comparison of
 * a followed package); then its page up to a NUL, then what the JSON API says, if anything. What
 * comes out must be JSON: the database will be given it.
 */
#include <errno.h>
#include <jansson.h>

#include "../../src/pypi/about.h"
#include "../../src/pypi/digest.h"
#include "core/text.h"
#include "fuzz.h"
#include "python.h"

static struct db_targets *make_targets(void)
{
    struct db_targets *targets = mem_new(1, sizeof *targets);

    targets->count = 2;
    targets->items[0].id = 0;
    targets->items[1].id = 63;
    text_copy(targets->items[0].abi, sizeof targets->items[0].abi, "cp39");
    text_copy(targets->items[1].abi, sizeof targets->items[1].abi, "cp311");
    return targets;
}

static void check(const struct digest_request *q)
{
    struct digest d;
    int rc = digest_project(q, &d);

    assert(rc == 0 || ((rc == -EAGAIN || rc == -ENOENT) && d.reason[0] != '\0'));
    if (rc == 0) {
        json_t *json = json_loadb(d.json.data, d.json.len, 0, NULL);
        assert(json_is_object(json));
        json_decref(json);
    }
    digest_release(&d);
}

static void check_about(const struct buf *answer)
{
    struct about about;

    if (about_read(answer, "ab-c", &about) == 0)
        assert(text_is_utf8(about.summary, strlen(about.summary)) && strlen(about.display) <= PYTHON_NAME_MAX);
    about_release(&about);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct db_targets *targets;
    const uint8_t *line_end = memchr(data, '\n', size);
    struct buf page, answer;

    if (line_end == NULL)
        return -1;
    if (targets == NULL)
        targets = make_targets();
    char *version = fuzz_text(data, (size_t)(line_end - data));
    const uint8_t *at = line_end + 1, *end = data + size, *cut = memchr(at, '\0', (size_t)(end - at));
    buf_init(&page, 1 << 20);
    buf_init(&answer, 1 << 20);
    buf_add(&page, at, (size_t)((cut ? cut : end) - at));
    if (cut)
        buf_add(&answer, cut + 1, (size_t)(end - cut - 1));
    char specifier[] = "<2";
    struct db_word rule = {1, specifier};
    struct db_words rules = {1, &rule};
    bool all = strcmp(version, "*") == 0, refresh = strcmp(version, "~") == 0;
    check(&(struct digest_request){.name = "ab-c", .spelling = "Ab_C", .refresh = refresh,
                                   .version = all || refresh ? "" : version, .all = all, .etag = "", .serial = -1,
                                   .refresh_ms = 600000, .targets = targets, .skips = &rules, .page = &page});
    check_about(&answer);
    buf_release(&page);
    buf_release(&answer);
    free(version);
    return 0;
}
