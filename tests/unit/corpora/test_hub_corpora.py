"""Corpora of the hub, from files in the formats of OPUS-100 and WMT24++ (texts of our own)."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from contrastive_context.config.sources import HubCorpus
from contrastive_context.core.artifacts import write_json
from contrastive_context.core.errors import UserError
from contrastive_context.corpora.build import build
from contrastive_context.corpora.settings import BuildCorpusSettings

WORDS = ["amber", "birch", "cedar", "daisy", "elder", "fern", "grass", "hazel", "iris", "juniper", "kelp", "lotus"]


def sentence(number: int) -> str:
    return " ".join(WORDS[(number // 12**place) % 12] for place in range(4))


def translation(text: str) -> str:
    return text[::-1].capitalize()


def wmt_rows(documents: int = 40) -> list[dict]:
    """A file of WMT24++: its canary first, then documents of three segments, the third of which is a bad source."""
    canary = {"lp": "en-de_DE", "domain": "canary", "document_id": "canary", "segment_id": 1, "is_bad_source": True,
              "source": "CANARY: not for training", "target": "CANARY: not for training",
              "original_target": "CANARY: not for training"}  # fmt: skip
    rows = [canary]
    for document in range(documents):
        for segment in range(3):
            text = sentence(1000 + 3 * document + segment)
            rows.append(canary | {
                "domain": "news", "document_id": f"test-en-news_{document}", "segment_id": len(rows) + 1,
                "is_bad_source": segment == 2, "source": text, "target": translation(text),
                "original_target": text.upper(),
            })  # fmt: skip
    return rows


def opus_frame(first: int, count: int) -> pd.DataFrame:
    texts = [sentence(number) for number in range(first, first + count)]
    return pd.DataFrame({"translation": [{"de": translation(text), "en": text} for text in texts]})


class Cache:
    """A hub's cache with the records of what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.records = folder, {}

    def add(self, name: str, repository: str, splits: dict[str, dict[str, bytes]]) -> None:
        files = {file: content for of_split in splits.values() for file, content in of_split.items()}
        snapshot = self.folder / f"datasets--{repository.replace('/', '--')}/snapshots/{'a' * 40}"
        for file, content in files.items():
            (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / file).write_bytes(content)
        self.records[name] = self.folder / f"{name}.json"
        write_json(self.records[name], {
            "repository": repository, "type": "dataset", "revision": "a" * 40, "licence": None,
            "files": {file: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                      for file, content in files.items()},
            "splits": {split: list(of_split) for split, of_split in splits.items()},
        })  # fmt: skip


def parquet(frame: pd.DataFrame, folder: Path) -> bytes:
    frame.to_parquet(folder / "part.parquet", index=False)
    return (folder / "part.parquet").read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """What prefetch leaves for one language pair of the paper grid."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cache = Cache(tmp_path)
    parts = {f"de-en/train-0000{i}-of-00002.parquet": parquet(opus_frame(200 * i, 200), tmp_path) for i in range(2)}
    held_out = {
        split: {f"de-en/{split}-00000-of-00001.parquet": parquet(opus_frame(first, 40), tmp_path)}
        for split, first in (("validation", 500), ("test", 600))
    }
    cache.add("opus-en-de", "Helsinki-NLP/opus-100", {"train": parts, **held_out})
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in wmt_rows())
    cache.add("wmt24pp-en-de", "google/wmt24pp", {"train": {"en-de_DE.jsonl": lines.encode()}})
    return cache


def settings(repository: Path, limits=(60, 20), **changes) -> BuildCorpusSettings:
    """The paper grid's English→German, with smaller samples."""
    import yaml

    corpus = yaml.safe_load((repository / "config.yaml").read_text())["tasks"]["en-de"]["corpus"]
    corpus["train"]["limit"], corpus["arrivals"][0]["limit"] = limits
    corpus["train"] |= changes
    sets = ["in_domain", "out_of_domain"]
    return BuildCorpusSettings(task="en-de", corpus=HubCorpus(**corpus), test_sets=sets, stop="\n")


