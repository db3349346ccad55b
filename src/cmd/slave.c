/*
 * piwheels slave: builds what a master hands out. The work is src/slave's.
 */
#include "slave.h"

#include <stddef.h>

#include "cmd.h"
#include "core/memory.h"
#include "io/wire.h"

#define ADDRESS_SIZE 512

/* With less than this not even pip runs: who says --memory 4 thinks of gigabytes. */
static const struct {
    enum option_id id;
    const char *name;
    int64_t least;
    const char *in_words;
} amounts[] = {
    {OPT_slave_memory, "memory", 64 << 20, "64M"}, {OPT_slave_disk, "disk", 16 << 20, "16M"},
    {OPT_slave_disk_files, "disk-files", 1000, "1000"}, {OPT_slave_processes, "processes", 8, "8"},
    {OPT_slave_open_files, "open-files", 64, "64"}, {OPT_slave_output, "output", 64 << 10, "64K"},
};

static uint64_t amount(const struct options *o, enum option_id id)
{
    return (uint64_t)option_number(o, id);
}

static int run(const struct options *o)
{
    char address[ADDRESS_SIZE];
    unsigned jobs;

    for (size_t i = 0; i < COUNT_OF(amounts); i++)
        if (option_given(o, amounts[i].id) && option_number(o, amounts[i].id) < amounts[i].least)
            return command_usage_error(&command_slave, "--%s: %s is too little for any build; it is at least %s", amounts[i].name,
                                       option_text(o, amounts[i].id), amounts[i].in_words);
    if (slave_jobs_read(option_text(o, OPT_slave_jobs), &jobs) != 0)
        return command_usage_error(&command_slave, "--jobs is auto or a number from 1 to %d, not \"%s\"", SLAVE_MAX_JOBS,
                                   option_text(o, OPT_slave_jobs));
    if (wire_full_address(option_text(o, OPT_slave_master), address, sizeof address) != 0)
        return command_usage_error(&command_slave, "--master: \"%s\" is no HOST or HOST:PORT", option_text(o, OPT_slave_master));
    return slave_run(&(struct slave_settings){
        .master = option_text(o, OPT_slave_master),
        .label = option_text(o, OPT_slave_label),
        .dir = option_text(o, OPT_slave_dir),
        .pythons = option_text(o, OPT_slave_python),
        .jobs = jobs,
        .key = option_text(o, OPT_slave_key),
        .insecure = option_flag(o, OPT_slave_insecure),
        .sandbox = option_text(o, OPT_slave_sandbox),
        .network = option_text(o, OPT_slave_network),
        .network_most = option_text(o, OPT_slave_network_most),
        .index_hosts = option_text(o, OPT_slave_index_hosts),
        .timeout_ms = amount(o, OPT_slave_timeout),
        .silence_ms = amount(o, OPT_slave_silence),
        .cpu_ms = amount(o, OPT_slave_cpu),
        .memory_bytes = amount(o, OPT_slave_memory),
        .disk_bytes = amount(o, OPT_slave_disk),
        .disk_files = amount(o, OPT_slave_disk_files),
        .processes = amount(o, OPT_slave_processes),
        .open_files = amount(o, OPT_slave_open_files),
        .output_bytes = amount(o, OPT_slave_output),
        .min_free_bytes = amount(o, OPT_slave_min_free),
        .min_free_files = amount(o, OPT_slave_min_free_files),
        .min_free_memory_bytes = amount(o, OPT_slave_min_free_memory),
        .only_check = option_flag(o, OPT_argv_check_sandbox),
    });
}

static const char *const aliases[] = {"piw-slave", NULL};

const struct command command_slave = {
    .name = "slave",
    .aliases = aliases,
    .usage = "",
    .summary = "build packages for a master",
    .description =
        "The slave asks the master for packages to build, builds them with the pip of the given Python, and "
        "sends back the wheels and the log. What it builds for are the Python's own ABI and platform tags; with several "
        "Pythons it builds for several targets. A "
        "Python needs pip; extensions need a compiler and Python's headers: on Debian, apt install python3-pip "
        "build-essential python3-dev.\n\n"
        "With --jobs it runs several builds at once, each with limits, a sandbox and a lease of its own. While disk, files "
        "(inodes) or memory are low it begins no build, and tells the master why; when they get too low, it ends its newest "
        "build, which is tried again elsewhere or later.\n\n"
        "The master gives work only to slaves whose keys a person has accepted: the slave makes its key at its first "
        "start, and tells what to type on the master. The key that the master shows at the first contact is the one that "
        "it must have from then on.\n\n"
        "Builds run other people's code: each runs in a sandbox made by bubblewrap (apt install bubblewrap), "
        "which is tried at start (--check-sandbox shows the result), within limits. Give the slave a user of its "
        "own all the same. It connects again when the master "
        "goes away, and leaves at SIGTERM, SIGINT and SIGHUP.",
    .bit = FOR_SLAVE,
    .min_words = 0,
    .max_words = 0,
    .needs_user = true,
    .run = run,
};
