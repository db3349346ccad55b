/*
 * piwheels initdb: creates the database's schema, or upgrades it to what this program needs. An operator runs
 * it once at the start and after every upgrade of piwheels, as PostgreSQL's superuser.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/memory.h"
#include "tool.h"

#define OLDEST_SERVER 130000

struct initdb {
    struct tool tool;
    const char *service;     /* the database user that the master will be */
    bool yes;
    struct db_setup found;
};

static struct initdb *initdb_of(struct task *t)
{
    return container_of(tool_of(t), struct initdb, tool);
}

/* ---- steps ---- */

static enum step look_around(struct task *t)
{
    struct initdb *i = initdb_of(t);

    db_setup_look(i->tool.db, &i->tool.call, i->service, &i->found, tool_on_answer);
    return STEP_WAIT;
}

static enum step check_server(struct task *t)
{
    struct initdb *i = initdb_of(t);
    const struct db_setup *found = &i->found;

    if (i->tool.error != 0)
        return tool_refused(&i->tool);
    if (found->server_number < OLDEST_SERVER)
        return task_fail(t, -EPROTO, "the server is PostgreSQL %s; 13 or later is needed", found->server);
    if (!found->superuser)
        return task_fail(t, -EPERM, "the database user %s is no superuser; run it as one: su - postgres -c "
                                    "'piwheels initdb %s'", found->user, found->database);
    if (strcmp(found->encoding, "UTF8") != 0)
        return task_fail(t, -EPROTO,
                         "the encoding of database %s is %s, but must be UTF8; create it anew: createdb "
                                     "-E UTF8 -T template0 %s",
                         found->database, found->encoding, found->database);
    return STEP_NEXT;
}

static enum step check_service_user(struct task *t)
{
    struct initdb *i = initdb_of(t);

    if (!i->found.service_exists)
        return task_fail(t, -ENOENT,
                         "there is no database user %s, which the master would be; create it: createuser "
                                     "%s (or name another with -u)", i->service, i->service);
    if (i->found.service_superuser)
        return task_fail(t, -EPERM,
                         "the database user %s is a superuser, which the master must not be; take that away: "
                                    "psql -c 'ALTER ROLE \"%s\" NOSUPERUSER' (or name another with -u)",
                         i->service, i->service);
    return STEP_NEXT;
}

static bool is_current(const struct db_configuration *there)
{
    return strcmp(there->version, PIWHEELS_VERSION) == 0 && there->level == DB_LEVEL;
}

static enum step check_schema(struct task *t)
{
    struct initdb *i = initdb_of(t);
    const struct db_configuration *there = &i->tool.configuration;

    if (there->version[0] == '\0') {
        if (i->found.schema_exists)
            return task_fail(t, -EEXIST,
                             "database %s has a schema called piwheels that is not of this program; "
                                         "choose another database", i->found.database);
        return STEP_NEXT;
    }
    if (db_configuration_newer(there))
        return task_fail(t, -EPROTO,
                         "database %s is of piwheels %s (schema level %d), which is newer than this, %s "
                                     "(level %d), and there is no way back; install piwheels %s",
                         i->found.database, there->version, there->level, PIWHEELS_VERSION, DB_LEVEL,
                         there->version);
    if (!is_current(there) && i->found.masters > 0)
        return task_fail(t, -EBUSY, "a master is running on database %s; stop it before the upgrade",
                         i->found.database);
    return STEP_NEXT;
}

static enum step show_plan(struct task *t)
{
    struct initdb *i = initdb_of(t);
    const struct db_configuration *there = &i->tool.configuration;

    printf("Database %s on PostgreSQL %s, as %s.\n", i->found.database, i->found.server, i->found.user);
    if (there->version[0] == '\0')
        printf("The schema of piwheels %s (level %d) will be created.\n", PIWHEELS_VERSION, DB_LEVEL);
    else if (is_current(there))
        printf("The schema is that of piwheels %s (level %d) already: "
               "nothing to do but to grant the rights again.\n", PIWHEELS_VERSION, DB_LEVEL);
    else
        printf("The schema will be upgraded from piwheels %s (level %d) to %s (level %d).\n"
               "There is no way back: take a backup first (pg_dump %s).\n",
               there->version, there->level, PIWHEELS_VERSION, DB_LEVEL, i->found.database);
    printf("The user %s will have the rights that the master needs.\n", i->service);
    return STEP_NEXT;
}

/* Blocks, for nobody else is on this loop. */
static enum step ask(struct task *t)
{
    char answer[16] = "";

