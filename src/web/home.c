/*
 * Renders the front page: what this site is, how to use it, and how the farm does. Called by tree.c on pool
 * threads.
 */
#include "home.h"

#include <string.h>

#include "html.h"

static void add_start(struct buf *to, const char *site_url)
{
    html_add(to, "<h1>Python wheels, ready to install</h1>\n"
                 "<p class=\"summary\">Packages of <a href=\"https://pypi.org/\">PyPI</a>, compiled for machines that "
                 "PyPI has no wheels for.</p>\n"
                 "<h2>Use it</h2>\n"
                 "<p>For one command:</p>\n"
                 "<pre tabindex=\"0\"><code>pip install --extra-index-url ");
    html_add_index_url(to, site_url, "", "");
    html_add(to, " PACKAGE</code></pre>\n"
                 "<p>Or always, in <code>/etc/pip.conf</code>:</p>\n"
                 "<pre tabindex=\"0\"><code>[global]\nextra-index-url=");
    html_add_index_url(to, site_url, "", "");
    html_add(to, "</code></pre>\n");
    html_add_index_script(to, site_url);
}

/* ---- figures -------------------------------------------------------------------------------------- */

static void begin_figure(struct buf *to, const char *name, uint64_t count)
{
    html_add(to, "<div><dt>%s</dt><dd>", name);
    html_add_count(to, count);
    html_add(to, "</dd>");
}

static void add_builds(struct buf *to, const char *name, const struct db_home_builds *builds)
{
    begin_figure(to, name, builds->succeeded + builds->failed);
    html_add(to, "<dd>");
    html_add_count(to, builds->succeeded);
    html_add(to, " built, ");
    html_add_count(to, builds->failed);
    html_add(to, " failed</dd></div>\n");
}

static void add_figures(struct buf *to, const struct db_home *home)
{
    html_add(to, "<dl class=\"figures\">\n");
    begin_figure(to, "Packages", home->packages);
    html_add(to, "<dd>");
    html_add_count(to, home->versions);
    html_add(to, " releases</dd></div>\n");
    begin_figure(to, "Wheels", home->files);
    html_add(to, "<dd>");
    html_add_size(to, home->size_bytes);
    html_add(to, "</dd></div>\n");
    add_builds(to, "Builds in the last hour", &home->hour);
    add_builds(to, "Builds in the last day", &home->day);
    html_add(to, "</dl>\n");
}

/* ---- queues and builds ---------------------------------------------------------------------------- */

static void add_bounded(struct buf *to, unsigned count)
{
    html_add_count(to, count);
    if (count >= DB_HOME_COUNT_MAX)
        html_add(to, "+");
}

static void add_targets(struct buf *to, const struct db_home *home)
{
    html_add(to, "<h2>Targets</h2>\n");
    if (home->target_count == 0) {
        html_add(to, "<p>There is none yet.</p>\n");
        return;
    }
    html_add(to, "<table class=\"list\">\n<thead><tr><th scope=\"col\">Target</th><th scope=\"col\">Python</th>"
                 "<th scope=\"col\">Platform</th><th scope=\"col\" class=\"number\">Building</th>"
                 "<th scope=\"col\" class=\"number\">Queue</th></tr></thead>\n<tbody>\n");
    for (unsigned i = 0; i < home->target_count; i++) {
        const struct db_home_target *target = &home->targets[i];
        html_add(to, "<tr><th scope=\"row\">%s%s<span class=\"facts\">%s</span></th><td data-label=\"Python\">%s</td>"
                     "<td data-label=\"Platform\">%s</td><td class=\"number\" data-label=\"Building\">",
                 target->name, target->label[0] != '\0' ? " " : "", target->label, target->abi, target->platform);
        add_bounded(to, target->building);
        html_add(to, "</td><td class=\"number\" data-label=\"Queue\">");
        if (target->skipped)
            html_add(to, "closed");
        else
            add_bounded(to, target->queued);
        html_add(to, "</td></tr>\n");
    }
    html_add(to, "</tbody></table>\n");
}

static void add_outcome(struct buf *to, const char *outcome)
{
    if (strcmp(outcome, "success") == 0)
        html_add(to, "<span class=\"state good\"><span aria-hidden=\"true\">✓</span> built</span>");
    else if (strcmp(outcome, "failed") == 0)
        html_add(to, "<span class=\"state bad\"><span aria-hidden=\"true\">✗</span> failed</span>");
    else
        html_add(to, "<span class=\"state soon\"><span aria-hidden=\"true\">…</span> to be repeated</span>");
}

static void add_build(struct buf *to, const struct db_home_build *build)
{
    html_add(to, "<tr><th scope=\"row\"><a href=\"project/");
    html_add_url(to, build->package);
    html_add(to, "/\">%s</a> %s</th><td data-label=\"Target\">%s</td><td data-label=\"Outcome\">", build->package,
             build->version, build->target);
    add_outcome(to, build->outcome);
    if (build->logged) {
        html_add(to, " ");
        html_add_log(to, build->id, "");
    }
    html_add(to, "</td><td class=\"number\" data-label=\"Took\">%" PRIu64 "&nbsp;s</td>"
                 "<td class=\"number\" data-label=\"Ended\"><time datetime=\"%sZ\">%s</time></td></tr>\n",
             (build->wall_ms + 500) / 1000, build->finished, build->finished);
}

static void add_newest(struct buf *to, const struct db_home *home)
{
    html_add(to, "<h2>Newest builds</h2>\n");
    if (home->build_count == 0) {
        html_add(to, "<p>Nothing has been built yet.</p>\n");
        return;
    }
    html_add(to, "<table class=\"list\">\n<thead><tr><th scope=\"col\">Release</th><th scope=\"col\">Target</th>"
                 "<th scope=\"col\">Outcome</th><th scope=\"col\" class=\"number\">Took</th>"
                 "<th scope=\"col\" class=\"number\">Ended (UTC)</th></tr></thead>\n<tbody>\n");
    for (unsigned i = 0; i < home->build_count; i++)
        add_build(to, &home->builds[i]);
    html_add(to, "</tbody></table>\n");
}

/* ---- entry ---------------------------------------------------------------------------------------- */

void home_html(struct buf *to, const struct db_home *home, const char *site_url)
{
    html_begin(to, "piwheels", "");
    add_start(to, site_url);
    html_add(to, "<h2>The farm</h2>\n<p class=\"asof\">As of <time datetime=\"%sZ\">%s UTC</time></p>\n", home->now,
             home->now);
    add_figures(to, home);
    add_targets(to, home);
    add_newest(to, home);
    html_end(to);
}

void home_missing_html(struct buf *to)
{
    html_add(to, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<title>Not found</title>\n<style>\n");
    buf_adds(to, style_css);
    html_add(to, "</style>\n</head>\n<body>\n<main>\n<h1>There is no such page</h1>\n"
                 "<p>A package has a page once somebody has asked for it, and is in the index once a wheel of it was "
                 "built. Names are written in lower case, with <code>-</code> for <code>_</code> and "
                 "<code>.</code></p>\n"
                 "<p><a href=\"/\">To the front page</a></p>\n</main>\n</body>\n</html>\n");
}
