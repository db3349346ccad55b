import contextlib
import os
import socket

from hostile import escaped, held
from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    server = socket.create_server(('', int(os.environ.get('PIWTEST_PORT', 0))))
    print(f'listening at {server.getsockname()[1]}.', flush=True)
    server.settimeout(3)
    with contextlib.suppress(TimeoutError):
        server.accept()
        escaped('somebody came')
    held('nobody comes')
