"""One Unicode form everywhere: what some tokenizers compose must neither count as wrong nor as another text."""

import unicodedata

import pytest

from contrastive_context.config.templates import Template
from contrastive_context.config.text import FilesCorpus
from contrastive_context.corpora.build import build
from contrastive_context.corpora.settings import BuildCorpusSettings
from contrastive_context.prompting.prompts import PromptEncoder
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.scoring.scoring import Scorer
from contrastive_context.text.agreement import get_agreement
from small_models import tokenizer

# Letters with a nukta as keyboards write them, which NFC takes apart; letters with dots as macOS writes them.
HINDI, GERMAN = "स\u095cक पर गा\u095cी", "fu\u0308r die Tu\u0308r"
FORMS = [HINDI, GERMAN]


def built(tmp_path, rows, **corpus):
    files = {}
    for split in ("train", "dev", "arrivals", "test"):
        files[split] = tmp_path / f"{split}.tsv"
        lines = [f"{split} {source}\t{target}" for source, target in rows]
        files[split].write_text("\n".join(["source\ttarget", *lines]) + "\n")
    paths = {split: str(path) for split, path in files.items()}
    corpus = FilesCorpus(kind="files", **{**paths, "test": {"in_domain": paths["test"]}}, **corpus)
    return build(BuildCorpusSettings(task="toy", corpus=corpus, test_sets=["in_domain"], stop="\n"), {})


def test_a_corpus_is_composed_and_what_that_changed_is_counted(tmp_path):
    rows = [("street", HINDI), ("gru\u0308n", "for"), ("plain", "text")]
    corpus = built(tmp_path, rows)
    assert all(unicodedata.is_normalized("NFC", text) for text in corpus.frames["train"]["target"])
    assert "train grün" in set(corpus.frames["train"]["source"])
    assert corpus.counts["train"]["noted"] == corpus.counts["test/in_domain"]["noted"] == {"brought to NFC": 2}
    assert corpus.counts["train"]["kept"] == 3
    left = built(tmp_path, rows, unicode_form=None)
    assert HINDI in set(left.frames["train"]["target"]) and "noted" not in left.counts["train"]


def test_compatible_letters_are_replaced_where_asked_for(tmp_path):
    rows = [("a", "ＡＢＣ\u3000ﬁne…"), ("b", "plain")]
    assert "ＡＢＣ ﬁne…" in set(built(tmp_path, rows).frames["train"]["target"])
    corpus = built(tmp_path, rows, unicode_form="NFKC")
    assert "ABC fine..." in set(corpus.frames["train"]["target"])
    assert corpus.counts["train"]["noted"] == {"brought to NFKC": 1}


@pytest.mark.parametrize("text", FORMS, ids=["Hindi", "German"])
@pytest.mark.parametrize("kind", ["neox", "gpt2"])
def test_a_perfect_answer_is_perfect_whoever_writes_it(kind, text):
    encoder = PromptEncoder(tokenizer(kind), Template(target_prefix="out:", target_start=" ", stop="\n"))
    gold = unicodedata.normalize("NFC", text)
    answer = encoder.decode(encoder.completion(text))
    assert (answer == text) == (kind == "gpt2")
    metrics = [get_metric(name) for name in ("exact_match", "token_accuracy", "chrf++", "bleu")]
    for reference in (gold, text):
        scores = Scorer(metrics).score("x", answer, reference)
        assert [score.value / metric.maximum for score, metric in zip(scores, metrics, strict=True)] == pytest.approx(
            [1, 1, 1, 1]
        )
        for name in ("exact_match", "token_accuracy", "chrf"):
            assert get_agreement(name)(answer, reference) == pytest.approx(1)
