/*
 * One stale page on its way from the facts in the database to the files.
 */
#ifndef WEB_PAGE_H
#define WEB_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/lane.h"
#include "core/task.h"
#include "db.h"
#include "tree.h"

struct page {
    /* set by the owner, the rest zeroed */
    struct db *db;
    const char *output, *site_url;
    char kind[16], key[256];      /* as the database names pages: "index", "project" (of a package), "root", "home" */
    int64_t generation;           /* of which it was seen stale, before its facts are read */
    /* From the loop, exactly once: 0, or -errno with `task.reason`. The owner may free the page here. */
    void (*done)(struct page *p, int error);
    void *owner;
    /* private but for task.reason */
    struct task task;
    struct db_call call;
    bool writing;                 /* a pool thread works on it; else the database may */
    int error;                    /* of the last request */
    const struct page_kind *how;
    struct db_index index;
    struct db_root root;
    struct db_targets *targets;
    struct db_project_page project;
    struct db_home home;
    struct lane_work work;
    struct tree_trouble trouble;
};

void page_start(uv_loop_t *loop, struct page *p);
void page_cancel(struct page *p);

#endif
