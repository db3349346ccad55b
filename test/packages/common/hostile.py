"""What the hostile packages share: an attack that fails ends the build with `held: …`, one that succeeds with `ESCAPED`.

Linked into their trees beside minimal_wheel.py.
"""
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


def held(how):
    """The end of an attack that led nowhere."""
    raise RuntimeError(f'held: {how}')


def escaped(how):
    raise SystemExit(f'ESCAPED: {how}')


def refused(attack, *arguments):
    """Why an attack failed; the build ends when it did not."""
    try:
        attack(*arguments)
    except OSError as error:
        return error.strerror or str(error)
    escaped(f'{attack.__name__}{arguments}')


def call(name, *arguments):
    """A function of libc; OSError when it fails."""
    if getattr(libc, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def host_folder():
    """Where the build's directory is outside, as the mount table lets on."""
    for line in open('/proc/self/mountinfo', encoding='utf-8'):
        words = line.split()
        if words[4] == '/build':
            return words[3]
    return os.path.expanduser('~/..')


def index_address():
    """Host and port of the index, from pip's own command line."""
    for word in open(f'/proc/{os.getppid()}/cmdline', encoding='utf-8').read().split('\0'):
        if word.startswith('http://'):
            host, _, port = word[len('http://'):].partition('/')[0].partition(':')
            return host, int(port or 80)
    raise LookupError('pip was given no index')
