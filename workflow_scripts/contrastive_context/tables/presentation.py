"""Tables for readers, made once from the tidy tables: the report shows them as HTML, LaTeX prints them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from contrastive_context.contexts.series import SAME_TARGETS
from contrastive_context.core.buckets import NO_BUCKET
from contrastive_context.core.frames import groups_of, rows_of
from contrastive_context.scoring.metrics import get_metric
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
    """The paired difference behind a claim, of one model in contexts of one composition; ``quantity`` is of what."""

    model: str
    composition: str
    difference: Estimate
    verdict: str
    quantity: str


@dataclass
class ClaimRow:
    """A claim with its comparisons, and in how many models it shows.

    Attributes:
        text: the claim.
        source: where it is said.
        threshold: what it had to reach.
        comparisons: in the order of compositions, then models.
        total: in how many models it shows.
        scope: what that rests on.
        detail: how many models show it, how many don't.
    """

    text: str
    source: str
    threshold: str
    comparisons: list[Comparison]
    total: str = ""
    scope: str = ""
    detail: str = ""


@dataclass
class Findings:
    """The claims compared on one test set of a task, or by its probes; ``models``: name → title."""

    title: str
    caption: str
    label: str
    models: dict[str, str]
    claims: list[ClaimRow]

    def table(self) -> Table:
        """Return a table with a row per comparison."""
        rows: list[list[str | Estimate]] = [
            [claim.text, self.models[each.model], each.composition, each.difference, each.verdict]
            for claim in self.claims
            for each in claim.comparisons
        ]
        return Table(self.title, self.caption, self.label, ["Claim", "Model", "Context", "Difference", "Verdict"], rows)


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
    """Return the paired differences behind every claim, per task and test set, those of probes last."""
    tables = []
    for (task, test_set), here in _groups(findings, ["task", "test_set"], settings):
        models = ordered(set(here["model"]) - {"all"}, settings.order("models"))
        where = settings.title("tasks", task), _test_set(test_set, settings)
        claims = []
        for _, of_claim in groups_of(here, "claim"):
            first = of_claim.iloc[0]
            maximum = 1.0 if test_set == "none" else get_metric(first["metric"]).maximum
            claim = ClaimRow(first["text"], first["source"], _threshold(first["threshold"], maximum), [])
            for row in rows_of(of_claim):
                if row.model == "all":
                    claim.total, claim.scope, claim.detail = row.verdict, row.scope, row.quantity
                    continue
                difference = estimate(row.difference, row.ci_low, row.ci_high, maximum)
                # Where it was compared is in the claim already.
                quantity = row.quantity.split(", ")[0]
                quantity += " (closest rival)" if "closest rival" in row.quantity else ""
                composition = composition_title(row.composition)
                claim.comparisons.append(Comparison(row.model, composition, difference, row.verdict, quantity))
            claims.append(claim)
        tables.append(
            Findings(
                " · ".join(where),
                f"{', '.join(where)}: paired differences; positive supports the claim.",
                f"tab:findings-{task}-{test_set}",
                {model: settings.title("models", model) for model in models},
                claims,
            )
        )
    return tables


def _threshold(value: float, maximum: float) -> str:
    """Say what a claim had to reach: the smallest effect that counts, or the margin that counts as level."""
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
