"""What a source file defines, does when it is imported, and imports."""

import ast
import copy
import hashlib
import itertools
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import TypeGuard, cast

from contrastive_context.core.json_types import JsonDict
from contrastive_context.workflow.code_versions.declared import (
    FILES,
    KNOWN_BASES,
    PACKAGE,
    PLAIN_DECORATORS,
    REGISTRIES,
    UNDECIDABLE,
)
from contrastive_context.workflow.code_versions.stripping import Strip, last

#: What is used beside dotted names: anything; files beside the module; and with a name after it, a module that is only
#: loaded, an attribute of something unknown (``.*``: a computed one), and a string that functions are called with.
EVERYTHING, BESIDE, LOADED, ATTRIBUTE, STRING = "*", "/", "load ", ".", "="
_REFERENCE = re.compile(rf"{PACKAGE}(\.\w+)+(:\w+)?")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_OF_ATTRIBUTES = ("delattr", "getattr", "hasattr", "setattr")


class _Names:
    """What names in a file stand for: what its top imports and defines."""

    def __init__(self, tree: ast.Module, source: str, module: str, is_package: bool, roots: Collection[str]) -> None:
        self.module = module
        self._words = Counter(re.findall(r"\w+", source))
        self.imports: dict[str, set[str]] = {}
        self._package = module.split(".") if is_package else module.split(".")[:-1]
        self._roots = roots
        self._own = {name for statement in tree.body for name in _bound_by(statement)}
        self.add_imports(*(node for node in tree.body if not isinstance(node, _DEFINITIONS)))

    def inside(self, node: ast.AST) -> "_Names":
        """Return what names stand for inside a definition, which may import some itself."""
        inner = copy.copy(self)
        inner.add_imports(node)
        return inner

    def add_imports(self, *nodes: ast.AST) -> None:
        """Add what is imported anywhere in some nodes."""
        found = defaultdict(set, {name: {*targets} for name, targets in self.imports.items()})
        for below in itertools.chain.from_iterable(map(ast.walk, nodes)):
            for name, target in self._imported(below):
                found[name].add(target)
        self.imports = dict(found)

    def _imported(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or name, name
        elif isinstance(node, ast.ImportFrom):
            above = self._package[: len(self._package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, f"{origin}.{alias.name}"

    def loaded(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        """Yield what an import uses."""
        targets = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            targets = [target for _, target in self._imported(node)]
        for target in filter(self.is_own, targets):
            yield EVERYTHING if target.endswith(".*") else LOADED + target

    def is_unused(self, node: ast.Import | ast.ImportFrom) -> bool:
        """Return whether no other line names what an import of another library than Python's own binds."""
        origin = next(self._imported(node))[1].partition(".")[0]
        return origin not in sys.stdlib_module_names and all(self._words[name] < 2 for name, _ in self._imported(node))

    def is_own(self, dotted: str) -> bool:
        """Return whether a dotted name is of the code that is analysed."""
        return dotted.partition(".")[0] in self._roots

    def resolve(self, node: ast.AST) -> list[str]:
        """Return the dotted names that a name, or an attribute of one, may stand for; none for another expression.

        A local value with the name of something at the top is taken for that.
        """
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return []
        own = [f"{self.module}.{node.id}"] if node.id in self._own else []
        return [".".join([target, *attributes]) for target in sorted({*own, *self.imports.get(node.id, ())})]


class _Reader:
    """Collects a text that is the same for the same code, and what the code uses.

    Names stand in the text as what they are imported from. Parts that are absent are left out, so that a later Python
    whose tree has more parts gives the same text.
    """

    names: _Names

    def __init__(self, line: int) -> None:
        self.line = line
        self.text: list[str] = []
        self.uses: set[str] = set()

    def read(self, node: ast.AST) -> None:
        """Add a node of a syntax tree and what is below it."""
        if isinstance(node, (ast.Name, ast.Attribute)) and (targets := self.names.resolve(node)):
            self._use(targets)
        elif not self._looks_up(node):
            self._note(node)
            self.text.append(type(node).__name__)
            for field, value in ast.iter_fields(node):
                if value is None or value == [] or field in ("ctx", "kind"):
                    continue
                self.text.append(field)
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, ast.AST):
                        self.read(part)
                    else:
                        self.text.append(repr(part))
            self.text.append(";")

    def _use(self, targets: Iterable[str]) -> None:
        self.text += targets
        for target in targets:
            if self.names.is_own(target):
                self.uses.add(target)
            if target in UNDECIDABLE or target.endswith(".__subclasses__"):
                self.uses.add(EVERYTHING)
            if target in FILES:
                self.uses.add(BESIDE)

    def _looks_up(self, node: ast.AST) -> bool:
        """Add a look-up in a registry; return False if it is something else."""
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            registry, key = node.value, node.slice
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)) and len(node.ops) == 1:
            registry, key = node.comparators[0], node.left
        else:
            return False
        found = [target for target in self.names.resolve(registry) if target in REGISTRIES]
        if found:
            self.uses |= {f"{target}[{string(key) or ''}]" for target in found}
            self.text += [*map(ast.dump, getattr(node, "ops", ())), *found]
            self.read(key)
        return bool(found)

    def _note(self, node: ast.AST) -> None:
        """Note what a node uses by itself."""
        if not UNDECIDABLE.isdisjoint(getattr(node, field, None) for field in ("id", "name", "arg")):
            self.uses.add(EVERYTHING)
        elif isinstance(node, ast.Attribute):
            self.uses.add(EVERYTHING if node.attr == "__subclasses__" else ATTRIBUTE + node.attr)
        elif isinstance(node, ast.Name) and node.id == "__file__":
            self.uses.add(BESIDE)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self.uses.update(self.names.loaded(node))
        elif isinstance(node, ast.arguments):
            self._note_strings([*node.defaults, *node.kw_defaults])
        elif isinstance(node, ast.Call):
            self._note_call(node)
        elif (text := string(node)) and _REFERENCE.fullmatch(text):
            self.uses.add(text.replace(":", "."))

    def _note_call(self, node: ast.Call) -> None:
        if any(map(self.names.is_own, self.names.resolve(node.func))):
            self._note_strings([*node.args, *(keyword.value for keyword in node.keywords)])
        elif last(node.func) in _OF_ATTRIBUTES and len(node.args) > 1:
            owners = self.names.resolve(node.args[0])
            if not owners or any(map(self.names.is_own, owners)):
                self.uses.add(ATTRIBUTE + (string(node.args[1]) or "*"))

    def _note_strings(self, nodes: Iterable[ast.AST | None]) -> None:
        self.uses |= {STRING + text for text in map(string, nodes) if text is not None}


class _Module:
    """Collects the definitions of a file by name."""

    def __init__(self, names: _Names) -> None:
        self.effects: list[str] = []
        self.loads: set[str] = set()
        self.more: dict[str, JsonDict] = defaultdict(dict)
        self._names = names
        self._readers: dict[str, _Reader] = {}

    def definitions(self) -> dict[str, JsonDict]:
        """Return name → line, hash, uses, and what registries and classes have beside."""
        return {
            name: {
                "line": reader.line,
                "hash": hashlib.sha256("\0".join(reader.text).encode()).hexdigest()[:16],
                "uses": sorted(reader.uses),
                **self.more[name],
            }
            for name, reader in self._readers.items()
        }

    def add(self, statement: ast.stmt) -> None:
        """Add a statement at the top of the file."""
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            loaded = set(self._names.loaded(statement))
            self.loads |= loaded
            if not loaded and self._names.is_unused(statement):  # it is there for its effects
                self._add_effect(statement)
        elif isinstance(statement, _DEFINITIONS):
            # A decorator may register what it decorates, for others to find.
            hooks = "__init_subclass__" in map(_name_of, statement.body)
            if hooks or not all(last(decorator) in PLAIN_DECORATORS for decorator in statement.decorator_list):
                self.effects.append(statement.name)
            if isinstance(statement, ast.ClassDef):
                self._take_out_class_methods(statement)
            self._read(statement.name, statement)
        elif (names := _targets(statement)) and names != ["_"]:
            value = cast("ast.Assign | ast.AugAssign", statement).value
            for name in names:
                if f"{self._names.module}.{name}" not in REGISTRIES or not self._add_registry(name, value):
                    self._read(name, statement)
        else:
            self._add_effect(statement)

    def _add_effect(self, statement: ast.stmt) -> None:
        self.effects.append(f"statement {len(self.effects) + 1}")
        for name in (self.effects[-1], *_bound_by(statement)):
            self._read(name, statement)

    def _read(self, name: str, node: ast.AST) -> None:
        reader = self._readers.setdefault(name, _Reader(getattr(node, "lineno", 1)))
        reader.names = self._names.inside(node)
        reader.read(node)

    def _take_out_class_methods(self, node: ast.ClassDef) -> None:
        """Make definitions of their own of what counts only where it is named."""
        bases = {target for base in node.bases for part in ast.walk(base) for target in self._names.resolve(part)}
        if all(self._names.is_own(base) or base.startswith(KNOWN_BASES) for base in bases):
            for method in filter(_is_class_method, [*node.body]):
                node.body.remove(method)
                self.more[node.name].setdefault("methods", []).append(method.name)
                self._read(f"{node.name}.{method.name}", method)

    def _add_registry(self, name: str, value: ast.expr) -> bool:
        """Add a registry by its entries; return False if they can't be told."""
        if isinstance(value, ast.Dict) and None not in (keys := [string(key) for key in value.keys]):
            self.more[name]["entries"] = keys
            for key, entry in zip(keys, value.values, strict=True):
                self._read(f"{name}[{key}]", entry)
            self._read(name, value)
        elif (
            isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Tuple) and last(value.value) == "Annotated"
        ):
            union, *others = value.slice.elts
            self.more[name]["members"] = [self._names.resolve(part) for part in _alternatives(union)]
            for other in others:
                self._read(name, other)
        return name in self.more


