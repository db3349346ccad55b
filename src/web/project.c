/*
 * Renders the page about a package that people read: what it is, how to install it, and what became of every
 * release on every target. Called by tree.c on pool threads.
 */
#include "project.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "html.h"

#define UP "../../"
#define RELEASES_OPEN 10    /* older ones are folded away */
#define TARGETS_ABREAST 6   /* more do not fit into the width of a page */
#define REASON_MAX 300      /* bytes of a reason that are shown */
#define SHA256_SHOWN 12     /* digits */

/* ---- states --------------------------------------------------------------------------------------- */

/* A state is shown as sign, word and colour. */
struct look {
    const char *state;
    const char *word;
    const char *class;
    const char *sign;
    bool plain;             /* its reason says no more than its word */
    const char *meaning;
};

static const struct look looks[] = {
    {"built", "built", "good", "✓", true, "a wheel here serves this target"},
    {"covered", "on PyPI", "good", "✓", false, "PyPI itself has a wheel that fits: pip takes it from there"},
    {"building", "building", "busy", "▶", false, "a machine works on it now"},
    {"queued", "queued", "soon", "…", true, "it waits for a machine"},
    {"waiting", "waiting", "soon", "…", false, "it will be tried later"},
    {"failed", "failed", "bad", "✗", false, "it does not build; the log tells why"},
    {"parked", "parked", "bad", "!", false, "the farm could not build it and waits for its operator"},
    {"quarantined", "quarantined", "bad", "!", true, "PyPI has taken it out of circulation and looks into it; so does this site"},
    {"not applicable", "not applicable", "none", "–", false, "the release does not support this Python"},
    {"binary only", "binary only", "none", "–", false, "PyPI has no source to build from"},
    {"skipped", "skipped", "none", "–", false, "the operator has decided not to build it"},
    {"yanked", "yanked", "none", "–", false, "it was withdrawn on PyPI before it was built"},
    {"not wanted", "not wanted", "none", "·", true, "nobody has asked for it yet"},
};

static const struct look *look_of(const char *state)
{
    static const struct look unknown = {"unknown", "unknown", "none", "?", true, ""};

    for (unsigned i = 0; i < COUNT_OF(looks); i++)
        if (strcmp(looks[i].state, state) == 0)
            return &looks[i];
    return &unknown;
}

static void add_state(struct buf *to, const struct look *look)
{
    html_add(to, "<span class=\"state %s\"><span aria-hidden=\"true\">%s</span> %s</span>", look->class, look->sign,
             look->word);
}

static void add_reason(struct buf *to, const char *reason)
{
    char shown[REASON_MAX];

    bool whole = text_copy(shown, sizeof shown, reason);
    html_add(to, "%s%s", shown, whole ? "" : "…");
}

/* ---- head and installing -------------------------------------------------------------------------- */

/* Whether the newest release is in this state somewhere. */
static bool newest_is(const struct db_project_page *p, const char *state)
{
    for (unsigned i = 0; i < p->target_count; i++)
        if (strcmp(p->releases[0].states[i].state, state) == 0)
            return true;
    return false;
}

static void add_no_wheel(struct buf *to, const struct db_project_page *p)
{
    html_add(to, "<p class=\"note\"><strong>There is no wheel of it here.</strong> ");
    if (p->release_count == 0)
        html_add(to, "PyPI has no release of it.");
    else if (p->target_count == 0)
        html_add(to, "This site does not build for any target yet.");
    else if (newest_is(p, "quarantined"))
        html_add(to, "PyPI has quarantined it, so nothing of it is offered until it is cleared.");
    else if (newest_is(p, "covered"))
        html_add(to, "None is needed where PyPI itself has one that fits: pip takes it from there, with this site or "
                     "without.");
    else
        html_add(to, "What became of each release, and why, is told below.");
    html_add(to, "</p>\n");
}

/* The files in the index of all, or those in the target's own. */
static unsigned count_files(const struct db_project_page *p, const struct db_project_target *target)
{
    unsigned count = 0;

    for (unsigned i = 0; i < p->release_count; i++)
        for (unsigned j = 0; j < p->releases[i].file_count; j++) {
            const struct db_project_file *file = &p->releases[i].files[j];
            count += target == NULL ? !file->apart : file->apart && &p->targets[file->target] == target;
        }
    return count;
}

