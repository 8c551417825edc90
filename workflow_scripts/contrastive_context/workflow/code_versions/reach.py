"""Which definitions an entry point can reach, and by which names."""

import functools
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from contrastive_context.core.json_types import JsonDict
from contrastive_context.workflow.code_versions.declared import IGNORED, REGISTRIES
from contrastive_context.workflow.code_versions.definitions import ATTRIBUTE, BESIDE, EVERYTHING, LOADED, STRING
from contrastive_context.workflow.code_versions.files import Files

Node = tuple[str, str]
"""A module and the name of a definition in it. Other names: ``""`` for what loading the module does, ``*`` for all of
it, ``<registry>[<key>]`` for an entry (no key: for those that the settings name), ``/<path>`` for a file beside it. Of
no module: ``.<attribute>``, ``=<string>``, and ``*`` for all code."""

LOADING, WHOLE = "", "*"


class Reached(NamedTuple):
    """What a step's version is made of.

    Attributes:
        hashes: definitions and files → their hash.
        because: node → the node from which it was first reached.
        whole: modules and registries of which everything counts.
    """

    hashes: dict[Node, str]
    because: dict[Node, Node]
    whole: list[Node]

    @property
    def version(self) -> str:
        """16 hexadecimal digits that change with any of the definitions."""
        lines = sorted(f"{module}\0{name}\0{value}" for (module, name), value in self.hashes.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


class Graph:
    """Definitions and what they use, across the files of a folder.

    Args:
        files: the files.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._edges = functools.cache(lambda node: tuple(dict.fromkeys(self._follow(*node))))

    def reach(self, step: str, names: Mapping[str, Collection[str]]) -> Reached:
        """Return what an entry point reaches.

        Args:
            step: the entry point.
            names: registry (dotted) → the names that the step's settings look up in it.
        """
        because: dict[Node, Node] = {}
        waiting: dict[Node, list[Node]] = defaultdict(list)
        todo = [((step, WHOLE), (step, WHOLE))]
        while todo:
            node, user = todo.pop()
            if node not in because:
                because[node] = user
                for condition, other in self._conditions(node, names):
                    waiting[condition].append(other)
                    if condition in because:
                        todo.append((other, node))
                todo += [(other, node) for other in (*self._edges(node), *waiting[node])]
        hashes = {node: digest for node in because if (digest := self._digest(*node))}
        whole = (node for node in because if node[1] == WHOLE or (self._entries(node) and not self._given(node, names)))
        return Reached(hashes, because, [node for node in whole if node != (step, WHOLE)])

    def definition(self, node: Node) -> JsonDict:
        """Return what is known of a definition; an empty mapping for other nodes."""
        module, name = node
        found: JsonDict = self._files.describe(module)["definitions"].get(name, {}) if module else {}
        return found

    def _digest(self, module: str, name: str) -> str | None:
        """Return a node's hash; None if it only leads to others."""
        if name.startswith(BESIDE):
            return self._files.hashes[name.removeprefix(BESIDE)]
        return self._files.state if (module, name) == ("", EVERYTHING) else self.definition((module, name)).get("hash")

    def _follow(self, module: str, name: str) -> Iterator[Node]:
        """Yield what follows from a node whatever the settings say."""
        if not module or name.startswith(BESIDE):
            return
        known = self._files.describe(module)
        own = known["definitions"]
        uses = own.get(name, {}).get("uses", ())
        if name == LOADING:
            uses = known["loads"]
            yield from self._resolve(module.rpartition(".")[0], LOADING)
            yield from ((module, effect) for effect in known["effects"])
        else:
            yield module, LOADING
        if name == WHOLE:
            every = (each for each in own if "[" not in each)
            yield from ((module, f"{each}[]" if "entries" in own[each] else each) for each in every)
        elif name:
            head, *attributes = name.partition("[")[0].split(".")
            for target in known["imports"].get(head, ()):
                yield from self._resolve(target + name[len(head) :])
            if head in own and not ("[" in name and "entries" in own[head]):
                yield module, head
            if head in own and name not in own:
                yield from (("", ATTRIBUTE + attribute) for attribute in attributes)
            elif head not in own and head not in known["imports"]:
                yield module, WHOLE
        for use in uses:
            if use == BESIDE:
                folder = self._files.find(module).rpartition("/")[0]
                paths = (path for path in self._files.hashes if path.startswith(f"{folder}/"))
                yield from ((module, BESIDE + path) for path in paths if not path.endswith(".py"))
            elif use.startswith(LOADED):
                yield from self._resolve(use.removeprefix(LOADED), LOADING)
            elif use.startswith((ATTRIBUTE, STRING, EVERYTHING)):
                yield "", use
            else:
                yield from self._resolve(use)

    def _resolve(self, use: str, part: str | None = None) -> Iterator[Node]:
        """Yield the node that a dotted name stands for, or that part of its module; none if it isn't of this code."""
        dotted, bracket, key = use.partition("[")
        parts = dotted.split(".")
        for size in range(len(parts), 0, -1):
            if self._files.find(module := ".".join(parts[:size])):
                if not any(".".join(parts[:above]) in IGNORED for above in range(1, size + 1)):
                    yield module, part if part is not None else ".".join(parts[size:]) + bracket + key or WHOLE
                return

    # What follows under a condition.

    def _conditions(self, node: Node, names: Mapping[str, Collection[str]]) -> Iterator[tuple[Node, Node]]:
        """Yield what follows once a condition is reached, too: the condition, what follows."""
        module, name = node
        for method in self.definition(node).get("methods", ()):
            for attribute in (method, "*"):
                yield ("", ATTRIBUTE + attribute), (module, f"{name}.{method}")
        entries = self._entries(node)
        given = self._given(node, names) or entries
        for key, found in entries.items():
            for other in found:
                # The code may hand a name of its own to a function, beside those that the settings hold.
                yield (node if not key or key in given else ("", STRING + key)), other

    def _entries(self, node: Node) -> dict[str, list[Node]]:
        """Return the entries of a registry that something is looked up in; key ``""`` for those that have none."""
        module, name = node
        if name.endswith("[]"):
            keys = self.definition((module, name[:-2])).get("entries", ())
            return {key: [(module, f"{name[:-2]}[{key}]")] for key in keys}
        entries: dict[str, list[Node]] = defaultdict(list)
        for member in self.definition(node).get("members", ()):
            nodes = [found for dotted in member for found in self._resolve(dotted)]
            by = REGISTRIES[f"{module}.{name}"][0].rpartition(".")[2]
            for tag in [tag for found in nodes for tag in self.definition(found).get("tags", {}).get(by, ())] or [""]:
                entries[tag] += nodes
        return entries

    def _given(self, node: Node, names: Mapping[str, Collection[str]]) -> set[str]:
        """Return the entries of a registry whose names the settings hold."""
        module, name = node
        return {*names.get(f"{module}.{name.removesuffix('[]')}", ())} & self._entries(node).keys()
