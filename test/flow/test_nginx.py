"""The tree under nginx with the configuration we ship, and under Python's http.server: what pip, browsers and
tools get. The tree is made by hand here; that the master writes such a one is shown elsewhere.
"""
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
JSON = 'application/vnd.pypi.simple.v1+json'
PIP_ACCEPT = f'{JSON}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01'
UV_ACCEPT = f'{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01'
FIREFOX_ACCEPT = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
WHEEL = 'demo-1.0-py3-none-any.whl'
METADATA = b'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n'
LOG = b'Collecting demo\n'
LIMIT_S = 20


# ---- the tree --------------------------------------------------------------------------------------

def sha256(data):
    return hashlib.sha256(data).hexdigest()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_page(path, text):
    """A page and its compressed sibling."""
    data = text.encode()
    write(path, data)
    write(path.with_name(path.name + '.gz'), gzip.compress(data, mtime=0))


def make_wheel(path):
    members = {
        'demo.py': b'answer = 42\n',
        'demo-1.0.dist-info/METADATA': METADATA,
        'demo-1.0.dist-info/WHEEL': b'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    }
    record = ''.join(f'{name},,\n' for name in [*members, 'demo-1.0.dist-info/RECORD'])
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)
        wheel.writestr('demo-1.0.dist-info/RECORD', record)


def make_tree(output):
    demo = output / 'simple/demo'
    make_wheel(demo / WHEEL)
    write(demo / (WHEEL + '.metadata'), METADATA)
    digest = sha256((demo / WHEEL).read_bytes())
    link = (f'<a href="{WHEEL}#sha256={digest}" data-core-metadata="sha256={sha256(METADATA)}" '
            f'data-dist-info-metadata="sha256={sha256(METADATA)}">{WHEEL}</a><br>\n')
    write_page(demo / 'index.html', '<!DOCTYPE html>\n<title>Links for demo</title>\n' + link * 20)
    write_page(demo / 'index.v1_json', json.dumps({
        'meta': {'api-version': '1.1'}, 'name': 'demo', 'versions': ['1.0'], 'files': [{
            'filename': WHEEL, 'url': WHEEL, 'hashes': {'sha256': digest}, 'size': 1,
            'yanked': False, 'core-metadata': {'sha256': sha256(METADATA)}}]}))
    write_page(output / 'simple/index.html', '<!DOCTYPE html>\n<a href="demo/">demo</a><br>\n')
    write_page(output / 'simple/index.v1_json',
               json.dumps({'meta': {'api-version': '1.1'}, 'projects': [{'name': 'demo'}]}))
    write_page(output / 'index.html', '<!DOCTYPE html>\n<title>front</title>\n')
    write_page(output / '404.html', '<!DOCTYPE html>\n<title>not found</title>\n')
    write_page(output / 'style.css', 'body { margin: 0 }\n')
    write_page(output / 'project/demo/index.html', '<!DOCTYPE html>\n<title>about demo</title>\n')
    write_page(output / 'project/demo/json/index.json', json.dumps({'package': 'demo'}))
    (output / 'project/Demo').symlink_to('demo')
    (output / 'simple/Demo').symlink_to('demo')
    (output / 'bookworm').mkdir()
    (output / 'bookworm/simple').symlink_to('../simple')
    (output / 'simple/empty').mkdir()
    write(output / '.staging/secret.whl', b'not yet')
    write(output / '.withheld/simple/demo/secret.whl', b'quarantined')
    write(output / 'simple/demo/.demo.whl.tmp', b'not yet')
    write(output / 'logs/0000/0000/0001.txt.gz', gzip.compress(LOG))


@pytest.fixture(scope='module')
def output():
    """Below /tmp, where the user that nginx runs as can reach it."""
    with tempfile.TemporaryDirectory(prefix='piwweb-', dir='/tmp') as name:
        os.chmod(name, 0o755)
        path = pathlib.Path(name) / 'www'
        path.mkdir()
        make_tree(path)
        yield path


