import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from contrastive_context.config.sources import (
    BM25Encoder,
    LexiconCorpus,
    PositionalWordsEncoder,
    SentenceTransformerEncoder,
)
from contrastive_context.config.sql import TextToSqlCorpus
from contrastive_context.core.artifacts import read_json, write_json, write_parquet
from contrastive_context.core.errors import UserError
from contrastive_context.corpora import lexicon
from contrastive_context.corpora.build import remove_duplicates
from contrastive_context.corpora.rows import row_id
from contrastive_context.paraphrasing import pairs as paraphrasing
from contrastive_context.paraphrasing.pairs import accept
from contrastive_context.paraphrasing.proposals import Proposal, propose
from contrastive_context.paraphrasing.rules import reword
from contrastive_context.paraphrasing.settings import ParaphraseSettings
from contrastive_context.retrieval.bm25 import BM25, Statistics
from contrastive_context.retrieval.encoders import load_encoder
from contrastive_context.retrieval.similarity import similarity_between
from small_models import save_sentence_encoder

POSITIONAL = {"kind": "positional_words"}
HUB = {
    "kind": "hub", "arrivals": [], "test": {},
    **{key: {"data": "x", "split": "y", "source": "a", "target": "b"} for key in ("train", "dev")},
}  # fmt: skip


def wordings(source, target, n=300):
    return {reword(source, target, key=str(index)) for index in range(n)}


def test_rewording_swaps_frames_and_drops_articles():
    found = wordings("turn on the lamp", "HassTurnOn(name='lamp')")
    assert {"switch on the lamp", "turn on lamp", "please switch on lamp", "could you turn on lamp"} <= found
    assert any(text.startswith("please ") for text in found)
    assert any("switch on" in text for text in found)
    assert any("the lamp" not in text for text in found)


def test_what_the_target_quotes_is_kept():
    source = "announce that turn off the radio is done in 5 minutes in my room"
    target = "HassBroadcast(message='turn off the radio', minutes='5')"
    for text in wordings(source, target):
        assert "turn off the radio" in text
        assert re.findall(r"\d+", text) == ["5"]


def test_words_in_slots_of_a_tree_are_kept():
    source = "tell me to call my doctor and turn on the lamp at 5 pm"
    target = "[IN:CREATE_REMINDER [SL:TODO call my doctor ] [SL:TODO [IN:SET [SL:NAME the lamp ] ] ] [SL:TIME 5 pm ] ]"
    found = wordings(source, target)
    assert len(found) > 3
    for text in found:
        assert "call my doctor" in text and "the lamp" in text and "5 pm" in text


def test_a_schema_is_never_reworded():
    """Names of tables and columns were swapped for synonyms, and politeness stood behind the schema."""
    from contrastive_context.config.sql import GeneratedSqlCorpus
    from contrastive_context.corpora import generated_sql

    corpus = GeneratedSqlCorpus(kind="generated_sql", seed=1, databases=4, per_template=4)
    rows = generated_sql.build(corpus)["train"].assign(id=lambda frame: frame.index.astype(str))
    settings = rules().model_copy(update={"corpus": corpus})
    proposals = propose(settings, rows, {})
    assert [proposal.source.partition(" | ")[2] for proposal in proposals] == [
        source.partition(" | ")[2] for source in rows["source"]
    ]
    changed = [new.source != old for new, old in zip(proposals, rows["source"], strict=True)]
    assert sum(changed) > len(rows) / 2


@pytest.mark.parametrize(
    ("evidence", "fixed"),
    [("evidence", " (big means the color is 'red') | item(the color, big)"), (None, " | item(a)")],
)
def test_evidence_is_never_reworded(evidence, fixed):
    files = {"files": "x.json", "databases": "x"}
    corpus = TextToSqlCorpus(kind="text_to_sql", train=files, columns={"evidence": evidence})
    rows = frame_of(*[(f"Which is the big color of number {number}?{fixed}", "SELECT 1") for number in range(40)])
    proposals = propose(rules().model_copy(update={"corpus": corpus}), rows, {})
    assert all(proposal.source.endswith(fixed) for proposal in proposals)
    assert sum(proposal.source != source for proposal, source in zip(proposals, rows["source"], strict=True)) > 30


def test_a_paraphrase_without_a_word_of_its_parse_is_refused():
    """A model rewords what it likes; the target stays."""
    target = "[IN:CALL [SL:CONTACT mi médico ] ]"
    rows = frame_of(("Llama a mi médico", target), ("Llama ya a mi médico", target))
    texts = ["Telefonea al doctor", "Telefonea a mi médico"]
    encode = lambda texts: np.tile(np.array([[0.8, 0.6]], np.float32), (len(texts), 1))  # noqa: E731
    parents = np.tile(np.array([[1, 0]], np.float32), (2, 1))
    frame, _ = accept(rules(), rows, [Proposal(text, target) for text in texts], parents, encode, [])
    assert frame["reason"].tolist() == [paraphrasing.CHANGED_WORD, ""]
    other = Proposal(texts[0], "[IN:CALL [SL:CONTACT doctor ] ]", target_paraphrased=True)
    frame, _ = accept(rules(), rows[:1], [other], parents[:1], encode, [])
    assert frame["accepted"].all()


