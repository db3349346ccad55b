/*
 * The little program that build.c runs before a build of --network none, with the proxy that the build itself
 * will not have. Its own exit statuses tell what pip would have said in words.
 */
#include "fetch.h"

#include <errno.h>
#include <string.h>

#include "log.h"

enum { NO_SDIST = 3, WRONG_HASH = 4 };

static const char program[] =
    "import hashlib, html.parser, json, sys, urllib.error, urllib.parse, urllib.request\n"
    "index, package, sdist, digest = sys.argv[1:]\n"
    "class Links(html.parser.HTMLParser):\n"
    "    found = None\n"
    "    def handle_starttag(self, tag, attributes):\n"
    "        url = dict(attributes).get('href')\n"
    "        path = urllib.parse.urlsplit(url or '').path\n"
    "        if tag == 'a' and urllib.parse.unquote(path.rpartition('/')[2]) == sdist:\n"
    "            self.found = url\n"
    "def link_in(answer):\n"
    "    page = answer.read().decode('utf-8', 'replace')\n"
    "    if answer.headers.get_content_type().endswith('json'):\n"
    "        return next((f['url'] for f in json.loads(page)['files'] if f['filename'] == sdist), None)\n"
    "    links = Links()\n"
    "    links.feed(page)\n"
    "    return links.found\n"
    "try:\n"
    "    accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.1'\n"
    "    page = urllib.request.Request(f'{index.rstrip(\"/\")}/{package}/', headers={'Accept': accept})\n"
    "    with urllib.request.urlopen(page, timeout=60) as answer:\n"
    "        link, base = link_in(answer), answer.geturl()\n"
    "    if link is None:\n"
    "        print(f'the index has no {sdist}')\n"
    "        sys.exit(3)\n"
    "    hashed = hashlib.sha256()\n"
    "    with urllib.request.urlopen(urllib.parse.urljoin(base, link), timeout=60) as answer, \\\n"
    "            open(f'sdist/{sdist}', 'wb') as file:\n"
    "        while piece := answer.read(65536):\n"
    "            hashed.update(piece)\n"
    "            file.write(piece)\n"
    "    if digest not in ('', hashed.hexdigest()):\n"
    "        print(f'{sdist} has the SHA-256 {hashed.hexdigest()}, not {digest}')\n"
    "        sys.exit(4)\n"
    "    print(f'fetched {sdist}')\n"
    "except (OSError, ValueError, KeyError) as error:\n"
    "    print(f'cannot fetch {sdist}: {error}')\n"
    "    sys.exit(3 if getattr(error, 'code', None) == 404 else 1)\n";

int fetch_add_words(struct words *w, const struct fetch *f)
{
    char hex[SHA256_HEX_SIZE] = "";

    if (f->sdist[0] == '\0' || f->sdist[0] == '.' || strchr(f->sdist, '/') != NULL)
        return -EINVAL;
    if (f->sha256 != NULL)
        hash_hex(f->sha256, hex);
    const char *const words[] = {f->python, "-I", "-c", program, f->index_url, f->package, f->sdist, hex, NULL};
    words_add_all(w, words);
    return 0;
}

void fetch_judge(struct verdict *v, int status, const char *log, size_t len)
{
    while (len > 0 && log[len - 1] == '\n')
        len--;
    const char *before = memrchr(log, '\n', len);
    const char *line = before == NULL ? log : before + 1;
    line = build_log_words(line, (size_t)(log + len - line));
    int line_len = (int)(log + len - line);

    if (status == NO_SDIST)
        verdict_set(v, "failed", "no sdist", "%.*s", line_len, line);
    else if (status == WRONG_HASH)
        verdict_set(v, "farm", "wrong hash", "%.*s", line_len, line);
    else
        verdict_set(v, "farm", "network", "%.*s", line_len, line);
}
