/*
 * What a project's page becomes: JSON in, the JSON of project_store out.
 */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/pypi/about.h"
#include "../../src/pypi/changelog.h"
#include "../../src/pypi/digest.h"
#include "../../src/pypi/follow.h"
#include "core/memory.h"

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* ---- how the tests ask ---------------------------------------------------------------------------- */

struct asking {
    struct digest_request request;
    struct db_targets *targets;
    struct db_words skips;
    struct buf page;
    struct digest digest;
    json_t *answer;
    int error;
};

static void add_target(struct db_targets *targets, unsigned id, const char *abi)
{
    struct db_target *t = &targets->items[targets->count++];
    t->id = id;
    strcpy(t->abi, abi);
}

static int setup(void **state)
{
    struct asking *a = mem_new(1, sizeof *a);

    a->targets = mem_new(1, sizeof *a->targets);
    add_target(a->targets, 0, "cp39");
    add_target(a->targets, 3, "cp311");
    a->request = (struct digest_request){.name = "ab-c", .spelling = "ab-c", .version = "", .etag = "\"e1\"",
                                         .serial = 17, .refresh_ms = 600000, .targets = a->targets, .skips = &a->skips};
    *state = a;
    return 0;
}

static int teardown(void **state)
{
    struct asking *a = *state;

    digest_release(&a->digest);
    json_decref(a->answer);
    buf_release(&a->page);
    free(a->targets);
    free(a);
    return 0;
}

static void ask(struct asking *a, const char *page)
{
    buf_init(&a->page, SIZE_MAX - 1);
    buf_adds(&a->page, page);
    a->request.page = &a->page;
    a->error = digest_project(&a->request, &a->digest);
    if (a->error == 0) {
        a->answer = json_loads(a->digest.json.data, 0, NULL);
        assert_non_null(a->answer);
    }
}

/* Asks with a page of these files: the inside of its "files". */
static void ask_files(struct asking *a, const char *files)
{
    char *page = mem_format("{\"meta\": {\"api-version\": \"1.1\"}, \"name\": \"ab-c\", \"files\": [%s]}",
                            files);
    ask(a, page);
    free(page);
}

static const char *text(const struct asking *a, const char *member)
{
    return json_string_value(json_object_get(a->answer, member));
}

static size_t version_count(const struct asking *a)
{
    return json_array_size(json_object_get(a->answer, "versions"));
}

static json_t *fact(const struct asking *a, size_t version, const char *member)
{
    json_t *value = json_object_get(json_array_get(json_object_get(a->answer, "versions"), version), member);
    assert_non_null(value);
    return value;
}

static const char *fact_text(const struct asking *a, size_t version, const char *member)
{
    return json_string_value(fact(a, version, member));
}

/* ---- releases ------------------------------------------------------------------------------------- */

static void files_are_gathered_by_version_in_its_order(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.10.tar.gz\"}, {\"filename\": \"ab_c-1.9.tar.gz\"},"
                 "{\"filename\": \"ab_c-1.9-py3-none-any.whl\"},"
                 "{\"filename\": \"ab_c-1.9.0-py2-none-any.whl\"}");
    assert_int_equal(a->error, 0);
    assert_int_equal(version_count(a), 2);
    assert_string_equal(fact_text(a, 0, "version"), "1.9");
    assert_string_equal(fact_text(a, 1, "version"), "1.10");
    assert_true(strcmp(fact_text(a, 0, "key"), fact_text(a, 1, "key")) < 0);
    assert_int_equal(a->digest.versions, 2);
    assert_int_equal(a->digest.refused, 0);
}

static void a_tar_gz_is_preferred_to_a_zip(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.zip\", \"hashes\": {}},"
                 "{\"filename\": \"ab_c-1.0.tar.gz\", \"hashes\": {\"sha256\": \"" SHA "\"}}");
    assert_string_equal(fact_text(a, 0, "sdist"), "ab_c-1.0.tar.gz");
    assert_string_equal(fact_text(a, 0, "sdist_sha256"), SHA);
}