# ---- servers ---------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def held_ports():
    """Two ports that nobody is given meanwhile; a server that is told of one can listen there."""
    with socket.socket() as one, socket.socket() as other:
        for held in (one, other):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(('127.0.0.1', 0))
        yield one.getsockname()[1], other.getsockname()[1]


def wait_answer(port, process, log):
    """Until somebody listens; fails when the server has ended."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError('the server does not listen: ' + log.read_text())


def nginx_configuration(directory, output, port):
    """nginx without root: every path that it writes to lies in its own directory."""
    server = (SOURCE / 'scripts/piwheels-nginx.conf').read_text()
    (directory / 'site.conf').write_text(server.replace('@LISTEN@', f'127.0.0.1:{port}')
                                               .replace('@OUTPUT@', str(output)))
    paths = ''.join(f'    {kind}_temp_path {directory}/{kind};\n'
                    for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
    (directory / 'nginx.conf').write_text(
        f'daemon off;\npid {directory}/pid;\nerror_log {directory}/error.log;\nworker_processes 1;\n'
        f'events {{ worker_connections 64; }}\nhttp {{\n    access_log {directory}/access.log;\n{paths}'
        f'    include {directory}/site.conf;\n}}\n')
    return directory / 'nginx.conf'


@pytest.fixture(scope='module')
def nginx(output, held_ports):
    """The port of a running nginx."""
    program = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')
    directory = output.parent / 'nginx'
    directory.mkdir()
    port, _ = held_ports
    configuration = nginx_configuration(directory, output, port)
    user = {}
    if os.geteuid() == 0:
        shutil.chown(directory, 'nobody', 'nogroup')
        user = {'user': 'nobody', 'group': 'nogroup', 'extra_groups': []}
    log = directory / 'stderr'
    with open(log, 'wb') as stderr:
        process = subprocess.Popen([program, '-e', directory / 'error.log', '-p', directory, '-c', configuration],
                                   stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, **user)
        wait_answer(port, process, log)
        yield port
        process.terminate()
        assert process.wait(timeout=LIMIT_S) == 0, log.read_text()
    assert 'emerg' not in (directory / 'error.log').read_text()


@pytest.fixture(scope='module')
def python_server(output, held_ports):
    """The port of `python3 -m http.server` on the same tree."""
    _, port = held_ports
    log = output.parent / 'http.server.log'
    with open(log, 'wb') as stderr:
        process = subprocess.Popen(['/usr/bin/python3', '-m', 'http.server', '--bind', '127.0.0.1', '--directory',
                                    output, str(port)], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        wait_answer(port, process, log)
        yield port
        process.terminate()
        process.wait(timeout=LIMIT_S)


class Answer:
    def __init__(self, port, path, method='GET', **headers):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=LIMIT_S)
        connection.request(method, path, headers={name.replace('_', '-'): value for name, value in headers.items()})
        answer = connection.getresponse()
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()
        connection.close()

    @property
    def type(self):
        return self.headers['Content-Type']


# ---- which form ------------------------------------------------------------------------------------

@pytest.mark.parametrize('accept', [PIP_ACCEPT, UV_ACCEPT, JSON, JSON.upper(),
                                    'application/vnd.pypi.simple.latest+json', f'text/html;q=0.5, {JSON}'])
@pytest.mark.parametrize('path', ['/simple/', '/simple/demo/', '/bookworm/simple/demo/', '/simple/Demo/'])
def test_installers_get_json(nginx, path, accept):
    answer = Answer(nginx, path, Accept=accept)
    assert answer.status == 200
    assert answer.type == JSON
    assert json.loads(answer.body)['meta'] == {'api-version': '1.1'}


@pytest.mark.parametrize('accept', [FIREFOX_ACCEPT, 'text/html', '*/*', 'application/vnd.pypi.simple.v1+html',
                                    f'{JSON};q=0, text/html', f'text/html, {JSON};q=0.5', f'{JSON}; q=0.5, text/html'])
@pytest.mark.parametrize('path', ['/simple/', '/simple/demo/', '/bookworm/simple/demo/'])
def test_others_get_html(nginx, path, accept):
    answer = Answer(nginx, path, Accept=accept)
    assert answer.status == 200
    assert answer.type == 'text/html; charset=utf-8'
    assert answer.body.startswith(b'<!DOCTYPE html>')


def test_a_client_that_accepts_nothing_in_particular_gets_html(nginx):
    assert Answer(nginx, '/simple/demo/').type == 'text/html; charset=utf-8'


def test_either_form_has_its_own_address(nginx):
    assert Answer(nginx, '/simple/demo/index.html', Accept=PIP_ACCEPT).type == 'text/html; charset=utf-8'
    assert Answer(nginx, '/simple/demo/index.v1_json', Accept=FIREFOX_ACCEPT).type == JSON


@pytest.mark.parametrize('accept', [PIP_ACCEPT, FIREFOX_ACCEPT])
def test_caches_are_told_that_the_form_varies(nginx, accept):
    assert 'Accept' in Answer(nginx, '/simple/demo/', Accept=accept).headers.get_all('Vary')


def test_the_front_page_is_html_for_everybody(nginx):
    assert b'front' in Answer(nginx, '/', Accept=PIP_ACCEPT).body


# ---- caching and compression -----------------------------------------------------------------------

def test_pages_may_be_kept_for_ten_minutes(nginx):
    for path in ('/', '/simple/', '/simple/demo/'):
        assert Answer(nginx, path).headers.get_all('Cache-Control') == ['public, max-age=600']


def test_published_files_may_be_kept_for_ever(nginx):
    for path in (f'/simple/demo/{WHEEL}', f'/simple/demo/{WHEEL}.metadata'):
        assert Answer(nginx, path).headers.get_all('Cache-Control') == ['public, max-age=31536000, immutable']


def test_an_unchanged_page_is_not_sent_again(nginx):
    for accept in (PIP_ACCEPT, FIREFOX_ACCEPT):
        first = Answer(nginx, '/simple/demo/', Accept=accept)
        again = Answer(nginx, '/simple/demo/', Accept=accept, If_None_Match=first.headers['ETag'])
        assert (again.status, again.body) == (304, b'')
        assert 'Accept' in again.headers.get_all('Vary')


def test_pages_are_sent_compressed_to_those_who_take_it(nginx, output):
    for accept, name in ((PIP_ACCEPT, 'index.v1_json'), (FIREFOX_ACCEPT, 'index.html')):
        answer = Answer(nginx, '/simple/demo/', Accept=accept, Accept_Encoding='gzip, deflate')
        assert answer.headers['Content-Encoding'] == 'gzip'
        assert answer.body == (output / 'simple/demo' / (name + '.gz')).read_bytes()
        assert 'Accept-Encoding' in answer.headers.get_all('Vary')


def test_the_compressed_form_has_the_same_type(nginx):
    assert Answer(nginx, '/simple/demo/', Accept=PIP_ACCEPT, Accept_Encoding='gzip').type == JSON


def test_wheels_are_sent_as_they_are(nginx, output):
    answer = Answer(nginx, f'/simple/demo/{WHEEL}', Accept_Encoding='gzip')
    assert answer.body == (output / 'simple/demo' / WHEEL).read_bytes()
    assert answer.headers['Content-Encoding'] is None


def test_part_of_a_wheel_can_be_had(nginx, output):
    answer = Answer(nginx, f'/simple/demo/{WHEEL}', Range='bytes=0-3')
    assert (answer.status, answer.body) == (206, b'PK\x03\x04')


# ---- what else is served, and what is not ----------------------------------------------------------

def test_the_metadata_is_served_byte_for_byte(nginx):
    answer = Answer(nginx, f'/simple/demo/{WHEEL}.metadata')
    assert (answer.status, answer.body) == (200, METADATA)


def test_head_answers_like_get_without_a_body(nginx):
    for path in ('/simple/demo/', f'/simple/demo/{WHEEL}', f'/simple/demo/{WHEEL}.metadata'):
        got, head = Answer(nginx, path, Accept=PIP_ACCEPT), Answer(nginx, path, 'HEAD', Accept=PIP_ACCEPT)
        assert (head.status, head.body) == (200, b'')
        for name in ('Content-Type', 'Content-Length', 'ETag', 'Cache-Control'):
            assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize('path', ['/project/demo/', '/project/Demo/'])
@pytest.mark.parametrize('accept', [PIP_ACCEPT, FIREFOX_ACCEPT])
def test_a_page_for_people_is_html_for_everybody(nginx, path, accept):
    answer = Answer(nginx, path, Accept=accept, Accept_Encoding='gzip')
    assert (answer.status, answer.type) == (200, 'text/html; charset=utf-8')
    assert answer.headers.get_all('Cache-Control') == ['public, max-age=600']
    assert b'about demo' in gzip.decompress(answer.body)


@pytest.mark.parametrize('path', ['/project/demo/json/', '/project/demo/json/index.json', '/project/Demo/json/'])
def test_the_json_about_a_package_is_json(nginx, path):
    answer = Answer(nginx, path)
    assert (answer.status, answer.type) == (200, 'application/json')
    assert answer.headers.get_all('Cache-Control') == ['public, max-age=600']
    assert json.loads(answer.body) == {'package': 'demo'}


def test_the_style_sheet_is_one(nginx):
    answer = Answer(nginx, '/style.css')
    assert (answer.status, answer.type) == (200, 'text/css')


@pytest.mark.parametrize('path', ['/absent', '/project/absent/', '/simple/absent/', '/simple/empty/', '/project/',
                                  '/.staging/secret.whl', '/404.html'])
def test_what_is_not_there_is_said_in_our_words(nginx, path):
    answer = Answer(nginx, path)
    assert (answer.status, answer.type) == (404, 'text/html; charset=utf-8')
    assert b'not found' in answer.body


def test_a_build_log_is_shown_as_text(nginx):
    answer = Answer(nginx, '/logs/0000/0000/0001.txt.gz')
    assert answer.type == 'text/plain; charset=utf-8'
    assert answer.headers['Content-Encoding'] == 'gzip'
    assert gzip.decompress(answer.body) == LOG


@pytest.mark.parametrize('path', ['/.staging/secret.whl', '/.staging/', '/simple/demo/.demo.whl.tmp',
                                  '/simple/%2edemo/', '/simple/../.staging/secret.whl',
                                  '/.withheld/simple/demo/secret.whl', '/.withheld/', '/%2ewithheld/simple/demo/secret.whl'])
def test_dotfiles_are_not_there(nginx, path):
    assert Answer(nginx, path).status == 404


@pytest.mark.parametrize('path', ['/simple/absent/', '/simple/empty/', '/logs/', '/simple/demo/absent.whl'])
def test_what_has_no_page_is_not_there(nginx, path):
    assert Answer(nginx, path, Accept=PIP_ACCEPT).status == 404


def test_a_missing_slash_is_added_by_a_relative_redirect(nginx):
    answer = Answer(nginx, '/simple/demo')
    assert (answer.status, answer.headers['Location']) == (301, '/simple/demo/')


def test_nothing_can_be_sent_to_it(nginx):
    for method in ('POST', 'PUT', 'DELETE'):
        assert Answer(nginx, '/simple/demo/', method).status in (403, 404, 405)


# ---- pip -------------------------------------------------------------------------------------------

def download(port, target, folder):
    environment = {'PATH': os.environ['PATH'], 'HOME': str(folder), 'PIP_CONFIG_FILE': '/dev/null'}
    return subprocess.run(
        ['/usr/bin/python3', '-m', 'pip', 'download', '-vv', '--no-deps', '--no-cache-dir', '--disable-pip-version-check',
         '--dest', folder, '--index-url', f'http://127.0.0.1:{port}{target}/simple/', 'demo'],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize('target', ['', '/bookworm'])
@pytest.mark.parametrize('server', ['nginx', 'python_server'])
def test_pip_downloads_the_wheel(request, output, tmp_path, server, target):
    done = download(request.getfixturevalue(server), target, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / WHEEL).read_bytes() == (output / 'simple/demo' / WHEEL).read_bytes()
    form = JSON if server == 'nginx' else 'text/html'
    assert f'/simple/demo/ as {form}' in done.stdout


if __name__ == '__main__':
    sys.exit(pytest.main([__file__]))
