"""What a step's code version is made of, on small made-up packages."""

import errno
import re
import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrastive_context.core.errors import UserError
from contrastive_context.workflow import __main__ as commands
from contrastive_context.workflow.code_versions import CodeVersions, declared
from contrastive_context.workflow.code_versions.definitions import describe

PACKAGE = "contrastive_context"


class Code:
    """A folder with an entry point ``step.py`` and a package; modules are named as from inside the package."""

    def __init__(self, folder, step, modules):
        self.folder = folder
        self.write("/step", step)
        self.write("__init__", "")
        for name, text in modules.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.folder / f"{PACKAGE}/{name}.py" if not name.startswith("/") else self.folder / f"{name[1:]}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def reached(self, **settings):
        reached = CodeVersions(self.folder, self.folder / ".cache.json").reached("step", settings)
        return {f"{module.removeprefix(PACKAGE + '.')}.{name}" for module, name in reached.hashes}

    def version(self, **settings):
        return CodeVersions(self.folder, self.folder / ".cache.json").of("step", settings)


@pytest.fixture
def code(tmp_path):
    return lambda step, **modules: Code(tmp_path, step, modules)


# What a definition says.

TOP = """
import argparse
import logging
import typing
import warnings
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from contrastive_context.core import cli
from contrastive_context.core.errors import UserError
from contrastive_context.other import Rejected, bar, find, suggest

log = logging.getLogger(__name__)
KNOWN = ("a", "b")
T = typing.Any
"""
#: A piece of code, what replaces it, and whether that changes the version.
EDITS = [
    # comments, docstrings, layout
    ("x = 1", "x = 1  # one", False),
    ('def f():\n    """Say."""\n    return 1', 'def f():\n    """More."""\n\n    return (\n        1\n    )', False),
    ("def f():\n    return 1", 'def f():\n    """Say."""\n    return 1', False),
    ("x = 1_000", "x = 1000", False),
    ("x = 'a'", 'x = "a"', False),
    ("x = ('a' 'b')", 'x = "ab"', False),
    ("class A:\n    pass", 'class A:\n    """Say."""', False),
    ("def f(a):\n    if a:\n        a()\n        a()", "def f(a):\n    if a:\n        a()\n    a()", True),
    # annotations
    ("def f(a: int) -> int:\n    b: int = a\n    return b", "def f(a: 'str'):\n    b = a\n    return b", False),
    ("x = 1", "x: int = 1", False),
    ("def f(a, b: int = 1):\n    return a", "def f(a: Any, b=1):\n    return a", False),
    ("def f():\n    x: int\n    return x", "def f():\n    return x", True),
    ("class A(BaseModel):\n    x: int", "class A(BaseModel):\n    x: float", True),
    ("class A(BaseModel):\n    x: 'int'", "class A(BaseModel):\n    x: int", False),
    ("class A(BaseModel):\n    x: int = 1", "class A(BaseModel):\n    x: int = 2", True),
    ("class A(BaseModel):\n    def f(self) -> int: return 1", "class A(BaseModel):\n    def f(self): return 1", False),
    ("class A(BaseModel):\n    x: Literal['a']", "class A(BaseModel):\n    x: Literal['a', 'b']", False),
    ("@find\ndef f(a: int): return a", "@find\ndef f(a: float): return a", True),
    ("def f(a):\n    return typing.cast('int', a)", "def f(a):\n    return a", False),
    # texts of errors
    ("def f(a): raise UserError('no')", "def f(a): raise UserError(f'{a} is wrong: {a!r:>4}')", False),
    ("def f(a): raise UserError('no')", "def f(a): raise UserError('one of ' + ', '.join(KNOWN))", False),
    ("def f(a): raise ValueError('%s' % a)", "def f(a): raise ValueError('wrong')", False),
    ("def f(a): raise UserError('no')", "def f(a): raise ValueError('no')", True),
    ("def f(a): raise UserError('no')", "def f(a): raise UserError('no') from None", True),
    ("def f(a): raise UserError('no')", "def f(a): raise UserError(f'no{find(a)}')", True),
    ("def f(a): raise UserError(f'no{find(a)}')", "def f(a): raise UserError(f'yes, {find(a)}')", False),
    ("def f(a): raise UserError(f'no{find(a)}')", "def f(a): raise UserError(f'no{find(1)}')", True),
    ("def f(a): raise UserError(f'no{a.pop()}')", "def f(a): raise UserError('no')", True),
    ("def f(a): raise SystemExit(1)", "def f(a): raise SystemExit(2)", True),
    ("def f(a): raise Rejected('too short')", "def f(a): raise Rejected('short')", True),
    ("def f(a): return UserError('no')", "def f(a): return UserError('yes')", True),
    ("def f(a): assert a, 'no'", "def f(a): assert a, f'{a} is wrong'", False),
    ("def f(a): assert a, 'no'", "def f(a): assert not a, 'no'", True),
    # log calls
    ("def f(a):\n    return a", "def f(a):\n    log.info('%s', len(a))\n    return a", False),
    ("def f(a):\n    cli.log.info('now')", "def f(a):\n    cli.log.warning('then %s', a.name)", False),
    ("def f(a):\n    log.info('%d', a.pop())", "def f(a):\n    log.info('%d', a)", True),
    ("def f(a): warnings.warn('x')", "def f(a): warnings.warn('y', stacklevel=2)", False),
    ("def f(a): print('x')", "def f(a): print('y')", True),
    # descriptions, help, labels
    ("x = Field(1, description='a', ge=1)", "x = Field(1, ge=1, title='b')", False),
    ("x = Field(1, ge=1)", "x = Field(1, ge=2)", True),
    ("def f(p): p.add_argument('--x', help='a')", "def f(p): p.add_argument('--x', help='b', metavar='X')", False),
    ("def f(p): p.add_argument('--x', help='a')", "def f(p): p.add_argument('--y', help='a')", True),
    ("x = argparse.ArgumentParser(description=__doc__)", "x = argparse.ArgumentParser()", False),
    ("def f(a): cli.progress(a, label='x', unit='y')", "def f(a): cli.progress(a, label=f'{a}')", False),
    ("def f(a): cli.progress(a, label='x', total=1)", "def f(a): cli.progress(a, label='x', total=2)", True),
    ("def f(a): bar(a, label='x')", "def f(a): bar(a, label='y')", True),
    # what else code says
    ("def f(a, b=1): return a", "def f(a, b=2): return a", True),
    ("def f(a, b=1): return a", "def f(a, *, b=1): return a", True),
    ("def f(a): return f'{a}'", "def f(a): return f'{a:>2}'", True),
    ("def f(a): return f'{a}x'", "def f(a): return f'{a}y'", True),
    ("def f(a): return a.x", "def f(a): return a.y", True),
    ("def f(a): return -1", "def f(a): return 1", True),
    ("def f(a): return b'1'", "def f(a): return '1'", True),
    ("def f(a): return 1", "def f(a): return 1.0", True),
    ("def f(a): return 1", "def f(a): return True", True),
    ("def f(a): return [b for b in a]", "def f(a): return {b for b in a}", True),
    ("def f(a):\n    return find(a)", "def f(a):\n    return suggest(a)", True),
    ("def f(a):\n    return find(a)", "def f(a, find):\n    return find(a)", True),
    ("def f(a):\n    return a", "def f(a):\n    import torch\n    return a", True),
    ("def f(a):\n    global x\n    x = 1", "def f(a):\n    x = 1", True),
    ("def f(a):\n    return a", "async def f(a):\n    return a", True),
    ("@find\ndef f(a): return a", "def f(a): return a", True),
]  # fmt: skip
OTHER = "class Rejected(Exception): ...\ndef find(a): ...\ndef suggest(a): ...\ndef bar(a, label): ...\n"


