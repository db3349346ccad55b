/*
 * Files: blocking helpers for worker threads and for start-up. Each returns 0 or -errno.
 */
#ifndef IO_FS_H
#define IO_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* mkdir -p. */
int fs_make_dirs(const char *path, mode_t mode);

/* Removes a file or a whole tree without following links; absent is fine. Makes directories that a
 * build left unreadable writable first. */
int fs_remove_tree(const char *path);

/* From now on temporary files are written into `directory` (copied), where a crash leaves them to be found;
 * beside what they replace only where that is another file system, and before this is called. At start only. */
void fs_use_scratch(const char *directory);

/* Replaces `path` atomically: written under a temporary name, fsynced, renamed, the directory fsynced; the
 * directories on the way are made. Mode 0644. If a file was there, the new one's mtime is at least one
 * whole second later than its (nginx's ETag is mtime and size). With `keep_same` a file that already
 * holds these bytes is left alone. */
int fs_replace(const char *path, const void *data, size_t len, bool keep_same);

/* Writes `data` gzip-compressed (zlib, level 6, no name or time in the header) like fs_replace. */
int fs_replace_gzip(const char *path, const void *data, size_t len);

/* Points the symlink `path` at `to`, atomically, whatever link was there. -EEXIST when something other
 * than a symlink is in the way. */
int fs_replace_link(const char *path, const char *to);

/* Syncs `from`, then gives it the name `to`, which never overwrites: -EEXIST when `to` exists; then fsyncs the directory of
 * `to`. After another error `to` is not there. */
int fs_publish(const char *from, const char *to);

/* Changes that are made together, each as by fs_replace, fs_replace_gzip or fs_publish, and together cost the disk
 * little more than one. What is to be written is written at once, under a temporary name; the rest happens in
 * fs_batch_end: every file is synced, then renamed, then published, then each directory is synced.
 *
 * `error` is 0 at first and gets the first error (-errno) of the changes that it was given for, at the latest from
 * fs_batch_end; a change added or due to be published after an error is left out. A full batch is ended by the next change. */
#define FS_BATCH_MAX 128
struct fs_batch {
    unsigned count;
    struct fs_change {
        char *from, *to;    /* the temporary or staged file; its real name */
        int fd, *error;
        dev_t device;       /* where it lies */
        bool publishes, stays, failed, synced;
    } changes[FS_BATCH_MAX];
    dev_t scratch_device;   /* where temporary files may go; 0: not asked yet */
    struct libdeflate_compressor *packer;
};
void fs_batch_init(struct fs_batch *b);
void fs_batch_replace(struct fs_batch *b, const char *path, const void *data, size_t len, bool keep_same, int *error);
void fs_batch_gzip(struct fs_batch *b, const char *path, const void *data, size_t len, int *error);
/* `stays`: the file keeps its name `from`, too, for another is to be made of it. */
void fs_batch_publish(struct fs_batch *b, const char *from, const char *to, bool stays, int *error);
void fs_batch_end(struct fs_batch *b);

/* Compresses as fs_batch_gzip does, and writes nothing: 0 with *packed, to be freed, or -errno. */
int fs_batch_pack(struct fs_batch *b, const void *data, size_t len, char **packed, size_t *packed_len);

/* Gives a file another name, in place of what has it; makes the directories on the way there, and syncs both
 * directories. 0 too when `from` is absent and `to` there: it was moved before. */
int fs_move(const char *from, const char *to);

/* unlink(2); absent is fine. The directory is not synced. */
int fs_remove(const char *path);

int fs_sync_dir(const char *path);

/* The whole file, NUL-terminated, at most `max` bytes (-EFBIG). Free *data with free(). */
int fs_read(const char *path, size_t max, char **data, size_t *len);

/* Free bytes for this user, and free inodes, of the file system that holds `path`. */
int fs_free(const char *path, uint64_t *bytes, uint64_t *inodes);

/* Where a program keeps what it must not lose: NAME in /var/lib/piwheels where that is there and may be written to, else
 * in ~/.local/state/piwheels. One that is there already is taken wherever it is. */
void fs_state_file(const char *name, char *path, size_t size);

/* Where the control socket goes or is looked for (FACTS): writes the path. For the server the first
 * directory that exists and is writable or can be made, where it lies in a user's own closed to others; for a client the
 * first socket that is there, or -ENOENT with the server's choice in `path`. */
int fs_control_socket(char *path, size_t size, bool server);

#endif
