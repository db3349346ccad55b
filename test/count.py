"""Counts what a test suite reported: `count.py meson testlog.json` or `count.py pytest junit.xml` prints "PASSED FAILED".

A cmocka program counts as its tests; one that died without saying so counts as one failure. A skipped test is a failure: a
skip hides a missing tool. A report that is missing or empty is one failure.
"""
import json
import re
import sys
import xml.etree.ElementTree as tree


def count_meson(path):
    passed = failed = 0
    with open(path, encoding="utf-8") as report:
        for line in report:
            program = json.loads(line)
            output = program.get("stdout", "") + program.get("stderr", "")
            good = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", output))
            bad = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", output))
            if program["result"] != "OK" and bad == 0:
                bad = 1
            passed += good or (program["result"] == "OK")
            failed += bad
    return passed, failed


def count_pytest(path):
    passed = failed = 0
    for suite in tree.parse(path).getroot().iter("testsuite"):
        bad = sum(int(suite.get(kind, 0)) for kind in ("failures", "errors", "skipped"))
        passed += int(suite.get("tests", 0)) - bad
        failed += bad
    return passed, failed


def main():
    kind, path = sys.argv[1:]
    try:
        passed, failed = {"meson": count_meson, "pytest": count_pytest}[kind](path)
    except (OSError, ValueError, tree.ParseError) as fault:
        print(f"count.py: {path}: {fault}", file=sys.stderr)
        passed, failed = 0, 1
    print(passed, failed if passed or failed else 1)


if __name__ == "__main__":
    main()
