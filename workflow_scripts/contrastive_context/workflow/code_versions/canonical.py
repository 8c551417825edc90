"""The canonical text of a definition, which is hashed, and the names that it uses.

The text is made from the syntax tree, without comments, docstrings, layout, annotations and what is only shown to a
person. Names stand in it as what they are imported from. Parts that are empty or absent are left out, so that a later
Python whose tree has more parts gives the same text (``ast.dump`` would not).
"""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from contrastive_context.workflow.code_versions.declared import (
    MESSAGES,
    PACKAGE,
    SHOWN,
    SHOWN_BY_METHODS,
)

_NO_PART = {"ctx", "kind", "type_comment", "type_ignores", "type_params"}
_LEVELS = {"critical", "debug", "error", "exception", "info", "log", "warning"}
_LITERAL = {"typing.Literal", "typing_extensions.Literal"}
#: Built-in functions without side effects, as far as the making of a message is concerned.
_PURE = {
    f"builtins.{name}"
    for name in [
        "abs",
        "all",
        "any",
        "bool",
        "dict",
        "enumerate",
        "filter",
        "float",
        "format",
        "int",
        "isinstance",
        "len",
        "list",
        "map",
        "max",
        "min",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "type",
        "zip",
    ]
}
_OF_ATTRIBUTES = {f"builtins.{name}" for name in ("delattr", "getattr", "hasattr", "setattr")}
_ANY_ATTRIBUTE = {*_OF_ATTRIBUTES, "operator.attrgetter", "operator.methodcaller"}
_ANY_GLOBAL = {"builtins.eval", "builtins.exec", "builtins.globals", "sys.modules"}
_ANY_MODULE = {"builtins.__import__", "importlib.import_module", "runpy.run_module", "runpy.run_path"}
_FILES = {"builtins.__file__", "importlib.resources.files", "jinja2.PackageLoader", "pkgutil.get_data"}
#: Decorators that neither look at annotations nor register anything.
_PLAIN_DECORATORS = re.compile(
    r"(builtins|abc|contextlib|functools\.(?!singledispatch)\w+|typing)(\.|$)|numpy\.errstate$"
)
_MODULE_NAME = re.compile(rf"{PACKAGE}(\.\w+)+(:\w+(\.\w+)*)?")
_FILE_NAME = re.compile(r"[\w*-][\w.*-]*(/[\w.*-]+)*")

#: Prefixes and suffixes of uses; without one, a use is a dotted name.
AS_TYPE = "type:"
LOADED = "load:"
EVERYTHING = "*"


