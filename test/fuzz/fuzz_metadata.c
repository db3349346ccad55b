/*
 * METADATA of a wheel.
 */
#include <errno.h>

#include "core/text.h"
#include "fuzz.h"
#include "python.h"

static void check_text(const char *text)
{
    size_t width;

    assert(text_is_utf8(text, strlen(text)));
    for (; *text != '\0'; text += width) {
        width = text_character(text, strlen(text));
        assert(!text_is_control(text, width));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct metadata m;
    char why[256] = "", *text = fuzz_text(data, size);
    const char *fields[4];
    int rc = python_metadata_parse(text, size, &m, why, sizeof why);

    assert(rc == 0 || (rc == -EINVAL && why[0] != '\0'));
    memcpy(fields, (const char *[]){m.name, m.version, m.summary, m.requires_python}, sizeof fields);
    assert(rc < 0 || (m.name && m.version));
    for (size_t i = 0; rc == 0 && i < COUNT_OF(fields); i++)
        if (fields[i])
            check_text(fields[i]);
    for (size_t i = 0; rc == 0 && i < m.requires_dist_count; i++)
        check_text(m.requires_dist[i]);
    python_metadata_release(&m);
    free(text);
    return 0;
}
