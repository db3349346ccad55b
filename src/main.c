/*
 * Where the program begins. All else is a command: see src/cmd/commands.c.
 */
#include <signal.h>

#include "cmd.h"

int main(int argc, char *argv[])
{
    /* A peer that closed its end is an error of the write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    return commands_main(argc, argv);
}
