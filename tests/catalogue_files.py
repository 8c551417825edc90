"""Tiny files in the exact formats of the text sources: packs, compiled gettext catalogues, .deb, wheels."""

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

from contrastive_context.core.artifacts import sha256_file, write_json


def make_pack(strings: dict[int, bytes], aliases: dict[int, int] | None = None) -> bytes:
    """A Chromium .pak of version 5; ``aliases``: number → number whose string it shares."""
    numbers, aliases = sorted(strings), aliases or {}
    offset = 12 + 6 * (len(numbers) + 1) + 4 * len(aliases)
    table = b""
    for number in numbers:
        table += struct.pack("<HI", number, offset)
        offset += len(strings[number])
    table += struct.pack("<HI", 0, offset)
    table += b"".join(struct.pack("<HH", number, numbers.index(same)) for number, same in aliases.items())
    return struct.pack("<IB3xHH", 5, 1, len(numbers), len(aliases)) + table + b"".join(strings[n] for n in numbers)


def make_mo(messages: dict[bytes, bytes], order: str = "<") -> bytes:
    """A compiled gettext catalogue."""
    items = sorted(messages.items())
    start = 28 + 16 * len(items)
    tables, texts = [b"", b""], b""
    for side in (0, 1):
        for item in items:
            tables[side] += struct.pack(f"{order}2I", len(item[side]), start + len(texts))
            texts += item[side] + b"\0"
    header = struct.pack(f"{order}7I", 0x950412DE, 0, len(items), 28, 28 + 8 * len(items), 0, start)
    return header + b"".join(tables) + texts


def make_tar(files: dict[str, bytes], *entries: tarfile.TarInfo, compression: str = "xz") -> bytes:
    """A tar archive of files and of further entries without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for entry in entries:
            archive.addfile(entry)
    return buffer.getvalue()


def make_ar(members: dict[str, bytes]) -> bytes:
    """An ar archive."""
    content = b"!<arch>\n"
    for name, data in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        content += b"\n" * (len(data) % 2)
    return content


def make_deb(files: dict[str, bytes], *entries: tarfile.TarInfo) -> bytes:
    """A Debian package."""
    control = make_tar({"control": b"Package: x\n"})
    return make_ar({"debian-binary": b"2.0\n", "control.tar.xz": control, "data.tar.xz": make_tar(files, *entries)})


def make_wheel(translations: dict[str, bytes | dict]) -> bytes:
    """A wheel of homeassistant with ``component/language`` → content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for name, content in translations.items():
            component, language = name.split("/")
            data = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
            wheel.writestr(f"homeassistant/components/{component}/translations/{language}.json", data)
    return buffer.getvalue()


def record_of(folder: Path, content: bytes, name: str) -> Path:
    """Write a package and its record, as ``fetch_package.py`` does; return the record."""
    path = folder / name
    path.write_bytes(content)
    record = folder / f"{name}.json"
    write_json(record, {"package": name, "path": str(path), "sha256": sha256_file(path)})
    return record
