/*
 * The log: one line an event, `subject: event (facts)`, to stderr and, if asked, to a file.
 *
 * A line holds one fact a person can act on. Control characters (they come from slaves and from
 * PyPI) are written as \xNN, so a line is always one line. `room` is the name of the source room
 * ("farm", "web", …); debug lines show only for rooms named by --debug. A line on stderr begins with
 * the time in UTC, but for the journal, which stamps lines itself (JOURNAL_STREAM, systemd.exec(5)).
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>

enum log_level { LOG_AT_DEBUG, LOG_AT_INFO, LOG_AT_WARNING, LOG_AT_ERROR };

struct log_settings {
    enum log_level console; /* least level shown on stderr */
    const char *file;       /* also append everything from INFO up, and the debug lines wanted, to this
                             * file; NULL: none */
    const char *debug;      /* comma-separated rooms whose debug lines are wanted, or "all" */
};

/* Returns 0 or -errno of opening `file`. May be called again; the strings are copied. */
int log_open(const struct log_settings *settings);
void log_close(void);

/* Whether a debug line of `room` would be written: guards costly arguments. */
bool log_debugging(const char *room);

void log_debug(const char *room, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *room, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(const char *room, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *room, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
