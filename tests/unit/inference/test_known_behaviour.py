"""The probes on models whose behaviour is known: each score comes out where its definition says."""

import zlib

import numpy as np
import pytest

from context_samples import EDGES, VOCABULARY, examples, label, sentences
from contrastive_context.config.tasks import TaskProbes
from contrastive_context.config.templates import Template
from contrastive_context.contexts.probe_prompts import freeze_probes
from contrastive_context.contexts.settings import FreezeProbesSettings
from contrastive_context.inference.probing import probe_model
from contrastive_context.models.tiny.tokenizer import SPECIALS, build
from contrastive_context.text.agreement import token_accuracy
from rule_models import CONFIDENCE, RuleModel

TEMPLATE = Template(target_prefix="=>", stop=";", max_new_tokens=8, max_prompt_tokens=128)
NONCES = ["zu", "zv", "zw", "yu", "yv"]
WORDS = [f"{letter}{i:02d}" for letter in "st" for i in range(VOCABULARY)]


@pytest.fixture(scope="module")
def prompts():
    """Probe prompts of 120 items."""
    rng = np.random.default_rng(0)
    sources = sentences(0, 250)
    arrivals = sentences(1, 600)
    for source in sources:
        words = source.split()
        words[rng.integers(6)] = f"s{rng.integers(VOCABULARY):02d}"
        arrivals.append(" ".join(words))
    arrivals = [source for source in dict.fromkeys(arrivals) if source not in sources]
    probes = TaskProbes(
        targets=120, secondary=True, anchors="positional_words", source_nonces=NONCES[:3], label_nonces=NONCES[3:]
    )
    settings = FreezeProbesSettings(
        task="lex", test_set="in_domain", k=4, agreement="token_accuracy", probes=probes, buckets=EDGES,
        max_agreement=0.9,
    )  # fmt: skip
    frame = freeze_probes(examples(sources), examples(arrivals), settings)[0].to_pandas()
    assert frame["role"].eq("icl_relevant").sum() > 90
    return frame


@pytest.fixture(scope="module")
def scores(prompts):
    """Return a function: rule → mean value by (probe, measure)."""
    tokenizer = build([*SPECIALS, *WORDS, *NONCES])

    def measure(rule):
        model = RuleModel(rule, tokenizer)
        frame = probe_model(model, tokenizer, TEMPLATE, prompts, ["generation", "likelihood"], token_accuracy)
        assert np.isfinite(frame["value"]).all()
        return frame.groupby(["probe", "measure"])["value"].mean().to_dict()

    return measure


def from_weights(query):
    return label(" ".join(query)).split()


def agreement_by_chance(prompts):
    """How well a shown label agrees with gold, and with labels that aren't shown, without any relation."""
    rows = prompts[prompts["role"] == "irrelevant"].itertuples()
    pairs = [
        (token_accuracy(row.example_targets[0], row.gold), max(token_accuracy(row.example_targets[0], other)
         for other in row.matched_labels)) for row in rows
    ]  # fmt: skip
    return np.mean(pairs, axis=0)


def test_always_gold(prompts, scores):
    gold = {
        (tuple(row.example_sources), tuple(row.example_targets), row.source): row.gold for row in prompts.itertuples()
    }

    def rule(shown, query):
        sources, targets = zip(*((" ".join(a), " ".join(b)) for a, b in shown), strict=True)
        return gold[sources, targets, " ".join(query)].split()

    found = scores(rule)
    assert found["iwl", "generation"] == 1 and found["iwl", "likelihood"] == pytest.approx(0, abs=0.02)
    for probe in ("icl", "icl_valid"):  # gold comes whether it is shown or not: no use of the context
        assert found[probe, "generation"] == 0 == found[probe, "likelihood"]
    assert found["copy", "generation"] == pytest.approx(0, abs=0.05)
    assert found["copy", "likelihood"] == 0
    assert found["icl_gain", "generation"] == 0 == found["icl_gain", "likelihood"]


def test_copies_the_first_shown_label(prompts, scores):
    found = scores(lambda shown, query: shown[0][1])
    to_gold, to_others = agreement_by_chance(prompts)
    assert found["iwl", "generation"] == pytest.approx(to_gold) and to_gold < 0.2
    for probe in ("icl", "icl_valid"):  # the nonce is in the same slot of both contexts
        assert found[probe, "generation"] == 0
        # In a few items no word of the control can carry it at the same place; there a copier by position gains.
        assert found[probe, "likelihood"] == pytest.approx(0, abs=0.1 * CONFIDENCE)
    assert found["copy", "generation"] == pytest.approx(1 - to_others) and to_others < 0.5
    assert found["copy", "likelihood"] > 0.5  # of the most similar shown label, which is the first in some


def test_copies_a_random_shown_label(prompts, scores):
    def rule(shown, query):
        return shown[zlib.crc32(repr((shown, query)).encode()) % len(shown)][1]

    found = scores(rule)
    for probe in ("icl", "icl_valid"):
        assert found[probe, "generation"] == pytest.approx(0, abs=0.15)  # three standard errors
    assert found["copy", "generation"] == pytest.approx(1 - agreement_by_chance(prompts)[1], abs=0.1)
    assert found["iwl", "generation"] < 0.2


