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
