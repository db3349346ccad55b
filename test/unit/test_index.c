/*
 * The pages of the index, byte for byte, and their place in the tree.
 */
#include <errno.h>
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

#include "../../src/web/index.h"
#include "../../src/web/tree.h"
#include "core/memory.h"
#include "io/fs.h"

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define META "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#define HTML_HEAD(title)                                                      \
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" \
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" \
    "<meta name=\"pypi:repository-version\" content=\"1.1\">\n"               \
    "<title>" title "</title>\n</head>\n<body>\n<h1>" title "</h1>\n"
#define HTML_TAIL "</body>\n</html>\n"
#define JSON_HEAD "{\"meta\": {\"api-version\": \"1.1\"}, "

static const struct db_targets no_targets;

/* ---- facts ---------------------------------------------------------------------------------------- */

/* The facts are no constants, but nobody here writes to them. */
static char *fact(const char *text)
{
    return (char *)text;
}

static struct db_index_file plain_file(const char *name, const char *version)
{
    return (struct db_index_file){.name = fact(name), .version = fact(version), .requires_python = fact(""),
                                  .yanked_reason = fact(""), .size_bytes = 10, .sha256 = SHA, .place = fact("simple")};
}

static struct db_index one_file(struct db_index_file *file)
{
    return (struct db_index){.display = fact("Ab.C"), .count = 1, .files = file};
}

static void assert_html(const struct db_index *facts, const char *expected)
{
    struct buf page;

    buf_init(&page, 65536);
    index_package_html(&page, "ab-c", facts, NULL);
    assert_string_equal(page.data, expected);
    buf_release(&page);
}

static void assert_json(const struct db_index *facts, const char *expected)
{
    struct buf page;

    buf_init(&page, 65536);
    index_package_json(&page, "ab-c", facts, NULL);
    assert_string_equal(page.data, expected);
    buf_release(&page);
}

/* ---- pages of a package --------------------------------------------------------------------------- */

static void a_page_names_the_file_and_its_hash(void **state)
{
    struct db_index_file file = plain_file("ab_c-1.0-py3-none-any.whl", "1.0");
    struct db_index facts = one_file(&file);

    assert_html(&facts, HTML_HEAD("Links for Ab.C")
                "<a href=\"ab_c-1.0-py3-none-any.whl#sha256=" SHA "\">ab_c-1.0-py3-none-any.whl</a><br>\n"
                HTML_TAIL);
    assert_json(&facts, JSON_HEAD "\"name\": \"ab-c\", \"versions\": [\"1.0\"], \"files\": [\n"
                "{\"filename\": \"ab_c-1.0-py3-none-any.whl\", \"url\": \"ab_c-1.0-py3-none-any.whl\", "
                "\"hashes\": {\"sha256\": \"" SHA "\"}, \"size\": 10, \"yanked\": false}\n]}\n");
}

static void everything_that_is_known_is_told(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);

    file.requires_python = fact(">=3.7, <4");
    file.size_bytes = UINT64_C(3000000000);
    strcpy(file.metadata_sha256, META);
    strcpy(file.uploaded, "2026-01-31T14:05:09.123456Z");
    assert_html(&facts, HTML_HEAD("Links for Ab.C")
                "<a href=\"a-1-py3-none-any.whl#sha256=" SHA "\" data-requires-python=\"&gt;=3.7, &lt;4\""
                " data-core-metadata=\"sha256=" META "\" data-dist-info-metadata=\"sha256=" META "\">"
                "a-1-py3-none-any.whl</a><br>\n" HTML_TAIL);
    assert_json(&facts, JSON_HEAD "\"name\": \"ab-c\", \"versions\": [\"1\"], \"files\": [\n"
                "{\"filename\": \"a-1-py3-none-any.whl\", \"url\": \"a-1-py3-none-any.whl\", "
                "\"hashes\": {\"sha256\": \"" SHA "\"}, \"size\": 3000000000, "
                "\"upload-time\": \"2026-01-31T14:05:09.123456Z\", \"requires-python\": \">=3.7, <4\", "
                "\"yanked\": false, \"core-metadata\": {\"sha256\": \"" META "\"}}\n]}\n");
}

