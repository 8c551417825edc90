"""The tables as LaTeX (booktabs), one `table` environment per task and test set, with the report's digits.

Text that is not Latin needs XeLaTeX or LuaLaTeX and a font that has it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from contrastive_context.contexts.series import SAME_TARGETS
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.tables import gaps
from contrastive_context.tables.numbers import share, with_interval, written
from contrastive_context.tables.selection import headline_seed, last_step, ordered, systems, with_series
from contrastive_context.tables.settings import PresentationSettings

HEADER = "% needs \\usepackage{booktabs}\n"
COMPOSITIONS = {"zero_context": "zero-shot", "one_graded": "one graded", "top_k": "k nearest"}
PROBES = {"iwl": "IWL", "icl": "ICL", "icl_valid": "ICL (valid label)", "copy": "Copy",
          "icl_gain": "ICL-gain (secondary)", "override": "Override (secondary)"}  # fmt: skip
_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
        "−": "$-$", "–": "--", "ε": r"$\varepsilon$", "→": r"$\to$", "\n": " ", "\r": " ",
    }
)  # fmt: skip


def escape(text: str) -> str:
    """Return text with LaTeX's special characters escaped, and a few symbols that pdfLaTeX's fonts lack as commands."""
    return text.translate(_SPECIAL)


def scores(table: "Any", settings: PresentationSettings) -> str:
    """Return tables of scores: per task, test set, series and metric, systems × (composition, bucket), last step."""
    if not len(table):
        return ""
    rows = headline_seed(last_step(with_series(table)))
    buckets = ["none", *settings.bucket_names()]
    parts = []
    for (task, test_set, series, metric), here in _groups(rows, ["task", "test_set", "series", "metric"], settings):
        pairs = dict.fromkeys(zip(here["composition"], here["bucket"], strict=True))
        columns = sorted(pairs, key=lambda pair: (list(COMPOSITIONS).index(pair[0]) if pair[0] in COMPOSITIONS else 9,
                                                  buckets.index(pair[1]) if pair[1] in buckets else 9))  # fmt: skip
        info = get_metric(metric)
        caption = f"{settings.title('tasks', task)}, {settings.title('test_sets', test_set)}: {info.title}"
        beside = "" if series == SAME_TARGETS else series.replace("_", " ")
        parts.append(
            _environment(
                here,
                {
                    pair: COMPOSITIONS.get(pair[0], pair[0]) + ("" if pair[1] == "none" else f", {pair[1]}")
                    for pair in columns
                },
                lambda row: (row.composition, row.bucket),
                info.maximum,
                f"{caption} (0–{info.maximum:g}){f', {beside}' if beside else ''}, last training step, with "
                f"{settings.confidence:.0%} interval.",
                f"tab:scores-{task}-{test_set}-{metric}" + (f"-{series}" if beside else ""),
                settings,
            )
        )
    return "\n".join(parts)


def probes(table: "Any", settings: PresentationSettings) -> str:
    """Return the table of probes: per task and measure, systems × probes at the last step."""
    if not len(table):
        return ""
    rows = headline_seed(last_step(table))
    parts = []
    for (task, measure), here in _groups(rows, ["task", "metric"], settings):
        present = ordered(list(here["probe"].unique()), list(PROBES))
        parts.append(
            _environment(
                here,
                {probe: PROBES.get(probe, probe) for probe in present},
                lambda row: row.probe,
                1.0,
                f"{settings.title('tasks', task)}: probes by {measure}, last training step, with "
                f"{settings.confidence:.0%} interval.",
                f"tab:probes-{task}-{measure}",
                settings,
            )
        )
    return "\n".join(parts)


def findings(table: "Any", settings: PresentationSettings) -> str:
    """Return the paired differences behind every claim, with intervals and verdicts."""
    import pandas as pd

    parts = []
    for (task, test_set), here in _groups(table.loc[table["model"] != "all"], ["task", "test_set"], settings):
        lines = []
        for row in here.itertuples():
            maximum = 1.0 if test_set == "none" else get_metric(row.metric).maximum
            composition = COMPOSITIONS.get(row.composition, "" if row.composition == "none" else row.composition)
            difference = with_interval(row.difference, row.ci_low, row.ci_high, maximum)
            lines.append((row.text, settings.title("models", row.model), composition, difference, row.verdict))
        frame = pd.DataFrame(lines, columns=["Claim", "Model", "Context", "Difference", "Verdict"])
        where = "probes" if test_set == "none" else settings.title("test_sets", test_set)
        caption = f"{settings.title('tasks', task)}, {where}: paired differences; positive supports the claim."
        parts.append(_latex(frame, caption, f"tab:findings-{task}-{test_set}"))
    return "\n".join(parts)


def missing(table: "Any", settings: PresentationSettings) -> str:
    """Return what the grid should have and the tables don't, with the reason; one table for all tasks."""
    lines = [
        (
            settings.title("tasks", line.task),
            settings.title("models", line.model) if line.model else "all",
            settings.title("strategies", line.strategy) if line.strategy else "all",
            line.what,
            line.reason,
        )
        for line in gaps.lines(table)
    ]
    columns = ["Task", "Model", "Strategy", "Missing", "Reason"]
    return _listing(lines, columns, "What is missing, and why.", "tab:missing")


