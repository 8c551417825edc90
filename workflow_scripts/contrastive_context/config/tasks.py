"""Tasks: a corpus, a template, how similarity is measured and how outputs are judged."""

from typing import Annotated, Literal

from pydantic import Field

from contrastive_context.config.base import Composed, Distinct, Model, Seed
from contrastive_context.config.claims import TaskClaims
from contrastive_context.config.sources import Corpus
from contrastive_context.config.templates import Template

Metric = Literal[
    "token_accuracy", "exact_match", "intent_match", "tree_match", "slot_f1", "bird_execution_accuracy", "chrf++",
    "bleu", "comet", "comet_qe",
]  # fmt: skip
EXECUTED = ("bird_execution_accuracy",)
"""Metrics for which queries are run, in a sandbox."""

Agreement = Literal["token_accuracy", "exact_match", "chrf"]
Composition = Literal["one_graded", "top_k"]
ProbeMeasure = Literal["generation", "likelihood"]


class Index(Model):
    """How the nearest neighbours are searched. ``auto``: exact up to ``exact_up_to`` rows, hnswlib above."""

    kind: Literal["exact", "hnswlib", "auto"] = "auto"
    exact_up_to: int = Field(75_000, ge=1, description="auto: rows up to which the search is exact")
    neighbours: int = Field(16, ge=1, description="rows of the neighbour table per example")
    m: int = Field(16, ge=2, description="hnswlib: links per row")
    ef_construction: int = Field(200, ge=8, description="hnswlib: candidates looked at when a row is added")
    ef: int = Field(128, ge=8, description="hnswlib: candidates looked at in a search")
    recall_sample: int = Field(500, ge=1, description="hnswlib: rows whose neighbours are compared with the exact ones")
    min_recall: float = Field(
        0.99, ge=0, le=1, description="hnswlib: share found of these, below which the stage fails"
    )


class TaskEvaluation(Model):
    """Frozen evaluation contexts of a task."""

    seed: Seed = 0
    targets: int = Field(300, ge=1, description="test targets, each of which fills all buckets and compositions")
    all_targets: int = Field(
        0, ge=0, description="targets of the appendix, drawn whatever buckets they fill; 0 for no such appendix"
    )
    min_targets: int = Field(10, ge=1, description="a bucket that fewer targets fill is left out and reported")
    compositions: Annotated[list[Composition], Distinct] = Field(
        ["one_graded", "top_k"], min_length=1, description="one graded example among random ones; the k nearest"
    )
    graded: Literal["any", "middle"] = Field(
        "any",
        description="one_graded: which example of a bucket above the lowest is shown: one drawn from all of it, or the "
        "one nearest to its middle (the highest ends at 1)",
    )
    max_agreement: float = Field(0.9, gt=0, le=1, description="examples that agree with gold by this or more are out")
    paraphraser: str | None = Field(
        None,
        description="its paraphrases of test pairs stand in where no arrival is similar enough, as a series of their "
        "own; none if absent. Those whose target agrees with gold are refused: take one that rewords targets too",
    )


class TaskProbes(Model):
    """Frozen probe prompts of a task."""

    seed: Seed = 0
    targets: int = Field(200, ge=1, description="test targets that are probed")
    min_targets: int = Field(10, ge=1, description="a probe that fewer targets give is left out and reported")
    measures: Annotated[list[ProbeMeasure], Distinct] = Field(
        ["generation", "likelihood"], min_length=1, description="agreement of answers; nats per label token"
    )
    secondary: bool = Field(False, description="Override and ICL-gain as well: two prompts more per item")
    anchors: Literal["positional_words", "sentence_label", "quoted_values", "shared_words", "aligned_words"] = Field(
        description="how a span of the source is tied to the span of the target that it explains; aligned_words: by "
        "how words of source and target go together in the corpus, whatever their scripts"
    )
    source_nonces: Annotated[list[Composed], Distinct] = Field(
        min_length=2, description="made-up words for sources; two that a prompt's examples lack are used"
    )
    label_nonces: Annotated[list[Composed], Distinct] = Field(
        min_length=2, description="made-up words for targets; one that a prompt's examples lack is used"
    )


BY_BLANKS = ("13a", "intl", "none")
"""BLEU's tokenizers that need blanks between words."""


class Bleu(Model):
    """How BLEU splits the target language into words. Only tokenizers that need no download at first use.

    ``13a`` (WMT's) knows ASCII punctuation; ``intl`` splits at any Unicode punctuation, as the danda of Indic scripts.
    Languages without blanks between words need ``zh`` (Chinese) or ``char``.
    """

    tokenize: Literal["13a", "intl", "char", "zh", "none"] = Field("13a", description="sacrebleu's name of it")


class Task(Model):
    """One task of the study."""

    title: str | None = Field(None, description="name in figures; the entry's key if absent")
    corpus: Corpus = Field(description="where the text comes from")
    test_sets: Annotated[list[str], Distinct] = Field(
        ["in_domain"], min_length=1, description="the corpus's test sets that are evaluated; probes use the first"
    )
    template: Template
    encoder: str = Field(description="key under encoders: what similarity is")
    index: Index = Index()
    k: int = Field(5, ge=1, description="examples per context")
    draws: int = Field(1, ge=1, description="contexts drawn per training target; epochs and seeds take them in turn")
    context_seed: Seed = 0
    metrics: Annotated[list[Metric], Distinct] = Field(min_length=1, description="the first one is the headline")
    bleu: Bleu = Bleu()
    agreement: Agreement = Field(description="how probes and evaluation contexts compare an answer or label with gold")
    evaluation: TaskEvaluation = TaskEvaluation()
    probes: TaskProbes | None = Field(None, description="absent: the task is not probed")
    claims: TaskClaims = TaskClaims()
