"""A running loopback PyPI for the tests of itself, asked over HTTP and XML-RPC and changed with SQL."""
import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import xmlrpc.client
from types import SimpleNamespace

from harness import LIMIT_S, LOOPBACK_PYPI, WORLD

JSON = 'application/vnd.pypi.simple.v1+json'


class World:
    """Its database is the file WORLD in the folder given; one that lies there already is served as it is."""

    def __init__(self, folder, *seeds):
        self.db = folder / WORLD
        seed_options = [word for seed in seeds for word in ('--seed', seed)]
        self.process = subprocess.Popen([LOOPBACK_PYPI, '--db', self.db, '--print-url', *seed_options],
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.address = self.url.removeprefix('http://')

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LIMIT_S) == 0
        self.process.stdout.close()

    def sql(self, statement, *values):
        connection = sqlite3.connect(self.db, timeout=LIMIT_S)
        with connection:
            rows = connection.execute(statement, values).fetchall()
        connection.close()
        return rows

    def ask(self, path, method='GET', body=None, **headers):
        connection = http.client.HTTPConnection(self.address, timeout=LIMIT_S)
        headers = {name.replace('_', '-'): value for name, value in headers.items()}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = SimpleNamespace(status=response.status, headers=response.headers, body=response.read())
        connection.close()
        return answer

    def json(self, path):
        return json.loads(self.ask(path, Accept=JSON).body)

    def talk(self, sent):
        """Everything that comes back for some raw bytes, until the server closes."""
        with socket.create_connection(self.address.split(':'), timeout=LIMIT_S) as connection:
            connection.sendall(sent)
            received = b''
            while part := connection.recv(65536):
                received += part
        return received

    def serial(self, project):
        return self.sql('SELECT serial FROM project WHERE name = ?', project)[0][0]

    def misbehave(self, path, kind, argument=None, times=None, method=None):
        self.sql('INSERT INTO behaviour (path_prefix, method, kind, argument, times) VALUES (?, ?, ?, ?, ?)',
                 path, method, kind, argument, times)

    def remote(self):
        """The standard library's client of the changelog, to be used in a `with`."""
        return xmlrpc.client.ServerProxy(f'{self.url}/pypi', allow_none=True)

    def changelog(self, serial=0):
        with self.remote() as remote:
            return remote.changelog_since_serial(serial)

    def call(self, body, **headers):
        return self.ask('/pypi', 'POST', body, **{'Content_Type': 'text/xml', **headers})
