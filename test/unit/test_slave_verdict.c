/* Why a build failed, by what pip and compilers print (src/slave/verdict.h). The logs are real ones, cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/slave/verdict.h"
#include "core/text.h"

#define AROUND_FAILURE                                                    \
    "  error: subprocess-exited-with-error\n"                             \
    "  \n"                                                                \
    "  note: This error originates from a subprocess, and is likely not a problem with pip.\n" \
    "  ERROR: Failed building wheel for cffi\n"                           \
    "Failed to build cffi\n"                                              \
    "ERROR: Failed to build one or more wheels\n"

static void check(const char *log, const char *outcome, const char *reason, const char *detail)
{
    struct verdict v = {0};
    verdict_from_log(&v, log, strlen(log), "cffi==1.15.1");
    assert_string_equal(v.outcome, outcome);
    assert_string_equal(v.reason, reason);
    assert_string_equal(v.detail, detail);
}

static void a_missing_header_is_named(void **state)
{
    check("      gcc -c c/_cffi_backend.c -o c/_cffi_backend.o\n"
          "      c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory\n"
          "         15 | #include <ffi.h>\n"
          "      compilation terminated.\n"
          "      error: command '/usr/bin/gcc' failed with exit code 1\n" AROUND_FAILURE,
          "failed", "missing header ffi.h",
          "c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory");
    check("[    7.125]       ./src/a.cpp:3:10: fatal error: 'boost/any.hpp' file not found\n" AROUND_FAILURE,
          "failed", "missing header boost/any.hpp", "./src/a.cpp:3:10: fatal error: 'boost/any.hpp' file not found");
    check("a.f90:2:6: Fatal Error: Cannot open module file 'netcdf.mod' for reading at (1): No such file or directory\n",
          "failed", "missing header netcdf.mod",
          "a.f90:2:6: Fatal Error: Cannot open module file 'netcdf.mod' for reading at (1): No such file or directory");
}

static void the_first_compiler_error_is_named_not_that_gcc_failed(void **state)
{
    check("a.c:3:5: warning: unused\na.c:9:1: error: unknown type name 'foo'\na.c:10:1: error: expected ';'\n"
          "error: command '/usr/bin/gcc' failed with exit code 1\n" AROUND_FAILURE,
          "failed", "compile", "a.c:9:1: error: unknown type name 'foo'");
}

static void a_missing_library_is_named(void **state)
{
    static const char *const logs[][2] = {
        {"/usr/bin/ld: cannot find -lffi: No such file or directory\ncollect2: error: ld returned 1 exit status\n", "ffi"},
        {"/usr/bin/ld: cannot find -lxml2\n", "xml2"},
        {"ld.lld: error: unable to find library -lssl\nclang: error: linker command failed with exit code 1\n", "ssl"},
        {"mold: fatal: library not found: z\n", "z"},
        {"error: could not find system library 'openssl' required by the 'openssl-sys' crate\n", "openssl"},
        {"  cargo:warning=x\n  The system library `libudev` required by crate `libudev-sys` was not found.\n", "libudev"},
        {"Package hdf5 was not found in the pkg-config search path.\nerror: command '/usr/bin/gcc' failed with exit code 1\n",
         "hdf5"},
        {"No package 'cairo' found\n", "cairo"},
        {"Package 'libpq', required by 'virtual:world', not found\n", "libpq"},
        {"../meson.build:9:5: ERROR: C shared or static library 'm17' not found\n", "m17"},
    };
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        struct verdict v = {0};
        char expected[100];
        snprintf(expected, sizeof expected, "missing library %s", logs[i][1]);
        verdict_from_log(&v, logs[i][0], strlen(logs[i][0]), "cffi==1.15.1");
        assert_string_equal(v.outcome, "failed");
        assert_string_equal(v.reason, expected);
    }
}

static void a_missing_dependency_is_named(void **state)
{
    static const char *const logs[][2] = {
        {"../meson.build:12:0: ERROR: Dependency \"cairo\" not found, tried pkgconfig and cmake\n", "cairo"},
        {"../meson.build:3:0: ERROR: Program 'swig' not found or not executable\n", "swig"},
        {"../meson.build:1:0: ERROR: Unknown compiler(s): [['gfortran'], ['flang']]\n", "gfortran"},
        {"CMake Error at CMakeLists.txt:9 (find_package):\n"
         "  Could not find a package configuration file provided by \"pybind11\" with any of\n", "pybind11"},
        {"-- Could NOT find Git (missing: GIT_EXECUTABLE)\n"
         "CMake Error at /usr/share/cmake-3.25/Modules/FindPackageHandleStandardArgs.cmake:230 (message):\n"
         "  Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)\n", "ZLIB"},
        {"      error: command 'swig' failed: No such file or directory\n" AROUND_FAILURE, "swig"},
        {"FileNotFoundError: [Errno 2] No such file or directory: 'cmake'\n", "cmake"},
        {"RuntimeError: CMake must be installed to build the following extensions: a\n", "cmake"},
        {"error: can't find Rust compiler\n", "rust"},
        {"Cargo, the Rust package manager, is not installed or is not on PATH.\n", "rust"},
        {"Error: pg_config executable not found.\n", "pg_config"},
        {"error: linker `cc` not found\n", "cc"},
        {"gcc: fatal error: cannot execute 'cc1plus': execvp: No such file or directory\n", "cc1plus"},
        {"  File \"setup.py\", line 1\nModuleNotFoundError: No module named 'numpy'\n" AROUND_FAILURE, "numpy"},
    };
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        struct verdict v = {0};
        char expected[100];
        snprintf(expected, sizeof expected, "missing dependency %s", logs[i][1]);
        verdict_from_log(&v, logs[i][0], strlen(logs[i][0]), "cffi==1.15.1");
        assert_string_equal(v.outcome, "failed");
        assert_string_equal(v.reason, expected);
    }
}

static void a_build_that_wants_more_of_the_network_says_so(void **state)
{
    check("fatal: unable to access 'https://github.com/x/': Could not resolve host: github.com\n" AROUND_FAILURE,
          "failed", "needs network github.com",
          "fatal: unable to access 'https://github.com/x/': Could not resolve host: github.com");
    check("error: failed to get `pyo3` as a dependency of package `x v0.1.0`\n  cargo rustc\n", "failed", "needs network pyo3",
          "error: failed to get `pyo3` as a dependency of package `x v0.1.0`");
}

static void a_compiler_without_memory_is_the_packages(void **state)
{
    check("cc1plus: out of memory allocating 65536 bytes after a total of 1 bytes\n", "failed", "memory",
          "cc1plus: out of memory allocating 65536 bytes after a total of 1 bytes");
    check("virtual memory exhausted: Cannot allocate memory\n", "failed", "memory",
          "virtual memory exhausted: Cannot allocate memory");
}

static void a_subject_without_its_end_is_none(void **state)
{
    check("fatal error: 'x.h' was not there\n", "failed", "compile", "fatal error: 'x.h' was not there");
    check("/usr/bin/ld: cannot find -l\nlast\n", "failed", "setup", "last");
}

static void a_reason_is_clean_and_bounded_too(void **state)
{
    char log[600] = "a.c:1: fatal error: \x1b";
    struct verdict v = {0};

    memset(log + strlen(log), 'x', 300);
    strcat(log, ": No such file or directory\n");
    verdict_from_log(&v, log, strlen(log), "cffi==1.15.1");
    assert_true(strlen(v.reason) <= 64 && strncmp(v.reason, "missing header ", 15) == 0);
    assert_null(strchr(v.reason, '\x1b'));
}

static void a_compiler_that_is_missing_is_named(void **state)
{
    check("      error: command 'rustc' failed: No such file or directory\n" AROUND_FAILURE,
          "failed", "missing dependency rustc", "error: command 'rustc' failed: No such file or directory");
}

static void a_missing_python_header_is_the_farms(void **state)
{
    check("a.c:1:10: fatal error: Python.h: No such file or directory\n" AROUND_FAILURE,
          "farm", "no python3-dev", "a.c:1:10: fatal error: Python.h: No such file or directory");
}

static void an_exception_of_setup_py_is_named(void **state)
{
    check("      Traceback (most recent call last):\n        File \"setup.py\", line 1, in <module>\n"
          "      ModuleNotFoundError: No module named 'numpy'\n" AROUND_FAILURE,
          "failed", "missing dependency numpy", "ModuleNotFoundError: No module named 'numpy'");
    check("      ValueError: no\n" AROUND_FAILURE, "failed", "setup", "ValueError: no");
}

static void python_out_of_memory_is_the_packages(void **state)
{
    check("Traceback (most recent call last):\nMemoryError\n" AROUND_FAILURE,
          "failed", "memory", "MemoryError");
}

static void a_compiler_killed_for_memory_is_the_farms(void **state)
{
    check("g++: fatal error: Killed signal terminated program cc1plus\n" AROUND_FAILURE, "farm", "killed",
          "g++: fatal error: Killed signal terminated program cc1plus");
}

static void a_full_disk_is_the_farms(void **state)
{
    check("/usr/bin/ld: final link failed: No space left on device\n"
          "collect2: error: ld returned 1 exit status\n",
          "farm", "disk", "/usr/bin/ld: final link failed: No space left on device");
    check("OSError: [Errno 122] Disk quota exceeded\n",
          "farm", "disk", "OSError: [Errno 122] Disk quota exceeded");
}

static void an_index_that_cannot_be_reached_is_the_farms(void **state)
{
    check("WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by 'NewConnectionError'\n"
          "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError'\n"
          "ERROR: Could not find a version that satisfies the requirement cffi==1.15.1 (from "
          "versions: none)\n"
          "ERROR: No matching distribution found for cffi==1.15.1\n",
          "farm", "network", "ERROR: No matching distribution found for cffi==1.15.1");
}

static void an_index_with_trouble_of_its_own_is_the_farms(void **state)
{
    check("ERROR: HTTP error 503 while getting http://127.0.0.1/cffi-1.15.1.tar.gz\n", "farm", "network",
          "ERROR: HTTP error 503 while getting http://127.0.0.1/cffi-1.15.1.tar.gz");
    check("ERROR: HTTP error 429 while getting http://127.0.0.1/x\n", "farm", "network",
          "ERROR: HTTP error 429 while getting http://127.0.0.1/x");
    check("ERROR: Could not install packages due to an OSError: HTTPSConnectionPool(host='x'): Max retries\n",
          "farm", "network",
          "ERROR: Could not install packages due to an OSError: HTTPSConnectionPool(host='x'): Max retries");
    check("pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.\n", "farm", "network",
          "pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.");
    check("pip._vendor.requests.exceptions.ConnectionError: broken\n", "farm", "network",
          "pip._vendor.requests.exceptions.ConnectionError: broken");
}

static void a_retry_that_helped_does_not_hide_the_packages_own_failure(void **state)
{
    check("WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by 'NewConnectionError'\n"
          "a.c:9:1: error: unknown type name 'foo'\n" AROUND_FAILURE,
          "failed", "compile", "a.c:9:1: error: unknown type name 'foo'");
}

static void a_setup_py_that_cannot_download_has_failed_by_itself(void **state)
{
    check("URLError: <urlopen error [Errno -3] Temporary failure in name resolution>\n" AROUND_FAILURE,
          "failed", "needs network", "URLError: <urlopen error [Errno -3] Temporary failure in name resolution>");
}

static void an_sdist_with_another_hash_is_the_farms(void **state)
{
    check("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n", "farm", "wrong hash",
          "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.");
}

static void a_missing_sdist_is_told_from_a_missing_build_requirement(void **state)
{
    check("ERROR: No matching distribution found for cffi==1.15.1\n", "failed", "no sdist",
          "ERROR: No matching distribution found for cffi==1.15.1");
    check("ERROR: HTTP error 404 while getting http://127.0.0.1/cffi-1.15.1.tar.gz\n", "failed", "no sdist",
          "ERROR: HTTP error 404 while getting http://127.0.0.1/cffi-1.15.1.tar.gz");
    check("  ERROR: No matching distribution found for setuptools>=61\n" AROUND_FAILURE, "failed",
          "missing dependency setuptools>=61", "ERROR: No matching distribution found for setuptools>=61");
}

#define NONE_OF(project) "ERROR: Could not find a version that satisfies the requirement " project " (from versions: none)\n"

static void only_a_project_of_which_nothing_fits_is_in_doubt(void **state)
{
    static const char *const cases[][2] = {
        {NONE_OF("cffi==1.15.1") "ERROR: No matching distribution found for cffi==1.15.1\n", "cffi"},
        {"  " NONE_OF("setuptools>=61 (from cffi)") "  ERROR: No matching distribution found for setuptools>=61\n" AROUND_FAILURE, "setuptools"},
        {NONE_OF("Foo.bar_baz[extra]") "ERROR: No matching distribution found for Foo.bar_baz[extra]\n", "Foo.bar_baz"},
        {"ERROR: Could not find a version that satisfies the requirement cffi==1.15.1 (from versions: 1.0, 1.1)\n"
         "ERROR: No matching distribution found for cffi==1.15.1\n", "cffi"},
        {"ERROR: No matching distribution found for cffi==1.15.1\n", ""},
        {NONE_OF("-r/etc/passwd") "ERROR: No matching distribution found for -r/etc/passwd\n", ""},
        {NONE_OF("cffi") "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\nERROR: No matching distribution found for cffi\n", ""},
        {NONE_OF("cffi") "a.c:1:1: fatal error: ffi.h: No such file or directory\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct verdict v = {0};
        verdict_from_log(&v, cases[i][0], strlen(cases[i][0]), "cffi==1.15.1");
        assert_string_equal(v.unfound, cases[i][1]);
    }
}

static void check_look_after(const char *log, const char *look, const char *outcome, const char *detail)
{
    struct verdict v = {.outcome = "failed", .reason = "no sdist", .detail = "as before", .unfound = "cffi"};
    verdict_after_look(&v, log, strlen(log), look, strlen(look));
    assert_string_equal(v.outcome, outcome);
    assert_string_equal(v.reason, strcmp(outcome, "farm") == 0 ? "network" : "no sdist");
    assert_string_equal(v.detail, detail);
}

static void check_look(const char *look, const char *outcome, const char *detail)
{
    check_look_after("  " NONE_OF("cffi>=1 (from a)") "  ERROR: No matching distribution found for cffi>=1\n", look, outcome, detail);
}

#define NO_PAGE "[    1.250] Could not fetch URL https://127.0.0.1:8443/simple/cffi/: "

static void an_index_that_says_no_is_believed(void **state)
{
    check_look(NO_PAGE "404 Client Error: Not Found for url: https://127.0.0.1:8443/simple/cffi/ - skipping\n" NONE_OF("cffi===x"),
               "failed", "as before");
    check_look(NO_PAGE "403 Client Error: Forbidden for url: x - skipping\n" NONE_OF("cffi===x"), "failed", "as before");
    check_look(NONE_OF("cffi===x"), "failed", "as before");
    check_look("ERROR: Exception:\nTraceback (most recent call last):\n", "failed", "as before");
    check_look("", "failed", "as before");
}

static void an_index_that_does_not_answer_is_the_farms_failure(void **state)
{
    check_look(NO_PAGE "502 Server Error: Bad Gateway for url: x - skipping\n" NONE_OF("cffi===x"), "farm",
               "pip did not find cffi, but the index does not answer as it should: 502 Server Error: Bad Gateway for url: x - skipping");
    check_look(NO_PAGE "429 Client Error: Too Many Requests for url: x - skipping\n", "farm",
               "pip did not find cffi, but the index does not answer as it should: 429 Client Error: Too Many Requests for url: x - skipping");
    check_look(NO_PAGE "HTTPConnectionPool(host='127.0.0.1', port=8443): Max retries exceeded with url: /cffi/ - skipping\n", "farm",
               "pip did not find cffi, but the index does not answer as it should: HTTPConnectionPool(host='127.0.0.1', port=8443): "
               "Max retries exceeded with url: /cffi/ - skipping");
    check_look(NO_PAGE "timed out - skipping\n", "farm",
               "pip did not find cffi, but the index does not answer as it should: timed out - skipping");
}

#define VERSIONS(requirement, versions) \
    "[    1.250] ERROR: Could not find a version that satisfies the requirement " requirement " (from versions: " versions ")\n"

static void an_index_that_has_other_versions_now_had_not_answered_in_full(void **state)
{
    check_look("  Found link https://127.0.0.1/cffi-1.15.1.tar.gz, version: 1.15.1\n" VERSIONS("cffi===x", "1.15.1"), "farm",
               "pip did not find cffi, of which the index has other versions when asked again");
    check_look_after(VERSIONS("cffi==2.0", "0.9, 1.0"), VERSIONS("cffi===x", "0.9, 1.0, 2.0"), "farm",
                     "pip did not find cffi, of which the index has other versions when asked again");
    check_look_after(VERSIONS("cffi==2.0", "0.9, 1.0"), VERSIONS("cffi===x", "0.9, 1.0"), "failed", "as before");
}

static void a_page_that_was_cut_off_is_the_farms_failure(void **state)
{
    check("ERROR: Exception:\n  File \"/usr/lib/python3/dist-packages/pip/_internal/index/collector.py\", line 363, in parse_links\n"
          "    data = json.loads(page.content)\n"
          "json.decoder.JSONDecodeError: Unterminated string starting at: line 1 column 58 (char 57)\n", "farm", "network",
          "json.decoder.JSONDecodeError: Unterminated string starting at: line 1 column 58 (char 57)");
    check("  File \"setup.py\", line 3\njson.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)\n" AROUND_FAILURE,
          "failed", "setup", "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)");
}

static void check_waiting(const char *log, bool waits)
{
    assert_int_equal(verdict_waits_for_index(log, strlen(log)), waits);
}

#define GETS_REQUIREMENTS "[    1.250]   Running command Getting requirements to build wheel\n"

static void pip_waits_for_the_index_when_its_last_words_say_so(void **state)
{
    check_waiting("[    1.250] Looking in indexes: http://127.0.0.1/simple\n[    1.250] Collecting cffi==1.15.1\n", true);
    check_waiting("[    1.250] Collecting cffi==1.15.1\n[    1.300]   Downloading http://127.0.0.1/cffi-1.15.1.tar.gz (1.6 kB)\n", true);
    check_waiting("[    1.250]   Running command pip subprocess to install build dependencies\n[    1.300]   Collecting setuptools\n", true);
    check_waiting("[    0.000] [piwheels: cffi 1.15.1 for cp311 on linux_armv7l]\n", true);
    check_waiting(GETS_REQUIREMENTS "  Running command installing backend dependencies for cffi==1.15.1\n", true);
}

static void a_package_that_says_nothing_is_not_waited_for_as_the_index_is(void **state)
{
    check_waiting("", false);
    check_waiting(GETS_REQUIREMENTS, false);
    check_waiting(GETS_REQUIREMENTS "[    1.300] [piwheels: refused a connection to 127.0.0.1:80: builds reach the index only]\n", false);
    check_waiting(GETS_REQUIREMENTS "[    1.250]   Downloading a model\n", false);
    check_waiting("  Running command pip subprocess to install build dependencies\n  Collecting numpy\n"
                  "    Building wheel for numpy (pyproject.toml): still running...\n", false);
}

/* Before each line was judged only once this took half an hour. */
static void a_line_of_megabytes_is_judged_once(void **state)
{
    static char log[5 * 1000 * 1000 + 1];
    struct verdict v = {0};

    for (size_t i = 0; i + 8 < sizeof log; i += 8)
        memcpy(log + i, "Package ", 8);
    verdict_from_log(&v, log, strlen(log), "cffi==1.15.1");
    assert_string_equal(v.reason, "setup");
}

