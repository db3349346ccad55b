/*
 * The reader of ELF objects, over a file in memory that is written anew each time; and the same bytes as a section
 * of Arm's attributes.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/wheel/object.h"
#include "core/text.h"
#include "fuzz.h"

static void check_text(const char *text)
{
    assert(text == NULL || text_is_utf8(text, strlen(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wheel_object o = {0};
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("object", MFD_CLOEXEC);
    assert(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    assert(object_read(fd, &o) == o.sound && (o.sound || !o.loadable));
    assert(o.needed_count <= WHEEL_MAX_NEEDED && (!o.armv6 || o.sound));
    for (unsigned i = 0; i < o.needed_count; i++)
        check_text(o.needed[i]);
    check_text(o.soname);
    check_text(o.rpath);
    check_text(o.runpath);
    object_release(&o);

    uint8_t *section = (uint8_t *)fuzz_text(data, size);
    assert(!object_arm_runs_on_v6(section, size, false) || section[0] == 'A');
    object_arm_runs_on_v6(section, size, true);
    free(section);
    return 0;
}
