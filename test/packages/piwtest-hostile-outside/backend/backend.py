import os

from hostile import held, host_folder, refused
from minimal_wheel import prepare_metadata_for_build_wheel

PLACES = ['/', '/usr', '/usr/local/bin', '/etc', '/opt', '/run', '/dev', '/var', '/bin', '/lib', '/root', '/home', '/srv', '/sys',
          '/proc', '/run/piwheels']


def make(path):
    with open(path, 'x', encoding='utf-8'):
        pass


def build_wheel(folder, config_settings=None, metadata_directory=None):
    outside = os.path.dirname(os.path.dirname(host_folder()))
    for place in [*PLACES, outside, os.path.dirname(outside)]:
        refused(make, os.path.join(place, 'written-by-a-build'))
    held('nothing can be written')
