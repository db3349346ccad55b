/*
 * PyPI's changelog. The first byte is the size of the pieces in which the rest arrives. Rows that are told must
 * make events, and events rows of COPY: one line, of twelve columns.
 */
#include <errno.h>

#include "../../src/pypi/changelog_event.h"
#include "../../src/pypi/changelog_xml.h"
#include "core/text.h"
#include "fuzz.h"

struct reading {
    struct fits fits;
    struct buf rows;
};

static void check_line(const struct buf *rows)
{
    unsigned tabs = 0;

    for (size_t i = 0; i < rows->len; i++) {
        tabs += rows->data[i] == '\t';
        assert((rows->data[i] == '\n') == (i == rows->len - 1));
        assert(rows->data[i] != '\0' && rows->data[i] != '\r');
    }
    assert(tabs == 11 && text_is_utf8(rows->data, rows->len));
}

static bool on_row(void *owner, const struct changelog_row *row)
{
    struct reading *r = owner;
    struct changelog_event e;

    switch (changelog_event_read(row, &r->fits, &e)) {
    case ROW_EVENT:
    case ROW_UNKNOWN:
        buf_clear(&r->rows);
        assert(db_event_add(&r->rows, &e.event) == 0);
        check_line(&r->rows);
        break;
    case ROW_REFUSED:
        assert(e.why != NULL);
        break;
    case ROW_NOTHING:
        break;
    }
    return row->serial != 77;
}

static void set_targets(struct fits *fits)
{
    struct db_targets *targets = mem_new(1, sizeof *targets);

    targets->count = 1;
    targets->items[0].id = 63;
    text_copy(targets->items[0].abi, sizeof targets->items[0].abi, "cp311");
    text_copy(targets->items[0].platform, sizeof targets->items[0].platform, "linux_x86_64");
    fits_set(fits, targets);
    free(targets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reading reading;
    struct changelog_xml x = {.row = on_row, .owner = &reading};
    int error = 0;

    if (size < 2)
        return -1;
    if (reading.rows.data == NULL) {
        buf_init(&reading.rows, 16384);
        set_targets(&reading.fits);
    }
    size_t piece = data[0] == 0 ? 1 : data[0];
    changelog_xml_init(&x);
    for (size_t at = 1; at < size && error == 0; at += piece)
        error = changelog_xml_feed(&x, (const char *)data + at, size - at < piece ? size - at : piece);
    if (error == 0)
        error = changelog_xml_end(&x);
    assert(error == 0 || error == -ECANCELED || (error == -EPROTO && x.reason[0] != '\0'));
    changelog_xml_release(&x);
    return 0;
}
