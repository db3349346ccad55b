import os
import time

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    for _ in range(25):
        if os.fork() == 0:
            kept = bytearray(os.urandom(1_000_000) * 30)
            time.sleep(3600)
            os._exit(len(kept) == 0)
    while True:
        time.sleep(3600)
