/*
 * The pages for people, held against golden files (test/unit/golden), and what puts them together. After a change
 * that is meant PIW_TEST_GOLDEN=write makes the files anew; they are then read before they are committed.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/web/home.h"
#include "../../src/web/html.h"
#include "../../src/web/project.h"
#include "../../src/web/tree.h"
#include "core/memory.h"
#include "core/text.h"
#include "io/fs.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SITE "https://wheels.example.org"
#define HOSTILE "</title><script>alert(\"1\")</script>'&"

/* ---- helpers -------------------------------------------------------------------------------------- */

/* The facts are no constants, but nobody here writes to them. */
#define FACT(text) ((char *)(text))

static void assert_golden(const char *name, struct buf *page)
{
    char path[512], *expected;
    const char *mode = getenv("PIW_TEST_GOLDEN");
    size_t len;

    assert_false(page->full);
    snprintf(path, sizeof path, "%s/%s", TEST_GOLDEN, name);
    if (mode != NULL && strcmp(mode, "write") == 0) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(page->data, 1, page->len, file), page->len);
        assert_int_equal(fclose(file), 0);
    }
    assert_int_equal(fs_read(path, 1 << 20, &expected, &len), 0);
    assert_string_equal(page->data, expected);
    free(expected);
    buf_release(page);
}

static unsigned occurrences(const char *text, const char *of)
{
    unsigned count = 0;
    for (; (text = strstr(text, of)) != NULL; text += strlen(of))
        count++;
    return count;
}

/* ---- facts ---------------------------------------------------------------------------------------- */

static struct db_project_target two_targets[] = {
    {FACT("pi4"), FACT("cp311"), FACT("linux_armv7l"), FACT("Debian 12")},
    {FACT("riscv"), FACT("cp313"), FACT("linux_riscv64"), FACT("")},
};

static struct db_project_state built_failed[] = {
    {FACT("built"), FACT("a wheel is published")}, {FACT("failed"), FACT("compiler: no <immintrin.h>")}};
static struct db_project_state waiting[] = {
    {FACT("queued"), FACT("waits for a slave")}, {FACT("waiting"), FACT("another target is tried first")}};
static struct db_project_state unwanted[] = {
    {FACT("not wanted"), FACT("nobody asked for this version")}, {FACT("not wanted"), FACT("nobody asked for this version")}};

static struct db_project_file files[] = {
    {.name = FACT("ab_c-1.0-cp311-cp311-linux_armv7l.whl"), .requires_python = FACT(">=3.8"), .apt = FACT("libffi8\nlibssl3\n"),
     .pip = FACT("pycparser\n"), .size_bytes = 401234, .sha256 = SHA, .glibc = "2.34", .armv6 = true, .was_native = true,
     .place = FACT("simple")},
};
static struct db_project_build builds[] = {
    {.id = 16011502, .target = 0, .outcome = "success", .logged = true, .record = FACT("{\"build\": 16011502}")},
    {.id = 1503, .target = 1, .outcome = "failed", .logged = true, .record = FACT("{\"build\": 1503}")},
    {.id = 1501, .target = 1, .outcome = "failed", .logged = true, .record = FACT("{\"build\": 1501}")},
    {.id = 1500, .target = 1, .outcome = "failed", .logged = false, .record = FACT("{\"build\": 1500}")},
};

static struct db_release releases[] = {
    {.version = FACT("1.1rc1"), .yanked_reason = FACT(""), .requires_python = FACT(""), .skip = FACT(""),
     .released = "2026-02-01 10:00:00", .prerelease = true, .states = waiting},
    {.version = FACT("1.0"), .yanked_reason = FACT("broke <i>things</i>"), .requires_python = FACT(">=3.8"), .skip = FACT(""),
     .released = "2026-01-31 14:05:09", .yanked = true, .states = built_failed, .file_count = 1, .build_count = 4,
     .files = files, .builds = builds},
    {.version = FACT("0.9"), .yanked_reason = FACT(""), .requires_python = FACT(""), .skip = FACT("too old"), .states = unwanted},
};

