/*
 * Fills the store from a folder of sdists and wheels.
 */
#ifndef PYPI_SEED_H
#define PYPI_SEED_H

#include "store.h"

/* Adds every .tar.gz, .zip and .whl in `folder` (not below it); files known already are updated only if
 * they have changed. What cannot be used is named on stderr and passed over. 0, or -errno of reading the
 * folder. */
int seed_folder(struct store *s, const char *folder);

#endif
