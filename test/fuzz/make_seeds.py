"""Seeds that are no text, or follow from schema/: frames of every message, wheels, every option."""
import io
import pathlib
import re
import struct
import sys
import zipfile

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST / "flow"))

import messages  # noqa: E402
from wheels import make_wheel  # noqa: E402


def of_message():
    for message in messages.read():
        yield message.verb, messages.pack(message.verb, messages.plain_fields(message.fields))
        yield message.verb + "-largest", messages.pack(message.verb, messages.large_fields(message.fields))


def of_wire():
    """The size of a piece, then frames."""
    frames = [struct.pack(">I", len(body)) + body for _, body in of_message() if len(body) < 10000]
    for at, frame in enumerate(frames):
        yield f"one-{at}", b"\x02" + frame
    yield "all", b"\x10" + b"".join(frames)
    yield "too-long", b"\x01" + struct.pack(">I", 0xffffffff)
    yield "empty", b"\x01" + bytes(4)


def of_wheel():
    yield "sound", make_wheel()[1]
    yield "no-metadata", make_wheel(metadata=False)[1]
    yield "wrong-record", make_wheel(record=False)[1]
    yield "more-files", make_wheel(more={"a/b.py": b"x = 1\n", "a/c.py": b"y = 2\n"})[1]
    yield "another-tag", make_wheel(own_tag="cp311-cp311-linux_x86_64")[1]
    yield "bytes-behind", make_wheel(behind=b"more")[1]
    yield "object", make_wheel(more={"a/b.so": library("libc.so.6", version="GLIBC_2.34")})[1]
    yield "deflated", repacked(compression=zipfile.ZIP_DEFLATED)
    yield "zip64", repacked(force_zip64=True)
    yield "streamed", repacked(OneWay(), force_zip64=True)


class OneWay(io.BytesIO):
    """A file that cannot be gone back in: sizes follow the data of each member."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation


def repacked(to=None, *, compression=zipfile.ZIP_STORED, force_zip64=False):
    """A sound wheel in another form."""
    to = to or io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(make_wheel()[1])) as wheel, zipfile.ZipFile(to, "w", compression) as archive:
        for name in wheel.namelist():
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            with archive.open(info, "w", force_zip64=force_zip64) as member:
                member.write(wheel.read(name))
    return to.getvalue()


def library(*needed, version=""):
    """A shared library for x86-64 whose addresses are offsets: head, two segments, dynamic section, versions, texts."""
    texts, entries = b"\0", []
    at = {name: len(texts) + sum(len(before) + 1 for before in needed[:place]) for place, name in enumerate(needed)}
    texts += b"".join(name.encode() + b"\0" for name in needed)
    at_version, texts = len(texts), texts + version.encode() + b"\0"
    dynamic = 64 + 2 * 56
    versions = dynamic + 16 * (len(needed) + 5)
    entries += [(1, place) for place in at.values()]
    entries += [(5, versions + 32), (10, len(texts)), (0x6ffffffe, versions), (14, 0), (0, 0)]
    body = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    body += struct.pack("<HHIII", 1, 1, 0, 16, 0) + struct.pack("<IHHII", 0, 0, 2, at_version, 0) + texts
    size = dynamic + len(body)
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, size, size, 1) + struct.pack(
        "<IIQQQQQQ", 2, 4, dynamic, dynamic, dynamic, 16 * len(entries), 16 * len(entries), 8) + body


def arm_object(attributes):
    """An object for 32-bit Arm with nothing but a section of attributes."""
    head = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 1, 40, 1, 0, 0, 52, 0, 52, 0, 0, 40, 2, 0)
    return head + bytes(40) + struct.pack("<10I", 0, 0x70000003, 0, 0, 132, len(attributes), 0, 0, 1, 0) + attributes


ARMV6 = b"A\x15\0\0\0aeabi\0\1\x0b\0\0\0\x06\x06\x09\x01\x0a\x02"


def of_object():
    yield "library", library("libffi.so.8", "libc.so.6", version="GLIBC_2.34")
    yield "no-needs", library(version="GLIBCXX_3.4.30")
    yield "arm", arm_object(ARMV6)
    yield "arm-cut", arm_object(ARMV6[:-3])
    yield "attributes", ARMV6
    yield "text-attribute", b"A\x17\0\0\0aeabi\0\1\x0d\0\0\0\x20\1gnu\0\x06\x06"
    yield "magic", b"\x7fELF"


def options():
    """(section, name, letter, kind) of each."""
    declarations = (TEST.parent / "schema" / "options.def").read_text(encoding="utf-8")
    return re.findall(r"^OPTION\((\w+), (\w+), ([^,]+), (\w+)", declarations, flags=re.M)


def of_options():
    for section, name, _, _ in options():
        for value in ("1", "yes", "90s", "5GB", "~/x"):
            yield f"{section}-{name}-{value.strip('~/')}", f"[{section}]\n{name} = {value}\n".encode()


def of_arguments():
    for section, name, letter, _ in options():
        long = name.replace("_", "-")
        yield f"{section}-{name}", f"--{long}=5\n--{long}\n90s\n--no-{long}\n-{letter.strip(chr(39))}x\nword\n".encode()


def make(name, folder):
    """Into the folder, which is made if there is none."""
    folder.mkdir(exist_ok=True)
    for seed, data in globals().get(f"of_{name}", tuple)():
        (folder / seed).write_bytes(data)
