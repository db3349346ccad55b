/*
 * What the machine has that builds may want of it: its Debian packages, told to the master when they are new to it.
 */
#ifndef SLAVE_MEANS_H
#define SLAVE_MEANS_H

#include <stdint.h>
#include <time.h>

#include "io/wire.h"

struct means {              /* begins as zeroes */
    char *debian;           /* as MEANS has them; NULL: not looked at yet */
    struct timespec changed;/* of dpkg's database when it was */
    struct wire *told;      /* whom; a new connection is told anew */
};

/* Before IDLE: says MEANS if this connection has not been told what is so now. Asks dpkg when its database has changed, which
 * takes 50 ms to a second. */
void means_say(struct means *means, struct wire *w);
void means_forget(struct means *means);    /* the connection is gone */
void means_release(struct means *means);

#endif