static struct db_project_page whole_project(void)
{
    return (struct db_project_page){
        .display = FACT("Ab.C"), .summary = FACT("Ab & C <for all>"), .status = FACT("archived"), .target_count = 2, .release_count = 3,
        .targets = two_targets, .releases = releases, .files = files, .builds = builds,
        .file_count = 1, .build_count = 4};
}

/* ---- markup --------------------------------------------------------------------------------------- */

static void texts_are_escaped_and_numbers_are_not_changed(void **state)
{
    struct buf to;

    buf_init(&to, 1024);
    html_add(&to, "<a title=\"%s\">%s</a> %d %u %lld %" PRIu64 " %zu 100%%", "\"'", "<&>", -1, 2u, -3LL,
             UINT64_C(18446744073709551615), (size_t)5);
    assert_string_equal(to.data, "<a title=\"&quot;&#39;\">&lt;&amp;&gt;</a> -1 2 -3 18446744073709551615 5 100%");
    buf_release(&to);
}

static void addresses_hold_nothing_but_what_is_plain(void **state)
{
    struct buf to;

    buf_init(&to, 1024);
    html_add_url(&to, "a+b/../\"<é");
    assert_string_equal(to.data, "a%2Bb%2F..%2F%22%3C%C3%A9");
    buf_release(&to);
}

static void sizes_are_rounded_to_what_people_read(void **state)
{
    static const struct { uint64_t bytes; const char *text; } cases[] = {
        {0, "0 bytes"}, {999, "999 bytes"}, {1000, "1.0 kB"}, {1449, "1.4 kB"}, {1450, "1.5 kB"},
        {999949, "999.9 kB"}, {999950, "1.0 MB"}, {3210000000, "3.2 GB"}, {UINT64_MAX, "18446.7 PB"},
    };

    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        struct buf to;
        buf_init(&to, 64);
        html_add_size(&to, cases[i].bytes);
        assert_string_equal(to.data, cases[i].text);
        buf_release(&to);
    }
}

static void long_numbers_are_grouped(void **state)
{
    struct buf to;

    buf_init(&to, 64);
    html_add_count(&to, 999);
    html_add_count(&to, 1002003);
    assert_string_equal(to.data, "9991\u202f002\u202f003");
    buf_release(&to);
}

/* ---- a package ------------------------------------------------------------------------------------ */

static void a_project_page_tells_everything_that_is_known(void **state)
{
    struct db_project_page facts = whole_project();
    struct buf page;

    buf_init(&page, 1 << 20);
    project_html(&page, "ab-c", &facts, "");
    assert_golden("project.html", &page);
}

static void the_json_tells_it_to_programs(void **state)
{
    struct db_project_page facts = whole_project();
    struct buf page;

    buf_init(&page, 1 << 20);
    project_json(&page, "ab-c", &facts, SITE);
    assert_golden("project.json", &page);
}

static void addresses_in_the_json_are_relative_where_the_site_has_no_known_url(void **state)
{
    struct db_project_page facts = whole_project();
    struct buf page;

    buf_init(&page, 1 << 20);
    project_json(&page, "ab-c", &facts, "");
    assert_non_null(strstr(page.data, "\"piwheels_url\": \"../../../project/ab-c/\""));
    assert_non_null(strstr(page.data, "\"file_url\": \"../../../simple/ab-c/ab_c-1.0-cp311-cp311-linux_armv7l.whl\""));
    buf_release(&page);
}

static void the_command_has_the_url_of_the_site_where_it_is_known(void **state)
{
    struct db_project_page facts = whole_project();
    struct buf page;

    buf_init(&page, 1 << 20);
    project_html(&page, "ab-c", &facts, SITE);
    assert_non_null(strstr(page.data, "<code>pip install --extra-index-url " SITE "/simple ab-c</code>"));
    assert_null(strstr(page.data, "<script>"));
    buf_release(&page);
}

