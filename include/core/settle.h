/*
 * The end of a start. Of a dozen MB that a program holds then, most are pages of its libraries that it read to link them and
 * to get them ready, and will not look at again.
 */
#ifndef CORE_SETTLE_H
#define CORE_SETTLE_H

/* Gives the system what it can have back: free memory, and the pages of code and constants, which are read again from the
 * page cache where they are used again. */
void settle(void);

#endif
