"""Objects made by hand, as compilers leave them in wheels."""
import struct

V6, V7 = 6, 10  # Tag_CPU_arch


def arm_object(architecture):
    """32-bit Arm code for this architecture."""
    attributes = bytes([1]) + struct.pack("<I", 7) + bytes([6, architecture])
    section = b"aeabi\0" + attributes
    section = b"A" + struct.pack("<I", 4 + len(section)) + section
    header = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 1, 40, 1, 0, 0, 52 + len(section) + 3 & ~3,
                                                                    0, 52, 0, 0, 40, 2, 0)
    at = 52 + len(section) + 3 & ~3
    sections = bytes(40) + struct.pack("<IIIIIIIIII", 0, 0x70000003, 0, 0, 52, len(section), 0, 0, 1, 0)
    return (header + section).ljust(at, b"\0") + sections
