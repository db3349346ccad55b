/*
 * What src/python and src/wheel say: reads questions, a line each, and answers each in a line. test/flow/test_oracle.py asks the same of
 * Python's `packaging`, `email` and `zipfile`, and holds the answers against each other.
 *
 * A question is its name and its arguments in hex, between blanks; an empty argument is "-". An answer is plain text, its
 * parts divided by tabs; "none" where there is no such thing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "python.h"
#include "wheel.h"

#define MAX_ARGUMENTS 3
#define MAX_TEXT_BYTES 65536

/* Its bytes may be any; behind them is a NUL. */
struct argument {
    char *text;
    size_t len;
};

static void answer_version(const struct argument *args)
{
    struct buf normal;

    buf_init(&normal, MAX_TEXT_BYTES);
    python_version_normalise(args[0].text, &normal);
    if (python_version_valid(args[0].text))
        printf("%s\t%d\n", normal.data, python_version_prerelease(args[0].text));
    else
        puts("none");
    buf_release(&normal);
}

static void answer_order(const struct argument *args)
{
    int order = python_version_compare(args[0].text, args[1].text);
    printf("%d\n", (order > 0) - (order < 0));
}

static void answer_match(const struct argument *args)
{
    int matches = python_specifiers_match(args[0].text, args[1].text, args[2].text[0] != '\0');

    if (matches < 0)
        puts("none");
    else
        printf("%d\n", matches);
}

static void answer_requires(const struct argument *args)
{
    printf("%d\n", python_requires_allows(args[0].text, args[1].text));
}

static void answer_name(const struct argument *args)
{
    char to[PYTHON_NAME_MAX + 1];

    puts(python_name_normalise(args[0].text, to, sizeof to) == 0 ? to : "none");
}

static void answer_wheel(const struct argument *args)
{
    struct wheel_name w;

    if (python_wheel_name_parse(args[0].text, &w) == 0)
        printf("%s\t%s\t%s\t%s\t%s\t%s\n", w.dist, w.version, w.build, w.python, w.abi, w.platform);
    else
        puts("none");
}

/* The target is "ABI PLATFORM GLIBC-MINOR". */
static void answer_fits(const struct argument *args)
{
    struct python_target target = {.glibc_major = 2};
    struct wheel_name w;
    char abi[16], platform[64];

    if (python_wheel_name_parse(args[0].text, &w) != 0 || sscanf(args[1].text, "%15s %63s %u", abi, platform, &target.glibc_minor) != 3) {
        puts("none");
        return;
    }
    target.abi = abi;
    target.platform = platform;
    printf("%d\n", python_wheel_fits(&w, &target));
}

static void answer_metadata(const struct argument *args)
{
    struct metadata m;
    char why[128];

    if (python_metadata_parse(args[0].text, args[0].len, &m, why, sizeof why) == 0) {
        printf("%s\t%s\t%s", m.name, m.version, m.requires_python != NULL ? m.requires_python : "");
        for (size_t i = 0; i < m.requires_dist_count; i++)
            printf("\t%s", m.requires_dist[i]);
        puts("");
    } else {
        puts("none");
    }
    python_metadata_release(&m);
}

static void answer_archive(const struct argument *args)
{
    struct wheel w;
    char why[512];

    puts(wheel_read_bytes(args[0].text, args[0].len, args[1].text, NULL, NULL, &w, why, sizeof why) == 0 ? "sound" : "none");
    wheel_release(&w);
}

static const struct {
    const char *name;
    void (*answer)(const struct argument *args);
} questions[] = {
    {"version", answer_version}, {"order", answer_order}, {"match", answer_match}, {"requires", answer_requires},
    {"name", answer_name}, {"wheel", answer_wheel}, {"fits", answer_fits}, {"metadata", answer_metadata}, {"archive", answer_archive},
};

static struct argument from_hex(const char *hex)
{
    size_t len = hex[0] == '-' ? 0 : strlen(hex) / 2;
    char *text = mem_new(len + 1, 1);

    for (size_t i = 0; i < len; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        text[i] = (char)byte;
    }
    return (struct argument){text, len};
}

static void answer(char *line)
{
    struct argument args[MAX_ARGUMENTS];
    char *word, *name = strsep(&line, " ");

    for (size_t i = 0; i < MAX_ARGUMENTS; i++)
        args[i] = from_hex((word = strsep(&line, " ")) != NULL ? word : "-");
    for (size_t i = 0; i < COUNT_OF(questions); i++)
        if (strcmp(questions[i].name, name) == 0)
            questions[i].answer(args);
    for (size_t i = 0; i < MAX_ARGUMENTS; i++)
        free(args[i].text);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    while ((len = getline(&line, &size, stdin)) > 0) {
        line[len - (line[len - 1] == '\n')] = '\0';
        answer(line);
    }
    free(line);
    return 0;
}
