/*
 * What the log says of slaves because they did something, as often as they like: came, left, were short of something, spoke of
 * what nobody knows. Each has a ration of such lines; all who are not accepted have one together, for names cost them nothing.
 * Of what was not written the number is told with the next line that is.
 */
#include "core/log.h"
#include "core/memory.h"
#include "session.h"

/* A farm of thousands may come back at once; a line is some 150 bytes. */
static const struct ration_limits strangers_limits = {.most = 20000, .every_ms = 1000};
static const struct ration_limits slave_limits = {.most = 2000, .every_ms = 10000};

struct talker {
    int64_t slave;
    struct ration ration;
};

static struct ration *ration_of(struct farm *f, int64_t slave)
{
    for (size_t i = 0; i < f->talker_count; i++) {
        if (f->talkers[i].slave == slave)
            return &f->talkers[i].ration;
    }
    f->talkers = mem_resize(f->talkers, f->talker_count + 1, sizeof *f->talkers);
    f->talkers[f->talker_count] = (struct talker){.slave = slave};
    return &f->talkers[f->talker_count++].ration;
}

bool session_may_tell(struct session *s)
{
    bool known = s->slave > 0 && s->trust == DB_ACCEPTED;
    struct ration *ration = known ? ration_of(s->farm, s->slave) : &s->farm->strangers;

    if (!ration_take(ration, known ? &slave_limits : &strangers_limits))
        return false;
    unsigned refused = ration_refused(ration);
    if (refused > 0 && known)
        log_warning("farm", "%s: %u lines about it were not written, for there were too many", s->name, refused);
    else if (refused > 0)
        log_warning("farm", "slaves that are not accepted: %u lines about them were not written, for there were too many; if they "
                    "are none of yours, keep them from the port", refused);
    return true;
}
