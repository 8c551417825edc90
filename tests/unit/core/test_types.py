"""The type checker, as ``make lint`` calls it, knows models, tokenizers and frames."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

MISTAKES = """
from contrastive_context.core.artifacts import read_parquet
from contrastive_context.models.language_models import load_model, load_tokenizer

model = load_model(1)
model.no_such_method_of_models()
number: int = load_tokenizer("folder")
read_parquet("file").no_such_method_of_frames()
model.config.use_cache = False
"""


def test_mistakes_about_models_tokenizers_and_frames_are_found(repository, tmp_path):
    module = tmp_path / "mistakes.py"
    module.write_text(MISTAKES)
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
    # The cache of `make lint` makes this quick.
    result = subprocess.run([*command, str(module)], cwd=repository, capture_output=True, text=True)
    lines = [line.partition(":")[2].partition(":")[0] for line in result.stdout.splitlines() if "error:" in line]
    assert lines == ["5", "6", "7", "8"], result.stdout + result.stderr