static void a_package_without_a_file_says_so_and_why(void **state)
{
    struct db_project_page facts = whole_project();
    struct buf page;

    facts.file_count = 0;
    facts.release_count = 1;
    buf_init(&page, 1 << 20);
    project_html(&page, "ab-c", &facts, "");
    assert_non_null(strstr(page.data, "There is no wheel of it here."));
    assert_non_null(strstr(page.data, "another target is tried first"));
    assert_null(strstr(page.data, "pip install"));
    assert_null(strstr(page.data, "simple/ab-c"));
    facts.release_count = 0;
    buf_clear(&page);
    project_html(&page, "ab-c", &facts, "");
    assert_non_null(strstr(page.data, "PyPI has no release of it."));
    buf_release(&page);
}

static void show_without_files(struct buf *page, struct db_project_state states[2])
{
    struct db_project_page facts = whole_project();

    facts.releases[0].states = states;
    facts.releases[0].file_count = facts.releases[0].build_count = 0;
    facts.file_count = 0;
    facts.release_count = 1;
    buf_init(page, 1 << 20);
    project_html(page, "ab-c", &facts, "");
}

static void what_pypi_covers_is_told_to_come_from_there(void **state)
{
    struct db_project_state covered[] = {
        {FACT("covered"), FACT("PyPI itself has a wheel that fits: py3-none-any")}, {FACT("queued"), FACT("")}};
    struct db_release before = releases[0];
    struct buf page;

    show_without_files(&page, covered);
    releases[0] = before;
    assert_non_null(strstr(page.data, "pip takes it from there, with this site or without."));
    assert_non_null(strstr(page.data, "<span class=\"state good\"><span aria-hidden=\"true\">✓</span> on PyPI</span>"));
    assert_non_null(strstr(page.data, "PyPI itself has a wheel that fits: py3-none-any"));
    buf_release(&page);
}

static void what_pypi_has_quarantined_is_told_and_not_offered(void **state)
{
    struct db_project_state held[] = {{FACT("quarantined"), FACT("PyPI has quarantined it")},
                                      {FACT("quarantined"), FACT("PyPI has quarantined it")}};
    struct db_release before = releases[0];
    struct buf page;

    show_without_files(&page, held);
    releases[0] = before;
    assert_non_null(strstr(page.data, "PyPI has quarantined it, so nothing of it is offered"));
    assert_non_null(strstr(page.data, "</span> quarantined</span>"));
    assert_null(strstr(page.data, "pip install"));
    buf_release(&page);
}

static void a_page_without_targets_says_so(void **state)
{
    struct db_project_page facts = whole_project();
    struct buf page;

    facts.target_count = facts.file_count = 0;
    releases[1].file_count = releases[1].build_count = 0;
    buf_init(&page, 1 << 20);
    project_html(&page, "ab-c", &facts, "");
    releases[1].file_count = 1;
    releases[1].build_count = 4;
    assert_non_null(strstr(page.data, "does not build for any target yet"));
    buf_release(&page);
}

