"""Which definitions an entry point can reach, and by which names."""

import functools
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatch
from typing import Any, NamedTuple

from contrastive_context.workflow.code_versions.canonical import AS_TYPE, EVERYTHING, LOADED
from contrastive_context.workflow.code_versions.declared import IGNORED
from contrastive_context.workflow.code_versions.files import Files

Node = tuple[str, str]
"""A module and the name of a definition in it. Other names: ``""`` for what loading the module does, ``*`` for all of
it, ``<name> choices`` for what a type allows, ``file <path>`` for a file of the package."""

LOADING, WHOLE, CHOICES, FILE = "", "*", " choices", "file "


class Edges(NamedTuple):
    """What follows from a node.

    Attributes:
        nodes: what is reached whatever the settings say.
        lookups: registries and the key looked up, empty if it is computed.
        mentions: attributes of values whose class isn't known.
        whole: what is undecidable about it.
    """

    nodes: tuple[Node, ...] = ()
    lookups: tuple[tuple[Node, str], ...] = ()
    mentions: tuple[str, ...] = ()
    whole: tuple[tuple[Node, str], ...] = ()


class Reached(NamedTuple):
    """What a step's version is made of.

    Attributes:
        hashes: definitions and files → their hash.
        named: registry → the names that were looked up in it, and those of all its entries if the settings don't tell.
        whole: module or registry of which everything counts → why.
    """

    hashes: dict[Node, str]
    named: dict[Node, list[str]]
    whole: dict[Node, str]

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
        self.edges = functools.cache(self._edges)
        self._resolve = functools.cache(self._resolve_name)
        self._module = functools.cache(self._split)
        self._resolving: set[str] = set()

    def reach(self, step: str, names: Mapping[str, Collection[str]]) -> Reached:
        """Return what an entry point reaches.

        Args:
            step: the entry point.
            names: registry (dotted) → the names that the step's settings look up in it.
        """
        return _Walk(self, names).start(step)

    def definition(self, node: Node) -> dict[str, Any]:
        """Return what is known of a definition; an empty mapping for other nodes."""
        module, name = node
        found: dict[str, Any] = self._files.describe(module)["definitions"].get(name, {})
        return found

    def digest(self, node: Node) -> str | None:
        """Return a node's hash; None if it only leads to others."""
        module, name = node
        if name.startswith(FILE):
            return self._files.hashes[name.removeprefix(FILE)]
        found: str | None
        if name.endswith(CHOICES):
            found = self.definition((module, name.removesuffix(CHOICES)))["choices"]
        else:
            found = self.definition(node).get("hash")
        return found

    def _edges(self, node: Node) -> Edges:
        module, name = node
        known = self._files.describe(module)
        if name == LOADING:
            return self._loading(module, known)
        if name == WHOLE:
            registries = {name for name, found in known["definitions"].items() if _is_registry(found)}
            every = (name for name in known["definitions"] if name.partition("[")[0] not in registries)
            lookups = tuple(((module, name), "") for name in registries)
            return Edges(tuple((module, name) for name in (LOADING, *every)), lookups)
        found = known["definitions"].get(name, {})
        edges = [Edges(((module, LOADING),), (), tuple(found.get("mentions", ())))]
        edges += [self._resolve(use, module) for use in found.get("uses", ())]
        if "files" in found:
            edges.append(Edges(tuple((module, FILE + path) for path in self._matching(module, found["files"]))))
        return _together(edges)

    def _loading(self, module: str, known: Mapping[str, Any]) -> Edges:
        edges = [Edges(tuple((module, effect) for effect in known["effects"]))]
        edges += [self._resolve(LOADED + target, module) for target in known["loads"]]
        edges += [self._resolve(LOADED + star, module) for star in known["stars"]]
        for name, found in known["definitions"].items():
            if any(self._hooks(base) for base in found.get("bases", ())):
                edges.append(Edges(((module, name),)))
        return _together(edges)

    def _hooks(self, base: str) -> bool:
        """Whether a class has a say in the making of its subclasses, which may register them."""
        for node in self._resolve(base, "").nodes:
            found = self.definition(node)
            if found.get("hooks") or any(self._hooks(above) for above in found.get("bases", ())):
                return True
        return False

    def _split(self, dotted: str) -> tuple[str, list[str]]:
        """Return the module that a dotted name begins with, empty if there is none, and the rest of the name."""
        parts = dotted.split(".")
        for size in range(len(parts), 0, -1):
            if self._files.find(module := ".".join(parts[:size])):
                return module, parts[size:]
        return "", parts

    def _resolve_name(self, use: str, user: str) -> Edges:
        """Return what follows from a use (see :class:`Canonical`) in a module."""
        if use == EVERYTHING:
            every = [(module, WHOLE) for module in self._files.modules if not ignored(module)]
            return Edges(tuple(every), (), (), (((user, WHOLE), "loads modules by computed names"),))
        if use.startswith(LOADED):
            return self._loads(self._module(use.removeprefix(LOADED))[0])
        if use.endswith("]"):
            dotted, _, key = use[:-1].partition("[")
            registry = self._registry(dotted)
            if registry:
                return Edges(self._loads(registry[0]).nodes, ((registry, key),))
            return self._resolve(dotted, user)
        as_type, dotted = use.startswith(AS_TYPE), use.removeprefix(AS_TYPE)
        module, rest = self._module(dotted)
        if not module or ignored(module):
            return Edges()
        edges = self._loads(module)
        if not rest:
            return _together([edges, _whole(module, f"{user} uses it as a value")])
        if rest == [WHOLE]:
            return _together([edges, _whole(module, f"{user} uses names in it that it computes")])
        return _together([edges, self._member(module, rest, as_type, user)])

    def _member(self, module: str, rest: list[str], as_type: bool, user: str) -> Edges:
        """Return what follows from a name in a module, and from attributes of what it stands for."""
        known = self._files.describe(module)
        name, *attributes = rest
        edges = [
            self._resolve(".".join((AS_TYPE * as_type + target, *attributes)), user)
            for target in known["imports"].get(name, ())
        ]
        if found := known["definitions"].get(name):
            node = (module, name)
            if as_type and "members" in found:
                edges.append(Edges((), ((node, ""),)))
            else:
                edges.append(Edges((node,), (), (), ((node, "it is used as a whole"),) * _is_registry(found)))
            if "choices" in found and not as_type:
                edges.append(Edges(((module, name + CHOICES),)))
            optional = found.get("optional", {})
            if attributes[:1] == [WHOLE]:
                edges.append(Edges(tuple((module, method) for method in optional.values())))
            elif attributes and attributes[0] in optional:
                edges.append(Edges(((module, optional[attributes[0]]),)))
            else:
                edges.append(Edges((), (), tuple(attributes)))
        if not edges and name not in known["imports"]:
            edges = [self._resolve(".".join((star, *rest)), user) for star in known["stars"]]
        if not edges and name not in known["imports"] and name not in ("__doc__", "__name__"):
            edges = [_whole(module, f"{user} uses {name}, which isn't defined there")]
        return _together(edges)

    def _loads(self, module: str) -> Edges:
        if not module or ignored(module):
            return Edges()
        parts = module.split(".")
        loaded = (".".join(parts[:size]) for size in range(1, len(parts) + 1))
        return Edges(tuple((each, LOADING) for each in loaded if self._files.find(each)))

    def _matching(self, module: str, patterns: Collection[str]) -> list[str]:
        """Return the files that names or patterns stand for, beside a module or in folders there; all if none do."""
        folder = self._files.find(module).rpartition("/")[0]
        files = [path for path in self._files.hashes if path.startswith(f"{folder}/") and not path.endswith(".py")]
        names = [f"{folder}/{pattern}" for pattern in patterns]
        return [
            path for path in files if any(fnmatch(path, name) or fnmatch(path, f"{name}/*") for name in names)
        ] or files

    # Registries.

    def _registry(self, dotted: str) -> Node | None:
        """Return the registry that a dotted name stands for, through imports."""
        module, rest = self._module(dotted)
        if not module or len(rest) != 1:
            return None
        known = self._files.describe(module)
        if _is_registry(known["definitions"].get(rest[0], {})):
            return module, rest[0]
        targets = known["imports"].get(rest[0], [])
        return self._registry(targets[0]) if len(targets) == 1 else None

    def keys(self, registry: Node) -> list[str]:
        """Return the names of a registry's entries."""
        found = self.definition(registry)
        return found["entries"] if "entries" in found else [tag for _, tags in self._members(registry) for tag in tags]

    def entry(self, registry: Node, key: str) -> list[Node]:
        """Return what an entry of a registry consists of."""
        module, name = registry
        if "entries" in self.definition(registry):
            return [(module, f"{name}[{key}]")]
        chosen = [node for nodes, tags in self._members(registry) if key in tags or not tags for node in nodes]
        return [(module, f"{name}[]"), *chosen]

    def _members(self, registry: Node) -> list[tuple[tuple[Node, ...], list[str]]]:
        """Return the classes of a union, each with the tags by which it is chosen."""
        found = self.definition(registry)
        result = []
        for member in found["members"]:
            nodes = self._resolve(AS_TYPE + member, registry[0]).nodes
            tags = [tag for node in nodes for tag in self.definition(node).get("tags", {}).get(found["by"], ())]
            result.append((nodes, tags))
        return result


