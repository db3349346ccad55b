"""A private PostgreSQL for the flow tests: one cluster in a directory, reached by a Unix socket in it only.

Servers refuse to run as root: then the server's own commands run as the user postgres, in a directory that
this user can reach.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.parse


def programs():
    """The newest directory with the server's programs."""
    found = shutil.which('pg_ctl')
    if found:
        return pathlib.Path(found).resolve().parent
    versions = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin/pg_ctl'), key=lambda p: int(p.parts[4]))
    if not versions:
        raise RuntimeError('no PostgreSQL server found: apt install postgresql')
    return versions[-1].parent


class Postgres:
    """Superuser of the cluster is `postgres`; nobody needs a password."""

    def __init__(self, directory=None, encoding='UTF8'):
        if directory is None or os.geteuid() == 0:
            directory = tempfile.mkdtemp(prefix='piwheels-pg-', dir='/tmp')
        self.directory = pathlib.Path(directory)
        self.data = self.directory / 'data'
        self.log = self.directory / 'log'
        self.bin = programs()
        self.directory.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.directory, 'postgres')
            self.directory.chmod(0o755)
        self._serve('initdb', '-A', 'trust', '-U', 'postgres', '-E', encoding, '--locale=C', '-D', self.data)
        with open(self.data / 'postgresql.conf', 'a', encoding='utf-8') as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{self.directory}'\n"
                           "fsync = on\nmax_connections = 60\nlog_min_messages = warning\n")

    def _serve(self, program, *words):
        """Runs one of the server's programs as somebody whom it accepts."""
        command = [self.bin / program, *words]
        if os.geteuid() == 0:
            command = ['runuser', '-u', 'postgres', '--', *command]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, cwd='/', check=False)
        if result.returncode != 0:
            raise RuntimeError(f'{program}: {result.stdout}')

    def start(self):
        self._serve('pg_ctl', '-D', self.data, '-l', self.log, '-t', '300', '-w', 'start')

    def stop(self, mode='fast'):
        """Mode: smart, fast, or immediate (a crash)."""
        self._serve('pg_ctl', '-D', self.data, '-m', mode, '-t', '300', '-w', 'stop')

    @contextlib.contextmanager
    def away(self, mode='fast'):
        """The server is stopped meanwhile."""
        self.stop(mode)
        try:
            yield
        finally:
            self.start()

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def dsn(self, dbname='postgres', user='postgres'):
        host = urllib.parse.quote(str(self.directory), safe='')
        return f'postgresql://{urllib.parse.quote(user)}@{host}/{urllib.parse.quote(dbname)}'

    def psql(self, sql, dbname='postgres', user='postgres', check=True):
        """Runs SQL; its rows as text, columns parted by '|'. With check=False the finished process. (Debian's psql in PATH is a
        wrapper in Perl that takes ten times as long.)"""
        command = [self.bin / 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', self.dsn(dbname, user)]
        result = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        if not check:
            return result
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
        return result.stdout.strip()

    def createuser(self, name, options=''):
        self.psql(f'CREATE ROLE {quoted(name)} LOGIN {options}')

    def dropuser(self, name):
        self.psql(f'DROP ROLE {quoted(name)}')

    def createdb(self, name, options=''):
        self.psql(f'CREATE DATABASE {quoted(name)} {options}')

    def dropdb(self, name):
        self.psql(f'DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)')


def quoted(name):
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