static void a_python_that_is_excluded_is_named(void **state)
{
    check("ERROR: Ignored the following versions that require a different python version: 1.15.1\n"
          "ERROR: No matching distribution found for cffi==1.15.1\n",
          "failed", "requires python",
          "ERROR: Ignored the following versions that require a different python version: 1.15.1");
    check("ERROR: Package 'cffi' requires a different Python: 3.11.2 not in '>=4'\n",
          "failed", "requires python",
          "ERROR: Package 'cffi' requires a different Python: 3.11.2 not in '>=4'");
}

static void a_wheel_that_pip_refuses_is_bad(void **state)
{
    check("  WARNING: Built wheel for cffi is invalid: Wheel has unexpected file name: expected 'cffi'\n"
          "Failed to build cffi\nERROR: Failed to build one or more wheels\n",
          "failed", "bad wheel",
          "WARNING: Built wheel for cffi is invalid: Wheel has unexpected file name: expected 'cffi'");
}

static void rust_cmake_and_the_linker_are_compilers_too(void **state)
{
    check("error[E0277]: the trait bound is not satisfied\n", "failed", "compile",
          "error[E0277]: the trait bound is not satisfied");
    check("  CMake Error at CMakeLists.txt:1 (find_package):\n", "failed", "compile",
          "CMake Error at CMakeLists.txt:1 (find_package):");
    check("a.c:(.text+0x1): undefined reference to `sin'\n", "failed", "compile",
          "a.c:(.text+0x1): undefined reference to `sin'");
}