static void a_yanked_file_gives_its_reason(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);

    file.yanked = true;
    file.yanked_reason = fact("it \"leaks\"");
    assert_html(&facts, HTML_HEAD("Links for Ab.C")
                "<a href=\"a-1-py3-none-any.whl#sha256=" SHA "\" data-yanked=\"it &quot;leaks&quot;\">"
                "a-1-py3-none-any.whl</a><br>\n" HTML_TAIL);
    assert_json(&facts, JSON_HEAD "\"name\": \"ab-c\", \"versions\": [\"1\"], \"files\": [\n"
                "{\"filename\": \"a-1-py3-none-any.whl\", \"url\": \"a-1-py3-none-any.whl\", "
                "\"hashes\": {\"sha256\": \"" SHA "\"}, \"size\": 10, "
                "\"yanked\": \"it \\\"leaks\\\"\"}\n]}\n");
}

static void a_file_yanked_without_a_reason_is_yanked(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);

    file.yanked = true;
    assert_html(&facts, HTML_HEAD("Links for Ab.C") "<a href=\"a-1-py3-none-any.whl#sha256=" SHA
                "\" data-yanked=\"\">a-1-py3-none-any.whl</a><br>\n" HTML_TAIL);
    assert_json(&facts, JSON_HEAD "\"name\": \"ab-c\", \"versions\": [\"1\"], \"files\": [\n"
                "{\"filename\": \"a-1-py3-none-any.whl\", \"url\": \"a-1-py3-none-any.whl\", "
                "\"hashes\": {\"sha256\": \"" SHA "\"}, \"size\": 10, \"yanked\": true}\n]}\n");
}

static void a_reason_without_a_yank_is_not_told(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);

    file.yanked_reason = fact("it was yanked once");
    assert_html(&facts, HTML_HEAD("Links for Ab.C") "<a href=\"a-1-py3-none-any.whl#sha256=" SHA
                "\">a-1-py3-none-any.whl</a><br>\n" HTML_TAIL);
}

static void hostile_values_stay_values(void **state)
{
    struct db_index_file file = plain_file("\"><script>&'+ü%/..", "1\"\n");
    struct db_index facts = one_file(&file);

    facts.display = fact("</title><script>");
    file.requires_python = fact("\"><img src=x onerror='alert(1)'>");
    file.yanked = true;
    file.yanked_reason = fact("\\\" onclick=\"x\" \x01");
    assert_html(&facts, HTML_HEAD("Links for &lt;/title&gt;&lt;script&gt;")
                "<a href=\"%22%3E%3Cscript%3E%26%27%2B%C3%BC%25%2F..#sha256=" SHA "\""
                " data-requires-python=\"&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;\""
                " data-yanked=\"\\&quot; onclick=&quot;x&quot; \x01\">"
                "&quot;&gt;&lt;script&gt;&amp;&#39;+ü%/..</a><br>\n" HTML_TAIL);
    assert_json(&facts, JSON_HEAD "\"name\": \"ab-c\", \"versions\": [\"1\\\"\\n\"], \"files\": [\n"
                "{\"filename\": \"\\\"><script>&'+ü%/..\", "
                "\"url\": \"%22%3E%3Cscript%3E%26%27%2B%C3%BC%25%2F..\", "
                "\"hashes\": {\"sha256\": \"" SHA "\"}, \"size\": 10, "
                "\"requires-python\": \"\\\"><img src=x onerror='alert(1)'>\", "
                "\"yanked\": \"\\\\\\\" onclick=\\\"x\\\" \\u0001\"}\n]}\n");
}

static void a_local_versions_plus_is_escaped_in_links_only(void **state)
{
    struct db_index_file file = plain_file("a-1+local.2-py3-none-any.whl", "1+local.2");
    struct db_index facts = one_file(&file);

    assert_html(&facts, HTML_HEAD("Links for Ab.C") "<a href=\"a-1%2Blocal.2-py3-none-any.whl#sha256=" SHA
                "\">a-1+local.2-py3-none-any.whl</a><br>\n" HTML_TAIL);
}

