import os
import signal
import time

from hostile import held
from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for _ in range(3):
            os.fork()
        for descriptor in range(3):
            os.close(descriptor)
        while True:
            time.sleep(3600)
    os.wait4(-1, os.WNOHANG)
    held('the daemons are for the slave to end')
