"""Tables for readers, made once from the tidy tables: the report shows them as HTML, LaTeX prints them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from contrastive_context.config.claims import CLAIMS
from contrastive_context.contexts.series import SAME_TARGETS
from contrastive_context.core.buckets import NO_BUCKET
from contrastive_context.core.frames import groups_of, rows_of
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables.findings import ALL
from contrastive_context.tables.gaps import NOTED
from contrastive_context.tables.numbers import Estimate, estimate, share, written
from contrastive_context.tables.selection import headline_seed, last_step, ordered, systems, with_series
from contrastive_context.tables.settings import PresentationSettings
from contrastive_context.tables.vocabulary import PROBE_TITLES, SERIES, composition_title, spaced

_Column = TypeVar("_Column")


@dataclass
class Table:
    """A table as it is read.

    Attributes:
        title: its heading on a page.
        caption: the sentence beside it in print.
        label: what a document refers to it by.
        columns: heads of the columns.
        rows: as many cells as there are columns.
        headline: whether it is among those that are shown first.
    """

    title: str
    caption: str
    label: str
    columns: list[str]
    rows: Sequence[Sequence[str | Estimate]]
    headline: bool = True


class Comparison(NamedTuple):
    """The difference behind a claim: of one model or of all, in contexts of one composition, over so many runs;
    ``quantity`` is of what."""

    model: str
    composition: str
    difference: Estimate
    quantity: str
    runs: str


class Judgement(NamedTuple):
    """A verdict and the sentence that it rests on."""

    verdict: str
    sentence: str


@dataclass
class ClaimRow:
    """A claim about a task: its verdict, and the differences behind it.

    Attributes:
        name: of the claim.
        text: the claim in words.
        source: where it is said.
        threshold: what it had to reach.
        judgement: over all models.
        pooled: the difference over all models.
        family: its interval for any such model, and how many of these models are on the claim's side.
        models: the difference of each model.
    """

    name: str
    text: str
    source: str
    threshold: str
    judgement: Judgement
    pooled: Comparison
    family: str
    models: list[Comparison]


@dataclass
class Findings:
    """The claims compared on one test set of a task, or by its probes."""

    task: str
    test_set: str
    title: str
    caption: str
    label: str
    claims: list[ClaimRow]

    def table(self) -> Table:
        """Return a table with a row per claim and one per model."""
        rows: list[list[str | Estimate]] = []
        for claim in self.claims:
            rows.append([claim.text, "all", *claim.pooled[1:3], claim.judgement.verdict])
            rows += [["", each.model, each.composition, each.difference, ""] for each in claim.models]
        return Table(self.title, self.caption, self.label, ["Claim", "Model", "Context", "Difference", "Verdict"], rows)


@dataclass
class Matrix:
    """All verdicts at a glance: claims × tasks; a row has the claim of each task, None where it isn't there."""

    columns: list[str]
    rows: list[list[ClaimRow | None]]


def score_tables(scores: pd.DataFrame, settings: PresentationSettings, *, runs: bool = False) -> list[Table]:
    """Return tables of scores: per task, test set, series and metric, systems × (composition, bucket), last step.

    Args:
        scores: R/tables/scores.
        settings: titles, orders, edges.
        runs: whether a column says how many training runs a row rests on.
    """
    buckets = [NO_BUCKET, *settings.bucket_names()]

    def order(column: tuple[str, str]) -> tuple:
        composition, bucket = column
        known = buckets.index(bucket) if bucket in buckets else len(buckets)
        return composition != "zero_context", composition, known, bucket

    tables = []
    rows = headline_seed(last_step(with_series(scores)))
    for (task, test_set, series, metric), here in _groups(rows, ["task", "test_set", "series", "metric"], settings):
        info = get_metric(metric)
        cells = list(zip(here["composition"], here["bucket"], strict=True))
        columns = {
            (composition, bucket): composition_title(composition) + ("" if bucket == NO_BUCKET else f", {bucket}")
            for composition, bucket in sorted(set(cells), key=order)
        }
        names = settings.title("tasks", task), _test_set(test_set, settings)
        scale = f"{info.title} (0–{info.maximum:g})"
        title = [*names, scale]
        caption = f"{names[0]}, {names[1]}: {scale}"
        label = f"tab:scores-{task}-{test_set}-{metric}"
        if series != SAME_TARGETS:
            title.append(f"{SERIES[series]}; zero-shot: the same targets")
            caption += f", {spaced(series)}"
            label += f"-{series}"
        tables.append(
            Table(
                " · ".join(title),
                caption + _AT_LAST_STEP.format(settings.confidence),
                label,
                *_systems(here, cells, columns, info.maximum, settings, runs),
                headline=series == SAME_TARGETS and settings.headline.get(task, metric) == metric,
            )
        )
    return tables


