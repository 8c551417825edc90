"""Compiled gettext catalogues, for instance of the game The Battle for Wesnoth.

Origin of the study's out-of-domain text: campaigns of Debian's packages wesnoth-1.16-*, by the Wesnoth project
(https://www.wesnoth.org), GPL-2.0-or-later: downloaded, never part of this repository or of what it publishes. Its
dialogue is far from user interfaces.

The ``.mo`` format (https://www.gnu.org/software/gettext/manual, "MO Files"): a header, two tables of (length, offset)
for messages and translations, the texts. A context stands before a message and a ``\\x04``; Wesnoth writes it before a
``^``. The message without text is the catalogue's own header. Messages with plural forms are left out: which form fits
which sentence can't be told.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from contrastive_context.config.text import GettextCatalogue
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.reading import Location, Reading
from contrastive_context.downloads.debian import read_files

_MAGIC = 0x950412DE
# A note to translators that Wesnoth puts before the text.
_NOTE = re.compile(r"^[^\n^]{0,80}[^\s^]\^(?=\S)")


def read(settings: GettextCatalogue, language: str, records: Mapping[str, Path], domain: str, reading: Reading) -> None:
    """Add all pairs of English and a language.

    Raises:
        UserError: a package has no catalogue of the language, or a catalogue is not of the expected format.
    """
    for package in settings.package:
        files = read_files(records[package], lambda name: name.endswith(".mo") and f"/{language}/LC_MESSAGES/" in name)
        if not files:
            raise UserError(f"packages.{package}: no catalogue {language}/LC_MESSAGES/*.mo in it")
        for name, content in sorted(files.items()):
            for number, message, translation in messages(content, name):
                _add(Location(name, str(number)), message, translation, domain, reading)


def _add(location: Location, message: bytes, translation: bytes, domain: str, reading: Reading) -> None:
    _, _, text = message.rpartition(b"\x04")
    if not message:
        return  # the header
    if b"\0" in text:
        reading.skip("plural forms")
        return
    try:
        source = text.decode("utf-8")
    except UnicodeDecodeError:
        reading.reject(location, "broken UTF-8 in source", text)
        return
    try:
        target = translation.decode("utf-8")
    except UnicodeDecodeError:
        reading.reject(location, "broken UTF-8 in target", translation)
        return
    reading.add(location, _NOTE.sub("", source), target, domain=domain)


def messages(content: bytes, name: str) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (number from 1, message, translation) of a compiled catalogue.

    Raises:
        UserError: not a catalogue, or cut off.
    """
    for order in "<>":
        if len(content) >= 4 and struct.unpack_from(f"{order}I", content)[0] == _MAGIC:
            break
    else:
        raise UserError(f"{name}: not a compiled gettext catalogue; use the pinned version of the package")
    try:
        count, sources, targets = struct.unpack_from(f"{order}3I", content, 8)
        for number in range(count):
            texts = []
            for table in (sources, targets):
                length, offset = struct.unpack_from(f"{order}2I", content, table + 8 * number)
                if offset + length > len(content):
                    raise struct.error
                texts.append(content[offset : offset + length])
            yield number + 1, texts[0], texts[1]
    except struct.error:
        raise UserError(f"{name}: the catalogue is cut off; use the pinned version of the package") from None
