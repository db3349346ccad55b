"""The declarations of schema/messages.def, read so that a test can say every message rightly and wrongly."""
import pathlib
import re
import struct

import msgpack

DECLARATIONS = pathlib.Path(__file__).resolve().parents[2] / "schema" / "messages.def"
NUMBERS = {"INT64_MAX": 2 ** 63 - 1, "UINT64_MAX": 2 ** 64 - 1}


class Field:
    """kind: UINT, INT, BOOL, TEXT, BYTES, PART or LIST; record: the fields of a PART or of a LIST's items."""

    def __init__(self, kind, name, limits, records):
        self.kind = kind
        self.name = name
        self.record = records[limits.pop(0)] if kind in ("PART", "LIST") else None
        self.max = NUMBERS.get(limits[-1]) or int(limits[-1]) if limits else None
        self.min = int(limits[0]) if kind == "INT" else 0


class Message:
    def __init__(self, name, verb, sender):
        self.name = name
        self.verb = verb
        self.sender = sender
        self.fields = []


def read():
    """Every message, in the order of their declaration."""
    messages, records = [], {}
    text = re.sub(r"/\*.*?\*/", "", DECLARATIONS.read_text(encoding="utf-8"), flags=re.S)
    for kind, inside in re.findall(r"^\s*([A-Z_]+)\(([^\"\n)]*)", text, flags=re.M):
        words = [word.strip() for word in inside.split(",") if word.strip()]
        if kind == "RECORD":
            fields = records[words[0]] = []
        elif kind == "MESSAGE":
            messages.append(Message(*words))
            fields = messages[-1].fields
        elif not kind.endswith("_END"):
            fields.append(Field(kind, words[1], words[2:], records))
    return messages


# ---- right values, packed --------------------------------------------------------------------------------

def array(items):
    return msgpack.Packer().pack_array_header(len(items)) + b"".join(items)


def pack(verb, fields):
    """The body of a frame; the fields are packed already."""
    return array([msgpack.packb(verb), *fields])


def plain(field):
    """The least value."""
    if field.kind == "PART":
        return array(plain_fields(field.record))
    value = {"UINT": 0, "INT": field.min, "BOOL": False, "TEXT": "", "BYTES": b"", "LIST": []}[field.kind]
    return msgpack.packb(value, use_bin_type=True)


def large(field):
    """The largest value."""
    if field.kind == "PART":
        return array(large_fields(field.record))
    if field.kind == "LIST":
        return array([array(large_fields(field.record))] * field.max)
    value = {"UINT": field.max, "INT": field.max, "BOOL": True}.get(field.kind)
    if field.kind == "TEXT":
        value = "x" * field.max
    elif field.kind == "BYTES":
        value = b"x" * field.max
    return msgpack.packb(value, use_bin_type=True)


def plain_fields(fields):
    return [plain(field) for field in fields]


def large_fields(fields):
    return [large(field) for field in fields]


# ---- wrong ones ------------------------------------------------------------------------------------------

DEEP = 10000

# What it is, the kinds of field that it would be right for, and its bytes.
FOREIGN = [
    ("nil", (), b"\xc0"),
    ("the byte that means nothing", (), b"\xc1"),
    ("a boolean", ("BOOL",), b"\xc3"),
    ("an integer", ("UINT", "INT"), b"\x05"),
    ("a negative integer", ("INT",), b"\xff"),
    ("a float", (), b"\xca\x3f\x80\x00\x00"),
    ("a double", (), b"\xcb" + struct.pack(">d", 1e300)),
    ("a str", ("TEXT",), b"\xa1x"),
    ("a bin", ("BYTES",), b"\xc4\x01x"),
    ("an array", (), b"\x91\xc0"),
    ("a map", (), b"\x81\x01\x01"),
    ("an ext", (), b"\xd4\x01x"),
    ("a time", (), b"\xd6\xff" + bytes(4)),
    ("a str of 4294967295 bytes", (), b"\xdb\xff\xff\xff\xff"),
    ("a bin of 4294967295 bytes", (), b"\xc6\xff\xff\xff\xff"),
    ("an array of 4294967295", (), b"\xdd\xff\xff\xff\xff"),
    ("a map of 4294967295", (), b"\xdf\xff\xff\xff\xff"),
    ("an ext of 4294967295 bytes", (), b"\xc9\xff\xff\xff\xff\x01"),
    (f"{DEEP} arrays in each other", (), b"\x91" * DEEP + b"\xc0"),
    (f"{DEEP} maps in each other", (), b"\x81\x01" * DEEP + b"\xc0"),
]


def _beyond(field):
    """Values of the field's own kind that break its limits."""
    if field.kind == "UINT":
        yield "-1", b"\xff"
        yield "the least integer", msgpack.packb(-2 ** 63)
        if field.max < 2 ** 64 - 1:
            yield "more than the most", msgpack.packb(field.max + 1)
            yield "the largest integer", msgpack.packb(2 ** 64 - 1)
    elif field.kind == "INT":
        yield "less than the least", msgpack.packb(field.min - 1)
        yield "more than the most", msgpack.packb(field.max + 1)
        yield "the largest integer", msgpack.packb(2 ** 64 - 1)
    elif field.kind == "TEXT":
        yield "a longer text", msgpack.packb("x" * (field.max + 1))
        yield "a NUL", b"\xa1\x00"
        yield "half a character", b"\xa1\xc3"
        yield "an overlong character", b"\xa2\xc0\x80"
        yield "a surrogate", b"\xa3\xed\xa0\x80"
    elif field.kind == "BYTES":
        yield "more bytes", msgpack.packb(b"x" * (field.max + 1), use_bin_type=True)


def _wrong_records(field, item):
    """Wrong records, as items of the LIST or as the PART itself."""
    fields = plain_fields(field.record)
    yield "a field less", item(array(fields[:-1]))
    yield "a field more", item(array([*fields, b"\xc0"]))
    yield "no fields", item(array([]))
    for at, inner in enumerate(field.record):
        for what, value in wrong_values(inner):
            yield f"{inner.name}: {what}", item(array([*fields[:at], value, *fields[at + 1:]]))


def wrong_values(field):
    """Every (what, bytes) that the field must not be."""
    for what, right_for, value in FOREIGN:
        if field.kind not in right_for:
            yield what, value
    yield from _beyond(field)
    if field.kind == "PART":
        yield from _wrong_records(field, lambda record: record)
    elif field.kind == "LIST":
        yield from _wrong_records(field, lambda record: array([record]))
        yield "an item that is none", array([b"\xc0"])
        yield "more items than there may be", array([array(plain_fields(field.record))] * (field.max + 1))


def wrong_bodies(message):
    """Every (what, body) of a message of this verb that is none."""
    fields = plain_fields(message.fields)
    yield "a field more", pack(message.verb, [*fields, b"\xc0"])
    if fields:
        yield "a field less", pack(message.verb, fields[:-1])
    yield "bytes behind", pack(message.verb, fields) + b"\xc0"
    yield "cut short", pack(message.verb, fields)[:-1]
    for at, field in enumerate(message.fields):
        for what, value in wrong_values(field):
            yield f"{field.name}: {what}", pack(message.verb, [*fields[:at], value, *fields[at + 1:]])
