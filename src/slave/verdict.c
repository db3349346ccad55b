/*
 * Why a build failed: a table of what compilers, Python and pip say, the most certain first. build.c asks
 * when pip's exit status is not 0.
 *
 * What is the farm's is tried again, what is the package's is not, so only words that a package cannot
 * honestly cause count as the farm's. A setup.py that tries to download something fails with network errors
 * as well: hence pip's own words only. Where these do not tell whose a failure is, `unfound` says so, and build.c has pip
 * look again.
 */
#include "verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "io/http.h"
#include "log.h"
#include "python.h"

#define DETAIL_MAX_BYTES 1000
#define RAW_MAX_BYTES 4000 /* before it is cleaned and cut */

struct line {
    const char *start;
    size_t len;
};

struct rule {
    const char *words;     /* the line that holds them is the detail */
    const char *end;       /* then what stands between `words` and this belongs to the reason; "": up to a blank */
    const char *besides;   /* must stand somewhere in the log too, or NULL */
    bool own;              /* the line must name the requirement itself, not one of its build requirements */
    const char *outcome, *reason;
};

#define NOT_FOUND "No matching distribution found for "
#define VERSIONS "(from versions: "
#define NO_PAGE "Could not fetch URL "
#define NO_FILE ": No such file or directory"
#define NO_COMMAND "' failed: No such file or directory"
/* pip's last attempt at a request: behind it there is nothing but failure. */
#define NEEDS_NETWORK "needs network"
#define RETRIES_USED_UP "WARNING: Retrying (Retry(total=0"