static void add_command(struct buf *to, const char *package, const char *site_url, const char *place)
{
    html_add(to, "<pre tabindex=\"0\"><code>pip install --extra-index-url ");
    html_add_index_url(to, site_url, UP, place);
    html_add(to, " %s</code></pre>\n", package);
}

static void add_install(struct buf *to, const char *package, const struct db_project_page *p,
                        const char *site_url)
{
    html_add(to, "<h2>Install</h2>\n");
    if (p->file_count == 0) {
        add_no_wheel(to, p);
        return;
    }
    if (count_files(p, NULL) > 0)
        add_command(to, package, site_url, "");
    for (unsigned i = 0; i < p->target_count; i++) {
        if (count_files(p, &p->targets[i]) == 0)
            continue;
        char *place = mem_format("%s/", p->targets[i].name);
        html_add(to, "<p>On machines of the target <b>%s</b>, which has wheels of its own:</p>\n", p->targets[i].name);
        add_command(to, package, site_url, place);
        free(place);
    }
    html_add_index_script(to, site_url);
}

static void add_links(struct buf *to, const char *package, const struct db_project_page *p)
{
    html_add(to, "<ul class=\"links\">\n<li><a href=\"https://pypi.org/project/");
    html_add_url(to, package);
    html_add(to, "/\">On PyPI</a></li>\n");
    if (count_files(p, NULL) > 0) {
        html_add(to, "<li><a href=\"" UP "simple/");
        html_add_url(to, package);
        html_add(to, "/\">All files</a></li>\n");
    }
    html_add(to, "<li><a href=\"json/index.json\">As JSON</a></li>\n</ul>\n");
}

/* ---- a release ------------------------------------------------------------------------------------ */

static const struct db_project_build *newest_build(const struct db_release *r, unsigned target)
{
    for (unsigned i = 0; i < r->build_count; i++)
        if (r->builds[i].target == target)
            return &r->builds[i];
    return NULL;
}

static bool failed_before(const struct db_release *r, unsigned target)
{
    const struct db_project_build *newest = newest_build(r, target);

    for (unsigned i = 0; i < r->build_count; i++)
        if (r->builds[i].target == target && &r->builds[i] != newest && r->builds[i].logged)
            return true;
    return false;
}

/* Whether a line may tell of both targets at once. */
static bool same_reason(const struct db_release *r, unsigned one, unsigned other)
{
    return strcmp(r->states[one].state, r->states[other].state) == 0 &&
           strcmp(r->states[one].reason, r->states[other].reason) == 0 && !failed_before(r, one) &&
           !failed_before(r, other);
}

/* Nothing was tried, and there is the same to say about every target. */
static bool is_uniform(const struct db_project_page *p, const struct db_release *r)
{
    for (unsigned i = 1; i < p->target_count; i++)
        if (!same_reason(r, 0, i))
            return false;
    return r->build_count == 0 && r->file_count == 0 && p->target_count > 1;
}

static void add_name(struct buf *to, const struct db_release *r)
{
    char day[11];

    text_copy(day, sizeof day, r->released);
    html_add(to, "<th scope=\"row\"><span class=\"version\">%s</span>", r->version);
    if (day[0] != '\0')
        html_add(to, " <time datetime=\"%sZ\">%s</time>", r->released, day);
    if (r->prerelease)
        html_add(to, " <span class=\"mark\">pre-release</span>");
    if (r->yanked)
        html_add(to, " <span class=\"mark bad\">yanked</span>");
    if (r->requires_python[0] != '\0')
        html_add(to, " <span class=\"python\">Python %s</span>", r->requires_python);
    html_add(to, "</th>\n");
}

