"""Collect tables, figures and provenance into one HTML file."""

import base64
import contextlib
import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrastive_context.config.base import Model
from contrastive_context.contexts.series import ALL_TARGETS, SAME_TARGETS, STAND_INS
from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.core.sidecars import read_sidecar
from contrastive_context.core.version import __version__
from contrastive_context.report.browser import browser
from contrastive_context.report.choices import CHOICES
from contrastive_context.report.effort import efforts
from contrastive_context.report.fonts import Fonts, fonts_for
from contrastive_context.report.licences import licences
from contrastive_context.report.usage import effective_config, usage
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.scoring.signatures import read_revisions
from contrastive_context.tables import gaps
from contrastive_context.tables.findings import VERDICTS
from contrastive_context.tables.numbers import share, with_interval, written
from contrastive_context.tables.selection import headline_seed, ordered, with_series
from contrastive_context.tables.wording import intervals


class Settings(Model):
    """Settings of the step.

    ``config`` is the whole configuration, of which the entries that the grid uses are shown. ``tasks`` and ``models``
    are in the order of the grid.
    """

    title: str = "Contrastive context sampling"
    run: str = ""
    config: dict[str, Any] = {}
    tasks: list[str] = []
    models: list[str] = []
    task_titles: dict[str, str] = {}
    model_titles: dict[str, str] = {}
    strategy_titles: dict[str, str] = {}
    headline: dict[str, str] = {}


@dataclass
class Inputs:
    """What a report is built from: paths, by name where there are several.

    Attributes:
        scores: table of scores.
        probes: table of probes.
        findings: table of findings.
        figures: folder with the PNGs.
        coverage: name → coverage.json of its contexts.
        recall: task → recall.json of its neighbours.
        models: model → its hash file, whose extras (parameters, gate results) are shown.
        hub: (registry, name) → record of what was downloaded from the hub.
        missing: table of what the grid should have and the tables don't.
        dropped: table of the rows read, dropped and kept for each corpus.
        truncated: table of cut answers and shortened prompts.
        signatures: signatures of the metrics (CSV).
        examples: files of prompts with their answers, for the example browser.
        provenance: sidecars to list.
    """

    scores: Path
    probes: Path
    findings: Path
    figures: Path
    coverage: Mapping[str, Path] = field(default_factory=dict)
    recall: Mapping[str, Path] = field(default_factory=dict)
    models: Mapping[str, Path] = field(default_factory=dict)
    hub: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    missing: Path | None = None
    dropped: Path | None = None
    truncated: Path | None = None
    signatures: Path | None = None
    examples: Sequence[Path] = ()
    provenance: Sequence[Path] = ()

    @classmethod
    def of_run(cls, results: Path, settings: Settings) -> "Inputs":
        """Name the files of a run's folder; of entries no longer in the grid nothing is taken.

        Sidecars are those of the grid's steps, which only ``settings.config`` tells.
        """

        def existing(paths: Mapping[Any, Path]) -> dict[Any, Path]:
            return {name: path for name, path in paths.items() if path.is_file()}

        tasks, models = settings.tasks, settings.models
        used = usage(settings.config, tasks, models)
        pairs = [pair for pair in itertools.product(tasks, models) if not used.systems or pair in used.systems]
        examples = [results / "examples" / task / f"{model}.parquet" for task, model in pairs]
        contexts = results / "contexts"
        coverage = {f"{task} evaluation": contexts / task / "eval.coverage.json" for task in tasks}
        coverage |= {f"{task} probes": contexts / task / "probes.coverage.json" for task in tasks}
        downloads = {(path.parent.name, path.stem): path for path in (results / "hub").glob("*/*.json")}
        recall = {task: results / "neighbours" / task / "train.recall.json" for task in tasks}
        return cls(
            *(results / f"tables/{name}.parquet" for name in ("scores", "probes", "findings")),
            figures=results / "figures",
            coverage=existing(coverage),
            recall=existing(recall),
            models=existing({model: results / "models" / f"{model}.json" for model in models}),
            hub={key: path for key, path in downloads.items() if not key[1].endswith(".provenance")},
            **existing({name: results / f"tables/{name}.parquet" for name in ("missing", "dropped", "truncated")}),
            signatures=signatures if (signatures := results / "tables/signatures.csv").is_file() else None,
            examples=[path for path in examples if path.is_file()],
            provenance=sorted(
                path for path in results.rglob("*.provenance.json") if used.has_made(path.relative_to(results))
            ),
        )