def describe(source: str, module: str, is_package: bool, roots: Collection[str]) -> JsonDict:
    """Return what a source file defines, as values that JSON can hold.

    Args:
        source: its text.
        module: its dotted name.
        is_package: whether it is a package's ``__init__.py``.
        roots: names of the top modules and packages of the code that is analysed.

    Returns:
        - ``definitions``: name → line, hash, what it uses; of classes also ``methods``, class methods that count where
          they are named, and ``tags`` (field → the strings that it allows); of registries ``entries`` or ``members``.
        - ``effects``: definitions that count for whoever loads the module.
        - ``imports``: name → dotted names of this code.
        - ``loads``: what its imports use.
    """
    tree = ast.parse(source)
    tags = {node.name: {"tags": dict(_tags(node))} for node in tree.body if isinstance(node, ast.ClassDef)}
    tree = Strip().visit(tree)
    names = _Names(tree, source, module, is_package, roots)
    content = _Module(names)
    for statement in tree.body:
        content.add(statement)
    imports = {name: sorted(filter(names.is_own, targets)) for name, targets in names.imports.items()}
    return {
        "definitions": {name: known | tags.get(name, {}) for name, known in content.definitions().items()},
        "effects": content.effects,
        "imports": {name: targets for name, targets in imports.items() if targets},
        "loads": sorted(content.loads),
    }