static void files_keep_their_order_and_versions_are_told_once(void **state)
{
    struct db_index_file files[] = {plain_file("a-1.9-b.whl", "1.9"), plain_file("a-1.9-c.whl", "1.9"),
                                    plain_file("a-1.10-a.whl", "1.10")};
    struct db_index facts = {.display = fact("a"), .count = 3, .files = files};

    assert_html(&facts, HTML_HEAD("Links for a")
                "<a href=\"a-1.9-b.whl#sha256=" SHA "\">a-1.9-b.whl</a><br>\n"
                "<a href=\"a-1.9-c.whl#sha256=" SHA "\">a-1.9-c.whl</a><br>\n"
                "<a href=\"a-1.10-a.whl#sha256=" SHA "\">a-1.10-a.whl</a><br>\n" HTML_TAIL);
    struct buf page;
    buf_init(&page, 65536);
    index_package_json(&page, "a", &facts, NULL);
    assert_non_null(strstr(page.data, "\"versions\": [\"1.9\", \"1.10\"], "));
    buf_release(&page);
}

static void equal_facts_give_equal_bytes(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    struct buf first, second;

    buf_init(&first, 65536);
    buf_init(&second, 65536);
    index_package_json(&first, "a", &facts, NULL);
    index_package_json(&second, "a", &facts, NULL);
    assert_string_equal(first.data, second.data);
    buf_release(&first);
    buf_release(&second);
}

static void a_page_beyond_the_buffer_fills_it(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    struct buf page;

    buf_init(&page, 100);
    index_package_html(&page, "a", &facts, NULL);
    assert_true(page.full);
    buf_release(&page);
}

/* ---- the list of all packages --------------------------------------------------------------------- */

static struct db_root two_packages(void)
{
    struct db_root root = {.count = 2, .items = mem_new(2, sizeof *root.items)};
    root.items[0].name = fact("ab-c");
    root.items[0].display = fact("Ab.C");
    root.items[1].name = fact("b");
    root.items[1].display = fact("<b>");
    root.items[0].shared = root.items[1].shared = true;
    return root;
}

static void the_root_lists_every_package(void **state)
{
    struct db_root root = two_packages();
    struct buf page;

    buf_init(&page, 65536);
    index_root_html(&page, &root, NULL);
    assert_string_equal(page.data, HTML_HEAD("Simple index") "<a href=\"ab-c/\">Ab.C</a><br>\n"
                        "<a href=\"b/\">&lt;b&gt;</a><br>\n" HTML_TAIL);
    buf_clear(&page);
    index_root_json(&page, &root, NULL);
    assert_string_equal(page.data, JSON_HEAD "\"projects\": [\n"
                        "{\"name\": \"Ab.C\"},\n{\"name\": \"<b>\"}\n]}\n");
    buf_release(&page);
    free(root.items);
}

static void of_one_name_the_nearest_file_is_named(void **state)
{
    struct db_index_file files[] = {plain_file("a.whl", "1"), plain_file("a.whl", "1"), plain_file("a.whl", "1"),
                                    plain_file("b.whl", "1")};
    struct db_index facts = {.count = 4, .files = files};

    files[1].home = fact("near");
    files[1].seen_by = fact("near\nnext\n");
    files[2].home = fact("next");
    files[2].seen_by = fact("near\nnext\n");
    const struct { const char *target; unsigned named; } cases[] = {
        {NULL, 0}, {"near", 1}, {"next", 2}, {"far", 0}, {"nea", 0}, {"ne", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned at = 0; at < 3; at++)
            assert_int_equal(index_names(&facts, at, cases[i].target), at == cases[i].named);
        assert_true(index_names(&facts, 3, cases[i].target));
        assert_int_equal(index_count(&facts, cases[i].target), 2);
    }
}

