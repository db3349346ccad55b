/* Packages' own settings: what a file may say, and the hash of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/overrides/read.h"

static char path[64];

static int setup(void **state)
{
    strcpy(path, "/tmp/piwheels-override-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    return 0;
}

static struct override *read_text(const char *text, char why[INI_WHY_SIZE])
{
    FILE *to = fopen(path, "w");

    assert_non_null(to);
    fputs(text, to);
    fclose(to);
    return override_read(path, "numpy", why, INI_WHY_SIZE);
}

static struct override *right(const char *text)
{
    char why[INI_WHY_SIZE] = "";
    struct override *o = read_text(text, why);

    assert_string_equal(why, "");
    assert_non_null(o);
    return o;
}

/* The reason begins with the file; `place` is what follows: ":3: …". */
static void assert_wrong(const char *text, const char *place)
{
    char why[INI_WHY_SIZE];

    assert_null(read_text(text, why));
    assert_memory_equal(why, path, strlen(path));
    assert_string_equal(why + strlen(path), place);
}

static void assert_canonical(const char *text, const char *expected)
{
    struct override *o = right(text);
    struct buf form;
    uint8_t digest[SHA256_SIZE];

    buf_init(&form, 10000);
    override_canonical(o, &form);
    assert_string_equal(form.data, expected);
    hash_bytes(form.data, form.len, digest);
    assert_memory_equal(o->sha256, digest, SHA256_SIZE);
    buf_release(&form);
    override_free(o);
}

static void assert_wants(const char *text, const char *expected)
{
    struct override *o = right(text);
    struct buf wants;

    buf_init(&wants, 10000);
    override_wants(o, &wants);
    assert_string_equal(wants.data, expected);
    buf_release(&wants);
    override_free(o);
}

static void every_key_is_read(void **state)
{
    struct override *o = right(
        "[build]\nnetwork = none\nconstraint = setuptools >=40, <60\nconstraint = Cython<3\ndebian = gfortran, libopenblas-dev\n"
        "debian = bash\n[limits]\ntimeout = 6h\nsilence=90\ncpu = 1d\nmemory = 3G\ndisk: 20G\ndisk_files = 7\noutput = 64K\n"
        "processes = 8\nopen-files = 9\n[environment]\nCFLAGS = -O2 -DA=b\nA_1 =\n");

    assert_string_equal(o->package, "numpy");
    assert_string_equal(o->network, "none");
    assert_int_equal(o->constraint_count, 2);
    assert_string_equal(o->constraints[0], "Cython<3");
    assert_string_equal(o->constraints[1], "setuptools>=40,<60");
    assert_int_equal(o->debian_count, 3);
    assert_string_equal(o->debian[0], "bash");
    assert_string_equal(o->debian[2], "libopenblas-dev");
    assert_int_equal(o->timeout_ms, 6 * 3600 * 1000);
    assert_int_equal(o->limits.silence_ms, 90000);
    assert_int_equal(o->limits.cpu_ms, 24 * 3600 * 1000);
    assert_int_equal(o->limits.memory_bytes, 3LL << 30);
    assert_int_equal(o->limits.disk_bytes, 20LL << 30);
    assert_int_equal(o->limits.disk_files, 7);
    assert_int_equal(o->limits.output_bytes, 65536);
    assert_int_equal(o->limits.processes, 8);
    assert_int_equal(o->limits.open_files, 9);
    assert_int_equal(o->variable_count, 2);
    assert_string_equal(o->variables[0].name, "A_1");
    assert_string_equal(o->variables[0].value, "");
    assert_string_equal(o->variables[1].value, "-O2 -DA=b");
    override_free(o);
}

static void the_canonical_form_has_what_is_said_in_one_order(void **state)
{
    static const char form[] =
        "constraint Cython<3\nconstraint setuptools<60\ndebian bash\ndebian gfortran\nlimit cpu-ms 60000\n"
        "limit memory-bytes 1024\nlimit timeout-ms 1000\nnetwork all\nvariable A=1\nvariable B=2\n";

    assert_canonical("[build]\nnetwork=all\ndebian=gfortran bash\nconstraint=setuptools<60\nconstraint=Cython<3\n"
                     "[limits]\ntimeout=1\nmemory=1K\ncpu=1min\n[environment]\nB=2\nA=1\n", form);
    assert_canonical("# the same, said by another\n[environment]\nA = 1\nB = 2\n\n[limits]\ncpu = 60s\nmemory = 1024\ntimeout = 1s\n"
                     "[build]\nconstraint = Cython < 3\nconstraint = setuptools<60\nconstraint = setuptools<60\ndebian = bash\n"
                     "debian = gfortran, bash\nnetwork = all\n", form);
    assert_canonical("", "");
    assert_canonical("[limits]\n", "");
}