static void nothing_that_others_wrote_becomes_markup(void **state)
{
    struct db_project_state states[] = {{FACT("failed"), FACT(HOSTILE)}, {FACT(HOSTILE), FACT(HOSTILE)}};
    struct db_project_target targets[] = {{FACT(HOSTILE), FACT(HOSTILE), FACT(HOSTILE), FACT(HOSTILE)},
                                          {FACT(HOSTILE), FACT(HOSTILE), FACT(HOSTILE), FACT(HOSTILE)}};
    struct db_project_file file = {.name = FACT(HOSTILE), .requires_python = FACT(HOSTILE), .apt = FACT(HOSTILE "\n"),
                                   .pip = FACT(""), .sha256 = SHA, .place = FACT(HOSTILE)};
    struct db_release release = {.version = FACT(HOSTILE), .yanked_reason = FACT(HOSTILE), .yanked = true,
                                 .requires_python = FACT(HOSTILE), .skip = FACT(HOSTILE), .states = states,
                                 .file_count = 1, .files = &file};
    struct db_project_page facts = {.display = FACT(HOSTILE), .summary = FACT(HOSTILE), .status = FACT(HOSTILE), .target_count = 2,
                                    .release_count = 1, .targets = targets, .releases = &release,
                                    .file_count = 1};
    struct buf page;

    buf_init(&page, 1 << 20);
    project_html(&page, HOSTILE, &facts, HOSTILE);
    assert_int_equal(occurrences(page.data, "<script>"), 0);
    assert_int_equal(occurrences(page.data, "</title>"), 1);
    assert_int_equal(occurrences(page.data, "alert(\""), 0);
    buf_clear(&page);
    project_json(&page, HOSTILE, &facts, HOSTILE);
    assert_int_equal(occurrences(page.data, "alert(\"1"), 0);
    buf_release(&page);
}

static void a_long_reason_is_cut_on_a_character(void **state)
{
    struct db_project_page facts = whole_project();
    struct db_project_state states[] = {{FACT("failed"), NULL}, {FACT("built"), FACT("")}};
    struct db_release release = releases[0];
    char reason[801] = "";
    struct buf page;

    for (unsigned i = 0; i < 400; i++)
        strcat(reason, "é");
    states[0].reason = reason;
    release.states = states;
    facts.releases = &release;
    facts.release_count = 1;
    buf_init(&page, 1 << 20);
    project_html(&page, "ab-c", &facts, "");
    assert_int_equal(occurrences(page.data, "é"), 149);
    assert_non_null(strstr(page.data, "é…"));
    assert_true(text_is_utf8(page.data, page.len));
    buf_release(&page);
}

static void older_releases_are_folded_away(void **state)
{
    enum { MANY = 2000 };
    struct db_project_page facts = whole_project();
    struct db_release *many = mem_new(MANY, sizeof *many);
    struct buf page;

    for (unsigned i = 0; i < MANY; i++)
        many[i] = releases[1];
    facts.releases = many;
    facts.release_count = MANY;
    buf_init(&page, 16 << 20);
    project_html(&page, "ab-c", &facts, "");
    assert_false(page.full);
    assert_non_null(strstr(page.data, "<summary>1990 older releases</summary>"));
    assert_int_equal(occurrences(page.data, "<tbody>"), MANY);
    buf_release(&page);
    free(many);
}

/* ---- the front page ------------------------------------------------------------------------------- */

static void the_front_page_tells_how_the_farm_does(void **state)
{
    struct db_home_target targets[] = {
        {.name = FACT("pi4"), .abi = FACT("cp311"), .platform = FACT("linux_armv7l"), .label = FACT("Debian 12"),
         .queued = 10000, .building = 3},
        {.name = FACT("old"), .abi = FACT("cp37"), .platform = FACT("linux_armv6l"), .label = FACT(""),
         .skipped = true},
    };
    struct db_home_build newest[] = {
        {.id = 3, .package = FACT("ab-c"), .version = FACT("1.0"), .target = FACT("pi4"),
         .finished = "2026-01-31 14:05:09", .outcome = "success", .wall_ms = 48499, .logged = true},
        {.id = 2, .package = FACT("ab-c"), .version = FACT("<0.9>"), .target = FACT("pi4"),
         .finished = "2026-01-31 14:04:09", .outcome = "failed", .wall_ms = 500, .logged = true},
        {.id = 1, .package = FACT("x"), .version = FACT("1"), .target = FACT("pi4"),
         .finished = "2026-01-31 14:03:09", .outcome = "farm"},
    };
    struct db_home facts = {.packages = 12345, .versions = 100000, .files = 250000, .size_bytes = 1234567890123,
                            .hour = {40, 2, 1}, .day = {900, 30, 5}, .ever = {100000, 5000, 7},
                            .now = "2026-01-31 14:06:00", .target_count = 2, .build_count = 3, .targets = targets,
                            .builds = newest};
    struct buf page;

    buf_init(&page, 1 << 20);
    home_html(&page, &facts, SITE);
    assert_golden("home.html", &page);
}