def string(node: ast.AST | None) -> str | None:
    """Return the value of a string that is written out."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _bound_by(statement: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a file may bind, imports aside."""
    if isinstance(statement, _DEFINITIONS):
        return [statement.name]
    if targets := _targets(statement):
        return targets
    nodes = [*ast.walk(statement)]
    stored = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return [*stored, *(node.name for node in nodes if isinstance(node, _DEFINITIONS))]


def _name_of(node: ast.AST) -> str:
    return str(getattr(node, "name", ""))


def _targets(statement: ast.stmt) -> list[str]:
    """Return the names that an assignment binds; none if it changes something else."""
    if not isinstance(statement, (ast.Assign, ast.AugAssign)):
        return []
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    parts = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) else []


def _is_class_method(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    if not isinstance(node, ast.FunctionDef) or node.name.endswith("_"):
        return False
    return [last(decorator) for decorator in node.decorator_list] in (["classmethod"], ["staticmethod"])


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """Return what ``A | B | …`` is made of."""
    return [*_alternatives(node.left), node.right] if isinstance(node, ast.BinOp) else [node]


def _tags(node: ast.ClassDef) -> Iterator[tuple[str, list[str]]]:
    """Yield the fields of a class that take given strings only, and the strings."""
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and last(getattr(part.annotation, "value", part)) == "Literal":
            yield last(part.target), [text for text in map(string, ast.walk(part.annotation)) if text is not None]
