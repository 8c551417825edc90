"""The words that tables, figures and report share: how strategies, probes, contexts, series and buckets are called."""

from collections.abc import Mapping
from typing import NamedTuple

from contrastive_context.contexts.series import ALL_TARGETS, STAND_INS
from contrastive_context.core.buckets import ascending

#: The two systems that no strategy trains, and kinds of strategies.
STRATEGIES = {
    "base": "Base",
    "nearest_label": "Nearest label",
    "zero": "Zero",
    "random": "Random",
    "similar": "Similar",
    "contrastive": "Contrastive",
    "mixed": "Mixed",
}
#: Systems in a sentence.
ROLES = STRATEGIES | {"base": "base"}


class Probe(NamedTuple):
    """How a probe is called: at the head of a column, in a sentence, on an axis, and with what it measures."""

    title: str
    score: str
    axis: str
    description: str


#: The paper's probes and the variant with a valid label. The others are secondary: in tables alone.
PROBES = {
    "iwl": Probe("IWL", "IWL-score", "IWL", "IWL-score: gold when every example is irrelevant"),
    "icl": Probe("ICL", "ICL-score", "ICL", "ICL-score: the edited label of the relevant example is used"),
    "icl_valid": Probe(
        "ICL (valid label)", "ICL-score (valid label)", "ICL (valid)", "ICL-score with a valid substitute label"
    ),
    "copy": Probe("Copy", "Copy-score", "Copy", "Copy-score: labels shown, over labels that were not shown"),
}
PROBE_TITLES = {name: probe.title for name, probe in PROBES.items()} | {
    "icl_gain": "ICL-gain (secondary)",
    "override": "Override (secondary)",
}
#: Compositions of contexts, in tables and over single panels; "none" is the probes'.
COMPOSITIONS = {"zero_context": "zero-shot", "one_graded": "one graded", "top_k": "k nearest", "none": ""}
_COMPOSITION_DESCRIPTIONS = {
    "one_graded": "one graded example among random ones",
    "top_k": "the k nearest of a thinned pool",
}
#: The series beside the headline's.
SERIES = {
    ALL_TARGETS: "all targets, each in the buckets that it fills",
    STAND_INS: "paraphrases of the targets stand in",
}


#: An ablation's factor: over a panel, where its name won't do, and on its axis.
_FACTOR_TITLES = {"epsilon": "ε", "without": "level removed", "token_matched": "tokens matched"}
_FACTOR_AXES = {
    "p": "p of the nearest neighbour",
    "epsilon": "ε of a paraphrase",
    "without": "similarity removed from training",
    "augmentation": "share of paraphrases as data",
    "token_matched": "tokens matched",
}


def spaced(name: str) -> str:
    """Return a name that has no title as words."""
    return name.replace("_", " ")


def composition_title(name: str) -> str:
    """Return a composition's title."""
    return COMPOSITIONS.get(name, spaced(name))


def composition_description(name: str) -> str:
    """Return a composition in words that explain it."""
    return _COMPOSITION_DESCRIPTIONS.get(name, spaced(name))


def ablation_title(strategy: str, factor: str) -> str:
    """Return the title of a panel that varies a factor of a strategy."""
    return f"{strategy}: {_FACTOR_TITLES.get(factor, spaced(factor))}"


def factor_axis(factor: str) -> str:
    """Return how a factor is called on its axis."""
    return _FACTOR_AXES.get(factor, spaced(factor))


def bucket_labels(edges: Mapping[str, float]) -> list[str]:
    """Return labels with ranges in ascending order, e.g. "low" over "0–.33"; the last range is closed at 1."""
    names = ascending(edges)
    ends = [*(edges[name] for name in names), 1.0]
    return [f"{name}\n{_edge(ends[i])}–{_edge(ends[i + 1])}" for i, name in enumerate(names)]


def _edge(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text[1:] if text.startswith("0.") else text
