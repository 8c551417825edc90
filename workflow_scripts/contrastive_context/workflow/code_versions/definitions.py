"""What a source file defines, does when it is imported, and imports."""

import ast
import builtins
import hashlib
import re
import sys
from collections.abc import Collection, Iterator
from typing import Any

from contrastive_context.workflow.code_versions.canonical import Canonical, bound_by, same_scope, string
from contrastive_context.workflow.code_versions.declared import PACKAGE, REGISTRIES

MAIN = "__main__"
"""Name under which a file's code for being run, rather than imported, is kept."""
_WORD = re.compile(r"[A-Za-z_]\w*")
_MODULE_ATTRIBUTES = {"__annotations__", "__doc__", "__file__", "__name__", "__package__", "__path__", "__spec__"}
#: Bases beside this code's own that call no class methods by a name that isn't ``_marked_``.
_KNOWN_BASES = ("abc.", "builtins.", "collections.abc.", "enum.", "pydantic.", "typing.")


class _Names:
    """The names that a file binds at its top; the ``Names`` of :mod:`canonical`."""

    def __init__(self, tree: ast.Module, module: str, is_package: bool, roots: Collection[str]) -> None:
        self.module = module
        self.bound: dict[str, set[str]] = {}
        self.loads: list[str] = []
        self.stars: list[str] = []
        self._package = module.split(".") if is_package else module.split(".")[:-1]
        self._roots = roots
        self._loggers: set[str] = set()
        for node in same_scope(_statements(tree.body)):
            self._bind(node)

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name, target in self.imported(node).items():
                self.bound.setdefault(name, set()).add(target)
            self.loads += self.loaded(node)
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                self.stars.append(self._origin(node))
        elif own := bound_by(node):
            self.bound.setdefault(own, set()).add(f"{self.module}.{own}")
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("logging.getLogger("):
            self._loggers |= {target.id for target in node.targets if isinstance(target, ast.Name)}

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        above = self._package[: len(self._package) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])

    def imported(self, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
        if isinstance(node, ast.Import):
            return {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
                for alias in node.names
            }
        origin = self._origin(node)
        return {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names if alias.name != "*"}

    def loaded(self, node: ast.Import | ast.ImportFrom) -> list[str]:
        """Return the modules of this code that an import loads; what is no module is taken for a name in one."""
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [f"{self._origin(node)}.{name}" for name in names]
        return [name.removesuffix(".*") for name in names if self.is_own(name)]

    def resolve(self, name: str) -> tuple[str, ...]:
        if name in self.bound:
            return tuple(sorted(self.bound[name]))
        builtin = hasattr(builtins, name) or name in _MODULE_ATTRIBUTES
        stars = tuple(f"{star}.{name}" for star in self.stars)
        # A name that is bound nowhere: by exec, or by another module.
        return (f"builtins.{name}", *stars) if builtin else stars or (f"{self.module}.{name}",)

    def is_own(self, dotted: str) -> bool:
        return dotted.split(".", 1)[0] in self._roots

    def is_logger(self, dotted: str) -> bool:
        module, _, name = dotted.rpartition(".")
        if module == self.module:
            return name in self._loggers
        return dotted == "logging" or (dotted.startswith(f"{PACKAGE}.") and name == "log")


class _Module:
    """Collects the definitions of a file by name."""

    def __init__(self, tree: ast.Module, names: _Names) -> None:
        self._names = names
        self._writers: dict[str, tuple[int, Canonical]] = {}
        self._more: dict[str, dict[str, Any]] = {}
        self._used = set(_words(tree))
        self.effects: list[str] = []
        for statement in _statements(tree.body):
            self._add(statement)

    def definitions(self) -> dict[str, dict[str, Any]]:
        """Return name → line, hash and, where there are some, uses and the like."""
        result = {}
        for name, (line, writer) in self._writers.items():
            entry: dict[str, Any] = {"line": line, "hash": _hash(writer.text)}
            for key in ("uses", "mentions", "constants"):
                if found := getattr(writer, key):
                    entry[key] = sorted(found)
            if writer.files is not None:
                entry["files"] = sorted(writer.files)
            result[name] = entry | self._more.get(name, {})
        return result

    def _add(self, statement: ast.stmt) -> None:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self._write(statement.name, statement)
        elif isinstance(statement, ast.ClassDef):
            self._add_class(statement)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and (names := _targets(statement)):
            for name in names:
                writer = self._write(name, statement)
                if writer.choices:
                    self._more[name] = {"choices": _hash(writer.choices)}
                self._add_registry(name, statement.value)
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'":
            self._write(MAIN, statement)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            unused = self._names.imported(statement).keys() - self._used
            # An import that nothing uses is there for its effects; those of own modules are followed anyway.
            if unused and not self._names.loaded(statement) and not _of_python(statement):
                self._add_effect(statement)
        else:
            self._add_effect(statement)

    def _write(self, name: str, node: ast.AST) -> Canonical:
        _, writer = self._writers.setdefault(name, (getattr(node, "lineno", 0), Canonical(self._names)))
        writer.visit(node)
        decorators = getattr(node, "decorator_list", [])
        # A decorator may register what it decorates, for others to find.
        if any(not writer.is_plain(node) and not _is_data_class(writer.dotted(_called(node))) for node in decorators):
            self.effects.append(name)
        return writer

    def _add_effect(self, statement: ast.stmt) -> None:
        name = f"statement {len(self.effects) + 1}"
        writer = self._write(name, statement)
        if not writer.text:
            del self._writers[name]
            return
        self.effects.append(name)
        for node in same_scope([statement]):
            if bound := bound_by(node):
                self._writers.setdefault(bound, (statement.lineno, Canonical(self._names)))[1].visit(statement)

    def _add_class(self, node: ast.ClassDef) -> None:
        writer = Canonical(self._names)
        self._writers.setdefault(node.name, (node.lineno, writer))
        writer = self._writers[node.name][1]
        bases = [name for base in node.bases for name in writer.dotted(base) or ("unknown.",)]
        optional = {}
        if all(self._names.is_own(base) or base.startswith(_KNOWN_BASES) for base in bases):
            methods = (part for part in node.body if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)))
            for method in methods:
                kinds = [ast.unparse(decorator) for decorator in method.decorator_list]
                if kinds in (["classmethod"], ["staticmethod"]) and not method.name.endswith("_"):
                    optional[method.name] = f"{node.name}.{method.name}"
                    self._write(optional[method.name], method)
                    writer.omitted.add(method)
        self._write(node.name, node)
        more: dict[str, Any] = {
            "optional": optional,
            "bases": [base for base in bases if self._names.is_own(base)],
            "tags": dict(_tags(node)),
            "hooks": any(getattr(part, "name", "") == "__init_subclass__" for part in node.body)
            or any(keyword.arg == "metaclass" for keyword in node.keywords),
        }
        self._more[node.name] = {key: value for key, value in more.items() if value}

    def _add_registry(self, name: str, value: ast.expr | None) -> None:
        if f"{self._names.module}.{name}" not in REGISTRIES or value is None:
            return
        if isinstance(value, ast.Dict):
            keys = [string(key) for key in value.keys]
            if None not in keys:
                for key, entry in zip(keys, value.values, strict=True):
                    self._write(f"{name}[{key}]", entry)
                self._more[name] = {"entries": keys}
        elif members := _union(value):
            writer = Canonical(self._names)
            found = [writer.dotted(member) for member in members]
            discriminators = [
                keyword.value.value
                for call in ast.walk(value)
                if isinstance(call, ast.Call)
                for keyword in call.keywords
                if keyword.arg == "discriminator" and isinstance(keyword.value, ast.Constant)
            ]
            if discriminators and all(len(names) == 1 for names in found):
                for part in _beside_union(value):
                    self._write(f"{name}[]", part)
                self._more[name] = {"members": [names[0] for names in found], "by": discriminators[0]}