def probe_tables(probes: pd.DataFrame, settings: PresentationSettings, *, runs: bool = False) -> list[Table]:
    """Return tables of probes: per task and measure, systems × probes, at the last step.

    Args:
        probes: R/tables/probes.
        settings: titles and orders.
        runs: whether a column says how many training runs a row rests on.
    """
    # As in the findings: generated answers, and likelihoods where a task has no such ones.
    generated = set(probes.loc[probes["metric"] == "generation", "task"])
    tables = []
    for (task, measure), here in _groups(headline_seed(last_step(probes)), ["task", "metric"], settings):
        columns = {name: PROBE_TITLES.get(name, name) for name in ordered(here["probe"], list(PROBE_TITLES))}
        unit = "nats per token; ICL: per token of the edited label" if measure == "likelihood" else "agreement or share"
        name = settings.title("tasks", task)
        tables.append(
            Table(
                f"{name} · probes by {measure} ({unit})",
                f"{name}: probes by {measure}" + _AT_LAST_STEP.format(settings.confidence),
                f"tab:probes-{task}-{measure}",
                *_systems(here, list(here["probe"]), columns, 1.0, settings, runs),
                headline=measure == "generation" or task not in generated,
            )
        )
    return tables


_AT_LAST_STEP = ", last training step, with {:.0%} interval."


def _systems(
    frame: pd.DataFrame,
    cells: list[_Column],
    columns: Mapping[_Column, str],
    maximum: float,
    settings: PresentationSettings,
    runs: bool,
) -> tuple[list[str], list[list[str | Estimate]]]:
    """Return heads and rows of a table systems × columns; ``cells`` has the column of each row of ``frame``."""
    lines: dict[tuple[str, str, str], dict[_Column, Estimate]] = {}
    for row, column in zip(rows_of(frame), cells, strict=True):
        line = lines.setdefault((row.model, row.strategy, _runs(row.seeds, row.seed) if runs else ""), {})
        line[column] = estimate(row.value, row.ci_low, row.ci_high, maximum)
    models, strategies = ordered(frame["model"], settings.order("models")), systems(frame, settings)
    rows: list[list[str | Estimate]] = []
    for model, strategy, run in sorted(lines, key=lambda key: (models.index(key[0]), strategies.index(key[1]), key[2])):
        line = lines[model, strategy, run]
        head = [_model(model, settings), settings.title("strategies", strategy), *([run] if runs else [])]
        rows.append([*head, *(line.get(column, Estimate()) for column in columns)])
    return ["Model", "Strategy", *(["Training run"] if runs else []), *columns.values()], rows


def _runs(seeds: int, seed: int) -> str:
    if seeds == 0:
        return ""
    return f"seed {seed}" if seeds == 1 else f"mean of {seeds}"


def _model(name: str, settings: PresentationSettings) -> str:
    return "–" if name == "none" else settings.title("models", name)


def _test_set(name: str, settings: PresentationSettings) -> str:
    return "probes" if name == "none" else settings.title("test_sets", name)