static const struct rule rules[] = {
    {"No space left on device", NULL, NULL, false, "farm", "disk"},
    {"Disk quota exceeded", NULL, NULL, false, "farm", "disk"},
    {"Killed signal terminated program", NULL, NULL, false, "farm", "killed"},
    {"THESE PACKAGES DO NOT MATCH THE HASHES", NULL, NULL, false, "farm", "wrong hash"},
    {"require a different python version", NULL, NOT_FOUND, false, "failed", "requires python"},
    {"requires a different Python", NULL, NULL, false, "failed", "requires python"},
    {NOT_FOUND, NULL, RETRIES_USED_UP, false, "farm", "network"},
    {"Could not install packages due to an OSError: HTTP", NULL, NULL, false, "farm", "network"},
    {"ERROR: HTTP error 5", NULL, NULL, false, "farm", "network"},
    {"ERROR: HTTP error 429", NULL, NULL, false, "farm", "network"},
    {"pip._vendor.urllib3.exceptions.", NULL, NULL, false, "farm", "network"},
    {"pip._vendor.requests.exceptions.", NULL, NULL, false, "farm", "network"},
    {"json.decoder.JSONDecodeError: ", NULL, "/pip/_internal/index/collector.py\"", false, "farm", "network"}, /* a page cut off */
    {NOT_FOUND, NULL, NULL, true, "failed", "no sdist"},
    {"ERROR: HTTP error 404", NULL, NULL, false, "failed", "no sdist"},
    {NOT_FOUND, "", NULL, false, "failed", "missing dependency"},
    {"Python.h: No such file or directory", NULL, NULL, false, "farm", "no python3-dev"},
    {"fatal error: 'Python.h' file not found", NULL, NULL, false, "farm", "no python3-dev"},
    {"is invalid: ", NULL, "Built wheel for ", false, "failed", "bad wheel"},
    {"failed: [Errno 2] No such file", NULL, "WARNING: Building wheel for ", false, "failed", "no wheel"},
    /* gcc, clang, gfortran */
    {"fatal error: cannot execute '", "'", NULL, false, "failed", "missing dependency"},
    {"fatal error: '", "' file not found", NULL, false, "failed", "missing header"},
    {"atal error: ", NO_FILE, NULL, false, "failed", "missing header"},
    {"atal Error: Cannot open module file '", "'", NULL, false, "failed", "missing header"},
    /* GNU ld, lld, mold, cargo's crates that look for a library, pkg-config, meson */
    {"cannot find -l", "", NULL, false, "failed", "missing library"},
    {"unable to find library -l", "", NULL, false, "failed", "missing library"},
    {"library not found: ", "", NULL, false, "failed", "missing library"},
    {"could not find system library '", "'", NULL, false, "failed", "missing library"},
    {"The system library `", "`", "cargo", false, "failed", "missing library"},
    {"library '", "' not found", "meson", false, "failed", "missing library"},
    {"Could not find directory of OpenSSL installation", NULL, NULL, false, "failed", "missing library openssl"},
    {"No package '", "' found", NULL, false, "failed", "missing library"},
    {"Package '", "', required by 'virtual:world', not found", NULL, false, "failed", "missing library"},
    {"Package ", " was not found in the pkg-config search path", NULL, false, "failed", "missing library"},
    /* meson, CMake, and those who look for programs */
    {"ERROR: Dependency \"", "\" not found", NULL, false, "failed", "missing dependency"},
    {"ERROR: Program '", "' not found", NULL, false, "failed", "missing dependency"},
    {"ERROR: Unknown compiler(s): [['", "'", NULL, false, "failed", "missing dependency"},
    {"package configuration file provided by \"", "\"", "CMake Error", false, "failed", "missing dependency"},
    {"Could NOT find ", "", "CMake Error", false, "failed", "missing dependency"},
    {"error: command '", NO_COMMAND, NULL, false, "failed", "missing dependency"},
    {"FileNotFoundError: [Errno 2] No such file or directory: 'cmake'", NULL, NULL, false, "failed", "missing dependency cmake"},
    {"CMake must be installed", NULL, NULL, false, "failed", "missing dependency cmake"},
    {"Cargo, the Rust package manager, is not installed", NULL, NULL, false, "failed", "missing dependency rust"},
    {"error: can't find Rust compiler", NULL, NULL, false, "failed", "missing dependency rust"},
    {"error: linker `", "` not found", NULL, false, "failed", "missing dependency"},
    {"pg_config executable not found", NULL, NULL, false, "failed", "missing dependency pg_config"},
    {"ModuleNotFoundError: No module named '", "'", NULL, false, "failed", "missing dependency"},
    /* a build that wants more of the network than it gets */
    {"Could not resolve host: ", "", NULL, false, "failed", NEEDS_NETWORK},
    {"Temporary failure in name resolution", NULL, NULL, false, "failed", NEEDS_NETWORK},
    {"error: failed to download from `", "`", NULL, false, "failed", NEEDS_NETWORK},
    {"error: failed to get `", "`", "cargo", false, "failed", NEEDS_NETWORK},
    /* memory */
    {"virtual memory exhausted", NULL, NULL, false, "failed", "memory"},
    {"out of memory allocating", NULL, NULL, false, "failed", "memory"},
    {"memory allocation of ", NULL, "rustc", false, "failed", "memory"},
    {"std::bad_alloc", NULL, NULL, false, "failed", "memory"},
    {"MemoryError", NULL, NULL, false, "failed", "memory"},
    {"Cannot allocate memory", NULL, NULL, false, "failed", "memory"},
    /* what the limits of a build make of it */
    {"File too large", NULL, NULL, false, "failed", "disk"},
    {"Resource temporarily unavailable", NULL, NULL, false, "failed", "processes"},
    {"can't start new thread", NULL, NULL, false, "failed", "processes"},
    {"Too many open files", NULL, NULL, false, "failed", "open files"},
    /* any compiler: gcc and clang, rustc, cargo, CMake, linkers, Cython */
    {"fatal error:", NULL, NULL, false, "failed", "compile"},
    {": error:", NULL, NULL, false, "failed", "compile"},
    {"error[E", NULL, NULL, false, "failed", "compile"},
    {"error: failed to run custom build command for", NULL, NULL, false, "failed", "compile"},
    {"CMake Error", NULL, NULL, false, "failed", "compile"},
    {"undefined reference to", NULL, NULL, false, "failed", "compile"},
    {"Cython.Compiler.Errors.CompileError: ", NULL, NULL, false, "failed", "compile"},
    {": ERROR: ", NULL, "meson.build:", false, "failed", "compile"},
    {"Error: ", NULL, NULL, false, "failed", "setup"},
    {"error: command '", NULL, NULL, false, "failed", "compile"},
    {"error: could not compile `", NULL, NULL, false, "failed", "compile"},
    {"ERROR: ", NULL, NULL, false, "failed", "setup"},
    {"error: ", NULL, NULL, false, "failed", "setup"},
};

/* What pip says around every failure, which tells nothing. */
static const char *const noise[] = {
    "subprocess-exited-with-error", "metadata-generation-failed", "legacy-install-failure",
    "This error originates from a subprocess", "ERROR: Failed building wheel for", "ERROR: Failed to build",
    "-- Could NOT find", /* CMake goes on without */
};

