/*
 * Where the program begins. All else is a command: see src/cmd/commands.c.
 */
#include <signal.h>

#include "cmd.h"

/* GnuTLS comes with libpq and libcurl, by way of OpenLDAP. Nothing here uses it, and its getting ready would cost every process
 * most of a megabyte: see GNUTLS_SKIP_GLOBAL_INIT in gnutls/gnutls.h. */
int _gnutls_global_init_skip(void);
int _gnutls_global_init_skip(void)
{
    return 1;
}

int main(int argc, char *argv[])
{
    /* A peer that closed its end is an error of the write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    return commands_main(argc, argv);
}
