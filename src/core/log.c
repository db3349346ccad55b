/*
 * The log, written by every room. A line is put together in one buffer and written with one call, so
 * that lines of several processes that append to one file do not mix.
 */
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/text.h"

#define LINE_MAX_BYTES 16384
#define CUT " [cut]"

static struct {
    enum log_level console;
    bool journal;   /* stderr leads to the journal */
    int file;       /* descriptor, or -1 */
    char *debug;
} sink = {.console = LOG_AT_WARNING, .file = -1};

/* JOURNAL_STREAM names the stream that the service was given as "device:inode"; a child whose stderr was
 * redirected inherits the variable but has another stream (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat facts;

    return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &facts) == 0 && facts.st_dev == device && facts.st_ino == inode;
}

int log_open(const struct log_settings *settings)
{
    int file = -1;

    if (settings->file != NULL) {
        file = open(settings->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (file < 0)
            return -errno;
    }
    log_close();
    sink.file = file;
    sink.console = settings->console;
    sink.debug = mem_text(settings->debug);
    sink.journal = stderr_is_journal();
    return 0;
}

void log_close(void)
{
    if (sink.file >= 0)
        close(sink.file);
    sink.file = -1;
    free(sink.debug);
    sink.debug = NULL;
    sink.console = LOG_AT_WARNING;
}

/* Whether the comma-separated `list` has `word`. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (;;) {
        list += strspn(list, ", ");
        size_t item = strcspn(list, ", ");
        if (item == 0)
            return false;
        if (item == len && memcmp(list, word, len) == 0)
            return true;
        list += item;
    }
}

bool log_debugging(const char *room)
{
    if (sink.debug == NULL || (sink.console > LOG_AT_DEBUG && sink.file < 0))
        return false;
    return has_word(sink.debug, room) || has_word(sink.debug, "all");
}

/* Adds the text with all that could break the line, or drive a terminal, spelled out. */
static void add_escaped(struct buf *line, const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        size_t size = text_character(text, len);
        if (size > 0 && !text_is_control(text, size))
            buf_add(line, text, size);
        else
            for (size_t i = 0; i < (size > 0 ? size : 1); i++)
                buf_addf(line, "\\x%02x", (unsigned)(unsigned char)text[i]);
        text += size > 0 ? size : 1;
        len -= size > 0 ? size : 1;
    }
}

static void write_line(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && errno != EINTR)
            return; /* a log that cannot be written has nobody to tell */
        if (written > 0) {
            data += written;
            len -= (size_t)written;
        }
    }
}

static void write_event(enum log_level level, const char *room, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void write_event(enum log_level level, const char *room, const char *format, va_list args)
{
    static const char *const words[] = {"debug ", "", "warning: ", "error: "};
    bool to_console = level >= sink.console, to_file = sink.file >= 0;
    char stamp[CLOCK_TEXT_SIZE], *text;
    struct buf line;

    if ((!to_console && !to_file) || vasprintf(&text, format, args) < 0)
        return;
    clock_text(clock_wall_ms(), stamp);
    buf_init(&line, LINE_MAX_BYTES);
    buf_addf(&line, "%s %s", stamp, words[level]);
    if (level == LOG_AT_DEBUG)
        buf_addf(&line, "%s: ", room);
    add_escaped(&line, text);
    line.max += strlen(CUT "\n");
    bool cut = line.full;
    line.full = false;
    buf_adds(&line, cut ? CUT "\n" : "\n");
    size_t skip = sink.journal ? strlen(stamp) + 1 : 0;
    if (to_console)
        write_line(STDERR_FILENO, line.data + skip, line.len - skip);
    if (to_file)
        write_line(sink.file, line.data, line.len);
    buf_release(&line);
    free(text);
}

void log_debug(const char *room, const char *format, ...)
{
    va_list args;

    if (!log_debugging(room))
        return;
    va_start(args, format);
    write_event(LOG_AT_DEBUG, room, format, args);
    va_end(args);
}

void log_info(const char *room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(LOG_AT_INFO, room, format, args);
    va_end(args);
}

void log_warning(const char *room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(LOG_AT_WARNING, room, format, args);
    va_end(args);
}

void log_error(const char *room, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_event(LOG_AT_ERROR, room, format, args);
    va_end(args);
}