static void the_front_page_of_an_empty_farm_says_that_it_is_empty(void **state)
{
    struct db_home facts = {.now = "2026-01-31 14:06:00"};
    struct buf page;

    buf_init(&page, 1 << 20);
    home_html(&page, &facts, "");
    assert_non_null(strstr(page.data, "Nothing has been built yet."));
    assert_non_null(strstr(page.data, "There is none yet."));
    assert_non_null(strstr(page.data, "data-index=\"simple\""));
    buf_release(&page);
}

static void the_page_for_what_is_not_there_needs_no_other_file(void **state)
{
    struct buf page;

    buf_init(&page, 1 << 20);
    home_missing_html(&page);
    assert_int_equal(occurrences(page.data, "<link"), 0);
    assert_int_equal(occurrences(page.data, "src="), 0);
    assert_non_null(strstr(page.data, "prefers-color-scheme: dark"));
    buf_release(&page);
}

/* ---- the tree ------------------------------------------------------------------------------------- */

static int make_tree(void **state)
{
    *state = mem_text("/tmp/piwheels-pages-XXXXXX");
    return mkdtemp(*state) == NULL;
}

static int remove_tree(void **state)
{
    int error = fs_remove_tree(*state);
    free(*state);
    return error;
}

static bool in_tree(const char *output, const char *place)
{
    char path[512];
    struct stat status;

    snprintf(path, sizeof path, "%s/%s", output, place);
    return lstat(path, &status) == 0;
}

static void a_project_has_its_page_its_json_and_its_other_spellings(void **state)
{
    struct db_project_page facts = whole_project();
    char *aliases[] = {FACT("Ab.C"), FACT("../evil"), FACT("other")};
    struct tree_trouble trouble;

    facts.aliases = aliases;
    facts.alias_count = 3;
    assert_int_equal(tree_write_project(*state, "ab-c", &facts, "", &trouble), 0);
    assert_true(in_tree(*state, "project/ab-c/index.html"));
    assert_true(in_tree(*state, "project/ab-c/index.html.gz"));
    assert_true(in_tree(*state, "project/Ab.C/json/index.json.gz"));
    assert_true(in_tree(*state, "project/ab-c/json/index.json"));
    assert_false(in_tree(*state, "evil"));
    assert_false(in_tree(*state, "project/other"));
}

static void the_pages_of_a_package_that_is_no_more_go(void **state)
{
    struct db_project_page facts = whole_project(), gone = {0};
    struct tree_trouble trouble;

    assert_int_equal(tree_write_project(*state, "ab-c", &facts, "", &trouble), 0);
    assert_int_equal(tree_write_project(*state, "ab-c", &gone, "", &trouble), 0);
    assert_false(in_tree(*state, "project/ab-c"));
    assert_int_equal(tree_write_project(*state, "ab-c", &gone, "", &trouble), 0);
}

static void the_front_page_comes_with_its_style_and_the_missing_page(void **state)
{
    struct db_home facts = {.now = "2026-01-31 14:06:00"};
    struct tree_trouble trouble;

    assert_int_equal(tree_write_home(*state, &facts, "", &trouble), 0);
    assert_true(in_tree(*state, "index.html.gz"));
    assert_true(in_tree(*state, "style.css"));
    assert_true(in_tree(*state, "404.html"));
}

