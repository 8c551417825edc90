"""Words aligned over a corpus, across scripts: those that belong together, no others, and the same every time."""

import itertools

import numpy as np
import pytest

from contrastive_context.contexts import word_alignment
from contrastive_context.contexts.anchors import anchor_finder
from contrastive_context.contexts.word_alignment import WordAlignment

#: English → Hindi, whose signs of vowels are marks and no letters; and the order of words differs.
WORDS = {"kitchen": "रसोई", "garden": "बगीचा", "lamp": "दीपक", "radio": "रेडियो", "heater": "हीटर", "window": "खिड़की",
         "door": "दरवाज़ा", "table": "मेज़", "chair": "कुर्सी", "clock": "घड़ी"}  # fmt: skip
PAIRS = [
    (f"Open the {thing} in the {place}, please", f"कृपया {WORDS[place]} में {WORDS[thing]} खोलें")
    for thing, place in itertools.permutations(WORDS, 2)
]


def aligned(pairs, source, target):
    return {
        (source[slice(*link.source.span)], target[slice(*link.target.span)])
        for link in WordAlignment(*zip(*pairs, strict=True)).links(source, target)
    }


def test_words_of_two_scripts_are_tied():
    found = aligned(PAIRS, "Open the lamp in the garden, please", "कृपया बगीचा में दीपक खोलें")
    assert {("lamp", "दीपक"), ("garden", "बगीचा")} <= found
    assert all(WORDS.get(source, target) == target for source, target in found)


def test_a_word_twice_or_without_a_counterpart_or_unknown_is_not_tied():
    alignment = WordAlignment(*zip(*PAIRS, strict=True))
    assert not alignment.links("lamp and lamp", "दीपक")
    assert not alignment.links("the lamp", "घड़ी")
    assert not alignment.links("xylophone", "जाइलोफोन")
    assert not alignment.links("", "दीपक") and not alignment.links("lamp", "")
    assert not WordAlignment([], []).links("lamp", "दीपक")


def test_the_order_of_pairs_changes_no_link_and_a_sample_is_drawn_of_many(monkeypatch):
    whole = WordAlignment(*zip(*PAIRS, strict=True))
    turned = WordAlignment(*zip(*reversed(PAIRS), strict=True))
    assert [whole.links(*pair) for pair in PAIRS] == [turned.links(*pair) for pair in PAIRS]
    monkeypatch.setattr(word_alignment, "MAX_LINKS", 2000)
    sampled = WordAlignment(*zip(*PAIRS, strict=True))
    assert len(sampled._count) <= len(whole._count) and any(sampled.links(*pair) for pair in PAIRS)


def test_probabilities_are_those_of_model_1():
    """The textbook's three pairs, whose estimates after six rounds are computed here one by one."""
    pairs = [("das haus", "the house"), ("das buch", "the book"), ("ein buch", "a book")]
    nothing = "\0"
    probability = {(a, b): 1.0 for source, target in pairs for a in [nothing, *source.split()] for b in target.split()}
    for _ in range(6):
        expected: dict[tuple[str, str], float] = dict.fromkeys(probability, 0.0)
        for source, target in pairs:
            for b in target.split():
                given = [nothing, *source.split()]
                total = sum(probability[a, b] for a in given)
                for a in given:
                    expected[a, b] += probability[a, b] / total
        sums = {a: sum(value for (c, _), value in expected.items() if c == a) for a, _ in expected}
        probability = {(a, b): value / sums[a] for (a, b), value in expected.items()}
    alignment = WordAlignment(*(np.repeat(side, 3).tolist() for side in zip(*pairs, strict=True)))
    for (a, b), value in probability.items():
        index = alignment._at(0 if a == nothing else alignment._sources[a], alignment._targets[b])
        assert alignment._forward[index] == pytest.approx(value)


def test_anchors_are_words_that_say_something():
    common = [(f"{source} now", f"{target} अब") for source, target in PAIRS]
    find = anchor_finder("aligned_words", *zip(*common, strict=True))
    source, target = "Open the lamp in the garden, please now", "कृपया बगीचा में दीपक खोलें अब"
    anchors = list(find(source, target))
    # "now" and "please" stand in every pair.
    assert {(anchor.source_text, anchor.target_text) for anchor in anchors} == {("lamp", "दीपक"), ("garden", "बगीचा")}
    for anchor in anchors:
        assert (
            source[slice(*anchor.source)] == anchor.source_text and target[slice(*anchor.target)] == anchor.target_text
        )
