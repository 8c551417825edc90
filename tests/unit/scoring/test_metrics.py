import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from contrastive_context.core.errors import UserError
from contrastive_context.scoring.metrics import get_metric, intent_match

SENTENCES = [
    ("the cat sat on the mat", "the cat sat on a mat"),
    ("turn on the light", "turn on the kitchen light"),
    ("", "not empty"),
    ("Ich gehe (heute) nach Hause.", "Ich gehe heute nach Hause!"),
    ("வணக்கம் உலகம்", "வணக்கம் உலகமே"),
    ("a", "a"),
    ("completely different", "nothing shared here at all"),
]
texts = st.text(alphabet="abc .,(", max_size=20)


def _corpus(name, pairs):
    metric = get_metric(name)
    segments = [metric.segment(*pair) for pair in pairs]
    return metric.aggregate([s.value for s in segments], [s.stats for s in segments])


def _reference(name, pairs):
    metric = CHRF(word_order=2) if name == "chrf++" else BLEU(force=True)
    return metric.corpus_score([h for h, _ in pairs], [[r for _, r in pairs]]).score


@pytest.mark.parametrize("name", ["chrf++", "bleu"])
def test_summed_statistics_give_sacrebleus_corpus_score_to_the_last_digit(name):
    for size in range(1, len(SENTENCES) + 1):
        assert _corpus(name, SENTENCES[:size]) == _reference(name, SENTENCES[:size])


@pytest.mark.parametrize("name", ["chrf++", "bleu"])
@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_corpus_score_equals_sacrebleus_on_any_text(name, pairs):
    assert _corpus(name, pairs) == _reference(name, pairs)


def test_segment_values_are_sacrebleus_sentence_scores():
    for hypothesis, reference in SENTENCES:
        chrf = CHRF(word_order=2).sentence_score(hypothesis, [reference]).score
        bleu = BLEU(effective_order=True).sentence_score(hypothesis, [reference]).score
        assert (get_metric("chrf++").segment(hypothesis, reference).value == chrf) or (not hypothesis and not reference)
        assert get_metric("bleu").segment(hypothesis, reference).value == bleu


@pytest.mark.parametrize("name", ["chrf++", "bleu", "token_accuracy"])
def test_from_sums_works_on_whole_arrays(name):
    metric = get_metric(name)
    segments = [metric.segment(*pair) for pair in SENTENCES]
    matrix = metric.matrix([s.value for s in segments], [s.stats for s in segments])
    weights = np.random.default_rng(0).integers(0, 3, (20, len(SENTENCES)))
    together = metric.from_sums(weights @ matrix)
    assert together.tolist() == [float(metric.from_sums(row @ matrix)) for row in weights]


@pytest.mark.parametrize("name", ["chrf++", "bleu", "token_accuracy", "exact_match", "intent_match"])
def test_perfect_is_maximum_and_nothing_is_nan(name):
    metric = get_metric(name)
    perfect = metric.segment("turn on ( the light )", "turn on ( the light )")
    assert perfect.value == pytest.approx(metric.maximum)
    assert np.isnan(metric.aggregate([], []))
    empty = metric.matrix([perfect.value], [perfect.stats]) * 0
    assert np.isnan(metric.from_sums(empty)).all()


def test_intent_match_looks_at_the_text_before_the_bracket():
    assert intent_match("TurnOn(name: x)", "TurnOn(name: y)") == 1
    assert intent_match(" TurnOn (x", "TurnOn(name: y)") == 1
    assert intent_match("TurnOff(name: y)", "TurnOn(name: y)") == 0
    assert intent_match("", "TurnOn(name: y)") == 0


def test_signatures_name_versions_and_options():
    assert "nw:2" in get_metric("chrf++").signature()
    assert "tok:13a" in get_metric("bleu").signature()


def test_unknown_metric_is_a_user_error():
    with pytest.raises(UserError, match="unknown metric 'rouge'"):
        get_metric("rouge")
