/*
 * The slave: asks a master for builds, builds them with the Python it was given, and sends back what came
 * of it. Runs a loop of its own until it is told to stop.
 */
#ifndef SLAVE_H
#define SLAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAVE_MAX_JOBS 64

/* "auto", or a number from 1 to SLAVE_MAX_JOBS. 0, or -EINVAL. */
int slave_jobs_read(const char *text, unsigned *jobs);

struct slave_settings {
    const char *master;       /* HOST[:PORT] */
    const char *label;        /* NULL: the host's name */
    const char *dir;          /* NULL: made below $TMPDIR or /var/tmp, and removed at the end */
    const char *pythons;      /* /usr/bin/python3; several with commas */
    unsigned jobs;            /* builds at once, from 1 to SLAVE_MAX_JOBS */
    const char *key;          /* the file; NULL: in the usual place */
    bool insecure;            /* no TLS, no key; the master must be on this machine */
    const char *sandbox;      /* strict, basic, none */
    const char *network;      /* of builds: index, none, all */
    const char *network_most; /* that the master may let a single one reach; NULL: the same */
    const char *index_hosts;  /* that builds may reach besides the index; with commas */
    uint64_t timeout_ms, silence_ms, cpu_ms;
    uint64_t memory_bytes;    /* of one build; 0: three quarters of the machine's, divided among the jobs */
    uint64_t disk_bytes, disk_files, processes, open_files, output_bytes;
    uint64_t min_free_bytes, min_free_files, min_free_memory_bytes; /* with less, no build is begun; 0: whatever there is */
    bool only_check;          /* prints the proof of the sandbox, and does nothing else */
};

/* Returns an exit status (cmd.h): 0 after SIGTERM, SIGINT or DIE, 1 with a message on stderr otherwise: the
 * machine's clock is far in the past, the Python cannot build, another version of the master. */
int slave_run(const struct slave_settings *settings);

/* What a Python builds for, by asking it: "cp311", "linux_x86_64", "3.11.2". 0, or -errno with `why`. Blocks. For
 * `piwheels target add --native` and the slave. */
struct slave_python {
    char abi[32], platform[65], version[32], pip[33];
};
int slave_ask_python(const char *python, struct slave_python *out, char *why, size_t why_size);

/* What our program does as the first command of a build, when it is called with SLAVE_INSIDE_COMMAND and these
 * words behind it. Returns only on failure, with the exit status. */
#define SLAVE_INSIDE_COMMAND "inside"
int slave_inside(int argc, char *argv[]);

/* The same when it tries the sandbox. */
#define SLAVE_ESCAPE_COMMAND "escape"
int slave_escape(int argc, char *argv[]);

/* PRETTY_NAME of os-release(5), e.g. "Debian GNU/Linux 12 (bookworm)", or "Linux". */
void slave_system_name(char *to, size_t size);

#endif