def truncated(table: "Any", settings: PresentationSettings) -> str:
    """Return the answers that were cut and the prompts that lost examples, per task, model and strategy."""
    lines = [
        (
            settings.title("tasks", row.task),
            "–" if row.model == "none" else settings.title("models", row.model),
            settings.title("strategies", row.strategy),
            f"{row.answers:,}",
            share(row.cut, row.answers),
            share(row.shortened, row.answers),
        )
        for row in table.itertuples()
    ]
    columns = ["Task", "Model", "Strategy", "Answers", "Cut at the length limit", "Prompts that lost examples"]
    return _listing(lines, columns, "Cut answers and shortened prompts.", "tab:truncated")


def dropped(table: "Any", settings: PresentationSettings) -> str:
    """Return, per task, the rows read, dropped by reason and kept, a column per split."""
    parts = []
    for task, rows in table.groupby("task", sort=False):
        splits, counts = gaps.by_split(rows)
        caption = f"{settings.title('tasks', task)}: rows of the corpus."
        lines = [(what, *numbers) for what, numbers in counts]
        parts.append(_listing(lines, ["Rows", *splits], caption, f"tab:dropped-{task}"))
    return "\n".join(parts)


def _listing(lines: Sequence[tuple[str, ...]], columns: list[str], caption: str, label: str) -> str:
    import pandas as pd

    return _latex(pd.DataFrame(lines, columns=columns), caption, label) if lines else ""


def _groups(frame: "Any", keys: Sequence[str], settings: PresentationSettings) -> list[tuple[tuple, "Any"]]:
    order = {name: place for place, name in enumerate(ordered(list(frame["task"].unique()), settings.order("tasks")))}
    return sorted(frame.groupby(list(keys), sort=False), key=lambda entry: order[entry[0][0]])


def _environment(
    rows: "Any",
    columns: dict[Any, str],
    key: Callable[[Any], Any],
    maximum: float,
    caption: str,
    label: str,
    settings: PresentationSettings,
) -> str:
    import pandas as pd

    cells = {
        (row.model, row.strategy, key(row)): with_interval(row.value, row.ci_low, row.ci_high, maximum)
        for row in rows.itertuples()
    }
    models = ordered(list(rows["model"].unique()), settings.order("models"))
    lines = []
    for model in models:
        for name in systems(rows.loc[rows["model"] == model], settings):
            title = "–" if model == "none" else settings.title("models", model)
            values = [cells.get((model, name, column), written(None)) for column in columns]
            lines.append((title, settings.title("strategies", name), *values))
    return _latex(pd.DataFrame(lines, columns=["Model", "Strategy", *columns.values()]), caption, label)


def _latex(frame: "Any", caption: str, label: str) -> str:
    frame = frame.map(escape)
    frame.columns = [escape(name) for name in frame.columns]
    return frame.style.hide(axis="index").to_latex(
        hrules=True,
        environment="table",
        position_float="centering",
        column_format="ll" + "l" * (frame.shape[1] - 2),
        caption=escape(caption),
        label=label.replace("_", "-").replace("+", "p"),
    )
