/*
 * Prints the parts of the manual that are declared in schema/: `manpages options COMMAND` and `manpages
 * messages`. Built but not installed; scripts/manpages puts what it prints into the pages.
 */
#include "manpages.h"

#include <stdio.h>
#include <string.h>

#include "cmd.h"

static int print_options(const char *name)
{
    const struct command *c = command_find(name);

    if (c == NULL) {
        fprintf(stderr, "manpages: there is no command %s\n", name);
        return EXIT_TROUBLE;
    }
    puts(".Bl -tag -width Ds");
    options_manual(stdout, c->bit);
    puts(".El");
    return EXIT_OK;
}

int main(int argc, char *argv[])
{
    if (argc == 3 && strcmp(argv[1], "options") == 0)
        return print_options(argv[2]);
    if (argc == 2 && strcmp(argv[1], "messages") == 0) {
        print_messages();
        return EXIT_OK;
    }
    fputs("usage: manpages options COMMAND | manpages messages\n", stderr);
    return EXIT_USAGE;
}
