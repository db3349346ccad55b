import socket
import urllib.request

from hostile import held, refused
from minimal_wheel import prepare_metadata_for_build_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    for place in ('169.254.169.254', '[fd00:ec2::254]', '100.100.100.200', 'metadata.google.internal', '2852039166'):
        print(place, refused(urllib.request.urlopen, f'http://{place}/latest/meta-data/', None, 5))
        print(place, refused(socket.create_connection, (place.strip('[]'), 80), 5))
    held('no metadata')
