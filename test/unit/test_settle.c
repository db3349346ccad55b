/* Rules of core/settle.h, for the pages of a library that this program only links. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <expat.h>

#include "core/settle.h"

#define PRESENT (UINT64_C(1) << 63) /* of an entry of /proc/PID/pagemap: proc(5) */

static bool is_held(const volatile void *at)
{
    uint64_t entry = 0;
    off_t place = (off_t)((uintptr_t)at / (uintptr_t)sysconf(_SC_PAGESIZE) * sizeof entry);
    int fd = open("/proc/self/pagemap", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &entry, sizeof entry, place), sizeof entry);
    close(fd);
    return (entry & PRESENT) != 0;
}

static void what_is_not_used_again_is_not_held(void **state)
{
    const volatile unsigned char *code = (const volatile unsigned char *)(uintptr_t)XML_SetUnparsedEntityDeclHandler;
    unsigned char byte = *code;
    assert_true(is_held(code));
    settle();
    assert_false(is_held(code));
    assert_int_equal(*code, byte);
}

static int changed = 1;

static void all_goes_on_as_before(void **state)
{
    const char *version = XML_ExpatVersion();
    char *kept = strdup("kept");
    changed = 2;
    settle();
    assert_int_equal(changed, 2);
    assert_string_equal(kept, "kept");
    assert_string_equal(XML_ExpatVersion(), version);
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_used_again_is_not_held),
        cmocka_unit_test(all_goes_on_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