@pytest.mark.parametrize(("old", "new", "counts"), EDITS)
def test_what_counts_in_a_definition(code, old, new, counts):
    # A module that is used as a value counts whole.
    made = code("from contrastive_context import used\nx = used\n", other=OTHER)
    versions = []
    for text in (old, new):
        made.write("used", f"{TOP}\n{text}\n")
        versions.append(made.version())
    assert (versions[0] != versions[1]) == counts


# What is reached.

#: What a case shows: the entry point, modules of the package, and what the version is made of beside the entry point.
REACHED = {
    "names imported, renamed and through modules": (
        """
        from contrastive_context import a
        from contrastive_context.b import one as uno
        import contrastive_context.b as c
        def main(): return a.f, uno(), c.three
        """,
        {"a": "def f(): return g()\ndef g(): ...\ndef h(): ...", "b": "one = 1\ntwo = 2\nthree = 3"},
        "a.f a.g b.one b.three",
    ),
    "imports inside functions and behind conditions": (
        """
        import sys
        def main():
            if sys.argv:
                from contrastive_context.a import f
            else:
                from contrastive_context.b import f
            return f()
        """,
        {"a": "def f(): ...", "b": "def f(): return g()\ntry:\n    from contrastive_context.c import g\n"
         "except ImportError:\n    def g(): return 1", "c": "def g(): ...\ndef h(): ..."},
        "a.f b.f b.g b.statement 1 c.g",
    ),
    "what only type checkers import, and annotations, are not followed": (
        """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from contrastive_context.a import f
        from contrastive_context.b import T
        def main(x: T) -> "f":
            y: "f" = x
            return y
        """,
        {"a": "print()\ndef f(): ...", "b": "T = int"},
        "",
    ),
    "fields of classes are followed, as strings too": (
        "from contrastive_context.a import A\nA()",
        {"a": "from contrastive_context.b import B, C, D\nclass A:\n    x: 'list[B]'\n    def f(self, c: C) -> D: ...",
         "b": "class B: ...\nclass C: ...\nclass D: ..."},
        "a.A b.B",
    ),
    "functions handed on, in mappings and partially applied": (
        """
        import functools
        from contrastive_context.a import MAP, g, h
        def main(): return map(g, MAP), functools.partial(h, 1)
        """,
        {"a": "def f(): ...\ndef g(): ...\ndef h(): ...\ndef i(): ...\nMAP = {'f': f}"},
        "a.MAP a.f a.g a.h",
    ),
    "decorators, defaults, bases and lambdas": (
        "from contrastive_context.a import A, f\nf(), A()",
        {"a": "import functools\nfrom contrastive_context.b import Base, D, K, M, d\n@functools.wraps(d)\n"
         "def f(x=D): ...\nclass A(Base):\n    key = lambda: K", "b": "d = 1\nD = 2\nK = 3\nL = 4\n"
         "class Base:\n    def m(self): return M\nM = 5"},
        "a.A a.f b.Base b.D b.K b.M b.d",
    ),
    "local names hide those of the module": (
        "from contrastive_context.a import f, g, h\nf(), g(), h()",
        {"a": "def rows(): ...\ndef cells(): ...\ndef f(rows): return rows\n"
         "def g():\n    rows = [rows for rows in cells()]\n    return lambda cells: cells\n"
         "def h():\n    return [x for x in rows() if x], [rows for rows in ()]"},
        "a.cells a.f a.g a.h a.rows",
    ),
    "a local value with the name of something at the top is taken for that": (
        "from contrastive_context.a import A\nA()",
        {"a": "def x(): ...\ndef y(): ...\nclass A:\n    x = 1\n    def f(self):\n        y = 1\n"
         "        def g(): return x, y\n        return g"},
        "a.A a.x a.y",
    ),
    "class methods where they are named": (
        "from contrastive_context.a import A, B\nA.of(1), B()",
        {"a": "def f(): ...\ndef g(): ...\nclass A:\n    @classmethod\n    def of(cls): return f()\n"
         "    @classmethod\n    def never(cls): return g()\nclass B:\n    @classmethod\n    def of(cls): return g()"},
        "a.A a.A.of a.f a.B",
    ),
    "class methods of what isn't known, and inherited ones": (
        "from contrastive_context.a import A, B\ndef main(c): return c.of(A), B.new()",
        {"a": "class Base:\n    @staticmethod\n    def new(): ...\n    @staticmethod\n    def old(): ...\n"
         "class A:\n    @classmethod\n    def of(cls): ...\nclass B(Base): ..."},
        "a.A a.A.of a.B a.Base a.Base.new",
    ),
    "attributes by name": (
        "from contrastive_context import a, b\nfrom contrastive_context.c import C\n"
        "def main(n, c): return getattr(a, 'f'), getattr(b, n), getattr(c, n), C",
        {"a": "def f(): ...\ndef g(): ...", "b": "def f(): ...\ndef g(): ...",
         "c": "class C:\n    @classmethod\n    def of(cls): ..."},
        "a.f a.g b.f b.g c.C c.C.of",
    ),
    "a module as a value, computed globals, undefined names": (
        "from contrastive_context import a\nfrom contrastive_context.b import f\nfrom contrastive_context.c import x\n"
        "def main(m): return m(a), f(), x",
        {"a": "def f(): ...\ndef g(): ...", "b": "def f(): return globals()\ndef g(): ...",
         "c": "exec('x = 1')\ndef g(): ..."},
        "a.f a.g b.f c.g c.statement 1 .*",
    ),
    "modules named by strings": (
        "from contrastive_context.b import f\nMODULES = 'contrastive_context.a', 'contrastive_context.b:g'\n"
        "import importlib\nimportlib.import_module('contrastive_context.c')",
        {"a": "x = 1\nif __name__ == '__main__':\n    print()", "b": "def f(): ...\ndef g(): ...\ndef h(): ...",
         "c": "y = 1"},
        "a.statement 1 a.x b.g c.y .*",
    ),
    "modules by computed names": (
        "import importlib\ndef main(n): return importlib.import_module(n)",
        {"a": "x = 1", "b/c": "y = 1"},
        ".*",
    ),
    "what loading modules does": (
        "from contrastive_context.a.b import f\nf()",
        {"a/__init__": "import torch\nfrom contrastive_context import c\ntorch.x = 1", "a/b": "def f(): ...\nx = 1",
         "c": "import logging\nlog = logging.getLogger()\nlog.info('x')\nX = {}\nX['a'] = 1\nY = 2\n"
         "def g(): ...\ng()\nif __name__ == '__main__':\n    g()"},
        "a.b.f a.statement 1 c.X c.g c.statement 1 c.statement 2 c.statement 3",
    ),
    "what registers itself": (
        "from contrastive_context.a import f\nf()",
        {"a": "from contrastive_context.b import register, Base\nimport atexit, functools\n@register\ndef g(): ...\n"
         "@functools.cache\ndef f(): ...\n@atexit.register\ndef h(): ...\nclass A(Base): ...\n"
         "class B(Other): ...\nclass Other: ...\n_ = register(f)",
         "b": "def register(f): ...\nclass Base:\n    def __init_subclass__(cls): ..."},
        "a._ a.f a.g a.h a.statement 3 b.Base b.register .*",
    ),
    "a monkeypatch counts for whoever loads it": (
        "from contrastive_context.a import x",
        {"a": "from contrastive_context.b import B\nx = 1\ndef f(): ...\nB.forward = f\n", "b": "class B: ..."},
        "a.f a.statement 1 b.B",
    ),
    "imports for their effects": (
        "from contrastive_context.a import f\nf()",
        {"a": "import torch\nimport unsloth\nfrom pathlib import Path\ndef f(x: Path): return torch"},
        "a.f a.statement 1",
    ),
    "relative imports and names passed on by packages": (
        "from contrastive_context.a import f, g\nf(), g()",
        {"a/__init__": "from .b import f\nfrom ..c import g", "a/b": "from . import d\ndef f(): return d.x",
         "a/d": "x = 1\ny = 1", "c": "def g(): ..."},
        "a.b.f a.d.x c.g",
    ),
    "what shapes no artifact is not followed": (
        "from contrastive_context.core import cli\nfrom contrastive_context.workflow.a import f\ncli.run(f)",
        {"core/__init__": "", "core/cli": "def run(): ...", "workflow/__init__": "", "workflow/a": "def f(): ..."},
        "",
    ),
    "types allow what they allow to fields, and are a value to code": (
        "from contrastive_context.a import A, B, f\nA(), f()",
        {"a": "from typing import Literal, get_args\nT = Literal['a', 'b']\nU = Literal['c']\n"
         "class A:\n    x: T\ndef f(): return get_args(U)"},
        "a.A a.T a.U a.f .*",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("step", "modules", "expected"), REACHED.values(), ids=REACHED.keys())
def test_what_is_reached(tmp_path, step, modules, expected):
    found = Code(tmp_path, step, modules).reached()
    names = {
        name.strip() for name in expected.replace("statement ", "statement_").replace(" choices", "_choices").split()
    }
    assert {name for name in found if not name.startswith("step.")} == {
        name.replace("statement_", "statement ").replace("_choices", " choices") for name in names
    }


# Registries.

KINDS = {"a": "from contrastive_context.c import x\n"
         "KINDS = {'one': f, 'two': 'contrastive_context.b', 'three': 3}\n"
         "def f(): return x\ndef get(kind): return KINDS[kind]\ndef known(kind): return kind in KINDS",
         "b": "y = 1", "c": "x = 1"}  # fmt: skip
UNION = {"a": "from typing import Annotated, Literal\nfrom pydantic import Field\n"
         "from contrastive_context.b import B, C, b\n"
         "class A:\n    kind: Literal['one', 'two']\n"
         "Any = Annotated[A | B | C, b, Field(discriminator='kind')]\n"
         "class S:\n    x: Any",
         "b": "import typing\nb = 1\nclass B:\n    kind: typing.Literal['three']\nclass C:\n    x: int"}  # fmt: skip


@pytest.fixture
def registries(monkeypatch):
    monkeypatch.setitem(declared.REGISTRIES, f"{PACKAGE}.a.KINDS", ("x.kind", "many", "deep.*.kind"))
    monkeypatch.setitem(declared.REGISTRIES, f"{PACKAGE}.a.Any", ("x.kind",))


@pytest.mark.parametrize(
    ("main", "settings", "expected"),
    [
        ("get(s)", {"x": {"kind": "one"}}, "a.KINDS[one] a.f a.get c.x"),
        ("get(s)", {"x": {"kind": "two"}}, "a.KINDS[two] a.get b.y"),
        ("get(s)", {"many": ["two", "three", "other"]}, "a.KINDS[two] a.KINDS[three] a.get b.y"),
        ("get(s)", {"deep": {"p": {"kind": "three"}, "q": 1}}, "a.KINDS[three] a.get"),
        ("get(s)", {"x": {"kind": "three"}, "many": []}, "a.KINDS[three] a.get"),
        ("known(s)", {"x": {"kind": "three"}}, "a.KINDS[three] a.known"),
        # a name in the code, or handed to a function
        ("KINDS['three']", {"x": {"kind": "two"}}, "a.KINDS[three]"),
        ("get('three')", {"x": {"kind": "two"}}, "a.KINDS[two] a.KINDS[three] a.get b.y"),
        # the settings don't say, or it is used otherwise
        ("get(s)", {}, "a.KINDS[one] a.KINDS[two] a.KINDS[three] a.f a.get b.y c.x"),
        ("get(s)", {"x": {"kind": "other"}}, "a.KINDS[one] a.KINDS[two] a.KINDS[three] a.f a.get b.y c.x"),
        ("list(KINDS)", {"x": {"kind": "two"}}, "a.KINDS a.f b.y c.x"),
    ],
)
def test_a_registry_counts_by_the_names_in_the_settings(tmp_path, registries, main, settings, expected):
    made = Code(tmp_path, f"from contrastive_context.a import KINDS, get, known\ndef main(s): return {main}", KINDS)
    found = {name for name in made.reached(**settings) if not name.startswith("step.")}
    assert found == set(expected.split())


def test_a_union_counts_by_the_tags_in_the_settings(tmp_path, registries):
    made = Code(tmp_path, "from contrastive_context.a import S\nS()", UNION)
    found = {name for name in made.reached(x={"kind": "two"}) if not name.startswith("step.")}
    # What has no tag is taken along.
    assert found == {"a.S", "a.Any", "a.A", "b.b", "b.C"}
    assert "b.B" in made.reached(x={"kind": "three"}) and "a.A" not in made.reached(x={"kind": "three"})
    assert {"a.A", "b.B"} <= made.reached()


def test_an_entry_more_changes_only_who_looks_at_all(tmp_path, registries):
    made = Code(tmp_path, "from contrastive_context.a import get\ndef main(s): return get(s)", KINDS | UNION | KINDS)
    one, every = made.version(x={"kind": "one"}), made.version()
    made.write("a", KINDS["a"].replace("'three': 3", "'three': 3, 'four': 4"))
    assert made.version(x={"kind": "one"}) == one
    assert made.version() != every
    made.write("a", KINDS["a"].replace("'three': 3", "'three': 4"))
    assert made.version(x={"kind": "one"}) == one
    made.write("a", KINDS["a"].replace("'one': f", "'one': g"))
    assert made.version(x={"kind": "one"}) != one


def test_what_a_registry_was_asked_for_is_told(tmp_path, registries):
    made = Code(tmp_path, "from contrastive_context.a import get\ndef main(s): return get(s)", KINDS)
    versions = CodeVersions(tmp_path, tmp_path / ".cache.json")
    registry = (f"{PACKAGE}.a", "KINDS[]")
    reached = versions.reached("step", {"x": {"kind": "one"}})
    assert reached.because[f"{PACKAGE}.a", "KINDS[one]"] == registry and reached.whole == []
    assert (f"{PACKAGE}.a", "KINDS[two]") not in reached.because
    assert registry in versions.reached("step").whole
    assert made.version(x={"kind": "one"}) == versions.reached("step", {"x": {"kind": "one"}}).version


# Files beside the code.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Path(__file__).with_name('words.json')", "de.txt en.txt more/a.csv words.json"),
        ("importlib.resources.files(__package__) / name", "de.txt en.txt more/a.csv words.json"),
        ("Path('words.json')", ""),
    ],
)
def test_files_beside_a_module_count_where_they_are_read(tmp_path, text, expected):
    made = Code(tmp_path, "from contrastive_context.d.a import f\nf()",
                {"d/a": "import importlib.resources\nfrom pathlib import Path\n"
                 f"def f(name, language): return {text}"})  # fmt: skip
    folder = tmp_path / PACKAGE / "d"
    (folder / "more").mkdir()
    files = [folder / name for name in ("words.json", "de.txt", "en.txt", "more/a.csv")]
    for file in files:
        file.write_text("a")
    before = made.version()
    changed = set()
    for file in files:
        file.write_text("b")
        if made.version() != before:
            changed.add(str(file.relative_to(folder)))
        file.write_text("a")
    assert changed == set(expected.split())


