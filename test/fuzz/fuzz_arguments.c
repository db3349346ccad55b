/*
 * A command line, one argument a line, read for each command.
 */
#include "core/options.h"
#include "fuzz.h"

#define ARGUMENTS_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t commands[] = {FOR_MASTER, FOR_SLAVE, FOR_INITDB, FOR_TARGET, FOR_ADD, FOR_STATUS};
    char *text = fuzz_text(data, size), *at = text, *arguments[ARGUMENTS_MAX + 1];
    char program[] = "piwheels";
    struct options o;
    int count = 0;

    arguments[count++] = program;
    while (*at != '\0' && count < ARGUMENTS_MAX)
        arguments[count++] = fuzz_line(&at);
    arguments[count] = NULL;
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        int rc = options_read(&o, commands[i], count, arguments);
        assert((rc == 0) == (o.error[0] == '\0'));
        options_release(&o);
    }
    free(text);
    return 0;
}