static void a_zip_is_taken_where_there_is_no_other(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.zip\"}");
    assert_string_equal(fact_text(a, 0, "sdist"), "ab_c-1.0.zip");
}

static void a_version_of_wheels_only_has_no_sdist(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0-cp311-cp311-linux_x86_64.whl\"}");
    assert_int_equal(version_count(a), 1);
    assert_true(json_is_null(fact(a, 0, "sdist")));
    assert_true(json_is_null(fact(a, 0, "sdist_sha256")));
}

static void a_hash_that_is_none_is_unknown(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\", \"hashes\": {\"sha256\": \"zz\"}},"
                 "{\"filename\": \"ab_c-2.0.tar.gz\", \"hashes\": 5}");
    assert_true(json_is_null(fact(a, 0, "sdist_sha256")));
    assert_true(json_is_null(fact(a, 1, "sdist_sha256")));
}

static void the_release_is_the_earliest_upload(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\", \"upload-time\": \"2023-04-05T06:07:09.5Z\"},"
                 "{\"filename\": \"ab_c-1.0-py3-none-any.whl\","
                 " \"upload-time\": \"2023-04-05T06:07:08.123456Z\"}");
    assert_string_equal(fact_text(a, 0, "released"), "2023-04-05 06:07:08+00");
}

static void an_upload_time_that_is_none_is_unknown(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\", \"upload-time\": \"yesterday\"},"
                 "{\"filename\": \"ab_c-2.0.tar.gz\", \"upload-time\": \"0000-01-01T00:00:00Z\"},"
                 "{\"filename\": \"ab_c-3.0.tar.gz\", \"upload-time\": 5}");
    for (size_t i = 0; i < 3; i++)
        assert_true(json_is_null(fact(a, i, "released")));
}

static void a_version_is_yanked_when_all_of_its_files_are(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\", \"yanked\": \"it \\u0000leaks\\n\"},"
                 "{\"filename\": \"ab_c-1.0-py3-none-any.whl\", \"yanked\": true},"
                 "{\"filename\": \"ab_c-2.0.tar.gz\", \"yanked\": \"broken\"},"
                 "{\"filename\": \"ab_c-2.0-py3-none-any.whl\", \"yanked\": false},"
                 "{\"filename\": \"ab_c-3.0.tar.gz\", \"yanked\": true},"
                 "{\"filename\": \"ab_c-4.0.tar.gz\", \"yanked\": \"\"}, {\"filename\": \"ab_c-5.0.tar.gz\", \"yanked\": null}");
    assert_true(json_is_true(fact(a, 0, "yanked")));
    assert_string_equal(fact_text(a, 0, "yanked_reason"), "it leaks ");
    assert_true(json_is_false(fact(a, 1, "yanked")));
    assert_string_equal(fact_text(a, 1, "yanked_reason"), "");
    assert_true(json_is_true(fact(a, 2, "yanked")));
    assert_string_equal(fact_text(a, 2, "yanked_reason"), "");
    assert_true(json_is_false(fact(a, 3, "yanked")));
    assert_true(json_is_false(fact(a, 4, "yanked")));
}

static void prereleases_are_told(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.RC-1.tar.gz\"}, {\"filename\": \"ab_c-1.0.tar.gz\"}");
    assert_string_equal(fact_text(a, 0, "version"), "1.0rc1");
    assert_true(json_is_true(fact(a, 0, "prerelease")));
    assert_true(json_is_false(fact(a, 1, "prerelease")));
}

static void a_wheels_underscore_stands_for_a_hyphen(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0_1-py3-none-any.whl\"}, {\"filename\": \"ab-c-1.0-1.tar.gz\"}");
    assert_int_equal(version_count(a), 1);
    assert_string_equal(fact_text(a, 0, "version"), "1.0.post1");
}

/* ---- Requires-Python ------------------------------------------------------------------------------ */

static void requires_python_is_the_sdists(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0-py3-none-any.whl\", \"requires-python\": \">=3.12\"},"
                 "{\"filename\": \"ab_c-1.0.tar.gz\", \"requires-python\": \">=3.10\"}");
    assert_string_equal(fact_text(a, 0, "requires_python"), ">=3.10");
}