# What is kept between runs.


def test_what_is_kept_is_used_and_is_no_part_of_the_version(tmp_path):
    made = Code(tmp_path, "from contrastive_context.a import f\nf()", {"a": "def f(): return 1", "b": "def g(): ..."})
    first = made.version()
    kept = {path: path.read_bytes() for path in tmp_path.glob("*") if path.suffix in (".json", ".tsv")}
    assert len(kept) == 2
    assert made.version() == first and {path: path.read_bytes() for path in kept} == kept
    made.write("b", "def g(): return 1")
    assert made.version() == first
    for path in kept:
        path.unlink()
    assert made.version() == first
    made.write("a", "def f(): return 2")
    assert made.version() != first
    made.write("a", "def f(): return 1  # one")
    assert made.version() == first


@pytest.mark.parametrize(
    "content", ["", '{"half', "null", "[1]", "{}", '{"a": {"b": 1}}', "a\tb\n\tc\n", "\x00\t{}\t{}"]
)
@pytest.mark.parametrize("name", [".cache.json", "code_definitions.tsv"])
def test_something_else_in_its_place_does_not_matter(tmp_path, name, content):
    made = Code(tmp_path, "x = 1", {})
    first = made.version()
    (tmp_path / name).write_text(content)
    (tmp_path / ".cache.json").unlink(missing_ok=name != ".cache.json")
    assert made.version() == first


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_what_cannot_be_kept_does_not_matter(tmp_path, monkeypatch, error):
    made = Code(tmp_path, "x = 1", {})
    expected = made.version()

    def refuse(*_, **__):
        raise OSError(error, "refused")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert CodeVersions(tmp_path, tmp_path / "other.json").of("step") == expected
    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert CodeVersions(tmp_path, tmp_path / "deep" / "other.json").of("step") == expected