static void any_other_error_is_named_before_the_last_line(void **state)
{
    check("ERROR: the backend is not there\nbye\n", "failed", "setup", "ERROR: the backend is not there");
    check("error: invalid command 'bdist_wheel'\nbye\n",
          "failed", "setup", "error: invalid command 'bdist_wheel'");
}

static void without_any_known_words_the_last_line_is_the_detail(void **state)
{
    check("one\n  it is broken  \n\n", "failed", "setup", "it is broken");
    check("no newline", "failed", "setup", "no newline");
}

static void a_log_without_words_is_said_to_have_none(void **state)
{
    check("", "failed", "setup", "pip failed and said nothing");
    check("\n \n", "failed", "setup", "pip failed and said nothing");
}

static void a_detail_is_clean_and_bounded(void **state)
{
    char log[20000];
    struct verdict v = {0};

    memset(log, 'x', sizeof log);
    memcpy(log, "error: \x1b[31m\xff ", 14);
    log[sizeof log - 1] = '\n';
    verdict_from_log(&v, log, sizeof log, "cffi==1.15.1");
    assert_true(strlen(v.detail) <= 1000);
    assert_null(strchr(v.detail, '\x1b'));
    assert_true(text_is_utf8(v.detail, strlen(v.detail)));
}

static void a_nul_in_a_log_hides_nothing_behind_it(void **state)
{
    static const char log[] = "one\0two\na.c:1:1: error: bad\n";
    struct verdict v = {0};
    verdict_from_log(&v, log, sizeof log - 1, "cffi==1.15.1");
    assert_string_equal(v.detail, "a.c:1:1: error: bad");
}

