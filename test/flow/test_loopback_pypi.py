"""The loopback PyPI answers as PyPI does, follows every change of its database, and misbehaves when told to.

Real sockets, the real program, SQL from outside, and Debian's pip.
"""
import hashlib
import http.client
import json
import re
import sqlite3
import subprocess
import zipfile
from pathlib import Path

import pytest

from harness import LIMIT_S, LOOPBACK_PYPI, ROOT
from world import JSON, World

WHEELS = Path('/usr/share/python-wheels')
PIP = ['/usr/bin/python3', '-m', 'pip']
V1_HTML = 'application/vnd.pypi.simple.v1+html'
PIP_ACCEPT = f'{JSON}, {V1_HTML}; q=0.1, text/html; q=0.01'


@pytest.fixture(scope='module')
def sdists(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sdists')
    subprocess.run([ROOT / 'test/packages/make-sdists', folder], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def world(tmp_path, sdists):
    world = World(tmp_path, sdists, WHEELS)
    yield world
    world.close()


def run_pip(world, command, *words):
    return subprocess.run([*PIP, '--isolated', '--disable-pip-version-check', command,
                           '--no-deps', '--no-cache-dir', '--index-url', f'{world.url}/simple/', *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace',
                          start_new_session=True)


def pip_download(world, folder, *words):
    return run_pip(world, 'download', '--no-build-isolation', '--dest', folder, *words)


def pip_wheel(world, folder, name):
    return run_pip(world, 'wheel', '-v', '--use-pep517', '--no-binary', name, '--wheel-dir', folder, name)


# ---- pages

def test_the_index_lists_every_project(world):
    index = world.json('/simple/')
    names = [project['name'] for project in index['projects']]
    assert {'piwtest-pure', 'Piwtest.Legacy', 'setuptools', 'wheel'} <= set(names)
    assert index['meta']['api-version'] == '1.4'
    assert index['meta']['_last-serial'] == world.sql('SELECT max(serial) FROM event')[0][0]


def test_the_html_index_links_normalised_names(world):
    page = world.ask('/simple/').body.decode()
    assert '<a href="/simple/piwtest-legacy/">Piwtest.Legacy</a>' in page
    assert '<meta name="pypi:repository-version" content="1.4">' in page


def test_a_project_in_json_has_the_fields_of_the_standards(world, sdists):
    page = world.json('/simple/piwtest-pure/')
    assert page['name'] == 'piwtest-pure'
    assert page['versions'] == ['0.1', '0.2', '0.3rc1']
    file = page['files'][0]
    data = (sdists / 'piwtest-pure-0.1.tar.gz').read_bytes()
    assert file.pop('upload-time').endswith('.000000Z')
    assert file == {
        'filename': 'piwtest-pure-0.1.tar.gz', 'url': f'{world.url}/files/piwtest-pure-0.1.tar.gz',
        'hashes': {'sha256': hashlib.sha256(data).hexdigest()}, 'size': len(data), 'requires-python': '>=3.7',
        'yanked': False, 'core-metadata': False, 'data-dist-info-metadata': False}


def test_a_project_in_html_has_the_same_facts(world):
    page = world.ask('/simple/piwtest-future/').body.decode()
    sha256, = world.sql("SELECT sha256 FROM file WHERE project = 'piwtest-future'")[0]
    assert (f'<a href="{world.url}/files/piwtest-future-0.1.tar.gz#sha256={sha256}"'
            ' data-requires-python="&gt;=4">piwtest-future-0.1.tar.gz</a>') in page


def test_versions_sort_as_versions(world):
    world.sql("INSERT INTO release (project, version)"
              " VALUES ('piwtest-pure', '0.10'), ('piwtest-pure', '0.9')")
    assert world.json('/simple/piwtest-pure/')['versions'] == ['0.1', '0.2', '0.3rc1', '0.9', '0.10']


def test_the_json_api_tells_the_newest_release(world):
    facts = json.loads(world.ask('/pypi/piwtest-pure/json').body)
    assert facts['info']['name'] == 'piwtest-pure'
    assert facts['info']['version'] == '0.2'
    assert facts['info']['summary'] == 'Pure Python, in several versions'
    assert list(facts['releases']) == ['0.1', '0.2', '0.3rc1']
    assert facts['urls'][0]['filename'] == 'piwtest-pure-0.2.tar.gz'
    assert facts['last_serial'] == world.serial('piwtest-pure')


def test_a_summary_may_be_null(world):
    world.sql("INSERT INTO release (project, version) VALUES ('bare', '1')")
    assert json.loads(world.ask('/pypi/bare/json').body)['info']['summary'] is None


@pytest.mark.parametrize('path, location', [
    ('/simple/Piwtest_Pure/', '/simple/piwtest-pure/'),
    ('/simple/piwtest-pure', '/simple/piwtest-pure/'),
    ('/simple', '/simple/'),
    ('/pypi/Piwtest.Legacy/json', '/pypi/piwtest-legacy/json'),
])
def test_another_spelling_is_sent_to_the_right_one(world, path, location):
    answer = world.ask(path)
    assert (answer.status, answer.headers['Location']) == (301, location)


@pytest.mark.parametrize('path', [
    '/simple/nobody/',
    '/simple/a/b/',
    '/simple/-/',
    '/pypi/nobody/json',
    '/files/nothing-1.tar.gz',
    '/files/nothing.whl.metadata',
    '/nowhere',
])
def test_what_is_not_there_is_404(world, path):
    assert world.ask(path).status == 404


@pytest.mark.parametrize('accept, type_', [
    (PIP_ACCEPT, JSON),
    ('*/*', 'text/html'),
    ('text/html', 'text/html'),
    (V1_HTML, V1_HTML),
    (f'text/html;q=0.9, {JSON};q=0.8', 'text/html'),
    (f'text/html;q=0.2, {JSON};q=0.8', JSON),
    ('application/*', V1_HTML),
    (f'*/*, {V1_HTML};q=0, text/html;q=0', JSON),
    ('image/png', 'text/html'),
])
def test_the_accept_header_chooses_the_type(world, accept, type_):
    answer = world.ask('/simple/piwtest-pure/', Accept=accept)
    assert answer.headers['Content-Type'].split(';')[0] == type_
    assert answer.headers['Vary'] == 'Accept'


def test_without_accept_html_comes(world):
    received = world.talk(b'GET /simple/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    assert b'Content-Type: text/html; charset=utf-8\r\n' in received


def test_the_serial_header_is_the_projects_own(world):
    answer = world.ask('/simple/piwtest-pure/')
    assert answer.headers['X-PyPI-Last-Serial'] == str(world.serial('piwtest-pure'))


def test_a_page_known_already_is_304(world):
    etag = world.ask('/simple/piwtest-pure/').headers['ETag']
    answer = world.ask('/simple/piwtest-pure/', If_None_Match=f'"other", W/{etag}')
    assert (answer.status, answer.body) == (304, b'')


def test_a_changed_page_is_no_304(world):
    etag = world.ask('/simple/piwtest-pure/').headers['ETag']
    world.sql("INSERT INTO release (project, version) VALUES ('piwtest-pure', '4')")
    assert world.ask('/simple/piwtest-pure/', If_None_Match=etag).status == 200


# ---- files

def test_a_file_comes_byte_for_byte(world, sdists):
    answer = world.ask('/files/piwtest-pure-0.1.tar.gz')
    assert answer.body == (sdists / 'piwtest-pure-0.1.tar.gz').read_bytes()
    assert answer.headers['Content-Type'] == 'application/gzip'


def test_a_large_file_comes_whole(world):
    wheel = next(WHEELS.glob('setuptools-*.whl'))
    assert world.ask(f'/files/{wheel.name}').body == wheel.read_bytes()


def test_head_has_the_headers_without_the_body(world):
    answer = world.ask('/files/piwtest-pure-0.1.tar.gz', method='HEAD')
    assert (answer.status, answer.body) == (200, b'')
    assert int(answer.headers['Content-Length']) > 0


@pytest.mark.parametrize('range_, part', [
    ('bytes=0-3', slice(0, 4)),
    ('bytes=5-', slice(5, None)),
    ('bytes=-7', slice(-7, None)),
    ('bytes=3-99999999', slice(3, None)),
])
def test_a_range_gives_that_part(world, sdists, range_, part):
    data = (sdists / 'piwtest-pure-0.1.tar.gz').read_bytes()
    answer = world.ask('/files/piwtest-pure-0.1.tar.gz', Range=range_)
    assert (answer.status, answer.body) == (206, data[part])
    assert answer.headers['Content-Range'].endswith(f'/{len(data)}')


def test_a_range_outside_the_file_is_416(world, sdists):
    size = (sdists / 'piwtest-pure-0.1.tar.gz').stat().st_size
    answer = world.ask('/files/piwtest-pure-0.1.tar.gz', Range=f'bytes={size}-')
    assert (answer.status, answer.headers['Content-Range']) == (416, f'bytes */{size}')


@pytest.mark.parametrize('headers', [
    {'Range': 'bytes=0-1,3-4'},
    {'Range': 'lines=1-2'},
    {'Range': 'bytes=5-2'},
    {'Range': 'bytes=0-1', 'If_Range': '"of other bytes"'},
])
def test_a_range_that_is_not_served_gives_the_whole(world, headers):
    assert world.ask('/files/piwtest-pure-0.1.tar.gz', **headers).status == 200


def test_the_metadata_of_a_wheel_is_its_own(world):
    wheel = next(WHEELS.glob('wheel-*.whl'))
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith('/METADATA')))
    file = world.json('/simple/wheel/')['files'][0]
    assert world.ask(f'/files/{wheel.name}.metadata').body == metadata
    assert file['core-metadata'] == {'sha256': hashlib.sha256(metadata).hexdigest()}
    assert file['data-dist-info-metadata'] == file['core-metadata']


def test_a_file_whose_bytes_are_gone_is_404(world):
    world.sql("UPDATE file SET path = '/nowhere' WHERE filename = 'piwtest-pure-0.1.tar.gz'")
    assert world.ask('/files/piwtest-pure-0.1.tar.gz').status == 404


# ---- the world changes

def test_one_insert_makes_a_release(world, sdists):
    world.sql('INSERT INTO file (project, version, filename, path) VALUES (?, ?, ?, ?)', 'new-thing', '1.0',
              'new-thing-1.0.tar.gz', str(sdists / 'piwtest-pure-0.1.tar.gz'))
    file, = world.json('/simple/new-thing/')['files']
    data = world.ask('/files/new-thing-1.0.tar.gz').body
    assert file['hashes']['sha256'] == hashlib.sha256(data).hexdigest()
    assert file['size'] == len(data)
    listed = {'name': 'new-thing', '_last-serial': world.serial('new-thing')}
    assert listed in world.json('/simple/')['projects']


def test_a_file_may_lie_in_the_database(world):
    world.sql("INSERT INTO file (project, version, filename, content) VALUES ('blob', '1', 'blob-1.zip', ?)",
              b'\0bytes\xff')
    file, = world.json('/simple/blob/')['files']
    assert world.ask('/files/blob-1.zip').body == b'\0bytes\xff'
    assert file['hashes']['sha256'] == hashlib.sha256(b'\0bytes\xff').hexdigest()


def test_a_yank_shows_at_once(world):
    serial = world.serial('piwtest-pure')
    world.sql("UPDATE release SET yanked = 1, yanked_reason = 'it \"breaks\"'"
              " WHERE project = 'piwtest-pure' AND version = '0.2'")
    page = world.json('/simple/piwtest-pure/')
    assert [file['yanked'] for file in page['files']] == [False, 'it "breaks"', False]
    assert page['meta']['_last-serial'] > serial
    assert 'data-yanked="it &quot;breaks&quot;"' in world.ask('/simple/piwtest-pure/').body.decode()
    assert json.loads(world.ask('/pypi/piwtest-pure/json').body)['info']['version'] == '0.1'


def test_a_yank_without_a_reason_is_true(world):
    world.sql("UPDATE release SET yanked = 1 WHERE project = 'piwtest-cext'")
    assert world.json('/simple/piwtest-cext/')['files'][0]['yanked'] is True


def test_a_removed_release_takes_its_files_along(world):
    serial = world.serial('piwtest-pure')
    world.sql("DELETE FROM release WHERE project = 'piwtest-pure' AND version = '0.2'")
    page = world.json('/simple/piwtest-pure/')
    assert page['versions'] == ['0.1', '0.3rc1']
    assert page['meta']['_last-serial'] > serial
    assert world.ask('/files/piwtest-pure-0.2.tar.gz').status == 404


@pytest.mark.parametrize('change, told', [
    ('summary = NULL', {'status': 'active'}),
    ('quarantined = 1', {'status': 'quarantined'}),
    ("status = 'archived'", {'status': 'archived'}),
    ("status = ''", None),
])
def test_a_project_has_the_status_that_its_page_tells(world, change, told):
    world.sql(f"UPDATE project SET {change} WHERE name = 'piwtest-pure'")
    page = world.json('/simple/piwtest-pure/')
    assert page.get('project-status') == told
    assert (page['files'] == []) == (change == 'quarantined = 1')


def test_a_removed_project_is_gone(world):
    world.sql("DELETE FROM project WHERE name = 'piwtest-pure'")
    assert world.ask('/simple/piwtest-pure/').status == 404
    assert world.sql("SELECT count(*) FROM file WHERE project = 'piwtest-pure'") == [(0,)]


def test_every_change_is_an_event_in_pypis_words(world):
    world.sql("INSERT INTO file (project, version, filename, content)"
              " VALUES ('foo', '1', 'foo-1-cp311-abi3-linux_x86_64.whl', '')")
    world.sql("UPDATE release SET yanked = 1 WHERE project = 'foo'")
    world.sql("UPDATE release SET yanked = 0 WHERE project = 'foo'")
    world.sql("DELETE FROM file WHERE project = 'foo'")
    world.sql("DELETE FROM release WHERE project = 'foo'")
    world.sql("DELETE FROM project WHERE name = 'foo'")
    assert world.sql("SELECT version, action FROM event WHERE project = 'foo' ORDER BY serial") == [
        (None, 'create'),
        ('1', 'new release'),
        ('1', 'add cp311 file foo-1-cp311-abi3-linux_x86_64.whl'),
        ('1', 'yank release'),
        ('1', 'unyank release'),
        ('1', 'remove file foo-1-cp311-abi3-linux_x86_64.whl'),
        ('1', 'remove release'),
        (None, 'remove project'),
    ]


def test_a_project_that_is_not_normalised_is_refused(world):
    with pytest.raises(sqlite3.IntegrityError):
        world.sql("INSERT INTO release (project, version) VALUES ('Not_Normal', '1')")


def test_an_open_transaction_from_outside_keeps_no_page_back(world):
    outside = sqlite3.connect(world.db)
    outside.execute("INSERT INTO release (project, version) VALUES ('piwtest-pure', '5')")
    assert '5' not in world.json('/simple/piwtest-pure/')['versions']
    outside.commit()
    outside.close()
    assert '5' in world.json('/simple/piwtest-pure/')['versions']
    assert world.sql('SELECT count(*) FROM request') == [(2,)]


def test_seeding_again_changes_nothing(tmp_path, sdists):
    first = World(tmp_path, sdists)
    before = first.sql('SELECT max(serial) FROM event')
    first.close()
    second = World(tmp_path, sdists)
    assert second.sql('SELECT max(serial) FROM event') == before
    second.close()


def test_what_is_no_archive_is_served_all_the_same(tmp_path):
    (tmp_path / 'broken-1.0.tar.gz').write_bytes(b'no archive')
    (tmp_path / 'broken-1.0-py3-none-any.whl').write_bytes(b'no archive either')
    (tmp_path / 'nothing.zip').write_bytes(b'')
    world = World(tmp_path, tmp_path)
    page = world.json('/simple/broken/')
    assert [(file['filename'], file['core-metadata']) for file in page['files']] == [
        ('broken-1.0-py3-none-any.whl', False), ('broken-1.0.tar.gz', False)]
    assert len(world.json('/simple/')['projects']) == 1
    world.close()


# ---- pip

def test_pip_downloads_an_sdist(world, tmp_path):
    pip = pip_download(world, tmp_path, '--no-binary', ':all:', 'piwtest-liar')
    assert pip.returncode == 0, pip.stderr
    assert (tmp_path / 'piwtest-liar-0.1.tar.gz').exists()


def test_pip_downloads_a_wheel(world, tmp_path):
    pip = pip_download(world, tmp_path, '--only-binary', ':all:', 'wheel')
    assert pip.returncode == 0, pip.stderr
    assert list(tmp_path.glob('wheel-*.whl'))


def test_pip_passes_over_what_needs_another_python(world, tmp_path):
    pip = pip_download(world, tmp_path, 'piwtest-future')
    assert pip.returncode != 0
    assert 'Requires-Python >=4' in pip.stderr


def test_pip_sees_a_yank(world, tmp_path):
    world.sql("UPDATE release SET yanked = 1 WHERE project = 'piwtest-liar'")
    assert pip_download(world, tmp_path, '--no-binary', ':all:', 'piwtest-liar').returncode != 0


# ---- misbehaviour

def test_a_status_can_be_had_for_a_while(world):
    world.misbehave('/simple/piwtest-', 'status', '429 30', times=2)
    answer = world.ask('/simple/piwtest-pure/')
    assert (answer.status, answer.headers['Retry-After']) == (429, '30')
    assert world.ask('/simple/piwtest-cext/').status == 429
    assert world.ask('/simple/piwtest-pure/').status == 200


def test_the_longest_prefix_wins(world):
    world.misbehave('/simple/', 'status', '500')
    world.misbehave('/simple/piwtest-pure/', 'status', '503')
    assert world.ask('/simple/piwtest-pure/').status == 503
    assert world.ask('/simple/piwtest-cext/').status == 500
    assert world.ask('/pypi/piwtest-pure/json').status == 200


def test_a_body_can_be_cut(world):
    world.misbehave('/files/', 'cut', '100')
    with pytest.raises(http.client.IncompleteRead) as cut:
        world.ask('/files/piwtest-pure-0.1.tar.gz')
    assert len(cut.value.partial) == 100


def test_html_can_come_for_json(world):
    world.misbehave('/simple/', 'html')
    answer = world.ask('/simple/piwtest-pure/', Accept=JSON)
    assert answer.status == 200
    assert answer.headers['Content-Type'].startswith('text/html')


def test_an_answer_can_stay_away(world):
    world.misbehave('/simple/piwtest-pure/', 'stall')
    connection = http.client.HTTPConnection(world.address, timeout=0.5)
    connection.request('GET', '/simple/piwtest-pure/')
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert world.ask('/simple/piwtest-cext/').status == 200
    assert world.sql("SELECT status FROM request WHERE path = '/simple/piwtest-pure/'") == [(None,)]


def test_a_body_can_drip(world):
    world.misbehave('/files/', 'drip', '10')
    connection = http.client.HTTPConnection(world.address, timeout=LIMIT_S)
    connection.request('GET', '/files/piwtest-pure-0.1.tar.gz')
    response = connection.getresponse()
    drops = [response.read1() for _ in range(3)]
    assert all(drops) and sum(map(len, drops)) < int(response.headers['Content-Length']), 'it takes minutes'
    connection.close()


def test_a_redirect_can_lead_in_a_circle(world):
    world.misbehave('/simple/piwtest-pure/', 'redirect')
    answer = world.ask('/simple/piwtest-pure/')
    assert (answer.status, answer.headers['Location']) == (302, '/simple/piwtest-pure/')


def test_a_redirect_can_lead_elsewhere(world):
    world.misbehave('/simple/piwtest-pure/', 'redirect', 'http://192.0.2.1/')
    assert world.ask('/simple/piwtest-pure/').headers['Location'] == 'http://192.0.2.1/'


# ---- the protocol

def test_every_request_is_noted(world):
    world.ask('/simple/piwtest-pure/', User_Agent='tester/1', Accept=JSON)
    world.ask('/nowhere', method='HEAD')
    assert world.sql('SELECT method, path, user_agent, accept, status FROM request ORDER BY id') == [
        ('GET', '/simple/piwtest-pure/', 'tester/1', JSON, 200), ('HEAD', '/nowhere', None, None, 404)]


def test_the_notes_are_bounded(world):
    world.sql("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050)"
              " INSERT INTO request (method, path) SELECT 'GET', '/' || i FROM n")
    world.ask('/')
    assert world.sql('SELECT count(*) FROM request') == [(10000,)]


def test_a_connection_serves_many_requests(world):
    connection = http.client.HTTPConnection(world.address, timeout=LIMIT_S)
    for path in ('/simple/', '/nowhere', '/files/piwtest-pure-0.1.tar.gz', '/simple/piwtest-pure/'):
        connection.request('GET', path)
        response = connection.getresponse()
        assert len(response.read()) == int(response.headers['Content-Length'])
        assert response.headers['Connection'] is None
    connection.close()


def test_requests_sent_ahead_are_answered_in_order(world):
    received = world.talk(b'GET /simple/nobody/ HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n'
                          b'GET /simple HTTP/1.1\r\nConnection: close\r\n\r\n')
    assert re.findall(rb'HTTP/1.1 (\d+)', received) == [b'404', b'200', b'301']


def test_posting_is_refused_and_its_body_passed_over(world):
    connection = http.client.HTTPConnection(world.address, timeout=LIMIT_S)
    connection.request('POST', '/simple/', b'x' * 100_000)
    response = connection.getresponse()
    assert (response.status, response.headers['Allow']) == (405, 'GET, HEAD')
    response.read()
    connection.request('GET', '/simple/')
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize('sent, status', [
    (b'nonsense\r\n\r\n', b'400'),
    (b'GET simple HTTP/1.1\r\n\r\n', b'400'),
    (b'GET /%00 HTTP/1.1\r\n\r\n', b'400'),
    (b'GET /%4 HTTP/1.1\r\n\r\n', b'400'),
    (b'GET / HTTP/1.1\r\nno colon\r\n\r\n', b'400'),
    (b'GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n', b'400'),
    (b'GET / HTTP/1.1\r\nA: \0\r\n\r\n', b'400'),
    (b'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', b'400'),
    (b'POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n', b'413'),
    (b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n', b'501'),
    (b'GET / HTTP/2.0\r\n\r\n', b'505'),
    (b'GET / HTTP/1.1\r\n' + b'A: b\r\n' * 65 + b'\r\n', b'431'),
    (b'GET /' + b'x' * 20000, b'431'),
])
def test_a_request_that_cannot_be_served_is_refused(world, sent, status):
    assert world.talk(sent).split()[1] == status


def test_an_http_1_0_connection_is_closed_after_the_answer(world):
    assert world.talk(b'GET / HTTP/1.0\r\n\r\n').startswith(b'HTTP/1.1 200 OK\r\n')


def test_an_encoded_path_is_decoded(world):
    world.sql("INSERT INTO file (project, version, filename, content)"
              " VALUES ('p', '1+a', 'p-1+a b?.zip', 'x')")
    url = world.json('/simple/p/')['files'][0]['url']
    assert url.endswith('/files/p-1+a%20b%3F.zip')
    assert world.ask(url.removeprefix(world.url)).body == b'x'


def test_the_address_is_the_one_the_client_used(world):
    connection = http.client.HTTPConnection(world.address, timeout=LIMIT_S)
    connection.request('GET', '/simple/piwtest-cext/', headers={'Host': 'pypi.test:81', 'Accept': JSON})
    page = json.loads(connection.getresponse().read())
    connection.close()
    assert page['files'][0]['url'].startswith('http://pypi.test:81/files/')


# ---- the command

@pytest.mark.parametrize('words, code', [
    (['--help'], 0),
    ([], 2),
    (['--nonsense'], 2),
    (['--db', 'x', 'word'], 2),
    (['--db', '/nowhere/x.db'], 1),
    (['--db', ':memory:', '--seed', '/nowhere'], 1),
    (['--db', ':memory:', '--listen', 'nonsense'], 1),
])
def test_the_command_says_what_is_wrong(words, code):
    done = subprocess.run([LOOPBACK_PYPI, *words], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == code
    assert 'loopback-pypi' in done.stdout + done.stderr


# ---- the packages for tests

@pytest.mark.parametrize('name, wheel, said', [
    ('piwtest-pure', 'piwtest_pure-0.2-py3-none-any.whl', ''),
    ('piwtest-cext', 'piwtest_cext-0.1-cp3*-cp3*-linux_*.whl', ''),
    ('piwtest-zlib', 'piwtest_zlib-0.1-cp3*-cp3*-linux_*.whl', ''),
    ('piwtest-legacy', 'Piwtest.Legacy-0.1-py3-none-any.whl', ''),
    ('piwtest-floods', 'piwtest_floods-0.1-py3-none-any.whl', 'the last line of the flood'),
    ('piwtest-stdin', 'piwtest_stdin-0.1-py3-none-any.whl', 'stdin ended after 0 bytes'),
    ('piwtest-dirty', 'piwtest_dirty-0.1-py3-none-any.whl', 'the end of the dirt'),
    ('piwtest-liar', 'piwtest_liar-0.1-py3-none-any.whl', ''),
    ('piwtest-badrecord', 'piwtest_badrecord-0.1-py3-none-any.whl', ''),
])
def test_a_package_that_builds_gives_its_wheel(world, tmp_path, name, wheel, said):
    pip = pip_wheel(world, tmp_path, name)
    assert pip.returncode == 0, pip.stderr[-2000:]
    assert len(list(tmp_path.glob(wheel))) == 1
    assert said in pip.stdout + pip.stderr


@pytest.mark.parametrize('name, said', [
    ('piwtest-nocompile', 'no-such-header.h'),
    ('piwtest-nowheel', 'No such file'),
    ('piwtest-misnamed', 'unexpected file name'),
    ('piwtest-future', 'No matching distribution'),
])
def test_a_package_that_cannot_be_built_says_why(world, tmp_path, name, said):
    pip = pip_wheel(world, tmp_path, name)
    assert pip.returncode != 0
    assert said in pip.stdout + pip.stderr
    assert not list(tmp_path.glob('*.whl'))


def test_sdists_are_always_packed_into_the_same_bytes(sdists, tmp_path):
    subprocess.run([ROOT / 'test/packages/make-sdists', tmp_path], check=True, stdout=subprocess.DEVNULL)
    for first in sdists.iterdir():
        assert first.read_bytes() == (tmp_path / first.name).read_bytes()
