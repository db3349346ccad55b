/*
 * A PyPI of one's own on the loopback interface, for tests and for quickstart: serves what the tables
 * of one SQLite database say (schema.sql), and follows every change that anybody makes to them.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "core/memory.h"
#include "notes.h"
#include "routes.h"
#include "seed.h"
#include "server.h"
#include "store.h"

#define SEEDS_MAX 16

static const char help[] =
    "usage: loopback-pypi --db FILE [options]\n"
    "\n"
    "  --db FILE         the SQLite database; created where there is none\n"
    "  --listen ADDR:PORT\n"
    "                    where to listen (default 127.0.0.1:0; 0: any free port)\n"
    "  --seed DIR        first add the sdists and wheels in DIR; may be repeated\n"
    "  --print-url       print the URL, one line, once requests are answered\n"
    "  --help            show this\n"
    "\n"
    "The database may be changed with SQL at any time; its tables explain\n"
    "themselves: sqlite3 FILE .schema\n";

struct settings {
    const char *db, *listen;
    const char *seeds[SEEDS_MAX];
    unsigned seed_count;
    bool print_url;
};

struct program {
    struct store store;
    struct notes notes;
    struct server server;
    struct site site;
    uv_signal_t signals[2];
};

static const struct option options[] = {
    {"db", required_argument, NULL, 'd'},
    {"listen", required_argument, NULL, 'l'},
    {"seed", required_argument, NULL, 's'},
    {"print-url", no_argument, NULL, 'p'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Exits where there is nothing to go on with: 0 after --help, 2 for a mistake. */
static void read_settings(struct settings *s, int argc, char **argv)
{
    int option;

    *s = (struct settings){.listen = "127.0.0.1:0"};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'd') {
            s->db = optarg;
        } else if (option == 'l') {
            s->listen = optarg;
        } else if (option == 's' && s->seed_count < SEEDS_MAX) {
            s->seeds[s->seed_count++] = optarg;
        } else if (option == 'p') {
            s->print_url = true;
        } else if (option == 'h') {
            fputs(help, stdout);
            exit(0);
        } else {
            fputs("loopback-pypi: try --help\n", stderr);
            exit(2);
        }
    }
    if (!s->db || optind < argc) {
        fputs("loopback-pypi: --db FILE is needed, and options only; try --help\n", stderr);
        exit(2);
    }
}

static int seed(struct store *store, const struct settings *s)
{
    for (unsigned i = 0; i < s->seed_count; i++) {
        int error = seed_folder(store, s->seeds[i]);
        if (error) {
            fprintf(stderr, "loopback-pypi: %s: %s\n", s->seeds[i], strerror(-error));
            return error;
        }
    }
    return 0;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct program *p = handle->data;

    server_close(&p->server);
    notes_close(&p->notes);
    for (size_t i = 0; i < COUNT_OF(p->signals); i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static void watch_signals(struct program *p, uv_loop_t *loop)
{
    static const int numbers[] = {SIGINT, SIGTERM};

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < COUNT_OF(p->signals); i++) {
        uv_signal_init(loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start(&p->signals[i], on_signal, numbers[i]);
    }
}

static int serve(struct program *p, const struct settings *s)
{
    uv_loop_t *loop = uv_default_loop();
    int error = server_open(&p->server, loop, s->listen, routes_answer, &p->site);

    if (error) {
        fprintf(stderr, "loopback-pypi: %s: %s\n", s->listen, uv_strerror(error));
    } else {
        notes_open(&p->notes, loop, &p->store);
        p->site = (struct site){&p->store, &p->notes, &p->server};
        watch_signals(p, loop);
        if (s->print_url) {
            puts(p->server.url);
            fflush(stdout);
        }
    }
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    return error;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct program program = {0};

    read_settings(&settings, argc, argv);
    if (store_open(&program.store, settings.db) != 0)
        return 1;
    int error = seed(&program.store, &settings);
    if (!error)
        error = serve(&program, &settings);
    store_close(&program.store);
    return error ? 1 : 0;
}