static void assert_names(const char *output, const char *place, const char *words)
{
    char path[512], *text;
    size_t len;

    snprintf(path, sizeof path, "%s/%s", output, place);
    assert_int_equal(fs_read(path, 65536, &text, &len), 0);
    assert_non_null(strstr(text, words));
    free(text);
}

/* Both are stale, and which is written first is a matter of chance. */
static void a_targets_list_names_what_is_apart_whether_it_or_the_packages_page_is_written_first(void **state)
{
    struct db_index_file file = {.name = FACT("ab_c-1-py3-none-any.whl"), .version = FACT("1"), .requires_python = FACT(""),
                                 .yanked_reason = FACT(""), .place = FACT("trixie/wheels"), .home = FACT("trixie"),
                                 .seen_by = FACT("trixie\n"), .sha256 = SHA, .metadata_sha256 = SHA};
    struct db_index index = {.display = FACT("ab-c"), .count = 1, .files = &file};
    struct db_root_item item = {.name = FACT("ab-c"), .display = FACT("ab-c"), .seen_by = FACT("trixie\n")};
    struct db_root root = {.count = 1, .items = &item};
    struct db_targets *targets = mem_new(1, sizeof *targets);
    struct tree_trouble trouble;
    char simple[512];

    targets->count = 2;
    strcpy(targets->items[0].name, "trixie");
    strcpy(targets->items[1].name, "bookworm");
    for (int root_first = 0; root_first < 2; root_first++) {
        assert_int_equal(fs_remove_tree(*state), 0);
        snprintf(simple, sizeof simple, "%s/simple", (const char *)*state);
        assert_int_equal(fs_make_dirs(simple, 0755), 0);
        if (root_first)
            assert_int_equal(tree_write_root(*state, &root, targets, &trouble), 0);
        assert_int_equal(tree_write_package(*state, "ab-c", &index, targets, &trouble), 0);
        if (!root_first)
            assert_int_equal(tree_write_root(*state, &root, targets, &trouble), 0);
        assert_names(*state, "trixie/simple/index.html", "href=\"ab-c/\"");
        assert_names(*state, "trixie/simple/ab-c/index.html", "ab_c-1-py3-none-any.whl");
        assert_false(in_tree(*state, "bookworm/simple/ab-c"));
    }
    free(targets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_escaped_and_numbers_are_not_changed),
        cmocka_unit_test(addresses_hold_nothing_but_what_is_plain),
        cmocka_unit_test(sizes_are_rounded_to_what_people_read),
        cmocka_unit_test(long_numbers_are_grouped),
        cmocka_unit_test(a_project_page_tells_everything_that_is_known),
        cmocka_unit_test(the_json_tells_it_to_programs),
        cmocka_unit_test(addresses_in_the_json_are_relative_where_the_site_has_no_known_url),
        cmocka_unit_test(the_command_has_the_url_of_the_site_where_it_is_known),
        cmocka_unit_test(a_package_without_a_file_says_so_and_why),
        cmocka_unit_test(what_pypi_covers_is_told_to_come_from_there),
        cmocka_unit_test(what_pypi_has_quarantined_is_told_and_not_offered),
        cmocka_unit_test(a_page_without_targets_says_so),
        cmocka_unit_test(nothing_that_others_wrote_becomes_markup),
        cmocka_unit_test(a_long_reason_is_cut_on_a_character),
        cmocka_unit_test(older_releases_are_folded_away),
        cmocka_unit_test(the_front_page_tells_how_the_farm_does),
        cmocka_unit_test(the_front_page_of_an_empty_farm_says_that_it_is_empty),
        cmocka_unit_test(the_page_for_what_is_not_there_needs_no_other_file),
        cmocka_unit_test_setup_teardown(a_project_has_its_page_its_json_and_its_other_spellings, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(the_pages_of_a_package_that_is_no_more_go, make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(a_targets_list_names_what_is_apart_whether_it_or_the_packages_page_is_written_first, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(the_front_page_comes_with_its_style_and_the_missing_page, make_tree, remove_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