void verdict_set(struct verdict *v, const char *outcome, const char *reason, const char *format, ...)
{
    char raw[RAW_MAX_BYTES + 1];
    va_list args;

    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    char *clean = text_clean(raw, strlen(raw), DETAIL_MAX_BYTES);
    v->outcome = outcome;
    text_copy(v->detail, sizeof v->detail, clean);
    free(clean);
    clean = text_clean(reason, strlen(reason), sizeof v->reason - 1); /* it may name what the log names */
    text_copy(v->reason, sizeof v->reason, clean);
    free(clean);
}

/* The line around `at`, without the time before it and the blanks at its ends. */
static struct line line_around(const char *log, size_t log_len, const char *at)
{
    const char *before = memrchr(log, '\n', (size_t)(at - log));
    const char *start = before == NULL ? log : before + 1;
    const char *end = memchr(at, '\n', (size_t)(log + log_len - at));
    if (end == NULL)
        end = log + log_len;
    start = build_log_words(start, (size_t)(end - start));
    while (start < end && strchr(" \t\r", *start) != NULL)
        start++;
    while (end > start && strchr(" \t\r", end[-1]) != NULL)
        end--;
    return (struct line){start, (size_t)(end - start)};
}

static bool line_has(struct line line, const char *words)
{
    return memmem(line.start, line.len, words, strlen(words)) != NULL;
}

static bool is_noise(struct line line)
{
    for (size_t i = 0; i < COUNT_OF(noise); i++)
        if (line_has(line, noise[i]))
            return true;
    return false;
}

/* What stands in the line between the rule's words and their end; false when the end is not there. */
static bool find_subject(const struct rule *r, struct line line, struct line *subject)
{
    const char *start = memmem(line.start, line.len, r->words, strlen(r->words));

    if (start == NULL) /* the words reach beyond the line */
        return false;
    start += strlen(r->words);
    size_t rest = (size_t)(line.start + line.len - start);
    subject->start = start;
    if (r->end[0] == '\0') {
        for (subject->len = 0; subject->len < rest && strchr(" \t:", start[subject->len]) == NULL;)
            subject->len++;
        return subject->len > 0;
    }
    const char *end = memmem(start, rest, r->end, strlen(r->end));
    subject->len = end == NULL ? 0 : (size_t)(end - start);
    return subject->len > 0;
}

/* Whether the rule holds; then `line` is the first line that shows it, and `subject` what it names. Each line is judged once,
 * however often it has the words: a build may print millions of them without a newline. */
static bool rule_holds(const struct rule *r, const char *log, size_t len, const char *requirement,
                       struct line *line, struct line *subject)
{
    const char *at = log;

    *subject = (struct line){"", 0};
    if (r->besides != NULL && memmem(log, len, r->besides, strlen(r->besides)) == NULL)
        return false;
    while ((at = memmem(at, (size_t)(log + len - at), r->words, strlen(r->words))) != NULL) {
        *line = line_around(log, len, at);
        if (!is_noise(*line) && (!r->own || line_has(*line, requirement)) &&
            (r->end == NULL || find_subject(r, *line, subject)))
            return true;
        const char *behind = line->start + line->len;
        at = behind > at + strlen(r->words) ? behind : at + strlen(r->words);
    }
    return false;
}

/* What stands in "Could not find a version that satisfies the requirement cffi>=1 (from versions: 0.9, 0.9.1)" in the last
 * brackets; false where pip does not say that of the project. */
static bool versions_of(const char *project, const char *log, size_t len, struct line *versions)
{
    struct line line;
    char *words = mem_format("satisfies the requirement %s", project);
    const struct rule r = {.words = words, .end = VERSIONS};
    bool found = rule_holds(&r, log, len, "", &line, versions);

    free(words);
    if (!found)
        return false;
    const char *start = (const char *)memmem(line.start, line.len, VERSIONS, strlen(VERSIONS)) + strlen(VERSIONS);
    *versions = (struct line){start, (size_t)(line.start + line.len - start)};
    return true;
}

/* Whether the failure is that pip found nothing that fits of a project; which then. */
static void note_unfound(struct verdict *v, struct line line, const char *log, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    struct line versions;
    const char *at = memmem(line.start, line.len, NOT_FOUND, strlen(NOT_FOUND));

    if (at == NULL || strcmp(v->outcome, "failed") != 0)
        return;
    at += strlen(NOT_FOUND);
    char *project = mem_textn(at, (size_t)(line.start + line.len - at));
    project[strspn(project, allowed)] = '\0';
    if (!python_name_valid(project) || !versions_of(project, log, len, &versions) ||
        !text_copy(v->unfound, sizeof v->unfound, project))
        v->unfound[0] = '\0';
    free(project);
}