static void without_one_it_is_a_wheels(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\", \"requires-python\": null},"
                 "{\"filename\": \"ab_c-1.0-py3-none-any.whl\", \"requires-python\": \">=3.10\"}");
    assert_string_equal(fact_text(a, 0, "requires_python"), ">=3.10");
}

static void targets_that_it_excludes_are_not_applicable(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\", \"requires-python\": \">=3.10\"},"
                 "{\"filename\": \"ab_c-2.0.tar.gz\", \"requires-python\": \"nonsense\"}");
    assert_int_equal(json_integer_value(fact(a, 0, "judged_mask")), 1 | 8);
    assert_int_equal(json_integer_value(fact(a, 0, "na_mask")), 1);
    assert_int_equal(json_integer_value(fact(a, 1, "na_mask")), 0);
}

static void the_sixty_fourth_target_has_the_sign_bit(void **state)
{
    struct asking *a = *state;

    a->targets->count = 0;
    add_target(a->targets, 63, "cp311");
    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\"}");
    assert_true(json_integer_value(fact(a, 0, "judged_mask")) == INT64_MIN);
}

static void each_rule_of_skips_tells_the_versions_that_its_specifier_fits(void **state)
{
    struct asking *a = *state;
    char below[] = "<2", above[] = ">=9";
    struct db_word rules[] = {{7, below}, {9, above}};

    a->skips.count = COUNT_OF(rules);
    a->skips.items = rules;
    ask_files(a, "{\"filename\": \"ab_c-2.0.tar.gz\"}, {\"filename\": \"ab_c-1.0.tar.gz\"},"
                 "{\"filename\": \"ab_c-1.0-py3-none-any.whl\"}, {\"filename\": \"ab_c-2.0rc1.tar.gz\"}");
    const json_t *skips = json_object_get(a->answer, "skips"), *keys = json_object_get(json_array_get(skips, 0), "keys");
    assert_int_equal(json_array_size(skips), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(skips, 0), "rule")), 7);
    assert_int_equal(json_array_size(keys), 1);
    assert_string_equal(json_string_value(json_array_get(keys, 0)), fact_text(a, 0, "key"));
    assert_int_equal(json_array_size(json_object_get(json_array_get(skips, 1), "keys")), 0);
}

/* ---- what is refused ------------------------------------------------------------------------------ */

static void absurd_files_are_refused_one_by_one(void **state)
{
    struct asking *a = *state;
    char *longest = mem_new(301, 1);
    memset(longest, '1', 300);
    char *files = mem_format("{\"filename\": \"ab_c-%s.tar.gz\"}, {\"filename\": \"ab_c-1\\u0085.tar.gz\"},"
                             "{\"filename\": \"other-1.0.tar.gz\"},"
                             "{\"filename\": \"other-1.0-py3-none-any.whl\"},"
                             "{\"filename\": \"ab_c-1.0.tar.gz\\u0000\"},"
                             "{\"filename\": \"../ab_c-1.0.tar.gz\"},"
                             "{\"filename\": 7}, {}, 8, null, {\"filename\": \"ab_c-1.0.exe\"},"
                             "{\"filename\": \"ab_c-2.0.tar.gz\", \"size\": 99999999999999999999999}",
                             longest);
    ask_files(a, files);
    free(files);
    free(longest);
    assert_int_equal(a->error, 0);
    assert_int_equal(version_count(a), 1);
    assert_string_equal(fact_text(a, 0, "version"), "2.0");
    assert_int_equal(a->digest.refused, 11);
}