/* ---- refused hosts ---- */

static void a_failure_without_a_better_reason_is_blamed_on_the_host_that_was_refused(void **state)
{
    struct verdict v = {0};
    verdict_set(&v, "failed", "setup", "RuntimeError: no data");
    verdict_blame_refusal(&v, "data.example:443\nother.example:80\n");
    assert_string_equal(v.outcome, "failed");
    assert_string_equal(v.reason, "needs network data.example");
    assert_string_equal(v.detail,
                        "the build wanted data.example:443, and builds reach the index only: RuntimeError: no data");
}

static void a_compilers_error_and_what_is_the_farms_are_not(void **state)
{
    struct verdict v = {0};
    verdict_set(&v, "failed", "compile", "x.c:1: error: no");
    verdict_blame_refusal(&v, "data.example:443\n");
    assert_string_equal(v.reason, "compile");
    verdict_set(&v, "farm", "disk", "No space left on device");
    verdict_blame_refusal(&v, "data.example:443\n");
    assert_string_equal(v.reason, "disk");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_header_is_named),
        cmocka_unit_test(the_first_compiler_error_is_named_not_that_gcc_failed),
        cmocka_unit_test(a_missing_library_is_named),
        cmocka_unit_test(a_missing_dependency_is_named),
        cmocka_unit_test(a_build_that_wants_more_of_the_network_says_so),
        cmocka_unit_test(a_compiler_without_memory_is_the_packages),
        cmocka_unit_test(a_subject_without_its_end_is_none),
        cmocka_unit_test(a_reason_is_clean_and_bounded_too),
        cmocka_unit_test(a_compiler_that_is_missing_is_named),
        cmocka_unit_test(a_missing_python_header_is_the_farms),
        cmocka_unit_test(an_exception_of_setup_py_is_named),
        cmocka_unit_test(python_out_of_memory_is_the_packages),
        cmocka_unit_test(a_compiler_killed_for_memory_is_the_farms),
        cmocka_unit_test(a_full_disk_is_the_farms),
        cmocka_unit_test(an_index_that_cannot_be_reached_is_the_farms),
        cmocka_unit_test(an_index_with_trouble_of_its_own_is_the_farms),
        cmocka_unit_test(a_retry_that_helped_does_not_hide_the_packages_own_failure),
        cmocka_unit_test(a_setup_py_that_cannot_download_has_failed_by_itself),
        cmocka_unit_test(an_sdist_with_another_hash_is_the_farms),
        cmocka_unit_test(a_missing_sdist_is_told_from_a_missing_build_requirement),
        cmocka_unit_test(pip_waits_for_the_index_when_its_last_words_say_so),
        cmocka_unit_test(a_package_that_says_nothing_is_not_waited_for_as_the_index_is),
        cmocka_unit_test(a_line_of_megabytes_is_judged_once),
        cmocka_unit_test(only_a_project_of_which_nothing_fits_is_in_doubt),
        cmocka_unit_test(an_index_that_says_no_is_believed),
        cmocka_unit_test(an_index_that_does_not_answer_is_the_farms_failure),
        cmocka_unit_test(an_index_that_has_other_versions_now_had_not_answered_in_full),
        cmocka_unit_test(a_page_that_was_cut_off_is_the_farms_failure),
        cmocka_unit_test(a_python_that_is_excluded_is_named),
        cmocka_unit_test(a_wheel_that_pip_refuses_is_bad),
        cmocka_unit_test(rust_cmake_and_the_linker_are_compilers_too),
        cmocka_unit_test(any_other_error_is_named_before_the_last_line),
        cmocka_unit_test(without_any_known_words_the_last_line_is_the_detail),
        cmocka_unit_test(a_log_without_words_is_said_to_have_none),
        cmocka_unit_test(a_detail_is_clean_and_bounded),
        cmocka_unit_test(a_nul_in_a_log_hides_nothing_behind_it),
        cmocka_unit_test(a_failure_without_a_better_reason_is_blamed_on_the_host_that_was_refused),
        cmocka_unit_test(a_compilers_error_and_what_is_the_farms_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
