"""Highly similar synthetic pairs: a paraphrase of each training pair, kept if close to it but not equal."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from contrastive_context.config.base import Model
from contrastive_context.config.sources import Corpus, Encoder, LexiconCorpus, Paraphraser
from contrastive_context.corpora.rows import normalise, row_id
from contrastive_context.errors import UserError
from contrastive_context.paraphrasing.rules import reword
from contrastive_context.retrieval import encoders

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COLUMNS = ("id", "parent_id", "source", "target", "similarity", "target_paraphrased", "accepted", "reason")
"""Columns of a paraphrase file. ``reason`` is empty where accepted."""

UNCHANGED = "same text as its parent"
IN_CORPUS = "same text as a corpus row"
REPEATED = "same text as another paraphrase"
TOO_FAR = "similarity below min_similarity"
TOO_NEAR = "similarity of 1"

_ONE = 1 - 1e-6


class Settings(Model):
    """Settings of ``paraphrase.py``."""

    task: str
    paraphraser_name: str
    paraphraser: Paraphraser
    corpus: Corpus
    encoder: Encoder


def paraphrase(
    settings: Settings,
    rows: "pd.DataFrame",
    embeddings: "np.ndarray",
    encode: encoders.Encode,
    excluded: Sequence[str],
) -> tuple["pd.DataFrame", dict[str, Any]]:
    """Make one candidate per training row and say which are accepted.

    A candidate is accepted if its text differs from its parent's, from every corpus source (of training and of the
    splits to exclude) and from every earlier candidate, all compared in normalised form, and if its similarity to its
    parent is in [``min_similarity``, 1). The encoder sees only texts that passed the comparisons.

    Args:
        settings: the paraphraser's entry and the task's corpus and encoder.
        rows: training rows with id, source, target and cluster, sorted by id.
        embeddings: float32 [rows, dimensions] of their sources, unit norm.
        encode: the encoder of the task.
        excluded: sources of the other splits.

    Returns:
        A frame with ``COLUMNS``, a row per candidate in the order of ``rows`` (similarity is NaN where the text was
        refused before it was embedded); and the counts: candidates, accepted, rejected by reason.

    Raises:
        UserError: the paraphraser's kind doesn't fit the corpus, or rows and embeddings don't fit each other.
    """
    import numpy as np
    import pandas as pd

    if len(rows) != len(embeddings):
        raise UserError(
            f"tasks.{settings.task}: {len(rows)} training rows but {len(embeddings)} embeddings; "
            "delete the embeddings and run again"
        )
    pairs = _candidates(settings, rows)
    taken = {normalise(text) for text in (*rows["source"], *excluded)}
    seen: set[str] = set()
    reasons: list[str] = []
    for (source, _), parent in zip(pairs, rows["source"], strict=True):
        form = normalise(source)
        if form == normalise(parent):
            reasons.append(UNCHANGED)
        elif form in taken:
            reasons.append(IN_CORPUS)
        elif form in seen:
            reasons.append(REPEATED)
        else:
            reasons.append("")
            seen.add(form)
    similarity = np.full(len(rows), np.nan)
    left = [index for index, reason in enumerate(reasons) if not reason]
    if left:
        batch_size = getattr(settings.encoder, "batch_size", 256)
        vectors = encoders.embed([pairs[index][0] for index in left], encode, batch_size, label="embedding paraphrases")
        similarity[left] = np.clip((vectors * embeddings[left]).sum(axis=1, dtype=np.float64), 0, 1).round(6)
    for index in left:
        if similarity[index] < settings.paraphraser.min_similarity:
            reasons[index] = TOO_FAR
        elif similarity[index] >= _ONE:
            reasons[index] = TOO_NEAR
    frame = pd.DataFrame(
        {
            "id": [row_id(*pair) for pair in pairs],
            "parent_id": rows["id"].to_numpy(),
            "source": [source for source, _ in pairs],
            "target": [target for _, target in pairs],
            "similarity": similarity,
            "target_paraphrased": settings.paraphraser.kind in ("lexicon", "idiom"),
            "accepted": [not reason for reason in reasons],
            "reason": reasons,
        }
    )
    rejected = dict(sorted(Counter(filter(None, reasons)).items()))
    return frame, {"candidates": len(frame), "accepted": int(frame["accepted"].sum()), "rejected": rejected}


def _candidates(settings: Settings, rows: "pd.DataFrame") -> list[tuple[str, str]]:
    seed = settings.paraphraser.seed
    if settings.paraphraser.kind == "rules":
        return [
            (reword(source, target, key=f"{seed}/{identity}"), target)
            for identity, source, target in zip(rows["id"], rows["source"], rows["target"], strict=True)
        ]
    if settings.corpus.kind != settings.paraphraser.kind:
        raise UserError(
            f"paraphrasers.{settings.paraphraser_name}: kind {settings.paraphraser.kind} can't paraphrase "
            f"tasks.{settings.task}, whose corpus is of kind {settings.corpus.kind}"
        )
    if isinstance(settings.corpus, LexiconCorpus):
        from contrastive_context.corpora import lexicon as language
    else:
        from contrastive_context.corpora import idiom as language
    return language.paraphrase(rows, settings.corpus, seed)