static void nulls_and_unknown_members_say_nothing(void **state)
{
    struct asking *a = *state;

    ask(a, "{\"meta\": {\"api-version\": \"1.9\", \"_new\": []}, \"name\": null, \"versions\": null, \"_other\": {\"files\": []}, \"files\": ["
           "{\"filename\": \"ab_c-1.0.tar.gz\", \"url\": null, \"hashes\": null, \"size\": null, \"upload-time\": null, \"yanked\": null, "
           "\"requires-python\": null, \"core-metadata\": null, \"provenance\": {\"filename\": \"ab_c-2.0.tar.gz\"}, \"gpg-sig\": 1}]}");
    assert_int_equal(a->error, 0);
    assert_int_equal(version_count(a), 1);
    assert_string_equal(fact_text(a, 0, "sdist"), "ab_c-1.0.tar.gz");
    assert_true(json_is_null(fact(a, 0, "sdist_sha256")) && json_is_null(fact(a, 0, "released")) && json_is_null(fact(a, 0, "uploaded")));
    assert_string_equal(fact_text(a, 0, "requires_python"), "");
    assert_true(json_is_false(fact(a, 0, "yanked")));
}

static void a_file_that_is_listed_twice_is_one(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\"}, {\"filename\": \"ab_c-1.0.zip\"}, {\"filename\": \"ab_c-1.0.tar.gz\"}");
    assert_int_equal(version_count(a), 1);
    assert_string_equal(fact_text(a, 0, "sdist"), "ab_c-1.0.tar.gz");
    assert_int_equal(json_array_size(fact(a, 0, "other_sdists")), 1);
    assert_string_equal(json_string_value(json_array_get(fact(a, 0, "other_sdists"), 0)), "ab_c-1.0.zip");
}

static void a_version_that_is_none_by_pep_440_is_kept_below_those_that_are(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-0.dev1.tar.gz\"}, {\"filename\": \"ab_c-bananas.tar.gz\"},"
                 "{\"filename\": \"ab_c-1.0_apples-py3-none-any.whl\"}");
    assert_int_equal(version_count(a), 3);
    assert_string_equal(fact_text(a, 0, "version"), "1.0-apples");
    assert_string_equal(fact_text(a, 1, "version"), "bananas");
    assert_string_equal(fact_text(a, 1, "sdist"), "ab_c-bananas.tar.gz");
    assert_string_equal(fact_text(a, 2, "version"), "0.dev1");
    assert_true(json_is_true(fact(a, 0, "legacy")) && json_is_true(fact(a, 1, "legacy")));
    assert_true(json_is_false(fact(a, 2, "legacy")));
    assert_int_equal(a->digest.refused, 0);
}

static void a_project_without_files_has_no_versions(void **state)
{
    struct asking *a = *state;

    ask_files(a, "");
    assert_int_equal(a->error, 0);
    assert_int_equal(version_count(a), 0);
}

static void what_is_no_page_is_asked_for_again_later(void **state)
{
    static const char *const pages[] = {
        "", "{", "[]", "null", "<html>", "{\"name\": \"ab-c\"}", "{\"name\": \"ab-c\", \"files\": {}}",
        "{\"name\": \"another\", \"files\": []}",
        "{\"meta\": {\"api-version\": \"2.0\"}, \"name\": \"ab-c\", \"files\": []}",
        "{\"name\": \"ab-c\", \"files\": [{\"filename\": \"ab_c-1.0.tar.gz\"}",
    };
    (void)state;

    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        void *own;
        setup(&own);
        struct asking *a = own;
        ask(a, pages[i]);
        assert_int_equal(a->error, -EAGAIN);
        assert_true(strlen(a->digest.reason) > 20);
        teardown(&own);
    }
}

/* ---- the project ---------------------------------------------------------------------------------- */

static void page_facts_are_kept(void **state)
{
    struct asking *a = *state;

    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\"}");
    assert_string_equal(text(a, "name"), "ab-c");
    assert_string_equal(text(a, "etag"), "\"e1\"");
    assert_int_equal(json_integer_value(json_object_get(a->answer, "serial")), 17);
    assert_true(json_real_value(json_object_get(a->answer, "refresh_s")) == 600.0);
}

static void a_page_without_files_has_no_etag_so_that_it_is_read_whole(void **state)
{
    struct asking *a = *state;

    ask_files(a, "");
    assert_string_equal(text(a, "etag"), "");
}

