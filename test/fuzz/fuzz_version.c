/*
 * Versions and specifiers. Three lines of versions, which must have one order, whoever compares them; then
 * specifiers, and a Requires-Python.
 */
#include <errno.h>

#include "fuzz.h"
#include "python.h"

enum { COUNT = 3 };

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

/* memcmp order of the keys, a shorter one before those that it begins. */
static int compare_keys(const struct buf *a, const struct buf *b)
{
    int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);

    return order != 0 ? sign(order) : (a->len > b->len) - (a->len < b->len);
}

static void check_order(char *const versions[COUNT])
{
    struct buf keys[COUNT];
    int order[COUNT][COUNT];

    for (int i = 0; i < COUNT; i++) {
        buf_init(&keys[i], 1 << 20);
        assert(python_version_sort_key(versions[i], &keys[i]) == 0);
    }
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++) {
            order[i][j] = sign(python_version_compare(versions[i], versions[j]));
            assert(order[i][j] == compare_keys(&keys[i], &keys[j]));
        }
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++) {
            assert(order[i][j] == -order[j][i]);
            for (int k = 0; k < COUNT; k++)
                assert(order[i][j] > 0 || order[j][k] > 0 || order[i][k] <= 0);
        }
    for (int i = 0; i < COUNT; i++)
        buf_release(&keys[i]);
}

static void check_normalised(const char *version)
{
    struct buf once, twice;

    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    assert(python_version_normalise(version, &once) == 0);
    assert(python_version_valid(version) == python_version_valid(once.data));
    assert(python_version_compare(version, once.data) == 0);
    assert(python_version_normalise(once.data, &twice) == 0 && strcmp(once.data, twice.data) == 0);
    assert(python_version_prerelease(version) == python_version_prerelease(once.data));
    buf_release(&once);
    buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *at = text, *versions[COUNT];

    for (int i = 0; i < COUNT; i++) {
        versions[i] = fuzz_line(&at);
        check_normalised(versions[i]);
    }
    check_order(versions);
    const char *specifiers = fuzz_line(&at), *requires_python = fuzz_line(&at);
    for (int i = 0; i < COUNT; i++) {
        int strict = python_specifiers_match(specifiers, versions[i], false);
        int all = python_specifiers_match(specifiers, versions[i], true);

        assert((strict == -EINVAL) == (all == -EINVAL) && strict <= all);
    }
    python_requires_allows(requires_python, "3.11");
    free(text);
    return 0;
}
