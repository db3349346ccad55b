/*
 * What fs.c shows to fs_replace.c and to tests only.
 */
#ifndef FS_PRIVATE_H
#define FS_PRIVATE_H

#include <limits.h>

#include "io/fs.h"

/* The directory that holds `path`. 0 or -ENAMETOOLONG. */
int fs_parent_of(const char *path, char parent[PATH_MAX]);
int fs_make_parent(const char *path);

/* rename(2), though the directory of `to` may just have been removed, since it was empty. */
int fs_rename(const char *from, const char *to);

/* fs_control_socket over another list of directories, ended by NULL. */
int fs_control_socket_among(const char *const dirs[], char *path, size_t size, bool server);

#endif