static void a_targets_page_leads_to_where_its_files_lie(void **state)
{
    struct db_index_file files[] = {plain_file("a b.whl", "1"), plain_file("c.whl", "2")};
    struct db_index facts = {.count = 2, .files = files};
    struct buf page;

    files[1].home = fact("near");
    files[1].seen_by = fact("near\n");
    files[1].place = fact("near/wheels");
    buf_init(&page, 65536);
    index_package_html(&page, "x", &facts, "near");
    assert_non_null(strstr(page.data, "<a href=\"../../../simple/x/a%20b.whl#sha256="));
    assert_non_null(strstr(page.data, "<a href=\"../../../near/wheels/x/c.whl#sha256="));
    buf_clear(&page);
    index_package_json(&page, "x", &facts, NULL);
    assert_non_null(strstr(page.data, "\"versions\": [\"1\"]"));
    assert_null(strstr(page.data, "c.whl"));
    buf_release(&page);
}

static void an_empty_root_is_a_page(void **state)
{
    struct db_root root = {0};
    struct buf page;

    buf_init(&page, 65536);
    index_root_html(&page, &root, NULL);
    assert_string_equal(page.data, HTML_HEAD("Simple index") HTML_TAIL);
    buf_clear(&page);
    index_root_json(&page, &root, NULL);
    assert_string_equal(page.data, JSON_HEAD "\"projects\": [\n]}\n");
    buf_release(&page);
}

/* ---- the tree ------------------------------------------------------------------------------------- */

static char output[64]; /* of the running test */

static int make_output(void **state)
{
    strcpy(output, "/tmp/test-index-XXXXXX");
    return mkdtemp(output) != NULL ? 0 : -1;
}

static int remove_output(void **state)
{
    return fs_remove_tree(output);
}

static const char *below(const char *rest)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", output, rest);
    return path;
}

static bool is_there(const char *rest)
{
    struct stat found;
    return lstat(below(rest), &found) == 0;
}

static void assert_link(const char *rest, const char *to)
{
    char target[256] = "";
    assert_true(readlink(below(rest), target, sizeof target - 1) > 0);
    assert_string_equal(target, to);
}

static void write_package(struct db_index *facts)
{
    struct tree_trouble trouble;
    assert_int_equal(tree_write_package(output, "ab-c", facts, &no_targets, &trouble), 0);
}

static void a_package_has_four_files(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    char *data;
    size_t len;

    write_package(&facts);
    assert_int_equal(fs_read(below("simple/ab-c/index.html"), 65536, &data, &len), 0);
    assert_non_null(strstr(data, "<a href=\"a-1-py3-none-any.whl#"));
    free(data);
    assert_int_equal(fs_read(below("simple/ab-c/index.v1_json"), 65536, &data, &len), 0);
    assert_non_null(strstr(data, "\"filename\": \"a-1-py3-none-any.whl\""));
    free(data);
    assert_int_equal(fs_read(below("simple/ab-c/index.html.gz"), 65536, &data, &len), 0);
    assert_memory_equal(data, "\x1f\x8b", 2);
    free(data);
    assert_true(is_there("simple/ab-c/index.v1_json.gz"));
}

static void other_spellings_lead_to_the_package(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    char *aliases[] = {fact("Ab.C"), fact("AB-C")};

    facts.aliases = aliases;
    facts.alias_count = 2;
    write_package(&facts);
    write_package(&facts);
    assert_link("simple/Ab.C", "ab-c");
    assert_link("simple/AB-C", "ab-c");
}

static void an_alias_takes_nobody_elses_place(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    char *aliases[] = {fact("ab-c"), fact("other"), fact("../evil"), fact(".ab-c"), fact(""), fact("ab/c")};

    facts.aliases = aliases;
    facts.alias_count = COUNT_OF(aliases);
    write_package(&facts);
    assert_false(is_there("simple/other"));
    assert_false(is_there("evil"));
    assert_false(is_there("simple/.ab-c"));
    assert_true(is_there("simple/ab-c/index.html"));
}

static void an_alias_never_hides_the_root_page(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    char *aliases[] = {fact("index.html")};
    struct tree_trouble trouble;

    facts.aliases = aliases;
    facts.alias_count = 1;
    assert_int_equal(tree_write_package(output, "index-html", &facts, &no_targets, &trouble), 0);
    assert_false(is_there("simple/index.html"));
}

