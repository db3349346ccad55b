"""A real browser without a window: what a page becomes, and pictures of it."""
import contextlib
import functools
import http.server
import subprocess
import tempfile
import threading

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
    with tempfile.TemporaryDirectory(prefix="piwheels-chromium-") as home:
        done = subprocess.run(["chromium", *FLAGS, f"--user-data-dir={home}/data", *words], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=LIMIT_S, env=clean_environment(HOME=home, XDG_CONFIG_HOME=home),
                              check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    return done.stdout.decode()


def dom(url):
    """The page's elements after its scripts have run."""
    return chromium("--dump-dom", url)


def picture(url, path, *, scheme=LIGHT, width=1000, height=1400):
    """A PNG of the page."""
    chromium(f"--window-size={width},{height}", f"--blink-settings=preferredColorScheme={scheme}",
             f"--screenshot={path}", url)
    assert path.read_bytes().startswith(b"\x89PNG")
