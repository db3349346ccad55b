/*
 * What the generator of the manual's tables is made of.
 */
#ifndef MANPAGES_H
#define MANPAGES_H

/* Prints the messages of schema/messages.def as mdoc(7), for piwheels-protocol(7). */
void print_messages(void);

#endif