#: Figure → heading; its caption is in ``captions/<figure>.rst``, which Snakemake's own report shows too.
_FIGURES = {
    "fig1_summary": "Summary: accuracy against context similarity",
    "fig2_minimal_model": "The minimal model and its simulated training",
    "fig3_similarity_grid": "Accuracy against context similarity",
    "fig4_probes": "Probes over training, from generated answers",
    "fig4_probes_likelihood": "Probes over training, from likelihoods",
    "fig5_ablations": "Ablations",
}
_CAPTIONS = Path(__file__).with_name("captions")
_KINDS = dict(zip(VERDICTS, ("yes", "small", "no", "open"), strict=True))
_PROBES = {"iwl": "IWL", "icl": "ICL", "icl_valid": "ICL (valid label)", "copy": "Copy",
           "icl_gain": "ICL-gain (secondary)", "override": "Override (secondary)"}  # fmt: skip
_COMPOSITIONS = {"one_graded": "one graded", "top_k": "k nearest", "zero_context": "zero-shot", "none": ""}
_SERIES = {
    ALL_TARGETS: "all targets, each in the buckets that it fills; zero-shot: the same targets",
    STAND_INS: "paraphrases of the targets stand in; zero-shot: the same targets",
}
_STRATEGIES = {"base": "Base", "nearest_label": "Nearest label", "zero": "Zero", "random": "Random",
               "similar": "Similar", "contrastive": "Contrastive", "mixed": "Mixed"}  # fmt: skip
_ORDER = list(_STRATEGIES)


def render(inputs: Inputs, settings: Settings) -> str:
    """Return the report as HTML. Everything that comes from data is escaped.

    Raises:
        UserError: an input is missing or unreadable.
    """
    import jinja2

    scores = artifacts.read_parquet(inputs.scores, ("task", "model", "strategy", "bucket", "metric", "value", "n"))
    probes = artifacts.read_parquet(inputs.probes, ("task", "model", "strategy", "probe", "metric", "value", "n"))
    findings = artifacts.read_parquet(inputs.findings, ("claim", "counted", "task", "model", "verdict", "difference"))
    provenance = [_step(path, settings.run) for path in inputs.provenance]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    confidence = settings.config.get("statistics", {}).get("confidence", 0.95)
    config = effective_config(settings.config, settings.tasks, settings.models)
    page = functools.partial(
        environment.get_template("template.html").render,
        settings=settings,
        version=__version__,
        findings=_findings(findings, settings),
        verdicts=_verdict_counts(findings),
        figures=[_figure(inputs.figures, *entry, confidence) for entry in _FIGURES.items()],
        score_tables=_score_tables(scores, settings),
        probe_tables=_probe_tables(probes, settings),
        signatures=_signatures(inputs.signatures, settings),
        missing=_missing(inputs.missing, settings),
        unfinished=_unfinished(inputs.missing, settings),
        dropped=_dropped(inputs.dropped),
        coverage={name: _flat(artifacts.read_json(path)) for name, path in inputs.coverage.items()},
        recall={name: _flat(artifacts.read_json(path)) for name, path in inputs.recall.items()},
        models={name: _model_facts(path) for name, path in inputs.models.items()},
        provenance=provenance,
        efforts=efforts(provenance, settings.run),
        versions=_merge(record.get("versions", {}) for record in provenance),
        hosts=sorted({_host(record.get("host", {})) for record in provenance if record.get("host")}),
        truncated=_truncated(inputs.truncated, settings),
        browser=browser(inputs.examples, _all_titles(settings)),
        example_files=[str(path) for path in inputs.examples],
        licences=licences(config, {key: _download(path) for key, path in inputs.hub.items()}),
        choices=CHOICES,
        config=json.dumps(config, indent=2, ensure_ascii=False, default=str),
        confidence=f"{confidence:.0%}",
    )
    # The fonts depend on the letters of the whole page.
    return page(fonts=fonts_for(page(fonts=Fonts([], []))))


def _all_titles(settings: Settings) -> dict[str, dict[str, str]]:
    strategies = dict(_STRATEGIES) | {name: title for name, title in settings.strategy_titles.items() if title != name}
    return {"tasks": settings.task_titles, "models": settings.model_titles, "strategies": strategies}


