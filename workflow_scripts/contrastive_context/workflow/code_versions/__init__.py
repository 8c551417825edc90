"""A version for code: a hash of the definitions that an entry point can reach.

What counts is what can change a result. A step's version is made of the functions, classes and assignments that its
entry point reaches by name, directly or through others, and of what the modules do that are loaded on the way. It is
blind to comments, docstrings, layout and annotations (but those of a class's fields, which make values), and to what is
only shown to a person: texts of errors and of log calls, descriptions of fields and arguments, labels of progress bars.
Where code is looked up by a name that the settings hold (a kind of corpus, a metric), only the entries named count:
:data:`~contrastive_context.workflow.code_versions.declared.REGISTRIES`. Where it can't be told what is reached, all of
the module counts; ``make why STAGE=finetune`` lists what a version is made of.
"""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.json_types import JsonMapping
from contrastive_context.core.provenance import read_settings
from contrastive_context.workflow.code_versions.declared import REGISTRIES
from contrastive_context.workflow.code_versions.files import Files

if TYPE_CHECKING:
    from contrastive_context.workflow.code_versions.reach import Graph, Reached


class CodeVersions:
    """Versions of entry points.

    Args:
        scripts: the folder that holds the entry points and the package.
        cache: JSON file in which what is known of each source file is kept, by its SHA-256.
    """

    def __init__(self, scripts: Path, cache: Path) -> None:
        self._files = Files(Path(scripts), Path(cache))

    def of(self, step: str, settings: JsonMapping | None = None) -> str:
        """Return the version of ``<step>.py``: 16 hexadecimal digits that change with the code it can reach.

        Args:
            step: the entry point.
            settings: its settings, for what it looks up by a name in them.

        Raises:
            UserError: a source file that it reaches isn't Python.
        """
        names = looked_up(settings or {})
        key = f"{step} {canonical_json(names)}"
        if (version := self._files.version(key)) is None:
            version = self._graph.reach(step, names).version
            self._files.keep(key, version)
        return version

    @functools.cached_property
    def _graph(self) -> "Graph":
        from contrastive_context.workflow.code_versions.reach import Graph  # not needed while nothing changes

        return Graph(self._files)

    def reached(self, step: str, settings: JsonMapping | None = None) -> "Reached":
        """Return what the version of a step is made of; arguments and errors as for :meth:`of`."""
        return self._graph.reach(step, looked_up(settings or {}))

    def line(self, module: str, name: str) -> str:
        """Return where a definition stands, as ``path:line`` from the folder of the entry points."""
        return f"{self._files.find(module)}:{self._graph.definition((module, name)).get('line', 1)}"


def code_of(settings: str, step: str, cache: str | Path) -> str:
    """Return the code version that a step's ``--settings`` name, or the present one where it was called by hand.

    Args:
        settings: the argument, JSON or ``@FILE``.
        step: name of the entry point.
        cache: folder in which the versions of unchanged code may be kept.
    """
    given = read_settings(settings)
    if "code_version" in given:
        return str(given["code_version"])
    return CodeVersions(Path(__file__).parents[3], Path(cache) / "code_versions.json").of(step, given)


def looked_up(settings: JsonMapping) -> dict[str, tuple[str, ...]]:
    """Return registry → the names of its entries that a step's settings hold."""
    found = {
        registry: tuple(sorted({name for path in paths for name in _at(settings, path.split("."))}))
        for registry, paths in REGISTRIES.items()
    }
    return {registry: names for registry, names in found.items() if names}


def _at(value: object, path: list[str]) -> Iterator[str]:
    """Yield the strings at a path of keys, ``*`` for every key or item; those of a list at its end one by one."""
    if not path:
        yield from (item for item in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(item, str))
    elif path[0] == "*":
        items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
        for item in items:
            yield from _at(item, path[1:])
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])
