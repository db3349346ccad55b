"""Makes a pure wheel by hand, so that the build of a test's package needs nothing installed.

The in-tree build backends import it; make-sdists puts it into their sdists. The wheel holds every piwtest_*.py
at the top of the source tree; its name and version are those of PKG-INFO.
"""
import base64
import hashlib
import zipfile
from email.parser import Parser
from pathlib import Path


def read_facts():
    with open('PKG-INFO', encoding='utf-8') as source:
        return Parser().parse(source)


def spell(name):
    return name.replace('-', '_')


def metadata_text(facts, name=None):
    return (f'Metadata-Version: 2.1\nName: {name or facts["Name"]}\nVersion: {facts["Version"]}\n'
            f'Summary: {facts["Summary"]}\n')


def wheel_text(tag='py3-none-any'):
    return f'Wheel-Version: 1.0\nGenerator: minimal_wheel\nRoot-Is-Purelib: true\nTag: {tag}\n'


def record_line(path, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
    return f'{path},sha256={digest},{len(data)}\n'


def make_wheel(folder, file_dist=None, metadata_name=None, spoil_record=lambda record: record, tag='py3-none-any'):
    """Writes the wheel into `folder` and returns its file name. The other arguments but `tag` make it a bad one."""
    facts = read_facts()
    dist_info = f'{spell(file_dist or facts["Name"])}-{facts["Version"]}.dist-info'
    members = {path.name: path.read_bytes() for path in sorted(Path().glob('piwtest_*.py'))}
    members[f'{dist_info}/METADATA'] = metadata_text(facts, metadata_name).encode()
    members[f'{dist_info}/WHEEL'] = wheel_text(tag).encode()
    record = ''.join(record_line(path, data) for path, data in members.items()) + f'{dist_info}/RECORD,,\n'
    members[f'{dist_info}/RECORD'] = spoil_record(record).encode()
    file_name = f'{spell(file_dist or facts["Name"])}-{facts["Version"]}-{tag}.whl'
    with zipfile.ZipFile(Path(folder, file_name), 'w', zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return file_name


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    """The hook of PEP 517, always honest: pip asks it before it has the wheel built."""
    facts = read_facts()
    dist_info = Path(folder, f'{spell(facts["Name"])}-{facts["Version"]}.dist-info')
    dist_info.mkdir()
    (dist_info / 'METADATA').write_text(metadata_text(facts), encoding='utf-8')
    (dist_info / 'WHEEL').write_text(wheel_text(), encoding='utf-8')
    return dist_info.name