/* What is between the page's braces, and the status that it comes to; NULL: none. */
static const struct {
    const char *told, *status;
} statuses[] = {
    {"", NULL},
    {"\"project-status\": {\"status\": \"active\"},", "active"},
    {"\"project-status\": {\"status\": \"archived\", \"reason\": \"old\"},", "archived"},
    {"\"project-status\": {\"status\": \"deprecated\", \"reason\": null},", "deprecated"},
    {"\"project-status\": {\"status\": \"quarantined\", \"reason\": [[{}]]},", "quarantined"},
    {"\"project-status\": {\"status\": \"unheard of\"},", "active"},
    {"\"project-status\": {\"status\": \"Quarantined\"},", "active"},
    {"\"project-status\": {\"status\": \"\"},", "active"},
    {"\"project-status\": {\"status\": \"quarantined\\u0000\"},", NULL},
    {"\"project-status\": {\"status\": 7},", NULL},
    {"\"project-status\": {\"status\": [\"quarantined\"]},", NULL},
    {"\"project-status\": {\"reason\": \"why\"},", NULL},
    {"\"project-status\": \"quarantined\",", NULL},
    {"\"project-status\": null,", NULL},
    {"\"project-status\": [{\"status\": \"quarantined\"}],", NULL},
    {"\"status\": \"quarantined\",", NULL},
    {"\"meta\": {\"project-status\": {\"status\": \"quarantined\"}},", NULL},
    {"\"project-status\": {\"status\": \"quarantined\"}, \"project-status\": {\"status\": \"archived\"},", "archived"},
    {"\"project-status\": {\"status\": \"archived\", \"status\": \"quarantined\"},", "quarantined"},
};

static void the_projects_status_is_told_as_far_as_it_is_understood(void **state)
{
    struct asking *a = *state;

    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        struct asking own = {.request = a->request};
        char page[512];
        snprintf(page, sizeof page, "{%s \"name\": \"ab-c\", \"files\": []}", statuses[i].told);
        ask(&own, page);
        assert_int_equal(own.error, 0);
        if (statuses[i].status == NULL)
            assert_true(json_is_null(json_object_get(own.answer, "status")));
        else
            assert_string_equal(text(&own, "status"), statuses[i].status);
        own.targets = NULL;
        digest_release(&own.digest);
        json_decref(own.answer);
        buf_release(&own.page);
    }
}

static void a_status_that_is_absurdly_long_is_a_word_that_is_not_known(void **state)
{
    struct asking *a = *state;
    struct buf page;

    buf_init(&page, SIZE_MAX - 1);
    buf_adds(&page, "{\"files\": [], \"project-status\": {\"status\": \"quarantined");
    for (unsigned i = 0; i < 1000000; i++)
        buf_addc(&page, 'd');
    buf_adds(&page, "\"}}");
    ask(a, page.data);
    buf_release(&page);
    assert_int_equal(a->error, 0);
    assert_string_equal(text(a, "status"), "active");
}

static void a_release_that_is_listed_without_a_file_is_told(void **state)
{
    struct asking *a = *state;

    ask(a, "{\"files\": [{\"filename\": \"ab_c-1.0.tar.gz\"}], \"versions\":"
           " [\"1.0\", \"2.0\", 3, null, [\"4\"], \"5\\u0000\", \"6\\n\", \"v2.0.0\", \"\"]}");
    const json_t *listed = json_object_get(a->answer, "listed");
    const json_t *known = json_array_get(json_object_get(a->answer, "versions"), 0);
    assert_int_equal(json_array_size(json_object_get(a->answer, "versions")), 1);
    for (size_t i = 0; i < json_array_size(listed); i++)
        assert_string_not_equal(json_string_value(json_array_get(listed, i)), json_string_value(json_object_get(known, "key")));
    assert_true(json_array_size(listed) >= 2);
    assert_string_equal(json_string_value(json_array_get(listed, 0)), json_string_value(json_array_get(listed, 1)));
}

static void versions_that_are_no_list_are_none(void **state)
{
    struct asking *a = *state;

    ask(a, "{\"files\": [], \"versions\": {\"1.0\": 1}}");
    assert_int_equal(a->error, 0);
    assert_int_equal(json_array_size(json_object_get(a->answer, "listed")), 0);
}