def test_the_paper_grids_corpus(repository, cache):
    built = build(settings(repository), {}, cache.records)
    frames, counts = built.frames, built.counts
    assert len(frames["train"]) == 60
    assert len(frames["dev"]) == len(frames["test/in_domain"]) == 40
    assert (frames["arrivals"]["domain"] == "in").sum() == 20
    row = json.loads(frames["train"]["meta"][0])
    assert row["data_set"] == "opus-en-de"
    assert row["file"].startswith("opus-en-de/de-en/train-0000")
    number = int(row["line"]) - 1 + 200 * int(row["file"].partition("train-")[2][:5])
    assert frames["train"]["source"][0] == sentence(number)
    assert frames["train"]["target"][0] == translation(sentence(number))
    # WMT24++: 40 documents of two good segments each, all on one side or the other.
    arrivals = frames["arrivals"][frames["arrivals"]["domain"] == "out"]
    test = frames["test/out_of_domain"]
    assert len(arrivals) + len(test) == 80
    assert abs(len(arrivals) - 0.4 * 80) <= 2
    assert not set(arrivals["cluster"]) & set(test["cluster"])
    assert set(test["cluster"].value_counts()) == {2}
    dropped = [counts[split]["dropped"] for split in ("arrivals", "test/out_of_domain")]
    assert sum(entry.get("is_bad_source: True", 0) for entry in dropped) == 40 + 1  # one per document, and the canary
    text = "\n".join(pd.concat(frames.values())["source"])
    assert "CANARY" not in text


#: WMT24's English documents: how many have how many segments, after its four domains (998 rows with the canary).
WMT_DOCUMENTS = {"news": [9] * 13 + [8] * 4, "literary": [26] * 7 + [24], "social": [16] * 30 + [9] * 3 + [24],
                 "speech": [1] * 111}  # fmt: skip


@pytest.mark.parametrize("pair", ["en-de", "en-lt", "en-hi", "en-ta"])
def test_the_paper_grid_has_as_many_targets_out_of_domain_as_it_asks_for(repository, cache, pair):
    """Divided by hashes alone the halves had 388 to 564 rows."""
    import yaml

    rows = wmt_rows(0)
    for domain, documents in WMT_DOCUMENTS.items():
        for document, segments in enumerate(documents):
            for segment in range(segments):
                text = sentence(2000 + len(rows))
                # The authors leave 38 rows out.
                row = {"domain": domain, "document_id": f"{domain}_{document}", "is_bad_source": segment == 23}
                rows.append(rows[0] | row | {"source": text, "target": translation(text)})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    cache.add(f"wmt24pp-{pair}", "google/wmt24pp", {"train": {"rows.jsonl": lines.encode()}})
    task = yaml.safe_load((repository / "config.yaml").read_text())["tasks"][pair]
    corpus = HubCorpus(**task["corpus"])
    out = {"test": {"out_of_domain": corpus.test["out_of_domain"]}, "arrivals": corpus.arrivals[1:]}
    elsewhere = corpus.train.model_copy(update={"data": "opus-en-de", "target": "translation.de"})
    out |= {"train": elsewhere, "dev": elsewhere.model_copy(update={"split": "validation", "part": (0.0, 1.0)})}
    chosen = BuildCorpusSettings(
        task=pair, corpus=corpus.model_copy(update={**out, "cleaning": None}), test_sets=["out_of_domain"], stop="\n"
    )
    frames = build(chosen, {}, cache.records).frames
    assert len(frames["test/out_of_domain"]) >= task["evaluation"]["targets"] == 500
    assert len(frames["arrivals"]) > 330
    assert not set(frames["arrivals"]["cluster"]) & set(frames["test/out_of_domain"]["cluster"])


