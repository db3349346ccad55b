/*
 * One member of an archive: what an sdist or a wheel says about itself.
 */
#ifndef PYPI_ARCHIVE_H
#define PYPI_ARCHIVE_H

#include "core/buf.h"

/* Appends the first member whose path matches `pattern` (fnmatch(3), '*' does not cross '/') of the
 * .tar.gz, .zip or .whl at `path`. 0; -ENOENT: no such member; -EBADMSG: no such archive; -ENOBUFS: more
 * than fits. */
int archive_read(const char *path, const char *pattern, struct buf *to);

#endif
