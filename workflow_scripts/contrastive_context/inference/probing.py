"""IWL-, ICL- and Copy-score of a model on frozen probe prompts, by generation and by likelihood; ICL-gain and Override
where the prompts have them."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from contrastive_context.config.tasks import Agreement, ProbeMeasure
from contrastive_context.config.templates import Template
from contrastive_context.core.errors import UserError
from contrastive_context.core.frames import FrameRow
from contrastive_context.core.journal import Journal
from contrastive_context.text import agreement as agreements
from contrastive_context.text.words import contains, find

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from contrastive_context.prompting.prompts import PromptEncoder

# probe → (role of which the context gives the edited label for the query, role of which it doesn't)
_CONTRASTS = {
    "icl": ("icl_relevant", "icl_control"),
    "icl_valid": ("icl_valid_relevant", "icl_valid_control"),
    "override": ("override", "relevant"),
}
COLUMNS = (
    "prompt_id", "item", "role", "target_id", "cluster", "source", "gold", "label", "matched_labels",
    "example_sources", "example_targets",
)  # fmt: skip


def probe_model(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    template: Template,
    probe_rows: "pd.DataFrame",
    measures: Sequence[ProbeMeasure],
    agreement: Agreement | Callable[[str, str], float],
    *,
    batch_tokens: int = 8192,
    label: str = "probe",
    journal: Journal | None = None,
) -> "pd.DataFrame":
    """Score a model on probe prompts; to be called from any training loop.

    - iwl: a(output, gold) where every example is irrelevant.
    - icl, icl_valid: 1[label in output] under the relevant context less the same under the control.
    - copy: the best a(output, ·) over the shown targets less the best over as many matched labels not shown.
    - icl_gain (secondary): a(output, gold) with the relevant example less that with an irrelevant one in its place.
    - override (secondary): 1[label in output] where the relevant example's label alone is edited, against its source
      and the weights, less the same where it isn't. A copier of the relevant example scores as well as a reader.

    The likelihood versions are log-probabilities per token (natural logarithm):

    - iwl: of gold, end token included.
    - icl, icl_valid: of the edited label's tokens alone, relevant less control. Gold before the label is given, and no
      other token of gold counts: the relevant example shows most of them too, so that copying it, whatever the query
      asks, would score. Both contexts show the label once, so a copier that doesn't read scores about 0 and ignoring
      the context exactly 0. What can't be told from use is a copier that goes on with the example whose label began
      like gold; the generation version is the check on it.
    - copy: of the most similar shown target, end token included, where it is shown less where it is not.
    - icl_gain: of gold, end token included, with the relevant example less without. override: as icl.

    Args:
        model: a causal language model of transformers, on its device.
        tokenizer: its tokenizer.
        template: how prompts are written.
        probe_rows: frame of a ``probes.parquet``.
        measures: "generation", "likelihood" or both.
        agreement: a(output, reference) in [0, 1], or the name of a registered one.
        batch_tokens: padded tokens per batch.
        label: shown beside the progress bars.
        journal: of this state of the model alone; keeps what is done, so that a later call doesn't do it again.

    Returns:
        Frame with columns item, cluster, target_id, probe, measure, value; one row per item, probe and measure. Its
        ``attrs["tokens"]`` counts the tokens of the prompts and of the completions that were scored.

    Raises:
        UserError: an item lacks the prompt it is compared with, or a prompt doesn't fit the template's limits.
    """
    from contrastive_context.prompting.prompts import PromptEncoder

    rows = list(probe_rows[list(COLUMNS)].itertuples(index=False))
    check_rows(rows)
    encoder = PromptEncoder(tokenizer, template, model.config)
    agree = agreements.get_agreement(agreement) if isinstance(agreement, str) else agreement
    records: list[tuple] = []
    if "generation" in measures:
        asked = [row for row in rows if row.role != "other_irrelevant"]
        outputs = _generate(model, encoder, asked, batch_tokens, label, journal)
        records += generation_values(rows, outputs, agree)
    if "likelihood" in measures:
        records += likelihood_values(rows, _Scorer(model, encoder, batch_tokens, label, journal))
    frame = _frame(records)
    frame.attrs["tokens"] = encoder.tokens
    return frame


def no_values() -> "pd.DataFrame":
    """Return what :func:`probe_model` returns where there are no prompts."""
    return _frame([])


def check_rows(rows: Iterable[FrameRow]) -> None:
    """Check that every item has both prompts of each comparison.

    Raises:
        UserError: one is missing.
    """
    found = {(row.item, row.role) for row in rows}
    needs = {"irrelevant": "other_irrelevant", "relevant": "irrelevant", **dict(_CONTRASTS.values())}
    for item, role in sorted(found):
        other = needs.get(role)
        if other and (item, other) not in found:
            raise UserError(f"probe prompts: item {item} has role {role} but no {other}; make the probes again")


def generation_values(
    rows: Sequence[FrameRow], outputs: dict[str, str], agree: Callable[[str, str], float]
) -> list[tuple]:
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
        if row.role == "relevant":
            without = outputs[by_role[row.item, "irrelevant"].prompt_id]
            gain = agree(outputs[row.prompt_id], row.gold) - agree(without, row.gold)
            records.append((row, "icl_gain", "generation", gain))
        for probe, (relevant, control) in _CONTRASTS.items():
            if row.role == relevant:
                other = by_role[row.item, control]
                hit = contains(outputs[row.prompt_id], row.label)
                records.append((row, probe, "generation", float(hit) - contains(outputs[other.prompt_id], row.label)))
    return records


class Completion(NamedTuple):
    """A text to score under a row's context: all of it and the end token, or only ``part`` where it first occurs."""

    row: Any
    text: str
    part: str | None = None


