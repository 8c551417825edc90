"""Highly similar synthetic pairs: which of the proposals are close to their parents but not equal."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.corpora.rows import row_id
from contrastive_context.paraphrasing import kept
from contrastive_context.paraphrasing.proposals import Proposal
from contrastive_context.paraphrasing.settings import ParaphraseSettings
from contrastive_context.retrieval import encoders
from contrastive_context.text.normalising import normalise

if TYPE_CHECKING:
    import pandas as pd

    from contrastive_context.retrieval.similarity import Vectors

COLUMNS = ("id", "parent_id", "source", "target", "similarity", "target_paraphrased", "accepted", "reason")
"""Columns of a paraphrase file. ``reason`` is empty where accepted."""

CHANGED_WORD = "without a word that its target has"
UNCHANGED = "same text as its parent"
IN_CORPUS = "same text as a corpus row"
REPEATED = "same text as another paraphrase"
TOO_FAR = "similarity below min_similarity"
TOO_NEAR = "similarity of 1"


def accept(
    settings: ParaphraseSettings,
    rows: "pd.DataFrame",
    proposals: Sequence[Proposal],
    embeddings: "Vectors",
    encode: encoders.Encode,
    excluded: Sequence[str],
) -> tuple["pd.DataFrame", JsonDict]:
    """Say which proposals are accepted.

    A proposal that keeps the target must keep the words that the target takes from the source, as values in quotes. It
    is accepted if its text differs from its parent's, from every corpus source (of its own split and of the
    splits to exclude) and from every earlier proposal, all compared in normalised form, and if its similarity to its
    parent, which is the query where similarity is not symmetric, is in [``min_similarity``, 1). The encoder sees only
    texts that passed the comparisons.

    Args:
        settings: the paraphraser's entry and the task's encoder.
        rows: the parents, with id, source and target.
        proposals: one per row.
        embeddings: vectors of the parents' sources.
        encode: the encoder of the task.
        excluded: sources of the other splits.

    Returns:
        A frame with ``COLUMNS``, a row per proposal in the order of ``rows`` (similarity is NaN where the text was
        refused before it was embedded); and the counts: candidates, accepted, how many of these kept their parent's
        target, rejected by reason.

    Raises:
        UserError: rows and embeddings don't fit each other.
    """
    import numpy as np
    import pandas as pd

    from contrastive_context.retrieval.similarity import DUPLICATE, similarity_between

    if len(rows) != len(embeddings):
        raise UserError(
            f"tasks.{settings.task}: {len(rows)} {settings.split} rows but {len(embeddings)} embeddings; "
            "delete the embeddings and run again"
        )
    reasons = _refusals(proposals, rows, {normalise(text) for text in (*rows["source"], *excluded)})
    similarity = np.full(len(rows), np.nan)
    left = np.array([index for index, reason in enumerate(reasons) if not reason], dtype=np.int64)
    if left.size:
        texts = [proposals[index].source for index in left]
        vectors = encoders.embed(texts, encode, encoders.batch_size(settings.encoder), label="embedding paraphrases")
        similarity[left] = similarity_between(embeddings, vectors).pairs(left, np.arange(len(left)))
    for index in left:
        if similarity[index] < settings.paraphraser.min_similarity:
            reasons[index] = TOO_FAR
        elif similarity[index] >= DUPLICATE:
            reasons[index] = TOO_NEAR
    frame = pd.DataFrame(
        {
            "id": [row_id(proposal.source, proposal.target) for proposal in proposals],
            "parent_id": rows["id"].to_numpy(),
            "source": [proposal.source for proposal in proposals],
            "target": [proposal.target for proposal in proposals],
            "similarity": similarity,
            "target_paraphrased": [proposal.target_paraphrased for proposal in proposals],
            "accepted": [not reason for reason in reasons],
            "reason": reasons,
        }
    )
    accepted = frame[frame["accepted"]]
    return frame, {
        "candidates": len(frame),
        "accepted": len(accepted),
        "target_kept": int((~accepted["target_paraphrased"]).sum()),
        "rejected": dict(sorted(Counter(filter(None, reasons)).items())),
    }


def _refusals(proposals: Sequence[Proposal], rows: "pd.DataFrame", taken: set[str]) -> list[str]:
    """Return why a proposal is refused whatever its similarity, or an empty string."""
    seen: set[str] = set()
    reasons: list[str] = []
    for proposal, parent, target in zip(proposals, rows["source"], rows["target"], strict=True):
        form = normalise(proposal.source)
        if proposal.problem:
            reasons.append(proposal.problem)
        elif form == normalise(parent):
            reasons.append(UNCHANGED)
        elif form in taken:
            reasons.append(IN_CORPUS)
        elif form in seen:
            reasons.append(REPEATED)
        elif not proposal.target_paraphrased and kept.loses(parent, proposal.source, target):
            reasons.append(CHANGED_WORD)
        else:
            reasons.append("")
            seen.add(form)
    return reasons
