"""List whose work a study uses: ``python -m contrastive_context.environments.licences config.yaml [overlays]``.

Packages are those of the locks, with the licence that their installed metadata states; models, encoders, data and
pinned packages are those that the grid of the configuration uses, with the licence that the configuration states.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata

from contrastive_context.core.errors import UserError
from contrastive_context.environments.update import read_lock
from contrastive_context.report.licences import licences
from contrastive_context.report.usage import effective_config

_CLASSIFIER = "License :: "
_LONGEST = 60  # characters; some packages put the whole text there


def of_package(name: str) -> str:
    """Return the licence that an installed package states: its SPDX expression, else its classifiers, else its text."""
    try:
        stated = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return "not installed here"
    if expression := stated.get("License-Expression"):
        return expression
    classifiers = [
        text.rpartition(" :: ")[2] for text in stated.get_all("Classifier", []) if text.startswith(_CLASSIFIER)
    ]
    if named := [text for text in classifiers if text != "OSI Approved"]:
        return ", ".join(named)
    lines = (stated.get("License") or "").strip().splitlines()
    return lines[0][:_LONGEST] if lines else "not stated"


def of_locks(paths: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, version and licence of every package of some locks.

    Raises:
        UserError: a lock can't be read.
    """
    pins = {pin for path in paths for pin in read_lock(path)[1].items()}
    for name, version in sorted(pins, key=lambda pin: pin[0].lower()):
        yield name, version, of_package(name)


def of_study(configfiles: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, version and licence of the models, encoders, data and pinned packages that a study's grid uses.

    Raises:
        UserError: a file can't be read, or the configuration has mistakes.
    """
    from contrastive_context.workflow.checking import read_study

    study = read_study(configfiles)
    tasks = list(dict.fromkeys(entry.task for entry in study.grid))
    models = list(dict.fromkeys(model for entry in study.grid for model in entry.models))
    for row in licences(effective_config(study.model_dump(mode="json"), tasks, models), {}):
        yield row.name, row.version, row.licence


def main() -> None:
    """Print both lists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configfiles", nargs="+", help="as for snakemake --configfile")
    parser.add_argument("--locks", nargs="*", default=[], help="locks of the environments")
    args = parser.parse_args()
    try:
        lists = {"models and data": list(of_study(args.configfiles)), "packages": list(of_locks(args.locks))}
    except UserError as error:
        sys.exit(f"error: {error}")
    for title, rows in lists.items():
        print(f"\n{title}")
        for name, version, licence in rows:
            print(f"  {name:<44}{version:<16}{licence}")


if __name__ == "__main__":
    main()