class _Walk:
    """One entry point's way through the graph.

    Args:
        graph: the graph.
        names: registry (dotted) → the names that the settings look up in it.
    """

    def __init__(self, graph: Graph, names: Mapping[str, Collection[str]]) -> None:
        self._graph = graph
        self._names = names
        self._seen: set[Node] = set()
        self._todo: list[Node] = []
        self._mentioned: set[str] = set()
        self._waiting: dict[str, set[Node]] = defaultdict(set)
        self._constants: set[str] = set()
        self._computed: set[Node] = set()
        self._named: dict[Node, set[str]] = defaultdict(set)
        self._whole: dict[Node, str] = {}

    def start(self, step: str) -> Reached:
        self._reach((step, WHOLE))
        while self._todo:
            while self._todo:
                self._visit(self._todo.pop())
            # What is handed to functions by now may be looked up in them.
            for registry in self._computed:
                self._look_up(registry)
        hashes = {node: digest for node in self._seen if (digest := self._graph.digest(node)) is not None}
        named = {registry: sorted(names) for registry, names in self._named.items()}
        return Reached(hashes, named, self._whole)

    def _reach(self, *nodes: Node) -> None:
        for node in nodes:
            if node not in self._seen:
                self._seen.add(node)
                self._todo.append(node)

    def _visit(self, node: Node) -> None:
        nodes, lookups, mentions, whole = self._graph.edges(node)
        self._reach(*nodes)
        for registry, key in lookups:
            if key:
                self._enter(registry, [key])
            else:
                self._computed.add(registry)
        for name in mentions:
            if name not in self._mentioned:
                self._mentioned.add(name)
                self._reach(*(self._waiting["*"] if name == "*" else self._waiting[name]))
        self._whole.update(whole)
        found = self._graph.definition(node)
        self._constants.update(found.get("constants", ()))
        for name, method in found.get("optional", {}).items():
            if name in self._mentioned or "*" in self._mentioned:
                self._reach((node[0], method))
            for place in (name, "*"):
                self._waiting[place].add((node[0], method))

    def _look_up(self, registry: Node) -> None:
        """Reach the entries whose names the settings hold, or the code hands to a function."""
        known = {*self._graph.keys(registry)}
        given = set(self._names.get(".".join(registry), ())) & known
        if not given:
            self._whole[registry] = "the settings name none of its entries"
            given = known
        self._enter(registry, given | self._constants & known)

    def _enter(self, registry: Node, names: Iterable[str]) -> None:
        for name in names:
            self._named[registry].add(name)
            self._reach(*self._graph.entry(registry, name))


def ignored(module: str) -> bool:
    """Whether a module, or a package that it is in, shapes no artifact."""
    parts = module.split(".")
    return any(".".join(parts[:size]) in IGNORED for size in range(1, len(parts) + 1))


def _is_registry(definition: Mapping[str, Any]) -> bool:
    return "entries" in definition or "members" in definition


def _whole(module: str, reason: str) -> Edges:
    return Edges(((module, WHOLE),), (), (), (((module, WHOLE), reason),))


def _together(edges: Iterable[Edges]) -> Edges:
    nodes, lookups, mentions, whole = (
        {item: None for part in parts for item in part} for parts in zip(*edges, strict=True)
    )
    return Edges(tuple(nodes), tuple(lookups), tuple(mentions), tuple(whole))
