/*
 * A line of a requirements file: what is taken has a valid name and specifiers that parse.
 */
#include <errno.h>

#include "fuzz.h"
#include "python.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct requirement r;
    char why[256] = "", *line = fuzz_text(data, size);
    int rc = python_requirement_parse(line, &r, why, sizeof why);

    assert(rc == 0 || rc == 1 || (rc == -EINVAL && why[0] != '\0'));
    if (rc == 1) {
        assert(python_name_valid(r.name));
        assert(python_specifiers_match(r.specifiers, "1.0", true) >= 0);
    }
    free(line);
    return 0;
}