def likelihood_values(
    rows: Sequence[FrameRow], logprob: Callable[[Sequence[Completion]], np.ndarray]
) -> list[tuple[FrameRow, str, str, float]]:
    """Return (row, probe, "likelihood", value); see :func:`probe_model` for the formulas.

    Args:
        rows: probe rows.
        logprob: completions → log-probability per scored token, float [completions].
    """
    by_role = {(row.item, row.role): row for row in rows}
    wanted: list[tuple[FrameRow, str, Completion, Completion | None]] = []
    for row in rows:
        if row.role == "irrelevant":
            wanted.append((row, "iwl", Completion(row, row.gold), None))
            other = by_role[row.item, "other_irrelevant"]
            wanted.append((row, "copy", Completion(row, row.label), Completion(other, row.label)))
        if row.role == "relevant":
            without = by_role[row.item, "irrelevant"]
            wanted.append((row, "icl_gain", Completion(row, row.gold), Completion(without, row.gold)))
        for probe, (relevant, control) in _CONTRASTS.items():
            if row.role == relevant:
                other = by_role[row.item, control]
                pair = (Completion(context, row.gold, row.label) for context in (row, other))
                wanted.append((row, probe, *pair))
    values = iter(logprob([one for _, _, *both in wanted for one in both if one is not None]))
    return [
        (row, probe, "likelihood", float(next(values)) - (0.0 if second is None else float(next(values))))
        for row, probe, _, second in wanted
    ]


def label_span(text: str, label: str) -> tuple[int, int]:
    """Return the characters of ``label`` in ``text``: its first occurrence as whole words, else its first one.

    Raises:
        UserError: it doesn't occur.
    """
    if not label or label not in text:
        raise UserError(f"probe prompts: label {label!r} isn't in its gold {text!r}; make the probes again")
    first = text.index(label)
    return next(iter(find(text, label)), (first, first + len(label)))


