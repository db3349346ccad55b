"""scripts/layers: each kind of breach is found in a small tree, and our own tree has none."""
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / 'scripts/layers'


def layers(*arguments):
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path):
    """A tree without a breach; called with a file and a line, it adds a breach and returns what is said."""
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def breach(name, line):
        write(name, f'/* a file */\n#include {line}\n')
        answer = layers(tmp_path)
        assert answer.returncode == 1
        return answer.stdout.splitlines()

    write('include/core/buf.h', '')
    write('include/io/pg.h', '#include "core/buf.h"\n')
    write('include/python.h', '')
    write('include/wheel.h', '#include "python.h"\n')
    write('include/db.h', '#include "io/pg.h"\n')
    write('include/farm.h', '#include "db.h"\n')
    write('include/queue.h', '')
    write('include/cmd.h', '#include "core/buf.h"\n')
    write('src/core/table.h', '')
    write('src/core/buf.c',
          '#include <stdio.h>\n#include "core/buf.h"\n#include "table.h"\n#include "options.def"\n')
    write('src/io/pg.c', '#include <libpq-fe.h>\n#include <curl/curl.h>\n#include "io/pg.h"\n')
    write('src/farm/session.h', '')
    write('src/farm/farm.c',
          '#include "farm.h"\n#include "queue.h"\n#include "session.h"\n#include "wheel.h"\n')
    write('src/monitor/monitor.c', '#include <ncurses.h>\n')
    write('src/main.c', '#include "cmd.h"\n')
    breach.top = tmp_path
    return breach


def test_a_tree_in_order_is_counted(tree):
    answer = layers(tree.top)
    assert answer.stdout == 'layers: 15 files, no breach\n'
    assert answer.returncode == 0


@pytest.mark.parametrize('file, line, said', [
    ('src/core/log.c', '"io/pg.h"', 'includes io/pg.h, but io is on floor 1, above core on floor 0'),
    ('src/io/http.c', '"farm.h"', 'includes farm.h, but farm is on floor 4, above io on floor 1'),
    ('include/python.h', '"db.h"', 'includes db.h, but db is on floor 3, above python on floor 2'),
    ('src/farm/lease.c', '"cmd.h"', 'includes cmd.h, but cmd is on floor 5, above farm on floor 4'),
    ('src/db/db.c', '"wheel.h"', 'includes wheel.h, but wheel and db are both on floor 3'),
    ('src/queue/queue.c', '"session.h"', 'includes session.h, but it is private to farm'),
    ('src/queue/queue.c', '"../farm/session.h"', 'includes ../farm/session.h, but it is private to farm'),
    ('src/cmd/master.c', '"farm/session.h"', 'includes farm/session.h, but it is private to farm'),
    ('src/db/db.c', '<libpq-fe.h>', 'includes libpq-fe.h, but only src/io may'),
    ('src/pypi/pypi.c', '<curl/curl.h>', 'includes curl/curl.h, but only src/io may'),
    ('src/cmd/monitor.c', '<ncurses.h>', 'includes ncurses.h, but only src/monitor may'),
    ('src/farm/lease.c', '<ncursesw/curses.h>', 'includes ncursesw/curses.h, but only src/monitor may'),
])
def test_a_breach_is_named_with_its_line(tree, file, line, said):
    assert tree(file, line) == [f'{file}:2: {said}']


def test_a_room_without_a_floor_is_a_breach(tree):
    assert tree('src/attic/box.c', '"core/buf.h"') == ['src/attic/box.c: no floor is declared for room attic']


def test_our_own_tree_has_no_breach():
    answer = layers()
    assert answer.stdout.endswith(' files, no breach\n')
    assert answer.returncode == 0
