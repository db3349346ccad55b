/*
 * The commands of pip and what surrounds them, put together. build.c runs them in a cell.
 */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "fetch.h"
#include "python.h"

/* ---- the requirement ---- */

/* What pip would read as something else than a version: white space, ';', ',', '#', quotes, a leading '-'. */
static bool version_can_be_asked_for(const char *version)
{
    if (!isalnum((unsigned char)version[0]))
        return false;
    for (const char *c = version; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr(".!+_-", *c) == NULL)
            return false;
    return true;
}

int command_requirement(const char *package, const char *version, const uint8_t *sdist_sha256, struct buf *to)
{
    char hex[SHA256_HEX_SIZE];

    if (!python_name_valid(package) || !version_can_be_asked_for(version))
        return -EINVAL;
    buf_addf(to, "%s%s%s", package, python_version_valid(version) ? "==" : "===", version);
    if (sdist_sha256 != NULL)
        buf_addf(to, " --hash=sha256:%s", hash_hex(sdist_sha256, hex));
    return to->full ? -EINVAL : 0;
}

/* ---- the environment ---- */

/* The pip that installs build requirements has some of its settings from these variables only, the proxy among them. */
void command_environment(const struct build *b, enum network network, struct words *env)
{
    static const char *const fixed[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "PIWHEELS_BUILD=1",
        "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "PIP_CONFIG_FILE=/dev/null", "PIP_NO_INPUT=1",
        "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1", NULL};
    const struct sandbox *s = b->place->sandbox;
    char *root = sandbox_root(s, b->dir), *tmp = sandbox_tmp(s, b->dir);

    words_add_all(env, fixed);
    words_addf(env, "HOME=%s/home", root);
    words_addf(env, "TMPDIR=%s", tmp);
    words_addf(env, "MAKEFLAGS=-j%u", b->place->compilers);
    words_addf(env, "PIP_REPORT=%s/report", root);
    if (b->own.constraints.count > 0) { /* for what pip installs to build with: itself it does not listen */
        words_addf(env, "PIP_CONSTRAINT=%s/" OWN_CONSTRAINTS, root);
        words_addf(env, "PIP_BUILD_CONSTRAINT=%s/" OWN_CONSTRAINTS, root); /* since pip 25.3 */
    }
    if (b->uploaded_ms > 0) /* else nothing is claimed */
        words_addf(env, "SOURCE_DATE_EPOCH=%llu", (unsigned long long)b->uploaded_ms / 1000);
    if (sandbox_needs_proxy(s, network)) {
        words_add(env, "http_proxy=" SANDBOX_PROXY_URL);
        words_add(env, "https_proxy=" SANDBOX_PROXY_URL);
    }
    free(tmp);
    free(root);
}

/* ---- the words ---- */

/* pip refuses plain http from elsewhere than the loopback unless the host is trusted by name. */
static char *host_of_plain_http(const char *url)
{
    if (!text_starts(url, "http://"))
        return NULL;
    const char *host = url + strlen("http://");
    const char *at = memchr(host, '@', strcspn(host, "/"));
    if (at != NULL)
        host = at + 1;
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    return mem_textn(host, len);
}

static void add_index(const struct build *b, struct words *argv)
{
    char *trusted_host = host_of_plain_http(b->index_url);

    words_add(argv, "--index-url");
    words_add(argv, b->index_url);
    if (trusted_host != NULL) {
        words_add(argv, "--trusted-host");
        words_add(argv, trusted_host);
    }
    free(trusted_host);
}

/* Without a network: the sdist that was fetched, and what Debian has of setuptools and wheel. */
static const char *const from_here[] = {
    "--no-index", "--find-links", FETCH_DIR, "--find-links", "/usr/share/python-wheels", NULL};

/* `-v`, or pip keeps what a build prints for itself unless it fails. `--no-binary` is for this package only: what
 * it requires to be built may come as wheels. */
void command_build(const struct build *b, struct words *argv)
{
    const char *const words[] = {
        b->place->python, "-m", "pip", "-v", "--isolated", "--no-input", "--disable-pip-version-check",
        "wheel", "--no-deps", "--no-cache-dir", "--use-pep517", "--no-binary", b->package,
        "--wheel-dir", "wheels", "--progress-bar", "off", "-r", "requirements.txt", NULL};

    own_add_words(&b->own, argv);
    words_add_all(argv, words);
    if (b->own.network == NETWORK_NONE)
        words_add_all(argv, from_here);
    else
        add_index(b, argv);
}

/* `-vv`, or pip keeps a status that it does not like for itself. */
void command_look(const struct build *b, const char *project, struct words *argv)
{
    const char *const words[] = {
        b->place->python, "-m", "pip", "-vv", "--isolated", "--no-input", "--disable-pip-version-check",
        "download", "--no-deps", "--no-cache-dir", "--no-binary", b->package, "--retries", "0", NULL};

    own_add_words(&b->own, argv);
    words_add_all(argv, words);
    add_index(b, argv);
    words_addf(argv, "%s===looked-for-again", project);
}