static void add_cells(struct buf *to, const struct db_project_page *p, const struct db_release *r)
{
    if (is_uniform(p, r)) {
        const struct look *look = look_of(r->states[0].state);
        html_add(to, "<td class=\"all\" colspan=\"%u\">", p->target_count);
        add_state(to, look);
        if (!look->plain) {
            html_add(to, " <span class=\"reason\">");
            add_reason(to, r->states[0].reason);
            html_add(to, "</span>");
        }
        html_add(to, "</td>");
        return;
    }
    for (unsigned i = 0; i < p->target_count; i++) {
        const struct db_project_build *build = newest_build(r, i);
        html_add(to, "<td data-target=\"%s\">", p->targets[i].name);
        add_state(to, look_of(r->states[i].state));
        if (build != NULL && build->logged) {
            html_add(to, " ");
            html_add_log(to, build->id, UP);
        }
        html_add(to, "</td>");
    }
}

/* What the machine must have beside the wheel. */
static void add_needs(struct buf *to, const struct db_project_file *file)
{
    char *names = mem_text(file->apt), *rest = names, *name;

    if (names[0] != '\0') {
        html_add(to, "<br><span class=\"needs\">needs <code>apt install");
        while ((name = strsep(&rest, "\n")) != NULL && name[0] != '\0')
            html_add(to, " %s", name);
        html_add(to, "</code></span>");
    }
    free(names);
    if (file->was_native)
        html_add(to, "<br><span class=\"needs\">has no compiled code, though earlier files of this package had</span>");
}

static void add_file(struct buf *to, const char *package, const struct db_project_page *p,
                     const struct db_project_file *file)
{
    char digest[SHA256_SHOWN + 1];

    text_copy(digest, sizeof digest, file->sha256);
    html_add(to, "<li><a href=\"" UP "%s/", file->place);
    html_add_url(to, package);
    html_add(to, "/");
    html_add_url(to, file->name);
    html_add(to, "#sha256=%s\">%s</a> <span class=\"facts\">", file->sha256, file->name);
    html_add_size(to, file->size_bytes);
    html_add(to, ", sha256 <code title=\"%s\">%s…</code></span>", file->sha256, digest);
    if (file->apart)
        html_add(to, "<br><span class=\"needs\">only in the index of <b>%s</b></span>", p->targets[file->target].name);
    add_needs(to, file);
    html_add(to, "</li>\n");
}

/* What failed on the target before its newest build. */
static void add_earlier_failures(struct buf *to, const struct db_release *r, unsigned target)
{
    const struct db_project_build *newest = newest_build(r, target);
    const char *before = "; failed before: ";

    for (unsigned i = 0; i < r->build_count; i++) {
        const struct db_project_build *build = &r->builds[i];
        if (build->target != target || build == newest || !build->logged)
            continue;
        html_add(to, "%s", before);
        html_add_log(to, build->id, UP);
        before = ", ";
    }
}

/* A line for the target and all behind it of which the same is to be told; false when there is none. */
static bool add_reasons(struct buf *to, const struct db_project_page *p, const struct db_release *r,
                        unsigned target)
{
    if (look_of(r->states[target].state)->plain && !failed_before(r, target))
        return false;
    for (unsigned i = 0; i < target; i++)
        if (same_reason(r, i, target))
            return true;
    html_add(to, "<li class=\"reason\"><b>%s", p->targets[target].name);
    for (unsigned i = target + 1; i < p->target_count; i++)
        if (same_reason(r, target, i))
            html_add(to, ", %s", p->targets[i].name);
    html_add(to, "</b> ");
    add_reason(to, r->states[target].reason);
    add_earlier_failures(to, r, target);
    html_add(to, "</li>\n");
    return true;
}

/* Files and reasons, in a row below the release's own; none where there is nothing to tell. */
static void add_details(struct buf *to, const char *package, const struct db_project_page *p,
                        const struct db_release *r)
{
    size_t before = to->len;
    /* the reason of the state tells it, too */
    bool told = is_uniform(p, r) && strcmp(r->states[0].state, "yanked") == 0;
    bool tell_yank = r->yanked_reason[0] != '\0' && !told, something = r->file_count > 0 || tell_yank;

    html_add(to, "<tr class=\"more\"><td colspan=\"%u\"><ul>\n", p->target_count + 1);
    for (unsigned i = 0; i < r->file_count; i++)
        add_file(to, package, p, &r->files[i]);
    if (tell_yank) {
        html_add(to, "<li class=\"reason\"><b>yanked</b> ");
        add_reason(to, r->yanked_reason);
        html_add(to, "</li>\n");
    }
    for (unsigned i = 0; i < p->target_count && !is_uniform(p, r); i++)
        something = add_reasons(to, p, r, i) || something;
    html_add(to, "</ul></td></tr>\n");
    if (!something && !to->full) {
        to->len = before;
        to->data[before] = '\0';
    }
}

