"""What ``from contrastive_context import …`` offers."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import contrastive_context


@pytest.mark.parametrize("name", contrastive_context.__all__)
def test_every_exported_name_is_there(name):
    assert getattr(contrastive_context, name) is not None and name in dir(contrastive_context)


def test_type_checkers_see_what_is_loaded():
    tree = ast.parse(Path(contrastive_context.__file__).read_text(encoding="utf-8"))
    found = {
        alias.asname or alias.name: getattr(importlib.import_module(node.module), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for alias in node.names
    }
    assert found == {name: getattr(contrastive_context, name) for name in contrastive_context.__all__}


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ImportError, match="sample_context"):
        from contrastive_context import sample_context  # noqa: F401
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'; it exports BM25, .*similarity_between"):
        _ = contrastive_context.nothing


def test_the_import_loads_no_library():
    code = "import contrastive_context, sys; print(len({name.partition('.')[0] for name in sys.modules} & {*HEAVY}))"
    heavy = "HEAVY = ('numpy', 'pandas', 'pydantic', 'pyarrow', 'torch', 'transformers'); "
    result = subprocess.run([sys.executable, "-c", heavy + code], capture_output=True, text=True, check=True)
    assert result.stdout == "0\n"