class Names(Protocol):
    """The names that a source file binds at its top."""

    module: str
    bound: dict[str, set[str]]

    def resolve(self, name: str) -> tuple[str, ...]:
        """Return the dotted names that a name may stand for."""

    def imported(self, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
        """Return name → dotted name of what an import binds."""

    def is_own(self, dotted: str) -> bool:
        """Return whether a dotted name is of the code that is analysed."""

    def is_logger(self, dotted: str) -> bool:
        """Return whether a dotted name is a logger."""


class Canonical(ast.NodeVisitor):
    """Collects the text and the uses of the nodes that it visits.

    Attributes:
        text: the pieces of the canonical text.
        uses: names of this code, as ``package.module.name``; with a suffix ``[key]`` or ``[]`` looked up in it, with
            ``.*`` all of it; with the prefix ``type:`` as an annotation, with ``load:`` imported only. ``*``: anything.
        mentions: attributes of values whose class isn't known; ``*`` for computed ones.
        constants: strings handed to functions of this code, which may be names of registries' entries.
        choices: the strings of ``Literal``s in annotations and at the top of a file: they say what is allowed, which
            changes nothing for what is allowed before and after, and are no part of the text.
        files: names of files beside the module, with ``*`` for computed parts; None if none are read.
    """

    def __init__(self, names: Names) -> None:
        self.text: list[str] = []
        self.uses: set[str] = set()
        self.mentions: set[str] = set()
        self.constants: set[str] = set()
        self.choices: list[str] = []
        self.omitted: set[ast.AST] = set()
        self._names = names
        self._scopes: list[tuple[ast.AST, dict[str, set[str]]]] = []
        self._prefix = ""
        self._silent = False
        self._strings: set[str] = set()
        self._reads_files = False

    @property
    def files(self) -> set[str] | None:
        """Names of files beside the module, if it reads any."""
        return self._strings if self._reads_files else None

    # Names.

    def _lookup(self, name: str) -> tuple[str, ...]:
        """Return the dotted names that a name may stand for; none if it is a local value."""
        for depth, (scope, bound) in enumerate(reversed(self._scopes)):
            in_class = isinstance(scope, ast.ClassDef)
            if name in bound and (depth == 0 or not in_class):
                own = tuple(sorted(bound[name]))
                # What a class's body binds may stand for a global before that.
                return own + self._names.resolve(name) if in_class and name in self._names.bound else own
        # What only type checkers import makes no values.
        return () if self._prefix and name not in self._names.bound else self._names.resolve(name)

    def dotted(self, node: ast.AST) -> tuple[str, ...]:
        """Return the dotted names that an expression may stand for; none if it isn't a name, or is a local value."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ()
        return tuple(".".join((target, *reversed(attributes))) for target in self._lookup(node.id))

    def _own(self, node: ast.AST) -> list[str]:
        return [dotted for dotted in self.dotted(node) if self._names.is_own(dotted)]

    def _use(self, targets: Iterable[str]) -> None:
        for target in targets:
            if self._names.is_own(target):
                self.uses.add(self._prefix + target)
            elif target in _ANY_GLOBAL:
                self.uses.add(f"{self._names.module}.*")
            elif target in _ANY_MODULE:
                self.uses.add(EVERYTHING)
            elif target in _ANY_ATTRIBUTE:
                self.mentions.add("*")
            elif target in _FILES:
                self._reads_files = True

    def visit_Name(self, node: ast.Name) -> None:
        stored = not isinstance(node.ctx, ast.Load)
        targets = () if stored and self._scopes else self.dotted(node)
        self._use(() if stored else targets)
        self.text.append("|".join(targets) or f"${node.id}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if targets := self.dotted(node):
            self._use(targets)
            self.text.append("|".join(targets))
        else:
            self.visit(node.value)
            self.text.append(f".{node.attr}")
            self.mentions.add(node.attr)

    # Looking up by name.

    def _looks_up(self, registry: ast.AST, key: ast.AST | None) -> bool:
        """Write a mapping of this code in which something is looked up; False if it is something else."""
        if self._prefix or not (own := self._own(registry)):
            return False
        self.uses |= {f"{dotted}[{string(key) or ''}]" for dotted in own}
        self.text.append("|".join(own))
        return True

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _LITERAL.intersection(self.dotted(node.value)):
            self.text.append("Literal")
            for item in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
                allowed = string(item)
                if allowed is not None and (self._prefix or not self._scopes):
                    self.choices.append(allowed)
                else:
                    self._annotation(item)
            return
        self.text.append("[")
        if not (isinstance(node.ctx, ast.Load) and self._looks_up(node.value, node.slice)):
            self.visit(node.value)
        self.visit(node.slice)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            self.text.append(type(node.ops[0]).__name__)
            self.visit(node.left)
            if not self._looks_up(node.comparators[0], node.left):
                self.visit(node.comparators[0])
        else:
            self.generic_visit(node)

    # Calls.

    def visit_Call(self, node: ast.Call) -> None:
        name = next(iter(self.dotted(node.func)), "")
        before, self._prefix = self._prefix, ""
        self.text.append("(")
        if name == "typing.cast" and len(node.args) == 2:
            self.text.pop()
            self.visit(node.args[1])
        elif name in _OF_ATTRIBUTES and len(node.args) > 1:
            self._attribute_by_name(name, node)
        elif name in _ANY_MODULE and node.args:
            self._module_by_name(name, node)
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "get" and self._own(node.func.value):
            self._looks_up(node.func.value, node.args[0] if node.args else None)
            self.mentions.add("get")
            self._arguments(node, ())
        else:
            method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            self.visit(node.func)
            self._arguments(node, SHOWN.get(name) or SHOWN_BY_METHODS.get(method, ()))
        self._prefix = before

    def _arguments(self, node: ast.Call, shown: Iterable[str]) -> None:
        to_own = bool(self._own(node.func))
        for value in node.args:
            self.visit(value)
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg in shown:
                self._message(keyword.value)
            else:
                self.visit(keyword)
        if to_own:
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            self.constants |= set(_strings(values))

    def _attribute_by_name(self, function: str, node: ast.Call) -> None:
        value, name, *others = node.args
        constant = string(name) or "*"
        self.text.append(function)
        if own := self._own(value):
            self.uses |= {f"{dotted}.{constant}" for dotted in own}
            self.text.append("|".join(own))
        else:
            self.mentions |= set() if self.dotted(value) else {constant}
            self.visit(value)
        for other in (name, *others):
            self.visit(other)

    def _module_by_name(self, function: str, node: ast.Call) -> None:
        name = node.args[0]
        self.text.append(function)
        if not _MODULE_NAME.fullmatch(string(name) or ""):
            self.uses.add(EVERYTHING)
        self._write(node.args, node.keywords)

    # Texts.

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, str):
            self.text.append(repr(node.value))
        elif self._prefix and (expression := _expression(node.value)):
            self.visit(expression)
        elif not self._silent:
            self.text.append(repr(node.value))
            self._note_string(node.value)

    def _note_string(self, value: str) -> None:
        if _MODULE_NAME.fullmatch(value):
            module, _, name = value.partition(":")
            self.uses.add(f"{module}.{name or '*'}")
        if _FILE_NAME.fullmatch(value) and value.strip("*"):
            self._strings.add(value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.text.append("f")
        pieces = [string(part) for part in node.values]
        for constant, parts in itertools.groupby(
            zip(pieces, node.values, strict=True), lambda part: part[0] is not None
        ):
            if constant:
                self._write_string("".join(text or "" for text, _ in parts))
            else:
                self._write(*(part for _, part in parts))
        self._note_string("".join("*" if text is None else text for text in pieces))

    def _write_string(self, text: str) -> None:
        if text and not self._silent:
            self.text.append(repr(text))

    def visit_Raise(self, node: ast.Raise) -> None:
        self.text.append("raise")
        error = node.exc
        if isinstance(error, ast.Call) and self._is_message(error.func):
            self.visit(error.func)
            for value in error.args:
                (self._message if _is_text(value) else self.visit)(value)
            for keyword in error.keywords:
                self.visit(keyword)
        elif error is not None:
            self.visit(error)
        if node.cause is not None:
            self.visit(node.cause)

    def _is_message(self, function: ast.AST) -> bool:
        names = self.dotted(function)
        return bool(names) and all(name in MESSAGES or not self._names.is_own(name) for name in names)

    def visit_Assert(self, node: ast.Assert) -> None:
        self.text.append("assert")
        self.visit(node.test)
        if node.msg is not None:
            self._message(node.msg)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        if isinstance(node.value, ast.Call) and self._logs(node.value.func):
            for value in (*node.value.args, *node.value.keywords):
                self._message(value)
        else:
            self.generic_visit(node)

    def _logs(self, function: ast.AST) -> bool:
        for name in self.dotted(function):
            logger, _, method = name.rpartition(".")
            if name == "warnings.warn" or (method in _LEVELS and self._names.is_logger(logger)):
                return True
        return False

    def _message(self, node: ast.AST) -> None:
        """Write of what makes a message only the calls that might do something else as well."""
        if isinstance(node, ast.Call) and not self._only_words(node.func):
            before, self._silent = self._silent, True
            self.visit(node)
            self._silent = before
        elif isinstance(node, (ast.Await, ast.NamedExpr, ast.Yield, ast.YieldFrom)):
            self.visit(node)
        else:
            for child in ast.iter_child_nodes(node):
                self._message(child)

    def _only_words(self, function: ast.AST) -> bool:
        if isinstance(function, ast.Attribute) and _is_text(function.value):
            return True
        return any(name in _PURE for name in self.dotted(function))

    # Statements.

    def visit_Pass(self, _: ast.Pass) -> None:
        pass

    def visit_If(self, node: ast.If) -> None:
        if "typing.TYPE_CHECKING" in self.dotted(node.test):
            self._write(node.orelse)
        else:
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.text.append("=")
        self._write(node.targets)
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self._scopes and isinstance(self._scopes[-1][0], ast.ClassDef):
            # Of a model, data class or named tuple it makes values.
            self.text.append(":")
            self.visit(node.target)
            self._annotation(node.annotation)
            self._write(node.value)
        elif node.value is not None:
            self.text.append("=")
            self._write([node.target])
            self.visit(node.value)

    def _annotation(self, node: ast.AST | None) -> None:
        if node is not None:
            before, self._prefix = self._prefix, AS_TYPE
            self.visit(node)
            self._prefix = before

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, target in self._names.imported(node).items():
            if self._names.is_own(target):
                self.uses.add(LOADED + target)
            elif not self._scopes or name not in _names_in(self._scopes[-1][0]):  # for its effects
                self.text.append(f"import {target}")

    visit_ImportFrom = visit_Import

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.text.append(f"class {node.name}")
        self._write(node.decorator_list, node.bases, node.keywords)
        self._inside(node, [statement for statement in node.body if statement not in self.omitted])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.text.append(f"{type(node).__name__} {node.name}")
        self._write(node.decorator_list)
        annotated = not all(self.is_plain(decorator) for decorator in node.decorator_list)
        self._parameters(node, annotated)
        if annotated:
            self._annotation(node.returns)
        self._inside(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def is_plain(self, decorator: ast.AST) -> bool:
        """Return whether a decorator neither looks at annotations nor registers anything."""
        names = self.dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
        return bool(names) and all(_PLAIN_DECORATORS.match(name) for name in names)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.text.append("lambda")
        self._parameters(node, annotated=False)
        self._inside(node, [node.body])

    def _parameters(self, node: Any, annotated: bool) -> None:
        arguments = node.args
        shown = SHOWN.get(f"{self._names.module}.{getattr(node, 'name', '')}", ())
        for kind, parameters in (
            ("/", arguments.posonlyargs),
            (",", arguments.args),
            ("*", [arguments.vararg] if arguments.vararg else []),
            ("k", arguments.kwonlyargs),
            ("**", [arguments.kwarg] if arguments.kwarg else []),
        ):
            for parameter in parameters:
                self.text.append(kind + parameter.arg)
                if annotated:
                    self._annotation(parameter.annotation)
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults = [*zip(positional[::-1], arguments.defaults[::-1], strict=False)][::-1]
        for parameter, default in (*defaults, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)):
            if default is not None:
                self.text.append(f"{parameter.arg}=")
                (self._message if parameter.arg in shown else self.visit)(default)
                self.constants |= set(_strings([default]))

    def _inside(self, node: Any, body: Iterable[ast.AST]) -> None:
        self._scopes.append((node, _bound_in(node, self._names)))
        self.text.append("{")
        self._write(body)
        self.text.append("}")
        self._scopes.pop()

    def _comprehension(self, node: Any) -> None:
        first, *others = node.generators
        self.text.append(type(node).__name__)
        self.visit(first.iter)  # in the scope around it
        stored = (name for generator in node.generators for name in ast.walk(generator.target))
        self._scopes.append((node, {name.id: set() for name in stored if isinstance(name, ast.Name)}))
        self._write(first.target, first.ifs, others, getattr(node, "key", None), getattr(node, "value", None))
        self._write(getattr(node, "elt", None))
        self.text.append("]")
        self._scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    # Everything else.

    def generic_visit(self, node: ast.AST) -> None:
        self.text.append(type(node).__name__)
        for field, value in ast.iter_fields(node):
            if field not in _NO_PART and value is not None and value != []:
                self.text.append(field)
                self._write(value)
        self.text.append(";")

    def _write(self, *values: Any) -> None:
        for value in values:
            if isinstance(value, ast.AST):
                self.visit(value)
            elif isinstance(value, (list, tuple)):
                self._write(*value)
                self.text.append("]")
            elif value is not None:
                self.text.append(repr(value))


def _bound_in(node: Any, names: Names) -> dict[str, set[str]]:
    """Return the names that a function, lambda or class binds → the dotted names of imports; none for values."""
    bound: dict[str, set[str]] = {}
    elsewhere: set[str] = set()
    if not isinstance(node, ast.ClassDef):
        bound |= {
            parameter.arg: set() for parameter in ast.iter_child_nodes(node.args) if isinstance(parameter, ast.arg)
        }
    for child in same_scope(node.body if isinstance(node.body, list) else [node.body]):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            for name, target in names.imported(child).items():
                bound.setdefault(name, set()).add(target)
        elif isinstance(child, (ast.Global, ast.Nonlocal)):
            elsewhere |= set(child.names)
        elif own := bound_by(child):
            bound.setdefault(own, set())
    return {name: targets for name, targets in bound.items() if name not in elsewhere}


def bound_by(node: ast.AST) -> str | None:
    """Return the name to which a node that is no import binds something."""
    if isinstance(node, ast.Name):
        return None if isinstance(node.ctx, ast.Load) else node.id
    if isinstance(node, ast.MatchMapping):
        return node.rest
    kinds = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar
    return node.name if isinstance(node, kinds) else None


def same_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield nodes and what is below them in the same scope."""
    for node in nodes:
        yield node
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            # Its own names stay in it; what := binds does not.
            yield from (child.target for child in ast.walk(node) if isinstance(child, ast.NamedExpr))
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from same_scope(ast.iter_child_nodes(node))


def _names_in(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def string(node: ast.AST | None) -> str | None:
    """Return the value of a string that is written out."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _strings(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (text for text in map(string, nodes) if text is not None)


def _is_text(node: ast.AST) -> bool:
    """Return whether an expression certainly is a text."""
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.Constant):
        return string(node) is not None
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, (ast.Add, ast.Mod)) and (_is_text(node.left) or _is_text(node.right))
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_text(node.func.value)


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
