import os
import signal
import time

from minimal_wheel import prepare_metadata_for_build_wheel

CHILD_NAME = 'piwtest-sleeps-daemon'  # its argv[0], by which a test can look for it
CHILD_SECONDS = '3600'


def leave_child():
    """A daemon: its own session, no parent but init, deaf to SIGTERM, still holding the build's output. Returns when it has its
    name."""
    there, here = os.pipe()
    if os.fork() > 0:
        os.close(here)
        os.read(there, 1)   # ends when the last to hold the other end has become another program
        os.wait()
        return
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.execv('/bin/sleep', [CHILD_NAME, CHILD_SECONDS])


def build_wheel(folder, config_settings=None, metadata_directory=None):
    leave_child()
    print('piwtest-sleeps: sleeping for ever', flush=True)
    while True:
        time.sleep(3600)