def test_canaries_are_dropped_by_their_domain_too(repository, cache):
    rows = wmt_rows()
    rows[0]["is_bad_source"] = False
    cache.add("wmt24pp-en-de", "google/wmt24pp", {
        "train": {"en-de_DE.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()}
    })  # fmt: skip
    counts = build(settings(repository), {}, cache.records).counts
    found = [counts[split]["dropped"].get("domain: canary", 0) for split in ("arrivals", "test/out_of_domain")]
    assert sorted(found) == [0, 1]


def test_samples_are_drawn_with_the_seed_and_not_the_first_rows(repository, cache):
    def sample(seed, **changes):
        chosen = settings(repository, **changes)
        corpus = chosen.corpus.model_copy(update={"seed": seed})
        return set(build(chosen.model_copy(update={"corpus": corpus}), {}, cache.records).frames["train"]["source"])

    first = {sentence(number) for number in range(60)}
    assert sample(0) == sample(0)
    assert len(sample(0) & sample(1)) < 40
    assert len(sample(0) & first) < 30
    # A larger sample holds the smaller one.
    assert sample(0) < sample(0, limits=(100, 20))


def test_train_and_arrivals_never_meet(repository, cache):
    frames = build(settings(repository, limits=(None, None)), {}, cache.records).frames
    arrivals = frames["arrivals"][frames["arrivals"]["domain"] == "in"]
    assert len(frames["train"]) + len(arrivals) == 400
    assert not set(frames["train"]["source"]) & set(arrivals["source"])
    assert 40 < len(arrivals) < 130  # a fifth


def test_malformed_rows_are_located(repository, cache):
    lines = [json.dumps(row) for row in wmt_rows()]
    lines[5], lines[8] = "{torn", json.dumps({"source": "a"})
    content = "\n".join(lines).encode()
    cache.add("wmt24pp-en-de", "google/wmt24pp", {"train": {"en-de_DE.jsonl": content}})
    chosen = settings(repository)
    strict = chosen.corpus.model_copy(update={"max_rejected": 0.005})
    with pytest.raises(UserError, match=r"2 of \d+ rows are malformed, more than the share (of )?0\.005"):
        build(chosen.model_copy(update={"corpus": strict}), {}, cache.records)
    built = build(chosen, {}, cache.records)
    assert sum(n for reason, n in built.counts["read"]["dropped"].items() if reason.startswith("malformed")) == 2
    places = {(row.file, row.line, row.reason) for row in built.listed}
    assert ("wmt24pp-en-de/en-de_DE.jsonl", "6", "not JSON") in places
    assert any(place[1] == "9" for place in places)


def test_malformed_texts_in_a_struct_are_located(repository, cache):
    """OPUS-100's texts stand in a struct column; one of broken UTF-8 ended the step with a traceback."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    bad = {
        "broken UTF-8": b"\xffkaputt", "NUL character in target": b"a\0b", "empty target": b" \n",
        "line too long": b"lang " * 200_000,
        "replacement character (decoded wrongly before) in target": "falsch \ufffd".encode(),
        "direction override in target": "\u202egedreht".encode(),
    }  # fmt: skip
    good = {"\ufeffMit BOM\r\n": "Mit BOM", "שלום עולם": "שלום עולם"}
    german = [*bad.values(), *(text.encode() for text in good)]
    english = [sentence(900 + number).encode() for number in range(len(german))]
    columns = [pa.array(texts, pa.binary()).view(pa.string()) for texts in (german, english)]
    table = pa.table({"translation": pa.StructArray.from_arrays(columns, ["de", "en"])})
    for text in (None, b"long " * 600_000):  # a row without texts, and a source of 3 MB
        values = pa.array([b"Text"], pa.binary()).view(pa.string()), pa.array([text], pa.binary()).view(pa.string())
        row = pa.table({"translation": pa.StructArray.from_arrays(values, ["de", "en"])})
        table = pa.concat_tables([table, row])
    pq.write_table(table, cache.folder / "bad.parquet")
    splits = {"train": {"train.parquet": (cache.folder / "bad.parquet").read_bytes()}}
    splits |= {
        split: {f"{split}.parquet": parquet(opus_frame(first, 40), cache.folder)}
        for split, first in (("validation", 500), ("test", 600))
    }
    cache.add("opus-en-de", "Helsinki-NLP/opus-100", splits)
    chosen = settings(repository, limits=(None, None), part=(0.0, 1.0))
    corpus = chosen.corpus.model_copy(
        update={"max_rejected": 1, "cleaning": None, "arrivals": chosen.corpus.arrivals[1:]}
    )
    built = build(chosen.model_copy(update={"corpus": corpus}), {}, cache.records)
    reasons = [*bad, "empty source", "line too long"]
    lines = [*range(1, len(bad) + 1), len(german) + 1, len(german) + 2]
    assert {(row.line, row.reason) for row in built.listed} == {
        (str(line), reason) for line, reason in zip(lines, reasons, strict=True)
    }
    assert set(built.frames["train"]["target"]) == set(good.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "elsewhere"}, r"corpus\.train\.data: --hub RECORD of elsewhere is missing"),
        ({"split": "training"}, r"corpus\.train\.split: opus-en-de has no split 'training'; it has train, validation"),
        ({"source": "english"}, "no column 'english'"),
        ({"source": "translation.fr"}, "malformed"),
    ],
)
def test_mistakes_are_named(repository, cache, changes, message):
    with pytest.raises(UserError, match=message):
        build(settings(repository, **changes), {}, cache.records)


def test_a_file_that_is_gone_is_named(repository, cache):
    next(cache.folder.rglob("en-de_DE.jsonl")).unlink()
    with pytest.raises(UserError, match=r"en-de_DE\.jsonl of google/wmt24pp .* is not in the hub's cache"):
        build(settings(repository), {}, cache.records)
