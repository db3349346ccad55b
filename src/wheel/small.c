/*
 * The members of a small wheel, inflated where they lie in memory, each in one piece: called by archive_inflate().
 * Most wheels are small, and a farm reads a great many of them: libdeflate takes a third of the time that zlib takes
 * behind libzip, which reads the large ones piece by piece.
 */
#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>

#include "archive.h"
#include "core/memory.h"

#define LOCAL_SIZE 30
#define METHOD_STORED 0

/* layout.c has found the local header sound, and the data behind it within the file. */
static const unsigned char *data_of(const struct archive *a, const struct member *m)
{
    const unsigned char *local = a->bytes + m->offset;

    return local + LOCAL_SIZE + (local[26] | local[27] << 8) + (local[28] | local[29] << 8);
}

/* All of the stored bytes must be the stream, and nothing be left of the room. */
static int unpack(struct archive *a, const struct member *m, unsigned char *to)
{
    size_t used = 0, made = 0;

    if (!a->inflater)
        a->inflater = libdeflate_alloc_decompressor();
    if (!a->inflater)
        return fail(a->why, -ENOMEM, "inflating it");
    if (libdeflate_deflate_decompress_ex(a->inflater, data_of(a, m), m->stored_bytes, to, m->inflated_bytes, &used, &made) !=
            LIBDEFLATE_SUCCESS || used != m->stored_bytes || made != m->inflated_bytes)
        return refuse(a->why, "\"%s\" does not inflate to the size it declares, or is damaged", m->name);
    return 0;
}

int small_inflate(struct archive *a, const struct member *m, archive_sink *sink, void *context)
{
    const unsigned char *data = data_of(a, m);
    unsigned char *room = NULL;
    int rc = 0;

    if (m->method != METHOD_STORED) {
        data = room = mem_resize(NULL, m->inflated_bytes + 1, 1);
        rc = unpack(a, m, room);
    }
    if (rc == 0 && libdeflate_crc32(0, data, m->inflated_bytes) != m->crc32)
        rc = refuse(a->why, "%s: CRC error", m->name);
    if (rc == 0 && m->inflated_bytes > 0)
        sink(context, data, m->inflated_bytes);
    free(room);
    return rc;
}

void small_release(struct archive *a)
{
    if (a->inflater)
        libdeflate_free_decompressor(a->inflater);
}
