/*
 * `piwheels monitor`: the master and its slaves on the terminal, and what can be done to them.
 */
#include "cmd.h"
#include "monitor.h"

static int run(const struct options *o)
{
    char why[300];
    if (monitor_run(option_text(o, OPT_master_control_socket), why, sizeof why) != 0)
        return command_trouble(&command_monitor, "%s", why);
    return EXIT_OK;
}

static const char *const aliases[] = {"piw-monitor", NULL};

const struct command command_monitor = {
    .name = "monitor",
    .aliases = aliases,
    .usage = "",
    .summary = "watch the master and its slaves, and act on them",
    .description = "Shows the running master and every slave in a list, the selected one in detail, and what has "
                   "become of them while it looked. Enter offers what can be done: pause, resume, skip, stop, kill. "
                   "It waits for a master that is not there and finds one again that was restarted.",
    .bit = FOR_MONITOR,
    .max_words = 0,
    .run = run,
};
