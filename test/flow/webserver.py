"""Web servers on a farm's tree: nginx with the configuration that we ship, and Python's own."""
import contextlib
import socket

from harness import PYTHON, ROOT, Process


@contextlib.contextmanager
def held_port():
    """A port that nobody is given meanwhile; a server that is told of it can listen there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def python_serves(output):
    """The URL."""
    server = Process(PYTHON, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", output, "0")
    yield server.wait_line(r"(http://127\.0\.0\.1:\d+)").group(1)
    server.kill()


@contextlib.contextmanager
def nginx_serves(output, folder):
    """The URL; the folder is nginx's own."""
    site = (ROOT / "scripts" / "piwheels-nginx.conf").read_text()
    with held_port() as port:
        site = site.replace("@LISTEN@", f"127.0.0.1:{port}").replace("@OUTPUT@", str(output))
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr notice;\nevents {{}}\nhttp {{\n"
            + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            + f"access_log off;\n{site}\n}}\n")
        server = Process("/usr/sbin/nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf")
        server.wait_line("start worker process|using the \"epoll\" event method")
        yield f"http://127.0.0.1:{port}"
        server.stop()
