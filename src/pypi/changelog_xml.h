/*
 * PyPI's answer to changelog_since_serial or changelog_last_serial (XML-RPC), read as it arrives. A pure push parser: the
 * reader (changelog.c) feeds it pieces of any size and is told each row as soon as it is complete. It holds one row, whatever
 * comes in.
 */
#ifndef PYPI_CHANGELOG_XML_H
#define PYPI_CHANGELOG_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANGELOG_TEXT_MAX 1023 /* bytes of a text that are kept */

struct changelog_row {
    const char *name;
    const char *version;      /* NULL: nil */
    const char *action;
    int64_t happened;         /* Unix seconds */
    int64_t serial;
    bool cut;                 /* one of the texts was longer than is kept */
};

enum changelog_answer_kind { ANSWER_ROWS, ANSWER_NUMBER, ANSWER_FAULT };

struct changelog_field {
    enum { FIELD_NONE, FIELD_TEXT, FIELD_NUMBER, FIELD_NIL } kind;
    char text[CHANGELOG_TEXT_MAX + 1];
    size_t len;
    bool cut;
    int64_t number;
};

struct changelog_xml {
    /* set by the owner before changelog_xml_init. False: no more is wanted. The row is valid during the call. */
    bool (*row)(void *owner, const struct changelog_row *row);
    void *owner;
    /* the result once changelog_xml_end has returned 0 */
    enum changelog_answer_kind answer;
    uint64_t rows;            /* how many were told; counted all the time */
    int64_t number;           /* of ANSWER_NUMBER */
    int64_t fault_code;       /* of ANSWER_FAULT */
    char fault[512];
    char reason[160];         /* what is wrong with the answer, after an error */
    /* private */
    void *expat;
    struct {
        unsigned state, children;
    } stack[16];              /* the elements that are open */
    unsigned depth;
    struct changelog_field fields[5];
    struct changelog_field *field; /* that text belongs to, or NULL */
    struct changelog_field scratch; /* of a fault and of a number */
    char member[16];          /* name of a fault's member */
    int error;
    /* of the sieve */
    enum { SIEVE_TEXT, SIEVE_TAG, SIEVE_DECLARATION, SIEVE_REFERENCE } sieve;
    char held[16];            /* a character reference so far */
    size_t run;               /* bytes since the tag, declaration or reference began */
    bool begun, first;        /* anything but space has come; this is the first tag */
};

/* `x` zeroed but for what the owner sets. Release in any case. */
void changelog_xml_init(struct changelog_xml *x);
void changelog_xml_release(struct changelog_xml *x);

/* 0; -EPROTO with `reason`: the answer is not what it should be; -ECANCELED: `row` wanted no more. After an error nothing
 * more may be fed. */
int changelog_xml_feed(struct changelog_xml *x, const char *data, size_t len);

/* The answer is over. 0, or -EPROTO with `reason` when it was cut off. */
int changelog_xml_end(struct changelog_xml *x);

#endif