static struct line last_line(const char *log, size_t len)
{
    while (len > 0 && strchr(" \t\r\n", log[len - 1]) != NULL)
        len--;
    return line_around(log, len, log + len);
}

void verdict_from_log(struct verdict *v, const char *log, size_t len, const char *requirement)
{
    const char *outcome = "failed";
    char reason[128] = "setup";
    struct line line = last_line(log, len), found, subject;

    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (rule_holds(&rules[i], log, len, requirement, &found, &subject)) {
            line = found;
            outcome = rules[i].outcome;
            snprintf(reason, sizeof reason, "%s%s%.*s", rules[i].reason, subject.len > 0 ? " " : "",
                     (int)(subject.len < 64 ? subject.len : 64), subject.start);
            break;
        }
    if (line.len == 0)
        verdict_set(v, outcome, reason, "pip failed and said nothing");
    else
        verdict_set(v, outcome, reason, "%.*s", line.len < RAW_MAX_BYTES ? (int)line.len : RAW_MAX_BYTES,
                    line.start);
    note_unfound(v, line, log, len);
}

/* Of "Could not fetch URL https://…/simple/cffi/: 502 Server Error: … - skipping": whether that is no word on what the
 * index has. What has no status is no answer at all. */
static bool is_no_answer(struct line line, struct line *why)
{
    const char *url = memmem(line.start, line.len, NO_PAGE, strlen(NO_PAGE)), *end = line.start + line.len;
    const char *colon = url == NULL ? NULL : memmem(url, (size_t)(end - url), ": ", 2);
    char status[4] = "";

    if (colon == NULL)
        return false;
    *why = (struct line){colon + 2, (size_t)(end - colon) - 2};
    if (why->len > 3 && why->start[3] == ' ')
        memcpy(status, why->start, 3);
    return atoi(status) == 0 || http_is_later(atoi(status));
}

/* The pips that a build calls for what it requires, and those only, are called for the sake of the index. */
static bool runs_pip_only(const char *log, size_t len)
{
    static const char running[] = "Running command ";
    const char *last = NULL, *end = log + len;

    for (const char *at = log; (at = memmem(at, (size_t)(end - at), running, strlen(running))) != NULL;)
        last = at += strlen(running);
    return last == NULL || text_starts(last, "pip subprocess to install ") || text_starts(last, "installing ");
}

bool verdict_waits_for_index(const char *log, size_t len)
{
    static const char *const last_words[] = {
        "Looking in indexes: ", "Collecting ", "Downloading ", "Installing build dependencies: started",
        "Installing backend dependencies: started", "Running command pip subprocess to install ", "Running command installing ",
        "WARNING: Retrying (", "[piwheels: ", /* a note of ours: pip has not said a word yet */
    };
    struct line line = last_line(log, len);

    for (size_t i = 0; i < COUNT_OF(last_words); i++)
        if (line.len >= strlen(last_words[i]) && memcmp(line.start, last_words[i], strlen(last_words[i])) == 0)
            return runs_pip_only(log, len);
    return false;
}

void verdict_after_look(struct verdict *v, const char *log, size_t len, const char *look, size_t look_len)
{
    static const struct rule no_page = {.words = NO_PAGE};
    struct line line, subject, why, before, now;

    if (rule_holds(&no_page, look, look_len, "", &line, &subject)) {
        if (is_no_answer(line, &why))
            verdict_set(v, "farm", "network", "pip did not find %s, but the index does not answer as it should: %.*s",
                        v->unfound, (int)(why.len < RAW_MAX_BYTES / 2 ? why.len : RAW_MAX_BYTES / 2), why.start);
    } else if (versions_of(v->unfound, log, len, &before) && versions_of(v->unfound, look, look_len, &now) &&
               (before.len != now.len || memcmp(before.start, now.start, now.len) != 0)) {
        verdict_set(v, "farm", "network", "pip did not find %s, of which the index has other versions when asked again",
                    v->unfound);
    }
}

void verdict_blame_refusal(struct verdict *v, const char *places)
{
    char detail[DETAIL_MAX_BYTES + 1], reason[sizeof v->reason];

    if (strcmp(v->outcome, "failed") != 0 ||
        (strcmp(v->reason, "setup") != 0 && !text_starts(v->reason, NEEDS_NETWORK)))
        return;
    text_copy(detail, sizeof detail, v->detail);
    snprintf(reason, sizeof reason, NEEDS_NETWORK " %.*s", (int)strcspn(places, ":\n"), places);
    verdict_set(v, "failed", reason, "the build wanted %.*s, and builds reach the index only: %s",
                (int)strcspn(places, "\n"), places, detail);
}
