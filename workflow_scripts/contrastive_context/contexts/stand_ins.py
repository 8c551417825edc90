"""Stand-ins: paraphrases of test pairs that take the place of a similar arrival where there is none."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from contrastive_context.contexts.candidates import Examples
from contrastive_context.text.agreement import get_agreement
from contrastive_context.text.normalising import normalise

COLUMNS = ("id", "parent_id", "source", "target", "similarity", "accepted")


@dataclass(frozen=True)
class StandIn:
    """A paraphrase of a target: its id, and its similarity to the target."""

    id: str
    similarity: float


def choose_stand_ins(
    test: Examples, paraphrases: pa.Table, trained: Collection[str], agreement: str, max_agreement: float
) -> tuple[dict[int, StandIn], dict[str, int]]:
    """Return the accepted paraphrases that may be shown, and how many are refused for what.

    Refused: a paraphrase whose target agrees with gold by ``max_agreement`` or more, as copying would win (so those of
    paraphrasers that keep the target are never shown); and one whose source is a paraphrase that was trained on.

    Args:
        test: the targets.
        paraphrases: of the test split, with ``COLUMNS``.
        trained: sources of the paraphrases that any strategy trains on.
        agreement: name of the agreement function.
        max_agreement: from here on a target gives gold away.

    Returns:
        Row of ``test`` → stand-in; and the counts: accepted, usable, refused by reason.
    """
    agree = get_agreement(agreement)
    known = {normalise(source) for source in trained}
    rows = {id_: row for row, id_ in enumerate(test.ids)}
    found: dict[int, StandIn] = {}
    refused: Counter[str] = Counter()
    for pair in paraphrases.select(COLUMNS).to_pylist():
        row = rows.get(pair["parent_id"])
        if row is None or not pair["accepted"]:
            continue
        if agree(pair["target"], test.targets[row]) >= max_agreement:
            refused["target agrees with gold"] += 1
        elif normalise(pair["source"]) in known:
            refused["source was trained on"] += 1
        else:
            found[row] = StandIn(pair["id"], pair["similarity"])
    return found, {"accepted": len(found) + refused.total(), "usable": len(found), **dict(sorted(refused.items()))}
