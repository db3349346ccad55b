import os

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    while True:
        print('spinning', flush=True)
        if os.fork() == 0:
            for _ in range(5_000_000):
                pass
            os._exit(0)
        os.wait()
