"""Tasks: a corpus, a template, how similarity is measured and how outputs are judged."""

from typing import Literal

from pydantic import Field

from contrastive_context.config.base import Model
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
    exact_up_to: int = Field(50_000, ge=1)
    neighbours: int = Field(16, ge=1, description="rows of the neighbour table per example")
    m: int = Field(16, ge=2)
    ef_construction: int = Field(200, ge=8)
    ef: int = Field(128, ge=8)
    recall_sample: int = Field(500, ge=1)
    min_recall: float = Field(0.99, ge=0, le=1)


class TaskEvaluation(Model):
    """Frozen evaluation contexts of a task."""

    seed: int = 0
    targets: int = Field(300, ge=1, description="test targets, each of which fills all buckets and compositions")
    all_targets: int = Field(
        0, ge=0, description="targets of the appendix, drawn whatever buckets they fill; 0 for no such appendix"
    )
    min_targets: int = Field(10, ge=1, description="a bucket that fewer targets fill is left out and reported")
    compositions: list[Composition] = Field(["one_graded", "top_k"], min_length=1)
    max_agreement: float = Field(0.9, gt=0, le=1, description="examples that agree with gold by this or more are out")
    paraphraser: str | None = Field(
        None,
        description="its paraphrases of test pairs stand in where no arrival is similar enough, as a series of their "
        "own; none if absent. Those whose target agrees with gold are refused: take one that rewords targets too",
    )


class TaskProbes(Model):
    """Frozen probe prompts of a task."""

    seed: int = 0
    targets: int = Field(200, ge=1)
    measures: list[ProbeMeasure] = Field(["generation", "likelihood"], min_length=1)
    secondary: bool = Field(False, description="Override and ICL-gain as well: two prompts more per item")
    anchors: Literal["positional_words", "sentence_label", "quoted_values", "shared_words"] = Field(
        description="how a span of the source is tied to the span of the target that it explains"
    )
    source_nonces: list[str] = Field(min_length=2)
    label_nonces: list[str] = Field(min_length=2)


class Bleu(Model):
    """How BLEU splits the target language into words. Only tokenizers that need no download at first use.

    ``13a`` (WMT's) knows ASCII punctuation; ``intl`` splits at any Unicode punctuation, as the danda of Indic scripts.
    """

    tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a"


class Task(Model):
    """One task of the study."""

    title: str | None = None
    corpus: Corpus
    test_sets: list[str] = Field(["in_domain"], min_length=1)
    template: Template
    encoder: str
    index: Index = Index()
    k: int = Field(5, ge=1, description="examples per context")
    draws: int = Field(1, ge=1, description="contexts drawn per training target; epochs and seeds take them in turn")
    context_seed: int = 0
    metrics: list[Metric] = Field(min_length=1, description="the first one is the headline")
    bleu: Bleu = Bleu()
    agreement: Agreement
    evaluation: TaskEvaluation = TaskEvaluation()
    probes: TaskProbes
