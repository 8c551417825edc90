"""What of the user's environment a step puts right, and what it refuses in a sentence."""

import os
import subprocess
import sys

import pytest

from contrastive_context.core import surroundings

STEP = """
import os
from contrastive_context.core import cli

def main(args):
    print({name: os.environ.get(name) for name in args.names})

if __name__ == "__main__":
    parser = cli.parser("A step.")
    parser.add_argument("names", nargs="*")
    cli.run(main, parser)
"""


@pytest.fixture
def step(tmp_path):
    (tmp_path / "step.py").write_text(STEP)

    def run(*names, **environment):
        command = [sys.executable, tmp_path / "step.py", "--settings={}", *names]
        env = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)

    return run


def test_variables_that_would_change_results_are_fixed(step):
    given = {"MPLBACKEND": "module://other", "MATPLOTLIBRC": "mine", "NVIDIA_TF32_OVERRIDE": "1"}
    result = step(*given, **given)
    assert eval(result.stdout) == {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull, "NVIDIA_TF32_OVERRIDE": None}


def test_memory_that_is_used_again_is_kept_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    surroundings.fix_variables_of_jobs()
    assert (os.environ["MALLOC_TRIM_THRESHOLD_"], os.environ["MALLOC_MMAP_THRESHOLD_"]) == ("1", str(2**27))


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "environment variable PYTHONUTF8=1"),
        ({"PYTHONOPTIMIZE": "2"}, "unset PYTHONOPTIMIZE"),
        ({"HF_HUB_ETAG_TIMEOUT": "1.5"}, "HF_HUB_ETAG_TIMEOUT is '1.5'; huggingface_hub takes whole seconds only"),
    ],
)
def test_what_would_end_a_step_later_is_refused_with_the_variable(step, environment, message):
    result = step(**environment)
    assert result.returncode == 2
    assert message in result.stderr and "Traceback" not in result.stderr


def test_packages_of_another_environment_are_refused(step, tmp_path):
    (tmp_path / "others" / "numpy").mkdir(parents=True)
    result = step(PYTHONPATH=os.pathsep.join([str(tmp_path / "others"), os.environ.get("PYTHONPATH", "")]))
    assert result.returncode == 2
    assert f"PYTHONPATH leads to another numpy, {tmp_path / 'others' / 'numpy'}" in result.stderr
