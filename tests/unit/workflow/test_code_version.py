"""Code versions change with code and with nothing else."""

import errno

import pytest

from contrastive_context.workflow.code_versions import CodeVersions, imported_modules, token_hash

SOURCE = '''"""A module."""

import numpy

from contrastive_context.core.errors import UserError


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


def test_a_module_loaded_by_name_counts_where_the_settings_name_it(tmp_path):
    corpora = tmp_path / "contrastive_context" / "corpora"
    (corpora / "catalogues").mkdir(parents=True)
    for name in ("files", "catalogues/__init__", "catalogues/chromium", "catalogues/gettext", "reading"):
        (corpora / f"{name}.py").write_text("x = 1\n")
    (corpora / "files.py").write_text("from contrastive_context.corpora import reading\n")
    (tmp_path / "build_corpus.py").write_text("x = 1\n")
    chromium, gettext = {"format": "chromium"}, {"format": "gettext"}
    used = {
        "files": {"kind": "files"},
        "one": {"kind": "catalogues", "in_domain": chromium, "out_of_domain": None},
        "two": {"kind": "catalogues", "in_domain": chromium, "out_of_domain": gettext},
    }

    def changed_by(name):
        def versions():
            of = CodeVersions(tmp_path, tmp_path / "cache.json").of
            return {key: of("build_corpus", {"corpus": corpus}) for key, corpus in used.items()}

        before = versions()
        (corpora / f"{name}.py").write_text("x = 2\n" + (corpora / f"{name}.py").read_text())
        after = versions()
        return {key for key in used if before[key] != after[key]}

    assert changed_by("reading") == changed_by("files") == {"files"}
    assert changed_by("catalogues/__init__") == changed_by("catalogues/chromium") == {"one", "two"}
    assert changed_by("catalogues/gettext") == {"two"}


def test_a_torn_cache_is_ignored(tmp_path):
    (tmp_path / "step.py").write_text("x = 1\n")
    first = CodeVersions(tmp_path, tmp_path / "cache.json").of("step")
    (tmp_path / "cache.json").write_text('{"half')
    assert CodeVersions(tmp_path, tmp_path / "cache.json").of("step") == first


@pytest.mark.parametrize("content", ["null", "[1]", "{}"])
def test_a_cache_of_another_shape_is_ignored(tmp_path, content):
    (tmp_path / "step.py").write_text("x = 1\n")
    (tmp_path / "cache.json").write_text(content)
    assert len(CodeVersions(tmp_path, tmp_path / "cache.json").of("step")) == 16


def test_the_cache_is_written_only_when_something_was_learned(tmp_path):
    (tmp_path / "step.py").write_text("x = 1\n")
    cache = tmp_path / "new" / "cache.json"
    CodeVersions(tmp_path, cache).of("step")
    first = cache.stat()
    CodeVersions(tmp_path, cache).of("step")
    assert cache.stat().st_ino == first.st_ino
    (tmp_path / "step.py").write_text("x = 2\n")
    CodeVersions(tmp_path, cache).of("step")
    assert cache.stat().st_ino != first.st_ino
    assert list(cache.parent.iterdir()) == [cache]


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_does_not_matter(tmp_path, monkeypatch, error):
    (tmp_path / "step.py").write_text("x = 1\n")
    expected = CodeVersions(tmp_path, tmp_path / "cache.json").of("step")

    def refuse(*_, **__):
        raise OSError(error, "refused")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert CodeVersions(tmp_path, tmp_path / "other.json").of("step") == expected
    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert CodeVersions(tmp_path, tmp_path / "deep" / "other.json").of("step") == expected


def test_only_modules_of_the_package_are_followed():
    assert imported_modules(SOURCE) == {"contrastive_context.core.errors", "contrastive_context.core.errors.UserError"}