def build(inputs: Inputs, settings: Settings, out: str | Path) -> None:
    """Write the report to ``out``, atomically."""
    html = render(inputs, settings)
    with artifacts.atomic_path(out) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _signatures(path: Path | None, settings: Settings) -> list[str]:
    """What to quote beside the numbers; with the tasks where one metric has several signatures."""
    if path is None:
        return []
    import pandas as pd

    result = []
    with _of_this_version(path):
        for _, of_metric in pd.read_csv(path).groupby("metric"):
            for text, here in of_metric.groupby("signature"):
                tasks = ", ".join(_title(settings.task_titles, task) for task in here["task"])
                result.append(text if len(here) == len(of_metric) else f"{text} ({tasks})")
    return result


def _with_interval(row: Any, maximum: float, value: str = "value") -> str:
    return with_interval(getattr(row, value), row.ci_low, row.ci_high, maximum)


def _title(names: Mapping[str, str], key: str) -> str:
    return names.get(key, key.replace("_", " "))


def _test_set(test_set: str) -> str:
    return "probes" if test_set == "none" else test_set.replace("_", " ")


def _findings(findings: "Any", settings: Settings) -> list[dict[str, Any]]:
    """One table per task and test set: claims × models, a line per composition in each cell."""
    result = []
    groups = sorted(
        findings.groupby(["task", "test_set"]),
        key=lambda item: (_place(item[0][0], settings.tasks), item[0][1] == "none"),
    )
    for (task, test_set), group in groups:
        models = ordered([name for name in group["model"].unique() if name != "all"], settings.models)
        rows = []
        for _, of_claim in group.groupby("claim", sort=False):
            first = of_claim.iloc[0]
            maximum = 1.0 if test_set == "none" else get_metric(first["metric"]).maximum
            cells = []
            for model in models:
                cells.append(
                    [
                        {
                            "composition": _title(_COMPOSITIONS, row.composition),
                            "verdict": row.verdict,
                            "kind": _KINDS[row.verdict],
                            "text": _with_interval(row, maximum, "difference"),
                            # Where it was compared is in the claim already.
                            "quantity": row.quantity.split(", ")[0]
                            + (" (closest rival)" if "closest rival" in row.quantity else ""),
                        }
                        for row in of_claim.loc[of_claim["model"] == model].itertuples()
                    ]
                )
            total = of_claim.loc[of_claim["model"] == "all"]
            rows.append(
                {
                    "text": first["text"],
                    "source": first["source"],
                    "threshold": _threshold(first["threshold"], maximum),
                    "cells": cells,
                    "total": total["verdict"].iloc[0] if len(total) else "",
                    "scope": total["scope"].iloc[0] if len(total) else "",
                    "detail": total["quantity"].iloc[0] if len(total) else "",
                }
            )
        result.append(
            {
                "title": f"{_title(settings.task_titles, task)} · {_test_set(test_set)}",
                "models": [_title(settings.model_titles, name) for name in models],
                "rows": rows,
            }
        )
    return result


def _threshold(value: float, maximum: float) -> str:
    """Say what a claim had to reach: the smallest effect that counts, or the margin that counts as level."""
    if value < 0:
        return f"level within {written(-value, maximum)}"
    return f"smallest effect {written(value, maximum)}"


def _verdict_counts(findings: "Any") -> dict[str, int]:
    single = findings.loc[(findings["model"] != "all") & findings["counted"].astype(bool), "verdict"]
    return {kind: int((single == verdict).sum()) for verdict, kind in _KINDS.items()}


def _figure(folder: Path, name: str, title: str, confidence: float) -> dict[str, str]:
    import pandas as pd

    caption = " ".join((_CAPTIONS / f"{name}.rst").read_text(encoding="utf-8").split())
    path = Path(folder) / f"{name}.png"
    try:
        data = path.read_bytes()
        with _of_this_version(path.with_suffix(".csv")):
            drawn = pd.read_csv(path.with_suffix(".csv"))
            drawn = drawn.loc[drawn["value"].notna()]
            counts = drawn["n"].dropna()
            systems = drawn["condition" if "condition" in drawn else "strategy"]
    except OSError as error:
        raise UserError(f"{error.filename}: can't be read ({error.strerror}); draw the figures first") from error
    if not len(drawn):
        return {"name": name, "title": title, "caption": f"{caption} Not measured in this run.", "data": "", "alt": ""}
    caption += f" n = {_span(counts)} per point"
    if {"seeds", "strategy"} <= set(drawn):
        shown = headline_seed(drawn)
        runs = shown.loc[shown["seeds"] > 0, "seeds"]
        caption += f"; bars: {intervals(shown, confidence)}; "
        caption += f"{_span(runs) if len(runs) else 'no'} training run(s) per strategy"
    return {
        "name": name,
        "title": title,
        "caption": f"{caption}.",
        "data": base64.b64encode(data).decode("ascii"),
        "alt": f"{title}: {len(drawn)} points of {', '.join(sorted(map(str, systems.unique())))}. The numbers are in "
        f"figures/{name}.csv.",
    }


