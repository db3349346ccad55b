/*
 * Where the program begins. All else is a command: see src/cmd/commands.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "cmd.h"

/* One that is closed would be given to the next file or socket, and what is meant for a person written there. Standard output
 * cannot be written to then: who prints something is told so. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
}

int main(int argc, char *argv[])
{
    fill_standard_descriptors();
    /* A peer that closed its end is an error of the write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    return commands_main(argc, argv);
}