static void an_unknown_serial_is_zero(void **state)
{
    struct asking *a = *state;

    a->request.serial = -1;
    ask_files(a, "");
    assert_int_equal(json_integer_value(json_object_get(a->answer, "serial")), 0);
}

static void an_etag_that_is_no_text_is_dropped(void **state)
{
    struct asking *a = *state;

    a->request.etag = "\xff";
    ask_files(a, "");
    assert_string_equal(text(a, "etag"), "");
}

static void the_display_name_is_how_somebody_spelt_it(void **state)
{
    struct asking *a = *state;

    a->request.spelling = "AB-C";
    ask(a, "{\"name\": \"ab-c\", \"files\": []}");
    assert_string_equal(text(a, "display"), "AB-C");
}

static void a_page_may_name_the_project(void **state)
{
    struct asking *a = *state;

    ask(a, "{\"name\": \"Ab_c\", \"files\": []}");
    assert_string_equal(text(a, "display"), "Ab_c");
}

/* ---- what the JSON API says ----------------------------------------------------------------------- */

/* Of the project ab-c. Release. */
static int ask_about(struct about *about, const char *answer)
{
    struct buf text;

    buf_init(&text, SIZE_MAX - 1);
    buf_adds(&text, answer);
    int error = about_read(&text, "ab-c", about);
    buf_release(&text);
    return error;
}

static void assert_about(const char *answer, const char *summary, const char *display)
{
    struct about about;

    assert_int_equal(ask_about(&about, answer), 0);
    assert_string_equal(about.summary, summary);
    assert_string_equal(about.display, display);
    about_release(&about);
}

static void the_json_api_tells_spelling_and_summary(void **state)
{
    assert_about("{\"info\": {\"name\": \"Ab.C\", \"summary\": \"s\"}}", "s", "Ab.C");
}

static void a_spelling_of_something_else_is_not_believed(void **state)
{
    assert_about("{\"info\": {\"name\": \"../../etc\", \"summary\": \"s\"}}", "s", "");
    assert_about("{\"info\": {\"name\": \"ab-c\\u0000\", \"summary\": \"s\"}}", "s", "");
}

static void a_summary_is_cleaned(void **state)
{
    assert_about("{\"info\": {\"summary\": \"two\\nlines\\u0000 and \\u001b[31mred\"}}", "two lines and [31mred", "");
}

static void a_null_summary_is_empty(void **state)
{
    assert_about("{\"info\": {\"summary\": null}}", "", "");
}

static void an_answer_without_info_is_no_summary(void **state)
{
    static const char *const answers[] = {"", "[1, 2", "{}", "{\"info\": 1}", "[]"};
    struct about about;

    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        assert_int_equal(ask_about(&about, answers[i]), -EPROTO);
        about_release(&about);
    }
}

/* `characters` times "ü" goes in. */
static void ask_summary(struct about *about, unsigned characters)
{
    struct buf answer;

    buf_init(&answer, SIZE_MAX - 1);
    buf_adds(&answer, "{\"info\": {\"summary\": \"");
    for (unsigned i = 0; i < characters; i++)
        buf_adds(&answer, "ü");
    buf_adds(&answer, "\"}}");
    assert_int_equal(ask_about(about, answer.data), 0);
    buf_release(&answer);
}

static void a_summary_of_two_hundred_characters_is_whole(void **state)
{
    struct about about;

    ask_summary(&about, 200);
    assert_int_equal(strlen(about.summary), 400);
    about_release(&about);
}

static void a_longer_summary_is_cut(void **state)
{
    struct about about;

    ask_summary(&about, 5000);
    assert_int_equal(strlen(about.summary), 199 * 2 + strlen("…"));
    assert_string_equal(about.summary + 199 * 2, "…");
    about_release(&about);
}

/* ---- what is asked for ---------------------------------------------------------------------------- */

