/*
 * The messages of schema/messages.def as mdoc(7).
 */
#include "manpages.h"

void print_messages(void)
{
}