def _span(numbers: "Any") -> str:
    low, high = int(min(numbers)), int(max(numbers))
    return str(low) if low == high else f"{low} to {high}"


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (list(order).index(name) if name in order else len(order), name)


def _strategy(name: str, settings: Settings) -> str:
    title = settings.strategy_titles.get(name, name)
    return _STRATEGIES.get(name, name) if title == name else title


def _run_name(row: Any) -> str:
    if row.seeds == 0:
        return ""
    return f"seed {row.seed}" if row.seeds == 1 else f"mean of {row.seeds}"


def _pivot(rows: "Any", columns: Sequence[Any], key: Any, maximum: float, settings: Settings) -> list[dict[str, Any]]:
    lines: dict[tuple, dict[Any, str]] = {}
    for row in rows.itertuples():
        line = (
            _place(row.model, settings.models),
            row.model,
            _place(row.strategy, _ORDER),
            row.strategy,
            _run_name(row),
        )
        lines.setdefault(line, {})[key(row)] = _with_interval(row, maximum)
    return [
        {
            "model": "–" if model == "none" else _title(settings.model_titles, model),
            "strategy": _strategy(strategy, settings),
            "run": run,
            "cells": [cells.get(column, "–") for column in columns],
        }
        for (_, model, _, strategy, run), cells in sorted(lines.items())
    ]


def _last(rows: "Any") -> "Any":
    rows = headline_seed(rows)
    return rows.loc[rows["step"] == rows.groupby(["task", "model", "strategy"])["step"].transform("max")]


def _score_tables(scores: "Any", settings: Settings) -> list[dict[str, Any]]:
    """Per task, test set, series and metric: systems × (composition, bucket), at the last step."""
    result = []
    edges = settings.config.get("buckets") or {"low": 0, "medium": 0.33, "high": 0.67}
    buckets = sorted(edges, key=edges.__getitem__)
    order = {name: place for place, name in enumerate(("none", *buckets))}
    groups = _last(with_series(scores)).groupby(["task", "test_set", "series", "metric"], sort=False)
    for (task, test_set, series, metric), rows in sorted(groups, key=lambda item: _place(item[0][0], settings.tasks)):
        pairs = set(zip(rows["composition"], rows["bucket"], strict=True))
        columns = sorted(pairs, key=lambda pair: (pair[0] != "zero_context", pair[0], order.get(pair[1], 99), pair[1]))
        info = get_metric(metric)
        result.append(
            {
                "title": f"{_title(settings.task_titles, task)} · {_test_set(test_set)} · "
                f"{info.title} (0–{info.maximum:g})"
                + ("" if series == SAME_TARGETS else f" · {_title(_SERIES, series)}"),
                "headline": series == SAME_TARGETS and settings.headline.get(task, metric) == metric,
                "columns": [_title(_COMPOSITIONS, c) + ("" if b == "none" else f", {b}") for c, b in columns],
                "rows": _pivot(rows, columns, lambda row: (row.composition, row.bucket), info.maximum, settings),
            }
        )
    return result


def _probe_tables(probes: "Any", settings: Settings) -> list[dict[str, Any]]:
    """Per task and measure: systems × probes, at the last step."""
    result = []
    # As in the findings: generated answers, and likelihoods where a task has no such ones.
    measures = {
        task: "generation" if "generation" in set(rows["metric"]) else "likelihood"
        for task, rows in probes.groupby("task")
    }
    groups = _last(probes).groupby(["task", "metric"], sort=False)
    for (task, measure), rows in sorted(groups, key=lambda item: _place(item[0][0], settings.tasks)):
        columns = [name for name in _PROBES if name in set(rows["probe"])]
        unit = "nats per token; ICL: per token of the edited label" if measure == "likelihood" else "agreement or share"
        result.append(
            {
                "title": f"{_title(settings.task_titles, task)} · probes by {measure} ({unit})",
                "headline": measure == measures[task],
                "columns": [_PROBES[name] for name in columns],
                "rows": _pivot(rows, columns, lambda row: row.probe, 1.0, settings),
            }
        )
    return result