def test_uses_the_most_similar_example_above_a_threshold(scores):
    def rule(shown, query):
        shares = [np.mean([a == b for a, b in zip(source, query, strict=True)]) for source, _ in shown]
        source, target = shown[int(np.argmax(shares))]
        known = dict(zip(source, target, strict=True)) if max(shares) >= 0.5 else {}
        return [known.get(word, weight) for word, weight in zip(query, from_weights(query), strict=True)]

    found = scores(rule)
    assert found["iwl", "generation"] == 1
    for probe in ("icl", "icl_valid"):
        assert found[probe, "generation"] == pytest.approx(1, abs=0.02)
        assert found[probe, "likelihood"] > 0.85 * CONFIDENCE
    assert found["copy", "generation"] == pytest.approx(0, abs=0.05)
    assert found["copy", "likelihood"] == 0
    assert found["icl_gain", "generation"] == 0  # the weights know gold
    assert found["override", "generation"] == pytest.approx(1, abs=0.02)  # but the example is believed
    assert found["override", "likelihood"] > 0.85 * CONFIDENCE


def test_knows_only_what_the_most_similar_example_shows(scores):
    def rule(shown, query):
        source, target = max(shown, key=lambda pair: sum(a == b for a, b in zip(pair[0], query, strict=True)))
        return [label if word == asked else NONCES[0] for word, label, asked in zip(source, target, query, strict=True)]

    found = scores(rule)
    assert found["icl_gain", "generation"] > 0.5 and found["icl_gain", "likelihood"] > 0.5
    assert found["override", "generation"] > 0.95


def test_uses_its_weights_alone(scores):
    found = scores(lambda shown, query: from_weights(query))
    assert found["iwl", "generation"] == 1
    for probe in ("icl_gain", "override"):
        assert found[probe, "generation"] == pytest.approx(0, abs=1e-12)
        assert found[probe, "likelihood"] == pytest.approx(0, abs=1e-6)


def test_ignores_everything(scores):
    found = scores(lambda shown, query: ["t00"] * 6)
    for probe in ("icl", "icl_valid", "icl_gain", "override"):
        assert found[probe, "generation"] == pytest.approx(0, abs=1e-12)
        assert found[probe, "likelihood"] == pytest.approx(0, abs=1e-6)
    assert found["iwl", "generation"] < 0.2
    assert found["copy", "generation"] == pytest.approx(0, abs=0.05)
    assert found["copy", "likelihood"] == pytest.approx(0, abs=1e-6)


def skewed(count, labels, rng):
    """Draw labels of two words, of which the first ones are much more frequent."""
    shares = 1 / np.arange(1, labels + 1)
    return [
        f"t{i % VOCABULARY:02d} t{i // 2 % VOCABULARY:02d}" for i in rng.choice(labels, count, p=shares / shares.sum())
    ]


@pytest.mark.parametrize("agreement", ["exact_match", "token_accuracy"])
@pytest.mark.parametrize("labels", [5, 12])  # fewer than 2k and more
def test_a_model_that_does_not_copy_scores_0_however_uneven_labels_are(labels, agreement):
    rng = np.random.default_rng(labels)
    sources = sentences(0, 500)
    arrivals = [*sentences(1, 500)]
    for source in sources:
        words = source.split()
        words[5] = f"s{rng.integers(VOCABULARY):02d}"
        arrivals.append(" ".join(words))
    arrivals = [source for source in dict.fromkeys(arrivals) if source not in sources]
    test, known = (examples(texts, skewed(len(texts), labels, rng)) for texts in (sources, arrivals))
    probes = TaskProbes(targets=400, anchors="positional_words", source_nonces=NONCES[:3], label_nonces=NONCES[3:])
    settings = FreezeProbesSettings(
        task="skew", test_set="in_domain", k=3, agreement=agreement, probes=probes, buckets=EDGES, max_agreement=0.9
    )
    table, coverage = freeze_probes(test, known, settings)
    prompts = table.to_pandas()
    assert coverage["used_irrelevant"] == 400
    assert coverage["used_repeating_labels"] == (400 if labels < 6 else 0)
    tokenizer = build([*SPECIALS, *WORDS, *NONCES])
    gold = dict(zip(prompts["source"], prompts["gold"], strict=True))
    rules = {f"always {text}": lambda shown, query, text=text: text.split() for text in set(test.targets)}
    rules["always gold"] = lambda shown, query: gold[" ".join(query)].split()
    for name, rule in rules.items():
        frame = probe_model(RuleModel(rule, tokenizer), tokenizer, TEMPLATE, prompts, ["generation"], agreement)
        values = frame.loc[frame["probe"] == "copy", "value"]
        assert abs(values.mean()) <= 3 * values.std() / len(values) ** 0.5, name