static void a_bare_name_follows_and_wants_the_newest(void **state)
{
    struct asking *a = *state;

    ask_files(a, "");
    assert_string_equal(text(a, "follow"), "new");
    assert_string_equal(text(a, "want"), "newest");
}

static void all_follows_and_wants_everything(void **state)
{
    struct asking *a = *state;

    a->request.all = true;
    ask_files(a, "");
    assert_string_equal(text(a, "follow"), "all");
    assert_string_equal(text(a, "want"), "all");
    assert_null(json_object_get(a->answer, "known"));
}

static void a_comparison_wants_nothing(void **state)
{
    struct asking *a = *state;

    a->request.refresh = true;
    a->request.known = 16;
    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\"}");
    assert_int_equal(json_integer_value(json_object_get(a->answer, "known")), 16);
    assert_true(json_is_null(json_object_get(a->answer, "follow")));
    assert_true(json_is_null(json_object_get(a->answer, "want")));
}

static void a_version_is_found_in_any_spelling(void **state)
{
    struct asking *a = *state;

    a->request.version = "v1.0.0-RC1";
    ask_files(a, "{\"filename\": \"ab_c-1.0rc1.tar.gz\"}, {\"filename\": \"ab_c-2.0.tar.gz\"}");
    assert_int_equal(a->error, 0);
    assert_true(json_is_null(json_object_get(a->answer, "follow")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(a->answer, "want"), "key")),
                        fact_text(a, 0, "key"));
}

static void a_version_that_is_not_there_is_answered_with_the_newest(void **state)
{
    struct asking *a = *state;

    a->request.version = "7";
    ask_files(a, "{\"filename\": \"ab_c-1.0.tar.gz\"}, {\"filename\": \"ab_c-1.1.tar.gz\"},"
                 "{\"filename\": \"ab_c-1.2.tar.gz\"}, {\"filename\": \"ab_c-1.2-py3-none-any.whl\"},"
                 "{\"filename\": \"ab_c-1.10.tar.gz\"}");
    assert_int_equal(a->error, -ENOENT);
    assert_string_equal(a->digest.reason, "PyPI has no version 7 of ab-c; its newest are 1.10, 1.2, 1.1");
}

static void a_version_of_nothing_is_not_there(void **state)
{
    struct asking *a = *state;

    a->request.version = "7";
    ask_files(a, "");
    assert_int_equal(a->error, -ENOENT);
    assert_string_equal(a->digest.reason, "PyPI has no version 7 of ab-c");
}

/* ---- the follower's patience ---------------------------------------------------------------------- */

static void each_failure_in_a_row_waits_longer(void **state)
{
    (void)state;
    assert_int_equal(follower_back_off_ms(1000, 1, -1), 1000);
    assert_int_equal(follower_back_off_ms(1000, 2, -1), 2000);
    assert_int_equal(follower_back_off_ms(1000, 4, -1), 8000);
    assert_int_equal(follower_back_off_ms(1000, 400, -1), 16000);
}

static void retry_after_is_honoured(void **state)
{
    (void)state;
    assert_int_equal(follower_back_off_ms(1000, 1, 90000), 90000);
    assert_int_equal(follower_back_off_ms(1000, 3, 500), 4000);
}

static void no_wait_is_longer_than_a_day(void **state)
{
    (void)state;
    assert_int_equal(follower_back_off_ms(1000, 1, INT64_MAX), 86400000);
    assert_int_equal(follower_back_off_ms(UINT64_MAX, 9, -1), 86400000);
}

#define ASKING(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* ---- the changelog's pauses ----------------------------------------------------------------------- */

static void pauses_of_the_changelog_double_up_to_the_longest(void **state)
{
    assert_int_equal(changelog_back_off_ms(1000, 600000, 1), 1000);
    assert_int_equal(changelog_back_off_ms(1000, 600000, 2), 2000);
    assert_int_equal(changelog_back_off_ms(1000, 600000, 10), 512000);
    assert_int_equal(changelog_back_off_ms(1000, 600000, 11), 600000);
    assert_int_equal(changelog_back_off_ms(1000, 600000, 4000000000), 600000);
    assert_int_equal(changelog_back_off_ms(1000, 500, 1), 500);
}