    if (initdb_of(t)->yes)
        return STEP_NEXT;
    if (!isatty(STDIN_FILENO))
        return task_fail(t, -ENOTTY, "there is nobody to ask; give -y to go on without");
    fflush(stdout);
    fputs("Go on? [y/N] ", isatty(STDOUT_FILENO) ? stdout : stderr); /* seen, too, by who keeps the output in a file */
    fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) == NULL || tolower((unsigned char)answer[0]) != 'y')
        return task_fail(t, -ECANCELED, "nothing has been changed");
    return STEP_NEXT;
}

static void on_progress(void *owner, const char *text)
{
    printf("%s ...\n", text);
    fflush(stdout);
}

static enum step change_database(struct task *t)
{
    struct initdb *i = initdb_of(t);

    db_setup_run(i->tool.db, &i->tool.call, &i->tool.configuration, i->service, on_progress, NULL,
                 tool_on_answer);
    return STEP_WAIT;
}

static enum step tell_result(struct task *t)
{
    struct initdb *i = initdb_of(t);

    if (i->tool.error == -EREMOTEIO)
        return task_fail(t, -EREMOTEIO, "nothing has been changed, for the server refused: %s",
                         i->tool.call.message);
    if (i->tool.error != 0)
        return task_fail(t, i->tool.error,
                         "the connection was lost; run piwheels initdb again to see what is done: %s",
                         db_why(i->tool.db));
    if (i->tool.configuration.version[0] == '\0')
        puts("Done. Next, name what to build for: piwheels target add NAME --native");
    else
        puts("Done.");
    return STEP_NEXT;
}

static const struct task_step steps[] = {
    {"look around", look_around},
    {"check server", check_server},
    {"check service user", check_service_user},
    {"check schema", check_schema},
    {"show plan", show_plan},
    {"ask", ask},
    {"change database", change_database},
    {"tell result", tell_result},
    {NULL, NULL},
};

/* ---- the command ---- */

/* postgres:///DATABASE, with the characters of a URL escaped. */
static void add_dsn(struct buf *dsn, const char *database)
{
    buf_adds(dsn, "postgres:///");
    for (const char *p = database; *p != '\0'; p++) {
        if (isalnum((unsigned char)*p) || strchr("-._~", *p) != NULL)
            buf_addc(dsn, *p);
        else
            buf_addf(dsn, "%%%02X", (unsigned char)*p);
    }
}

/* The one word, DATABASE, in the place of --dsn: EXIT_OK, or the exit status. */
static int read_database(const struct options *o, struct buf *dsn)
{
    const char *database = o->words[0];

    if (o->values[OPT_master_dsn].source == OPTION_ARGV)
        return command_usage_error(&command_initdb, "give either --dsn or the name of a database, not both");
    if (strstr(database, "://") != NULL || strchr(database, '=') != NULL)
        return command_usage_error(&command_initdb, "\"%s\" is no name of a database; give it with --dsn",
                                   database);
    add_dsn(dsn, database);
    return EXIT_OK;
}

static int run(const struct options *o)
{
    struct initdb initdb = {
        .tool = {.command = &command_initdb, .dsn = option_text(o, OPT_master_dsn), .steps = steps,
                 .any_database = true},
        .service = option_text(o, OPT_initdb_user),
        .yes = option_flag(o, OPT_argv_yes),
    };
    struct buf dsn;
    int status = EXIT_OK;

    buf_init(&dsn, 4096);
    if (o->word_count > 0) {
        status = read_database(o, &dsn);
        initdb.tool.dsn = dsn.data;
    }
    if (status == EXIT_OK)
        status = tool_run(&initdb.tool);
    buf_release(&dsn);
    return status;
}

static const char *const aliases[] = {"piw-initdb", "piw-init-db", NULL};

const struct command command_initdb = {
    .name = "initdb",
    .aliases = aliases,
    .usage = "[DATABASE]",
    .summary = "create or upgrade the database",
    .description =
        "Creates the tables and functions of piwheels in a PostgreSQL database, or upgrades them to what "
        "this version needs, and gives the master's database user its rights. It shows what it is going to do "
        "and asks; everything happens in one transaction.\n\n"
        "It must be run as a superuser of the database server. DATABASE is short for --dsn "
        "postgres:///DATABASE. On a fresh server: su - postgres, createuser piwheels, createdb -O postgres "
        "piwheels, piwheels initdb piwheels.",
    .bit = FOR_INITDB,
    .min_words = 0,
    .max_words = 1,
    .needs_user = false,
    .run = run,
};
