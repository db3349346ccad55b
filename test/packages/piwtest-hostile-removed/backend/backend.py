import os
import tempfile
import time

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    kept = []
    for _ in range(12):
        kept.append(tempfile.TemporaryFile())
        kept[-1].write(os.urandom(1_000_000) * 10)
        kept[-1].flush()
    while True:
        time.sleep(3600)
