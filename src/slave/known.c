/*
 * known_masters: a file of lines "HOST:PORT FINGERPRINT" beside the slave's key. A master is known from the first contact
 * on; one that shows another key later is somebody else, or was made anew, and only a person can tell. session.c asks
 * whenever a connection stands, before it says anything.
 */
#include "known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"
#include "io/fs.h"
#include "io/key.h"
#include "io/wire.h"

#define MAX_FILE_BYTES (1024 * 1024)
#define ADDRESS_SIZE 320

/* Whether the line is about this master; its fingerprint then. */
static bool is_about(char *line, const char *address, const char **print)
{
    char *rest = line + strspn(line, " \t");
    const char *who = strsep(&rest, " \t");
    if (who[0] == '#' || strcmp(who, address) != 0)
        return false;
    *print = rest == NULL ? "" : rest + strspn(rest, " \t");
    return true;
}

/* The number of the line about this master and the key it has there; 0: there is none. */
static unsigned find(char *text, const char *address, char print[KEY_PRINT_SIZE])
{
    unsigned number = 0;
    const char *found;
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        number++;
        if (!is_about(line, address, &found))
            continue;
        text_copy(print, KEY_PRINT_SIZE, found);
        return number;
    }
    return 0;
}

/* One write to the end: two slaves that start at once do not spoil each other's lines. What a person wrote may lack its last
 * newline. */
static int add(const char *path, const char *address, const char *print, bool in_line)
{
    char line[ADDRESS_SIZE + KEY_PRINT_SIZE + 3];
    int len = snprintf(line, sizeof line, "%s%s %s\n", in_line ? "\n" : "", address, print);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    bool good = write(fd, line, (size_t)len) == len && fsync(fd) == 0;
    int error = good ? 0 : errno != 0 ? -errno : -EIO;
    close(fd);
    return error;
}

static enum known compare(const char *path, unsigned line, const char *address, const char *old, const char *print,
                          char *why, size_t size)
{
    if (strcmp(old, print) == 0)
        return KNOWN;
    snprintf(why, size, "the master at %s shows the key %s, but had %s before: somebody else may answer there. If you know that "
             "the master has a new key (piwheels slaves list on it tells), remove line %u of %s", address, print,
             old[0] != '\0' ? old : "none", line, path);
    return KNOWN_OTHERWISE;
}

enum known known_check(const char *path, const char *master, const char *print, char *why, size_t size)
{
    char address[ADDRESS_SIZE], old[KEY_PRINT_SIZE];
    char *text = NULL;
    size_t len;
    unsigned line = 0;
    bool in_line = false;
    int error = wire_full_address(master, address, sizeof address);
    if (error == 0)
        error = fs_read(path, MAX_FILE_BYTES, &text, &len);
    if (error == 0) {
        in_line = len > 0 && text[len - 1] != '\n';
        line = find(text, address, old);
    }
    free(text);
    if (line > 0)
        return compare(path, line, address, old, print, why, size);
    if (error == 0 || error == -ENOENT)
        error = add(path, address, print, in_line);
    if (error == 0)
        return KNOWN_NOW;
    snprintf(why, size, "the master's key cannot be looked up or kept in %s: %s", path, strerror(-error));
    return KNOWN_OTHERWISE;
}
