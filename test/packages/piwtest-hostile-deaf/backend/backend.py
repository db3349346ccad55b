import os
import signal
import time

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)
    for _ in range(3):
        os.fork()
    while True:
        print('deaf', flush=True)
        time.sleep(0.1)
