#include <piwtest/no-such-header.h>

int piwtest_nocompile(void)
{
    return 0;
}
