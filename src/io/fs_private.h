/*
 * What fs.c and fs_tree.c show to tests only.
 */
#ifndef FS_PRIVATE_H
#define FS_PRIVATE_H

#include "io/fs.h"

/* fs_control_socket over another list of directories, ended by NULL. */
int fs_control_socket_among(const char *const dirs[], char *path, size_t size, bool server);

#endif
