/*
 * Asks a Python what it builds for. The platform tag is the first linux_* of pip's own list, which is right
 * for a 32-bit system on a 64-bit kernel; there newer lists name armv8l first, which nobody builds for.
 */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "io/child.h"
#include "python.h"

static const char probe[] =
    "import platform, sys, sysconfig\n"
    "def refuse(why):\n"
    "    print('no', why)\n"
    "    sys.exit()\n"
    "if sys.implementation.name != 'cpython':\n"
    "    refuse('it is ' + sys.implementation.name + ', not CPython')\n"
    "try:\n"
    "    import pip\n"
    "    from pip._vendor.packaging import tags\n"
    "except ImportError:\n"
    "    refuse('it has no pip; on Debian: apt install python3-pip')\n"
    "platforms = [t.platform for t in tags.sys_tags() if t.platform.startswith('linux_')]\n"
    "if not platforms:\n"
    "    refuse('it is not a Python for Linux')\n"
    "best = 'linux_armv7l' if platforms[0] == 'linux_armv8l' else platforms[0]\n"
    "thread = 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''\n"
    "print('yes', 'cp%d%d%s' % (*sys.version_info[:2], thread), best, platform.python_version(), pip.__version__)\n";

/* The next word of *at, or "". */
static const char *next_word(char **at)
{
    const char *word = strsep(at, " ");
    return word == NULL ? "" : word;
}

int python_read_answer(char *answer, struct slave_python *out, char *why, size_t why_size)
{
    unsigned major, minor;
    bool free_threaded;

    answer[strcspn(answer, "\n")] = '\0';
    const char *verdict = next_word(&answer);
    if (strcmp(verdict, "no") == 0) {
        snprintf(why, why_size, "%s", answer == NULL ? "it cannot build" : answer);
        return -EINVAL;
    }
    bool fits = text_copy(out->abi, sizeof out->abi, next_word(&answer));
    fits = text_copy(out->platform, sizeof out->platform, next_word(&answer)) && fits;
    fits = text_copy(out->version, sizeof out->version, next_word(&answer)) && fits;
    fits = text_copy(out->pip, sizeof out->pip, next_word(&answer)) && fits;
    if (strcmp(verdict, "yes") == 0 && fits && answer == NULL && out->version[0] != '\0' && out->pip[0] != '\0' &&
        python_abi_parse(out->abi, &major, &minor, &free_threaded) == 0 &&
        python_platform_valid(out->platform))
        return 0;
    snprintf(why, why_size, "it did not say what it builds for");
    return -EINVAL;
}

int slave_ask_python(const char *python, struct slave_python *out, char *why, size_t why_size)
{
    const char *const argv[] = {python, "-I", "-c", probe, NULL};
    char answer[512], reason[400];

    if (python[0] != '/') {
        snprintf(why, why_size, "a Python is given by its full path, such as /usr/bin/python3, not %s",
                 python);
        return -EINVAL;
    }
    int status = child_read(argv, answer, sizeof answer);
    if (status < 0) {
        snprintf(why, why_size, "cannot run %s: %s", python, strerror(-status));
        return status;
    }
    if (status > 0) {
        snprintf(why, why_size, "%s fails when asked what it builds for (exit status %d)", python, status);
        return -EINVAL;
    }
    int error = python_read_answer(answer, out, reason, sizeof reason);
    if (error != 0)
        snprintf(why, why_size, "%s cannot be used for builds: %s", python, reason);
    return error;
}