static void a_real_directory_in_an_aliass_place_stays(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    char *aliases[] = {fact("Ab.C")};

    assert_int_equal(fs_make_dirs(below("simple/Ab.C/kept"), 0755), 0);
    facts.aliases = aliases;
    facts.alias_count = 1;
    write_package(&facts);
    assert_true(is_there("simple/Ab.C/kept"));
}

static void a_package_without_files_has_no_page(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    char *aliases[] = {fact("Ab.C")};

    facts.aliases = aliases;
    facts.alias_count = 1;
    write_package(&facts);
    facts.count = 0;
    write_package(&facts);
    assert_false(is_there("simple/ab-c"));
    assert_false(is_there("simple/Ab.C"));
    write_package(&facts);
    assert_false(is_there("simple/ab-c"));
}

static void what_else_is_in_the_directory_stays(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);

    write_package(&facts);
    assert_int_equal(fs_replace(below("simple/ab-c/a.whl"), "x", 1, false), 0);
    facts.count = 0;
    write_package(&facts);
    assert_false(is_there("simple/ab-c/index.html"));
    assert_false(is_there("simple/ab-c/index.v1_json.gz"));
    assert_true(is_there("simple/ab-c/a.whl"));
}

static void the_root_is_written_with_a_way_for_every_target(void **state)
{
    struct db_root root = two_packages();
    struct db_targets *targets = mem_new(1, sizeof *targets);
    struct tree_trouble trouble;

    targets->count = 4;
    strcpy(targets->items[0].name, "bookworm-armv7");
    strcpy(targets->items[1].name, "simple");
    strcpy(targets->items[2].name, "logs");
    strcpy(targets->items[3].name, "trixie");
    assert_int_equal(tree_write_root(output, &root, targets, &trouble), 0);
    assert_true(is_there("simple/index.html"));
    assert_true(is_there("simple/index.html.gz"));
    assert_true(is_there("simple/index.v1_json"));
    assert_true(is_there("simple/index.v1_json.gz"));
    assert_link("bookworm-armv7/simple", "../simple");
    assert_link("trixie/simple", "../simple");
    assert_false(is_there("simple/simple"));
    assert_false(is_there("logs"));
    free(targets);
    free(root.items);
}

static void a_page_that_cannot_be_written_is_named(void **state)
{
    struct db_index_file file = plain_file("a-1-py3-none-any.whl", "1");
    struct db_index facts = one_file(&file);
    struct tree_trouble trouble;

    assert_int_equal(fs_replace(below("simple"), "in the way", 10, false), 0);
    assert_int_equal(tree_write_package(output, "ab-c", &facts, &no_targets, &trouble), -ENOTDIR);
    assert_string_equal(trouble.path, below("simple/ab-c/index.html"));
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, make_output, remove_output)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_names_the_file_and_its_hash),
        cmocka_unit_test(everything_that_is_known_is_told),
        cmocka_unit_test(a_yanked_file_gives_its_reason),
        cmocka_unit_test(a_file_yanked_without_a_reason_is_yanked),
        cmocka_unit_test(a_reason_without_a_yank_is_not_told),
        cmocka_unit_test(hostile_values_stay_values),
        cmocka_unit_test(a_local_versions_plus_is_escaped_in_links_only),
        cmocka_unit_test(files_keep_their_order_and_versions_are_told_once),
        cmocka_unit_test(equal_facts_give_equal_bytes),
        cmocka_unit_test(a_page_beyond_the_buffer_fills_it),
        cmocka_unit_test(the_root_lists_every_package),
        cmocka_unit_test(an_empty_root_is_a_page),
        cmocka_unit_test(of_one_name_the_nearest_file_is_named),
        cmocka_unit_test(a_targets_page_leads_to_where_its_files_lie),
        IN_TREE(a_package_has_four_files),
        IN_TREE(other_spellings_lead_to_the_package),
        IN_TREE(an_alias_takes_nobody_elses_place),
        IN_TREE(an_alias_never_hides_the_root_page),
        IN_TREE(a_real_directory_in_an_aliass_place_stays),
        IN_TREE(a_package_without_files_has_no_page),
        IN_TREE(what_else_is_in_the_directory_stays),
        IN_TREE(the_root_is_written_with_a_way_for_every_target),
        IN_TREE(a_page_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
