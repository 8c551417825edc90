"""What a run would do and why, from a dry run and the sidecars of what is there."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from contrastive_context.config.base import canonical_json
from contrastive_context.errors import UserError
from contrastive_context.reruns.sidecars import Sidecar
from contrastive_context.reruns.tokens import count

_LINE = re.compile(r"    (input|output|reason): (.*)")
_FIRST = "not made yet"


@dataclass(frozen=True, eq=False)
class Job:
    """One job of a dry run.

    Attributes:
        settings: what its entry point is told; None where the rule calls none.
        options: the entry point's other options, without dashes; those that are given a value.
    """

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reason: str
    settings: dict[str, Any] | None
    options: Mapping[str, str] = field(default_factory=dict)


class Change(NamedTuple):
    """A leaf of a step's settings that is not what it was; ``None`` where there is none."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """Say it in one line."""
        if self.key == "code_version":
            return "changed code"
        return f"{self.key}: {_shown(self.old)} → {_shown(self.new)}"


class Stage(NamedTuple):
    """What a plan says of one rule."""

    rule: str
    jobs: int
    causes: Counter[str]
    tokens: int | None
    bytes: int | None


def dry_run(options: Sequence[str]) -> str:
    """Return what ``snakemake -n`` prints for these options.

    Raises:
        UserError: Snakemake refuses; its message is passed on.
    """
    command = [sys.executable, "-m", "snakemake", *options, "--dry-run", "--printshellcmds", "--quiet", "progress"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise UserError(f"the dry run failed:\n{result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def parse_dry_run(text: str) -> list[Job]:
    """Return the jobs that a dry run lists, in its order."""
    jobs = []
    for block in re.split(r"\n\[[^\n]*\]\n(?=(?:local)?rule )", text)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)[1]
        fields = dict(_LINE.findall(block))
        command = re.search(r"^Shell command: (.*)$", block, flags=re.MULTILINE)
        options = _options(command[1]) if command else {}
        settings = json.loads(options.pop("settings")) if "settings" in options else None
        jobs.append(
            Job(
                rule,
                tuple(filter(None, fields.get("input", "").split(", "))),
                tuple(filter(None, fields.get("output", "").split(", "))),
                fields.get("reason", ""),
                settings,
                options,
            )
        )
    return jobs


def _options(command: str) -> dict[str, str]:
    """Return the options of a command that have a value, by name."""
    words = shlex.split(command)
    return {
        name.removeprefix("--"): value
        for name, value in itertools.pairwise(words)
        if name.startswith("--") and not value.startswith("--")
    }


def causes(jobs: Iterable[Job], sidecars: Iterable[Sidecar]) -> dict[Job, frozenset[str]]:
    """Return why each job runs: what changed in its own settings or inputs, else what its producers run for.

    Args:
        jobs: of one dry run.
        sidecars: of the results that are there.
    """
    jobs = list(jobs)
    made = {path: sidecar for sidecar in sidecars for path in sidecar.outputs}
    producers = {path: job for job in jobs for path in job.outputs}
    found: dict[Job, frozenset[str]] = {}

    def why(job: Job) -> frozenset[str]:
        if job not in found:
            before = next((made[path] for path in job.outputs if path in made and Path(path).is_file()), None)
            if before is None:
                found[job] = frozenset({_FIRST})
            else:
                own = frozenset(map(str, changes(before.record["settings"], job.settings or {})))
                if not own and set(job.inputs) != set(before.inputs):
                    own = frozenset({"other inputs than before"})
                above = [why(producers[path]) for path in job.inputs if path in producers]
                found[job] = own or frozenset().union(*above) or frozenset({job.reason or "forced"})
        return found[job]

    for job in jobs:
        why(job)
    return found


def changes(old: Any, new: Any, key: str = "") -> list[Change]:
    """Return the leaves in which two JSON objects differ, by key path."""
    if isinstance(old, dict) and isinstance(new, dict):
        result = []
        for name in sorted({*old, *new}):
            result += changes(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        return result
    return [] if canonical_json(old) == canonical_json(new) else [Change(key, old, new)]


def plan(jobs: Sequence[Job], sidecars: Sequence[Sidecar]) -> list[Stage]:
    """Sum a dry run up by rule: jobs, causes, tokens that a model will read and write, and bytes.

    Tokens are counted in the prompts where the contexts exist; then only answers that generation will write are left
    out. Else they are, as bytes always are, those of the job's last run, or the mean of the rule's other jobs for the
    same task and model; None where nothing of the kind ran yet.

    Raises:
        UserError: contexts that exist can't be read.
    """
    reasons = causes(jobs, sidecars)
    made = {path: sidecar for sidecar in sidecars for path in sidecar.outputs}
    alike: dict[tuple, list[Sidecar]] = defaultdict(list)
    for sidecar in sidecars:
        alike[_kind(sidecar.step, sidecar.record["settings"])].append(sidecar)
    stages: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.settings is not None:
            stages[job.rule].append(job)
    produced = {path for job in jobs for path in job.outputs}
    result = []
    for rule, members in stages.items():
        counted = Counter(cause for job in members for cause in reasons[job])
        tokens, size = [], []
        for job in members:
            own = [made[job.outputs[0]]] if job.outputs[0] in made else alike.get(_kind(rule, job.settings), [])
            # Contexts that the plan makes again are not those that will be read.
            counted_tokens = None if produced & set(job.inputs) else count(rule, job.settings, job.options)
            earlier = _mean([sidecar.record["tokens"] for sidecar in own if sidecar.record.get("tokens")])
            tokens.append(earlier if counted_tokens is None else counted_tokens)
            size.append(_mean([sum(entry["bytes"] for entry in sidecar.outputs.values()) for sidecar in own]))
        result.append(Stage(rule, len(members), counted, _total(tokens), _total(size)))
    return result


def _kind(step: str, settings: dict[str, Any]) -> tuple:
    return step, settings.get("task"), settings.get("model_name")


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _total(values: list[float | None]) -> int | None:
    return None if None in values else round(sum(values))


def _shown(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
