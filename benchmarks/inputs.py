"""What the benchmarks are measured on, made by the workflow itself."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastive_context.workflow.steps import Steps

MODEL = "smollm2-135m"
TASK = "intents"
_FILES = ("config.yaml", "envs/overlays/quickstart.yaml", "benchmarks/inputs.yaml")


def make(*targets: str) -> Path:
    """Make results of the run "benchmarks" in the current checkout where they are missing; return their folder.

    What is there is used as it is, whatever code made it: the benchmarks ask how fast the steps after it are.
    """
    folder = Path("results/benchmarks")
    if all((folder / target).exists() for target in targets):
        return folder
    command = [sys.executable, "-m", "snakemake", "--profile", "envs/profiles/quickstart", "--configfile", *_FILES]
    command += ["--", *(str(folder / target) for target in targets)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"the inputs of the benchmarks can't be made:\n{done.stdout[-3000:]}")
    return folder


def steps() -> "Steps":
    """Return the steps of the run, with their settings as the rules get them."""
    import yaml
    from snakemake.utils import update_config

    from contrastive_context.config.study import load_study
    from contrastive_context.workflow.steps import Steps

    config: dict[str, Any] = {}
    for file in _FILES:
        update_config(config, yaml.safe_load(Path(file).read_text(encoding="utf-8")))
    return Steps(load_study(config), "workflow_scripts", ".snakemake/code_versions.json")
