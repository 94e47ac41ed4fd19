"""Blanks the GPU code of a shared library that no kept architecture runs, so that it packs small:
slim_fatbin.py IN.so OUT.so ARCHITECTURES    90a;100 keeps sm_90 and sm_100; layout and size of the file stay.

A fat binary is a header (magic, version, bytes of itself, bytes of the entries) and entries: a header (kind 1 PTX, 2 code;
a version; bytes of itself; bytes of the payload; three fields; architecture) and its payload. cuobjdump shows the same."""
import re
import struct
import sys

MAGIC = struct.pack("<I", 0xBA55ED50)
FATBIN = struct.Struct("<IHHQ")
ENTRY = struct.Struct("<HHIQIIHHI")
KIND_NAMES = {1: "compute", 2: "sm"}


def entries_of(data, begin, end):
    while begin + ENTRY.size <= end:
        kind, _, header, payload, *_, architecture = ENTRY.unpack_from(data, begin)
        if kind not in KIND_NAMES or header < ENTRY.size or begin + header + payload > end:
            raise ValueError(f"an entry at byte {begin} that this program cannot read")
        yield kind, architecture, begin + header, payload
        begin += header + payload


def entries(data):
    at = data.find(MAGIC)
    while at >= 0:
        _, version, header, size = FATBIN.unpack_from(data, at)
        end = at + header + size
        found = version == 1 and header == FATBIN.size and end <= len(data)
        if found:
            yield from entries_of(data, at + header, end)
        at = data.find(MAGIC, end if found else at + 4)


def main(source, target, architectures):
    kept = {int(number) for number in re.findall(r"\d+", architectures)}
    with open(source, "rb") as file:
        data = bytearray(file.read())
    sizes = {}
    for kind, architecture, begin, size in list(entries(data)):
        sizes[kind, architecture] = sizes.get((kind, architecture), 0) + size
        if kind != 2 or architecture not in kept:
            data[begin:begin + size] = bytes(size)
    missing = kept - {architecture for kind, architecture in sizes if kind == 2}
    if missing:
        sys.exit(f"slim_fatbin: {source} has no code for sm_{min(missing)}")
    with open(target, "wb") as file:
        file.write(data)
    for (kind, architecture), size in sorted(sizes.items()):
        state = "kept" if kind == 2 and architecture in kept else "blanked"
        print(f"slim_fatbin: {KIND_NAMES[kind]}_{architecture}, {size} bytes: {state}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
