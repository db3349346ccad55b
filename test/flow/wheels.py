"""Wheels made by hand: right ones, and by parameters wrong ones."""
import base64
import hashlib
import io
import zipfile


def metadata_text(name, version):
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: made by a test\n".encode()


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def make_wheel(name="piwtest-made", version="1.0", tag="py3-none-any", *, build="", own_name=None, own_tag=None, metadata=True,
               record=True, content=b"answer = 42\n", more=None, behind=b"", padding=0):
    """(file name, bytes). build: "" or "-1"; own_name and own_tag: what METADATA and WHEEL say instead of the file
    name's; more: other members, {name: bytes}; behind: bytes after the archive's end; padding: how many bytes of noise make
    it large.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    members = {f"{module}.py": content, **(more or {})}
    if padding:
        members[f"{module}.bin"] = hashlib.shake_128(content).digest(padding)
    if metadata:
        members[f"{info}/METADATA"] = metadata_text(own_name or name, version)
    members[f"{info}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {str('none-any' in tag).lower()}\n"
                                f"Tag: {own_tag or tag}\n").encode()
    lines = "".join(record_line(member, data if record else data[::-1]) for member, data in members.items())
    members[f"{info}/RECORD"] = (lines + f"{info}/RECORD,,\n").encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member), data)
    return f"{module}-{version}{build}-{tag}.whl", packed.getvalue() + behind


def metadata_of(data):
    """METADATA of a wheel's bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name, = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name)
