/*
 * The decoder of the wire's messages: what it takes, the encoder can say again, and that means the same.
 */
#include "fuzz.h"
#include "io/message.h"

#define HEADER_BYTES 4

/* Decodes a copy that ends where the frame does, but for the byte that the decoder may write. */
static int decode(const void *data, size_t size, struct message *m, char **frame)
{
    char why[256] = "";

    *frame = mem_resize(NULL, size + 1, 1);
    memcpy(*frame, data, size);
    int rc = message_decode(*frame, size, m, why, sizeof why);
    assert((rc == 0) == (why[0] == '\0'));
    return rc;
}

static void encode(const struct message *m, struct buf *to)
{
    buf_init(to, HEADER_BYTES + FRAME_MAX_BYTES);
    assert(message_encode(m, to) == 0);
}

static void check_again(const struct message *m)
{
    struct buf first, second, text;
    struct message again;
    char *frame;

    encode(m, &first);
    assert(decode(first.data + HEADER_BYTES, first.len - HEADER_BYTES, &again, &frame) == 0);
    encode(&again, &second);
    assert(again.verb == m->verb);
    assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    buf_init(&text, 4096);
    message_print(m, &text);
    buf_release(&text);
    buf_release(&first);
    buf_release(&second);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message m;
    char *frame;

    if (size <= FRAME_MAX_BYTES && decode(data, size, &m, &frame) == 0)
        check_again(&m);
    else if (size > FRAME_MAX_BYTES)
        return -1;
    free(frame);
    return 0;
}
