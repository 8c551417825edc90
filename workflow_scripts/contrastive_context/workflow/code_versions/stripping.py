"""What of the code changes no result, taken out of its syntax tree."""

import ast
import builtins
from collections.abc import Iterator, Sequence

from contrastive_context.workflow.code_versions.declared import LEVELS, MESSAGES, PLAIN_DECORATORS, PURE, SHOWN

_Left = ast.AST | Sequence[ast.AST] | None  # of a node, in its place


class Strip(ast.NodeTransformer):
    """Takes out docstrings, annotations (but those of fields), what ``Literal`` allows, and what is only shown.

    Of texts that are only shown those calls stay that might do something else as well. What is left need not be Python:
    it is compared, not run.
    """

    def __init__(self) -> None:
        self._fields: set[ast.AST] = set()

    def visit_Pass(self, node: ast.Pass) -> None:
        """Take it out."""

    def visit_Expr(self, node: ast.Expr) -> _Left:
        """Take out docstrings and log calls."""
        call = node.value
        if isinstance(call, ast.Constant):
            return None
        if isinstance(call, ast.Call) and _logs(call.func):
            return [self.visit(part) for part in _calls(*call.args, *call.keywords)]
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> _Left:
        """Take out the message."""
        node.msg = None
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> _Left:
        """Take out what only messages need."""
        node.names = [alias for alias in node.names if alias.name not in ("logging", "warnings")]
        return node if node.names else None

    def visit_Raise(self, node: ast.Raise) -> _Left:
        """Take out an error's text."""
        error = node.exc
        if isinstance(error, ast.Call) and (last(error.func) in MESSAGES or _is_builtin_error(last(error.func))):
            error.args = [part for value in error.args for part in (_calls(value) if _is_text(value) else [value])]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> _Left:
        """Take out arguments that are only shown, and ``typing.cast``."""
        if last(node.func) == "cast" and len(node.args) == 2:
            return self.visit(node.args[1])
        names = SHOWN.get(last(node.func), "").split()
        shown = [keyword for keyword in node.keywords if keyword.arg in names]
        node.keywords = [keyword for keyword in node.keywords if keyword not in shown]
        node.args += _calls(*shown)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> _Left:
        """Take out what only type checkers see."""
        found = self.generic_visit(node)
        return node.orelse if last(node.test) == "TYPE_CHECKING" else found

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> _Left:
        """Take out annotations that nothing looks at."""
        if all(last(decorator) in PLAIN_DECORATORS for decorator in node.decorator_list):
            node.returns = None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> _Left:
        """Remember the fields: of a model, data class or named tuple their annotations make values."""
        self._fields.update(part for part in node.body if isinstance(part, ast.AnnAssign))
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> _Left:
        """Take the annotation out, or read it if it is a string and of a field."""
        if node in self._fields:
            node.annotation = _Unquote().visit(node.annotation)
            return self.generic_visit(node)
        if node.value is None:  # it makes the name a local one
            return ast.Expr(node.target, lineno=node.lineno)
        return self.visit(ast.Assign([node.target], node.value, lineno=node.lineno))

    def visit_Subscript(self, node: ast.Subscript) -> _Left:
        """Take out what ``Literal`` allows: it changes nothing for what was allowed before."""
        return node.value if last(node.value) == "Literal" else self.generic_visit(node)


class _Unquote(ast.NodeTransformer):
    """Reads strings in annotations as code."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        try:
            return ast.parse(node.value, mode="eval").body if isinstance(node.value, str) else node
        except SyntaxError:
            return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return node if last(node.value) == "Literal" else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return node


def last(node: ast.AST) -> str:
    """Return the last name of ``name``, ``a.b.name`` or a call of it; empty for other expressions."""
    if isinstance(node, ast.Call):
        return last(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _logs(function: ast.AST) -> bool:
    if not isinstance(function, ast.Attribute):
        return False
    return (function.attr in LEVELS and last(function.value) in ("log", "logging")) or function.attr == "warn"


def _is_builtin_error(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def _is_text(node: ast.AST) -> bool:
    """Return whether an expression certainly is a text."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and _is_text(node.func.value)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _calls(*nodes: ast.AST) -> Iterator[ast.Call]:
    """Yield the outermost calls in a message that might do something else as well."""
    for node in nodes:
        if isinstance(node, ast.Call) and not (_is_text(node) or last(node.func) in PURE):
            yield node
        else:
            yield from _calls(*ast.iter_child_nodes(node))