def describe(source: str, module: str, is_package: bool, roots: Collection[str]) -> dict[str, Any]:
    """Return what a source file defines, as values that JSON can hold.

    Args:
        source: its text.
        module: its dotted name.
        is_package: whether it is a package's ``__init__.py``.
        roots: names of the top modules and packages of the code that is analysed.

    Returns:
        - ``definitions``: name → line, hash, and what :class:`Canonical` found. For classes also ``optional`` (class
          methods, which count where they are named), ``bases``, ``tags`` (field → its ``Literal``) and ``hooks`` (it
          has a say in the making of subclasses); for types ``choices``, the hash of the strings that they allow; for
          registries ``entries``, or ``members`` and the field ``by`` which they are told apart.
        - ``effects``: definitions that count for whoever loads the module.
        - ``imports``: name → dotted names of this code.
        - ``loads``, ``stars``: modules that it imports, and those that it imports everything from.
    """
    tree = ast.parse(source)
    names = _Names(tree, module, is_package, roots)
    content = _Module(tree, names)
    imports = {
        name: sorted(target for target in found if names.is_own(target) and target != f"{module}.{name}")
        for name, found in names.bound.items()
        if found != {f"{module}.{name}"}
    }
    return {
        "definitions": content.definitions(),
        "effects": content.effects,
        "imports": imports,
        "loads": sorted(set(names.loads)),
        "stars": names.stars,
    }


def _hash(pieces: list[str]) -> str:
    return hashlib.sha256("\0".join(pieces).encode()).hexdigest()[:16]


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements at the top of a file; those for type checkers alone are left out."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _statements(statement.orelse)
        else:
            yield statement


def _of_python(statement: ast.Import | ast.ImportFrom) -> bool:
    modules = (
        [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else [statement.module or ""]
    )
    return all(module.partition(".")[0] in sys.stdlib_module_names for module in modules)


def _words(tree: ast.AST) -> Iterator[str]:
    """Yield the names that stand somewhere in a file, in annotations that are strings too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        else:
            yield from _WORD.findall(string(node) or "")


def _targets(statement: ast.Assign | ast.AnnAssign | ast.AugAssign) -> list[str]:
    """Return the names that an assignment binds; none if it changes something else, or binds ``_`` only."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    found: list[str] = []
    for target in targets:
        for part in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
            if not isinstance(part, ast.Name) or part.id == "_":
                return []
            found.append(part.id)
    return found


def _union(node: ast.expr) -> list[ast.expr]:
    """Return the members of ``Annotated[A | B, …]`` or ``A | B``; none if it is something else."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Annotated"):
        return _union(node.slice.elts[0]) if isinstance(node.slice, ast.Tuple) else []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*(_union(node.left) or [node.left]), *(_union(node.right) or [node.right])]
    return []


def _beside_union(node: ast.expr) -> list[ast.expr]:
    """Return what ``Annotated`` says beside the type."""
    return node.slice.elts[1:] if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) else []


def _tags(node: ast.ClassDef) -> Iterator[tuple[str, list[str]]]:
    """Yield the fields of a class that take given strings only, and the strings."""
    for part in node.body:
        if not (isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)):
            continue
        annotation = part.annotation
        if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Literal"):
            items = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
            yield part.target.id, [str(item.value) for item in items if isinstance(item, ast.Constant)]


def _called(decorator: ast.expr) -> ast.expr:
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def _is_data_class(names: tuple[str, ...]) -> bool:
    return bool(names) and all(name.startswith(("dataclasses.", "pydantic.", "numpy.", "torch.")) for name in names)
