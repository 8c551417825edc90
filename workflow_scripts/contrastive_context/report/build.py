"""Collect tables, figures and provenance into one HTML file."""

import functools
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd

from contrastive_context.core import artifacts, paths
from contrastive_context.core.buckets import DEFAULT_BUCKETS
from contrastive_context.core.version import __version__
from contrastive_context.report import records, registration
from contrastive_context.report.browser import browser
from contrastive_context.report.choices import CHOICES
from contrastive_context.report.effort import efforts
from contrastive_context.report.fonts import Fonts, fonts_for
from contrastive_context.report.licences import licences
from contrastive_context.report.settings import BuildReportSettings
from contrastive_context.report.usage import effective_config, usage
from contrastive_context.tables import gaps, presentation
from contrastive_context.tables.findings import ALL, VERDICTS
from contrastive_context.tables.selection import in_order
from contrastive_context.tables.settings import Named, PresentationSettings
from contrastive_context.tables.vocabulary import STRATEGIES

_Key = TypeVar("_Key")


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
        registered: what was set before results.
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
    registered: Path | None = None
    examples: Sequence[Path] = ()
    provenance: Sequence[Path] = ()

    @classmethod
    def of_run(cls, results: Path, settings: BuildReportSettings) -> "Inputs":
        """Name the files of a run's folder; of entries no longer in the grid nothing is taken.

        Sidecars are those of the grid's steps, which only ``settings.config`` tells.
        """

        def existing(files: Mapping[_Key, Path]) -> dict[_Key, Path]:
            return {name: path for name, path in files.items() if path.is_file()}

        tasks, models = settings.tasks, settings.models
        used = usage(settings.config, tasks, models)
        pairs = [pair for pair in itertools.product(tasks, models) if not used.systems or pair in used.systems]
        examples = [results / paths.EXAMPLES.format(task=task, model=model) for task, model in pairs]
        coverage = {f"{task} evaluation": results / paths.EVAL_COVERAGE.format(task=task) for task in tasks}
        probed = [task for task in tasks if task not in used.unprobed]
        coverage |= {f"{task} probes": results / paths.PROBE_COVERAGE.format(task=task) for task in probed}
        found = results.glob(paths.HUB_RECORD.format(registry="*", entry="*"))
        downloads = {(path.parent.name, path.stem): path for path in found}
        recall = {task: results / paths.RECALL.format(task=task) for task in tasks}
        optional = existing({name: results / paths.table(name) for name in ("missing", "dropped", "truncated")})
        more = {"signatures": paths.table("signatures", "csv"), "registered": registration.FILE}
        optional |= existing({name: results / path for name, path in more.items()})
        return cls(
            scores=results / paths.table("scores"),
            probes=results / paths.table("probes"),
            findings=results / paths.table("findings"),
            figures=results / "figures",
            coverage=existing(coverage),
            recall=existing(recall),
            models=existing({model: results / paths.MODEL.format(model=model) for model in models}),
            hub={key: path for key, path in downloads.items() if not key[1].endswith(".provenance")},
            missing=optional.get("missing"),
            dropped=optional.get("dropped"),
            truncated=optional.get("truncated"),
            signatures=optional.get("signatures"),
            registered=optional.get("registered"),
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
    "fig6_plane": "The plane of p and ε",
}
_KINDS = dict(zip(VERDICTS, ("yes", "small", "no", "open", "untrained", "unasked"), strict=True))
_MARKS = dict(zip(_KINDS.values(), "✓≈✗?∅–", strict=True))