def test_a_file_that_is_no_python_is_named(tmp_path):
    made = Code(tmp_path, "from contrastive_context.a import f\nf()", {"a": "def f(: ..."})
    with pytest.raises(UserError, match=r"a\.py: can't be read as Python"):
        made.version()


# Whatever the code.

NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
VALUES = st.one_of(st.integers(), st.text(max_size=5), st.floats(allow_nan=False), st.booleans(), st.none())
STATEMENTS = st.one_of(
    st.builds("{} = {!r}".format, NAMES, VALUES),
    st.builds("def {}(x={!r}):\n    return {!r}".format, NAMES, VALUES, VALUES),
    st.builds("class {}:\n    x: int = {!r}\n    def f(self): return {!r}".format, NAMES, VALUES, VALUES),
    st.builds("# {!r}".format, VALUES),
    st.builds("{!r}".format, st.text(max_size=5)),
)
MANY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@MANY
@given(st.lists(STATEMENTS, max_size=6), st.lists(STATEMENTS, max_size=6))
def test_unrelated_definitions_change_nothing(tmp_path, before, after):
    text = "def f():\n    return g()\n\ndef g():\n    return 1"
    made = Code(tmp_path, "from contrastive_context.a import f\nf()", {"a": text})
    first = made.version()
    made.write("a", "\n".join([*before, text, *after]))
    assert made.version() == first


