"""Home Assistant's user interface: one JSON file per integration and language.

Origin: the Python package homeassistant of the Home Assistant authors (https://github.com/home-assistant/core),
Apache-2.0; translations by its community. ``homeassistant/components/<integration>/translations/<language>.json`` is a
tree whose leaves are strings; the same path leads to the same string in each language. Of the four languages of the
study German and Lithuanian are nearly complete; Hindi and Tamil exist for a dozen integrations only.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from contrastive_context.config.text import HomeAssistantCatalogue
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.reading import Location, Reading
from contrastive_context.downloads.packages import open_wheel, read_member

_ENGLISH = re.compile(r"homeassistant/components/([^/]+)/translations/en\.json")


def read(
    settings: HomeAssistantCatalogue, language: str, records: Mapping[str, Path], domain: str, reading: Reading
) -> None:
    """Add all pairs of English and a language.

    Raises:
        UserError: the wheel has no translations to the language.
    """
    with open_wheel(records[settings.package]) as wheel:
        names = set(wheel.namelist())
        components = sorted(match[1] for name in names if (match := _ENGLISH.fullmatch(name)))
        path = "homeassistant/components/{}/translations/{}.json".format
        if not any(path(component, language) in names for component in components):
            raise UserError(f"packages.{settings.package}: no translations to {language!r} in it")
        for component in components:
            if path(component, language) not in names:
                reading.skip("no translation", sum(1 for _ in _strings(_tree(wheel, path(component, "en"), reading))))
                continue
            english = dict(_strings(_tree(wheel, path(component, "en"), reading)))
            translated = dict(_strings(_tree(wheel, path(component, language), reading)))
            for key, source in english.items():
                if key in translated:
                    location = Location(path(component, language), key)
                    reading.add(location, source, translated[key], cluster=component, domain=domain)
                else:
                    reading.skip("no translation")


def _tree(wheel: zipfile.ZipFile, name: str, reading: Reading) -> object:
    content = read_member(wheel, name)
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reading.reject(Location(name, str(line)), "file that is not UTF-8", content[error.start :])
    except json.JSONDecodeError as error:
        reading.reject(Location(name, str(error.lineno)), "file that is not JSON", error.msg)
    except RecursionError:
        reading.reject(Location(name, "1"), "file that is not JSON", "nested too deeply")
    return {}


def _strings(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted path, leaf)."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _strings(value, f"{path}.{key}" if path else key)
    else:
        yield path, tree