def render(inputs: Inputs, settings: BuildReportSettings) -> str:
    """Return the report as HTML. Everything that comes from data is escaped.

    Raises:
        UserError: an input is missing or unreadable.
    """
    import jinja2

    shown = _presentation(settings)
    scores = artifacts.read_parquet(inputs.scores, ("task", "model", "strategy", "bucket", "metric", "value", "n"))
    probes = artifacts.read_parquet(inputs.probes, ("task", "model", "strategy", "probe", "metric", "value", "n"))
    findings = artifacts.read_parquet(inputs.findings, ("claim", "task", "model", "verdict", "reason", "difference"))
    missing = _read(inputs.missing, gaps.MISSING)
    truncated = _read(inputs.truncated, gaps.TRUNCATED)
    provenance = [records.step(path, settings.run) for path in inputs.provenance]
    claims = presentation.findings_tables(findings, shown)
    wanted = [entry for entry in _FIGURES.items() if entry[0] not in settings.without]
    figures = [records.figure(inputs.figures, *entry, shown.confidence) for entry in wanted]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    config = effective_config(settings.config, settings.tasks, settings.models)
    page = functools.partial(
        environment.get_template("template.html").render,
        settings=settings,
        version=__version__,
        findings=claims,
        matrix=presentation.matrix(claims, shown),
        registration=registration.read(inputs.registered),
        kinds=_KINDS,
        marks=_MARKS,
        words={kind: verdict for verdict, kind in _KINDS.items()},
        verdicts=_verdict_counts(findings),
        figures=[figure for figure in figures if figure],
        tables=[
            *presentation.score_tables(scores, shown, runs=True),
            *presentation.probe_tables(probes, shown, runs=True),
        ],
        signatures=records.signatures(inputs.signatures, shown),
        missing=presentation.missing_tables(missing, shown),
        unfinished=_unfinished(missing, settings) if inputs.missing and settings.config.get("only_finished") else {},
        dropped=presentation.dropped_tables(_read(inputs.dropped, gaps.DROPPED), shown),
        truncated=presentation.truncated_tables(in_order(truncated, shown), shown, cut="Hit the length limit"),
        coverage={name: records.flat(artifacts.read_json(path)) for name, path in inputs.coverage.items()},
        recall={name: records.flat(artifacts.read_json(path)) for name, path in inputs.recall.items()},
        models={name: records.model_facts(path) for name, path in inputs.models.items()},
        provenance=provenance,
        efforts=efforts(provenance, settings.run),
        versions=records.merged_versions(record.get("versions", {}) for record in provenance),
        hosts=sorted({records.host(record.get("host", {})) for record in provenance if record.get("host")}),
        browser=browser(
            inputs.examples,
            {
                "tasks": settings.task_titles,
                "models": settings.model_titles,
                "strategies": _strategy_titles(settings),
            },
        ),
        example_files=[str(path) for path in inputs.examples],
        licences=licences(config, {key: records.download(path) for key, path in inputs.hub.items()}),
        choices=CHOICES,
        config=json.dumps(config, indent=2, ensure_ascii=False, default=str),
        confidence=f"{shown.confidence:.0%}",
    )
    # The fonts depend on the letters of the whole page.
    return page(fonts=fonts_for(page(fonts=Fonts([], []))))


def _strategy_titles(settings: BuildReportSettings) -> dict[str, str]:
    return STRATEGIES | {name: title for name, title in settings.strategy_titles.items() if title != name}


def _presentation(settings: BuildReportSettings) -> PresentationSettings:
    """Return titles and orders; strategies are in the order of their kinds, whatever the grid's is."""

    def named(order: Iterable[str], titles: Mapping[str, str]) -> list[Named]:
        return [Named(name=name, title=titles.get(name)) for name in dict.fromkeys([*order, *sorted(titles)])]

    return PresentationSettings(
        tasks=named(settings.tasks, settings.task_titles),
        models=named(settings.models, settings.model_titles),
        strategies=named(STRATEGIES, settings.strategy_titles | _strategy_titles(settings)),
        headline=settings.headline,
        buckets=settings.config.get("buckets") or DEFAULT_BUCKETS,
        confidence=settings.config.get("statistics", {}).get("confidence", 0.95),
    )


def _read(path: Path | None, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table; without one it has no rows."""
    return artifacts.read_parquet(path, columns) if path else pd.DataFrame(columns=list(columns))


def build(inputs: Inputs, settings: BuildReportSettings, out: str | Path) -> None:
    """Write the report to ``out``, atomically."""
    html = render(inputs, settings)
    with artifacts.atomic_path(out) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _verdict_counts(findings: pd.DataFrame) -> dict[str, int]:
    pooled = findings.loc[findings["model"] == ALL, "verdict"]
    return {kind: int((pooled == verdict).sum()) for verdict, kind in _KINDS.items()}


def _unfinished(missing: pd.DataFrame, settings: BuildReportSettings) -> dict[str, int]:
    """How many systems the grid has, base included, and how many of them have no answers."""
    used = usage(settings.config, settings.tasks, settings.models)
    without = int((missing["what"] == "answers").sum())
    return {"systems": sum(map(len, used.systems.values())), "without": without}
