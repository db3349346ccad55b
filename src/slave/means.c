/*
 * When MEANS is said. session.c calls this whenever it asks for work, so that what a person installs meanwhile counts from
 * the next build on.
 */
#include "means.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dpkg.h"

#define DATABASE "/var/lib/dpkg/status"

/* Whether it is another than before. */
static bool look(struct means *means)
{
    struct stat st = {0};

    stat(DATABASE, &st);
    if (means->debian != NULL && memcmp(&st.st_mtim, &means->changed, sizeof means->changed) == 0)
        return false;
    means->changed = st.st_mtim;
    free(means->debian);
    means->debian = dpkg_installed();
    return true;
}

void means_say(struct means *means, struct wire *w)
{
    bool changed = look(means);

    if (!changed && means->told == w)
        return;
    means->told = w;
    wire_send(w, &(struct message){VERB_MEANS, .means = {.debian = means->debian}});
}

void means_forget(struct means *means)
{
    means->told = NULL;
}

void means_release(struct means *means)
{
    free(means->debian);
    means->debian = NULL;
}
