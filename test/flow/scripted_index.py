"""An index that answers for each project as a test tells it to, with http or https."""
import hashlib
import http.server
import io
import json
import pathlib
import ssl
import tarfile
import threading

from harness import ROOT
from identity import openssl

HANG = "hang"  # instead of a status: says nothing until the index is closed
CUT = "cut"    # the page as JSON, whose end is lost
PLAIN_BACKEND = "from minimal_wheel import *\ndef build_wheel(folder, *more):\n    return make_wheel(folder)\n"


def make_sdist(name, backend=PLAIN_BACKEND, requires=(), version="0.1"):
    """The bytes of an sdist whose build is this backend."""
    members = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: scripted\n",
        "pyproject.toml": f'[build-system]\nrequires = {list(requires)}\nbuild-backend = "backend"\nbackend-path = ["backend"]\n'
                          f'[project]\nname = "{name}"\nversion = "{version}"\ndescription = "scripted"\n',
        "backend/backend.py": backend,
        "backend/minimal_wheel.py": (ROOT / "test/packages/common/minimal_wheel.py").read_text(),
        name.replace("-", "_") + ".py": "",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for path, text in members.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        index = self.server.index
        index.asked.append(self.path)
        name = self.path.strip("/").rpartition("/")[2]
        if name in index.files and name not in index.answers:
            self.begin(200, index.files[name])
            if name in index.stuck:
                self.wfile.write(index.files[name][:500])
                index.closing.wait()
            else:
                self.wfile.write(index.files[name])
            return
        status = index.next_answer(name)
        if status == HANG:
            index.hanging.set()
            index.closing.wait()
            return
        if status == CUT:
            page = index.page_as_json(name)
            self.begin(200, page, "application/vnd.pypi.simple.v1+json")
            self.wfile.write(page[:len(page) // 2])
        else:
            page = index.page(name) if status == 200 else b"no page"
            self.begin(status, page)
            self.wfile.write(page)

    def begin(self, status, body, content_type="text/html"):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client may go in the middle of an answer."""


class ScriptedIndex:
    """`files`: name -> bytes; a project's page lists those of its name. `answers`: project -> the statuses of its page (or of a file) in
    turn, the last for ever; 200 where it has files and 404 where not. Of files in `stuck` nothing comes behind their half."""

    def __init__(self, certificate=None):
        self.files, self.answers, self.asked, self.stuck = {}, {}, [], set()
        self.hanging, self.closing = threading.Event(), threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.index = self
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.simple = f"{'https' if certificate else 'http'}://127.0.0.1:{self.server.server_port}/simple"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, name, *words, **more):
        self.files[f"{name}-0.1.tar.gz"] = make_sdist(name, *words, **more)

    def of(self, project):
        return [name for name in self.files if name.startswith(project + "-")]

    def next_answer(self, project):
        left = self.answers.get(project) or [200 if self.of(project) else 404]
        return left.pop(0) if len(left) > 1 else left[0]

    def page(self, project):
        return "".join(f'<a href="/files/{name}#sha256={hashlib.sha256(self.files[name]).hexdigest()}">{name}</a>\n'
                       for name in self.of(project)).encode()

    def page_as_json(self, project):
        files = [{"filename": name, "url": f"/files/{name}", "hashes": {}} for name in self.of(project)]
        return json.dumps({"meta": {"api-version": "1.0"}, "name": project, "files": files}).encode()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


def make_certificate(folder):
    """For 127.0.0.1, signed by itself: the file has its key too."""
    folder = pathlib.Path(folder)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem"),
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    (folder / "both.pem").write_text((folder / "key.pem").read_text() + (folder / "ca.pem").read_text())
    return folder / "both.pem", folder / "ca.pem"
