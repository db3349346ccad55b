/*
 * Small checks and copies of text that others wrote.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Whether it could name a variable of the environment: letters, digits and '_', and no digit first (POSIX, 8.1). */
bool text_is_identifier(const char *text);

/* Whether the bytes are valid UTF-8 without NUL (RFC 3629: no overlongs, no surrogates). */
bool text_is_utf8(const char *data, size_t len);

/* Length in bytes of the UTF-8 character that `data` begins with; 0 when there is none that is valid. */
size_t text_character(const char *data, size_t len);

/* Whether the character at `data` (of `len` bytes, as text_character tells) is a control character. */
bool text_is_control(const char *data, size_t len);

/* Makes foreign bytes fit to be stored and shown: NULs and control characters (but \n and \t)
 * dropped, invalid UTF-8 replaced by U+FFFD, cut to at most `max_bytes` on a character's border
 * with "…" at the cut. Returns a new text; free with free(). */
char *text_clean(const char *data, size_t len, size_t max_bytes);

/* Like strlcpy, but cuts on a UTF-8 border. Returns false when it had to cut. */
bool text_copy(char *to, size_t size, const char *from);

#define TEXT_COLUMNS 80

/* Writes `text` for a terminal, broken between words into lines of at most TEXT_COLUMNS columns, and ends the
 * last one. The first line begins where `column` says the cursor stands; all others are indented
 * by `indent`. Newlines in `text` are kept, and so are the blanks behind them. */
void text_wrap(FILE *to, const char *text, unsigned column, unsigned indent);

bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);

/* Whole-string unsigned decimal. 0, -EINVAL or -ERANGE. */
int text_to_u64(const char *text, unsigned long long *value);

#endif
