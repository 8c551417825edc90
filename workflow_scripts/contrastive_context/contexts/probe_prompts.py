"""Frozen probe prompts: does a model use its weights, a relevant example, or whatever label it is shown?

Per item up to eight prompts (roles) with the same k slots:

- ``irrelevant`` and ``other_irrelevant``: two disjoint sets of random arrivals from the lowest bucket, no label of one
  in the other. IWL is read off the first; for Copy the labels of the other set are the labels that were not shown. All
  labels are drawn as one set, which chance halves. So the two are exchangeable, however uneven the labels' frequencies,
  and a model that doesn't copy scores 0.
- ``icl_relevant``: an arrival of the highest bucket shares an anchor with the target; the anchor's source span becomes
  the same source nonce in both, its target span the label nonce in the example's label and in gold.
- ``icl_control``: in that slot an irrelevant arrival instead, which ties the same label nonce to another source nonce.
- ``icl_valid_relevant`` and ``icl_valid_control``: the same with a valid span of the task in place of the label nonce.

For the secondary probes, where they are asked for, no source is edited:

- ``relevant``: the relevant example as it is, in that slot. But for it the context is ``irrelevant``'s: ICL-gain.
- ``override``: the same with the valid span in the example's label, which then contradicts what its source says.

A probe for which the data give too few targets is left out, and the coverage says so, and why.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from contrastive_context.config.tasks import TaskProbes
from contrastive_context.contexts.anchors import Anchor, Finder, anchor_finder, replace
from contrastive_context.contexts.candidates import Candidates, Examples, iter_candidates
from contrastive_context.contexts.settings import FreezeProbesSettings
from contrastive_context.core.buckets import bounds_of
from contrastive_context.core.json_types import JsonDict
from contrastive_context.core.randomness import below, id_bits, numbers, ranking, shuffled, states, stream
from contrastive_context.text.words import contains, words

log = logging.getLogger(__name__)

_Prompt = dict[str, Any]  # a row of the table, by column


@dataclass(frozen=True)
class _Irrelevant:
    """Two disjoint irrelevant contexts without a common label: rows of the arrivals."""

    shown: list[int]
    other: list[int]
    label: str  # the label of the most similar example shown
    repeats: bool  # a label stands twice in a context: there were fewer than 2k


@dataclass(frozen=True)
class _Icl:
    """What the ICL prompts of an item are made of: rows of the arrivals, anchors and substitutes."""

    relevant: int
    control: int
    fillers: list[int]
    anchor: Anchor  # in the target
    relevant_anchor: Anchor
    control_anchor: Anchor
    source_nonce: str
    control_nonce: str
    label_nonce: str
    substitute: str


class _Arrivals:
    """The arrivals with their anchors, found when first asked for."""

    def __init__(self, examples: Examples, find: Finder) -> None:
        self.examples = examples
        self.find = find
        self._anchors: dict[int, list[Anchor]] = {}

    def anchors(self, row: int) -> list[Anchor]:
        if row not in self._anchors:
            self._anchors[row] = list(self.find(self.examples.sources[row], self.examples.targets[row]))
        return self._anchors[row]

    @cached_property
    def spans(self) -> tuple[list[tuple[str, str]], np.ndarray]:
        """Return the distinct (slot, target span) of all anchors and 64 bits for each."""
        spans = sorted({(a.slot, a.target_text) for row in range(len(self.examples.ids)) for a in self.anchors(row)})
        return spans, np.array([stream("span", *span) for span in spans], dtype=np.uint64)

    def substitute(self, slot: str, labels: list[str], state: np.ndarray) -> str | None:
        """Return a random span that no label contains, of the same slot if there is one, or None."""
        spans, bits = self.spans
        order = ranking(state, bits).tolist()
        return next(
            (
                spans[i][1]
                for i in sorted(order, key=lambda i: spans[i][0] != slot)
                if words(spans[i][1]) and not any(contains(label, spans[i][1]) for label in labels)
            ),
            None,
        )


def freeze_probes(
    test: Examples,
    arrivals: Examples,
    settings: FreezeProbesSettings,
    train: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> tuple[pa.Table, dict]:
    """Choose items and build their prompts.

    Items that fill all roles come first; if they are fewer than asked for, others give the two irrelevant roles alone.

    Args:
        test: the targets to choose from.
        arrivals: the examples to choose from.
        settings: k, seed, number of items, kind of anchors, nonces, buckets.
        train: sources and targets of the training split, for anchors that are learned from the corpus; they are
            learned from the arrivals too.

    Returns:
        The table, a row per prompt, ordered by item and role (columns: prompt_id, item, role, target_id, cluster,
        source, gold, label, matched_labels, example_sources, example_targets), and the coverage: how many targets there
        are at each step of the choice, and which probes are missing and why. The table is empty where all are.
    """
    probes, task = settings.probes, settings.task
    bounds = list(bounds_of(settings.buckets).values())
    find = anchor_finder(probes.anchors, [*train[0], *arrivals.sources], [*train[1], *arrivals.targets])
    pool = _Arrivals(arrivals, find)
    seen = Counter[str]()
    bits = id_bits(test.ids)
    random_states = states(stream("probe choices", probes.seed, task), bits)
    halves = shuffled(stream("probe halves", probes.seed, task), bits, 2 * settings.k)
    irrelevant: dict[int, _Irrelevant] = {}
    icl: dict[int, _Icl] = {}
    key = stream("probes", probes.seed, task)
    for row, candidates in enumerate(iter_candidates(test, arrivals, key, settings.agreement, settings.max_agreement)):
        found = _irrelevant(candidates, arrivals.targets, settings.k, bounds[0], halves[row])
        if found is None:
            continue
        irrelevant[row] = found
        pair = _icl(
            candidates, pool, found, test.sources[row], test.targets[row], bounds, probes, random_states[row], seen
        )
        if pair is not None:
            icl[row] = pair

    coverage: JsonDict = {
        "targets": len(test.ids),
        "asked": probes.targets,
        "fillable_irrelevant": len(irrelevant),
        "with_anchor": seen["anchor"],
        "with_relevant": seen["relevant"],
        "fillable_icl": len(icl),
    }
    missing = list(_missing(coverage, settings))
    left_out = {probe for probe, _ in missing}
    if "icl" in left_out:
        icl.clear()
    if "iwl" in left_out:
        irrelevant.clear()
    order = ranking(stream("probe targets", probes.seed, task), bits).tolist()
    complete = [row for row in order if row in icl][: probes.targets]
    rest = [row for row in order if row in irrelevant and row not in icl][: probes.targets - len(complete)]
    coverage |= {
        "used_irrelevant": len(complete) + len(rest),
        "used_repeating_labels": sum(irrelevant[row].repeats for row in complete + rest),
        "used_icl": len(complete),
        "missing": [{"probe": probe, "reason": reason} for probe, reason in missing],
    }
    _warn(coverage, settings)
    slots = shuffled(stream("probe slots", probes.seed, task), bits, settings.k)
    records: list[_Prompt] = []
    for item, row in enumerate(sorted(complete + rest)):
        prompts = _irrelevant_prompts(irrelevant[row], test, row, arrivals)
        if row in icl:
            prompts += _icl_prompts(icl[row], test, row, arrivals)
            if probes.secondary:
                prompts += _secondary_prompts(icl[row], test, row, arrivals)
        for prompt in prompts:
            examples = prompt.pop("examples")
            records.append(
                {
                    **prompt,
                    "prompt_id": f"{test.ids[row]}.{prompt['role']}",
                    "item": item,
                    "target_id": test.ids[row],
                    "cluster": test.clusters[row],
                    "example_sources": [examples[slot][0] for slot in slots[row]],
                    "example_targets": [examples[slot][1] for slot in slots[row]],
                }
            )
    return pa.Table.from_pylist(records, schema=_schema(test.clusters.type)), coverage


def _irrelevant(
    candidates: Candidates, labels: Sequence[str], k: int, bounds: tuple[float, float], order: np.ndarray
) -> _Irrelevant | None:
    """Find the irrelevant contexts of a target, or None.

    Each label is in one of them alone, and both have equally many: k, or half of all that there are, which then repeat.

    Args:
        candidates: of the target.
        labels: of all arrivals.
        k: examples per context.
        bounds: of the lowest bucket.
        order: of 2k positions, random: which labels come into which context.
    """
    distinct = candidates.take_distinct(2 * k, *bounds, labels)
    half = len(distinct) // 2

    def filled(positions: np.ndarray) -> list[int]:
        rows = [distinct[position] for position in positions]
        own = {labels[row] for row in rows}
        return rows + candidates.take(k - half, *bounds, exclude=rows, accept=lambda row: labels[row] in own)

    order = order[order < 2 * half]
    shown, other = filled(order[:half]), filled(order[half:])
    if len(shown) < k or len(other) < k:
        return None
    label = labels[max(shown, key=lambda row: candidates.similarities[row])]
    return _Irrelevant(shown, other, label, repeats=half < k)


def _icl(
    candidates: Candidates,
    pool: _Arrivals,
    irrelevant: _Irrelevant,
    source: str,
    gold: str,
    bounds: Sequence[tuple[float, float]],
    probes: TaskProbes,
    state: np.ndarray,
    seen: Counter[str],
) -> _Icl | None:
    """Find a relevant and a control example and the substitutes of an item, or None; count how far targets get."""
    own = {anchor.key: anchor for anchor in pool.find(source, gold)}
    seen["anchor"] += bool(own)

    def shared(row: int) -> list[Anchor]:
        return [anchor for anchor in pool.anchors(row) if anchor.key in own]

    def pick(items: Sequence[Anchor], counter: int) -> Anchor:
        return items[int(below(numbers(state, counter), len(items)))]

    relevant = candidates.take(1, *bounds[-1], accept=lambda row: bool(shared(row))) if own else []
    seen["relevant"] += bool(relevant)
    fillers = irrelevant.shown[:-1]
    control = candidates.take(1, *bounds[0], exclude=fillers, accept=lambda row: bool(pool.anchors(row)))
    if not relevant or not control:
        return None
    relevant_anchor, others = pick(shared(relevant[0]), 0), pool.anchors(control[0])
    # At the same position if there is an anchor: a reader that copies by position must gain nothing.
    control_anchor = pick([a for a in others if a.target[0] == relevant_anchor.target[0]] or others, 1)
    rows = [*relevant, *control, *fillers]
    labels = [gold, *(pool.examples.targets[row] for row in rows)]
    texts = [source, *(pool.examples.sources[row] for row in rows), *labels]

    def fresh(nonces: Sequence[str], counter: int, used: Sequence[str] = ()) -> list[str]:
        free = [n for n in dict.fromkeys(nonces) if n not in used and not any(contains(text, n) for text in texts)]
        return sorted(free, key=lambda nonce: int(numbers(state, counter + nonces.index(nonce))))

    source_nonces = fresh(probes.source_nonces, 100)[:2]
    label_nonces = fresh(probes.label_nonces, 1100, source_nonces)
    if len(source_nonces) < 2 or not label_nonces:
        return None
    anchor = own[relevant_anchor.key]
    substitute = pool.substitute(anchor.slot, labels, state)
    if substitute is None:
        return None
    nonces = (*source_nonces, label_nonces[0])
    return _Icl(
        relevant[0],
        control[0],
        fillers,
        anchor,
        relevant_anchor,
        control_anchor,
        nonces[0],
        nonces[1],
        nonces[2],
        substitute,
    )


def _irrelevant_prompts(contexts: _Irrelevant, test: Examples, row: int, arrivals: Examples) -> list[_Prompt]:
    shown, other = (
        [(arrivals.sources[i], arrivals.targets[i]) for i in rows] for rows in (contexts.shown, contexts.other)
    )
    common = {"source": test.sources[row], "gold": test.targets[row], "label": contexts.label}
    return [
        {**common, "role": role, "examples": examples, "matched_labels": [label for _, label in matched]}
        for role, examples, matched in (("irrelevant", shown, other), ("other_irrelevant", other, shown))
    ]


def _icl_prompts(parts: _Icl, test: Examples, row: int, arrivals: Examples) -> list[_Prompt]:
    fillers = [(arrivals.sources[i], arrivals.targets[i]) for i in parts.fillers]

    def edited(example: int, anchor: Anchor, nonce: str, label: str) -> tuple[str, str]:
        source, target = arrivals.sources[example], arrivals.targets[example]
        return replace(source, anchor.source, nonce), replace(target, anchor.target, label)

    prompts = []
    for name, label in (("icl", parts.label_nonce), ("icl_valid", parts.substitute)):
        common = {
            "source": replace(test.sources[row], parts.anchor.source, parts.source_nonce),
            "gold": replace(test.targets[row], parts.anchor.target, label),
            "label": label,
            "matched_labels": [],
        }
        relevant = edited(parts.relevant, parts.relevant_anchor, parts.source_nonce, label)
        control = edited(parts.control, parts.control_anchor, parts.control_nonce, label)
        prompts += [
            {**common, "role": f"{name}_relevant", "examples": [relevant, *fillers]},
            {**common, "role": f"{name}_control", "examples": [control, *fillers]},
        ]
    return prompts


def _secondary_prompts(parts: _Icl, test: Examples, row: int, arrivals: Examples) -> list[_Prompt]:
    fillers = [(arrivals.sources[i], arrivals.targets[i]) for i in parts.fillers]
    source, label, gold = arrivals.sources[parts.relevant], arrivals.targets[parts.relevant], test.targets[row]
    common = {"source": test.sources[row], "label": parts.substitute, "matched_labels": []}
    edited, edited_gold = (
        replace(text, anchor.target, parts.substitute)
        for text, anchor in ((label, parts.relevant_anchor), (gold, parts.anchor))
    )
    return [
        {**common, "role": "relevant", "gold": gold, "examples": [(source, label), *fillers]},
        {**common, "role": "override", "gold": edited_gold, "examples": [(source, edited), *fillers]},
    ]


def _schema(cluster: pa.DataType) -> pa.Schema:
    texts = pa.list_(pa.string())
    return pa.schema(
        [
            ("prompt_id", pa.string()),
            ("item", pa.int32()),
            ("role", pa.string()),
            ("target_id", pa.string()),
            ("cluster", cluster),
            ("source", pa.string()),
            ("gold", pa.string()),
            ("label", pa.string()),
            ("matched_labels", texts),
            ("example_sources", texts),
            ("example_targets", texts),
        ]
    )


_IRRELEVANT = ("iwl", "copy")
_RELEVANT = ("icl", "icl_valid")
_SECONDARY = ("icl_gain", "override")


def _missing(coverage: dict[str, int], settings: FreezeProbesSettings) -> Iterator[tuple[str, str]]:
    """Yield the probes that too few targets give, each with the reason and what would help."""
    probes, k = settings.probes, settings.k
    enough = min(probes.min_targets, probes.targets)
    relevant = [*_RELEVANT, *(_SECONDARY if probes.secondary else ())]
    contexts, anchors, shared, fillable = (
        coverage[name] for name in ("fillable_irrelevant", "with_anchor", "with_relevant", "fillable_icl")
    )
    few = f"fewer than {enough}"
    have = f"of {contexts} targets have an anchor ({probes.anchors})"
    if contexts < enough:
        reason = (
            f"{contexts} of {coverage['targets']} targets have two irrelevant contexts of {k} examples without a "
            f"common label in the lowest bucket, {few}; more arrivals, a lower k or other edges in buckets would help"
        )
        yield from ((probe, reason) for probe in [*_IRRELEVANT, *relevant])
        return
    if anchors < enough:
        learned = probes.anchors == "aligned_words"
        help_ = "more text" if learned else "another kind of anchors (aligned_words: for any scripts)"
        reason = f"{anchors} {have}, {few}; {help_} would help"
    elif shared < enough:
        reason = (
            f"{anchors} {have}, {shared} share one with an arrival of the highest bucket, {few}; more arrivals or "
            "other edges in buckets would help"
        )
    elif fillable < enough:
        reason = (
            f"{anchors} {have}, {shared} share one with an arrival of the highest bucket, {fillable} find a control, "
            f"nonces and a substitute that none of their texts holds, {few}; more or other nonces would help"
        )
    else:
        return
    yield from ((probe, reason) for probe in relevant)


def _warn(coverage: JsonDict, settings: FreezeProbesSettings) -> None:
    where = f"tasks.{settings.task}.probes"
    for reason in dict.fromkeys(entry["reason"] for entry in coverage["missing"]):
        left_out = ", ".join(entry["probe"] for entry in coverage["missing"] if entry["reason"] == reason)
        log.warning("%s: without %s: %s", where, left_out, reason)
    if not coverage["missing"] and coverage["used_icl"] < coverage["asked"]:
        log.warning(
            "%s: %d items asked for, %d have a relevant example", where, coverage["asked"], coverage["used_icl"]
        )
