/*
 * piwheels slave: builds what a master hands out. The work is src/slave's.
 */
#include "slave.h"

#include <stddef.h>

#include "cmd.h"

static int run(const struct options *o)
{
    int64_t timeout_ms = option_number(o, OPT_slave_timeout);

    if (timeout_ms <= 0)
        return command_usage_error(&command_slave, "--timeout must be longer than nothing");
    return slave_run(&(struct slave_settings){
        .master = option_text(o, OPT_slave_master),
        .label = option_text(o, OPT_slave_label),
        .dir = option_text(o, OPT_slave_dir),
        .python = option_text(o, OPT_slave_python),
        .timeout_ms = (uint64_t)timeout_ms,
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
        "sends back the wheels and the log. What it builds for are the Python's own ABI and platform tags. The "
        "Python needs pip; extensions need a compiler and Python's headers: on Debian, apt install python3-pip "
        "build-essential python3-dev.\n\n"
        "Builds run other people's code: give the slave a user of its own. It connects again when the master "
        "goes away, and leaves at SIGTERM, SIGINT and SIGHUP.",
    .bit = FOR_SLAVE,
    .min_words = 0,
    .max_words = 0,
    .needs_user = true,
    .run = run,
};