def test_contractions_and_capitals():
    assert "What's that?" in {text.split(": ")[-1].split(", ")[-1] for text in wordings("What is that?", "")}
    assert any("doesn't" in text for text in wordings("It does not matter.", "Egal."))


def test_percent_sign_and_word():
    assert any("40 percent" in text for text in wordings("dim it to 40%", ""))
    assert any("40 %" in text or "40%" in text for text in wordings("dim it to 40 percent", ""))


def test_a_statement_without_rules_stays_as_it_is():
    assert wordings("Dogs bark.", "Hunde bellen.") == {"Dogs bark."}


@given(st.text(max_size=60), st.text(max_size=40), st.text(max_size=5))
def test_rewording_is_deterministic_and_never_fails(source, target, key):
    assert reword(source, target, key) == reword(source, target, key)


def rules(**changes):
    entry = {"kind": "rules"} | changes
    return ParaphraseSettings(task="t", paraphraser_name="rules", paraphraser=entry, corpus=HUB, encoder=POSITIONAL)


def frame_of(*rows):
    return pd.DataFrame([(row_id(*row), *row, "c") for row in rows], columns=["id", "source", "target", "cluster"])


def test_every_reason_is_counted():
    new = {
        "far": "far away",
        "near": "nearly",
        "same": "Same!",
        "known": "test row",
        "good": "better",
        "twin": "Better.",
        "none": None,
    }
    rows = frame_of(*[(source, "label") for source in new])
    cosine = {"far away": 0.3, "nearly": 1.0, "better": 0.7}
    seen = []

    def encode(texts):
        seen.extend(texts)
        return np.array([[cosine[text], (1 - cosine[text] ** 2) ** 0.5] for text in texts], np.float32)

    parents = np.tile(np.array([[1, 0]], np.float32), (len(rows), 1))
    none = Proposal("", "", problem="no usable answer")
    proposals = [none if text is None else Proposal(text, "label") for text in new.values()]
    frame, counts = accept(rules(), rows, proposals, parents, encode, excluded=["Test row."])
    assert dict(zip(rows["source"], frame["reason"], strict=True)) == {
        "far": paraphrasing.TOO_FAR, "near": paraphrasing.TOO_NEAR, "same": paraphrasing.UNCHANGED,
        "known": paraphrasing.IN_CORPUS, "good": "", "twin": paraphrasing.REPEATED,
        "none": "no usable answer",
    }  # fmt: skip
    assert sorted(seen) == ["better", "far away", "nearly"]
    assert counts["candidates"] == 7
    assert counts["accepted"] == counts["target_kept"] == 1
    assert sum(counts["rejected"].values()) == 6
    accepted = frame[frame["accepted"]].iloc[0]
    assert (accepted["source"], accepted["target"], accepted["similarity"]) == ("better", "label", 0.7)
    assert accepted["id"] == row_id("better", "label")
    assert accepted["parent_id"] == row_id("good", "label")
    assert not accepted["target_paraphrased"]
    assert tuple(frame.columns) == paraphrasing.COLUMNS


def test_rows_and_embeddings_must_fit():
    with pytest.raises(UserError, match="1 train rows but 2 embeddings"):
        accept(rules(), frame_of(("a", "b")), [], np.zeros((2, 3), np.float32), lambda texts: None, [])


def test_lexicon_paraphrases_change_one_word():
    corpus = LexiconCorpus(kind="lexicon", train_clusters=20, heldout_clusters=8)
    frames, _ = remove_duplicates(
        {"arrivals": lexicon.build(corpus)["arrivals"], "train": lexicon.build(corpus)["train"]}
    )
    rows = frames["train"].head(60)
    encode = load_encoder(PositionalWordsEncoder(**POSITIONAL), None)
    settings = ParaphraseSettings(
        task="lexicon",
        paraphraser_name="one-word",
        paraphraser={"kind": "lexicon"},
        corpus=corpus.model_dump(),
        encoder=POSITIONAL,
    )
    parents, others = encode(rows["source"].tolist()), frames["arrivals"]["source"]
    frame, counts = accept(settings, rows, propose(settings, rows, {}), parents, encode, others)
    assert counts["accepted"] > 50
    kept = frame[frame["accepted"]]
    assert kept["target_paraphrased"].all()
    assert kept["similarity"].round(3).eq(0.833).all()
    assert kept["id"].is_unique
    again, _ = accept(settings, rows, propose(settings, rows, {}), parents, encode, others)
    assert again.equals(frame)


def test_lexicon_rules_need_a_lexicon():
    settings = ParaphraseSettings(
        task="t", paraphraser_name="p", paraphraser={"kind": "lexicon"}, corpus=HUB, encoder=POSITIONAL
    )
    with pytest.raises(UserError, match=r"paraphrasers\.p: kind lexicon can't paraphrase tasks\.t"):
        propose(settings, frame_of(("a", "b")), {})


