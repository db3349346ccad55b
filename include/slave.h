/*
 * The slave: asks a master for builds, builds them with the Python it was given, and sends back what came
 * of it. Runs a loop of its own until it is told to stop.
 */
#ifndef SLAVE_H
#define SLAVE_H

#include <stddef.h>
#include <stdint.h>

struct slave_settings {
    const char *master;       /* HOST[:PORT] */
    const char *label;        /* NULL: the host's name */
    const char *dir;          /* NULL: made below $TMPDIR or /var/tmp, and removed at the end */
    const char *python;       /* /usr/bin/python3 */
    uint64_t timeout_ms;
};

/* Returns an exit status (cmd.h): 0 after SIGTERM, SIGINT or DIE, 1 with a message on stderr otherwise: the
 * machine's clock is far in the past, the Python cannot build, another version of the master. */
int slave_run(const struct slave_settings *settings);

/* What a Python builds for, by asking it: "cp311", "linux_x86_64", "3.11.2". 0, or -errno with `why`. Blocks. For
 * `piwheels target add --native` and the slave. */
struct slave_python {
    char abi[32], platform[65], version[32];
};
int slave_ask_python(const char *python, struct slave_python *out, char *why, size_t why_size);

/* PRETTY_NAME of os-release(5), e.g. "Debian GNU/Linux 12 (bookworm)", or "Linux". */
void slave_system_name(char *to, size_t size);

#endif
