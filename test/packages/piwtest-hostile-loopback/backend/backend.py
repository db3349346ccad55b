import socket
import urllib.request

from hostile import held, index_address, refused
from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    index, port = index_address()
    for address in ((index, port), ('127.0.0.1', 22), ('127.0.0.1', 5432), ('::1', port)):
        print(address, refused(socket.create_connection, address, 5))
    for url in (f'http://{index}:{port + 1}/', 'http://127.0.0.1:22/', 'http://localhost:5432/', f'https://{index}:{port + 1}/'):
        print(url, refused(urllib.request.urlopen, url, None, 5))
    held('no service of this machine answers')
