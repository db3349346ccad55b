/*
 * The tools' half of the control socket: one question, its answers, the end. Called by the commands
 * in src/cmd.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "core/text.h"
#include "io/fs.h"
#include "io/wire.h"

struct question {
    const struct message *message;
    void (*data)(void *owner, const char *json);
    void *owner;
    struct control_answer *answer;
    bool ended;
    const char *path;
};

static void on_opened(struct wire *w)
{
    struct question *q = wire_owner(w);
    wire_send(w, q->message);
}

static void end(struct wire *w, struct question *q, bool good, const char *text)
{
    q->ended = true;
    q->answer->asked = true;
    q->answer->good = good;
    text_copy(q->answer->text, sizeof q->answer->text, text);
    wire_finish(w, "answered");
}

static void on_message(struct wire *w, const struct message *m)
{
    struct question *q = wire_owner(w);
    if (q->ended)
        return;
    if (m->verb == VERB_DATA)
        q->data(q->owner, m->data.json);
    else if (m->verb == VERB_DONE)
        end(w, q, m->done.good, m->done.text);
    else if (m->verb == VERB_ERROR)
        end(w, q, false, m->error.reason);
    else
        wire_drop(w, "the master answered with something else");
}

static void on_closed(struct wire *w, const char *reason)
{
    struct question *q = wire_owner(w);
    if (!q->ended)
        snprintf(q->answer->text, sizeof q->answer->text, "no answer from the master at %s (%s); is it running? "
                 "--control-socket names another socket", q->path, reason);
}

static const struct wire_events events = {.opened = on_opened, .message = on_message, .closed = on_closed};

void control_ask(const char *path, const struct message *m, void (*data)(void *owner, const char *json), void *owner,
                 struct control_answer *answer)
{
    char usual[108];
    uv_loop_t loop;
    memset(answer, 0, sizeof *answer);
    if (!path && fs_control_socket(usual, sizeof usual, false) != 0) {
        snprintf(answer->text, sizeof answer->text, "no master is running here: there is no %s; start one with "
                 "piwheels master, or name its socket with --control-socket", usual);
        return;
    }
    struct question q = {m, data, owner, answer, false, path ? path : usual};
    uv_loop_init(&loop);
    wire_connect(&loop, q.path, NULL, &events, &q);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