static void only_what_a_slave_must_have_is_wanted_of_it(void **state)
{
    assert_wants("", "");
    assert_wants("[environment]\nA=b\n[limits]\nmemory=1G\n[build]\nconstraint=a<1\n", "");
    assert_wants("[build]\ndebian = zlib1g-dev bash\nnetwork = index\n", "bash\nzlib1g-dev\nnetwork index");
    assert_wants("[build]\nnetwork = none\n", "network none");
}

static void a_wrong_key_is_told_with_its_place_and_what_may_be_meant(void **state)
{
    assert_wrong("[limits]\n\nmemry = 4G\n", ":3: unknown key memry in [limits]; did you mean memory?");
    assert_wrong("[limits]\nxyz = 4G\n", ":2: unknown key xyz in [limits]");
    assert_wrong("[build]\nmemory = 4G\n", ":2: memory belongs into [limits], not into [build]");
    assert_wrong("[limit]\nmemory = 4G\n", ":1: unknown section [limit]; did you mean [limits]?");
    assert_wrong("memory = 4G\n", ":1: memory stands before any [section]");
    assert_wrong("[build]\nnetwork\n", ":2: this is neither a [section] nor a key = value");
}

static void a_wrong_value_is_told_with_its_place(void **state)
{
    assert_wrong("[limits]\nmemory = much\n", ":2: memory: \"much\" is no size; write 512, 64K, 20M or 4G");
    assert_wrong("[limits]\nmemory = 0\n", ":2: memory: \"0\" must be more than nothing");
    assert_wrong("[limits]\ntimeout = 0\n", ":2: timeout: \"0\" is no duration; write 90s, 5min, 3h or 2d");
    assert_wrong("[limits]\nprocesses = -1\n", ":2: processes: \"-1\" is no whole number");
    assert_wrong("[build]\nnetwork = some\n", ":2: network: \"some\" is no network; write index, none or all");
    assert_wrong("[build]\ndebian = zlib1g-dev, Zlib\n", ":2: debian: \"Zlib\" is no name of a Debian package");
}

static void a_constraint_is_a_name_with_versions(void **state)
{
    static const char *const others[] = {"setuptools", "-r /etc/passwd", "--hash=sha256:00", "a @ https://example.org/a.whl",
                                         "https://example.org/a.whl", "./a.whl", "a[b]<1", "a<1; python_version<'3'", "a<<1", ""};
    char text[200], place[300];

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        snprintf(text, sizeof text, "[build]\nconstraint = %s\n", others[i]);
        snprintf(place, sizeof place, ":2: constraint: \"%s\" is no name with versions, such as setuptools<60", others[i]);
        assert_wrong(text, place);
    }
}

static void a_variable_has_a_name_and_is_not_the_slaves_own(void **state)
{
    assert_wrong("[environment]\n1A = b\n", ":2: \"1A\" is no name of a variable");
    assert_wrong("[environment]\nA-B = b\n", ":2: \"A-B\" is no name of a variable");
    assert_wrong("[environment]\nA = b\nA = c\n", ":3: A is given twice");
    assert_wrong("[environment]\nHOME = /root\n", ":2: HOME is set by the slave itself");
    assert_wrong("[environment]\nhttps_proxy = x\n", ":2: https_proxy is set by the slave itself");
    assert_wrong("[environment]\nPIP_CONSTRAINT = x\n", ":2: PIP_CONSTRAINT is set by the slave itself; what may be installed for "
                                                         "the build is said by constraint in [build]");
    assert_wrong("[environment]\nA = \xff\n", ":2: the value of A is no UTF-8");
}

static void there_is_an_end_to_everything(void **state)
{
    char text[4000] = "[environment]\n", debian[4000] = "[build]\n";

    for (unsigned i = 0; i < 65; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "A%u = b\n", i);
    assert_wrong(text, ":66: there are more than 64 variables");
    for (unsigned i = 0; i < 101; i++)
        snprintf(debian + strlen(debian), sizeof debian - strlen(debian), "debian = lib%u\n", i);
    assert_wrong(debian, ":102: debian: there are more than 100");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_key_is_read),
        TEST(the_canonical_form_has_what_is_said_in_one_order),
        TEST(only_what_a_slave_must_have_is_wanted_of_it),
        TEST(a_wrong_key_is_told_with_its_place_and_what_may_be_meant),
        TEST(a_wrong_value_is_told_with_its_place),
        TEST(a_constraint_is_a_name_with_versions),
        TEST(a_variable_has_a_name_and_is_not_the_slaves_own),
        TEST(there_is_an_end_to_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
