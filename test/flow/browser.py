"""A real browser without a window: what a page becomes, and pictures of it."""
import contextlib
import functools
import http.server
import struct
import subprocess
import tempfile
import threading
import zlib

from harness import clean_environment

LIMIT_S = 120
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--hide-scrollbars", "--force-device-scale-factor=1"]
DARK, LIGHT = 0, 1   # blink's PreferredColorScheme


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """The folder's address while the block runs."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def chromium(*words):
    # its helpers outlive it by a moment, and may write while all is removed
    with tempfile.TemporaryDirectory(prefix="piwheels-chromium-", ignore_cleanup_errors=True) as home:
        done = subprocess.run(["chromium", *FLAGS, f"--user-data-dir={home}/data", *words], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=LIMIT_S, env=clean_environment(HOME=home, XDG_CONFIG_HOME=home),
                              check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    return done.stdout.decode()


def dom(url):
    """The page's elements after its scripts have run."""
    return chromium("--dump-dom", url)


def corner_of(png):
    """Red, green and blue of the first pixel, which no filter of PNG changes."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed = 8, b""
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        packed += png[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    return tuple(zlib.decompress(packed)[1:4])


def picture(url, path, *, scheme=LIGHT, width=1000, height=1400):
    """A PNG of the page; the colour of its corner."""
    chromium(f"--window-size={width},{height}", f"--blink-settings=preferredColorScheme={scheme}",
             f"--screenshot={path}", url)
    return corner_of(path.read_bytes())
