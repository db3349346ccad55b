/*
 * Names of packages, wheels and sdists, and tags. One line each: a name, another name, a wheel's file name, a
 * set of tags, an sdist's file name, an ABI tag, a platform tag.
 */
#include <strings.h>

#include "fuzz.h"
#include "python.h"

static void check_name(const char *a, const char *b)
{
    char once[PYTHON_NAME_MAX + 1], twice[PYTHON_NAME_MAX + 1];

    assert(python_names_equal(a, b) == python_names_equal(b, a));
    if (!python_name_valid(a))
        return;
    assert(python_names_equal(a, a));
    assert(python_name_normalise(a, once, sizeof once) == 0);
    assert(python_name_valid(once) && python_names_equal(a, once));
    assert(python_name_normalise(once, twice, sizeof twice) == 0 && strcmp(once, twice) == 0);
}

static void check_wheel_name(const char *file_name, const char *tags, const struct python_target *target)
{
    struct wheel_name name;
    struct python_tags a = {0}, b = {0};

    if (python_tags_add(&a, tags) == 0 && python_tags_add(&b, tags) == 0)
        assert(a.count > 0 && a.count <= PYTHON_TAGS_MAX && python_tags_equal(&a, &b));
    python_tags_release(&a);
    python_tags_release(&b);
    if (python_wheel_name_parse(file_name, &name) < 0)
        return;
    assert(strchr(file_name, '/') == NULL && name.dist[0] != '\0' && name.version[0] != '\0');
    if (python_wheel_is_pure(&name))
        assert(strcasecmp(name.platform, "any") == 0);
    python_wheel_fits(&name, target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *at = text, version[256];
    const char *name = fuzz_line(&at), *other = fuzz_line(&at), *wheel = fuzz_line(&at), *tags = fuzz_line(&at);
    const char *sdist = fuzz_line(&at), *abi = fuzz_line(&at), *platform = fuzz_line(&at);
    unsigned major, minor;
    bool free_threaded;

    check_name(name, other);
    check_name(other, name);
    if (python_abi_parse(abi, &major, &minor, &free_threaded) == 0 && python_platform_valid(platform))
        check_wheel_name(wheel, tags, &(struct python_target){.abi = abi, .platform = platform});
    else
        check_wheel_name(wheel, tags, &(struct python_target){.abi = "cp311", .platform = "linux_x86_64"});
    if (python_sdist_name_parse(sdist, name, version, sizeof version) == 0)
        assert(version[0] != '\0' && strlen(version) < sizeof version);
    free(text);
    return 0;
}
