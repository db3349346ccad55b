/*
 * Content negotiation (RFC 9110, 12.5.1).
 */
#ifndef PYPI_ACCEPT_H
#define PYPI_ACCEPT_H

/* Index of the media type among `offers` (`count` of them) that `accept` likes best; the first of
 * equals. NULL likes everything. -1: it likes none of them. */
int accept_choose(const char *accept, const char *const *offers, int count);

#endif
