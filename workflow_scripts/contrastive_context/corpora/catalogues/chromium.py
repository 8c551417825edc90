"""Chromium's user interface: one pack of numbered strings per language.

Origin: Debian's package chromium-l10n, by the Chromium Authors (https://www.chromium.org), BSD-3-Clause.
English is ``en-GB``, the only English pack in it. The packs are ``.pak`` files of version 5: a header (version,
encoding, number of entries and of aliases), a table of (id, offset) with one entry more than there are strings, a table
of (id, index of an entry), the strings in UTF-8. ``<language>.pak.info`` names each id.
"""

import itertools
import struct
from collections.abc import Mapping
from pathlib import Path

from contrastive_context.config.text import ChromiumCatalogue
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.reading import Location, Reading
from contrastive_context.downloads.debian import read_files

ENGLISH = "en-GB"

_FOLDER = "usr/lib/chromium/locales/"
_VERSION, _UTF8 = 5, 1
_HEADER, _ENTRY, _ALIAS = struct.Struct("<IB3xHH"), struct.Struct("<HI"), struct.Struct("<HH")


def read(
    settings: ChromiumCatalogue, language: str, records: Mapping[str, Path], domain: str, reading: Reading
) -> None:
    """Add all pairs of English and a language, by number.

    Raises:
        UserError: the package has no such language, or a pack is not of the expected format.
    """
    english_name, name = (f"{_FOLDER}{locale}.pak" for locale in (ENGLISH, language))
    files = read_files(records[settings.package], [english_name, name, f"{english_name}.info"])
    if missing := [file for file in (english_name, name) if file not in files]:
        raise UserError(f"packages.{settings.package}: no file {missing[0]} in it; is {language!r} the right language?")
    english, translated = (unpack(files[file], file) for file in (english_name, name))
    names = _names(files.get(f"{english_name}.info", b""))
    for number, source in sorted(english.items()):
        if number not in translated:
            reading.skip("no translation")
            continue
        location = Location(name, str(number))
        texts = []
        for side, content in (("source", source), ("target", translated[number])):
            try:
                texts.append(content.decode("utf-8"))
            except UnicodeDecodeError:
                reading.reject(location, f"broken UTF-8 in {side}", content)
                break
        else:
            known = {"name": names[number]} if number in names else {}
            cluster = "_".join(names.get(number, str(number)).removeprefix("IDS_").split("_")[:2])
            reading.add(location, *texts, cluster=cluster, domain=domain, meta=known)


def unpack(content: bytes, name: str) -> dict[int, bytes]:
    """Return the strings of a pack by number.

    Args:
        content: the file.
        name: the file's name, for messages.

    Raises:
        UserError: not a pack of version 5 in UTF-8, or cut off.
    """

    def refuse(what: str) -> UserError:
        return UserError(f"{name}: {what}; use the pinned version of the package")

    try:
        version, encoding, count, aliases = _HEADER.unpack_from(content)
        if (version, encoding) != (_VERSION, _UTF8):
            raise refuse(f"a pack of version {version} and encoding {encoding}, not {_VERSION} and {_UTF8} (UTF-8)")
        start = _HEADER.size
        entries = [_ENTRY.unpack_from(content, start + index * _ENTRY.size) for index in range(count + 1)]
        start += (count + 1) * _ENTRY.size
        pairs = [_ALIAS.unpack_from(content, start + index * _ALIAS.size) for index in range(aliases)]
    except struct.error:
        raise refuse("the pack is cut off") from None
    offsets = [offset for _, offset in entries]
    if offsets != sorted(offsets) or offsets[-1] > len(content) or any(index >= count for _, index in pairs):
        raise refuse("the pack's table points outside of it")
    strings = [content[begin:end] for begin, end in itertools.pairwise(offsets)]
    result = {number: text for (number, _), text in zip(entries, strings, strict=False)}
    return result | {number: strings[index] for number, index in pairs}


def _names(info: bytes) -> dict[int, str]:
    """Read lines of name, number, file."""
    names = {}
    for line in info.decode("utf-8", "replace").splitlines():
        name, _, rest = line.partition(",")
        number = rest.partition(",")[0]
        if number.isdecimal():
            names[int(number)] = name
    return names