@MANY
@given(VALUES, VALUES, st.sampled_from(["f", "g", "K", "A", "base"]))
def test_another_value_in_what_is_reached_always_changes_the_version(tmp_path, one, other, where):
    def text(name, value):
        return repr(value) if name == where else "0"

    def source(value):
        return (
            f"K = {text('K', value)}\nclass Base:\n    x = {text('base', value)}\n"
            f"class A(Base):\n    def m(self): return {text('A', value)}\n"
            f"def g(x={text('g', value)}): return A\ndef f(): return g, K, {text('f', value)}\n"
        )

    made = Code(tmp_path, "from contrastive_context.a import f\nf()", {"a": source(one)})
    first = made.version()
    made.write("a", source(other))
    assert (made.version() == first) == (repr(one) == repr(other))


def test_the_hash_of_a_text_is_the_same_in_every_version_of_python():
    source = (
        "import math as m\nfrom contrastive_context.b import c\n@m.d(1, *c, x=2, **c)\n"
        "async def f(a, /, b=1, *d, e=-2, **g):\n"
        "    with open(a) as h, b: yield [i async for i in h if i < 1_0 <= 2.5e3 != 1j]\n    try: x = a if b else d\n"
        "    except* (A, B) as n: raise\n    else: del x\n    finally: await g\n    while not x: break\n"
        "    for y, *z in {**a}: continue\n    match x:\n        case {'k': [1, *_], **r} | C(p=None): pass\n"
        "        case _ as w: return lambda q: (q := b'1', ...)[::2]\n"
        "    return f'a{b!r:>{c}}' 'd' f'{e=}' u'f', f'{\"x\"}{{}}', '\\N{BULLET}', {1, 2}, {3: 4}, 5 @ 6\n"
    )
    described = describe(source, "contrastive_context.a", False, {"contrastive_context"})
    assert described["definitions"]["f"]["hash"] == "cb10f5dddf0c98a1"


def test_a_command_lists_what_a_version_is_made_of_and_what_uses_each(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["workflow", "why", "find_neighbours"])
    with pytest.raises(SystemExit, match="0"):
        commands.main()
    *lines, last = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if " similarity_between " in line]
    assert re.match(r"workflow_scripts/contrastive_context/retrieval/similarity\.py:\d+ .* used by retrieval\.", line)
    assert last.startswith("code version of find_neighbours: ") and last.endswith(
        f"of {len(lines)} definitions and files"
    )
    monkeypatch.setattr("sys.argv", ["workflow", "why", "no_step"])
    with pytest.raises(SystemExit, match="2"):
        commands.main()
    assert "no step 'no_step'; known: ask_endpoint, " in capsys.readouterr().err