def _groups(
    frame: pd.DataFrame, keys: list[str], settings: PresentationSettings
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield groups, the first key a task: in the order of tasks, else as they come in the table."""
    for task in ordered(frame["task"], settings.order("tasks")):
        yield from groups_of(frame.loc[frame["task"] == task], *keys)


def findings_tables(findings: pd.DataFrame, settings: PresentationSettings) -> list[Findings]:
    """Return the verdict on every claim and the differences behind it, per task and test set, those of probes last."""
    tables = []
    for (task, test_set), here in _groups(findings, ["task", "test_set"], settings):
        where = settings.title("tasks", task), _test_set(test_set, settings)
        claims = []
        for (name,), of_claim in groups_of(here, "claim"):
            every, *single = sorted(rows_of(of_claim), key=lambda row: row.model != ALL)
            maximum = 1.0 if test_set == "none" else get_metric(every.metric).maximum
            models = ordered([row.model for row in single], settings.order("models"))
            claims.append(
                ClaimRow(
                    name,
                    every.text,
                    every.source,
                    _threshold(every.threshold, maximum),
                    Judgement(every.verdict, _sentence(every, maximum)),
                    _comparison(every, maximum, settings),
                    _family(every, maximum),
                    [
                        _comparison(row, maximum, settings)
                        for row in sorted(single, key=lambda row: models.index(row.model))
                    ],
                )
            )
        caption = f"{', '.join(where)}: paired differences; positive supports the claim."
        label = f"tab:findings-{task}-{test_set}"
        tables.append(Findings(task, test_set, " · ".join(where), caption, label, claims))
    return tables


def matrix(tables: Sequence[Findings], settings: PresentationSettings) -> Matrix:
    """Return the verdicts of all claims: a column per task and test set; those by probes stand beside the first one."""
    first: dict[str, str] = {}
    for table in tables:
        if table.test_set != "none" or table.task not in first:
            first.setdefault(table.task, table.test_set)
    columns: dict[tuple[str, str], dict[str, ClaimRow]] = {}
    for table in tables:
        key = table.task, first[table.task] if table.test_set == "none" else table.test_set
        columns.setdefault(key, {}).update({claim.name: claim for claim in table.claims})
    several = {task for task, _ in columns if sum(task == other for other, _ in columns) > 1}
    heads = [
        settings.title("tasks", task) + (f", {_test_set(test_set, settings)}" if task in several else "")
        for task, test_set in columns
    ]
    rows = [[column.get(claim.name) for column in columns.values()] for claim in CLAIMS]
    return Matrix(heads, [row for row in rows if any(row)])


def _comparison(row: Any, maximum: float, settings: PresentationSettings) -> Comparison:
    return Comparison(
        "all models" if row.model == ALL else settings.title("models", row.model),
        composition_title(row.composition),
        estimate(row.difference, row.ci_low, row.ci_high, maximum),
        row.quantity,
        row.runs,
    )


def _sentence(row: Any, maximum: float) -> str:
    if row.reason:
        return row.reason
    difference = estimate(row.difference, row.ci_low, row.ci_high, maximum)
    where = composition_title(row.composition)
    return f"{row.quantity}{f', {where}' if where else ''}: {difference}; {row.positive} of {row.models} models"


def _family(row: Any, maximum: float) -> str:
    if pd.isna(row.models):
        return ""
    signs = f"{row.positive} of {row.models} models on its side"
    if pd.isna(row.family_low):
        return signs
    return f"{signs}; any such model: {estimate(row.difference, row.family_low, row.family_high, maximum).interval}"


def _threshold(value: float, maximum: float) -> str:
    """Say what a claim had to reach: the smallest effect that counts, or the margin that counts as level."""
    if pd.isna(value):
        return ""
    if value < 0:
        return f"level within {written(-value, maximum)}"
    return f"smallest effect {written(value, maximum)}"


def missing_tables(missing: pd.DataFrame, settings: PresentationSettings) -> list[Table]:
    """Return what the grid should have and the tables don't, with the reason: one table for all tasks, if any."""
    keys = ["task", "model", "strategy", "what", "test_set", "reason"]
    rows: list[list[str | Estimate]] = []
    for (task, model, strategy, what, test_set, reason), here in groups_of(missing, *keys, dropna=False):
        seeds = [str(seed) for seed in here["seed"].dropna()]
        cells = zip(here["composition"].dropna(), here["bucket"].dropna(), strict=True)
        words = [what] if what != "scores" else []
        words += [f"of seed {', '.join(seeds)}"] if seeds else []
        words += [", ".join(spaced(f"{composition}/{bucket}") for composition, bucket in cells)]
        words += [f"({spaced(test_set)})"] if pd.notna(test_set) and what == "scores" else []
        model = settings.title("models", model) if pd.notna(model) else "all"
        strategy = settings.title("strategies", strategy) if pd.notna(strategy) else "all"
        rows.append([settings.title("tasks", task), model, strategy, " ".join(filter(None, words)), reason])
    columns = ["Task", "Model", "Strategy", "Missing", "Reason"]
    return [Table("What is missing", "What is missing, and why.", "tab:missing", columns, rows)] if rows else []


def truncated_tables(
    truncated: pd.DataFrame, settings: PresentationSettings, cut: str = "Cut at the length limit"
) -> list[Table]:
    """Return the answers that were cut and the prompts that lost examples, per task, model and strategy, if any.

    Args:
        truncated: R/tables/truncated.
        settings: titles.
        cut: head of the column of cut answers.
    """
    rows = [
        [
            settings.title("tasks", row.task),
            _model(row.model, settings),
            settings.title("strategies", row.strategy),
            f"{row.answers:,}",
            share(row.cut, row.answers),
            share(row.shortened, row.answers),
        ]
        for row in rows_of(truncated)
    ]
    title = "Cut answers and shortened prompts"
    columns = ["Task", "Model", "Strategy", "Answers", cut, "Prompts that lost examples"]
    return [Table(title, f"{title}.", "tab:truncated", columns, rows)] if rows else []


def dropped_tables(dropped: pd.DataFrame, settings: PresentationSettings) -> list[Table]:
    """Return, per task, the rows read, dropped by reason and kept, a column per split; shares are of the kept."""
    tables = []
    for (task,), here in groups_of(dropped, "task"):
        splits = list(dict.fromkeys(here["split"]))
        counts = {
            what: dict(zip(rows["split"], rows["rows"], strict=True)) for (what,), rows in groups_of(here, "what")
        }
        # What is noted of all test sets together is a share of all.
        kept = {
            split: sum(n for name, n in counts.get("kept", {}).items() if f"{name}/".startswith(f"{split}/"))
            for split in splits
        }
        rows: list[list[str | Estimate]] = [
            [what, *(share(of[split], kept[split] * what.startswith(NOTED)) if split in of else "" for split in splits)]
            for what, of in counts.items()
        ]
        name = settings.title("tasks", task)
        caption = f"{name}: rows of the corpus."
        tables.append(Table(f"Corpus: {name}", caption, f"tab:dropped-{task}", ["Rows", *splits], rows))
    return tables
