/*
 * Reads {"meta": …, "projects": [{"name": "…", "_last-serial": 123}, …]} on top of yajl; called by sweep.c for each piece.
 * A guard before yajl limits the length of a token and the depth, for yajl holds on to both.
 */
#include "list_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "core/memory.h"
#include "core/text.h"
#include "python.h"

#define MAX_TOKEN_BYTES 4096
#define MAX_DEPTH 16
#define IN_LIST 2             /* depth inside {"projects": [ */
#define IN_PROJECT 3

static int refuse(struct list_json *l, const char *reason)
{
    if (l->error == 0)
        text_copy(l->reason, sizeof l->reason, reason);
    l->error = -EPROTO;
    return 0; /* which ends yajl's run */
}

/* ---- yajl's events -------------------------------------------------------------------------------- */

static int on_key(void *context, const unsigned char *key, size_t len)
{
    static const struct {
        const char *name;
        unsigned depth;
        int key;
    } keys[] = {{"projects", 1, KEY_PROJECTS}, {"name", IN_PROJECT, KEY_NAME}, {"_last-serial", IN_PROJECT, KEY_SERIAL}};
    struct list_json *l = context;

    l->key = KEY_OTHER;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (l->depth == keys[i].depth && (l->in_list || keys[i].depth == 1) && strlen(keys[i].name) == len &&
            memcmp(keys[i].name, key, len) == 0)
            l->key = keys[i].key;
    return 1;
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    struct list_json *l = context;

    if (l->in_list && l->depth == IN_LIST)
        return refuse(l, "a project in it has no serial");
    if (l->in_list && l->depth == IN_PROJECT && l->key == KEY_NAME && len < sizeof l->name && memchr(text, '\0', len) == NULL) {
        memcpy(l->name, text, len);
        l->name[len] = '\0';
    }
    return 1;
}

static int on_number(void *context, const char *text, size_t len)
{
    struct list_json *l = context;
    char digits[24];
    unsigned long long serial;

    if (!l->in_list || l->depth != IN_PROJECT || l->key != KEY_SERIAL)
        return 1;
    if (len >= sizeof digits)
        return refuse(l, "a serial in it is none");
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (text_to_u64(digits, &serial) != 0 || serial > INT64_MAX)
        return refuse(l, "a serial in it is none");
    l->serial = (int64_t)serial;
    return 1;
}

static int begin(struct list_json *l, bool array)
{
    if (l->depth == MAX_DEPTH)
        return refuse(l, "it is nested too deeply");
    if (array && l->depth == 1 && l->key == KEY_PROJECTS) {
        if (l->seen_list)
            return refuse(l, "it has two lists");
        l->in_list = l->seen_list = true;
    }
    l->depth++;
    if (!array && l->in_list && l->depth == IN_PROJECT) {
        l->name[0] = '\0';
        l->serial = -1;
    }
    l->key = KEY_OTHER;
    return 1;
}

static int on_map(void *context)
{
    return begin(context, false);
}

static int on_array(void *context)
{
    return begin(context, true);
}

static int on_map_end(void *context)
{
    struct list_json *l = context;

    if (l->in_list && l->depth == IN_PROJECT) {
        if (l->serial < 0)
            return refuse(l, "a project in it has no serial");
        if (python_name_valid(l->name)) {
            l->projects++;
            l->project(l->owner, l->name, l->serial);
        }
    }
    l->depth--;
    l->key = KEY_OTHER;
    return 1;
}

static int on_array_end(void *context)
{
    struct list_json *l = context;

    if (l->depth == IN_LIST)
        l->in_list = false;
    l->depth--;
    l->key = KEY_OTHER;
    return 1;
}

/* ---- the guard ------------------------------------------------------------------------------------ */

static bool guard_byte(struct list_json *l, char c)
{
    if (l->in_string) {
        if (!l->escaped && c == '"')
            l->in_string = false;
        l->escaped = !l->escaped && c == '\\';
    } else if (c == '"') {
        l->in_string = true;
        l->run = 0;
    } else if (c != '\0' && strchr(",:[]{} \t\r\n", c) != NULL) {
        l->run = 0;
    }
    return ++l->run <= MAX_TOKEN_BYTES;
}

/* ---- entries -------------------------------------------------------------------------------------- */

void list_json_init(struct list_json *l)
{
    static const yajl_callbacks callbacks = {
        .yajl_number = on_number, .yajl_string = on_string, .yajl_start_map = on_map, .yajl_map_key = on_key,
        .yajl_end_map = on_map_end, .yajl_start_array = on_array, .yajl_end_array = on_array_end,
    };

    l->yajl = yajl_alloc(&callbacks, NULL, l);
    if (l->yajl == NULL)
        abort(); /* out of memory */
}

void list_json_release(struct list_json *l)
{
    if (l->yajl != NULL)
        yajl_free(l->yajl);
    l->yajl = NULL;
}

static int judge(struct list_json *l, yajl_status status)
{
    if (status != yajl_status_ok)
        refuse(l, "it is no JSON");
    return l->error;
}

int list_json_feed(struct list_json *l, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!guard_byte(l, data[i])) {
            refuse(l, "a text in it is endless");
            return l->error;
        }
    return judge(l, yajl_parse(l->yajl, (const unsigned char *)data, len));
}

int list_json_end(struct list_json *l)
{
    if (l->error == 0 && (yajl_complete_parse(l->yajl) != yajl_status_ok || l->depth > 0))
        refuse(l, "it ends before it is complete");
    if (l->error == 0 && !l->seen_list)
        refuse(l, "it lists no projects");
    return l->error;
}
