/*
 * The reader of wheels, over a file that is written anew each time. A wheel that is sound as a whole is sound in its structure, and
 * has what the database will be told.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/text.h"
#include "fuzz.h"
#include "wheel.h"

/* Inflating more costs time and shows nothing new. */
static const struct wheel_limits limits = {.max_inflated_bytes = 1 << 20};

static char path[] = "/tmp/piwheels-fuzz-XXXXXX";

static int judge(bool whole)
{
    struct wheel w;
    char why[512] = "";
    int rc = wheel_read(path, "piwtest_made-1.0-py3-none-any.whl", "piwtest-made", "1.0", whole, &limits, &w, why,
                        sizeof why);

    assert(rc == 0 || rc == -EBADMSG);
    assert((rc == 0) == (why[0] == '\0') && text_is_utf8(why, strlen(why)));
    if (rc == 0) {
        assert(python_names_equal(w.metadata.name, "piwtest-made"));
        assert(strlen(w.metadata_bytes) <= w.metadata_len && w.members >= 3);
    }
    wheel_release(&w);
    return rc;
}

/* What a sound wheel has of machine code can be read, whatever it is. */
static void look_inside(void)
{
    struct wheel_objects objects;
    struct wheel_code code;
    char why[512] = "";

    assert(wheel_objects_read(path, &objects, why, sizeof why) == 0);
    wheel_objects_sum(&objects, &code);
    assert(code.native == (objects.count > 0) && (code.native || !code.armv6));
    wheel_objects_release(&objects);
}

static void remove_file(void)
{
    unlink(path);
}

static int make_file(void)
{
    int fd = mkstemp(path);

    assert(fd >= 0 && atexit(remove_file) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;

    if (fd < 0)
        fd = make_file();
    assert(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    if (judge(true) == 0) {
        assert(judge(false) == 0);
        look_inside();
    }
    return 0;
}
