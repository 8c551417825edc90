"""IWL-, ICL- and Copy-score of a model on frozen probe prompts, by generation and by likelihood."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from contrastive_context import agreement as agreements
from contrastive_context.config.base import Model
from contrastive_context.config.models import Device, Dtype
from contrastive_context.config.tasks import Agreement, ProbeMeasure, Template
from contrastive_context.errors import UserError

# probe → (role where the span is relevant, role where it is not)
_CONTRASTS = {"icl": ("icl_relevant", "icl_control"), "icl_valid": ("icl_valid_relevant", "icl_valid_control")}
COLUMNS = (
    "prompt_id", "item", "role", "target_id", "cluster", "source", "gold", "label", "matched_labels",
    "example_sources", "example_targets",
)  # fmt: skip


class Settings(Model):
    """What a probing job depends on, its input files apart."""

    task: str
    model_name: str
    dtype: Dtype = "float32"
    device: Device = "cpu"
    template: Template
    threads: int = 1
    batch_tokens: int = 8192
    attention: Literal["sdpa", "eager"] = "sdpa"
    measures: list[ProbeMeasure] = ["generation", "likelihood"]
    agreement: Agreement


def probe_model(
    model: Any,
    tokenizer: Any,
    template: Template,
    probe_rows: Any,
    measures: Sequence[ProbeMeasure],
    agreement: Agreement | Callable[[str, str], float],
    *,
    batch_tokens: int = 8192,
    label: str = "probe",
) -> Any:
    """Score a model on probe prompts; to be called from any training loop.

    - iwl: a(output, gold) where every example is irrelevant.
    - icl, icl_valid: 1[label in output] under the relevant context less the same under the control.
    - copy: the best a(output, ·) over the shown targets less the best over as many matched labels not shown.

    The likelihood versions are log-probabilities per completion token (natural logarithm, end token included):
    of gold; of gold with the label, relevant less control; of the most similar shown target, where it is shown less
    where it is not.

    Args:
        model: a causal language model of transformers, on its device.
        tokenizer: its tokenizer.
        template: how prompts are written.
        probe_rows: frame of a ``probes.parquet``.
        measures: "generation", "likelihood" or both.
        agreement: a(output, reference) in [0, 1], or the name of a registered one.
        batch_tokens: padded tokens per batch.
        label: shown beside the progress bars.

    Returns:
        Frame with columns item, cluster, target_id, probe, measure, value; one row per item, probe and measure.

    Raises:
        UserError: an item lacks the prompt it is compared with, or a prompt doesn't fit the template's limits.
    """
    from contrastive_context.prompts import PromptEncoder, max_positions

    rows = list(probe_rows[list(COLUMNS)].itertuples(index=False))
    check_rows(rows)
    encoder = PromptEncoder(tokenizer, template, max_positions(model))
    agree = agreements.get_agreement(agreement) if isinstance(agreement, str) else agreement
    records: list[tuple] = []
    if "generation" in measures:
        outputs = _generate(
            model, encoder, [row for row in rows if row.role != "other_irrelevant"], batch_tokens, label
        )
        records += generation_values(rows, outputs, agree)
    if "likelihood" in measures:
        records += likelihood_values(rows, _Scorer(model, encoder, batch_tokens, label))
    return _frame(records)


def check_rows(rows: Iterable[Any]) -> None:
    """Check that every item has both prompts of each comparison.

    Raises:
        UserError: one is missing.
    """
    found = {(row.item, row.role) for row in rows}
    needs = {"irrelevant": "other_irrelevant", **dict(_CONTRASTS.values())}
    for item, role in sorted(found):
        other = needs.get(role)
        if other and (item, other) not in found:
            raise UserError(f"probe prompts: item {item} has role {role} but no {other}; make the probes again")


def generation_values(rows: Sequence[Any], outputs: dict[str, str], agree: Callable[[str, str], float]) -> list[tuple]:
    """Return (row, probe, "generation", value) from outputs by prompt id; see :func:`probe_model` for the formulas."""
    by_role = {(row.item, row.role): row for row in rows}
    records = []
    for row in rows:
        if row.role == "irrelevant":
            output = outputs[row.prompt_id]
            records.append((row, "iwl", "generation", agree(output, row.gold)))
            shown = max(agree(output, text) for text in row.example_targets)
            not_shown = max(agree(output, text) for text in row.matched_labels)
            records.append((row, "copy", "generation", shown - not_shown))
        for probe, (relevant, control) in _CONTRASTS.items():
            if row.role == relevant:
                other = by_role[row.item, control]
                hit = contains_words(outputs[row.prompt_id], row.label)
                records.append(
                    (row, probe, "generation", float(hit) - contains_words(outputs[other.prompt_id], row.label))
                )
    return records


def likelihood_values(
    rows: Sequence[Any], logprob: Callable[[Sequence[tuple[Any, str]]], np.ndarray]
) -> list[tuple[Any, str, str, float]]:
    """Return (row, probe, "likelihood", value).

    Args:
        rows: probe rows.
        logprob: (row giving the context, completion text) pairs → log-probability per token, float [pairs].
    """
    by_role = {(row.item, row.role): row for row in rows}
    wanted: list[tuple[Any, str, tuple, tuple | None]] = []
    for row in rows:
        if row.role == "irrelevant":
            wanted.append((row, "iwl", (row, row.gold), None))
            wanted.append((row, "copy", (row, row.label), (by_role[row.item, "other_irrelevant"], row.label)))
        for probe, (relevant, control) in _CONTRASTS.items():
            if row.role == relevant:
                wanted.append((row, probe, (row, row.gold), (by_role[row.item, control], row.gold)))
    pairs = [pair for _, _, first, second in wanted for pair in (first, second) if pair is not None]
    values = iter(logprob(pairs))
    return [
        (row, probe, "likelihood", float(next(values)) - (0.0 if second is None else float(next(values))))
        for row, probe, _, second in wanted
    ]


def contains_words(output: str, label: str) -> bool:
    """Whether the words of ``label`` occur in ``output`` next to each other, as whole words."""
    text, part = words(output), words(label)
    return bool(part) and any(text[at : at + len(part)] == part for at in range(len(text) - len(part) + 1))


def words(text: str) -> list[str]:
    """Split on everything but letters, digits, underscores and combining marks (vowel signs in Hindi or Tamil)."""
    return "".join(c if c.isalnum() or c == "_" or unicodedata.category(c)[0] == "M" else " " for c in text).split()


def _prompt(encoder: Any, row: Any, reserve: int = 0) -> np.ndarray:
    examples = list(zip(row.example_sources, row.example_targets, strict=True))
    prompt = encoder.encode(examples, row.source, reserve=reserve, name=row.target_id)
    if prompt.dropped:  # the example that a probe is about may be among them: its score would mean nothing
        raise UserError(
            f"probe prompt {row.prompt_id}: {prompt.dropped} examples don't fit into template.max_prompt_tokens or the "
            "model's positions; raise the limit or lower k"
        )
    return prompt.ids


def _generate(model: Any, encoder: Any, rows: Sequence[Any], batch_tokens: int, label: str) -> dict[str, str]:
    from contrastive_context.generation import generate

    outputs = generate(
        model,
        encoder,
        [_prompt(encoder, row) for row in rows],
        max_new_tokens=encoder.template.max_new_tokens,
        batch_tokens=batch_tokens,
        label=f"{label}: generation",
    )
    return {row.prompt_id: encoder.decode(output.ids) for row, output in zip(rows, outputs, strict=True)}


class _Scorer:
    """Log-probability per token of texts under the contexts of probe rows."""

    def __init__(self, model: Any, encoder: Any, batch_tokens: int, label: str) -> None:
        self._model, self._encoder = model, encoder
        self._options = {"batch_tokens": batch_tokens, "label": f"{label}: likelihood"}

    def __call__(self, pairs: Sequence[tuple[Any, str]]) -> np.ndarray:
        from contrastive_context.likelihood import completion_logprobs

        completions = [self._encoder.completion(text, row.target_id) for row, text in pairs]
        prompts = [_prompt(self._encoder, row, len(ids)) for (row, _), ids in zip(pairs, completions, strict=True)]
        sums, tokens = completion_logprobs(self._model, prompts, completions, **self._options)
        return sums / tokens


def _frame(records: Sequence[tuple]) -> Any:
    import pandas as pd

    return pd.DataFrame(
        [(row.item, row.cluster, row.target_id, probe, measure, value) for row, probe, measure, value in records],
        columns=["item", "cluster", "target_id", "probe", "measure", "value"],
    )
