"""Code versions change with code and with nothing else."""

import pytest

from contrastive_context.code_version import CodeVersions, imported_modules, token_hash

SOURCE = '''"""A module."""

import numpy

from contrastive_context.errors import UserError


def double(x):
    """Return twice x."""
    return 2 * x  # twice
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another docstring."""'),
        ('    """Return twice x."""\n', ""),
        ("  # twice", ""),
        ("2 * x", "2  *  x"),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(old, new):
    assert old in SOURCE
    assert token_hash(SOURCE.replace(old, new)) == token_hash(SOURCE)


@pytest.mark.parametrize(("old", "new"), [("2 * x", "3 * x"), ("return 2", "print(); return 2"), ("numpy", "math")])
def test_code_counts(old, new):
    assert token_hash(SOURCE.replace(old, new)) != token_hash(SOURCE)


def test_indentation_counts():
    one = "if a:\n    b()\n    c()\n"
    assert token_hash(one) != token_hash("if a:\n    b()\nc()\n")


def test_imports_are_followed_wherever_they_stand(tmp_path):
    package = tmp_path / "contrastive_context"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "used.py").write_text("def f():\n    from contrastive_context import deep\n    return deep.x\n")
    (package / "deep.py").write_text("x = 1\n")
    (package / "unused.py").write_text("x = 1\n")
    (tmp_path / "step.py").write_text("from contrastive_context.used import f\n")

    def version():
        return CodeVersions(tmp_path, tmp_path / "cache.json").of("step")

    first = version()
    assert version() == first
    (package / "unused.py").write_text("x = 2\n")
    assert version() == first
    (package / "deep.py").write_text("x = 1  # one\n")
    assert version() == first
    (package / "deep.py").write_text("x = 2\n")
    assert version() != first


def test_a_torn_cache_is_ignored(tmp_path):
    (tmp_path / "step.py").write_text("x = 1\n")
    first = CodeVersions(tmp_path, tmp_path / "cache.json").of("step")
    (tmp_path / "cache.json").write_text('{"half')
    assert CodeVersions(tmp_path, tmp_path / "cache.json").of("step") == first


def test_only_modules_of_the_package_are_followed():
    assert imported_modules(SOURCE) == {"contrastive_context.errors", "contrastive_context.errors.UserError"}
