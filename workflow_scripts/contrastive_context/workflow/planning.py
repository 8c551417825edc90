"""What a run would do and why, from a dry run and the sidecars of what is there."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from contrastive_context.core import cli
from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.sidecars import Sidecar
from contrastive_context.workflow.token_counts import RULES, Reading, at_most, count, read_by

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


class Amount(NamedTuple):
    """A sum over jobs: of those whose value is known, of the upper bounds of others; and how many have neither."""

    known: float = 0
    at_most: float = 0
    unknown: int = 0

    def __add__(self, other: "Amount") -> "Amount":  # type: ignore[override]  # of tuples it would be their chain
        """Add two sums."""
        return Amount(self.known + other.known, self.at_most + other.at_most, self.unknown + other.unknown)

    def shown(self, form: Callable[[float], str] = "{:,.0f}".format) -> str:
        """Say it: ``≤`` a bound, ``≥`` what is known of it, ``?`` if nothing is; nothing for none at all."""
        if self.unknown:
            return f"≥ {form(self.known)}" if self.known else "?"
        total = self.known + self.at_most
        return f"{'≤ ' if self.at_most else ''}{form(total)}" if total else ""


class Stage(NamedTuple):
    """What a plan says of one rule; sizes in bytes."""

    rule: str
    jobs: int
    causes: Counter[str]
    prompts: Amount
    tokens: Amount
    size: Amount


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
        rule = block.partition("rule ")[2].partition(":")[0]
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


def changes(old: object, new: object, key: str = "") -> list[Change]:
    """Return the leaves in which two JSON objects differ, by key path."""
    if isinstance(old, dict) and isinstance(new, dict):
        result = []
        for name in sorted({*old, *new}):
            result += changes(old.get(name), new.get(name), f"{key}.{name}" if key else name)
        return result
    return [] if canonical_json(old) == canonical_json(new) else [Change(key, old, new)]


def plan(jobs: Sequence[Job], sidecars: Sequence[Sidecar]) -> list[Stage]:
    """Sum a dry run up by rule: jobs, causes, prompts and tokens that a model will read and write, and bytes.

    Tokens are counted in the prompts where the contexts exist; then only answers that generation will write are left
    out. Else they are, as bytes always are, those of the job's last run, or the mean of the rule's other jobs for the
    same task and model; and where nothing of the kind ran yet, the most that the settings allow.

    Raises:
        UserError: contexts that exist can't be read.
    """
    reasons = causes(jobs, sidecars)
    made = {path: sidecar for sidecar in sidecars for path in sidecar.outputs}
    producers = {path: job for job in jobs for path in job.outputs}
    alike: dict[tuple, list[Sidecar]] = defaultdict(list)
    for sidecar in sidecars:
        alike[_kind(sidecar.step, sidecar.record["settings"])].append(sidecar)

    def made_with(path: str) -> JsonDict | None:
        if path in producers:
            return producers[path].settings
        return made[path].record["settings"] if path in made else None

    counted = _count(jobs, producers)
    stages: dict[str, Stage] = {}
    for job in jobs:
        if job.settings is None:
            continue
        own = [made[job.outputs[0]]] if job.outputs[0] in made else alike.get(_kind(job.rule, job.settings), [])
        earlier = _mean([sidecar.record["tokens"] for sidecar in own if sidecar.record.get("tokens")])
        exact, bound = counted.get(job), at_most(job.rule, job.settings, job.options, made_with)
        prompts = exact.prompts if exact else bound.prompts if bound and job.rule == "finetune" else None
        values = (
            _amount(prompts, bound and bound.prompts, counts=job.rule in RULES),
            _amount(exact.tokens if exact else earlier, bound and bound.tokens, counts=job.rule in RULES),
            _amount(_mean([sum(entry["bytes"] for entry in sidecar.outputs.values()) for sidecar in own]), None),
        )
        stage = stages.get(job.rule, Stage(job.rule, 0, Counter(), *[Amount()] * 3))
        sums = map(Amount.__add__, stage[3:], values)
        stages[job.rule] = Stage(job.rule, stage.jobs + 1, stage.causes + Counter(reasons[job]), *sums)
    return list(stages.values())


def total(stages: Sequence[Stage]) -> Stage:
    """Sum a plan up."""
    sums = [sum(amounts, Amount()) for amounts in zip(*(stage[3:] for stage in stages), strict=True)]
    return Stage("total", sum(stage.jobs for stage in stages), Counter(), *sums)


def _count(jobs: Sequence[Job], producers: Mapping[str, Job]) -> dict[Job, Reading]:
    """Count what the jobs will read whose contexts exist and aren't made again by the plan itself."""
    ready = []
    for job in jobs:
        files = read_by(job.rule, job.options)
        if files and not producers.keys() & set(files) and all(Path(path).is_file() for path in files):
            ready.append(job)
    # Texts are tokenized once for all jobs of a model on a task.
    ready.sort(key=lambda job: [(job.settings or {})[name] for name in ("model_name", "task")])
    bar = cli.progress(ready, label="counting tokens", unit="job") if ready else ()
    return {job: count(job.rule, job.settings or {}, job.options) for job in bar}


def _amount(known: float | None, bound: float | None, *, counts: bool = True) -> Amount:
    if known is not None or not counts:
        return Amount(known=known or 0)
    return Amount(unknown=1) if bound is None else Amount(at_most=bound)


def _kind(step: str, settings: JsonDict) -> tuple:
    return step, settings.get("task"), settings.get("model_name")


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _shown(value: object) -> str:
    text = canonical_json(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
