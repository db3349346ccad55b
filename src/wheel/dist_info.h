/*
 * What a wheel says about itself in its .dist-info folder (PEP 427).
 */
#ifndef WHEEL_DIST_INFO_H
#define WHEEL_DIST_INFO_H

#include "archive.h"

#define DIST_INFO_FOLDER_SIZE 600 /* name, version and ".dist-info" as long as file names can have them */

/* The one folder there is, which must bear the wheel's name and version. 0, or the error with its reason. */
int dist_info_find(struct archive *a, const struct wheel_name *name, char folder[DIST_INFO_FOLDER_SIZE]);

/* Every ".data" folder must be the wheel's own, and each file in it in a subfolder that says where it is installed. */
int dist_info_data(struct archive *a, const struct wheel_name *name);

/* A file in that folder; refused when it is missing. */
int dist_info_file(struct archive *a, const char *folder, const char *file, struct member **found);

/* METADATA into `w`, and WHEEL: each must say what the file name says. */
int dist_info_read(struct archive *a, const char *folder, struct wheel *w);

/* Equal by PEP 440, or as text; a file name has '_' for '-'. */
bool wheel_versions_equal(const char *a, const char *b);

#endif