def label_tokens(encoder: "PromptEncoder", text: str, label: str) -> np.ndarray:
    """Return which tokens of an answer share a character with ``label``, bool [tokens, without the stop's].

    Args:
        encoder: of the prompts.
        text: the answer.
        label: the part of it that is looked for.

    Raises:
        UserError: the tokenizer doesn't say which characters its tokens stand for, or has none for the label.
    """
    start, end = label_span(text, label)
    try:
        offsets = encoder.offsets(text)
    except NotImplementedError as error:
        raise UserError(
            "probes: this model's tokenizer gives no offsets (it isn't a fast one), which the likelihood of a label "
            "needs; set tasks.<task>.probes.measures to [generation] or use the model with a fast tokenizer"
        ) from error
    tokens = np.array([first < end and last > start and last > first for first, last in offsets], dtype=bool)
    if not tokens.any():
        raise UserError(f"probes: this model's tokenizer has no token for the label {label!r}; choose another label")
    return tokens


def _prompt(encoder: "PromptEncoder", row: FrameRow, reserve: int = 0) -> np.ndarray:
    examples = list(zip(row.example_sources, row.example_targets, strict=True))
    prompt = encoder.encode(examples, row.source, reserve=reserve, name=row.target_id)
    if prompt.dropped:  # the example that a probe is about may be among them: its score would mean nothing
        raise UserError(
            f"probe prompt {row.prompt_id}: {prompt.dropped} examples don't fit into template.max_prompt_tokens or the "
            "model's positions; raise the limit or lower k"
        )
    return prompt.ids


def _generate(
    model: "PreTrainedModel",
    encoder: "PromptEncoder",
    rows: Sequence[FrameRow],
    batch_tokens: int,
    label: str,
    journal: Journal | None,
) -> dict[str, str]:
    from contrastive_context.inference.generation import answer

    prompts = {row.prompt_id: _prompt(encoder, row) for row in rows}
    outputs = answer(model, encoder, prompts, journal, batch_tokens=batch_tokens, label=f"{label}: generation")
    return {name: encoder.decode(output.ids) for name, output in outputs.items()}


class _Scorer:
    """Log-probability per scored token of completions; a journal has them all or none: a pass is short."""

    _KEY = "likelihood"  # no prompt's name

    def __init__(
        self, model: "PreTrainedModel", encoder: "PromptEncoder", batch_tokens: int, label: str, journal: Journal | None
    ) -> None:
        self._model, self._encoder, self._journal = model, encoder, journal
        self._batch_tokens, self._label = batch_tokens, f"{label}: likelihood"

    def __call__(self, wanted: Sequence[Completion]) -> np.ndarray:
        from contrastive_context.inference.likelihood import completion_logprobs

        completions = [self._encoder.completion(one.text, one.row.target_id) for one in wanted]
        counted = [self._counted(one, len(ids)) for one, ids in zip(wanted, completions, strict=True)]
        prompts = [_prompt(self._encoder, one.row, len(ids)) for one, ids in zip(wanted, completions, strict=True)]
        if self._journal is not None and self._KEY in self._journal:
            return np.array(self._journal[self._KEY])
        names = [one.row.prompt_id for one in wanted]
        sums, tokens = completion_logprobs(
            self._model, prompts, completions, counted=counted, names=names, batch_tokens=self._batch_tokens,
            label=self._label,
        )  # fmt: skip
        if self._journal is not None:
            self._journal.add({self._KEY: (sums / tokens).tolist()})
        return sums / tokens

    def _counted(self, one: Completion, length: int) -> np.ndarray:
        if one.part is None:
            return np.ones(length, dtype=bool)
        counted = np.zeros(length, dtype=bool)
        tokens = label_tokens(self._encoder, one.text, one.part)
        if len(tokens) + len(self._encoder.stop_ids) != length:
            raise UserError(
                f"probe prompt {one.row.prompt_id}: its answer has text that the tokenizer reads as a special "
                "token; leave the row out of the corpus"
            )
        counted[np.flatnonzero(tokens)] = True
        return counted


def _frame(records: Sequence[tuple]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        [(row.item, row.cluster, row.target_id, probe, measure, value) for row, probe, measure, value in records],
        columns=["item", "cluster", "target_id", "probe", "measure", "value"],
    )
