/*
 * A configuration file, read for the master.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/options.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options o;
    char path[32], program[] = "piwheels", option[] = "-c", *arguments[] = {program, option, path, NULL};
    int fd = memfd_create("piwheels.conf", MFD_CLOEXEC);

    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = options_read(&o, FOR_MASTER, 3, arguments);
    assert((rc == 0) == (o.error[0] == '\0'));
    options_release(&o);
    close(fd);
    return 0;
}
