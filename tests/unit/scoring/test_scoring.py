import json

import numpy as np
import pandas as pd
import pytest

from contrastive_context.core.errors import UserError
from contrastive_context.scoring import nearest_label
from contrastive_context.scoring.metrics import get_metric
from contrastive_context.scoring.scoring import Scorer, read_predictions, score, triples
from contrastive_context.scoring.segments import read_scores, read_segments, write_scores, write_segments
from contrastive_context.scoring.settings import ScoreSettings

SETTINGS = ScoreSettings(task="t", model_name="m", metrics=["chrf++", "exact_match"])


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "test.parquet"
    pd.DataFrame(
        {
            "id": ["a", "b"],
            "source": ["x", "y"],
            "target": ["one two", "three"],
            "cluster": ["c1", "c2"],
            "test_set": ["in_domain"] * 2,
        }
    ).to_parquet(path)
    return path


def _line(prompt, target="a", output="one two", **more):
    return {
        "prompt_id": prompt, "target_id": target, "test_set": "in_domain", "composition": "one_graded", "bucket": "low",
        "step": 200, "output": output, "stop_reason": "stop", "prompt_tokens": 1, "output_tokens": 1,
        "examples": 3, "dropped_examples": 0, **more,
    }  # fmt: skip


def _write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_prediction_is_scored_with_its_cell(tmp_path, corpus):
    base = _write(tmp_path / "base.jsonl", [_line("p1", step=0), _line("p2", "b", "wrong", step=0)])
    tuned = _write(tmp_path / "z.jsonl", [_line("p1"), _line("p2", "b", "three")])
    frame, _ = score({"base": base, "zero-seed3": tuned}, corpus, SETTINGS)
    assert len(frame) == 2 * 2 * 2
    assert list(frame.columns[:4]) == ["task", "model", "strategy", "seed"]
    assert frame.loc[frame["strategy"] == "base", "seed"].isna().all()
    assert set(frame.loc[frame["strategy"] == "zero", "seed"]) == {3}
    exact = frame[frame["metric"] == "exact_match"].set_index(["strategy", "prompt_id"])["value"]
    assert exact["base", "p2"] == 0 and exact["zero", "p2"] == 1
    assert dict(zip(frame["target_id"], frame["cluster"], strict=True)) == {"a": "c1", "b": "c2"}
    path = tmp_path / "scores.parquet"
    frame.to_parquet(path)
    back = pd.read_parquet(path)
    chrf = back[back["metric"] == "chrf++"]
    assert get_metric("chrf++").aggregate(chrf["value"], chrf["stats"]) > 0
    assert str(back["seed"].dtype) == "Int64"


def test_what_was_cut_is_carried_along(tmp_path, corpus):
    lines = [_line("p1", stop_reason="length"), _line("p2", "b", dropped_examples=2)]
    frame, _ = score({"base": _write(tmp_path / "base.jsonl", lines)}, corpus, SETTINGS)
    found = frame.drop_duplicates("prompt_id").set_index("prompt_id")
    assert found["stop_reason"].to_dict() == {"p1": "length", "p2": "stop"}
    assert found["dropped_examples"].to_dict() == {"p1": 0, "p2": 2}


def test_a_prompt_without_its_examples_is_in_no_bucket(tmp_path, corpus, caplog):
    lines = [_line("p1", examples=0, dropped_examples=3), _line("p2", "b", examples=1, dropped_examples=2)]
    lines.append(_line("p3", composition="zero_context", bucket="none", examples=0))
    frame, _ = score({"base": _write(tmp_path / "base.jsonl", lines)}, corpus, SETTINGS)
    found = frame.drop_duplicates("prompt_id").set_index("prompt_id")["bucket"]
    assert found.to_dict() == {"p1": "none", "p2": "low", "p3": "none"}
    assert "1 prompts had no room" in caplog.text


def test_identical_pairs_are_scored_once(tmp_path, corpus, monkeypatch):
    calls = []
    metric = get_metric("exact_match")
    original = type(metric).segment
    monkeypatch.setattr(type(metric), "segment", lambda self, h, r: calls.append((h, r)) or original(self, h, r))
    lines = [_line(f"p{i}") for i in range(50)] + [_line("q", output="other")]
    files = {name: _write(tmp_path / f"{name}.jsonl", lines) for name in ("base", "zero-seed0", "random-seed0")}
    settings = ScoreSettings(task="t", model_name="m", metrics=["exact_match"])
    frame, scorer = score(files, corpus, settings)
    assert len(frame) == 153
    assert sorted(calls) == [("one two", "one two"), ("other", "one two")]
    assert scorer.computed == 2


def test_torn_line_names_file_and_line(tmp_path, corpus):
    path = _write(tmp_path / "base.jsonl", [_line("p1")])
    path.write_text(path.read_text() + '{"prompt_id": "p2", "targ')
    with pytest.raises(UserError, match=r"base\.jsonl:2: not a whole JSON line"):
        score({"base": path}, corpus, SETTINGS)


def test_incomplete_and_undecodable_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt_id": "p"}\n')
    with pytest.raises(UserError, match=r"a\.jsonl:1: field\(s\) target_id"):
        list(read_predictions(path))
    path.write_text("[1]\n")
    with pytest.raises(UserError, match=r"a\.jsonl:1"):
        list(read_predictions(path))
    path.write_bytes(b"\xff\xfe{}\n")
    with pytest.raises(UserError, match="not UTF-8"):
        list(read_predictions(path))
    with pytest.raises(UserError, match="can't be read"):
        list(read_predictions(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([_line("p1"), _line("p2", "zzz")], r"base\.jsonl:2: zzz is no target of test set 'in_domain'"),
        ([_line("p1", test_set="other")], r"base\.jsonl:1: a is no target of test set 'other'"),
        ([_line("p1"), _line("p1")], r"base\.jsonl:2: prompt p1 is answered twice"),
        ([], "no predictions in it"),
    ],
)
def test_predictions_that_do_not_fit(tmp_path, corpus, lines, message):
    with pytest.raises(UserError, match=message):
        score({"base": _write(tmp_path / "base.jsonl", lines)}, corpus, SETTINGS)


