"""Proposals of every paraphraser: one per row of a corpus, judged later by ``pairs.accept``."""

import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contrastive_context.core import artifacts
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.build import corpus_module
from contrastive_context.paraphrasing import kept
from contrastive_context.paraphrasing.settings import ParaphraseSettings

if TYPE_CHECKING:
    import pandas as pd


class Proposal(NamedTuple):
    """Another wording of a pair.

    Attributes:
        source: its source.
        target: its target; the parent's if ``target_paraphrased`` is False.
        target_paraphrased: whether the target side was reworded too.
        problem: why there is none; empty if there is one.
    """

    source: str
    target: str
    target_paraphrased: bool = False
    problem: str = ""


def propose(
    settings: ParaphraseSettings, rows: "pd.DataFrame", folders: Mapping[str, Path], answers: str | Path | None = None
) -> list[Proposal]:
    """Return one proposal per row.

    Of a Text-to-SQL source the question is reworded; the evidence and the schema behind it stay. Proposals are in the
    corpus's Unicode form.

    Args:
        settings: the paraphraser's entry and what it needs to know.
        rows: pairs with id, source, target and cluster.
        folders: model → its prepared folder, for the paraphrasers that run models.
        answers: for an endpoint: what ``ask_endpoint.py`` has brought.

    Raises:
        UserError: the paraphraser doesn't fit the corpus, or something that it needs is missing.
    """
    parts = [kept.split(source, getattr(settings.corpus, "question_ends", ())) for source in rows["source"]]
    asked = rows.assign(source=[question for question, _ in parts])
    form = getattr(settings.corpus, "unicode_form", None)

    def finished(proposal: Proposal, fixed: str) -> Proposal:
        texts = proposal.source and f"{proposal.source}{fixed}", proposal.target
        source, target = (unicodedata.normalize(form, text) if form else text for text in texts)
        return proposal._replace(source=source, target=target)

    proposals = PROPOSERS[settings.paraphraser.kind](settings, asked, folders, answers)
    return [finished(proposal, fixed) for proposal, (_, fixed) in zip(proposals, parts, strict=True)]


def _by_rules(settings: ParaphraseSettings, rows: "pd.DataFrame", *_: object) -> list[Proposal]:
    from contrastive_context.paraphrasing.rules import reword

    seed = settings.paraphraser.seed
    return [
        Proposal(reword(source, target, key=f"{seed}/{identity}"), target)
        for identity, source, target in zip(rows["id"], rows["source"], rows["target"], strict=True)
    ]


def _by_language_model(
    settings: ParaphraseSettings, rows: "pd.DataFrame", folders: Mapping[str, Path], _: object
) -> list[Proposal]:
    from contrastive_context.paraphrasing.language_model import reword

    return _by_models(reword, settings, rows, folders)


def _by_back_translation(
    settings: ParaphraseSettings, rows: "pd.DataFrame", folders: Mapping[str, Path], _: object
) -> list[Proposal]:
    from contrastive_context.paraphrasing.back_translation import reword

    return _by_models(reword, settings, rows, folders)


def _by_models(
    reword: Callable[[ParaphraseSettings, list[str], Mapping[str, Path]], list[str]],
    settings: ParaphraseSettings,
    rows: "pd.DataFrame",
    folders: Mapping[str, Path],
) -> list[Proposal]:
    if missing := [name for name in settings.paraphraser.models if name not in folders]:
        raise UserError(f"paraphrasers.{settings.paraphraser_name}: --models RECORD of {missing[0]} is missing")
    texts = reword(settings, rows["source"].tolist(), folders)
    return [Proposal(text, target) for text, target in zip(texts, rows["target"], strict=True)]


def _synthetic(settings: ParaphraseSettings, rows: "pd.DataFrame", *_: object) -> list[Proposal]:
    if settings.corpus.kind != settings.paraphraser.kind:
        raise UserError(
            f"paraphrasers.{settings.paraphraser_name}: kind {settings.paraphraser.kind} can't paraphrase "
            f"tasks.{settings.task}, whose corpus is of kind {settings.corpus.kind}"
        )
    language = corpus_module(settings.corpus.kind)
    pairs = language.paraphrase(rows, settings.corpus, settings.paraphraser.seed)
    return [Proposal(source, target, target_paraphrased=True) for source, target in pairs]


def _answered(
    settings: ParaphraseSettings, rows: "pd.DataFrame", _: object, answers: str | Path | None
) -> list[Proposal]:
    if answers is None:
        raise UserError(f"paraphrasers.{settings.paraphraser_name}: --answers of ask_endpoint.py is missing")
    frame = artifacts.read_parquet(answers, columns=["id", "source", "target", "problem"])
    if frame["id"].tolist() != rows["id"].tolist():
        raise UserError(f"{answers}: holds answers for other rows; delete it and run again")
    return [
        Proposal(source, target, target_paraphrased=target != parent, problem=problem)
        for source, target, problem, parent in zip(
            frame["source"], frame["target"], frame["problem"], rows["target"], strict=True
        )
    ]


#: Kind → what proposes other wordings, given the settings, the rows, the models' folders and an endpoint's answers.
PROPOSERS: dict[str, Callable[..., list[Proposal]]] = {
    "back_translation": _by_back_translation,
    "endpoint": _answered,
    "idiom": _synthetic,
    "language_model": _by_language_model,
    "lexicon": _synthetic,
    "rules": _by_rules,
}