static void add_releases(struct buf *to, const char *package, const struct db_project_page *p, unsigned from,
                         unsigned end)
{
    html_add(to, "<table class=\"releases%s\">\n<thead><tr><th scope=\"col\">Release</th>",
             p->target_count > TARGETS_ABREAST ? " tall" : "");
    for (unsigned i = 0; i < p->target_count; i++)
        html_add(to, "<th scope=\"col\"><span class=\"target\">%s</span> <span class=\"facts\">%s%s%s %s</span></th>",
                 p->targets[i].name, p->targets[i].label, p->targets[i].label[0] != '\0' ? ", " : "",
                 p->targets[i].abi, p->targets[i].platform);
    html_add(to, "</tr></thead>\n");
    for (unsigned i = from; i < end; i++) {
        html_add(to, "<tbody><tr>");
        add_name(to, &p->releases[i]);
        add_cells(to, p, &p->releases[i]);
        html_add(to, "</tr>\n");
        add_details(to, package, p, &p->releases[i]);
        html_add(to, "</tbody>\n");
    }
    html_add(to, "</table>\n");
}

/* ---- the page ------------------------------------------------------------------------------------- */

/* Every state that is on the page. */
static void add_legend(struct buf *to, const struct db_project_page *p)
{
    bool seen[COUNT_OF(looks)] = {false};

    for (unsigned i = 0; i < p->release_count; i++) {
        for (unsigned target = 0; target < p->target_count; target++) {
            const struct look *look = look_of(p->releases[i].states[target].state);
            if (look->meaning[0] != '\0')
                seen[look - looks] = true;
        }
    }
    html_add(to, "<details class=\"legend\"><summary>What the words mean</summary>\n<dl>\n");
    for (unsigned i = 0; i < COUNT_OF(looks); i++) {
        if (!seen[i])
            continue;
        html_add(to, "<div><dt>");
        add_state(to, &looks[i]);
        html_add(to, "</dt><dd>%s</dd></div>\n", looks[i].meaning);
    }
    html_add(to, "</dl></details>\n");
}

static void add_all_releases(struct buf *to, const char *package, const struct db_project_page *p)
{
    unsigned open = p->release_count < RELEASES_OPEN + 5 ? p->release_count : RELEASES_OPEN;

    if (p->release_count == 0)
        return;
    html_add(to, "<h2>Releases</h2>\n");
    add_releases(to, package, p, 0, open);
    if (open < p->release_count) {
        html_add(to, "<details class=\"older\"><summary>%u older releases</summary>\n", p->release_count - open);
        add_releases(to, package, p, open, p->release_count);
        html_add(to, "</details>\n");
    }
    if (p->target_count > 0)
        add_legend(to, p);
}

/* PEP 792; quarantine is told with the releases. */
static void add_status(struct buf *to, const char *status)
{
    if (strcmp(status, "archived") == 0)
        html_add(to, "<p class=\"note\"><strong>Archived.</strong> PyPI says that its maintainers expect to release no more of it."
                     "</p>\n");
    else if (strcmp(status, "deprecated") == 0)
        html_add(to, "<p class=\"note\"><strong>Deprecated.</strong> PyPI says that its maintainers consider it obsolete; something "
                     "else may have taken its place.</p>\n");
}

void project_html(struct buf *to, const char *package, const struct db_project_page *p, const char *site_url)
{
    html_begin(to, p->display, UP);
    html_add(to, "<h1>%s</h1>\n", p->display);
    if (p->summary[0] != '\0')
        html_add(to, "<p class=\"summary\">%s</p>\n", p->summary);
    add_status(to, p->status);
    add_links(to, package, p);
    add_install(to, package, p, site_url);
    add_all_releases(to, package, p);
    html_end(to);
}