def _missing(path: Path | None, settings: Settings) -> list[dict[str, str]]:
    """What the grid should have and the tables don't, a line per task, model, strategy and reason."""
    if path is None:
        return []
    return [
        {
            "task": _title(settings.task_titles, line.task),
            "model": _title(settings.model_titles, line.model) if line.model else "all",
            "strategy": _strategy(line.strategy, settings) if line.strategy else "all",
            "what": line.what,
            "reason": line.reason,
        }
        for line in gaps.lines(artifacts.read_parquet(path, gaps.MISSING))
    ]


def _unfinished(path: Path | None, settings: Settings) -> dict[str, int]:
    """How many systems the grid has, base included, and how many of them have no answers; empty if none lacks any."""
    if path is None or not settings.config.get("only_finished"):
        return {}
    table = artifacts.read_parquet(path, gaps.MISSING)
    used = usage(settings.config, settings.tasks, settings.models)
    return {
        "systems": sum(map(len, used.systems.values())),
        "without": int((table["what"] == "answers").sum()),
    }


def _dropped(path: Path | None) -> dict[str, Any]:
    """Task → what became of the rows of its corpus: splits, and per line a number for each."""
    if path is None:
        return {}
    table = artifacts.read_parquet(path, gaps.DROPPED)
    return {task: gaps.by_split(rows) for task, rows in table.groupby("task", sort=False)}


def _truncated(path: Path | None, settings: Settings) -> list[dict[str, str]]:
    """Per task, model and strategy: answers cut at the length limit, and prompts that lost examples for length."""
    if path is None:
        return []
    table = artifacts.read_parquet(path, gaps.TRUNCATED)
    rows = sorted(
        table.itertuples(),
        key=lambda row: (
            _place(row.task, settings.tasks),
            _place(row.model, settings.models),
            _place(row.strategy, _ORDER),
        ),
    )
    return [
        {
            "task": _title(settings.task_titles, row.task),
            "model": _title(settings.model_titles, row.model),
            "strategy": _strategy(row.strategy, settings),
            "answers": f"{row.answers:,}",
            "cut": share(row.cut, row.answers),
            "lost": share(row.shortened, row.answers),
        }
        for row in rows
    ]


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Flatten JSON into (path, value) pairs; lists of scalars stay one value, long ones are cut."""
    if isinstance(value, dict):
        return [
            pair for key, item in value.items() for pair in _flat(item, f"{prefix} › {key}" if prefix else str(key))
        ]
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return [pair for place, item in enumerate(value) for pair in _flat(item, f"{prefix} › {place}")]
    if isinstance(value, list):
        text = ", ".join(map(str, value[:20])) + (" …" if len(value) > 20 else "")
    else:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return [(prefix, text)]


@contextlib.contextmanager
def _of_this_version(path: str | Path) -> Iterator[None]:
    """Refuse a file by its path where what the report shows isn't in it."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: not what this version writes ({type(error).__name__}: {error}); delete it and run again"
        ) from error


def _model_facts(path: Path) -> list[tuple[str, str]]:
    record = artifacts.read_json(path)
    with _of_this_version(path):
        return _flat({key: value for key, value in record.items() if key != "files"})


def _download(path: Path) -> Mapping[str, Any]:
    """Read the record of a download from the hub."""
    read_revisions([path])
    return artifacts.read_json(path)


def _step(path: Path, run: str) -> Mapping[str, Any]:
    """Read a sidecar that has what the report tells of a step."""
    record = read_sidecar(path).record
    with _of_this_version(path):
        efforts([record], run)
        _host(record.get("host", {}))
        _merge([record.get("versions", {})])
    return record


def _merge(versions: Any) -> dict[str, str]:
    """Union of the versions of all steps; a package seen in two versions shows both."""
    seen: dict[str, set[str]] = {}
    for entry in versions:
        for name, version in entry.items():
            seen.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(seen[name])) for name in sorted(seen)}


def _host(host: Mapping[str, Any]) -> str:
    return f"{host.get('system', '?')} {host.get('machine', '')}, {host.get('cpus', '?')} CPUs"
