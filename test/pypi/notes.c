/*
 * Notes of the requests answered: routes.c adds one for each.
 */
#include "notes.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/memory.h"

#define RETRY_MS 20

struct note {
    struct note *next;
    char *method, *path, *user_agent, *accept;
    char status[16];
};

static struct note *note_new(const struct request *q, int status)
{
    struct note *note = mem_new(1, sizeof(*note));

    note->method = mem_text(q->method);
    note->path = mem_text(q->path);
    note->user_agent = mem_text(request_header(q, "User-Agent"));
    note->accept = mem_text(request_header(q, "Accept"));
    snprintf(note->status, sizeof(note->status), "%d", status);
    return note;
}

static void drop_first(struct notes *n)
{
    struct note *note = n->first;

    n->first = note->next;
    if (!n->first)
        n->end = &n->first;
    n->count--;
    free(note->method);
    free(note->path);
    free(note->user_agent);
    free(note->accept);
    free(note);
}

static bool write_first(struct notes *n)
{
    const struct note *note = n->first;

    return store_try(n->store, store_query(n->store,
                                           "INSERT INTO request (method, path, user_agent, accept, status)"
                                           " VALUES (?, ?, ?, ?, nullif(?, '0'))",
                                           note->method, note->path, note->user_agent, note->accept,
                                           note->status));
}

static void write_all(struct notes *n);

static void on_retry(uv_timer_t *timer)
{
    write_all(timer->data);
}

static void write_all(struct notes *n)
{
    while (n->first && write_first(n))
        drop_first(n);
    if (n->first)
        uv_timer_start(&n->timer, on_retry, RETRY_MS, 0);
}

void notes_add(struct notes *n, const struct request *q, int status)
{
    if (n->count == NOTES_WAITING_MAX)
        drop_first(n);
    struct note *note = note_new(q, status);
    *n->end = note;
    n->end = &note->next;
    n->count++;
    write_all(n);
}

void notes_open(struct notes *n, uv_loop_t *loop, struct store *store)
{
    *n = (struct notes){.store = store};
    n->end = &n->first;
    uv_timer_init(loop, &n->timer);
    n->timer.data = n;
}

void notes_close(struct notes *n)
{
    while (n->first)
        drop_first(n);
    uv_close((uv_handle_t *)&n->timer, NULL);
}