def test_similarity_is_that_of_the_parent_as_the_query():
    """Not symmetric with BM25: what the paraphrase adds costs little, what it leaves out costs much."""
    sources = ["turn on the lamp now", "dogs bark at night", "seven boats left the port"]
    statistics = Statistics.of(sources)
    encode = BM25(BM25Encoder(kind="bm25"), statistics)
    rows = frame_of(*[(source, "label") for source in sources])
    texts = ["please turn on the lamp now", "dogs bark", "seven boats left the port boats"]
    frame, _ = accept(rules(), rows, [Proposal(text, "label") for text in texts], encode(sources), encode, [])
    longer, shorter, _ = frame["similarity"]
    assert longer > 0.8 and frame["accepted"][0]
    assert shorter < 0.67 and frame["reason"][1] == paraphrasing.TOO_FAR
    assert similarity_between(encode(texts), encode(sources)).pairs(np.array([1]), np.array([1]))[0] > shorter


def run_command(out, **options):
    import paraphrase
    from contrastive_context.core import cli

    with pytest.MonkeyPatch.context() as patch:
        arguments = (f"--{name}={value}" for name, value in {**options, "out": out}.items())
        patch.setattr("sys.argv", ["paraphrase", *arguments])
        cli.run(paraphrase.main, paraphrase.arguments())
    return pd.read_parquet(out), read_json(out.with_suffix(".counts.json"))


@pytest.mark.parametrize("min_similarity", [0.1, 1.0])
def test_the_command_paraphrases_the_test_split_too(tmp_path, capsys, min_similarity):
    train = ["turn on the lamp", "dogs bark at night", "seven boats left port", "close that door", "it rains"]
    texts = {"train": train, "test": ["open the window", "turn off the lamp"]}
    encode = BM25(BM25Encoder(kind="bm25"), Statistics.of(texts["train"], texts["test"]))
    Statistics.of(texts["train"], texts["test"]).write(tmp_path / "statistics.json")
    for split, sources in texts.items():
        write_parquet(tmp_path / f"{split}.parquet", frame_of(*[(source, "label") for source in sources]))
        np.save(tmp_path / f"{split}.npy", encode(sources).weights)
    write_json(tmp_path / "bm25.json", {"files": {}, "kind": "bm25"})
    settings = {
        **rules(min_similarity=min_similarity).model_dump(mode="json"), "split": "test", "encoder": {"kind": "bm25"}
    }  # fmt: skip
    options = {
        "settings": json.dumps(settings),
        "corpus": tmp_path / "test.parquet",
        "embeddings": tmp_path / "test.npy",
        "statistics": tmp_path / "statistics.json",
        "encoder": tmp_path / "bm25.json",
        "exclude": tmp_path / "train.parquet",
    }
    out = tmp_path / "p/rules.parquet"
    frame, counts = run_command(out, **options)
    assert tuple(frame.columns) == paraphrasing.COLUMNS
    assert frame["parent_id"].tolist() == [row_id(source, "label") for source in texts["test"]]
    assert counts["accepted"] == counts["target_kept"] == (2 if min_similarity < 1 else 0)
    assert ("rules accepted nothing for t" in capsys.readouterr().err) == (min_similarity == 1)
    assert read_json(f"{out}.provenance.json")["inputs"]["statistics"]["sha256"]


def test_the_command_counts_paraphrases_that_the_encoder_does_not_read_whole(tmp_path, capsys):
    sources = ["turn on the lamp", "turn off the big old lamp in the kitchen now"]
    frames = "please , could you can would for me I want to hey quick question : wonder okay say switch activate light"
    save_sentence_encoder(tmp_path / "st", [*sources, frames])
    (file,) = (tmp_path / "st").rglob("tokenizer.json")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(8)
    tokenizer.save(str(file))
    entry = {"kind": "sentence_transformer", "folder": "st"}
    write_json(tmp_path / "st.json", {"files": {}})
    write_parquet(tmp_path / "train.parquet", frame_of(*[(source, "label") for source in sources]))
    np.save(tmp_path / "train.npy", load_encoder(SentenceTransformerEncoder(**entry), tmp_path / "st")(sources))
    write_json(tmp_path / "statistics.json", {"kind": "sentence_transformer", "noted": {}})
    _, counts = run_command(
        tmp_path / "rules.parquet",
        settings=json.dumps(rules().model_dump(mode="json") | {"encoder": entry}),
        corpus=tmp_path / "train.parquet",
        embeddings=tmp_path / "train.npy",
        statistics=tmp_path / "statistics.json",
        encoder=tmp_path / "st.json",
    )
    assert counts["noted"] == {"longer than the 8 tokens that the encoder reads": 1}
    assert "1 of 2 sources of the paraphrases are longer than" in capsys.readouterr().err
