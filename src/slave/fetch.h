/*
 * Fetching a source distribution without running anything of it: for builds that have no network.
 */
#ifndef SLAVE_FETCH_H
#define SLAVE_FETCH_H

#include "core/hash.h"
#include "verdict.h"
#include "words.h"

#define FETCH_DIR "sdist"   /* in the directory of the build; must be there */

struct fetch {
    const char *python, *index_url, *package, *sdist;
    const uint8_t *sha256;  /* or NULL */
};

/* The command, to be run in the directory of the build. -EINVAL when there is no such file name. */
int fetch_add_words(struct words *w, const struct fetch *f);

/* What an exit status other than 0 means, and the last line that was printed. */
void fetch_judge(struct verdict *v, int status, const char *log, size_t len);

#endif