def test_scorer_keeps_pairs_apart():
    scorer = Scorer([get_metric("exact_match")])
    assert scorer.score("s", "ab", "c")[0].value == 0 and scorer.score("s", "c", "c")[0].value == 1


def test_a_learned_metric_is_looked_up_and_a_missing_score_is_refused(tmp_path, corpus):
    predictions = _write(tmp_path / "base.jsonl", [_line("p1"), _line("p2", "b", "drei"), _line("p3")])
    count = write_segments(tmp_path / "m.jsonl", triples([predictions], corpus))
    segments = read_segments(tmp_path / "m.jsonl")
    assert count == len(segments) == 2  # p1 and p3 are the same triple
    assert {"src": "y", "mt": "drei", "ref": "three"} in segments.values()
    write_scores(tmp_path / "m.comet.jsonl", {id_: 0.25 + 0.5 * (s["mt"] == "drei") for id_, s in segments.items()})
    settings = ScoreSettings(task="t", model_name="m", metrics=["comet", "exact_match"])
    learned = {"comet": read_scores(tmp_path / "m.comet.jsonl")}
    frame, _ = score({"base": predictions}, corpus, settings, learned)
    found = frame[frame["metric"] == "comet"].set_index("prompt_id")["value"]
    assert found.to_dict() == {"p1": 0.25, "p2": 0.75, "p3": 0.25}
    assert get_metric("comet").aggregate(found.to_list(), [[]] * 3) == pytest.approx(1.25 / 3)
    with pytest.raises(UserError, match="comet: no score for"):
        score({"base": predictions}, corpus, settings, {"comet": {}})


def test_torn_segment_files(tmp_path):
    write_scores(tmp_path / "a.jsonl", {"x": 1.0, "y": 2.0})
    (tmp_path / "a.jsonl").write_text((tmp_path / "a.jsonl").read_text()[:-5])
    with pytest.raises(UserError, match=r"a\.jsonl:2: not a whole"):
        read_scores(tmp_path / "a.jsonl")
    with pytest.raises(UserError, match=r"a\.jsonl:1: field\(s\) src"):
        read_segments(tmp_path / "a.jsonl")


def test_bleu_takes_the_tasks_tokenizer(tmp_path, corpus):
    frame = pd.read_parquet(corpus).assign(target=["यह अच्छा है।", "three"])
    frame.to_parquet(corpus)
    predictions = _write(tmp_path / "base.jsonl", [_line("p1", output="यह अच्छा है")])
    values = {}
    for name in ("13a", "intl"):  # 13a takes the danda for a part of the word
        settings = ScoreSettings(task="t", model_name="m", metrics=["bleu"], bleu={"tokenize": name})
        values[name] = score({"base": predictions}, corpus, settings)[0]["stats"][0]
    assert values["13a"][2] == 2 and values["intl"][2] == 3  # matching words


def test_nearest_label_takes_the_most_similar_example(tmp_path):
    pd.DataFrame({"id": ["a", "b", "c"], "target": ["ta", "tb", "tc"]}).to_parquet(tmp_path / "arrivals.parquet")
    contexts = pd.DataFrame(
        {
            "prompt_id": ["p1", "p2", "p3"],
            "target_id": ["x", "x", "x"],
            "test_set": ["in_domain"] * 3,
            "composition": ["one_graded", "top_k", "zero_context"],
            "bucket": ["high", "low", "none"],
            "example_ids": [["a", "b"], ["c", "b"], []],
            "similarities": [[0.1, 0.8], [0.2, 0.2], []],
        }
    )
    contexts.to_parquet(tmp_path / "contexts.parquet")
    out = tmp_path / "nearest.jsonl"
    count = nearest_label.predict_file(tmp_path / "contexts.parquet", tmp_path / "arrivals.parquet", out)
    records = [record for _, record in read_predictions(out)]
    assert count == 2 and [r["output"] for r in records] == ["tb", "tb"]
    assert {r["stop_reason"] for r in records} == {"none"} and {r["step"] for r in records} == {0}
    contexts["example_ids"] = [np.array(["a", "zz"]), np.array(["c", "b"]), []]
    with pytest.raises(UserError, match="example zz is not among the arrivals"):
        list(nearest_label.predict(contexts, {"a": "ta", "b": "tb", "c": "tc"}))


def test_bleu_by_blanks_is_refused_where_targets_have_none(tmp_path):
    texts = {"id": ["a", "b"], "source": ["on", "off"], "target": ["打开电灯", "关上电灯"]}
    frame = pd.DataFrame(texts | {"cluster": ["1", "2"], "test_set": ["in_domain", "in_domain"]})
    test = tmp_path / "chinese.parquet"
    frame.to_parquet(test)
    with pytest.raises(UserError, match=r"tasks\.t\.bleu\.tokenize: 13a divides words at blanks"):
        score({}, test, ScoreSettings(task="t", metrics=["bleu"]))
    assert score({}, test, ScoreSettings(task="t", metrics=["bleu"], bleu={"tokenize": "zh"}))[0].empty
