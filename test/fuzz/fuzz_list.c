/*
 * PyPI's list of all projects. The first byte is the size of the pieces in which the rest arrives.
 */
#include <errno.h>

#include "../../src/pypi/list_json.h"
#include "fuzz.h"
#include "python.h"

static void on_project(void *owner, const char *name, int64_t serial)
{
    assert(python_name_valid(name) && serial >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct list_json list = {.project = on_project};
    int error = 0;

    if (size < 2)
        return -1;
    size_t piece = data[0] == 0 ? 1 : data[0];
    list_json_init(&list);
    for (size_t at = 1; at < size && error == 0; at += piece)
        error = list_json_feed(&list, (const char *)data + at, size - at < piece ? size - at : piece);
    if (error == 0)
        error = list_json_end(&list);
    assert(error == 0 || (error == -EPROTO && list.reason[0] != '\0'));
    list_json_release(&list);
    return 0;
}
