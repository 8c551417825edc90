"""What can be reached on a synthetic task without a model: the floor and the ceiling of each bucket.

Four readers answer the frozen prompts: one who knows the general rule of pre-training alone, one who has learned the
task's rule, one who copies the label of the most similar example, and one who combines the last two rightly. A claim
about a bucket can show only where these differ there.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from contrastive_context.config.sources import IdiomCorpus, LexiconCorpus
from contrastive_context.core import artifacts
from contrastive_context.corpora import idiom, lexicon
from contrastive_context.corpora.synthetic import join, parse

READERS = ("nothing learned", "rule alone", "copying alone", "both")


class _Rules(NamedTuple):
    """Labels of sources, space-separated: by the general rule, and by the task's as far as it can be learned."""

    general: Callable[[list[str]], list[str]]
    learned: Callable[[list[str]], list[str]]


def table(corpus: IdiomCorpus | LexiconCorpus, folder: Path, task: str) -> pd.DataFrame:
    """Return the token accuracy of the four readers per composition and bucket.

    Args:
        corpus: the task's.
        folder: the run's, with the task's corpus and frozen evaluation contexts.
        task: its name.

    Returns:
        Indexed by composition and bucket; columns ``READERS``, ``similarity`` (mean of the most similar example's) and
        ``prompts``.
    """
    test, arrivals = (
        artifacts.read_parquet(folder / f"corpus/{task}/{split}.parquet", ("id", "source", "target")).set_index("id")
        for split in ("test", "arrivals")
    )
    prompts = artifacts.read_parquet(folder / f"contexts/{task}/eval.parquet", ("target_id", "example_ids", "bucket"))
    prompts = prompts.loc[prompts["composition"] != "zero_context"]
    rules = _idiom(corpus) if isinstance(corpus, IdiomCorpus) else _lexicon(corpus)
    targets = test.loc[prompts["target_id"]]
    contexts = zip(prompts["example_ids"], prompts["similarities"], strict=True)
    shown = arrivals.loc[[ids[int(np.argmax(similarities))] for ids, similarities in contexts]]
    sources = targets["source"].tolist()
    general, learned = _words(rules.general(sources)), _words(rules.learned(sources))
    copied, gold = _words(shown["target"].tolist()), _words(targets["target"].tolist())
    revealed = np.zeros(gold.shape, dtype=bool)
    for row, meta in enumerate(targets["meta"]):
        (slots,) = json.loads(meta).values()  # those whose label only an example tells
        revealed[row, slots] = True
    if isinstance(corpus, LexiconCorpus):  # word by word: of words that the example has at the same position
        revealed &= _words(sources) == _words(shown["source"].tolist())
    both = np.where(revealed, copied, learned)
    found = {
        name: (answers == gold).mean(axis=1)
        for name, answers in zip(READERS, (general, learned, copied, both), strict=True)
    }
    frame = prompts[["composition", "bucket"]].assign(similarity=prompts["max_similarity"], **found)
    grouped = frame.groupby(["composition", "bucket"])
    return grouped.mean()[[*READERS, "similarity"]].assign(prompts=grouped.size())


def _words(texts: list[str]) -> np.ndarray:
    return np.array([text.split() for text in texts])


def _idiom(corpus: IdiomCorpus) -> _Rules:
    def labelled(label: Callable[[np.ndarray], np.ndarray]) -> Callable[[list[str]], list[str]]:
        return lambda sources: idiom.as_text(label(_parse(sources, idiom.SOURCE_WORDS[: idiom.SOURCES], "idiom")))

    return _Rules(labelled(idiom.general_label), labelled(lambda source: idiom.task_label(corpus, source)))


def _lexicon(corpus: LexiconCorpus) -> _Rules:
    known = lexicon.general_lexicon()

    def labelled(sources: list[str], *, learned: bool) -> list[str]:
        source = _parse(sources, lexicon.SOURCE_WORDS[: lexicon.SOURCES], "lexicon")
        # Senses are the clusters'; without an example the general translation is as good as any.
        own = lexicon.label(corpus, np.zeros((len(source), 1), dtype=np.int64), source)
        return join(np.where((source < lexicon.PLAIN) & learned, own, known[source]), lexicon.TARGET_WORDS)

    return _Rules(lambda sources: labelled(sources, learned=False), lambda sources: labelled(sources, learned=True))


def _parse(sources: list[str], words: tuple[str, ...], task: str) -> np.ndarray:
    return parse(pd.Series(sources), words, 6, "headroom", task)