static void the_limit_of_a_fault_tells_when_it_is_reset(void **state)
{
    static const struct {
        const char *fault;
        int64_t ms;
    } cases[] = {
        {"HTTPTooManyRequests: The action could not be performed because there were too many requests by the client. "
         "Limit may reset in 36 seconds.", 36000},
        {"Limit may reset in 1 second.", 1000},
        {"Limit may reset in 0 seconds.", 0},
        {"Limit may reset in 99999999999999999999 seconds.", 3600000},
        {"Limit may reset in -5 seconds.", -1},
        {"Limit may reset in a few seconds.", -1},
        {"Limit may reset in 5 parsecs.", -1},
        {"RuntimeError: no", -1},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(changelog_reset_ms(cases[i].fault), cases[i].ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASKING(files_are_gathered_by_version_in_its_order),
        ASKING(a_tar_gz_is_preferred_to_a_zip),
        ASKING(a_zip_is_taken_where_there_is_no_other),
        ASKING(a_version_of_wheels_only_has_no_sdist),
        ASKING(a_hash_that_is_none_is_unknown),
        ASKING(the_release_is_the_earliest_upload),
        ASKING(an_upload_time_that_is_none_is_unknown),
        ASKING(a_version_is_yanked_when_all_of_its_files_are),
        ASKING(prereleases_are_told),
        ASKING(a_wheels_underscore_stands_for_a_hyphen),
        ASKING(requires_python_is_the_sdists),
        ASKING(without_one_it_is_a_wheels),
        ASKING(targets_that_it_excludes_are_not_applicable),
        ASKING(each_rule_of_skips_tells_the_versions_that_its_specifier_fits),
        ASKING(the_sixty_fourth_target_has_the_sign_bit),
        ASKING(absurd_files_are_refused_one_by_one),
        ASKING(nulls_and_unknown_members_say_nothing),
        ASKING(a_file_that_is_listed_twice_is_one),
        ASKING(a_version_that_is_none_by_pep_440_is_kept_below_those_that_are),
        ASKING(a_project_without_files_has_no_versions),
        cmocka_unit_test(what_is_no_page_is_asked_for_again_later),
        ASKING(page_facts_are_kept),
        ASKING(a_page_without_files_has_no_etag_so_that_it_is_read_whole),
        ASKING(the_projects_status_is_told_as_far_as_it_is_understood),
        ASKING(a_status_that_is_absurdly_long_is_a_word_that_is_not_known),
        ASKING(a_release_that_is_listed_without_a_file_is_told),
        ASKING(versions_that_are_no_list_are_none),
        ASKING(an_unknown_serial_is_zero),
        ASKING(an_etag_that_is_no_text_is_dropped),
        ASKING(the_display_name_is_how_somebody_spelt_it),
        ASKING(a_page_may_name_the_project),
        cmocka_unit_test(the_json_api_tells_spelling_and_summary),
        cmocka_unit_test(a_spelling_of_something_else_is_not_believed),
        cmocka_unit_test(a_summary_is_cleaned),
        cmocka_unit_test(a_null_summary_is_empty),
        cmocka_unit_test(an_answer_without_info_is_no_summary),
        cmocka_unit_test(a_summary_of_two_hundred_characters_is_whole),
        cmocka_unit_test(a_longer_summary_is_cut),
        ASKING(a_bare_name_follows_and_wants_the_newest),
        ASKING(all_follows_and_wants_everything),
        ASKING(a_comparison_wants_nothing),
        ASKING(a_version_is_found_in_any_spelling),
        ASKING(a_version_that_is_not_there_is_answered_with_the_newest),
        ASKING(a_version_of_nothing_is_not_there),
        cmocka_unit_test(each_failure_in_a_row_waits_longer),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(no_wait_is_longer_than_a_day),
        cmocka_unit_test(pauses_of_the_changelog_double_up_to_the_longest),
        cmocka_unit_test(the_limit_of_a_fault_tells_when_it_is_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
